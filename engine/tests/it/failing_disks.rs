//! Directories and files that fail one by one: only what lies there suffers, and it is all there once they work again.

use std::time::Duration;

use nix::errno::Errno;
use thalweg_engine::error::{AppendError, ReadError};
use thalweg_engine::id::PartitionId;
use thalweg_engine::io::sim::{Fault, OpKind, SimOptions, SimWorld};
use thalweg_engine::log::ReadRequest;
use thalweg_engine::runtime::EngineOptions;

use crate::faults::{append, create, ids, numbered, partition};
use crate::harness::{NoStart, Server, engine_options};
use crate::seeds;

const CHANGES: [OpKind; 9] = [
    OpKind::Open,
    OpKind::Write,
    OpKind::Sync,
    OpKind::Allocate,
    OpKind::Truncate,
    OpKind::Rename,
    OpKind::Unlink,
    OpKind::MakeDir,
    OpKind::SyncDir,
];

fn two_dirs(shards: u16) -> EngineOptions {
    EngineOptions { dirs: vec!["/one".into(), "/two".into()], ..engine_options(shards) }
}

/// The partitions that lie in this directory.
fn living_in(server: &Server, dir: &str, partitions: &[PartitionId]) -> Vec<PartitionId> {
    let is_there = |id: &&PartitionId| server.log(**id).is_some_and(|log| log.directory().starts_with(dir));
    partitions.iter().filter(is_there).copied().collect()
}

/// Four partitions over two directories, each with the batches 1 to 5.
fn filled(world: &SimWorld, options: &EngineOptions) -> (Server, Vec<PartitionId>, Vec<PartitionId>) {
    let server = Server::start(world, options);
    let all: Vec<_> = (1..=4).map(|topic| create(&server, topic)).collect();
    for id in &all {
        (1..=5).for_each(|n| {
            append(&server, *id, numbered(n, 20_000)).unwrap();
        });
    }
    let (one, two) = (living_in(&server, "/one", &all), living_in(&server, "/two", &all));
    assert!(!one.is_empty() && !two.is_empty(), "{one:?} {two:?}");
    (server, one, two)
}

#[test]
fn a_directory_that_fails_while_it_serves_takes_only_its_partitions() {
    let world = SimWorld::new(SimOptions::new(11));
    let (server, one, two) = filled(&world, &two_dirs(2));
    world.inject(Fault::error(Errno::EIO).path("/two/"));
    for id in &two {
        assert!(matches!(append(&server, *id, numbered(6, 100)), Err(AppendError::Io(_))));
        assert!(matches!(append(&server, *id, numbered(6, 100)), Err(AppendError::Fenced { .. })));
    }
    // Long enough for checkpoints, which fail there and must not fail here.
    server.runner.run_for(Duration::from_secs(20)).unwrap();
    for id in &one {
        append(&server, *id, numbered(6, 100)).unwrap();
        assert_eq!(ids(&server, *id), [1, 2, 3, 4, 5, 6]);
    }
    // On the shard that has met the failure, and on the other one, where the directory might still seem to work.
    let fresh: Vec<_> = [0, 1]
        .map(|shard| {
            let lives_there = |topic: &u128| server.home(partition(*topic)) == shard;
            create(&server, (70..).find(lives_there).unwrap())
        })
        .into();
    for id in &fresh {
        assert!(server.log(*id).unwrap().directory().starts_with("/one"), "new partitions go where it works");
        append(&server, *id, numbered(1, 100)).unwrap();
    }
    drop(server);
    let server = Server::start(&world.power_loss(), &two_dirs(2));
    for id in &one {
        assert_eq!(ids(&server, *id), [1, 2, 3, 4, 5, 6]);
    }
    for id in &two {
        assert_eq!(ids(&server, *id)[..5], [1, 2, 3, 4, 5]);
        append(&server, *id, numbered(9, 100)).unwrap();
    }
    for id in &fresh {
        assert_eq!(ids(&server, *id), [1]);
    }
}

