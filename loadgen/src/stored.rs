//! Results on disk as `compare` and `report` read them: documents of `run --json`, and directories of sweeps. Repeats
//! of one point, in one document or in several, come together here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde_json::Value;

use crate::sweep::store::PLAN_FILE;

/// A document larger than this is none of ours.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// One point measured on one broker: all its repeats.
#[derive(Debug, Clone)]
pub struct Point {
    /// What was measured: the broker's name.
    pub label: String,
    /// Where it was read from.
    pub source: String,
    pub table: String,
    /// What varies over its sweep; empty for a single run.
    pub varied: BTreeMap<String, String>,
    pub config: Value,
    pub host: Value,
    pub commit: String,
    pub command: Vec<String>,
    /// What a sweep says of the broker it started.
    pub server: Value,
    pub search: Value,
    /// Its number in the sweep that it is from.
    pub sweep_point: Option<String>,
    pub started_unix_seconds: f64,
    /// Each with the fields that a run's JSON gives a repeat.
    pub repeats: Vec<Value>,
}

impl Point {
    /// Names the point within its sweep.
    pub fn name(&self) -> String {
        let varied: Vec<String> = self.varied.iter().map(|(k, v)| format!("{k}={v}")).collect();
        match (self.table.is_empty(), varied.is_empty()) {
            (_, true) => if self.table.is_empty() { "run" } else { &self.table }.to_string(),
            (true, false) => varied.join(" "),
            (false, false) => format!("{}: {}", self.table, varied.join(" ")),
        }
    }

    /// A number of each repeat, by JSON pointer; absent ones are left out.
    pub fn values(&self, pointer: &str) -> Vec<f64> {
        self.repeats.iter().filter_map(|r| r.pointer(pointer)?.as_f64()).collect()
    }

    /// The histograms of all repeats added up; `None` if there are none.
    pub fn histogram(&self, kind: &str) -> Result<Option<Histogram<u64>>, String> {
        let mut sum: Option<Histogram<u64>> = None;
        for repeat in &self.repeats {
            let Some(text) = repeat.pointer(&format!("/latencies/{kind}/histogram_v2_base64")) else {
                continue;
            };
            let one =
                decode(text.as_str().unwrap_or("")).map_err(|e| format!("{}: {kind}: {e}", self.source))?;
            match &mut sum {
                None => sum = Some(one),
                Some(sum) => sum.add(&one).map_err(|e| format!("{}: {kind}: {e:?}", self.source))?,
            }
        }
        Ok(sum.filter(|h| !h.is_empty()))
    }
}

fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|e| e.to_string())?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|e| format!("{e:?}"))
}

/// Reads a run's JSON or a sweep's directory.
pub fn load(path: &Path) -> Result<Vec<Point>, String> {
    let mut points: Vec<Point> = Vec::new();
    for file in files(path)? {
        let one = read(&file)?;
        match points.iter_mut().find(|p| p.is_same_point(&one)) {
            Some(there) => there.repeats.extend(one.repeats),
            None => points.push(one),
        }
    }
    if points.is_empty() { Err(format!("{}: no results in it yet", path.display())) } else { Ok(points) }
}

impl Point {
    fn is_same_point(&self, other: &Point) -> bool {
        self.sweep_point.is_some() && (&self.sweep_point, &self.label) == (&other.sweep_point, &other.label)
    }
}

fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let directory = if path.join(PLAN_FILE).exists() { path.join("results") } else { path.to_path_buf() };
    let mut out = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_some_and(|e| e == "json") {
            out.push(file);
        }
    }
    out.sort();
    Ok(out)
}

fn read(file: &Path) -> Result<Point, String> {
    let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
    let size = fs::metadata(file).map_err(|e| failed(&e))?.len();
    if size > FILE_BYTES_MAX {
        return Err(failed(&"too large for a result"));
    }
    let document: Value =
        serde_json::from_slice(&fs::read(file).map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
    if document["format"].as_u64().is_none_or(|f| !(1..=2).contains(&f)) || !document["repeats"].is_array() {
        return Err(failed(&"not a result of `thalweg-loadgen run --json`"));
    }
    let text = |v: &Value| v.as_str().unwrap_or("").to_string();
    let stem = file.file_stem().map_or(String::new(), |s| s.to_string_lossy().into_owned());
    let label = [&document["config"]["label"], &document["config"]["bootstrap_server"]];
    let named = document["config"]["label"].is_string();
    let sweep_point = document["sweep"]["point"].as_str().map(str::to_string);
    let varied = document["sweep"]["varied"].as_object().into_iter().flatten();
    Ok(Point {
        label: if named {
            text(label[0])
        } else if sweep_point.is_some() {
            text(label[1])
        } else {
            stem
        },
        source: file.display().to_string(),
        table: text(&document["sweep"]["table"]),
        varied: varied.map(|(k, v)| (k.clone(), text(v))).collect(),
        config: document["config"].clone(),
        host: document["host"].clone(),
        commit: text(&document["commit"]),
        command: document["command"].as_array().into_iter().flatten().map(text).collect(),
        server: document["sweep"]["server"].clone(),
        search: document["search"].clone(),
        sweep_point,
        started_unix_seconds: document["started_unix_seconds"].as_f64().unwrap_or(0.0),
        repeats: document["repeats"].as_array().cloned().unwrap_or_default(),
    })
}
