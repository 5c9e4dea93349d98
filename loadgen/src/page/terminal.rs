//! The report for a terminal: a line of figures for each point, with a bar for its throughput and a sparkline of its
//! p99 over time.

use super::data::{Page, PointData};
use crate::compare::figure;
use crate::screen::time;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BAR_WIDTH: usize = 16;
const SPARK_WIDTH: usize = 24;

pub fn summary(page: &Page) -> String {
    let mut out = format!("{}\n", page.title);
    let names = page.points.iter().map(|p| label(page, p).chars().count());
    let width = names.max().unwrap_or(10);
    out += &format!(
        "{:width$}  {:>10}  {:>8}  {:<BAR_WIDTH$}  {:>9} {:>9} {:>9}  {:>8}  p99 over time\n",
        "point", "records/s", "MB/s", "", "p50", "p99", "p99.9", "CPU s/GB"
    );
    let best = page.points.iter().map(|p| throughput(p).0).fold(1e-9, f64::max);
    for p in &page.points {
        let (records, bytes) = throughput(p);
        let latency = p.latencies.get("latency").or(p.latencies.get("end_to_end"));
        let us = |name: &str| latency.map_or("-".into(), |l| time(l.percentiles[name] as f64));
        let cpu = p.metrics.get("server_cpu_seconds_per_gb").map_or("-".into(), |v| figure(median(v)));
        out += &format!(
            "{:width$}  {:>10}  {:>8}  {:<BAR_WIDTH$}  {:>9} {:>9} {:>9}  {:>8}  {}\n",
            label(page, p),
            figure(records),
            figure(bytes / 1e6),
            bar(records / best),
            us("p50"),
            us("p99"),
            us("p99_9"),
            cpu,
            sparkline(&p.over_time.p99_us)
        );
    }
    out
}

fn label(page: &Page, p: &PointData) -> String {
    match (p.name.as_str(), page.brokers.len()) {
        ("run", _) => p.broker.clone(),
        (_, 0 | 1) => p.name.clone(),
        _ => format!("{}: {}", p.broker, p.name),
    }
}

fn throughput(p: &PointData) -> (f64, f64) {
    let of = |name: &str| p.metrics.get(name).map_or(0.0, |v| median(v));
    match of("records_per_second") {
        0.0 => (of("consumed_records_per_second"), of("consumed_bytes_per_second")),
        records => (records, of("bytes_per_second")),
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

fn bar(share: f64) -> String {
    let eighths = (share.clamp(0.0, 1.0) * BAR_WIDTH as f64 * 8.0).round() as usize;
    let part = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let mut out = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        out.push(part[eighths % 8 - 1]);
    }
    out
}

/// The worst of each stretch, so that a spike survives; heights are logarithmic, as latencies are.
fn sparkline(values: &[f64]) -> String {
    let step = values.len().div_ceil(SPARK_WIDTH).max(1);
    let worst: Vec<f64> = values.chunks(step).map(|c| c.iter().copied().fold(0.0, f64::max)).collect();
    let logs = worst.iter().filter(|v| **v > 0.0).map(|v| v.ln());
    let (low, high) = logs.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
    let height = |v: f64| ((v.ln() - low) / (high - low).max(0.7) * 7.0).round().clamp(0.0, 7.0) as usize;
    worst.iter().map(|v| if *v > 0.0 { BARS[height(*v)] } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_charts_keep_spikes_and_gaps() {
        let mut values = vec![100.0; 48];
        values[20] = 100_000.0;
        values[40] = 0.0;
        values[41] = 0.0;
        let line = sparkline(&values);
        assert_eq!(line.chars().count(), 24);
        assert_eq!(line.chars().nth(10), Some('█'));
        assert_eq!(line.chars().nth(20), Some(' '));
        assert_eq!(bar(1.0).chars().count(), BAR_WIDTH);
        assert_eq!(bar(0.0), "");
        assert_eq!(median(&[3.0, 1.0, 2.0, 10.0]), 2.5);
    }
}
