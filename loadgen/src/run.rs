//! The course of `run`: topics, workers, window, readings around it, drain, proof, report.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use crate::audit::{Audit, Seen, audit};
use crate::cli::RunOptions;
use crate::clock::Clock;
use crate::cluster::{Cluster, ClusterError, Placed};
use crate::host::{self, Reading};
use crate::ledger::{Acked, LedgerError, LedgerWriter, RunEntry};
use crate::observer::{Interrupts, Observer};
use crate::payload::SplitMix;
use crate::plan::{From, Plan, ProducerId, Progress, Traffic, Window};
use crate::report::{self, Measured};
use crate::stats::Stats;
use crate::wire::request::{NewTopic, OffsetSpec};
use crate::worker::{self, Jobs, Outcome, ProducerJob};
use crate::{verify, wire};

const LEADER_PATIENCE: Duration = Duration::from_secs(20);
/// Between "all connected" and the first due record.
const HEAD_START_NS: u64 = 20_000_000;

/// Why a run could not be done at all.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("{0}")]
    Options(String),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("worker: {0}")]
    Worker(String),
}

/// Runs all repeats and prints and writes the result. True if nothing was refused, lost or broken.
pub fn run(options: &RunOptions) -> Result<bool, RunError> {
    let interrupts = Interrupts::catch()?;
    let repeats = measure(options, Some(&interrupts))?;
    let Some(pooled) = Measured::pooled(&repeats) else { return Ok(false) };
    print!("{}", report::table(&pooled, &repeats));
    if let Some(path) = &options.json {
        let document = report::document(&pooled, &repeats, config(options));
        std::fs::write(path, format!("{document:#}\n")).map_err(|e| at(path, &e))?;
    }
    if let Some(path) = &options.hdr {
        report::write_hdr(path, &repeats).map_err(|e| at(path, &e))?;
    }
    Ok(!pooled.has_failed())
}

/// Runs all repeats. One that was interrupted or broke off is the last.
pub fn measure(options: &RunOptions, interrupts: Option<&Interrupts>) -> Result<Vec<Measured>, RunError> {
    let traffic = options.traffic().map_err(RunError::Options)?;
    if let Some(pid) = options.server_pid
        && host::process_cpu_ns(pid).is_none()
    {
        return Err(RunError::Options(format!("--server-pid {pid}: no such process on this machine")));
    }
    let mut cluster = Cluster::new(&options.bootstrap_server);
    let topics = options.topic_names();
    let placed = prepare_topics(&mut cluster, options, &topics)?;
    let outcome = repeat(options, &traffic, &topics, &placed, &mut cluster, interrupts);
    if options.delete_topics {
        cluster.delete_topics(&topics)?;
    }
    outcome
}

fn repeat(
    options: &RunOptions,
    traffic: &Traffic,
    topics: &[String],
    placed: &[Placed],
    cluster: &mut Cluster,
    interrupts: Option<&Interrupts>,
) -> Result<Vec<Measured>, RunError> {
    let mut observer = Observer::new(options, interrupts)?;
    let mut repeats: Vec<Measured> = Vec::new();
    for _ in 0..options.repeats {
        let one = Repeat { options, traffic, topics, placed };
        repeats.push(one.measure(cluster, &mut observer)?);
        if repeats.last().is_some_and(|m| m.interrupted || !m.errors.is_empty()) {
            break;
        }
    }
    observer.finish();
    Ok(repeats)
}

