//! What one worker measured, and the merge over workers. Histograms are added bucket by bucket, never averaged, so a
//! percentile of the merge is the percentile of all samples pooled.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// Longest latency told apart, one hour in microseconds; a longer one counts as this.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Latencies in microseconds.
#[derive(Debug, Clone)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        // Constant bounds that the crate's documentation allows.
        #[allow(clippy::expect_used)]
        let histogram =
            Histogram::new_with_bounds(1, LATENCY_US_MAX, SIGNIFICANT_DIGITS).expect("bounds are valid");
        Self(histogram)
    }
}

impl Latency {
    pub fn record(&mut self, ns: u64, count: u64) {
        self.0.saturating_record_n(ns / 1000, count);
    }

    pub fn merge(&mut self, other: &Latency) {
        // Both have the same bounds, so no sample can be out of range.
        self.0 += &other.0;
    }

    pub fn histogram(&self) -> &Histogram<u64> {
        &self.0
    }

    pub fn percentile(&self, p: f64) -> u64 {
        self.0.value_at_percentile(p)
    }
}

/// Counters and histograms of one worker, or of all after [`Stats::merge`].
///
/// "In the window" means that the record's intended time (closed loop: its send) lies in the measurement.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Intended send time to acknowledgement, per record, in the window.
    pub latency: Latency,
    /// Actual send to acknowledgement, per record, in the window.
    pub service: Latency,
    /// Intended send time to arrival at a consumer, per record, in the window.
    pub end_to_end: Latency,
    /// How late a send began after it could have (due, and a slot free), per batch, in the window.
    pub slip: Latency,
    pub sent_records: u64,
    pub acked_records: u64,
    pub acked_batches: u64,
    /// Bytes of the batches acknowledged in the window, as they went over the wire.
    pub acked_bytes: u64,
    pub window_acked_records: u64,
    pub window_acked_batches: u64,
    /// Records of the window that no acknowledgement came for; their age at the end is in the histograms.
    pub censored_records: u64,
    /// Records of the window that were due and never sent.
    pub unsent_records: u64,
    /// Sent, connection lost, outcome unknown (without idempotence).
    pub unknown_records: u64,
    pub resent_batches: u64,
    pub reconnects: u64,
    pub consumed_records: u64,
    pub consumed_bytes: u64,
    pub window_consumed_records: u64,
    pub window_consumed_bytes: u64,
    /// Records refused, by Kafka error code.
    pub produce_errors: BTreeMap<i16, u64>,
    pub fetch_errors: BTreeMap<i16, u64>,
}

impl Stats {
    pub fn merge(&mut self, o: &Stats) {
        self.latency.merge(&o.latency);
        self.service.merge(&o.service);
        self.end_to_end.merge(&o.end_to_end);
        self.slip.merge(&o.slip);
        self.sent_records += o.sent_records;
        self.acked_records += o.acked_records;
        self.acked_batches += o.acked_batches;
        self.acked_bytes += o.acked_bytes;
        self.window_acked_records += o.window_acked_records;
        self.window_acked_batches += o.window_acked_batches;
        self.censored_records += o.censored_records;
        self.unsent_records += o.unsent_records;
        self.unknown_records += o.unknown_records;
        self.resent_batches += o.resent_batches;
        self.reconnects += o.reconnects;
        self.consumed_records += o.consumed_records;
        self.consumed_bytes += o.consumed_bytes;
        self.window_consumed_records += o.window_consumed_records;
        self.window_consumed_bytes += o.window_consumed_bytes;
        add_all(&mut self.produce_errors, &o.produce_errors);
        add_all(&mut self.fetch_errors, &o.fetch_errors);
    }
}

fn add_all(into: &mut BTreeMap<i16, u64>, from: &BTreeMap<i16, u64>) {
    for (code, n) in from {
        *into.entry(*code).or_default() += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::SplitMix;

    #[test]
    fn merged_percentiles_are_those_of_the_pooled_samples() {
        let mut random = SplitMix(42);
        let (mut merged, mut pooled, mut raw) = (Stats::default(), Latency::default(), Vec::new());
        for worker in 0..4u64 {
            let mut one = Stats::default();
            for _ in 0..20_000 {
                let us = 50 + random.below(100) * (worker * worker * 40 + 1);
                one.latency.record(us * 1000, 1);
                pooled.record(us * 1000, 1);
                raw.push(us);
            }
            merged.merge(&one);
        }
        raw.sort_unstable();
        for p in [50.0, 90.0, 99.0, 99.9, 99.99, 100.0] {
            assert_eq!(merged.latency.percentile(p), pooled.percentile(p));
            let exact = raw[((raw.len() as f64 * p / 100.0).ceil() as usize - 1).min(raw.len() - 1)] as f64;
            let error = (merged.latency.percentile(p) as f64 - exact).abs() / exact;
            assert!(error < 0.002, "p{p}: {} for {exact}", merged.latency.percentile(p));
        }
    }
}
