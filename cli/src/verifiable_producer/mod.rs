//! `kafka-verifiable-producer.sh`: writes ascending numbers, and a line of JSON for everything that happens to them.

mod options;

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, Producer, ProducerContext};
use serde::Serialize;

use crate::calendar::now_ms;
use crate::failure::Failure;
use crate::options::Parsed;
use crate::record_client::exception::{self, Exception};
use crate::record_client::producer::{self, Outgoing, Sender};
use crate::record_client::signal::Signals;
use crate::record_client::throttle::Throttle;
use crate::record_client::{Properties, consumer};
use crate::tool::Tool;

pub use options::PROGRAM;

pub const TOOL: Tool = Tool {
    name: "verifiable-producer",
    summary: "This tool produces increasing integers to the specified topic and prints JSON metadata to stdout on each \"send\" request, making externally visible which messages have been acked and which have not.",
    on_nothing: None,
    spec: &options::SPEC,
    run,
};

/// One line of JSON; fields stand as Kafka's tool writes them.
#[derive(Serialize)]
struct Line<T: Serialize> {
    timestamp: u128,
    name: &'static str,
    #[serde(flatten)]
    event: T,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Success<'a> {
    key: Option<&'a str>,
    value: &'a str,
    offset: i64,
    topic: &'a str,
    partition: i32,
}

#[derive(Serialize)]
struct Failed<'a> {
    key: Option<&'a str>,
    value: &'a str,
    exception: String,
    message: &'a str,
    topic: &'a str,
}

#[derive(Serialize)]
struct Summary {
    sent: u64,
    acked: u64,
    target_throughput: i64,
    avg_throughput: f64,
}

/// The line of an event that happens now.
pub fn line(name: &'static str, event: impl Serialize) -> String {
    serde_json::to_string(&Line { timestamp: now_ms(), name, event })
        .unwrap_or_else(|error| format!("Bad data can't be written as json: {error}"))
}

/// Of an event without fields of its own.
pub fn bare_line(name: &'static str) -> String {
    line(name, Nothing {})
}

fn failed_line(key: Option<&str>, value: &str, topic: &str, exception: &Exception) -> String {
    let (message, class) = (exception.message.as_str(), format!("class {}", exception.class));
    line("producer_send_error", Failed { key, value, exception: class, message, topic })
}

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let config = producer::configure(properties(options)?).map_err(Failure::uncaught)?;
    let signals = Signals::watch()?;
    let topic = options.value("topic")?.unwrap_or_default();
    let throughput: i64 = options.number("throughput")?.unwrap_or(-1);
    let create_time: i64 = options.number("message-create-time")?.unwrap_or(-1);
    let mut verifiable = Verifiable {
        sender: Sender::new(&config, topic, Deliveries::default())?,
        signals,
        topic,
        records_max: options.number::<i64>("max-messages")?.and_then(|max| u64::try_from(max).ok()),
        throughput,
        prefix: options.number("value-prefix")?,
        repeating_keys: options.number("repeating-keys")?,
        create_time: Some(create_time).filter(|&time| time != -1),
        started: Instant::now(),
        sent: 0,
    };
    verifiable.run(out)
}

/// Options win over nothing: the file has the last word, as with Kafka's tool.
fn properties(options: &Parsed) -> Result<Properties, Failure> {
    let mut properties = Properties::new();
    let servers = match options.value("bootstrap-server")? {
        Some(servers) => servers,
        None => options.value("broker-list")?.unwrap_or_default(),
    };
    properties.set("bootstrap.servers", servers);
    properties.set("acks", options.value("acks")?.unwrap_or_default());
    properties.set("retries", "0");
    if let Some(path) = options.value("producer.config")? {
        properties.extend(Properties::load(path)?);
    }
    properties.set_default("client.id", "producer-1");
    Ok(properties)
}

/// Lines of deliveries, until the main loop writes them.
#[derive(Default)]
struct Deliveries(Mutex<Told>);

#[derive(Default)]
struct Told {
    lines: Vec<String>,
    acked: u64,
}

