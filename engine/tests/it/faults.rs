//! Disks that fail: what is refused, what goes on, and that nothing acknowledged is lost.

use bytes::Bytes;
use nix::errno::Errno;
use thalweg_engine::error::AppendError;
use thalweg_engine::id::{PartitionId, TopicPartition};
use thalweg_engine::io::sim::{Fault, OpKind, SimOptions, SimWorld};
use thalweg_engine::log::Appended;
use uuid::Uuid;

use crate::batch;
use crate::harness::{Server, engine_options, small_options};

pub fn create(server: &Server, topic: u128) -> PartitionId {
    let id = PartitionId { topic: Uuid::from_u128(topic), index: 0 };
    let name = TopicPartition { topic: format!("topic{topic}"), partition: 0 };
    let storage = server.storage_of(id).clone();
    server
        .run(id, async move { storage.create(&name, id, small_options().into()).await.map(drop) })
        .unwrap()
        .unwrap();
    id
}

pub fn append(server: &Server, id: PartitionId, batch: Bytes) -> Result<Appended, AppendError> {
    let log = server.log(id).unwrap();
    server.run(id, async move { log.append(batch).await }).unwrap()
}

pub fn numbered(id: u64, bytes: usize) -> Bytes {
    batch::build(id, 1, bytes, 1_700_000_000_000, None)
}

pub fn ids(server: &Server, id: PartitionId) -> Vec<u64> {
    let batches = server.read_all(id).unwrap().unwrap();
    let id_of = |batch: &Vec<u8>| batch::id_of(&thalweg_protocol::batch::BatchView::parse(batch).unwrap());
    batches.iter().map(id_of).collect()
}

#[test]
fn a_failed_journal_write_fences_the_directory_and_reads_go_on() {
    let world = SimWorld::new(SimOptions::new(1));
    let server = Server::start(&world, &engine_options(1));
    let id = create(&server, 1);
    for n in 1..=5 {
        append(&server, id, numbered(n, 3_000)).unwrap();
    }
    world.inject(Fault::error(Errno::EIO).on(OpKind::Write).path("journal").nth(1));
    assert!(matches!(append(&server, id, numbered(6, 100)), Err(AppendError::Io(_))));
    assert!(matches!(append(&server, id, numbered(7, 100)), Err(AppendError::Fenced { .. })));
    assert_eq!(ids(&server, id), [1, 2, 3, 4, 5]);
    drop(server);
    let server = Server::start(&world.power_loss(), &engine_options(1));
    assert_eq!(ids(&server, id)[..5], [1, 2, 3, 4, 5]);
    append(&server, id, numbered(8, 100)).unwrap();
}

#[test]
fn a_full_disk_refuses_appends_and_goes_on_when_there_is_room() {
    let world = SimWorld::new(SimOptions { disk_bytes: 12 << 20, ..SimOptions::new(2) });
    let server = Server::start(&world, &engine_options(1));
    let id = create(&server, 1);
    let mut acked = Vec::new();
    for n in 1..400 {
        match append(&server, id, numbered(n, 100_000)) {
            Ok(_) => acked.push(n),
            Err(AppendError::NoSpace { .. }) => break,
            Err(error) => panic!("append {n}: {error}"),
        }
    }
    assert!((10..399).contains(&acked.len()), "{} appends", acked.len());
    assert_eq!(ids(&server, id), acked);
    world.set_disk_bytes(1 << 30);
    server.runner.run_for(std::time::Duration::from_secs(6)).unwrap();
    append(&server, id, numbered(1_000, 100)).unwrap();
    acked.push(1_000);
    drop(server);
    assert_eq!(ids(&Server::start(&world.power_loss(), &engine_options(1)), id), acked);
}
