//! Options of `sweep`: lists of values, and what the broker and the measurements have in common.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use crate::units;

#[derive(Debug, Args)]
pub struct SweepOptions {
    /// A shipped scenario or a TOML file; lists given here replace its lists
    #[arg(long, value_name = "NAME|FILE")]
    pub scenario: Option<String>,
    /// Print the shipped scenarios and end
    #[arg(long)]
    pub list_scenarios: bool,
    /// Directory for the results; an interrupted sweep goes on in it
    #[arg(long, value_name = "DIR", required_unless_present = "list_scenarios")]
    pub out: Option<PathBuf>,
    /// Forget the results that --out holds
    #[arg(long)]
    pub fresh: bool,
    /// Print the points and the time they take, and end
    #[arg(long)]
    pub plan_only: bool,

    /// A running broker: HOST:PORT[,HOST:PORT...]
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "server_bin")]
    pub bootstrap_server: Option<String>,
    /// Its process, for CPU and memory
    #[arg(long, value_name = "PID", conflicts_with = "server_bin")]
    pub server_pid: Option<i32>,
    /// Broker program to start and stop: it must take FILE --override KEY=VALUE...
    #[arg(long, value_name = "FILE")]
    pub server_bin: Option<PathBuf>,
    /// CPUs to pin that broker to: 0 or 0,2-3
    #[arg(long, value_name = "LIST", requires = "server_bin")]
    pub server_cpus: Option<String>,
    /// Its properties file; without one it gets an empty one
    #[arg(long, value_name = "FILE", requires = "server_bin")]
    pub server_config: Option<PathBuf>,
    /// A setting of that broker at every point; may be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "server_bin")]
    pub server_set: Vec<String>,
    /// Directory for its data, emptied at each start [default: DIR/data]
    #[arg(long, value_name = "DIR", requires = "server_bin")]
    pub data: Option<PathBuf>,

    /// Partitions of the topic
    #[arg(long, value_name = "LIST")]
    pub partitions: Option<String>,
    /// segment.bytes of the topic
    #[arg(long, value_name = "LIST")]
    pub segment_bytes: Option<String>,
    /// num.shards of the broker: needs --server-bin
    #[arg(long, value_name = "LIST")]
    pub shards: Option<String>,
    #[arg(long, value_name = "LIST")]
    pub record_size: Option<String>,
    #[arg(long, value_name = "LIST")]
    pub batch_bytes: Option<String>,
    #[arg(long, value_name = "LIST")]
    pub producers: Option<String>,
    #[arg(long, value_name = "LIST")]
    pub consumers: Option<String>,
    /// 0, 1, all
    #[arg(long, value_name = "LIST")]
    pub acks: Option<String>,
    /// disk, os, memory (Thalweg)
    #[arg(long, value_name = "LIST")]
    pub durability: Option<String>,
    #[arg(long, value_name = "LIST")]
    pub compression: Option<String>,
    #[arg(long, value_name = "LIST")]
    pub in_flight: Option<String>,
    #[arg(long, value_name = "LIST")]
    pub rate: Option<String>,
    /// Any other option of run, topic.KEY or server.KEY, with its values; may be repeated
    #[arg(long, value_name = "NAME=LIST")]
    pub set: Vec<String>,
    /// Topic configuration at every point; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub topic_config: Vec<String>,

    /// Traffic before each measurement [default: the scenario's, or 2s]
    #[arg(long, value_parser = checked_duration)]
    pub warmup: Option<String>,
    /// Each measurement [default: the scenario's, or 10s]
    #[arg(long, value_parser = checked_duration)]
    pub duration: Option<String>,
    /// Measurements of each point [default: the scenario's, or 3]; more than before adds to the sweep in --out
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: Option<u32>,
    /// Rest before each measurement
    #[arg(long, default_value = "500ms", value_parser = units::duration)]
    pub pause: Duration,
    /// CPUs to pin the load to
    #[arg(long, value_name = "LIST", value_parser = checked_cpus)]
    pub cpus: Option<String>,
    /// What is measured, for reports: a broker's name and version
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,

    /// Find for each point the highest rate at which the backlog does not grow
    #[arg(long)]
    pub search_max: bool,
    /// With --search-max: and p99 stays under this
    #[arg(long, value_parser = units::duration, requires = "search_max")]
    pub p99_max: Option<Duration>,
}

fn checked_duration(text: &str) -> Result<String, String> {
    units::duration(text).map(|_| text.to_string())
}

fn checked_cpus(text: &str) -> Result<String, String> {
    units::cpus(text).map(|_| text.to_string())
}

fn pair(text: &str) -> Result<(&str, &str), String> {
    text.split_once('=').ok_or_else(|| format!("`{text}`: write it as NAME=VALUE"))
}

impl SweepOptions {
    pub fn out(&self) -> &Path {
        self.out.as_deref().unwrap_or(Path::new("."))
    }

    pub fn check(&self) -> Result<(), String> {
        if self.bootstrap_server.is_none() && self.server_bin.is_none() {
            return Err("give --server-bin FILE, or --bootstrap-server HOST:PORT of a running broker".into());
        }
        if let Some(program) = &self.server_bin
            && !program.is_file()
        {
            return Err(format!("--server-bin {}: no such file", program.display()));
        }
        self.server_cpus().map(drop)
    }

    pub fn server_cpus(&self) -> Result<Vec<usize>, String> {
        self.server_cpus.as_deref().map_or(Ok(Vec::new()), units::cpus)
    }

    /// The same for every start of the broker.
    pub fn fixed_settings(&self) -> Result<BTreeMap<String, String>, String> {
        self.server_set.iter().map(|s| pair(s).map(|(k, v)| (k.to_string(), v.to_string()))).collect()
    }

    /// Values given on the command line, by name.
    pub fn lists(&self) -> Result<BTreeMap<String, Vec<String>>, String> {
        let named = [
            ("partitions", &self.partitions),
            ("segment-bytes", &self.segment_bytes),
            ("shards", &self.shards),
            ("record-size", &self.record_size),
            ("batch-bytes", &self.batch_bytes),
            ("producers", &self.producers),
            ("consumers", &self.consumers),
            ("acks", &self.acks),
            ("durability", &self.durability),
            ("compression", &self.compression),
            ("in-flight", &self.in_flight),
            ("rate", &self.rate),
        ];
        let mut out = BTreeMap::new();
        let mut add = |name: &str, list: &str| {
            out.insert(name.to_string(), list.split(',').map(|v| v.trim().to_string()).collect::<Vec<_>>());
        };
        for (name, list) in named {
            if let Some(list) = list {
                add(name, list);
            }
        }
        for text in &self.set {
            let (name, list) = pair(text)?;
            add(name, list);
        }
        Ok(out)
    }
}
