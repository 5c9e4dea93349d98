//! What the page shows, as the JSON inside it. Percentiles come from the histograms of the runs, added up over repeats;
//! nothing is averaged, and the page computes nothing but positions on a screen.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};

use crate::buckets;
use crate::over_time::Interval;
use crate::report::PERCENTILES;
use crate::stored::Point;

/// Rows of the heat map: four to an octave.
const SUBS_PER_ROW: usize = 8;
/// Columns of a heat map, over all repeats.
const COLUMNS_MAX: usize = 160;

#[derive(Debug, Serialize)]
pub struct Page {
    pub title: String,
    pub brokers: Vec<String>,
    pub hosts: Vec<Value>,
    pub points: Vec<PointData>,
}

#[derive(Debug, Serialize)]
pub struct PointData {
    pub broker: String,
    pub name: String,
    pub table: String,
    pub varied: BTreeMap<String, String>,
    pub source: String,
    pub command: String,
    pub server_command: String,
    pub topic_config: Value,
    pub is_open_loop: bool,
    /// `name -> one value of each repeat`.
    pub metrics: BTreeMap<&'static str, Vec<f64>>,
    /// `kind -> curve`, of latency, service and end_to_end.
    pub latencies: BTreeMap<&'static str, Curve>,
    pub over_time: OverTime,
    pub heat: Heat,
    pub search: Value,
    pub warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Curve {
    pub count: u64,
    pub percentiles: BTreeMap<&'static str, u64>,
    /// `(1 / (1 - quantile), us)`: the axis of an HDR plot, on which each decade is another nine.
    pub points: Vec<(f64, u64)>,
}

/// One column for each interval, all repeats one after the other.
#[derive(Debug, Default, Serialize)]
pub struct OverTime {
    /// Middle of the interval, in seconds of measurement.
    pub at: Vec<f64>,
    pub records_per_second: Vec<f64>,
    pub consumed_per_second: Vec<f64>,
    pub p50_us: Vec<f64>,
    pub p99_us: Vec<f64>,
    pub max_us: Vec<f64>,
    /// Where another repeat begins.
    pub repeats_at: Vec<f64>,
}

#[derive(Debug, Default, Serialize)]
pub struct Heat {
    pub columns: Vec<f64>,
    /// Lower edge of each row, in microseconds.
    pub rows_us: Vec<f64>,
    /// `(column, row, records)`.
    pub cells: Vec<(usize, usize, u64)>,
}

const METRICS: [(&str, &str); 9] = [
    ("records_per_second", "/records_per_second"),
    ("bytes_per_second", "/bytes_per_second"),
    ("consumed_records_per_second", "/consumed_records_per_second"),
    ("consumed_bytes_per_second", "/consumed_bytes_per_second"),
    ("requests_per_second", "/requests_per_second"),
    ("server_cpu_seconds_per_gb", "/server_cpu_seconds_per_gb"),
    ("server_cpu_us_per_record", "/server_cpu_us_per_record"),
    ("server_resident_bytes_peak", "/server_resident_bytes_peak"),
    ("p99_us", "/latencies/latency/p99"),
];

impl Page {
    pub fn of(title: &str, points: &[Point]) -> Result<Self, String> {
        let mut brokers: Vec<String> = Vec::new();
        for p in points {
            if !brokers.contains(&p.label) {
                brokers.push(p.label.clone());
            }
        }
        let mut hosts: Vec<Value> = Vec::new();
        for p in points {
            let host = host(p);
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let points = points.iter().map(PointData::of).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { title: title.to_string(), brokers, hosts, points })
    }
}

fn host(p: &Point) -> Value {
    let disk = if p.server["disk"].is_object() { &p.server["disk"] } else { &p.host["disk"] };
    json!({
        "broker": p.label, "name": p.host["name"], "kernel": p.host["kernel"], "cpu": p.host["cpu"],
        "cores": p.host["cores"], "memory_bytes": p.host["memory_bytes"], "disk": disk,
        "load_generator": p.commit, "server_version": p.server["version"], "server_cpus": p.server["cpus"],
        "load_cpus": p.config["cpus"],
    })
}

impl PointData {
    fn of(p: &Point) -> Result<Self, String> {
        let mut latencies = BTreeMap::new();
        for kind in ["latency", "service", "end_to_end"] {
            if let Some(histogram) = p.histogram(kind)? {
                latencies.insert(kind, Curve::of(&histogram));
            }
        }
        let metrics = METRICS.iter().map(|(name, pointer)| (*name, p.values(pointer)));
        let mut warnings: Vec<String> = Vec::new();
        for w in p.repeats.iter().flat_map(|r| r["warnings"].as_array()).flatten().filter_map(Value::as_str) {
            if !warnings.iter().any(|there| there == w) {
                warnings.push(w.to_string());
            }
        }
        let series = series(p);
        let server = p.server["command"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(Self {
            broker: p.label.clone(),
            name: p.name(),
            table: p.table.clone(),
            varied: p.varied.clone(),
            source: p.source.clone(),
            command: shell(p.command.iter().map(String::as_str)),
            server_command: shell(server),
            topic_config: p.config["topic_config"].clone(),
            is_open_loop: p.config["rate"].as_str().is_some_and(|r| r != "Max"),
            metrics: metrics.filter(|(_, v)| v.iter().any(|v| *v > 0.0)).collect(),
            latencies,
            over_time: OverTime::of(&series),
            heat: Heat::of(&series),
            search: p.search.clone(),
            warnings,
        })
    }
}

/// A command that a shell takes back as it was.
fn shell<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let quoted = words.map(|w| match !w.is_empty() && w.chars().all(plain) {
        true => w.to_string(),
        false => format!("'{}'", w.replace('\'', "'\\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

impl Curve {
    pub fn of(h: &Histogram<u64>) -> Self {
        let percentiles = PERCENTILES.iter().map(|(name, p)| (*name, h.value_at_percentile(*p))).collect();
        // Past the last sample there is nothing to tell: the axis ends at one in `count`.
        let end = h.len() as f64;
        let mut points: Vec<(f64, u64)> = Vec::new();
        let mut x = 1.0;
        while x < end {
            points.push((x, h.value_at_quantile(1.0 - 1.0 / x)));
            x *= 10f64.powf(1.0 / 16.0);
        }
        points.push((end.max(1.0), h.max()));
        Self { count: h.len(), percentiles, points }
    }
}

/// Intervals of all repeats on one axis, and where each repeat begins.
fn series(p: &Point) -> (Vec<(f64, Interval)>, Vec<f64>) {
    let (mut out, mut begins, mut base) = (Vec::new(), Vec::new(), 0.0);
    for repeat in &p.repeats {
        let Ok(intervals) = serde_json::from_value::<Vec<Interval>>(repeat["over_time"].clone()) else {
            continue;
        };
        let length = intervals.last().map_or(0.0, |i| i.at_seconds + i.seconds);
        begins.push(base);
        out.extend(intervals.into_iter().map(|i| (base + i.at_seconds, i)));
        base += length;
    }
    (out, begins)
}

impl OverTime {
    fn of((intervals, begins): &(Vec<(f64, Interval)>, Vec<f64>)) -> Self {
        let mut out = Self { repeats_at: begins.iter().skip(1).copied().collect(), ..Self::default() };
        for (at, i) in intervals {
            let seconds = i.seconds.max(1e-9);
            let latency = if i.latency.is_empty() { &i.end_to_end } else { &i.latency };
            out.at.push(at + i.seconds / 2.0);
            out.records_per_second.push(i.acked_records as f64 / seconds);
            out.consumed_per_second.push(i.consumed_records as f64 / seconds);
            out.p50_us.push(buckets::percentile_us(latency, 50.0));
            out.p99_us.push(buckets::percentile_us(latency, 99.0));
            out.max_us.push(buckets::percentile_us(latency, 100.0));
        }
        out
    }
}

impl Heat {
    fn of((intervals, _): &(Vec<(f64, Interval)>, Vec<f64>)) -> Self {
        let step = intervals.len().div_ceil(COLUMNS_MAX).max(1);
        let mut out = Self::default();
        let mut cells: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for (column, chunk) in intervals.chunks(step).enumerate() {
            out.columns.push(chunk[0].0);
            for (_, i) in chunk {
                let latency = if i.latency.is_empty() { &i.end_to_end } else { &i.latency };
                for (bucket, n) in latency {
                    *cells.entry((column, bucket / SUBS_PER_ROW)).or_default() += n;
                }
            }
        }
        let rows = cells.keys().map(|(_, row)| *row);
        let (Some(first), Some(last)) = (rows.clone().min(), rows.max()) else { return out };
        out.rows_us = (first..=last).map(|row| buckets::low(row * SUBS_PER_ROW) as f64 / 1000.0).collect();
        out.cells = cells.into_iter().map(|((column, row), n)| (column, row - first, n)).collect();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::SplitMix;

    #[test]
    fn the_curve_and_its_percentiles_are_those_of_the_histogram() {
        let mut random = SplitMix(3);
        let mut h = Histogram::<u64>::new_with_bounds(1, 3_600_000_000, 3).unwrap();
        for _ in 0..50_000 {
            h.record(100 + random.below(1000) * random.below(30)).unwrap();
        }
        let curve = Curve::of(&h);
        for (name, p) in PERCENTILES {
            assert_eq!(curve.percentiles[name], h.value_at_percentile(p));
        }
        for (x, us) in &curve.points {
            assert_eq!(*us, if *x >= 50_000.0 { h.max() } else { h.value_at_quantile(1.0 - 1.0 / x) });
        }
        assert!(curve.points.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1));
    }

    #[test]
    fn commands_survive_a_shell() {
        assert_eq!(
            shell(["run", "--topic-config", "a=b c", "it's"].into_iter()),
            "run --topic-config 'a=b c' 'it'\\''s'"
        );
    }
}
