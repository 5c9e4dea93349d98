//! The result of a run: figures, warnings, a table for people, JSON and an HdrHistogram log for programs.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use hdrhistogram::serialization::interval_log::IntervalLogWriterBuilder;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer, V2Serializer};
use serde_json::{Value, json};

use crate::audit::Audit;
use crate::host::Host;
use crate::over_time::Interval;
use crate::stats::{Latency, Stats};
use crate::wire::error_name;

pub const PERCENTILES: [(&str, f64); 6] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99_9", 99.9), ("p99_99", 99.99), ("max", 100.0)];

/// One measurement. Rates are per second; CPU figures cover the window.
#[derive(Debug, Clone)]
pub struct Measured {
    pub stats: Stats,
    pub window_seconds: f64,
    /// Records that the broker's end offsets grew by, and the seconds between the two readings.
    pub broker: Option<(u64, f64)>,
    pub own_cpu_ns: u64,
    pub server_cpu_ns: Option<u64>,
    pub server_resident_bytes: Option<u64>,
    /// The most that a reading over time showed.
    pub server_resident_bytes_peak: Option<u64>,
    /// Busy share of each core.
    pub core_busy: Vec<f64>,
    /// Busy share of each worker thread, spinning left out.
    pub worker_busy: Vec<f64>,
    /// Share that each worker thread waited for a CPU which other work had.
    pub worker_starved: Vec<f64>,
    pub interrupted: bool,
    pub errors: Vec<String>,
    pub record_bytes: usize,
    pub is_open_loop: bool,
    pub started: SystemTime,
    /// By the wall clock, as `started`; a step of that clock shows in the difference and nowhere else.
    pub finished: SystemTime,
    pub over_time: Vec<Interval>,
    pub audit: Option<Audit>,
}

/// A worker above this share of its core, or sends this late, mean that the instrument was part of what it measured.
const BUSY_MAX: f64 = 0.9;
const SLIP_US_MAX: u64 = 1000;
const STARVED_MAX: f64 = 0.05;

impl Measured {
    /// Records produced per second by the broker's offsets; by acknowledgements where offsets cannot tell.
    pub fn records_per_second(&self) -> f64 {
        match self.broker {
            Some((records, seconds)) if seconds > 0.0 => records as f64 / seconds,
            _ => self.stats.window_acked_records as f64 / self.window_seconds.max(1e-9),
        }
    }

    /// Bytes of record values per second, from the same source.
    pub fn bytes_per_second(&self) -> f64 {
        self.records_per_second() * self.record_bytes as f64
    }

    pub fn keep_over_time(&mut self, intervals: Vec<Interval>) {
        let resident = intervals.iter().filter_map(|i| i.server_resident_bytes);
        self.server_resident_bytes_peak = resident.chain(self.server_resident_bytes).max();
        self.over_time = intervals;
    }

    fn records_in_window(&self) -> u64 {
        match self.stats.window_acked_records {
            0 => self.stats.window_consumed_records,
            n => n,
        }
    }

    /// CPU seconds of the server for each GB (1e9 bytes) of record values.
    fn server_cpu_per_gb(&self) -> Option<f64> {
        let bytes = (self.records_in_window() * self.record_bytes as u64).max(1);
        self.server_cpu_ns.map(|ns| ns as f64 / bytes as f64)
    }

    /// Cores that were busy with anything but this process: the server and the kernel's work for it.
    fn core_busy_less_own(&self) -> f64 {
        let seconds = self.broker.map_or(self.window_seconds, |b| b.1).max(1e-9);
        (self.core_busy.iter().sum::<f64>() - self.own_cpu_ns as f64 / 1e9 / seconds).max(0.0)
    }

    fn us_per_record(&self, cpu_ns: u64) -> f64 {
        cpu_ns as f64 / 1000.0 / self.records_in_window().max(1) as f64
    }

    /// Whether anything was refused, lost or broken.
    pub fn has_failed(&self) -> bool {
        let s = &self.stats;
        let is_unanswered = s.sent_records > 0 && s.acked_records == 0;
        let is_refused = !s.produce_errors.is_empty() || !s.fetch_errors.is_empty();
        let is_unproved = self.audit.as_ref().is_some_and(|audit| !audit.is_clean());
        is_unanswered || is_refused || is_unproved || !self.errors.is_empty()
    }