impl Deliveries {
    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        consumer::relay(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let mut told = self.told();
        let line = match result {
            Ok(message) => {
                told.acked += 1;
                let (key, value) = (text(message.key()), text(message.payload()).unwrap_or_default());
                let (offset, topic, partition) = (message.offset(), message.topic(), message.partition());
                let event = Success { key: key.as_deref(), value: &value, offset, topic, partition };
                line("producer_send_success", event)
            }
            Err((error, message)) => {
                let (key, value) = (text(message.key()), text(message.payload()).unwrap_or_default());
                failed_line(key.as_deref(), &value, message.topic(), &exception::of(error))
            }
        };
        told.lines.push(line);
    }
}

struct Verifiable<'a> {
    sender: Sender<Deliveries>,
    signals: Signals,
    topic: &'a str,
    records_max: Option<u64>,
    throughput: i64,
    prefix: Option<i32>,
    repeating_keys: Option<i32>,
    create_time: Option<i64>,
    started: Instant,
    sent: u64,
}

impl Verifiable<'_> {
    fn run(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        writeln!(out, "{}", bare_line("startup_complete"))?;
        out.flush()?;
        let mut throttle = Throttle::new(self.throughput);
        while self.records_max.is_none_or(|max| self.sent < max) && self.signals.exit_code().is_none() {
            self.send(out)?;
            self.tell(out)?;
            if let Some(pause) = throttle.pause(self.sent - 1) {
                self.pause(pause, out)?;
            }
        }
        let code = self.signals.exit_code();
        self.signals.forget();
        let signals = &mut self.signals;
        self.sender.flush(&mut || signals.exit_code().is_some());
        self.tell(out)?;
        writeln!(out, "{}", bare_line("shutdown_complete"))?;
        let acked = self.sender.producer.context().told().acked;
        let elapsed_ms = self.started.elapsed().as_millis().max(1);
        let avg_throughput = 1000.0 * acked as f64 / elapsed_ms as f64;
        let summary = Summary { sent: self.sent, acked, target_throughput: self.throughput, avg_throughput };
        writeln!(out, "{}", line("tool_data", summary))?;
        code.map_or(Ok(()), |code| Err(Failure::Said(code)))
    }

    fn send(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let value = match self.prefix {
            Some(prefix) => format!("{prefix}.{}", self.sent),
            None => self.sent.to_string(),
        };
        let key = self.key();
        let record = Outgoing {
            key: key.clone().map(String::into_bytes),
            value: Some(value.clone().into_bytes()),
            headers: Vec::new(),
            timestamp: self.create_time,
        };
        if let Some(time) = &mut self.create_time {
            *time += i64::try_from(self.started.elapsed().as_millis()).unwrap_or(0);
        }
        self.sent += 1;
        let signals = &mut self.signals;
        if let Err((exception, ())) = self.sender.send(&record, (), &mut || signals.exit_code().is_some()) {
            writeln!(out, "{}", failed_line(key.as_deref(), &value, self.topic, &exception))?;
        }
        Ok(())
    }

    fn key(&self) -> Option<String> {
        let keys = self.repeating_keys?;
        // Below one the Java tool's counter never meets it, and goes on.
        let number = match u64::try_from(keys) {
            Ok(keys) if keys > 0 => self.sent % keys,
            _ => self.sent,
        };
        Some(number.to_string())
    }

    fn pause(&mut self, pause: Duration, out: &mut dyn Write) -> Result<(), Failure> {
        let until = Instant::now().checked_add(pause);
        while until.is_none_or(|until| Instant::now() < until) && self.signals.exit_code().is_none() {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            self.sender.producer.poll(left.min(Duration::from_millis(50)));
            self.tell(out)?;
        }
        Ok(())
    }

    /// Writes the lines of what was delivered, and flushes if there are any.
    fn tell(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        self.sender.producer.poll(Duration::ZERO);
        let lines = std::mem::take(&mut self.sender.producer.context().told().lines);
        if lines.is_empty() {
            return Ok(());
        }
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_kafkas_fields_in_their_order() {
        let event = Success { key: None, value: "7", offset: 3, topic: "t", partition: 1 };
        let text = line("producer_send_success", event);
        let (_, fields) = text.split_once(',').unwrap();
        assert_eq!(
            fields,
            "\"name\":\"producer_send_success\",\"key\":null,\"value\":\"7\",\"offset\":3,\"topic\":\"t\",\"partition\":1}"
        );
        let (_, bare) =
            bare_line("startup_complete").split_once(',').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!(bare, "\"name\":\"startup_complete\"}");
    }
}
