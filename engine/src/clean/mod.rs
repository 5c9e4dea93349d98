//! Compaction: of every key of a compacted log only the last record stays (`cleanup.policy=compact`).
//!
//! ```text
//! Range::of (what may be cleaned, is it time?) -> OffsetMap of its keys (offset_map, survey)
//!   -> segment by segment: SegmentReader -> Sieve (filter) -> CleanedWriter -> Log::replace_segments
//! ```
//!
//! Kafka's rules, its files and names; docs/adr/0008-compaction.md has the design. One log of a shard at a time, in
//! slices between which the shard's other tasks run, and slower while the shard takes batches (`pace`).
//!
//! Invariants: the active segment, and what no durable checkpoint has yet, is never touched; offsets never change; memory
//! is bounded by the map, a window and a batch.

mod filter;
mod offset_map;
mod pace;
mod pass;
mod range;
mod segment;

use std::time::Duration;

pub(crate) use filter::repacked;
pub use offset_map::OffsetMap;
pub(crate) use pass::{CleanError, clean};
pub(crate) use range::Range;

/// How a shard's logs are cleaned (`log.cleaner.*`).
#[derive(Clone, Debug, PartialEq)]
pub struct CleanerOptions {
    /// `log.cleaner.enable`
    pub enabled: bool,
    /// Memory for the keys of one pass, bytes, of all shards together (`log.cleaner.dedupe.buffer.size`).
    pub dedupe_buffer_bytes: u64,
    /// How full that may become, 0 to 1 (`log.cleaner.io.buffer.load.factor`).
    pub load_factor: f64,
    /// Bytes read and written per second by a shard; None for no bound but the pacing (`log.cleaner.io.max.bytes.per.second`).
    pub io_bytes_per_second: Option<f64>,
    /// How long to wait when there was nothing to clean (`log.cleaner.backoff.ms`).
    pub backoff: Duration,
}

impl Default for CleanerOptions {
    fn default() -> CleanerOptions {
        CleanerOptions {
            enabled: true,
            dedupe_buffer_bytes: 128 << 20,
            load_factor: 0.9,
            io_bytes_per_second: None,
            backoff: Duration::from_secs(15),
        }
    }
}
