//! The Java consumer's configuration on librdkafka, and what its errors mean to a tool that reads.

use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;

use super::exception::{self, Exception};
use super::log::{self, Level};
use super::property::{COMMON, Key, Kind, Meaning, Properties, Translated, key};
use crate::failure::Failure;

/// The keys of the Java consumer.
pub const TABLE: &[&[Key]] = &[COMMON, OWN];

const CLASS: &str = "org.apache.kafka.clients.consumer.ConsumerConfig";
const NETWORK_CLIENT: &str = "org.apache.kafka.clients.NetworkClient";

const OWN: &[Key] = &[
    key("group.id", Kind::Text, Meaning::As(&["group.id"])),
    key("group.instance.id", Kind::Text, Meaning::As(&["group.instance.id"])),
    key("client.rack", Kind::Text, Meaning::As(&["client.rack"])),
    key(
        "session.timeout.ms",
        Kind::Int { min: 0 },
        Meaning::Clamped(&[("session.timeout.ms", 1, 3_600_000)]),
    )
    .or("45000"),
    key(
        "heartbeat.interval.ms",
        Kind::Int { min: i32::MIN as i64 },
        Meaning::Clamped(&[("heartbeat.interval.ms", 1, 3_600_000)]),
    )
    .or("3000"),
    key(
        "max.poll.interval.ms",
        Kind::Int { min: 1 },
        Meaning::Clamped(&[("max.poll.interval.ms", 1, 86_400_000)]),
    )
    .or("300000"),
    key("max.poll.records", Kind::Int { min: 1 }, Meaning::Tool).or("500"),
    key("partition.assignment.strategy", Kind::Text, Meaning::Rewritten(assignors))
        .or("org.apache.kafka.clients.consumer.RangeAssignor"),
    key("enable.auto.commit", Kind::Boolean, Meaning::As(&["enable.auto.commit"])).or("true"),
    key(
        "auto.commit.interval.ms",
        Kind::Int { min: 0 },
        Meaning::Clamped(&[("auto.commit.interval.ms", 1, 86_400_000)]),
    )
    .or("5000"),
    key("auto.offset.reset", Kind::OneOf(&["latest", "earliest", "none"]), Meaning::Rewritten(offset_reset))
        .or("latest"),
    key("fetch.min.bytes", Kind::Int { min: 0 }, Meaning::Clamped(&[("fetch.min.bytes", 1, 100_000_000)])),
    key("fetch.max.bytes", Kind::Int { min: 0 }, Meaning::Rewritten(fetch_bytes)).or("52428800"),
    key(
        "max.partition.fetch.bytes",
        Kind::Int { min: 0 },
        Meaning::Clamped(&[("fetch.message.max.bytes", 1, 1_000_000_000)]),
    )
    .or("1048576"),
    key("fetch.max.wait.ms", Kind::Int { min: 0 }, Meaning::Clamped(&[("fetch.wait.max.ms", 0, 300_000)])),
    key("check.crcs", Kind::Boolean, Meaning::As(&["check.crcs"])).or("true"),
    key(
        "isolation.level",
        Kind::OneOf(&["read_committed", "read_uncommitted"]),
        Meaning::As(&["isolation.level"]),
    )
    .or("read_uncommitted"),
    key("allow.auto.create.topics", Kind::Boolean, Meaning::As(&["allow.auto.create.topics"])).or("true"),
    key("exclude.internal.topics", Kind::Boolean, Meaning::Tool).or("true"),
    key("request.timeout.ms", Kind::Int { min: 0 }, Meaning::Clamped(&[("socket.timeout.ms", 10, 300_000)]))
        .or("30000"),
    key("default.api.timeout.ms", Kind::Int { min: 0 }, Meaning::Tool).or("60000"),
    key("key.deserializer", Kind::Text, Meaning::Tool),
    key("value.deserializer", Kind::Text, Meaning::Tool),
];

/// librdkafka cannot offer eager and cooperative assignors at once, as the Java client's default of range and
/// cooperative-sticky does; a group of both kinds of clients agrees on range.
fn assignors(value: &str, config: &mut ClientConfig) -> Result<(), String> {
    let names: Result<Vec<&str>, String> = value.split(',').map(str::trim).map(assignor).collect();
    let names = names?;
    if names.contains(&"cooperative-sticky") && names.len() > 1 {
        return Err(
            "the cooperative assignor cannot be offered together with others; name it alone".to_owned()
        );
    }
    config.set("partition.assignment.strategy", names.join(","));
    Ok(())
}

fn assignor(class: &str) -> Result<&'static str, String> {
    match class.rsplit('.').next().unwrap_or(class) {
        "RangeAssignor" => Ok("range"),
        "RoundRobinAssignor" => Ok("roundrobin"),
        "CooperativeStickyAssignor" => Ok("cooperative-sticky"),
        other => Err(format!(
            "no assignor {other} is built in; there are RangeAssignor, RoundRobinAssignor and CooperativeStickyAssignor"
        )),
    }
}

fn offset_reset(value: &str, config: &mut ClientConfig) -> Result<(), String> {
    config.set("auto.offset.reset", if value == "none" { "error" } else { value });
    Ok(())
}

/// librdkafka also wants to be allowed a response of that size.
fn fetch_bytes(value: &str, config: &mut ClientConfig) -> Result<(), String> {
    let bytes: i64 = value.parse().unwrap_or(0);
    let bytes = bytes.clamp(1, i64::from(i32::MAX) - 512);
    config.set("fetch.max.bytes", bytes.to_string());
    // Its own condition, message.max.bytes <= fetch.max.bytes, is about producing.
    config.set("message.max.bytes", bytes.clamp(1000, 1_000_000).to_string());
    config.set("receive.message.max.bytes", (bytes + 512).max(100_000_000).to_string());
    Ok(())
}

