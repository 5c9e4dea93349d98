//! A compacted log against a map: whatever is written, cleaned, restarted or cut off, the last record of every key is
//! there, no record that was never written is, and offsets never change.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use thalweg_engine::clean::CleanerOptions;
use thalweg_engine::error::ReadError;
use thalweg_engine::id::{PartitionId, TopicPartition};
use thalweg_engine::io::sim::{CrashPoint, Prng, RunError, SimOptions, SimWorld};
use thalweg_engine::log::{LogOptions, ReadRequest};
use thalweg_engine::runtime::EngineOptions;
use thalweg_protocol::batch::{BatchBuilder, BatchView, Records};
use uuid::Uuid;

use crate::harness::{NoStart, Server, engine_options, small_options, split};
use crate::seeds;

const ID: PartitionId = PartitionId { topic: Uuid::from_u128(9), index: 0 };

/// Long after anything that a test's clock shows.
const NEVER_MS: u64 = 1 << 50;

type Key = Vec<u8>;
type Value = Option<Vec<u8>>;

/// A record as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    key: Key,
    value: Value,
}

/// What is known of the log.
struct Machine {
    world: SimWorld,
    server: Server,
    prng: Prng,
    options: LogOptions,
    engine: EngineOptions,
    /// Every record that was acknowledged, by offset.
    sent: BTreeMap<i64, Sent>,
    end: i64,
    next_value: u64,
    sequences: HashMap<i64, i32>,
    /// Crashes so far: after each the producers are others, as the end of a sequence may be lost.
    crashes: i64,
}

fn compacted() -> LogOptions {
    LogOptions {
        compact: true,
        retention_ms: None,
        min_cleanable_dirty_ratio: 0.1,
        delete_retention_ms: NEVER_MS,
        segment_bytes: 8 << 10,
        index_interval_bytes: 512,
        file_delete_delay_ms: 20,
        ..small_options()
    }
}

impl Machine {
    fn new(sim: SimOptions, options: LogOptions, engine: EngineOptions) -> Machine {
        let prng = Prng::new(sim.seed ^ 0xC1EA);
        let world = SimWorld::new(sim);
        let server = Server::start(&world, &engine);
        let mut machine = Machine {
            world,
            server,
            prng,
            options,
            engine,
            sent: BTreeMap::new(),
            end: 0,
            next_value: 0,
            sequences: HashMap::new(),
            crashes: 0,
        };
        machine.create();
        machine
    }

    fn create(&mut self) {
        let storage = Rc::clone(self.server.storage_of(ID));
        let (name, options) =
            (TopicPartition { topic: "compacted".into(), partition: 0 }, Arc::new(self.options.clone()));
        let create = async move {
            storage.create(&name, ID, Arc::clone(&options)).await.unwrap();
            storage.set_options(ID, options).await.unwrap();
        };
        self.server.run(ID, create).unwrap();
    }

    /// A batch of some records with few keys, by one of a few producers or none.
    fn batch(&mut self) -> (Vec<u8>, Vec<Sent>) {
        let producer = self.prng.pick(&[-1, -1, 4 + 10 * self.crashes, 5 + 10 * self.crashes]);
        let mut builder = BatchBuilder::new();
        if producer >= 0 {
            let sequence = self.sequences.get(&producer).copied().unwrap_or(0);
            builder = builder.producer(producer, 0, sequence);
        }
        let mut records = Vec::new();
        for _ in 0..self.prng.between(1, 6) {
            let key = format!("key{}", self.prng.below(12)).into_bytes();
            self.next_value += 1;
            let filler = vec![b'x'; usize::try_from(self.prng.below(400)).unwrap()];
            let value = [&self.next_value.to_le_bytes()[..], &filler].concat();
            let value = self.prng.chance(0.85).then_some(value);
            builder.push(self.next_value as i64, Some(&key), value.as_deref(), &[]);
            records.push(Sent { key, value });
        }
        if producer >= 0 {
            *self.sequences.entry(producer).or_default() += records.len() as i32;
        }
        (builder.build(), records)
    }

    fn append(&mut self) -> Result<(), RunError> {
        let (batch, records) = self.batch();
        let log = self.server.log(ID).unwrap();
        let appended = self.server.run(ID, async move { log.append(batch.into()).await })?.unwrap();
        assert_eq!(appended.base_offset, self.end);
        for (offset, record) in (appended.base_offset..).zip(records) {
            self.sent.insert(offset, record);
        }
        self.end = appended.last_offset + 1;
        Ok(())
    }

