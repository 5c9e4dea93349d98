//! The options of `kafka-consumer-perf-test.sh` in Kafka 3.2.0, and the consumer's properties that they amount to.

use crate::console_consumer::number_below;
use crate::console_producer::servers;
use crate::failure::Failure;
use crate::options::{HELP, Opt, Parsed, Spec, VERSION, flag, integer, long, text};
use crate::record_client::Properties;

pub const SPEC: Spec = Spec { options: OPTIONS, abbreviations: false };

const OPTIONS: &[Opt] = &[
    text("bootstrap-server", "server to connect to", "REQUIRED unless --broker-list is given: HOST:PORT,..."),
    text("broker-list", "broker-list", "DEPRECATED: the same as --bootstrap-server, which wins."),
    text("topic", "topic", "REQUIRED: the topic to read."),
    long("messages", "count", "REQUIRED: how many records to read."),
    text("group", "gid", "The group to join; one with a random number if not given."),
    integer("fetch-size", "size", "Bytes of a partition in one answer.").or("1048576"),
    flag("from-latest", "Begin with the last record if the group has committed no offset."),
    integer("socket-buffer-size", "size", "Bytes of the socket's receive buffer.").or("2097152"),
    integer("threads", "count", "DEPRECATED and without effect.").or("10"),
    integer("num-fetch-threads", "count", "DEPRECATED and without effect.").or("1"),
    text("consumer.config", "config file", "A file of properties for the consumer."),
    flag("print-metrics", "Show what the client has counted at the end."),
    flag("show-detailed-stats", "Report at every --reporting-interval instead of once at the end."),
    long("timeout", "milliseconds", "End when no record has come for so long.").optional().or("10000"),
    integer("reporting-interval", "interval_ms", "Milliseconds between reports.").or("5000"),
    text("date-format", "date format", "How times are written, as java.text.SimpleDateFormat takes it.")
        .or("yyyy-MM-dd HH:mm:ss:SSS"),
    flag("hide-header", "Leave out the line that names the columns."),
    HELP,
    VERSION,
];

/// # Errors
/// For an option that was given twice, brokers that are not named, or a file that cannot be read.
pub fn properties(options: &Parsed) -> Result<Properties, Failure> {
    let mut properties = match options.value("consumer.config")? {
        Some(path) => Properties::load(path)?,
        None => Properties::new(),
    };
    let group = match options.value("group")? {
        Some(group) => group.to_owned(),
        None => format!("perf-consumer-{}", number_below(100_000)),
    };
    properties.set("bootstrap.servers", servers(options)?);
    properties.set("group.id", group);
    properties.set("receive.buffer.bytes", options.value("socket-buffer-size")?.unwrap_or_default());
    properties.set("max.partition.fetch.bytes", options.value("fetch-size")?.unwrap_or_default());
    properties.set("auto.offset.reset", if options.has("from-latest") { "latest" } else { "earliest" });
    properties.set("check.crcs", "false");
    properties.set_default("client.id", "perf-consumer-client");
    Ok(properties)
}
