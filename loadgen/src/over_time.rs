//! A run over time: counters and latencies of each tenth of a second to second of the window, so that a stall is seen
//! where percentiles over the whole run would blur it.
//!
//! The main thread reads what the workers publish anyhow; the workers do nothing for it. An interval holds what was
//! answered in it: during a stall nothing, and after it the latencies that the stall caused.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::buckets::Counts;
use crate::host;
use crate::plan::{Plan, Progress, Traffic};

/// `(bucket of buckets.rs, records)`, ascending.
pub type Sparse = Vec<(usize, u64)>;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Interval {
    /// From the start of the window to the start of the interval.
    pub at_seconds: f64,
    pub seconds: f64,
    pub acked_records: u64,
    /// Bytes of record values, as throughput counts them everywhere.
    pub acked_bytes: u64,
    pub consumed_records: u64,
    pub consumed_bytes: u64,
    pub errors: u64,
    /// Requests in flight at its end.
    pub in_flight: u64,
    pub server_cpu_seconds: Option<f64>,
    pub server_resident_bytes: Option<u64>,
    /// From intended send to answer, of the records answered in it.
    pub latency: Sparse,
    pub end_to_end: Sparse,
}

/// Totals of all workers at one moment.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    pub at_ns: u64,
    pub acked_records: u64,
    pub acked_batch_bytes: u64,
    pub consumed_records: u64,
    pub consumed_bytes: u64,
    pub errors: u64,
    pub in_flight: u64,
    pub latency: Counts,
    pub end_to_end: Counts,
    pub server_cpu_ns: Option<u64>,
    pub server_resident_bytes: Option<u64>,
}

impl Totals {
    pub fn read(plan: &Plan, server: Option<i32>) -> Self {
        let sum = |f: fn(&Progress) -> u64| plan.progress.iter().map(f).sum::<u64>();
        let settled = sum(|p| p.settled_batches.load(Ordering::Relaxed));
        Self {
            at_ns: plan.clock.now(),
            acked_records: sum(|p| p.acked_records.load(Ordering::Relaxed)),
            acked_batch_bytes: sum(|p| p.acked_bytes.load(Ordering::Relaxed)),
            consumed_records: sum(|p| p.consumed_records.load(Ordering::Relaxed)),
            consumed_bytes: sum(|p| p.consumed_bytes.load(Ordering::Relaxed)),
            errors: sum(|p| p.errors.load(Ordering::Relaxed)),
            in_flight: sum(|p| p.sent_batches.load(Ordering::Relaxed)).saturating_sub(settled),
            latency: Counts::sum(plan.progress.iter().map(|p| &p.latency)),
            end_to_end: Counts::sum(plan.progress.iter().map(|p| &p.end_to_end)),
            server_cpu_ns: server.and_then(host::process_cpu_ns),
            server_resident_bytes: server.and_then(host::resident_bytes),
        }
    }
}

/// Takes the readings. `window_start_ns` is the zero of its times.
#[derive(Debug)]
pub struct Sampler {
    window_start_ns: u64,
    interval_ns: u64,
    next_ns: u64,
    server: Option<i32>,
    record_bytes: u64,
    last: Option<Totals>,
    intervals: Vec<Interval>,
}

/// A tenth of a second in short runs, up to a second in long ones: some hundreds of intervals, then one a second.
fn interval(window: Duration) -> Duration {
    match window.as_secs() {
        0..=30 => Duration::from_millis(100),
        31..=120 => Duration::from_millis(250),
        121..=300 => Duration::from_millis(500),
        _ => Duration::from_secs(1),
    }
}

impl Sampler {
    pub fn new(window_start_ns: u64, traffic: &Traffic, server: Option<i32>) -> Self {
        Self {
            window_start_ns,
            interval_ns: interval(traffic.duration).as_nanos() as u64,
            next_ns: window_start_ns,
            server,
            record_bytes: traffic.record_bytes as u64,
            last: None,
            intervals: Vec::new(),
        }
    }

    /// When the next reading is due.
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Takes a reading if one is due.
    pub fn tick(&mut self, plan: &Plan) {
        if plan.clock.now() >= self.next_ns {
            self.take(plan);
        }
    }

    /// The intervals up to now.
    pub fn finish(mut self, plan: &Plan) -> Vec<Interval> {
        // A last sliver would show rates of a few milliseconds.
        if self.last.as_ref().is_some_and(|t| plan.clock.now() > t.at_ns + self.interval_ns / 2) {
            self.take(plan);
        }
        self.intervals
    }

    fn take(&mut self, plan: &Plan) {
        let now = Totals::read(plan, self.server);
        while self.next_ns <= now.at_ns {
            self.next_ns += self.interval_ns;
        }
        if let Some(last) = &self.last {
            self.intervals.push(self.between(last, &now));
        }
        self.last = Some(now);
    }

    fn between(&self, last: &Totals, now: &Totals) -> Interval {
        let acked_records = now.acked_records.saturating_sub(last.acked_records);
        let cpu = now.server_cpu_ns.zip(last.server_cpu_ns).map(|(now, last)| now.saturating_sub(last));
        Interval {
            at_seconds: last.at_ns.saturating_sub(self.window_start_ns) as f64 / 1e9,
            seconds: now.at_ns.saturating_sub(last.at_ns) as f64 / 1e9,
            acked_records,
            acked_bytes: acked_records * self.record_bytes,
            consumed_records: now.consumed_records.saturating_sub(last.consumed_records),
            consumed_bytes: now.consumed_bytes.saturating_sub(last.consumed_bytes),
            errors: now.errors.saturating_sub(last.errors),
            in_flight: now.in_flight,
            server_cpu_seconds: cpu.map(|ns| ns as f64 / 1e9),
            server_resident_bytes: now.server_resident_bytes,
            latency: now.latency.since(&last.latency).sparse(),
            end_to_end: now.end_to_end.since(&last.end_to_end).sparse(),
        }
    }
}