/// The consumer's configuration, checked as the Java client does.
///
/// # Errors
/// In its words.
pub fn configure(properties: Properties) -> Result<Translated, Failure> {
    let mut translated = properties.translate(CLASS, TABLE)?;
    translated
        .client
        // What a tool has handed on is stored by hand: what was only fetched must not be committed.
        .set("enable.auto.offset.store", "false")
        // A full queue is looked at again after 10 ms and not after a second.
        .set("fetch.queue.backoff.ms", "10")
        .set("enable.metrics.push", "false");
    translated.check_servers("consumer")?;
    Ok(translated)
}

/// Takes records in the portions of the Java consumer's `poll`: waits for the first, and adds what is there.
#[derive(Debug, Clone, Copy)]
pub struct Portion {
    records_max: i64,
}

impl Portion {
    pub fn of(config: &Translated) -> Portion {
        Portion { records_max: config.number("max.poll.records") }
    }

    /// Hands each record to `visit`; an error ends the portion.
    pub fn take<C: ConsumerContext>(
        self,
        consumer: &BaseConsumer<C>,
        wait: Duration,
        mut visit: impl FnMut(BorrowedMessage<'_>),
    ) -> Option<KafkaError> {
        let mut pause = wait;
        for _ in 0..self.records_max {
            match consumer.poll(pause)? {
                Ok(message) => visit(message),
                Err(error) => return Some(error),
            }
            pause = Duration::ZERO;
        }
        None
    }
}

/// Bytes of key and value.
pub fn payload_bytes(message: &BorrowedMessage<'_>) -> u64 {
    (message.key_len() + message.payload_len()) as u64
}

/// What an error of `poll` means to a tool.
#[derive(Debug)]
pub enum Trouble {
    /// It passes, or waits for somebody to mend the broker; it has been told.
    Passing,
    /// The Java client throws.
    Ends(Exception),
}

/// Judges an error of `poll`; what passes is told as a warning.
pub fn judge(error: &KafkaError, client_id: &str, topic: &str) -> Trouble {
    let Some(code) = error.rdkafka_error_code() else { return Trouble::Ends(exception::of(error)) };
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return Trouble::Ends(exception::of_code(code));
    }
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition
        | RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownPartition
        | RDKafkaErrorCode::LeaderNotAvailable => {
            let name = exception::code_name(code);
            warn(client_id, &format!("Error while fetching metadata : {{{topic}={name}}}"));
            Trouble::Passing
        }
        RDKafkaErrorCode::InvalidTopic => Trouble::Ends(Exception::new(
            "org.apache.kafka.common.errors.InvalidTopicException",
            format!("Invalid topics: [{topic}]"),
        )),
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::NoOffset => Trouble::Ends(Exception::new(
            "org.apache.kafka.clients.consumer.NoOffsetForPartitionException",
            format!("Undefined offset with no reset policy for partitions of {topic}"),
        )),
        RDKafkaErrorCode::TopicAuthorizationFailed
        | RDKafkaErrorCode::GroupAuthorizationFailed
        | RDKafkaErrorCode::InconsistentGroupProtocol
        | RDKafkaErrorCode::InvalidSessionTimeout
        | RDKafkaErrorCode::InvalidGroupId
        | RDKafkaErrorCode::GroupMaxSizeReached
        | RDKafkaErrorCode::FencedInstanceId
        | RDKafkaErrorCode::UnsupportedVersion
        | RDKafkaErrorCode::Fatal => Trouble::Ends(exception::of_code(code)),
        RDKafkaErrorCode::AllBrokersDown
        | RDKafkaErrorCode::BrokerTransportFailure
        | RDKafkaErrorCode::Resolve => Trouble::Passing,
        other => {
            warn(client_id, &exception::of_code(other).to_string());
            Trouble::Passing
        }
    }
}

fn warn(client_id: &str, what: &str) {
    log::write(Level::Warn, NETWORK_CLIENT, format!("[Consumer clientId={client_id}] {what}"));
}

/// librdkafka's log on stderr; what it says below a warning is not for users of the tools.
pub fn relay(level: RDKafkaLogLevel, facility: &str, message: &str) {
    let level = match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => Level::Error,
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => Level::Warn,
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => return,
    };
    log::write(level, "librdkafka", format!("{message} [{facility}]"));
}

/// A context that only relays the log.
pub struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        relay(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Quiet {}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(pair: &str) -> Result<Translated, String> {
        configure(Properties::of_arguments(&[pair.to_owned()])).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn assignors_go_by_their_java_names() {
        let strategy = |pair: &str| {
            configured(pair)
                .map(|config| config.client.get("partition.assignment.strategy").map(str::to_owned))
        };
        assert_eq!(strategy("client.id=x").unwrap().as_deref(), Some("range"));
        let cooperative =
            "partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        assert_eq!(strategy(cooperative).unwrap().as_deref(), Some("cooperative-sticky"));
        assert!(
            strategy("partition.assignment.strategy=a.StickyAssignor")
                .unwrap_err()
                .contains("no assignor StickyAssignor")
        );
    }

    #[test]
    fn the_java_defaults_hold_where_librdkafkas_differ() {
        let config = configured("client.id=x").unwrap().client;
        for (key, value) in [
            ("isolation.level", "read_uncommitted"),
            ("auto.offset.reset", "latest"),
            ("session.timeout.ms", "45000"),
        ] {
            assert_eq!(config.get(key), Some(value));
        }
        assert_eq!(
            configured("auto.offset.reset=none").unwrap().client.get("auto.offset.reset"),
            Some("error")
        );
    }
}
