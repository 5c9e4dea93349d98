//! A decaying medium: one flipped bit anywhere in a stopped server's files, and what the next start makes of it.
//!
//! Every acknowledged batch comes back byte for byte, or something names the loss: the start, its report, a read, or
//! the torn end of the journal that was kept. `partition.metadata` is left out: it is Kafka's text without a checksum,
//! so a flipped bit of the topic id makes it another topic's, which nothing on the disk can contradict.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use thalweg_engine::id::{PartitionId, TopicPartition};
use thalweg_engine::io::sim::{DiskImage, SimOptions, SimWorld};
use thalweg_engine::log::LogOptions;
use thalweg_engine::runtime::EngineOptions;
use thalweg_protocol::batch::{ATTRIBUTES_AT, BatchView};
use uuid::Uuid;

use crate::batch::{self, BatchId};
use crate::harness::{NoStart, Server, engine_options};
use crate::seeds;

/// Zeros in a row of which only some bytes are flipped: padding, and what was never written.
const ZEROS_MIN: usize = 32;
/// Distance of the flipped bytes among zeros.
const ZEROS_STRIDE: usize = 509;
/// ... and past what a file uses at its beginning, where whole sectors are alike.
const BLANK_STRIDE: usize = 64 << 10;
/// Flips that share one loaded image.
const FLIPS_PER_IMAGE: usize = 256;

type Batches = BTreeMap<i64, Vec<u8>>;

/// A stopped server's disk, and what it had acknowledged.
struct Stopped {
    image: DiskImage,
    acked: BTreeMap<PartitionId, Batches>,
    /// The batch of the last commit: no later one attests it.
    last: Option<(PartitionId, i64)>,
}

fn options() -> EngineOptions {
    let log = LogOptions { segment_bytes: 1536, index_interval_bytes: 256, ..LogOptions::default() };
    EngineOptions { default_log_options: log, ..engine_options(1) }
}

fn partition(topic: u128) -> (PartitionId, TopicPartition) {
    let id = PartitionId { topic: Uuid::from_u128(topic), index: 0 };
    (id, TopicPartition { topic: format!("topic{topic}"), partition: 0 })
}

fn append(server: &Server, id: PartitionId, number: BatchId) -> i64 {
    let log = server.log(id).unwrap();
    let batch = batch::build(number, 2, 150, 1_700_000_000_000 + number as i64, None);
    server.run(id, async move { log.append(batch).await }).unwrap().unwrap().base_offset
}

/// Two partitions with rolled segments, a checkpoint, and commits after it.
fn stopped(cleanly: bool) -> Stopped {
    let world = SimWorld::new(SimOptions::new(11));
    let server = Server::start(&world, &options());
    let ids = [1, 2].map(|topic| {
        let (id, name) = partition(topic);
        let storage = server.storage_of(id).clone();
        let log = options().default_log_options.into();
        server.run(id, async move { storage.create(&name, id, log).await.map(drop) }).unwrap().unwrap();
        id
    });
    let mut last = None;
    for number in 0..18 {
        let id = ids[usize::from(number % 3 == 0)];
        last = Some((id, append(&server, id, number)));
        if number == 11 {
            let storage = server.storage_of(id).clone();
            let volume = storage.volumes()[0].clone();
            server.run(id, async move { storage.checkpoint(&volume, false).await }).unwrap().unwrap();
        }
    }
    let acked = ids.map(|id| (id, by_offset(server.read_all(id).unwrap().unwrap())));
    if cleanly {
        server.shutdown().unwrap();
    }
    drop(server);
    let image = world.process_kill().live_image();
    Stopped { image, acked: acked.into(), last: last.filter(|_| !cleanly) }
}

fn by_offset(batches: Vec<Vec<u8>>) -> Batches {
    let base_offset = |batch: &[u8]| BatchView::parse(batch).unwrap().base_offset();
    batches.into_iter().map(|batch| (base_offset(&batch), batch)).collect()
}

/// The bytes to flip: each that is not among zeros, and some of those.
fn positions(contents: &[u8]) -> Vec<usize> {
    let used = contents.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut positions = Vec::new();
    let mut at = 0;
    while at < used {
        let zeros = contents[at..used].iter().take_while(|byte| **byte == 0).count();
        if zeros < ZEROS_MIN {
            positions.extend(at..at + zeros.max(1));
            at += zeros.max(1);
        } else {
            positions.extend((at..at + zeros).step_by(ZEROS_STRIDE));
            at += zeros;
        }
    }
    positions.extend((used..contents.len()).step_by(BLANK_STRIDE));
    positions
}

/// What the start after a flip is held against.
struct Flip<'a> {
    stopped: &'a Stopped,
    path: &'a Path,
    position: usize,
}

