//! `verify --ledger`: reads the partitions that a ledger names from their beginning to their end, and audits them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::Duration;

use serde_json::json;

use crate::audit::{Audit, Seen, audit};
use crate::cli::VerifyOptions;
use crate::clock::Clock;
use crate::cluster::{Cluster, Placed};
use crate::compress::Codec;
use crate::ledger::{self, Ledger};
use crate::plan::{From, Plan, Progress, Traffic, Window};
use crate::report;
use crate::run::{RunError, collect};
use crate::units::Rate;
use crate::wire::request::OffsetSpec;
use crate::worker::{self, Jobs};

pub const READ_TIMEOUT: Duration = Duration::from_secs(600);
const LEADER_PATIENCE: Duration = Duration::from_secs(20);

fn reading(timeout: Duration) -> Traffic {
    Traffic {
        producers: 0,
        consumers: 1,
        record_bytes: 1,
        batch_bytes: 1,
        linger: Duration::ZERO,
        in_flight: 1,
        acks: -1,
        codec: Codec::None,
        keys: 0,
        rate: Rate::Max,
        warmup: Duration::ZERO,
        duration: timeout,
        drain: Duration::ZERO,
        from: From::Earliest,
        replay: false,
        fetch_max_bytes: 8 << 20,
        partition_fetch_bytes: 1 << 20,
        proved: true,
        reconnect: false,
        idempotent: false,
    }
}

/// Reads `placed` from `begin` to the present end. `run` is 0 where records of several runs are expected.
pub fn read_back(
    topics: &[String],
    placed: &[Placed],
    begin: Vec<i64>,
    run: u32,
    timeout: Duration,
    bootstrap: &str,
) -> Result<Seen, RunError> {
    let ends =
        Cluster::new(bootstrap).offsets_once_led(topics, placed, OffsetSpec::Latest, LEADER_PATIENCE)?;
    let mut by_leader: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for (index, p) in placed.iter().enumerate() {
        by_leader.entry(p.leader).or_default().push(index as u32);
    }
    let plan = Arc::new(Plan {
        clock: Clock::start(),
        run,
        traffic: reading(timeout),
        topics: topics.to_vec(),
        placed: placed.to_vec(),
        begin,
        producer_ids: Vec::new(),
        window: OnceLock::new(),
        progress: vec![Progress::default()],
        producers_left: AtomicUsize::new(0),
        targets: OnceLock::new(),
        ledger: None,
        failed: AtomicBool::new(false),
    });
    plan.targets.get_or_init(|| ends);
    let gates = Arc::new((Barrier::new(2), Barrier::new(2)));
    let jobs = Jobs { consumers: by_leader.into_values().collect(), ..Jobs::default() };
    let worker = worker::spawn(plan.clone(), 0, jobs, gates.clone())?;
    gates.0.wait();
    plan.window.get_or_init(|| Window::new(plan.clock.now(), &plan.traffic));
    gates.1.wait();
    let outcomes = collect(vec![worker])?;
    if plan.clock.now() >= timeout.as_nanos() as u64 {
        return Err(RunError::Worker(format!(
            "reading back did not end within {timeout:?}; raise --timeout"
        )));
    }
    let mut seen = Seen::default();
    for outcome in outcomes {
        if let Some(error) = outcome.errors.into_iter().next() {
            return Err(RunError::Worker(error));
        }
        seen.merge(outcome.seen);
    }
    Ok(seen)
}

/// Partition indices of each run, replaced by indices over all partitions that any run names.
fn unify(ledger: &mut Ledger) -> Result<Vec<(String, i32)>, RunError> {
    let mut all: BTreeMap<(String, i32), u32> = BTreeMap::new();
    for key in ledger.runs.iter().flat_map(|r| &r.partitions) {
        all.entry(key.clone()).or_insert(0);
    }
    all.values_mut().enumerate().for_each(|(i, slot)| *slot = i as u32);
    for (run, a) in &mut ledger.acked {
        let entry = ledger.runs.iter().find(|r| r.run == *run);
        let key = entry.and_then(|r| r.partitions.get(a.partition as usize));
        a.partition = *key.and_then(|k| all.get(k)).ok_or_else(|| {
            RunError::Options(format!("the ledger acknowledges partition {} of an unknown run", a.partition))
        })?;
    }
    Ok(all.into_keys().collect())
}

/// Places each (topic, partition) of the ledger, in its order.
fn place(cluster: &mut Cluster, wanted: &[(String, i32)]) -> Result<(Vec<String>, Vec<Placed>), RunError> {
    let mut topics: Vec<String> = wanted.iter().map(|w| w.0.clone()).collect();
    topics.dedup();
    let found = cluster.placement(&topics, LEADER_PATIENCE)?;
    let mut placed = Vec::new();
    for (topic, partition) in wanted {
        let here = found.iter().find(|p| &topics[p.topic] == topic && p.partition == *partition);
        let missing = || RunError::Options(format!("the broker has no partition {topic}-{partition}"));
        placed.push(here.cloned().ok_or_else(missing)?);
    }
    Ok((topics, placed))
}

/// True if every acknowledged record of the ledger is there as it should be.
pub fn verify(options: &VerifyOptions) -> Result<bool, RunError> {
    let mut ledger = ledger::read(&options.ledger)?;
    if ledger.runs.is_empty() {
        return Err(RunError::Options(format!("{} holds no run", options.ledger.display())));
    }
    let wanted = unify(&mut ledger)?;
    let mut cluster = Cluster::new(&options.bootstrap_server);
    let (topics, placed) = place(&mut cluster, &wanted)?;
    let begin = cluster.offsets_once_led(&topics, &placed, OffsetSpec::Earliest, LEADER_PATIENCE)?;
    let seen = read_back(&topics, &placed, begin, 0, options.timeout, &options.bootstrap_server)?;
    let verdict = audit(&ledger.acked, seen);
    print_verdict(&verdict, &ledger);
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", json!({ "audit": verdict, "clean": verdict.is_clean() })))?;
    }
    Ok(verdict.is_clean())
}

fn print_verdict(verdict: &Audit, ledger: &Ledger) {
    println!("{}", report::verdict(verdict));
    verdict.examples.iter().for_each(|e| println!("  {e}"));
    if ledger.torn_bytes > 0 {
        println!("  the ledger ends in a torn entry of {} bytes, which was left out", ledger.torn_bytes);
    }
}