/// At whichever operation a directory fails in a start after a crash, the start goes on without it. The next start, with
/// the directory mended, has everything.
#[test]
fn a_directory_that_fails_anywhere_in_a_start_is_left_out_and_comes_back_whole() {
    let (mut nth, mut left_out) = (0, 0);
    loop {
        nth += 1;
        let world = SimWorld::new(SimOptions::new(12));
        let (server, one, two) = filled(&world, &two_dirs(2));
        drop(server);
        let world = world.process_kill();
        // From that operation on it does not come back: a disk that fell out.
        let failing = Fault::error(Errno::EIO).path("/two").from(nth);
        let fault = world.inject(failing);
        let server = Server::start(&world, &two_dirs(2));
        let failed = !server.report.failed_dirs.is_empty();
        for id in &one {
            assert_eq!(ids(&server, *id), [1, 2, 3, 4, 5], "operation {nth}");
            append(&server, *id, numbered(6, 100)).unwrap();
        }
        for id in &two {
            assert!(!failed || server.log(*id).is_none(), "operation {nth}: served from a failed directory");
        }
        drop(server);
        world.lift(fault);
        let world = world.power_loss();
        let server = Server::start(&world, &two_dirs(2));
        assert!(server.report.failed_dirs.is_empty());
        for id in &one {
            assert_eq!(ids(&server, *id), [1, 2, 3, 4, 5, 6], "operation {nth}");
        }
        for id in &two {
            assert_eq!(ids(&server, *id), [1, 2, 3, 4, 5], "operation {nth}");
            append(&server, *id, numbered(9, 100)).unwrap();
        }
        if !failed {
            break;
        }
        left_out += 1;
    }
    assert!(left_out > 20, "the start has more operations than {left_out}");
}