    /// What a reader must know before believing the figures.
    pub fn warnings(&self) -> Vec<String> {
        let s = &self.stats;
        let busiest = self.worker_busy.iter().copied().fold(0.0, f64::max);
        let starved = self.worker_starved.iter().copied().fold(0.0, f64::max);
        let late = s.slip.percentile(99.0);
        let checks = [
            (
                busiest > BUSY_MAX,
                format!(
                    "load generator saturated: a worker used {:.0} % of its core; add --threads or --cpus",
                    busiest * 100.0
                ),
            ),
            (
                starved > STARVED_MAX,
                format!(
                    "load generator starved: a worker waited {:.0} % of the time for a CPU that other work had",
                    starved * 100.0
                ),
            ),
            (
                late > SLIP_US_MAX,
                format!(
                    "load generator saturated: 1 % of sends began {late} us or more after they could have"
                ),
            ),
            (
                s.unsent_records > 0,
                format!("the rate was not reached: {} records were due and never sent", s.unsent_records),
            ),
            (
                s.censored_records > 0,
                format!(
                    "{} records had no answer when the run ended; their latency is a lower bound",
                    s.censored_records
                ),
            ),
            (
                s.unknown_records > 0,
                format!("{} records were in flight when a connection broke", s.unknown_records),
            ),
            (self.interrupted, "interrupted: the window is shorter than asked for".to_string()),
            (
                self.broker.is_none() && s.window_acked_records > 0,
                "throughput from acknowledgements: the broker's end offsets could not be read".to_string(),
            ),
        ];
        let mut out: Vec<String> = checks.into_iter().filter(|(is, _)| *is).map(|(_, text)| text).collect();
        for (api, errors) in [("Produce", &s.produce_errors), ("Fetch", &s.fetch_errors)] {
            out.extend(
                errors
                    .iter()
                    .map(|(code, n)| format!("{api} refused {n} times: {} ({code})", error_name(*code))),
            );
        }
        out.extend(self.errors.iter().cloned());
        out
    }

    /// The sum of several measurements: histograms and counts added, CPU and time too.
    pub fn pooled(all: &[Measured]) -> Option<Measured> {
        let mut out = all.first()?.clone();
        for m in &all[1..] {
            out.stats.merge(&m.stats);
            out.window_seconds += m.window_seconds;
            out.broker = out.broker.zip(m.broker).map(|(a, b)| (a.0 + b.0, a.1 + b.1));
            out.own_cpu_ns += m.own_cpu_ns;
            out.server_cpu_ns = out.server_cpu_ns.zip(m.server_cpu_ns).map(|(a, b)| a + b);
            out.server_resident_bytes = out.server_resident_bytes.max(m.server_resident_bytes);
            out.server_resident_bytes_peak = out.server_resident_bytes_peak.max(m.server_resident_bytes_peak);
            out.finished = m.finished;
            out.interrupted |= m.interrupted;
            out.errors.extend(m.errors.iter().cloned());
            for (a, b) in out.worker_busy.iter_mut().zip(&m.worker_busy) {
                *a = a.max(*b);
            }
            for (a, b) in out.worker_starved.iter_mut().zip(&m.worker_starved) {
                *a = a.max(*b);
            }
            for (a, b) in out.core_busy.iter_mut().zip(&m.core_busy) {
                *a += b;
            }
            out.audit = match (out.audit, &m.audit) {
                (Some(sum), Some(one)) => Some(sum.plus(one)),
                (sum, one) => sum.or_else(|| one.clone()),
            };
        }
        out.core_busy.iter_mut().for_each(|b| *b /= all.len() as f64);
        Some(out)
    }

    fn latencies(&self) -> [(&'static str, &'static str, &Latency); 4] {
        let s = &self.stats;
        let first = if self.is_open_loop { "latency (from intended send)" } else { "latency (closed loop)" };
        [
            ("latency", first, &s.latency),
            ("service", "service time (from actual send)", &s.service),
            ("end_to_end", "end to end (to a consumer)", &s.end_to_end),
            ("slip", "slip of sends", &s.slip),
        ]
    }
}

