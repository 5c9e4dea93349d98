//! `compare A B`: two stored runs or sweeps, point by point.
//!
//! It refuses points whose workload differs, since their ratio would mean nothing, and says when hosts differ. What may
//! differ is what is compared: the broker, its settings, and the topic's.

pub mod difference;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::run::RunError;
use crate::stored::{self, Point};
use difference::{Difference, Metric, Verdict, judge};

#[derive(Debug, Args)]
pub struct CompareOptions {
    /// A result of `run --json`, or the directory of a sweep
    #[arg(value_name = "A")]
    pub a: PathBuf,
    /// What to compare with it: ratios are B / A
    #[arg(value_name = "B")]
    pub b: PathBuf,
    /// Write the comparison as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Fields of a run's config that make the workload. A run asks the same of both brokers, or is not compared.
const WORKLOAD: [&str; 21] = [
    "topics",
    "partitions",
    "producers",
    "consumers",
    "threads",
    "record_size",
    "batch_bytes",
    "linger_us",
    "in_flight",
    "acks",
    "compression",
    "keys",
    "rate",
    "from",
    "replay",
    "verify",
    "idempotent",
    "replication_factor",
    "fetch_max_bytes",
    "partition_fetch_bytes",
    "ledger",
];
/// `(name, pointer into a repeat, grain)`.
const METRICS: [(&str, &str, f64); 9] = [
    ("records/s", "/records_per_second", 0.0),
    ("consumed records/s", "/consumed_records_per_second", 0.0),
    ("p50 us", "/latencies/latency/p50", 1.0),
    ("p99 us", "/latencies/latency/p99", 1.0),
    ("p99.9 us", "/latencies/latency/p99_9", 1.0),
    ("end to end p99 us", "/latencies/end_to_end/p99", 1.0),
    ("server CPU s/GB", "/server_cpu_seconds_per_gb", 0.0),
    ("server CPU us/record", "/server_cpu_us_per_record", 0.0),
    ("server memory, peak", "/server_resident_bytes_peak", 0.0),
];

pub fn compare(options: &CompareOptions) -> Result<bool, RunError> {
    let load = |path: &PathBuf| stored::load(path).map_err(RunError::Options);
    let compared = Comparison::of(&load(&options.a)?, &load(&options.b)?).map_err(RunError::Options)?;
    print!("{}", compared.table());
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", compared.json()))?;
    }
    Ok(true)
}

pub struct Comparison {
    a: String,
    b: String,
    warnings: Vec<String>,
    points: Vec<(String, Vec<Difference>)>,
}

impl Comparison {
    pub fn of(a: &[Point], b: &[Point]) -> Result<Self, String> {
        let pairs = pairs(a, b)?;
        for (one, other) in &pairs {
            check_workload(one, other)?;
        }
        let metrics: Vec<Metric> = pairs.iter().flat_map(|(one, other)| metrics(one, other)).collect();
        let mut judged = judge(&metrics).into_iter();
        let mut points = Vec::new();
        for (one, other) in &pairs {
            let count = self::metrics(one, other).len();
            points.push((one.name(), judged.by_ref().take(count).collect()));
        }
        let name = |p: &[Point]| p.first().map_or(String::new(), |p| p.label.clone());
        Ok(Self { a: name(a), b: name(b), warnings: warnings(a, b, &pairs), points })
    }

    pub fn differences(&self) -> impl Iterator<Item = &Difference> {
        self.points
            .iter()
            .flat_map(|(_, d)| d)
            .filter(|d| matches!(d.verdict, Verdict::Higher | Verdict::Lower))
    }

    pub fn table(&self) -> String {
        let mut out = format!("A = {}, B = {}; ratios are B / A with their 95 % interval\n", self.a, self.b);
        self.warnings.iter().for_each(|w| out += &format!("warning: {w}\n"));
        for (point, differences) in &self.points {
            out += &format!("\n{point}\n");
            for d in differences {
                let (a, b) = (figure(d.a), figure(d.b));
                let verdict = match d.verdict {
                    Verdict::Higher => "B is higher",
                    Verdict::Lower => "B is lower",
                    Verdict::WithinNoise => "within the noise",
                    Verdict::TooFewRepeats => "one repeat says nothing of the noise; use --repeats",
                };
                let interval = if d.verdict == Verdict::TooFewRepeats {
                    String::new()
                } else {
                    format!(" ({:.2}..{:.2})", d.low, d.high)
                };
                out +=
                    &format!("  {:<22} {a:>12} {b:>12}  {:.2}x{interval:<15} {verdict}\n", d.name, d.ratio);
            }
        }
        let tested = self.points.iter().map(|(_, d)| d.len()).sum::<usize>();
        out += &format!("\n{} of {tested} figures differ", self.differences().count());
        out + " (at most one comparison in twenty of like with like finds any)\n"
    }

