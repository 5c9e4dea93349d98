//! The Java producer's configuration on librdkafka, and sending with its rules on blocking.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::exception::{self, Exception};
use super::log::{self, Level};
use super::property::{self, COMMON, Key, Kind, Meaning, Properties, Translated, key};
use crate::failure::Failure;

/// The keys of the Java producer.
pub const TABLE: &[&[Key]] = &[COMMON, OWN];

const CLASS: &str = "org.apache.kafka.clients.producer.ProducerConfig";

/// Records in librdkafka's queue at most: beside `buffer.memory`, since each costs memory of its own.
const QUEUED_RECORDS_MAX: &str = "500000";

const OWN: &[Key] = &[
    key("acks", Kind::OneOf(&["all", "-1", "0", "1"]), Meaning::As(&["acks"])).or("all"),
    key("retries", Kind::Int { min: 0 }, Meaning::As(&["retries"])).or("2147483647"),
    key("batch.size", Kind::Int { min: 0 }, Meaning::Clamped(&[("batch.size", 1, i32::MAX as i64)]))
        .or("16384"),
    key("linger.ms", Kind::Long { min: 0 }, Meaning::Clamped(&[("linger.ms", 0, 900_000)])).or("0"),
    key("buffer.memory", Kind::Long { min: 0 }, Meaning::Rewritten(buffer_memory)).or("33554432"),
    key("compression.type", Kind::Text, Meaning::As(&["compression.type"])).or("none"),
    // Zero is forever to librdkafka.
    key(
        "delivery.timeout.ms",
        Kind::Int { min: 0 },
        Meaning::Clamped(&[("delivery.timeout.ms", 1, i32::MAX as i64)]),
    )
    .or("120000"),
    key(
        "request.timeout.ms",
        Kind::Int { min: 0 },
        Meaning::Clamped(&[("request.timeout.ms", 1, 900_000), ("socket.timeout.ms", 10, 300_000)]),
    )
    .or("30000"),
    key("max.block.ms", Kind::Long { min: 0 }, Meaning::Tool).or("60000"),
    // The exact size is checked before a record is handed over; librdkafka takes no less than 1000.
    key(
        "max.request.size",
        Kind::Int { min: 0 },
        Meaning::Clamped(&[("message.max.bytes", 1000, 1_000_000_000)]),
    )
    .or("1048576"),
    key(
        "max.in.flight.requests.per.connection",
        Kind::Int { min: 1 },
        Meaning::Clamped(&[("max.in.flight.requests.per.connection", 1, 1_000_000)]),
    )
    .or("5"),
    key("enable.idempotence", Kind::Boolean, Meaning::Tool).or("true"),
    key("transactional.id", Kind::Text, Meaning::As(&["transactional.id"])),
    key(
        "transaction.timeout.ms",
        Kind::Int { min: 0 },
        Meaning::Clamped(&[("transaction.timeout.ms", 1000, i32::MAX as i64)]),
    ),
    key(
        "metadata.max.idle.ms",
        Kind::Long { min: 5000 },
        Meaning::Refused("a tool writes to one topic for as long as it lives, and forgets none; remove it"),
    ),
    key("partitioner.class", Kind::Text, Meaning::Rewritten(partitioner)),
    key("key.serializer", Kind::Text, Meaning::Tool),
    key("value.serializer", Kind::Text, Meaning::Tool),
];

fn buffer_memory(value: &str, config: &mut ClientConfig) -> Result<(), String> {
    let bytes: u64 = value.parse().unwrap_or(0);
    let kilobytes = bytes.div_ceil(1024).clamp(1, i32::MAX as u64);
    config.set("queue.buffering.max.kbytes", kilobytes.to_string());
    Ok(())
}

fn partitioner(value: &str, config: &mut ClientConfig) -> Result<(), String> {
    match value {
        "org.apache.kafka.clients.producer.internals.DefaultPartitioner" => {
            config.set("partitioner", "murmur2_random");
            Ok(())
        }
        _ => {
            Err("only org.apache.kafka.clients.producer.internals.DefaultPartitioner is built in".to_owned())
        }
    }
}

/// The producer's configuration, checked as the Java client does.
///
/// # Errors
/// In its words.
pub fn configure(properties: Properties) -> Result<Translated, Failure> {
    let mut translated = properties.translate(CLASS, TABLE)?;
    let codec = translated.text("compression.type");
    if !["none", "gzip", "snappy", "lz4", "zstd"].contains(&codec) {
        let cause = format!("java.lang.IllegalArgumentException: Unknown compression name: {codec}");
        return Err(property::unconstructed("producer", &cause));
    }
    translated.check_servers("producer")?;
    let idempotent = idempotence(&translated).map_err(Failure::message)?;
    translated
        .client
        .set("enable.idempotence", idempotent.to_string())
        .set("queue.buffering.max.messages", QUEUED_RECORDS_MAX)
        .set("enable.metrics.push", "false");
    if translated.client.get("partitioner").is_none() {
        translated.client.set("partitioner", "murmur2_random");
    }
    Ok(translated)
}

