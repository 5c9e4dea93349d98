//! A topic's `durability` is changed while it is appended to; then the power goes.
//!
//! Once, a log that was changed from `os` to `disk` under load went on in the unsynced journal for as long as batches
//! kept coming, and acknowledged them as if they were on stable storage.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thalweg_engine::id::{PartitionId, TopicPartition};
use thalweg_engine::io::sim::{CrashPoint, Prng, RunError, SimOptions, SimWorld};
use thalweg_engine::log::{Durability, Log, LogOptions};
use thalweg_engine::reactor::Io;
use thalweg_protocol::batch::BatchView;
use uuid::Uuid;

use crate::batch::{self, BatchId, id_of};
use crate::harness::{Server, engine_options, small_options};
use crate::seeds;

const ID: PartitionId = PartitionId { topic: Uuid::from_u128(6), index: 0 };

/// What the clients know.
#[derive(Default)]
struct Known {
    next_id: Cell<BatchId>,
    /// Acknowledged while `disk` was in force for all the time between the request and its answer.
    promised: RefCell<BTreeMap<i64, BatchId>>,
    /// `disk` is in force.
    durable: Cell<bool>,
    acked: Cell<usize>,
}

fn options(durability: Durability) -> Arc<LogOptions> {
    Arc::new(LogOptions { durability, ..small_options() })
}

async fn produce(io: Io, log: Rc<Log>, known: Rc<Known>, mut prng: Prng) {
    loop {
        let id = known.next_id.get();
        known.next_id.set(id + 1);
        let bytes = batch::build(id, 2, batch::value_bytes(&mut prng).min(5_000), 1_000, None);
        let Ok(appended) = log.append(bytes).await else { return };
        known.acked.set(known.acked.get() + 1);
        if known.durable.get() {
            known.promised.borrow_mut().insert(appended.base_offset, id);
        }
        io.sleep(Duration::from_micros(prng.below(300))).await;
    }
}

/// Changes the durability to and fro.
async fn administer(io: Io, server: Rc<thalweg_engine::storage::Storage>, known: Rc<Known>, mut prng: Prng) {
    loop {
        io.sleep(Duration::from_micros(prng.between(2_000, 40_000))).await;
        server.set_options(ID, options(Durability::Disk)).await.unwrap();
        known.durable.set(true);
        io.sleep(Duration::from_micros(prng.between(2_000, 40_000))).await;
        known.durable.set(false);
        let weaker = prng.pick(&[Durability::Os, Durability::Memory]);
        server.set_options(ID, options(weaker)).await.unwrap();
    }
}

/// Returns how many promises were put to the test.
fn change_and_crash(seed: u64) -> usize {
    let world = SimWorld::new(SimOptions::varied(seed));
    let mut prng = Prng::new(seed);
    let server = Server::start(&world, &engine_options(1));
    let storage = Rc::clone(server.storage_of(ID));
    let name = TopicPartition { topic: "dial".into(), partition: 0 };
    let create = async move { storage.create(&name, ID, options(Durability::Os)).await };
    let log = server.run(ID, create).unwrap().unwrap();
    let known = Rc::new(Known::default());
    let io = server.runner.io(0).clone();
    for _ in 0..prng.between(1, 4) {
        io.spawn("produce", produce(io.clone(), Rc::clone(&log), Rc::clone(&known), prng.fork())).detach();
    }
    let storage = Rc::clone(server.storage_of(ID));
    io.spawn("administer", administer(io.clone(), storage, Rc::clone(&known), prng.fork())).detach();
    world.crash_at(CrashPoint::OpIssued(world.ops_issued() + prng.between(50, 3_000)));
    let ended = server.runner.run_for(Duration::from_millis(prng.between(20, 400)));
    assert!(matches!(ended, Ok(()) | Err(RunError::Crashed { .. })), "{ended:?}");
    drop((log, io, server));

    let server = Server::start(&world.power_loss(), &engine_options(1));
    assert!(server.report.refused.is_empty(), "{:?}", server.report.refused);
    let found: BTreeMap<i64, BatchId> =
        server.read_all(ID).unwrap().unwrap().iter().map(|batch| identify(batch)).collect();
    for (offset, id) in &*known.promised.borrow() {
        assert_eq!(found.get(offset), Some(id), "the batch at {offset} was promised to stable storage");
    }
    let promised = known.promised.borrow().len();
    assert!(promised <= known.acked.get());
    promised
}

fn identify(batch: &[u8]) -> (i64, BatchId) {
    let view = BatchView::parse(batch).unwrap();
    (view.base_offset(), id_of(&view))
}

#[test]
fn what_is_acknowledged_after_a_change_to_disk_survives_power_loss() {
    let tested = AtomicUsize::new(0);
    seeds::run("durability::what_is_acknowledged_after_a_change_to_disk_survives_power_loss", 200, |seed| {
        tested.fetch_add(change_and_crash(seed), Ordering::Relaxed);
    });
    assert!(tested.into_inner() > 0, "no promise was put to the test");
}