    fn json(&self) -> Value {
        let one = |d: &Difference| {
            json!({ "metric": d.name, "a": d.a, "b": d.b, "ratio": d.ratio, "ratio_low": d.low,
                    "ratio_high": if d.high.is_finite() { json!(d.high) } else { Value::Null }, "p": d.p,
                    "verdict": d.verdict })
        };
        let point = |(name, all): &(String, Vec<Difference>)| json!({ "point": name, "differences": all.iter().map(one).collect::<Vec<_>>() });
        json!({ "a": self.a, "b": self.b, "warnings": self.warnings, "level": difference::LEVEL,
                "smallest": difference::SMALLEST, "points": self.points.iter().map(point).collect::<Vec<_>>() })
    }
}

/// Points of the same name; two single runs are a pair whatever they are called.
fn pairs<'p>(a: &'p [Point], b: &'p [Point]) -> Result<Vec<(&'p Point, &'p Point)>, String> {
    if let ([one], [other]) = (a, b) {
        return Ok(vec![(one, other)]);
    }
    // What only one side sets (durability, shards) is no part of a workload and so of no name to be met.
    let by_name: BTreeMap<String, &Point> = b.iter().map(|p| (p.name(), p)).collect();
    let found: Vec<_> = a.iter().filter_map(|p| by_name.get(&p.name()).map(|other| (p, *other))).collect();
    if found.is_empty() {
        return Err("the two have no point in common".into());
    }
    Ok(found)
}

fn check_workload(a: &Point, b: &Point) -> Result<(), String> {
    // A search found each side's rate: it is the answer, not the question.
    let searched = a.search.is_object() && b.search.is_object();
    let asked = WORKLOAD.iter().filter(|key| !(searched && **key == "rate"));
    // What an older document does not say is warned of.
    let differs = asked.filter(|key| is_said_by_both(a, b, key) && a.config[**key] != b.config[**key]);
    let unlike: Vec<String> =
        differs.map(|key| format!("{key} is {} in A and {} in B", a.config[*key], b.config[*key])).collect();
    if unlike.is_empty() {
        return Ok(());
    }
    Err(format!("unlike workloads are not compared: {} ({})", unlike.join(", "), a.name()))
}

fn is_said_by_both(a: &Point, b: &Point, key: &str) -> bool {
    !a.config[key].is_null() && !b.config[key].is_null()
}

fn metrics(a: &Point, b: &Point) -> Vec<Metric> {
    let mut out = Vec::new();
    for (name, pointer, grain) in METRICS {
        let positive = |p: &Point| p.values(pointer).into_iter().filter(|v| *v > 0.0).collect::<Vec<_>>();
        let (a, b) = (positive(a), positive(b));
        if !a.is_empty() && !b.is_empty() {
            out.push(Metric { name: name.to_string(), a, b, grain });
        }
    }
    out
}

fn warnings(a: &[Point], b: &[Point], pairs: &[(&Point, &Point)]) -> Vec<String> {
    let mut out = Vec::new();
    let mut say = |text: String| {
        if !out.contains(&text) {
            out.push(text);
        }
    };
    for (one, other) in pairs {
        for key in ["name", "cpu", "cores", "kernel", "memory_bytes"] {
            if one.host[key] != other.host[key] {
                say(format!(
                    "the hosts differ: {key} is {} in A and {} in B",
                    one.host[key], other.host[key]
                ));
            }
        }
        if one.commit != other.commit {
            say(format!("the load generators differ: commit {} in A, {} in B", one.commit, other.commit));
        }
        for key in WORKLOAD.into_iter().filter(|key| !is_said_by_both(one, other, key)) {
            if one.config[key] != other.config[key] {
                let silent = if one.config[key].is_null() { "A" } else { "B" };
                say(format!("{silent} does not say what its {key} was"));
            }
        }
        for key in ["warmup_seconds", "duration_seconds"] {
            if one.config[key] != other.config[key] {
                say(format!("{key} is {} in A and {} in B", one.config[key], other.config[key]));
            }
        }
        if one.config["topic_config"] != other.config["topic_config"] {
            let (a, b) = (&one.config["topic_config"], &other.config["topic_config"]);
            say(format!("topic configs differ: {a} in A, {b} in B"));
        }
    }
    for (side, points) in [("A", a), ("B", b)] {
        for point in points {
            for text in troubles(point) {
                say(format!("{side}: {text} ({})", point.name()));
            }
        }
        if points.len() > pairs.len() {
            say(format!("{} points are in {side} only", points.len() - pairs.len()));
        }
        let of_runs = points.iter().flat_map(|p| &p.repeats).flat_map(|r| r["warnings"].as_array()).flatten();
        for warning in of_runs.filter_map(Value::as_str).filter(|w| w.contains("load generator")) {
            say(format!("{side}: {warning}"));
        }
    }
    out
}

