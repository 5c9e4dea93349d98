//! Latencies and rates of a run, in windows of five seconds and in all.

use std::time::{Duration, Instant};

use crate::record_client::number::fixed;

const WINDOW: Duration = Duration::from_secs(5);

/// Latencies that are kept for the percentiles: every one up to so many records, a sample of them beyond.
const SAMPLES_MAX: u64 = 500_000;

#[derive(Debug)]
pub struct Statistics {
    started: Instant,
    total: Sum,
    window_started: Instant,
    window: Sum,
    sampling: u64,
    latencies: Vec<u32>,
    /// Lines that are due on stdout.
    pub reports: Vec<String>,
}

#[derive(Debug, Default)]
struct Sum {
    records: u64,
    bytes: u64,
    latency_ms: u64,
    latency_ms_max: u64,
}

impl Sum {
    fn add(&mut self, latency_ms: u64, bytes: u64) {
        self.records += 1;
        self.bytes += bytes;
        self.latency_ms += latency_ms;
        self.latency_ms_max = self.latency_ms_max.max(latency_ms);
    }

    fn records_per_second(&self, elapsed: Duration) -> f64 {
        1000.0 * self.records as f64 / elapsed.as_millis() as f64
    }

    fn megabytes_per_second(&self, elapsed: Duration) -> String {
        fixed(1000.0 * self.bytes as f64 / elapsed.as_millis() as f64 / (1024.0 * 1024.0), 2)
    }

    fn latency(&self) -> f64 {
        self.latency_ms as f64 / self.records as f64
    }
}

impl Statistics {
    pub fn new(records: u64) -> Statistics {
        let sampling = records / records.clamp(1, SAMPLES_MAX);
        let now = Instant::now();
        Statistics {
            started: now,
            total: Sum::default(),
            window_started: now,
            window: Sum::default(),
            sampling: sampling.max(1),
            latencies: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// The `iteration`th record has been acknowledged, or has failed.
    pub fn record(&mut self, iteration: u64, latency: Duration, bytes: u64) {
        let latency_ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        self.total.add(latency_ms, bytes);
        self.window.add(latency_ms, bytes);
        if iteration.is_multiple_of(self.sampling) {
            self.latencies.push(u32::try_from(latency_ms).unwrap_or(u32::MAX));
        }
        if self.window_started.elapsed() >= WINDOW {
            let report = self.window_report();
            self.reports.push(report);
            (self.window_started, self.window) = (Instant::now(), Sum::default());
        }
    }

    fn window_report(&self) -> String {
        let (window, elapsed) = (&self.window, self.window_started.elapsed());
        format!(
            "{} records sent, {} records/sec ({} MB/sec), {} ms avg latency, {} ms max latency.",
            window.records,
            fixed(window.records_per_second(elapsed), 1),
            window.megabytes_per_second(elapsed),
            fixed(window.latency(), 1),
            fixed(window.latency_ms_max as f64, 1)
        )
    }

    /// The line at the end.
    pub fn total_report(&mut self) -> String {
        let elapsed = self.started.elapsed();
        self.latencies.sort_unstable();
        let [p50, p95, p99, p999] = [0.5, 0.95, 0.99, 0.999].map(|share| self.percentile(share));
        let total = &self.total;
        format!(
            "{} records sent, {} records/sec ({} MB/sec), {} ms avg latency, {} ms max latency, {p50} ms 50th, \
             {p95} ms 95th, {p99} ms 99th, {p999} ms 99.9th.",
            total.records,
            fixed(total.records_per_second(elapsed), 6),
            total.megabytes_per_second(elapsed),
            fixed(total.latency(), 2),
            fixed(total.latency_ms_max as f64, 2)
        )
    }

    fn percentile(&self, share: f64) -> u32 {
        let index = (share * self.latencies.len() as f64) as usize;
        self.latencies.get(index).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_has_kafkas_form() {
        let mut statistics = Statistics::new(100);
        for iteration in 0..100 {
            statistics.record(iteration, Duration::from_millis(iteration), 10);
        }
        let report = statistics.total_report();
        assert!(report.starts_with("100 records sent, "), "{report}");
        assert!(report.ends_with(
            "49.50 ms avg latency, 99.00 ms max latency, 50 ms 50th, 95 ms 95th, 99 ms 99th, 99 ms 99.9th."
        ));
        assert_eq!(Statistics::new(1_500_000).sampling, 3);
    }
}