/// The table printed at the end.
pub fn table(m: &Measured, repeats: &[Measured]) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _infallible = writeln!(out, "{name:<34} {value}");
    };
    let s = &m.stats;
    if s.sent_records > 0 {
        let rate = format!("{:.0} records/s, {:.1} MB/s", m.records_per_second(), m.bytes_per_second() / 1e6);
        let source = if m.broker.is_some() { "from end offsets" } else { "from acknowledgements" };
        row("produced", format!("{rate} ({source}, {:.2} s)", m.broker.map_or(m.window_seconds, |b| b.1)));
        row("requests", format!("{:.0}/s", s.window_acked_batches as f64 / m.window_seconds.max(1e-9)));
    }
    if s.consumed_records > 0 {
        let per_second = 1.0 / m.window_seconds.max(1e-9);
        row(
            "consumed",
            format!(
                "{:.0} records/s, {:.1} MB/s (batch bytes)",
                s.window_consumed_records as f64 * per_second,
                s.window_consumed_bytes as f64 * per_second / 1e6
            ),
        );
    }
    for (_, name, latency) in m.latencies().into_iter().filter(|l| !l.2.histogram().is_empty()) {
        let cells: Vec<String> = PERCENTILES
            .iter()
            .map(|(label, p)| format!("{} {}", label.replace('_', "."), latency.percentile(*p)))
            .collect();
        row(&format!("{name}, us"), cells.join("  "));
    }
    row("CPU, load generator", format!("{:.3} us/record", m.us_per_record(m.own_cpu_ns)));
    if let Some(cpu) = m.server_cpu_ns {
        let memory = m
            .server_resident_bytes
            .map_or(String::new(), |b| format!(", resident {:.1} MiB", b as f64 / 1048576.0))
            + &m.server_resident_bytes_peak
                .map_or(String::new(), |b| format!(", peak {:.1} MiB", b as f64 / 1048576.0));
        let per_gb = m.server_cpu_per_gb().unwrap_or(0.0);
        row("CPU, server", format!("{:.3} us/record, {per_gb:.3} s/GB{memory}", m.us_per_record(cpu)));
    }
    let cores: Vec<String> = m.core_busy.iter().map(|b| format!("{:.0} %", b * 100.0)).collect();
    row("cores busy", cores.join("  "));
    if repeats.len() > 1 {
        let mut rates: Vec<f64> = repeats.iter().map(Measured::records_per_second).collect();
        rates.sort_by(f64::total_cmp);
        row(
            "repeats, records/s",
            format!(
                "min {:.0}  median {:.0}  max {:.0}",
                rates[0],
                rates[rates.len() / 2],
                rates[rates.len() - 1]
            ),
        );
    }
    if let Some(audit) = &m.audit {
        row("verified", verdict(audit));
        audit.examples.iter().for_each(|e| row("", e.clone()));
    }
    m.warnings().into_iter().for_each(|w| row("warning", w));
    out
}

/// One line of an audit.
pub fn verdict(a: &Audit) -> String {
    if a.is_clean() {
        let extra = match a.unacknowledged_present {
            0 => String::new(),
            n => format!("; {n} more were stored whose acknowledgement never arrived"),
        };
        return format!("ok: {} acknowledged records found once, in order, intact{extra}", a.found);
    }
    format!(
        "FAILED: of {} acknowledged {} found, {} lost, {} duplicated, {} reordered, {} corrupt, {} in the wrong partition, {} at another offset",
        a.acknowledged, a.found, a.lost, a.duplicated, a.reordered, a.corrupt, a.misplaced, a.moved
    )
}

fn latency_json(latency: &Latency) -> Value {
    let h = latency.histogram();
    let mut out = json!({ "unit": "us", "count": h.len(), "min": h.min(), "mean": h.mean() });
    for (name, p) in PERCENTILES {
        out[name] = json!(latency.percentile(p));
    }
    let mut bytes = Vec::new();
    // Serialising into memory fails only for counts beyond what the format holds; the percentiles remain then.
    if V2Serializer::new().serialize(h, &mut bytes).is_ok() {
        out["histogram_v2_base64"] = json!(base64::engine::general_purpose::STANDARD.encode(&bytes));
    }
    out
}

