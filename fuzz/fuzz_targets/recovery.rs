//! A whole directory of damaged files: recovery ends, and never panics.
//!
//! The input is cut into a journal, a checkpoint, a segment and its index; recovery runs on the simulated disk.
#![no_main]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use thalweg_engine::format::partition_metadata;
use thalweg_engine::io::sim::{SimOptions, SimRunner, SimWorld};
use thalweg_engine::log::LogOptions;
use thalweg_engine::recovery::{RecoveryOptions, recover};
use uuid::Uuid;

fuzz_target!(|parts: (u64, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>)| {
    let (seed, journal, checkpoint, segment, index) = parts;
    let world = SimWorld::new(SimOptions::new(seed));
    let put = |name: &str, bytes: &[u8]| drop(world.put_file(PathBuf::from("/data").join(name), bytes));
    let _ = world.make_dirs("/data/topic-0");
    let mut pages = vec![0; 8192];
    pages[4096..].iter_mut().zip(&journal).for_each(|(page, byte)| *page = *byte);
    put("thalweg-journal.0.d.0", &pages);
    let mut checkpoint = checkpoint;
    if checkpoint.len() >= 12 {
        checkpoint[0..8].copy_from_slice(b"THWCHKPT");
        let crc = crc32c::crc32c(&checkpoint[12..]);
        checkpoint[8..12].copy_from_slice(&crc.to_le_bytes());
    }
    put("thalweg-checkpoint", &checkpoint);
    put("topic-0/partition.metadata", &partition_metadata::encode(Uuid::from_u128(5)));
    put("topic-0/00000000000000000000.log", &segment);
    // A compaction that was under way.
    match seed % 4 {
        0 => put("topic-0/00000000000000000000.log.swap", &segment),
        1 => put("topic-0/00000000000000000003.log.swap", &index),
        2 => put("topic-0/00000000000000000000.timeindex.cleaned", &index),
        _ => (),
    }
    put("topic-0/00000000000000000000.index", &index);

    let runner = SimRunner::new(&world, 1);
    let options =
        RecoveryOptions {
            dirs: vec![PathBuf::from("/data")],
            failed_dirs: Vec::new(),
            shards: 1,
            options: Arc::new(LogOptions::default()),
            memory_bytes_max: 1 << 20,
        };
    let io = runner.io(0).clone();
    let recovering = async move { recover(&io, &options).await.map(|found| found.logs.len()) };
    let ended = runner.run(0, Duration::from_secs(600), recovering);
    assert!(ended.is_ok(), "recovery did not end");
    // Tasks hold the reactor that holds them.
    runner.io(0).shutdown();
});
