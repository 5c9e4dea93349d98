//! `kafka-get-offsets.sh`: offsets of partitions by time, one `topic:partition:offset` a line.

mod filter;

use std::io::Write;

use crate::admin::offsets::{self, EARLIEST, LATEST};
use crate::admin::{Place, topics};
use crate::client::Client;
use crate::failure::Failure;
use crate::options::{Parsed, Spec, flag, text};
use crate::session;
use crate::tool::Tool;

use filter::Filter;

pub const TOOL: Tool = Tool {
    name: "get-offsets",
    summary: "An interactive shell for getting topic-partition offsets.",
    on_nothing: None,
    spec: &SPEC,
    run,
};

const SPEC: Spec = Spec {
    options: &[
        text("broker-list", "HOST1:PORT1,...,HOST3:PORT3", "DEPRECATED: use --bootstrap-server, which wins if both are given."),
        text("bootstrap-server", "HOST1:PORT1,...,HOST3:PORT3", "REQUIRED: where to connect first: HOST:PORT, or several with commas between."),
        text("topic-partitions", "topic1:1,topic2:0-3,topic3,topic4:5-,topic5:-3", "Which partitions, with commas between: a regular expression for the topic (any, if left out), and behind a colon a partition, or a range whose upper end is not in it."),
        text("topic", "topic", "A regular expression for the topics. Default: all."),
        text("partitions", "partition ids", "Partitions of those topics, with commas between. Default: all."),
        text("time", "<timestamp> / -1 or latest / -2 or earliest / -3 or max-timestamp", "The offset of the first record at or after this time in milliseconds, of an end of the log, or of the newest timestamp.").or("latest"),
        text("command-config", "config file", "File with properties of the client."),
        flag("exclude-internal-topics", "Leave out internal topics."),
    ],
    abbreviations: false,
};

/// The record with the newest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let servers = if options.has("bootstrap-server") { "bootstrap-server" } else { "broker-list" };
    if !options.has(servers) {
        return Err(Failure::message("Missing required option(s) [bootstrap-server]"));
    }
    print(options, servers, out).or_else(|failure| match failure {
        Failure::Message(_) | Failure::Client(_) => {
            writeln!(out, "Error occurred: {}", failure.text())?;
            Err(Failure::Said(1))
        }
        other => Err(other),
    })
}

fn print(options: &Parsed, servers: &'static str, out: &mut dyn Write) -> Result<(), Failure> {
    let bootstrap = options.value(servers)?.unwrap_or_default();
    if crate::client::parse_bootstrap(bootstrap).is_err() {
        return Err(Failure::usage("Please provide valid host:port like host1:9091,host2:9092\n "));
    }
    if options.has("topic-partitions") && (options.has("topic") || options.has("partitions")) {
        return Err(Failure::message("--topic-partitions cannot be used with --topic or --partitions"));
    }
    let time = time(options.value("time")?.unwrap_or_default())?;
    let filter = Filter::of(options)?;
    let mut settings = session::settings(options)?;
    if !settings.properties.contains_key("client.id") {
        settings.client_id = "GetOffsetShell".to_owned();
    }
    let mut client = Client::new(bootstrap, settings)?;
    let places = places(&mut client, &filter, options.has("exclude-internal-topics"))?;
    if places.is_empty() {
        return Err(Failure::message("Could not match any topic-partitions with the specified filters"));
    }
    let asked: Vec<(Place, i64)> = places.into_iter().map(|place| (place, time)).collect();
    for (Place { topic, partition }, found) in offsets::at(&mut client, &asked)? {
        match found {
            Ok(-1) => {}
            Ok(offset) => writeln!(out, "{topic}:{partition}:{offset}")?,
            Err(error) => eprintln!(
                "Skip getting offsets for topic-partition {topic}:{partition} due to error: {}",
                error.message
            ),
        }
    }
    Ok(())
}

fn places(client: &mut Client, filter: &Filter, exclude_internal: bool) -> Result<Vec<Place>, Failure> {
    let names = topics::names(client)?.into_iter();
    let names: Vec<String> = names
        .filter(|(name, internal)| filter.allows_topic(name) && !(exclude_internal && *internal))
        .map(|(name, _)| name)
        .collect();
    let described = topics::describe(client, &names)?;
    let all = described
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|one| Place::new(&topic.name, one.index)));
    Ok(all.filter(|place| filter.allows(place)).collect())
}

fn time(text: &str) -> Result<i64, Failure> {
    match text {
        "latest" => Ok(LATEST),
        "earliest" => Ok(EARLIEST),
        "max-timestamp" => Ok(MAX_TIMESTAMP),
        number => number.parse().ok().ok_or_else(|| {
            Failure::message(format!(
                "Malformed time argument {text}, please use -1 or latest / -2 or earliest / -3 or max-timestamp, or a \
                 specified long format timestamp"
            ))
        }),
    }
}