/// On by default, off where something else that was asked for rules it out, and an error if it was asked for as well.
fn idempotence(config: &Translated) -> Result<bool, String> {
    if !config.is("enable.idempotence") {
        return match config.given.get("transactional.id") {
            None => Ok(false),
            Some(_) => Err(misconfigured("Cannot set a transactional.id without also enabling idempotence.")),
        };
    }
    let conflict = if config.number("retries") == 0 {
        "Must set retries to non-zero when using the idempotent producer."
    } else if !["all", "-1"].contains(&config.text("acks")) {
        "Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence."
    } else if config.number("max.in.flight.requests.per.connection") > 5 {
        "Must set max.in.flight.requests.per.connection to at most 5 to use the idempotent producer."
    } else {
        return Ok(true);
    };
    let asked_for =
        ["enable.idempotence", "transactional.id"].iter().any(|key| config.given.get(key).is_some());
    if asked_for { Err(misconfigured(conflict)) } else { Ok(false) }
}

fn misconfigured(why: &str) -> String {
    format!("org.apache.kafka.common.config.ConfigException: {why}")
}

/// Name and value of a record's header.
pub type RecordHeader = (String, Option<Vec<u8>>);

/// A record to be sent; keys, values and headers are bytes, as they were read.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<RecordHeader>,
    /// ms since the epoch; now if not set.
    pub timestamp: Option<i64>,
}

impl Outgoing {
    /// An upper bound of what the record takes in a batch, as the Java client estimates it.
    fn size(&self) -> usize {
        const BATCH_OVERHEAD: usize = 61;
        const RECORD_OVERHEAD: usize = 21;
        let field =
            |bytes: &Option<Vec<u8>>| varint_bytes(bytes.as_ref().map_or(1, Vec::len)) + length(bytes);
        let headers: usize =
            self.headers.iter().map(|(key, value)| varint_bytes(key.len()) + key.len() + field(value)).sum();
        BATCH_OVERHEAD
            + RECORD_OVERHEAD
            + field(&self.key)
            + field(&self.value)
            + varint_bytes(self.headers.len())
            + headers
    }
}

fn length(bytes: &Option<Vec<u8>>) -> usize {
    bytes.as_ref().map_or(0, Vec::len)
}

/// Bytes of a zigzag varint.
fn varint_bytes(value: usize) -> usize {
    let bits = usize::BITS - (value << 1).leading_zeros();
    bits.max(1).div_ceil(7) as usize
}

/// Sends to one topic: waits for metadata and for room in the buffer, each for `max.block.ms` at most.
pub struct Sender<C: ProducerContext + 'static> {
    pub producer: BaseProducer<C>,
    topic: String,
    client_id: String,
    block: Duration,
    request_bytes_max: usize,
    known: bool,
}

