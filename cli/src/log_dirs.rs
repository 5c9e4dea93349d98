//! `kafka-log-dirs.sh`: what lies in which log directory, as JSON.

use std::io::Write;

use serde::Serialize;

use crate::admin::records::{self, LogDir};
use crate::client::Client;
use crate::failure::Failure;
use crate::options::{HELP, Parsed, Spec, VERSION, flag, text};
use crate::session;
use crate::tool::Tool;

pub const TOOL: Tool = Tool {
    name: "log-dirs",
    summary: "This tool helps to query log directory usage on the specified brokers.",
    on_nothing: None,
    spec: &SPEC,
    run,
};

const SPEC: Spec = Spec {
    options: &[
        text(
            "bootstrap-server",
            "The server(s) to use for bootstrapping",
            "REQUIRED: where to connect first: HOST:PORT, or several with commas between.",
        ),
        text("command-config", "Admin client property file", "File with properties of the client."),
        flag("describe", "REQUIRED: show the log directories."),
        text("topic-list", "Topic list", "Only these topics, with commas between. Default: all.").or(""),
        text("broker-list", "Broker list", "Only these brokers, by id with commas between. Default: all."),
        HELP,
        VERSION,
    ],
    abbreviations: false,
};

// The fields stand in the order in which Kafka's tool prints them.

#[derive(Serialize)]
struct Report {
    version: i32,
    brokers: Vec<Broker>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Broker {
    broker: i32,
    log_dirs: Vec<Dir>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dir {
    log_dir: String,
    error: Option<String>,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Partition {
    partition: String,
    size: i64,
    offset_lag: i64,
    is_future: bool,
}

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    options.require(&["bootstrap-server", "describe"])?;
    let mut client = session::connect(options)?;
    let live: Vec<i32> = client.nodes()?.iter().map(|node| node.id).collect();
    let asked = match options.value("broker-list")? {
        Some(list) => broker_ids(list)?,
        None => live.clone(),
    };
    let missing: Vec<i32> = asked.iter().filter(|id| !live.contains(id)).copied().collect();
    if !missing.is_empty() {
        let (missing, live) = (joined(&missing), joined(&live));
        writeln!(
            out,
            "ERROR: The given brokers do not exist from --broker-list: {missing}. Current existent brokers: {live}"
        )?;
        return Ok(());
    }
    writeln!(out, "Querying brokers for log directories information")?;
    let topics: Vec<&str> = options
        .value("topic-list")?
        .unwrap_or_default()
        .split(',')
        .filter(|topic| !topic.is_empty())
        .collect();
    let report = report(&mut client, &asked, &topics)?;
    writeln!(out, "Received log directory information from brokers {}", joined(&asked))?;
    let json = serde_json::to_string(&report)
        .map_err(|error| Failure::message(format!("The report cannot be written as JSON: {error}")))?;
    writeln!(out, "{json}")?;
    Ok(())
}

fn report(client: &mut Client, brokers: &[i32], topics: &[&str]) -> Result<Report, Failure> {
    let mut described = Vec::new();
    for broker in brokers {
        let dirs = records::log_dirs(client, *broker)?;
        described
            .push(Broker { broker: *broker, log_dirs: dirs.iter().map(|one| dir(one, topics)).collect() });
    }
    Ok(Report { version: 1, brokers: described })
}

fn dir(dir: &LogDir, topics: &[&str]) -> Dir {
    let wanted = |topic: &str| topics.is_empty() || topics.contains(&topic);
    let partitions =
        dir.replicas.iter().filter(|replica| wanted(&replica.place.topic)).map(|replica| Partition {
            partition: replica.place.to_string(),
            size: replica.size,
            offset_lag: replica.lag,
            is_future: replica.future,
        });
    Dir {
        log_dir: dir.path.clone(),
        error: dir.error.as_ref().map(|error| crate::client::exception(error.code)),
        partitions: partitions.collect(),
    }
}

fn broker_ids(list: &str) -> Result<Vec<i32>, Failure> {
    let id = |text: &str| {
        text.parse().ok().ok_or_else(|| Failure::message(format!("For input string: \"{text}\"")))
    };
    list.split(',').filter(|text| !text.is_empty()).map(id).collect()
}

fn joined(ids: &[i32]) -> String {
    ids.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}