fn at(path: &std::path::Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

fn config(o: &RunOptions) -> serde_json::Value {
    json!({
        "label": o.label, "bootstrap_server": o.bootstrap_server, "topics": o.topic_names().len(), "partitions": o.partitions,
        "topic_config": o.topic_config, "producers": o.producers, "consumers": o.consumers, "threads": o.threads,
        "record_size": o.record_size, "batch_bytes": o.batch_bytes, "linger_us": o.linger.as_micros() as u64,
        "in_flight": o.in_flight, "acks": format!("{:?}", o.acks).to_lowercase(), "compression": o.compression,
        "keys": o.keys, "cpus": o.cpus.as_ref().map(|c| &c.0), "rate": format!("{:?}", o.rate), "warmup_seconds": o.warmup.as_secs_f64(),
        "duration_seconds": o.duration.as_secs_f64(), "repeats": o.repeats, "verify": o.verify,
        "idempotent": o.idempotent, "from": o.from, "replay": o.replay, "replication_factor": o.replication_factor,
        "fetch_max_bytes": o.fetch_max_bytes, "partition_fetch_bytes": o.partition_fetch_bytes, "ledger": o.ledger.is_some(),
    })
}

fn prepare_topics(cluster: &mut Cluster, o: &RunOptions, topics: &[String]) -> Result<Vec<Placed>, RunError> {
    let mut needed = vec![wire::METADATA, wire::LIST_OFFSETS, wire::PRODUCE, wire::FETCH];
    needed.extend(o.create_topics.then_some(wire::CREATE_TOPICS));
    needed.extend(o.delete_topics.then_some(wire::DELETE_TOPICS));
    needed.extend(o.idempotent.then_some(wire::INIT_PRODUCER_ID));
    cluster.check_versions(&needed)?;
    if o.create_topics {
        let new = |name| NewTopic {
            name,
            partitions: o.partitions as i32,
            replication: o.replication_factor,
            configs: &o.topic_config,
        };
        let wanted: Vec<_> = topics.iter().map(|t| new(t.as_str())).collect();
        for chunk in wanted.chunks(100) {
            cluster.create_topics(chunk)?;
        }
    }
    Ok(cluster.placement(topics, if o.create_topics { LEADER_PATIENCE } else { Duration::ZERO })?)
}

/// One warm-up, window and drain.
struct Repeat<'a> {
    options: &'a RunOptions,
    traffic: &'a Traffic,
    topics: &'a [String],
    placed: &'a [Placed],
}

/// Offsets and CPU at one edge of the window.
struct Edge {
    offsets: Option<Vec<i64>>,
    at: Instant,
    cpu: Reading,
}