impl Flip<'_> {
    /// # Errors
    /// What was silently wrong.
    fn check(&self, world: &SimWorld) -> Result<(), String> {
        let server = match Server::try_start(world, &options()) {
            Ok(server) => server,
            Err(NoStart::Refused(error)) => return self.is_named(&error.to_string()),
            Err(NoStart::Run(error)) => return Err(format!("the start does not end: {error:?}")),
        };
        for (id, acked) in &self.stopped.acked {
            let is_refused =
                |(name, _): &(TopicPartition, _)| server.log(*id).is_some_and(|log| log.name() == name);
            if server.report.refused.iter().any(is_refused) {
                continue;
            }
            match server.read_all(*id).map_err(|error| format!("{error:?}"))? {
                Ok(found) => self.check_batches(world, *id, acked, &by_offset(found))?,
                Err(error) if error.contains("is corrupt at byte") => (),
                Err(error) => return Err(format!("a read fails with {error}")),
            }
        }
        Ok(())
    }

    fn is_named(&self, error: &str) -> Result<(), String> {
        let name = self.path.file_name().unwrap().to_string_lossy();
        if error.contains(&*name) { Ok(()) } else { Err(format!("refused without the file's name: {error}")) }
    }

    fn check_batches(
        &self,
        world: &SimWorld,
        id: PartitionId,
        acked: &Batches,
        found: &Batches,
    ) -> Result<(), String> {
        for (base_offset, batch) in found {
            if acked.get(base_offset) != Some(batch) {
                return Err(format!("other bytes are served at {base_offset}"));
            }
        }
        let lost: Vec<_> = acked.keys().filter(|base| !found.contains_key(base)).copied().collect();
        let [only] = lost[..] else {
            return if lost.is_empty() { Ok(()) } else { Err(format!("{lost:?} are lost")) };
        };
        let is_kept = || world.live_image().keys().any(|path| path.to_string_lossy().ends_with(".torn"));
        if self.stopped.last == Some((id, only)) && is_kept() {
            return Ok(());
        }
        Err(format!("{only} is lost"))
    }
}

/// A file, a byte of it, and the bit to flip.
type Place = (PathBuf, usize, u8);

/// One bit of each byte; all of them in what no batch's CRC covers: the low bytes of an offset are where a small
/// change looks right.
fn flips(image: &DiskImage) -> Vec<Place> {
    let swept = image.iter().filter(|(path, _)| !path.ends_with("partition.metadata"));
    let bits = |path: &Path, contents: &[u8], at: usize| {
        let uncovered = path.extension().is_some_and(|it| it == "log") && is_uncovered(contents, at);
        if uncovered { 0..8 } else { at as u8 % 8..at as u8 % 8 + 1 }
    };
    let places = |(path, contents): (&PathBuf, &Vec<u8>)| -> Vec<Place> {
        let at = |at: usize| bits(path, contents, at).map(move |bit| (path.clone(), at, bit));
        positions(contents).into_iter().flat_map(at).collect()
    };
    swept.flat_map(places).collect()
}

/// Whether a segment's byte belongs to the part of a batch's header that its CRC leaves out.
fn is_uncovered(segment: &[u8], at: usize) -> bool {
    let mut start = 0;
    while let Ok(view) = BatchView::parse(&segment[start..]) {
        if at < start + view.total_bytes() {
            return at < start + ATTRIBUTES_AT;
        }
        start += view.total_bytes();
    }
    false
}

fn sweep(test: &str, cleanly: bool) {
    let stopped = stopped(cleanly);
    let flips = flips(&stopped.image);
    for kind in ["thalweg-checkpoint", "thalweg-journal", ".log", ".index", ".timeindex"] {
        assert!(
            flips.iter().any(|(path, ..)| path.to_string_lossy().contains(kind)),
            "there is no {kind} file"
        );
    }
    let chunks: Vec<_> = flips.chunks(FLIPS_PER_IMAGE).collect();
    seeds::run_exactly(test, chunks.len() as u64, |chunk| {
        let disk = SimWorld::load_image(SimOptions::new(12), &stopped.image).unwrap();
        for (path, position, bit) in chunks[chunk as usize] {
            let world = disk.fork(*position as u64);
            world.corrupt(path, *position as u64, 1 << bit).unwrap();
            let flip = Flip { stopped: &stopped, path, position: *position };
            let checked = catch_unwind(AssertUnwindSafe(|| flip.check(&world)));
            let wrong = checked.unwrap_or_else(|panic| Err(seeds::message_of(&*panic)));
            wrong.unwrap_or_else(|wrong| {
                panic!("bit {bit} of byte {} of {}: {wrong}", flip.position, path.display())
            });
        }
    });
}

#[test]
fn no_flipped_bit_after_an_unclean_stop_is_silent() {
    sweep("corruption::no_flipped_bit_after_an_unclean_stop_is_silent", false);
}

#[test]
fn no_flipped_bit_after_a_clean_stop_is_silent() {
    sweep("corruption::no_flipped_bit_after_a_clean_stop_is_silent", true);
}
