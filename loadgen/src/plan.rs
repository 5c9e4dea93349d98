//! What a run is: options that shape traffic, where partitions live, and the times that bound the measurement.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::buckets::LiveHistogram;
use crate::clock::Clock;
use crate::cluster::Placed;
use crate::compress::Codec;
use crate::ledger::LedgerWriter;
use crate::units::Rate;

/// Where consumers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    Earliest,
    Latest,
}

/// Everything about the traffic itself; sizes in bytes.
#[derive(Debug, Clone)]
pub struct Traffic {
    pub producers: usize,
    pub consumers: usize,
    pub record_bytes: usize,
    pub batch_bytes: usize,
    pub linger: Duration,
    /// Requests in flight per producer connection.
    pub in_flight: usize,
    pub acks: i16,
    pub codec: Codec,
    pub keys: u64,
    pub rate: Rate,
    pub warmup: Duration,
    pub duration: Duration,
    /// How long answers are waited for after the last send.
    pub drain: Duration,
    pub from: From,
    pub replay: bool,
    pub fetch_max_bytes: i32,
    pub partition_fetch_bytes: i32,
    /// Records carry identity and checksum, and acknowledgements are kept for the proof.
    pub proved: bool,
    pub reconnect: bool,
    pub idempotent: bool,
}

/// Bounds of a run in nanoseconds of its clock.
#[derive(Debug)]
pub struct Window {
    pub traffic_start_ns: u64,
    pub start_ns: u64,
    /// Moves to "now" when the user interrupts.
    end_ns: AtomicU64,
}

impl Window {
    pub fn new(traffic_start_ns: u64, traffic: &Traffic) -> Self {
        let start_ns = traffic_start_ns + traffic.warmup.as_nanos() as u64;
        let end_ns = AtomicU64::new(start_ns + traffic.duration.as_nanos() as u64);
        Self { traffic_start_ns, start_ns, end_ns }
    }

    pub fn end_ns(&self) -> u64 {
        self.end_ns.load(Ordering::Relaxed)
    }

    pub fn cut(&self, now_ns: u64) {
        self.end_ns.fetch_min(now_ns, Ordering::Relaxed);
    }

    pub fn contains(&self, ns: u64) -> bool {
        ns >= self.start_ns && ns < self.end_ns()
    }
}

/// What a worker keeps current for the progress line, the live view and the series over time.
#[derive(Debug, Default)]
pub struct Progress {
    pub acked_records: AtomicU64,
    pub acked_bytes: AtomicU64,
    pub consumed_records: AtomicU64,
    pub consumed_bytes: AtomicU64,
    pub errors: AtomicU64,
    /// Requests sent, and those that are in flight no more: answered, refused or lost with their connection.
    pub sent_batches: AtomicU64,
    pub settled_batches: AtomicU64,
    /// Of every record answered, warm-up included.
    pub latency: LiveHistogram,
    pub end_to_end: LiveHistogram,
    /// Largest latency since the line was last drawn.
    pub latency_ns_max: AtomicU64,
    /// Thread CPU and spin nanoseconds, published about ten times a second.
    pub cpu_ns: AtomicI64,
    pub spin_ns: AtomicU64,
}

/// The producer identities of KIP-98, one per producer when idempotent.
#[derive(Debug, Clone, Copy)]
pub struct ProducerId {
    pub id: i64,
    pub epoch: i16,
}

/// Shared by all workers of one run.
#[derive(Debug)]
pub struct Plan {
    pub clock: Clock,
    /// Tells this run's records from any other's in the topic.
    pub run: u32,
    pub traffic: Traffic,
    pub topics: Vec<String>,
    pub placed: Vec<Placed>,
    /// Offset each consumer begins at, by partition index.
    pub begin: Vec<i64>,
    pub producer_ids: Vec<ProducerId>,
    pub window: OnceLock<Window>,
    pub progress: Vec<Progress>,
    pub producers_left: AtomicUsize,
    /// End offsets after the last acknowledgement: consumers stop there.
    pub targets: OnceLock<Vec<i64>>,
    pub ledger: Option<LedgerWriter>,
    pub failed: AtomicBool,
}