#[test]
fn without_any_working_directory_the_start_is_refused_by_name() {
    let world = SimWorld::new(SimOptions::new(13));
    drop(filled(&world, &two_dirs(1)));
    world.inject(Fault::error(Errno::EIO));
    match Server::try_start(&world, &two_dirs(1)) {
        Err(NoStart::Refused(error)) => {
            let text = error.to_string();
            assert!(text.contains("/one") && text.contains("/two"), "{text}");
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it started"),
    }
}

#[test]
fn a_segment_that_cannot_be_written_is_tried_again() {
    let world = SimWorld::new(SimOptions::new(14));
    let server = Server::start(&world, &engine_options(1));
    let (id, other) = (create(&server, 1), create(&server, 2));
    let fault =
        world.inject(Fault::error(Errno::EIO).on(OpKind::Write).on(OpKind::Allocate).path("topic1-0/"));
    let mut acked = Vec::new();
    for n in 1..=20 {
        append(&server, id, numbered(n, 40_000)).unwrap();
        append(&server, other, numbered(n, 40_000)).unwrap();
        acked.push(n);
    }
    server.runner.run_for(Duration::from_secs(10)).unwrap();
    assert_eq!((ids(&server, id), ids(&server, other)), (acked.clone(), acked.clone()));
    world.lift(fault);
    server.runner.run_for(Duration::from_secs(10)).unwrap();
    append(&server, id, numbered(21, 100)).unwrap();
    server.shutdown().unwrap();
    drop(server);
    let server = Server::start(&world.power_loss(), &engine_options(1));
    acked.push(21);
    assert!(server.report.clean);
    assert_eq!(ids(&server, id), acked);
}

#[test]
fn a_failed_sync_of_a_segment_stops_acknowledgements_and_loses_nothing() {
    let world = SimWorld::new(SimOptions::new(15));
    let server = Server::start(&world, &engine_options(1));
    let id = create(&server, 1);
    (1..=10).for_each(|n| {
        append(&server, id, numbered(n, 30_000)).unwrap();
    });
    world.inject(Fault::error(Errno::EIO).on(OpKind::Sync).path(".log").nth(1));
    server.runner.run_for(Duration::from_secs(10)).unwrap();
    let refused = append(&server, id, numbered(11, 100)).unwrap_err();
    assert!(matches!(refused, AppendError::Fenced { .. }), "{refused}");
    assert!(refused.to_string().contains("/data"), "{refused}");
    assert_eq!(ids(&server, id), (1..=10).collect::<Vec<_>>());
    drop(server);
    let server = Server::start(&world.power_loss(), &engine_options(1));
    assert_eq!(ids(&server, id), (1..=10).collect::<Vec<_>>());
    append(&server, id, numbered(11, 100)).unwrap();
}

#[test]
fn a_cold_read_that_fails_names_its_file_and_others_go_on() {
    let world = SimWorld::new(SimOptions::new(16));
    let server = Server::start(&world, &engine_options(1));
    let (id, other) = (create(&server, 1), create(&server, 2));
    for n in 1..=10 {
        append(&server, id, numbered(n, 30_000)).unwrap();
        append(&server, other, numbered(n, 30_000)).unwrap();
    }
    server.shutdown().unwrap();
    drop(server);
    let world = world.power_loss();
    let server = Server::start(&world, &engine_options(1));
    let fault = world.inject(Fault::error(Errno::EIO).on(OpKind::Read).path("topic1-0/"));
    let log = server.log(id).unwrap();
    let request = ReadRequest { offset: 0, max_bytes: 1 << 20, at_least_one: true };
    match server.run(id, async move { log.read(request).await }).unwrap() {
        Err(ReadError::Io(failure)) => {
            let text = failure.to_string();
            assert!(text.contains("topic1-0/00000000000000000000"), "{text}");
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was read"),
    }
    assert_eq!(ids(&server, other), (1..=10).collect::<Vec<_>>());
    append(&server, other, numbered(11, 100)).unwrap();
    world.lift(fault);
    append(&server, id, numbered(11, 100)).unwrap();
    assert_eq!(ids(&server, id), (1..=11).collect::<Vec<_>>());
}

#[test]
fn too_many_open_files_refuse_clearly_and_pass() {
    let world = SimWorld::new(SimOptions::new(17));
    let server = Server::start(&world, &engine_options(1));
    let id = create(&server, 1);
    (1..=5).for_each(|n| {
        append(&server, id, numbered(n, 30_000)).unwrap();
    });
    world.set_open_files_max(0);
    let storage = server.storage_of(id).clone();
    let name = thalweg_engine::id::TopicPartition { topic: "more".into(), partition: 0 };
    let more = PartitionId { topic: uuid::Uuid::from_u128(99), index: 0 };
    let options = crate::harness::small_options().into();
    let made = server.run(more, async move { storage.create(&name, more, options).await.map(drop) }).unwrap();
    let refused = made.unwrap_err().to_string();
    assert!(refused.contains("more-0") && refused.contains("Too many open files"), "{refused}");
    // The journal is open, so what exists goes on while segments wait for a descriptor.
    for n in 6..=20 {
        append(&server, id, numbered(n, 30_000)).unwrap();
    }
    server.runner.run_for(Duration::from_secs(3)).unwrap();
    world.set_open_files_max(10_000);
    server.runner.run_for(Duration::from_secs(10)).unwrap();
    assert_eq!(ids(&server, id), (1..=20).collect::<Vec<_>>());
    server.shutdown().unwrap();
    drop(server);
    let server = Server::start(&world.power_loss(), &engine_options(1));
    assert!(server.report.clean);
    assert_eq!(ids(&server, id), (1..=20).collect::<Vec<_>>());
}

/// The disk fills up under data that is acknowledged and only in the journal yet.
#[test]
fn a_disk_that_fills_up_under_acknowledged_data_keeps_it() {
    let world = SimWorld::new(SimOptions::new(18));
    let server = Server::start(&world, &engine_options(1));
    let id = create(&server, 1);
    let mut acked = Vec::new();
    for n in 1..=8 {
        append(&server, id, numbered(n, 100_000)).unwrap();
        acked.push(n);
        if n == 4 {
            // Somebody else takes all that is left.
            world.set_disk_bytes(1 << 20);
        }
    }
    server.runner.run_for(Duration::from_secs(10)).unwrap();
    let refused = append(&server, id, numbered(100, 100)).unwrap_err();
    assert!(matches!(refused, AppendError::NoSpace { .. }), "{refused}");
    assert!(refused.to_string().contains("/data"), "{refused}");
    assert_eq!(ids(&server, id), acked, "reads go on");
    drop(server);
    // A start needs room for what it replays, and says so; nothing is lost by trying.
    let world = world.process_kill();
    match Server::try_start(&world, &engine_options(1)) {
        Err(NoStart::Refused(error)) => assert!(error.to_string().contains("No space left"), "{error}"),
        Err(error) => panic!("{error:?}"),
        Ok(server) => assert_eq!(ids(&server, id), acked),
    }
    world.set_disk_bytes(1 << 30);
    let world = world.power_loss();
    let server = Server::start(&world, &engine_options(1));
    assert_eq!(ids(&server, id), acked);
    append(&server, id, numbered(101, 100)).unwrap();
    server.shutdown().unwrap();
    drop(server);
    acked.push(101);
    assert_eq!(ids(&Server::start(&world.power_loss(), &engine_options(1)), id), acked);
}

/// One operation of a life fails, whichever it is: what was acknowledged is there after the next start.
#[test]
fn an_error_of_any_single_operation_loses_nothing_acknowledged() {
    const EACH: u64 = 60;
    let name = "failing_disks::an_error_of_any_single_operation_loses_nothing_acknowledged";
    seeds::run_exactly(name, EACH * CHANGES.len() as u64, |case| {
        let (kind, nth) = (CHANGES[(case / EACH) as usize], case % EACH + 1);
        let errno = [Errno::EIO, Errno::ENOSPC, Errno::EMFILE][(case % 3) as usize];
        live_through(Fault::error(errno).on(kind).nth(nth));
    });
}

/// As `ids`, in a second attempt if the one error hits the first.
fn ids_at_last(server: &Server, id: PartitionId) -> Vec<u64> {
    // Its outcome does not matter: it may meet the error, the second may not.
    let _ = server.read_all(id).unwrap();
    ids(server, id)
}

fn live_through(fault: Fault) {
    let options = engine_options(1);
    let world = SimWorld::new(SimOptions::new(19));
    drop(Server::start(&world, &options));
    let world = world.process_kill();
    world.inject(fault);
    let mut acked = Vec::new();
    let mut next = 0;
    let (id, name) =
        (partition(1), thalweg_engine::id::TopicPartition { topic: "topic1".into(), partition: 0 });
    for _ in 0..2 {
        // A start that is refused is tried again, as an operator does.
        let started = Server::try_start(&world, &options).or_else(|_| Server::try_start(&world, &options));
        let server = started.unwrap_or_else(|error| panic!("one error refuses two starts: {error:?}"));
        if let Some(log) = server.log(id) {
            assert!(log.corruption().is_none());
        }
        for _ in 0..12 {
            let (storage, name) = (server.storage_of(id).clone(), name.clone());
            let created = server.run(id, async move {
                storage.create(&name, id, crate::harness::small_options().into()).await.map(drop)
            });
            if created.unwrap().is_err() {
                continue;
            }
            next += 1;
            if append(&server, id, numbered(next, 30_000)).is_ok() {
                acked.push(next);
            }
        }
        server.runner.run_for(Duration::from_secs(8)).unwrap();
        if server.log(id).is_some() {
            let served = ids_at_last(&server, id);
            assert!(acked.iter().all(|n| served.contains(n)), "{served:?} lacks some of {acked:?}");
        }
    }
    world.lift_all();
    let server = Server::start(&world.power_loss(), &options);
    let found = if server.log(id).is_some() { ids_at_last(&server, id) } else { Vec::new() };
    assert!(acked.iter().all(|n| found.contains(n)), "{found:?} lacks some of {acked:?}");
    assert!(found.is_sorted() && found.windows(2).all(|pair| pair[0] != pair[1]), "{found:?}");
}
