//! Scenario files: which values a sweep takes, in TOML. The shipped ones are part of the program.
//!
//! A file has a description, options that hold for every point (`fixed`), and one or more `[[sweep]]` tables. In each,
//! `matrix` lists are crossed with each other, and the lists of `together` advance side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Options that a point can set, by the name that `run` gives them.
const RUN_OPTIONS: [&str; 17] = [
    "topics",
    "partitions",
    "producers",
    "consumers",
    "record-size",
    "batch-bytes",
    "linger",
    "in-flight",
    "acks",
    "compression",
    "keys",
    "rate",
    "from",
    "fetch-max-bytes",
    "partition-fetch-bytes",
    "threads",
    "replication-factor",
];
const RUN_SWITCHES: [&str; 3] = ["replay", "verify", "idempotent"];

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// `(name, file)` of the scenarios that come with the program.
        pub const SHIPPED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*];
    };
}
shipped!(
    "partitions",
    "segments",
    "shards",
    "small-records",
    "large-records",
    "durability",
    "tail-and-replay",
    "end-to-end",
    "many-connections",
);

/// Values in the order of the file.
pub type Settings = BTreeMap<String, Value>;
type Lists = BTreeMap<String, Vec<Value>>;

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub warmup: Option<String>,
    #[serde(default)]
    pub duration: Option<String>,
    #[serde(default)]
    pub repeats: Option<u32>,
    #[serde(default)]
    pub fixed: Settings,
    #[serde(default, rename = "sweep")]
    pub sweeps: Vec<Axes>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Axes {
    /// Tells several tables of one file apart.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub fixed: Settings,
    #[serde(default)]
    pub matrix: Lists,
    #[serde(default)]
    pub together: Lists,
}

/// One combination of values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub id: String,
    /// Name of its table; empty for the only one.
    pub table: String,
    /// What varies over the sweep: names the point.
    pub varied: BTreeMap<String, String>,
    /// Everything that is set, what varies included.
    pub settings: BTreeMap<String, String>,
}

impl Point {
    pub fn name(&self) -> String {
        let varied: Vec<String> = self.varied.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let name = if varied.is_empty() { "the only point".to_string() } else { varied.join(" ") };
        if self.table.is_empty() { name } else { format!("{}: {name}", self.table) }
    }

    /// Settings of the broker, which only a restart changes.
    pub fn server_settings(&self) -> BTreeMap<String, String> {
        let own = |(key, value): (&String, &String)| match key.as_str() {
            "shards" => Some(("num.shards".to_string(), value.clone())),
            key => key.strip_prefix("server.").map(|k| (k.to_string(), value.clone())),
        };
        self.settings.iter().filter_map(own).collect()
    }

    /// Options of `run`.
    pub fn run_options(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (key, value) in &self.settings {
            let topic = match key.as_str() {
                "segment-bytes" => Some("segment.bytes"),
                "durability" => Some("durability"),
                key => key.strip_prefix("topic."),
            };
            if let Some(topic) = topic {
                // Topic settings take plain numbers, as Kafka's.
                let plain = if key == "segment-bytes" { crate::units::bytes(value).ok() } else { None };
                let value = plain.map_or_else(|| value.clone(), |n| n.to_string());
                out.extend(["--topic-config".to_string(), format!("{topic}={value}")]);
            } else if RUN_SWITCHES.contains(&key.as_str()) {
                out.extend((value == "true").then(|| format!("--{key}")));
            } else if RUN_OPTIONS.contains(&key.as_str()) {
                out.extend([format!("--{key}"), value.clone()]);
            }
        }
        out
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let known = RUN_OPTIONS.contains(&name)
        || RUN_SWITCHES.contains(&name)
        || ["shards", "segment-bytes", "durability"].contains(&name)
        || name.starts_with("server.")
        || name.starts_with("topic.");
    if known {
        return Ok(());
    }
    Err(format!(
        "`{name}` cannot be swept; there are {}, {}, shards, segment-bytes, durability, topic.KEY and server.KEY",
        RUN_OPTIONS.join(", "),
        RUN_SWITCHES.join(", ")
    ))
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(s) => Ok(s.clone()),
        Value::Number(n) => Ok(n.to_string()),
        Value::Bool(b) => Ok(b.to_string()),
        other => Err(format!("`{other}` is no value; write a number, a string or true/false")),
    }
}

impl Scenario {
    /// A shipped one by its name, or a file.
    pub fn load(name: &str) -> Result<Self, String> {
        if let Some((_, file)) = SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            return Self::parse(file).map_err(|e| format!("scenario {name}: {e}"));
        }
        let file = std::fs::read_to_string(Path::new(name)).map_err(|e| {
            let shipped: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
            format!("scenario {name}: {e}; shipped ones are {}", shipped.join(", "))
        })?;
        Self::parse(&file).map_err(|e| format!("{name}: {e}"))
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let scenario: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        for axes in &scenario.sweeps {
            let names = scenario.fixed.keys().chain(axes.fixed.keys());
            names.chain(axes.matrix.keys()).chain(axes.together.keys()).try_for_each(|n| check_name(n))?;
            let mut lengths = axes.together.values().map(Vec::len);
            let first = lengths.next();
            if lengths.any(|l| Some(l) != first) {
                return Err("the lists of `together` must have the same length".to_string());
            }
        }
        Ok(scenario)
    }

    /// Lists from the command line: they replace those of the file, or pick rows of `together`.
    pub fn override_lists(&mut self, lists: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
        if self.sweeps.is_empty() {
            self.sweeps.push(Axes::default());
        }
        for (name, values) in lists {
            check_name(name)?;
            for axes in &mut self.sweeps {
                axes.replace(name, values)?;
            }
        }
        Ok(())
    }

    pub fn points(&self) -> Result<Vec<Point>, String> {
        let mut out: Vec<Point> = Vec::new();
        for axes in &self.sweeps {
            for varied in axes.combinations()? {
                let mut settings = BTreeMap::new();
                for (key, value) in self.fixed.iter().chain(&axes.fixed) {
                    settings.insert(key.clone(), text(value)?);
                }
                settings.extend(varied.clone());
                let id = format!("{:03}", out.len() + 1);
                out.push(Point { id, table: axes.name.clone(), varied, settings });
            }
        }
        name_by_what_varies(&mut out);
        if out.is_empty() { Err("the sweep has no points".into()) } else { Ok(out) }
    }
}