impl<C: ProducerContext + 'static> Sender<C> {
    /// # Errors
    /// When librdkafka refuses the configuration.
    pub fn new(config: &Translated, topic: &str, context: C) -> Result<Sender<C>, Failure> {
        let producer = config.client.create_with_context(context).map_err(|error| creation(&error))?;
        Ok(Sender {
            producer,
            topic: topic.to_owned(),
            client_id: config.given.get("client.id").unwrap_or("rdkafka").to_owned(),
            block: Duration::from_millis(u64::try_from(config.number("max.block.ms")).unwrap_or(0)),
            request_bytes_max: usize::try_from(config.number("max.request.size")).unwrap_or(0),
            known: false,
        })
    }

    /// Hands the record over; its delivery is told to the context later.
    ///
    /// # Errors
    /// What the Java client would throw or pass to the callback at once. The opaque comes back with it.
    pub fn send(
        &mut self,
        record: &Outgoing,
        opaque: C::DeliveryOpaque,
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(), (Exception, C::DeliveryOpaque)> {
        if let Err(exception) = self.await_metadata(stop) {
            return Err((exception, opaque));
        }
        let size = record.size();
        if size > self.request_bytes_max {
            return Err((exception::record_too_large(size, self.request_bytes_max), opaque));
        }
        let deadline = Instant::now() + self.block;
        let mut base: BaseRecord<'_, [u8], [u8], C::DeliveryOpaque> =
            BaseRecord::with_opaque_to(&self.topic, opaque);
        base.key = record.key.as_deref();
        base.payload = record.value.as_deref();
        base.timestamp = record.timestamp;
        base.headers = headers(record);
        loop {
            base = match self.producer.send(base) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => back,
                Err((error, back)) => return Err((exception::of(&error), back.delivery_opaque)),
            };
            if Instant::now() >= deadline || stop() {
                return Err((exception::buffer_exhausted(self.block.as_millis()), base.delivery_opaque));
            }
            self.producer.poll(Duration::from_millis(10));
        }
    }

    /// The first record waits until the topic is known, which may be created by the asking.
    fn await_metadata(&mut self, stop: &mut dyn FnMut() -> bool) -> Result<(), Exception> {
        if self.known {
            return Ok(());
        }
        let deadline = Instant::now() + self.block;
        loop {
            // In short rounds, so that Ctrl-C is heeded while no broker answers.
            let round = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(500));
            let answer =
                self.producer.client().fetch_metadata(Some(&self.topic), round.max(Duration::from_millis(1)));
            let topic = answer.as_ref().ok().and_then(|metadata| metadata.topics().first());
            let error = topic.and_then(|topic| topic.error()).map(RDKafkaErrorCode::from);
            match (topic, error) {
                (Some(topic), None) if !topic.partitions().is_empty() => {
                    self.known = true;
                    return Ok(());
                }
                (_, Some(RDKafkaErrorCode::InvalidTopic)) => {
                    return Err(Exception::new(
                        "org.apache.kafka.common.errors.InvalidTopicException",
                        format!("Invalid topics: [{}]", self.topic),
                    ));
                }
                (_, Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                    return Err(exception::of_code(RDKafkaErrorCode::TopicAuthorizationFailed));
                }
                (_, Some(code)) => self.warn_of_metadata(code),
                _ => {}
            }
            if Instant::now() >= deadline || stop() {
                return Err(exception::topic_unknown(&self.topic, self.block.as_millis()));
            }
            self.producer.poll(Duration::from_millis(100));
        }
    }

    fn warn_of_metadata(&self, code: RDKafkaErrorCode) {
        let message = format!(
            "[Producer clientId={}] Error while fetching metadata : {{{}={}}}",
            self.client_id,
            self.topic,
            exception::code_name(code)
        );
        log::write(Level::Warn, "org.apache.kafka.clients.NetworkClient", message);
    }

    /// Waits until everything sent has been acknowledged or has failed; each record does one or the other in time.
    pub fn flush(&self, stop: &mut dyn FnMut() -> bool) {
        while self.producer.in_flight_count() > 0 {
            if self.producer.flush(Duration::from_millis(100)).is_ok() || stop() {
                return;
            }
        }
    }
}

fn headers(record: &Outgoing) -> Option<rdkafka::message::OwnedHeaders> {
    if record.headers.is_empty() {
        return None;
    }
    let empty = rdkafka::message::OwnedHeaders::new_with_capacity(record.headers.len());
    Some(record.headers.iter().fold(empty, |headers, (key, value)| {
        headers.insert(rdkafka::message::Header { key, value: value.as_ref() })
    }))
}

/// librdkafka's refusal of a configuration, worded for the one who wrote it.
pub fn creation(error: &KafkaError) -> Failure {
    match error {
        KafkaError::ClientConfig(_, why, key, value) => {
            Failure::message(format!("thalweg: the property {key}={value} cannot be honoured: {why}"))
        }
        other => Failure::message(format!(
            "org.apache.kafka.common.KafkaException: Failed to construct kafka client: {other}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(pairs: &[&str]) -> Result<Translated, String> {
        let arguments: Vec<String> = pairs.iter().map(|&pair| pair.to_owned()).collect();
        configure(Properties::of_arguments(&arguments)).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn idempotence_gives_way_unless_it_was_asked_for() {
        let idempotent = |pairs: &[&str]| {
            configured(pairs).map(|config| config.client.get("enable.idempotence").map(str::to_owned))
        };
        assert_eq!(idempotent(&[]).unwrap().as_deref(), Some("true"));
        for conflict in ["acks=1", "retries=0", "max.in.flight.requests.per.connection=6"] {
            assert_eq!(idempotent(&[conflict]).unwrap().as_deref(), Some("false"), "{conflict}");
            assert!(idempotent(&[conflict, "enable.idempotence=true"]).unwrap_err().contains("Must set"));
        }
    }

    #[test]
    fn compression_and_partitioner_are_named_when_unknown() {
        assert!(
            configured(&["compression.type=lzma"]).unwrap_err().contains("Unknown compression name: lzma")
        );
        assert!(configured(&["partitioner.class=a.B"]).unwrap_err().contains("partitioner.class=a.B"));
    }

    #[test]
    fn sizes_count_as_in_java() {
        assert_eq!([0, 63, 64, 8191, 8192].map(varint_bytes), [1, 1, 2, 2, 3]);
    }
}
