//! The options of `kafka-console-producer.sh` in Kafka 3.2.0, and the producer's properties that they amount to.

use crate::failure::Failure;
use crate::options::{HELP, Opt, Parsed, Spec, VERSION, flag, integer, long, text};
use crate::record_client::Properties;

pub const SPEC: Spec = Spec { options: OPTIONS, abbreviations: false };

const OPTIONS: &[Opt] = &[
    text("topic", "topic", "REQUIRED: the topic to write to."),
    text("bootstrap-server", "server to connect to", "REQUIRED unless --broker-list is given: HOST:PORT,..."),
    text("broker-list", "broker-list", "DEPRECATED: the same as --bootstrap-server, which wins."),
    flag("sync", "Send one record at a time, and wait for each."),
    text("compression-codec", "compression-codec", "none, gzip, snappy, lz4 or zstd; without a value gzip.")
        .optional(),
    integer("batch-size", "size", "Bytes of a batch; --max-partition-memory-bytes wins.").or("16384"),
    integer("message-send-max-retries", "", "How often a failed send is tried again (retries).").or("3"),
    long("retry-backoff-ms", "", "Pause before a send is tried again (retry.backoff.ms).").or("100"),
    long("timeout", "timeout_ms", "How long a record waits for its batch to fill (linger.ms).").or("1000"),
    text("request-required-acks", "request required acks", "0, 1, -1 or all (acks).").or("-1"),
    integer("request-timeout-ms", "request timeout ms", "How long a request waits for its answer.")
        .or("1500"),
    long("metadata-expiry-ms", "metadata expiration interval", "Age at which metadata is fetched anew.")
        .or("300000"),
    long("max-block-ms", "max block on send", "How long a record waits for metadata or for room.")
        .or("60000"),
    long("max-memory-bytes", "total memory in bytes", "Bytes of records that wait to be sent.")
        .or("33554432"),
    integer("max-partition-memory-bytes", "memory in bytes per partition", "Bytes of a batch (batch.size).")
        .or("16384"),
    text(
        "line-reader",
        "reader_class",
        "The class that reads records from stdin; only Kafka's own is built in.",
    )
    .or("kafka.tools.ConsoleProducer$LineMessageReader"),
    integer("socket-buffer-size", "size", "Bytes of the socket's send buffer (send.buffer.bytes).")
        .or("102400"),
    text(
        "property",
        "prop",
        "KEY=VALUE for the line reader: parse.key, parse.headers, ignore.error (true or false), key.separator, \
         headers.delimiter, headers.separator, headers.key.separator, null.marker.",
    ),
    text("producer-property", "producer_prop", "KEY=VALUE for the producer."),
    text(
        "producer.config",
        "config file",
        "A file of properties for the producer; --producer-property wins.",
    ),
    HELP,
    VERSION,
];

/// The producer's properties: an option that is given wins over a property, a property over the option's default.
///
/// # Errors
/// For an option that was given twice, or a file that cannot be read.
pub fn properties(options: &Parsed) -> Result<Properties, Failure> {
    let mut properties = match options.value("producer.config")? {
        Some(path) => Properties::load(path)?,
        None => Properties::new(),
    };
    properties.extend(Properties::of_arguments(options.values("producer-property")));
    properties.set("bootstrap.servers", bootstrap(options)?);
    properties.set("compression.type", compression(options)?);
    properties.set_default("client.id", "console-producer");
    for (key, option) in [
        ("linger.ms", "timeout"),
        ("acks", "request-required-acks"),
        ("request.timeout.ms", "request-timeout-ms"),
        ("retries", "message-send-max-retries"),
        ("retry.backoff.ms", "retry-backoff-ms"),
        ("send.buffer.bytes", "socket-buffer-size"),
        ("buffer.memory", "max-memory-bytes"),
        ("batch.size", "batch-size"),
        ("batch.size", "max-partition-memory-bytes"),
        ("metadata.max.age.ms", "metadata-expiry-ms"),
        ("max.block.ms", "max-block-ms"),
    ] {
        if let Some(value) = options.checked(option)? {
            if options.has(option) {
                properties.set(key, value);
            } else {
                properties.set_default(key, value);
            }
        }
    }
    Ok(properties)
}

/// The brokers that were named.
///
/// # Errors
/// When none was.
pub fn servers(options: &Parsed) -> Result<&str, Failure> {
    match (options.value("bootstrap-server")?, options.value("broker-list")?) {
        (Some(servers), _) | (None, Some(servers)) => Ok(servers),
        (None, None) => Err(Failure::usage("Missing required option(s) [bootstrap-server]")),
    }
}

/// The same, checked for their form.
fn bootstrap(options: &Parsed) -> Result<String, Failure> {
    let named = servers(options)?;
    let well_formed = |server: &str| {
        server
            .trim()
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if !named.split(',').all(well_formed) {
        return Err(Failure::usage("Please provide valid host:port like host1:9091,host2:9092\n "));
    }
    Ok(named.to_owned())
}

fn compression(options: &Parsed) -> Result<&str, Failure> {
    if !options.has("compression-codec") {
        return Ok("none");
    }
    Ok(options.value("compression-codec")?.filter(|codec| !codec.is_empty()).unwrap_or("gzip"))
}
