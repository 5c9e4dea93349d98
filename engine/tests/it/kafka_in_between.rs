//! Kafka serves a directory between two of our starts: what it rolled, compacted or deleted is its good right.

use thalweg_engine::format::offset_checkpoint::{PartitionOffset, RECOVERY_POINT_FILE_NAME, encode};
use thalweg_engine::id::PartitionId;
use thalweg_engine::io::sim::{SimOptions, SimRunner, SimWorld};
use thalweg_protocol::batch::{BatchView, stamp};

use crate::faults::{append, create, ids, numbered};
use crate::harness::{LIMIT, Server, engine_options};

/// Batches 1 to 8 with offsets 0 to 7, three in a segment, after a clean stop.
fn stopped() -> (SimWorld, PartitionId) {
    let world = SimWorld::new(SimOptions::new(21));
    let server = Server::start(&world, &engine_options(1));
    let id = create(&server, 1);
    for n in 1..=8 {
        append(&server, id, numbered(n, 20_000)).unwrap();
    }
    server.shutdown().unwrap();
    drop(server);
    (world.process_kill(), id)
}

fn segment(base_offset: i64) -> String {
    format!("/data/topic1-0/{base_offset:020}.log")
}

/// A segment with these batches, numbered from `offset` on.
fn put_segment(world: &SimWorld, numbers: &[u64], offset: i64) {
    let mut contents = Vec::new();
    for (offset, number) in (offset..).zip(numbers) {
        let mut batch = numbered(*number, 20_000).to_vec();
        // Kafka raises the epoch, but does not change that of what it compacts.
        stamp(&mut batch, offset, i32::from(offset >= 8));
        contents.extend(batch);
    }
    world.put_file(segment(offset), &contents).unwrap();
}

fn remove_segment(world: &SimWorld, base_offset: i64) {
    let runner = SimRunner::new(world, 1);
    let io = runner.io(0).clone();
    let path = segment(base_offset);
    runner.run(0, LIMIT, async move { io.unlink(path).await }).unwrap().unwrap();
    runner.io(0).shutdown();
}

/// What Kafka says at its stop.
fn put_recovery_point(world: &SimWorld, offset: i64) {
    let all = [PartitionOffset { topic: "topic1".into(), partition: 0, offset }];
    world.put_file(format!("/data/{RECOVERY_POINT_FILE_NAME}"), &encode(&all)).unwrap();
}

fn check(world: &SimWorld, id: PartitionId, mut expected: Vec<u64>) {
    let server = Server::start(world, &engine_options(1));
    assert!(server.report.refused.is_empty(), "{:?}", server.report.refused);
    assert_eq!(ids(&server, id), expected);
    assert_eq!(append(&server, id, numbered(11, 100)).unwrap().base_offset, 10);
    expected.push(11);
    drop(server);
    // Its checkpoints are ours again.
    let server = Server::start(&world.power_loss(), &engine_options(1));
    assert_eq!(ids(&server, id), expected);
    let batches = server.read_all(id).unwrap().unwrap();
    assert_eq!(BatchView::parse(batches.last().unwrap()).unwrap().base_offset(), 10);
}

#[test]
fn what_it_appended_is_there() {
    let (world, id) = stopped();
    put_segment(&world, &[9, 10], 8);
    put_recovery_point(&world, 10);
    check(&world, id, (1..=10).collect());
}

#[test]
fn our_last_segment_may_be_shorter_or_gone() {
    let (world, id) = stopped();
    // Offset 7 was compacted away.
    put_segment(&world, &[7], 6);
    put_segment(&world, &[9, 10], 8);
    put_recovery_point(&world, 10);
    check(&world, id, vec![1, 2, 3, 4, 5, 6, 7, 9, 10]);

    let (world, id) = stopped();
    (0..=6).step_by(3).for_each(|base| remove_segment(&world, base));
    put_segment(&world, &[9, 10], 8);
    put_recovery_point(&world, 10);
    check(&world, id, vec![9, 10]);
}

#[test]
fn a_segment_that_just_went_missing_is_damage() {
    let (world, id) = stopped();
    remove_segment(&world, 6);
    let server = Server::start(&world, &engine_options(1));
    assert_eq!(server.report.refused.len(), 1);
    assert!(server.log(id).unwrap().corruption().is_some());
}