/// A list of one value is a setting like any other.
fn name_by_what_varies(points: &mut [Point]) {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (key, value) in points.iter().flat_map(|p| &p.varied) {
        values.entry(key.clone()).or_default().insert(value.clone());
    }
    for point in points {
        point.varied.retain(|key, _| values.get(key).is_some_and(|v| v.len() > 1));
    }
}

impl Axes {
    fn replace(&mut self, name: &str, values: &[String]) -> Result<(), String> {
        let wanted: Vec<Value> = values.iter().cloned().map(Value::String).collect();
        let Some(column) = self.together.get(name) else {
            self.fixed.remove(name);
            self.matrix.insert(name.to_string(), wanted);
            return Ok(());
        };
        let mut keep = Vec::new();
        for value in column {
            keep.push(values.contains(&text(value)?));
        }
        if !keep.contains(&true) {
            return Err(format!("none of {values:?} is among the scenario's values of `{name}`"));
        }
        for list in self.together.values_mut() {
            let mut row = keep.iter();
            list.retain(|_| row.next().copied().unwrap_or(false));
        }
        Ok(())
    }

    fn combinations(&self) -> Result<Vec<BTreeMap<String, String>>, String> {
        let rows = self.together.values().map(Vec::len).next().unwrap_or(1);
        let mut out = Vec::new();
        for row in 0..rows {
            let mut base = BTreeMap::new();
            for (name, list) in &self.together {
                base.insert(name.clone(), text(&list[row])?);
            }
            out.push(base);
        }
        for (name, values) in &self.matrix {
            if values.is_empty() {
                return Err(format!("the list of `{name}` is empty"));
            }
            let mut crossed = Vec::new();
            for base in &out {
                for value in values {
                    let mut one = base.clone();
                    one.insert(name.clone(), text(value)?);
                    crossed.push(one);
                }
            }
            out = crossed;
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn every_shipped_scenario_makes_points_that_run_accepts() {
        for (name, _) in SHIPPED {
            let scenario = Scenario::load(name).unwrap();
            assert!(!scenario.description.is_empty(), "{name}");
            for point in scenario.points().unwrap() {
                let mut line = vec!["thalweg-loadgen".to_string(), "run".into()];
                line.extend(["--bootstrap-server".to_string(), "h:1".into()]);
                line.extend(point.run_options());
                let parsed = Cli::try_parse_from(&line).unwrap_or_else(|e| panic!("{name}: {e}"));
                let Command::Run(options) = parsed.command else { panic!("not a run") };
                options.traffic().unwrap_or_else(|e| panic!("{name}, {}: {e}", point.name()));
            }
        }
    }

    #[test]
    fn lists_cross_and_rows_advance_together() {
        let text = "[fixed]\nproducers = 2\n[[sweep]]\ntogether.partitions = [1, 4]\n\
                    together.batch-bytes = ['64KiB', '16KiB']\nmatrix.acks = [1, 'all']\n";
        let mut scenario = Scenario::parse(text).unwrap();
        let points = scenario.points().unwrap();
        assert_eq!(points.len(), 4);
        assert_eq!(points[3].name(), "acks=all batch-bytes=16KiB partitions=4");
        assert_eq!(points[3].settings["producers"], "2");
        let only = [("partitions".to_string(), vec!["4".to_string()])].into_iter().collect();
        scenario.override_lists(&only).unwrap();
        assert_eq!(scenario.points().unwrap().len(), 2);
    }

    #[test]
    fn mistakes_are_named() {
        assert!(
            Scenario::parse("[[sweep]]\nmatrix.partition = [1]").is_err_and(|e| e.contains("partitions"))
        );
        let uneven = "[[sweep]]\ntogether.partitions = [1]\ntogether.acks = [0, 1]";
        assert!(Scenario::parse(uneven).is_err_and(|e| e.contains("same length")));
        assert!(Scenario::parse("duratoin = '3s'").is_err_and(|e| e.contains("duration")));
        assert!(Scenario::load("no-such").is_err_and(|e| e.contains("many-connections")));
    }

    #[test]
    fn broker_settings_and_topic_settings_are_told_apart() {
        let text = "[[sweep]]\nmatrix.shards = [2]\nmatrix.segment-bytes = ['16MiB']\nmatrix.'server.cache.bytes' = [5]";
        let point = &Scenario::parse(text).unwrap().points().unwrap()[0];
        assert_eq!(point.server_settings()["num.shards"], "2");
        assert_eq!(point.server_settings()["cache.bytes"], "5");
        assert_eq!(point.run_options(), ["--topic-config", "segment.bytes=16777216"]);
    }
}