    /// Everything in the log by offset; checks offsets, and that it was sent.
    fn read(&self) -> Result<BTreeMap<i64, Sent>, RunError> {
        let batches = self.server.read_all(ID)?.unwrap();
        let (mut found, mut end) = (BTreeMap::new(), 0);
        for batch in &batches {
            let view = BatchView::parse(batch).unwrap();
            assert!(view.base_offset() >= end, "{} after {end}", view.base_offset());
            end = view.last_offset() + 1;
            for record in Records::new(view.body(), view.count()) {
                let record = record.unwrap();
                let offset = view.base_offset() + i64::from(record.offset_delta);
                let key = record.key.unwrap().to_vec();
                found.insert(offset, Sent { key, value: record.value.map(<[u8]>::to_vec) });
            }
        }
        Ok(found)
    }

    /// The last record of every key is there; with `tombstones` those without a value, too.
    fn check(&self, tombstones: bool) -> Result<(), RunError> {
        let found = self.read()?;
        for (offset, record) in &found {
            if *offset < self.end {
                assert_eq!(self.sent.get(offset), Some(record), "at {offset}");
            }
        }
        let mut known = self.sent.clone();
        known.extend(found.range(self.end..).map(|(offset, record)| (*offset, record.clone())));
        let last: HashMap<&Key, i64> = known.iter().map(|(offset, record)| (&record.key, *offset)).collect();
        for (key, offset) in last {
            let is_tombstone = known[&offset].value.is_none();
            if !is_tombstone || tombstones {
                assert!(found.contains_key(&offset), "the last of {key:?}, at {offset}, is gone");
            } else if !found.contains_key(&offset) {
                let older = found.iter().find(|(_, record)| record.key == *key);
                assert!(older.is_none(), "{key:?} came back at {older:?}, its tombstone was at {offset}");
            }
        }
        Ok(())
    }

    fn segments(&self) -> usize {
        let dir = self.server.log(ID).unwrap().directory().to_path_buf();
        let io = self.server.runner.io(0);
        let names = io.driver().list_dir(&dir).unwrap();
        names.iter().filter(|entry| entry.name.ends_with(".log")).count()
    }

    fn rest(&self, time: Duration) -> Result<(), RunError> {
        self.server.runner.run_for(time)
    }

    fn restart(&mut self, world: SimWorld) {
        self.world = world;
        self.server = Server::start(&self.world, &self.engine);
        assert!(self.server.report.refused.is_empty(), "{:?}", self.server.report.refused);
        let options = Arc::new(self.options.clone());
        let storage = Rc::clone(self.server.storage_of(ID));
        self.server.run(ID, async move { storage.set_options(ID, options).await }).unwrap().unwrap();
    }
}

/// Offsets inside a gap, too, return what comes next.
fn read_somewhere(machine: &mut Machine) {
    let offset = machine.prng.below(machine.end.unsigned_abs() + 1) as i64;
    let log = machine.server.log(ID).unwrap();
    let request = ReadRequest { offset, max_bytes: 2_000, at_least_one: true };
    let slice = machine.server.run(ID, async move { log.read(request).await }).unwrap().unwrap();
    for batch in split(&slice.bytes.concat()) {
        assert!(BatchView::parse(&batch).unwrap().last_offset() >= offset);
    }
    assert!(slice.next_offset > offset || offset == machine.end, "a read at {offset} does not move on");
}

/// With the cold cache, the indexes and lookups by time in use all along.
fn live(seed: u64) -> usize {
    let mut machine = Machine::new(SimOptions::varied(seed), compacted(), engine_options(1));
    if machine.prng.chance(0.3) {
        // A map that the keys do not fit: several passes.
        machine.engine.cleaner.dedupe_buffer_bytes = 24 * 8;
        let world = machine.server.runner.world().process_kill();
        machine.restart(world);
    }
    for _ in 0..machine.prng.between(100, 250) {
        match machine.prng.below(100) {
            0..70 => machine.append().unwrap(),
            70..85 => read_somewhere(&mut machine),
            85..90 => {
                let time = machine.prng.below(machine.next_value + 10) as i64;
                let log = machine.server.log(ID).unwrap();
                let found = machine.server.run(ID, async move { log.offset_for_timestamp(time).await });
                let found: Result<_, ReadError> = found.unwrap();
                assert!(found.unwrap().is_none_or(|found| found.timestamp_ms >= time));
            }
            90..97 => {
                let time = Duration::from_millis(machine.prng.between(1, 7_000));
                machine.rest(time).unwrap();
            }
            _ => {
                machine.check(true).unwrap();
                machine.server.shutdown().unwrap();
                let world = machine.server.runner.world().process_kill();
                machine.restart(world);
            }
        }
    }
    machine.rest(Duration::from_secs(12)).unwrap();
    machine.check(true).unwrap();
    machine.sent.len() - machine.read().unwrap().len()
}

