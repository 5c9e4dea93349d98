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

/// Partition 0 of a topic; none of them is the metadata log, whose topic id is 1.
pub fn partition(topic: u128) -> PartitionId {
    PartitionId { topic: Uuid::from_u128(1_000 + topic), index: 0 }
}

pub fn create(server: &Server, topic: u128) -> PartitionId {
    let id = partition(topic);
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

/// Its commits stay in the journal. Everybody else's become segments, are checkpointed, and can be deleted, which takes a
/// checkpoint.
#[test]
fn a_log_that_cannot_be_written_holds_up_no_other() {
    let world = SimWorld::new(SimOptions::new(3));
    let server = Server::start(&world, &engine_options(1));
    let (failing, sound) = (create(&server, 1), create(&server, 2));
    let fault = world.inject(Fault::error(Errno::EIO).on(OpKind::Write).path("topic1-0/"));
    for n in 1..=3 {
        append(&server, failing, numbered(n, 100_000)).unwrap();
    }
    for n in 1..=50 {
        append(&server, sound, numbered(n, 100_000)).unwrap();
    }
    let log = server.log(sound).unwrap();
    let directory = log.directory().to_path_buf();
    server.run(sound, async move { log.delete_records(40).await }).unwrap().unwrap();
    server.runner.run_for(std::time::Duration::from_secs(20)).unwrap();
    let names = server.runner.io(0).driver().list_dir(&directory).unwrap();
    let segments = names.iter().filter(|entry| entry.name.ends_with(".log")).count();
    assert!((1..=11).contains(&segments), "{segments} segments are left of 50");
    assert_eq!(ids(&server, failing), [1, 2, 3]);
    world.lift(fault);
    server.shutdown().unwrap();
    drop(server);
    let server = Server::start(&world.power_loss(), &engine_options(1));
    assert_eq!(ids(&server, failing), [1, 2, 3]);
    assert_eq!(ids(&server, sound), (41..=50).collect::<Vec<u64>>());
}

/// Nothing can be written to segments until the journal is full: a client hears of it while its commit stays queued, a
/// stop ends, and nothing is there twice or not at all.
#[test]
fn clients_are_told_of_a_commit_that_finds_no_place() {
    for ends in [false, true] {
        let world = SimWorld::new(SimOptions::new(4));
        let server = Server::start(&world, &engine_options(1));
        let id = create(&server, 1);
        let fault = world.inject(Fault::error(Errno::EIO).on(OpKind::Write).path("topic1-0/"));
        let mut placed = Vec::new();
        let told = loop {
            let n = placed.len() as u64 + 1;
            assert!(n < 1_000, "the journal is never full");
            let begun = world.now();
            placed.push(n);
            if let Err(error) = append(&server, id, numbered(n, 100_000)) {
                assert!(matches!(&error, AppendError::Io(failure) if failure.is_no_space()), "{error:?}");
                break world.now().since(begun);
            }
        };
        assert!(told < std::time::Duration::from_secs(25), "told after {told:?}");
        let again = append(&server, id, numbered(2_000, 100)).unwrap_err();
        assert!(matches!(again, AppendError::Io(_)), "refused at once: {again:?}");
        if ends {
            let storage = server.storage_of(id).clone();
            assert!(server.run(id, async move { storage.shutdown().await }).unwrap().is_err());
            drop(server);
            let server = Server::start(&world.power_loss(), &engine_options(1));
            let acked = placed.len() - 1;
            assert_eq!(ids(&server, id)[..acked], placed[..acked]);
        } else {
            world.lift(fault);
            server.runner.run_for(std::time::Duration::from_secs(6)).unwrap();
            assert_eq!(ids(&server, id), placed);
            append(&server, id, numbered(2_000, 100)).unwrap();
        }
    }
}

/// Removing what fills a disk makes room, also when nothing is left to write that could find out.
#[test]
fn a_full_disk_has_room_once_its_topic_is_removed() {
    let world = SimWorld::new(SimOptions { disk_bytes: 12 << 20, ..SimOptions::new(5) });
    let server = Server::start(&world, &engine_options(1));
    let (full, other) = (create(&server, 1), create(&server, 2));
    let refused = (1..400).find_map(|n| append(&server, full, numbered(n, 100_000)).err());
    assert!(matches!(refused, Some(AppendError::NoSpace { .. })), "{refused:?}");
    server.runner.run_for(std::time::Duration::from_secs(10)).unwrap();
    let storage = server.storage_of(full).clone();
    server.run(full, async move { storage.remove(full).await }).unwrap().unwrap();
    server.runner.run_for(std::time::Duration::from_secs(10)).unwrap();
    append(&server, other, numbered(1, 100)).unwrap();
}