/// One measurement as JSON.
pub fn measured_json(m: &Measured) -> Value {
    let s = &m.stats;
    let mut latencies = json!({});
    for (key, _, latency) in m.latencies() {
        latencies[key] = latency_json(latency);
    }
    json!({
        "records_per_second": m.records_per_second(),
        "bytes_per_second": m.bytes_per_second(),
        "throughput_source": if m.broker.is_some() { "end_offsets" } else { "acknowledgements" },
        "requests_per_second": s.window_acked_batches as f64 / m.window_seconds.max(1e-9),
        "consumed_records_per_second": s.window_consumed_records as f64 / m.window_seconds.max(1e-9),
        "consumed_bytes_per_second": s.window_consumed_bytes as f64 / m.window_seconds.max(1e-9),
        "window_seconds": m.window_seconds,
        "latencies": latencies,
        "sent_records": s.sent_records,
        "acked_records": s.acked_records,
        "acked_batches": s.acked_batches,
        "window_acked_records": s.window_acked_records,
        "window_acked_batch_bytes": s.acked_bytes,
        "consumed_records": s.consumed_records,
        "censored_records": s.censored_records,
        "unsent_records": s.unsent_records,
        "unknown_records": s.unknown_records,
        "resent_batches": s.resent_batches,
        "reconnects": s.reconnects,
        "produce_errors": s.produce_errors,
        "fetch_errors": s.fetch_errors,
        "own_cpu_us_per_record": m.us_per_record(m.own_cpu_ns),
        "own_cpu_seconds": m.own_cpu_ns as f64 / 1e9,
        "server_cpu_us_per_record": m.server_cpu_ns.map(|c| m.us_per_record(c)),
        "server_cpu_seconds": m.server_cpu_ns.map(|c| c as f64 / 1e9),
        "server_resident_bytes": m.server_resident_bytes,
        "server_resident_bytes_peak": m.server_resident_bytes_peak,
        "server_cpu_seconds_per_gb": m.server_cpu_per_gb(),
        "core_busy_less_own": m.core_busy_less_own(),
        "core_busy": m.core_busy,
        "worker_busy": m.worker_busy,
        "worker_starved": m.worker_starved,
        "interrupted": m.interrupted,
        "audit": m.audit,
        "warnings": m.warnings(),
    })
}

/// A repeat has its course over time besides; of pooled repeats there is none.
fn repeat_json(m: &Measured) -> Value {
    let mut out = measured_json(m);
    out["over_time"] = json!(m.over_time);
    out
}

/// The whole document: where and how it was measured, each repeat, and all repeats pooled.
pub fn document(pooled: &Measured, repeats: &[Measured], config: Value) -> Value {
    let unix =
        |t: SystemTime| t.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
    json!({
        "format": 2,
        "tool": concat!("thalweg-loadgen ", env!("CARGO_PKG_VERSION")),
        "commit": env!("THALWEG_COMMIT"),
        "command": std::env::args().collect::<Vec<_>>(),
        "started_unix_seconds": unix(pooled.started),
        "finished_unix_seconds": unix(pooled.finished),
        "host": Host::read(),
        "config": config,
        "result": measured_json(pooled),
        "repeats": repeats.iter().map(repeat_json).collect::<Vec<_>>(),
    })
}

/// An HdrHistogram log (format 1.3): per repeat one interval for each kind of latency, tagged with its name, in
/// microseconds.
pub fn write_hdr(path: &Path, repeats: &[Measured]) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut serializer = V2DeflateSerializer::new();
    let started = repeats.first().map_or(SystemTime::UNIX_EPOCH, |m| m.started);
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(concat!("thalweg-loadgen ", env!("CARGO_PKG_VERSION"), ", microseconds"))
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(1.0)
        .begin_log_with(&mut out, &mut serializer)?;
    for m in repeats {
        let at = m.started.duration_since(started).unwrap_or(Duration::ZERO);
        let length = Duration::from_secs_f64(m.window_seconds);
        for (key, _, latency) in m.latencies() {
            let tag = hdrhistogram::serialization::interval_log::Tag::new(key);
            log.write_histogram(latency.histogram(), at, length, tag)
                .map_err(|e| io::Error::other(format!("{e:?}")))?;
        }
    }
    drop(log);
    io::Write::flush(&mut out)
}