#[test]
fn a_compacted_log_holds_what_a_map_does() {
    let dropped = AtomicUsize::new(0);
    seeds::run("compaction::a_compacted_log_holds_what_a_map_does", 120, |seed| {
        dropped.fetch_add(live(seed), Ordering::Relaxed);
    });
    assert!(dropped.into_inner() > 0, "nothing was ever compacted");
}

/// Appends while the cleaner works, until the machine goes down.
fn work(machine: &mut Machine, point: Option<CrashPoint>) -> Result<(), RunError> {
    for round in 0..4 {
        for _ in 0..30 {
            machine.append()?;
        }
        if round == 0
            && let Some(point) = point
        {
            machine.world.crash_at(point);
        }
        machine.rest(Duration::from_millis(5_500))?;
    }
    Ok(())
}

fn crash_machine(seed: u64) -> Machine {
    Machine::new(SimOptions::new(seed), compacted(), engine_options(1))
}

/// Every boundary of a sync from the first cleaning on.
#[test]
fn power_loss_at_every_sync_boundary_of_a_compaction_loses_nothing() {
    let mut machine = crash_machine(3);
    work(&mut machine, None).unwrap();
    machine.check(true).unwrap();
    assert!(machine.sent.len() > 2 * machine.read().unwrap().len(), "too little was compacted");
    let boundaries = machine.world.syncs_done();
    let name = "compaction::power_loss_at_every_sync_boundary_of_a_compaction_loses_nothing";
    seeds::run_exactly(name, 2 * boundaries, |boundary| {
        let n = boundary / 2 + 1;
        let point = if boundary % 2 == 0 { CrashPoint::SyncIssued(n) } else { CrashPoint::SyncDone(n) };
        let mut machine = crash_machine(3);
        if machine.world.syncs_done() >= n {
            return;
        }
        let outcome = work(&mut machine, Some(point));
        assert!(matches!(outcome, Ok(()) | Err(RunError::Crashed { .. })), "{outcome:?}");
        let world = machine.world.power_loss();
        machine.restart(world);
        check_after_crash(&mut machine);
    });
}

/// What was not acknowledged may be there as well.
fn check_after_crash(machine: &mut Machine) {
    machine.check(true).unwrap();
    machine.end = machine.server.log(ID).unwrap().end();
    let found = machine.read().unwrap();
    machine.sent.extend(found);
    machine.crashes += 1;
    machine.rest(Duration::from_secs(12)).unwrap();
    machine.check(true).unwrap();
    assert!(machine.segments() >= 1);
}

/// At any operation, several times over, also while it recovers.
fn crash(seed: u64) {
    let mut machine = Machine::new(SimOptions::varied(seed), compacted(), engine_options(1));
    for _ in 0..machine.prng.between(1, 3) {
        let ahead = machine.prng.pick(&[50, 300, 1_000, 3_000]);
        let point = CrashPoint::OpIssued(machine.world.ops_issued() + 1 + machine.prng.below(ahead));
        let outcome = work(&mut machine, Some(point));
        assert!(matches!(outcome, Ok(()) | Err(RunError::Crashed { .. })), "{outcome:?}");
        let strike =
            |world: &SimWorld, lose: bool| if lose { world.power_loss() } else { world.process_kill() };
        let mut world = strike(&machine.world, machine.prng.chance(0.7));
        if machine.prng.chance(0.5) {
            world.crash_at(CrashPoint::OpIssued(world.ops_issued() + 1 + machine.prng.below(60)));
            match Server::try_start(&world, &machine.engine) {
                Ok(_) | Err(NoStart::Run(RunError::Crashed { .. })) => (),
                Err(error) => assert!(world.is_dead(), "{error:?}"),
            }
            world = strike(&world, machine.prng.chance(0.7));
        }
        machine.restart(world);
        check_after_crash(&mut machine);
    }
}

#[test]
fn a_crash_at_any_moment_of_a_compaction_loses_nothing() {
    seeds::run("compaction::a_crash_at_any_moment_of_a_compaction_loses_nothing", 150, crash);
}