/// What makes a point's figures those of another load than was asked for.
fn troubles(point: &Point) -> Vec<String> {
    let sum = |key: &str| point.repeats.iter().filter_map(|r| r[key].as_u64()).sum::<u64>();
    let refused = |key: &str| {
        let counts = point.repeats.iter().filter_map(|r| r[key].as_object()).flatten();
        counts.filter_map(|(_, count)| count.as_u64()).sum::<u64>()
    };
    let counts = [
        ("records were refused", refused("produce_errors")),
        ("fetches were refused", refused("fetch_errors")),
        ("records were due and never sent", sum("unsent_records")),
        ("records had no answer when the run ended", sum("censored_records")),
    ];
    counts.into_iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect()
}

/// A number for people.
pub fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 1e9 => format!("{:.2}G", value / 1e9),
        v if v >= 1e6 => format!("{:.2}M", value / 1e6),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(label: &str, partitions: u64, host: &str, rates: &[f64]) -> Point {
        Point {
            label: label.into(),
            source: String::new(),
            table: String::new(),
            varied: [("partitions".to_string(), partitions.to_string())].into_iter().collect(),
            config: json!({ "partitions": partitions, "producers": 4 }),
            host: json!({ "name": host }),
            commit: String::new(),
            command: Vec::new(),
            server: Value::Null,
            search: Value::Null,
            sweep_point: None,
            started_unix_seconds: 0.0,
            repeats: rates.iter().map(|r| json!({ "records_per_second": r, "warnings": [] })).collect(),
        }
    }

    #[test]
    fn unlike_workloads_are_refused_by_name() {
        let refused = Comparison::of(&[point("a", 1, "h", &[1.0])], &[point("b", 4, "h", &[1.0])]);
        let text = refused.err().unwrap();
        assert!(text.contains("partitions is 1 in A and 4 in B"), "{text}");
    }

    #[test]
    fn what_consumers_and_proofs_ask_for_is_part_of_the_workload() {
        let with = |key: &str, value: Value| {
            let mut point = point("p", 1, "h", &[1.0]);
            point.config[key] = value;
            point
        };
        for key in ["fetch_max_bytes", "partition_fetch_bytes", "replication_factor", "ledger"] {
            let refused = Comparison::of(&[with(key, json!(1))], &[with(key, json!(2))]);
            assert!(refused.err().unwrap().contains(&format!("{key} is 1 in A and 2 in B")));
            let table =
                Comparison::of(&[point("a", 1, "h", &[1.0])], &[with(key, json!(2))]).unwrap().table();
            assert!(table.contains(&format!("warning: A does not say what its {key} was")), "{table}");
        }
    }

    #[test]
    fn records_that_were_refused_or_not_sent_are_warned_of() {
        let (a, mut b) = (point("a", 1, "h", &[1.0]), point("b", 1, "h", &[1.0]));
        b.repeats[0]["produce_errors"] = json!({ "10": 3, "7": 1 });
        b.repeats[0]["unsent_records"] = json!(5);
        b.repeats[0]["censored_records"] = json!(0);
        let table = Comparison::of(&[a], &[b]).unwrap().table();
        assert!(table.contains("warning: B: 4 records were refused (partitions=1)"), "{table}");
        assert!(table.contains("warning: B: 5 records were due and never sent"), "{table}");
        assert!(!table.contains("no answer") && !table.contains("warning: A"), "{table}");
    }

    #[test]
    fn other_hosts_are_warned_of_and_noise_is_called_noise() {
        let a = [point("a", 1, "h", &[100.0, 103.0, 98.0]), point("a", 4, "h", &[200.0, 201.0, 203.0])];
        let b = [point("b", 1, "i", &[99.0, 104.0, 101.0]), point("b", 4, "i", &[300.0, 301.0, 299.0])];
        let compared = Comparison::of(&a, &b).unwrap();
        let table = compared.table();
        assert!(table.contains("hosts differ: name is \"h\" in A and \"i\" in B"), "{table}");
        assert_eq!(table.matches("within the noise").count(), 1, "{table}");
        assert_eq!(table.matches("B is higher").count(), 1, "{table}");
        assert_eq!(compared.json()["points"][1]["differences"][0]["verdict"], "higher");
    }
}