impl Repeat<'_> {
    fn measure(&self, cluster: &mut Cluster, observer: &mut Observer<'_>) -> Result<Measured, RunError> {
        let jobs = divide(self.traffic, self.placed, self.options.threads as usize, self.cpus());
        let lanes = jobs.iter().map(|j| j.producers.len()).sum();
        let plan = Arc::new(self.plan(cluster, lanes, jobs.len())?);
        let gates = Arc::new((Barrier::new(jobs.len() + 1), Barrier::new(jobs.len() + 1)));
        let mut workers = Vec::new();
        for (number, jobs) in jobs.into_iter().enumerate() {
            workers.push(worker::spawn(plan.clone(), number, jobs, gates.clone())?);
        }
        gates.0.wait();
        let window = plan.window.get_or_init(|| Window::new(plan.clock.now() + HEAD_START_NS, self.traffic));
        gates.1.wait();
        observer.begin(&plan);
        let stopped = observer.until(&plan, window, || window.start_ns.min(window.end_ns()))?;
        let (before, started) = (self.edge(cluster, &plan), SystemTime::now());
        observer.open_window(&plan, window);
        let interrupted = stopped || observer.until(&plan, window, || window.end_ns())?;
        let over_time = observer.close_window(&plan);
        let after = self.edge(cluster, &plan);
        self.drain(cluster, &plan, &workers, observer)?;
        let outcomes = collect(workers)?;
        let mut measured = self.measured(&before, &after, window, outcomes.iter());
        (measured.interrupted, measured.started) = (interrupted, started);
        measured.keep_over_time(over_time);
        if self.options.verify {
            measured.audit = Some(self.prove(&plan, outcomes)?);
        }
        Ok(measured)
    }

    fn cpus(&self) -> &[usize] {
        self.options.cpus.as_ref().map_or(&[], |c| c.0.as_slice())
    }

    fn plan(&self, cluster: &mut Cluster, lanes: usize, workers: usize) -> Result<Plan, RunError> {
        let clock = Clock::start();
        let run = SplitMix(clock.unix_us(0) as u64 ^ u64::from(std::process::id())).next_u64() as u32;
        let spec =
            if self.traffic.from == From::Earliest { OffsetSpec::Earliest } else { OffsetSpec::Latest };
        let begin = cluster.offsets_once_led(self.topics, self.placed, spec, LEADER_PATIENCE)?;
        let mut producer_ids = Vec::new();
        if self.traffic.idempotent {
            for _ in 0..lanes {
                let (id, epoch) = cluster.init_producer_id()?;
                producer_ids.push(ProducerId { id, epoch });
            }
        }
        let entry = RunEntry {
            run,
            record_bytes: self.traffic.record_bytes,
            partitions: self.placed.iter().map(|p| (self.topics[p.topic].clone(), p.partition)).collect(),
        };
        let ledger = self.options.ledger.as_deref().map(|p| LedgerWriter::open(p, &entry)).transpose()?;
        Ok(Plan {
            clock,
            run,
            traffic: self.traffic.clone(),
            topics: self.topics.to_vec(),
            placed: self.placed.to_vec(),
            begin,
            producer_ids,
            window: OnceLock::new(),
            progress: (0..workers).map(|_| Progress::default()).collect(),
            producers_left: AtomicUsize::new(lanes),
            targets: OnceLock::new(),
            ledger,
            failed: AtomicBool::new(false),
        })
    }

    fn edge(&self, cluster: &mut Cluster, plan: &Plan) -> Edge {
        let before = Instant::now();
        let offsets = match self.traffic.producers {
            0 => None,
            // Throughput falls back to acknowledgements, and the report says so.
            _ => cluster.offsets(&plan.topics, &plan.placed, OffsetSpec::Latest).ok(),
        };
        // The broker answered somewhere between asking and now.
        Edge { offsets, at: before + before.elapsed() / 2, cpu: Reading::take(self.options.server_pid) }
    }

    /// Waits for the workers, and tells consumers where to stop once every producer is done.
    fn drain(
        &self,
        cluster: &mut Cluster,
        plan: &Plan,
        workers: &[JoinHandle<io::Result<Outcome>>],
        observer: &mut Observer<'_>,
    ) -> Result<(), RunError> {
        while !workers.iter().all(JoinHandle::is_finished) {
            let done = plan.producers_left.load(Ordering::Acquire) == 0;
            let both = self.traffic.producers > 0 && self.traffic.consumers > 0;
            if done
                && both
                && plan.targets.get().is_none()
                && let Ok(ends) = cluster.offsets(&plan.topics, &plan.placed, OffsetSpec::Latest)
            {
                plan.targets.get_or_init(|| ends);
            }
            if observer.wait(Duration::from_millis(5))? && plan.targets.get().is_none() {
                plan.targets.get_or_init(|| vec![0; plan.placed.len()]);
            }
            observer.look(plan)?;
        }
        Ok(())
    }

    fn measured<'o>(
        &self,
        before: &Edge,
        after: &Edge,
        window: &Window,
        outcomes: impl Iterator<Item = &'o Outcome>,
    ) -> Measured {
        let seconds = after.at.duration_since(before.at).as_secs_f64();
        let (mut stats, mut worker_busy, mut worker_starved, mut errors) =
            (Stats::default(), Vec::new(), Vec::new(), Vec::new());
        for o in outcomes {
            stats.merge(&o.stats);
            worker_busy.push(o.busy);
            worker_starved.push(o.starved);
            errors.extend(o.errors.iter().cloned());
        }
        let grown = |(a, b): (&Vec<i64>, &Vec<i64>)| {
            a.iter().zip(b).map(|(a, b)| b.saturating_sub(*a).max(0) as u64).sum()
        };
        let ticks = host::ticks_per_second() as f64 * seconds.max(1e-9);
        let cores = before.cpu.busy_ticks.iter().zip(&after.cpu.busy_ticks);
        Measured {
            stats,
            window_seconds: window.end_ns().saturating_sub(window.start_ns) as f64 / 1e9,
            broker: before.offsets.as_ref().zip(after.offsets.as_ref()).map(|pair| (grown(pair), seconds)),
            own_cpu_ns: after.cpu.own_cpu_ns.saturating_sub(before.cpu.own_cpu_ns),
            server_cpu_ns: before
                .cpu
                .server_cpu_ns
                .zip(after.cpu.server_cpu_ns)
                .map(|(a, b)| b.saturating_sub(a)),
            server_resident_bytes: self.options.server_pid.and_then(host::resident_bytes),
            server_resident_bytes_peak: None,
            over_time: Vec::new(),
            core_busy: cores.map(|(a, b)| b.saturating_sub(*a) as f64 / ticks).collect(),
            worker_busy,
            worker_starved,
            interrupted: false,
            errors,
            record_bytes: self.traffic.record_bytes,
            is_open_loop: self.traffic.rate.records_per_second(self.traffic.record_bytes).is_some(),
            started: SystemTime::now(),
            finished: SystemTime::now(),
            audit: None,
        }
    }

    /// Compares acknowledgements with what the consumers saw; without consumers, with what the log now holds.
    fn prove(&self, plan: &Plan, outcomes: Vec<Outcome>) -> Result<Audit, RunError> {
        let mut acked: Vec<(u32, Acked)> = Vec::new();
        let mut seen = Seen::default();
        for o in outcomes {
            acked.extend(o.acked.iter().map(|a| (plan.run, *a)));
            seen.merge(o.seen);
        }
        if self.traffic.consumers == 0 {
            seen = verify::read_back(
                &plan.topics,
                &plan.placed,
                plan.begin.clone(),
                plan.run,
                verify::READ_TIMEOUT,
                &self.options.bootstrap_server,
            )?;
        }
        Ok(audit(&acked, seen))
    }
}