#[test]
fn tombstones_go_once_their_time_has_passed_and_nothing_comes_back() {
    let options = LogOptions { delete_retention_ms: 10_000, ..compacted() };
    let mut machine = Machine::new(SimOptions::new(5), options, engine_options(1));
    work(&mut machine, None).unwrap();
    machine.check(false).unwrap();
    machine.rest(Duration::from_secs(20)).unwrap();
    // The next pass finds the horizons passed.
    work(&mut machine, None).unwrap();
    machine.check(false).unwrap();
    let found = machine.read().unwrap();
    let old_tombstone =
        found.iter().find(|(offset, record)| **offset < machine.end / 3 && record.value.is_none());
    assert!(old_tombstone.is_none());
}

#[test]
fn young_records_and_disabled_cleaners_leave_all_as_it_is() {
    let young = LogOptions { min_compaction_lag_ms: NEVER_MS, ..compacted() };
    let disabled = EngineOptions {
        cleaner: CleanerOptions { enabled: false, ..CleanerOptions::default() },
        ..engine_options(1)
    };
    let lazy = LogOptions { min_cleanable_dirty_ratio: 1.0, ..compacted() };
    let cases = [(young, engine_options(1)), (compacted(), disabled), (lazy.clone(), engine_options(1))];
    for (options, engine) in cases {
        let mut machine = Machine::new(SimOptions::new(6), options, engine);
        work(&mut machine, None).unwrap();
        assert!(machine.read().unwrap() == machine.sent);
    }
    // Records of 1970 are older than any lag.
    let overdue = LogOptions { max_compaction_lag_ms: 1_000, ..lazy };
    let mut machine = Machine::new(SimOptions::new(6), overdue, engine_options(1));
    work(&mut machine, None).unwrap();
    assert!(machine.read().unwrap().len() < machine.sent.len());
    machine.check(true).unwrap();
}

/// The batch with its last sequence stays, emptied: a retry of it is still known for what it is, after a restart too.
#[test]
fn a_producer_is_known_by_a_batch_of_which_no_record_is_left() {
    let mut machine = Machine::new(SimOptions::new(8), compacted(), engine_options(1));
    let send = |machine: &Machine, batch: Vec<u8>| {
        let log = machine.server.log(ID).unwrap();
        machine.server.run(ID, async move { log.append(batch.into()).await }).unwrap().unwrap()
    };
    let once = BatchBuilder::new().producer(77, 0, 0).record(1, Some(b"key1"), Some(b"only one")).build();
    let first = send(&machine, once.clone());
    machine.end = first.last_offset + 1;
    machine.sent.insert(first.base_offset, Sent { key: b"key1".to_vec(), value: Some(b"only one".to_vec()) });
    work(&mut machine, None).unwrap();
    assert!(!machine.read().unwrap().contains_key(&first.base_offset), "it was compacted");
    let batches = machine.server.read_all(ID).unwrap().unwrap();
    let emptied = BatchView::parse(&batches[0]).unwrap();
    assert_eq!((emptied.producer_id(), emptied.count(), emptied.base_offset()), (77, 0, first.base_offset));
    let world = machine.server.runner.world().process_kill();
    machine.restart(world);
    let again = send(&machine, once);
    assert!(again.duplicate && again.base_offset == first.base_offset, "{again:?}");
}

/// A base offset is outside a batch's CRC: one that cannot be right stops the cleaner before anything is dropped.
#[test]
fn a_flipped_bit_in_a_base_offset_is_found_before_it_costs_a_record() {
    let disabled = CleanerOptions { enabled: false, ..CleanerOptions::default() };
    let engine = EngineOptions { cleaner: disabled, ..engine_options(1) };
    let mut machine = Machine::new(SimOptions::new(14), compacted(), engine);
    work(&mut machine, None).unwrap();
    machine.server.shutdown().unwrap();
    let dir = machine.server.log(ID).unwrap().directory().to_path_buf();
    let names = machine.server.runner.io(0).driver().list_dir(&dir).unwrap();
    let mut logs: Vec<_> =
        names.into_iter().map(|entry| entry.name).filter(|name| name.ends_with(".log")).collect();
    logs.sort();
    let damaged = dir.join(&logs[2]);
    let world = machine.world.process_kill();
    for bits in [0x01, 0x80] {
        world.corrupt(&damaged, 6, bits).unwrap();
        machine.engine = engine_options(1);
        machine.restart(world.fork(1));
        machine.rest(Duration::from_secs(20)).unwrap();
        machine.world.corrupt(&damaged, 6, bits).unwrap();
        assert!(machine.read().unwrap() == machine.sent, "records went on the word of a damaged offset");
        world.corrupt(&damaged, 6, bits).unwrap();
    }
    machine.restart(world);
    machine.rest(Duration::from_secs(20)).unwrap();
    assert!(machine.read().unwrap().len() < machine.sent.len(), "without the damage it is compacted");
}
