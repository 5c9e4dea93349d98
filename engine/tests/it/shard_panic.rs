//! A panic of one shard, on the real ring: the process ends at once, and it was an ordinary crash.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::libc::SIGABRT;
use thalweg_engine::id::{PartitionId, ShardId, TopicPartition};
use thalweg_engine::log::ReadRequest;
use thalweg_engine::runtime::{EngineOptions, ShardContext, run};
use uuid::Uuid;

use crate::batch;
use crate::harness::{engine_options, small_options, split};

const NAME: &str = "shard_panic::a_panic_of_one_shard_ends_the_process_and_loses_nothing";
const DIRECTORY: &str = "THALWEG_TEST_SHARD_PANIC";
const BATCHES: u64 = 20;

fn options(dir: &Path) -> EngineOptions {
    EngineOptions { dirs: vec![dir.to_path_buf()], ..engine_options(2) }
}

/// A partition of the first shard.
fn partition() -> PartitionId {
    let at_home = |id: &PartitionId| id.home(2) == ShardId(0);
    (2..).map(|topic| PartitionId { topic: Uuid::from_u128(topic), index: 0 }).find(at_home).unwrap()
}

#[test]
fn a_panic_of_one_shard_ends_the_process_and_loses_nothing() {
    if let Some(dir) = std::env::var_os(DIRECTORY) {
        return panicking(&PathBuf::from(dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(DIRECTORY, dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr).into_owned() + &String::from_utf8_lossy(&child.stdout);
    assert_eq!(child.status.signal(), Some(SIGABRT), "{said}");
    assert!(said.contains("a shard panicked") && said.contains("on purpose"), "{said}");
    assert_eq!(recovered(dir.path()), BATCHES);
}

/// In a process of its own: the first shard acknowledges, then the second one panics.
fn panicking(dir: &Path) {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let acknowledged = Arc::new(Mutex::new(false));
    let main = async move |shard: Rc<ShardContext>| {
        if shard.id == ShardId(0) {
            let name = TopicPartition { topic: "t".into(), partition: 0 };
            let log = shard.storage.create(&name, partition(), small_options().into()).await.unwrap();
            for n in 0..BATCHES {
                log.append(batch::build(n, 1, 1000, 1_700_000_000_000, None)).await.unwrap();
            }
            *acknowledged.lock().unwrap() = true;
            return shard.io.sleep(Duration::from_secs(600)).await;
        }
        while !*acknowledged.lock().unwrap() {
            shard.io.sleep(Duration::from_millis(5)).await;
        }
        panic!("on purpose");
    };
    run(options(dir), |context| context, |_, _| (), main).unwrap();
}

/// Batches that the next start serves.
fn recovered(dir: &Path) -> u64 {
    let found = Arc::new(Mutex::new(0));
    let count = Arc::clone(&found);
    let main = async move |shard: Rc<ShardContext>| {
        let Some(log) = shard.storage.log(partition()) else { return };
        let request = ReadRequest { offset: 0, max_bytes: 1 << 20, at_least_one: true };
        let slice = log.read(request).await.unwrap();
        *count.lock().unwrap() = split(&slice.bytes.concat()).len() as u64;
    };
    run(options(dir), |context| context, |_, _| (), main).unwrap();
    *found.lock().unwrap()
}