/// Waits for every worker; the first failure is the run's.
pub fn collect(workers: Vec<JoinHandle<io::Result<Outcome>>>) -> Result<Vec<Outcome>, RunError> {
    let mut out = Vec::new();
    for w in workers {
        let joined = w.join().map_err(|_panic| RunError::Worker("panicked; its message is above".into()))?;
        out.push(joined.map_err(|e| RunError::Worker(e.to_string()))?);
    }
    Ok(out)
}

/// Spreads producers and consumers over the workers, one lane for each broker that leads any of their partitions.
fn divide(traffic: &Traffic, placed: &[Placed], threads: usize, cpus: &[usize]) -> Vec<Jobs> {
    let mut by_leader: BTreeMap<SocketAddr, Vec<u32>> = BTreeMap::new();
    for (index, p) in placed.iter().enumerate() {
        by_leader.entry(p.leader).or_default().push(index as u32);
    }
    let of = (traffic.producers * by_leader.len()) as u32;
    let mut producers = Vec::new();
    for _ in 0..traffic.producers {
        for partitions in by_leader.values() {
            producers.push(ProducerJob {
                number: producers.len() as u32,
                of,
                partitions: partitions.clone(),
            });
        }
    }
    let mut consumers = Vec::new();
    for partitions in by_leader.values() {
        // A consumer without a partition would have nothing to do.
        for c in 0..traffic.consumers.min(partitions.len()) {
            consumers.push(partitions.iter().copied().skip(c).step_by(traffic.consumers).collect::<Vec<_>>());
        }
    }
    let mut jobs = vec![Jobs::default(); threads.min((producers.len() + consumers.len()).max(1))];
    let count = jobs.len();
    for (i, job) in jobs.iter_mut().enumerate() {
        job.cpu = (!cpus.is_empty()).then(|| cpus[i % cpus.len()]);
    }
    producers.into_iter().enumerate().for_each(|(i, p)| jobs[i % count].producers.push(p));
    consumers.into_iter().enumerate().for_each(|(i, c)| jobs[count - 1 - i % count].consumers.push(c));
    jobs
}
