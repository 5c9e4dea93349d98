//! `kafka-console-consumer.sh`: records become lines on stdout.
//!
//! ```text
//! librdkafka -> poll -> Formatter -> stdout, flushed whenever no record waits -> offset stored, for the next auto commit
//! ```
//! An offset is stored, and so may be committed, only once its record has been handed to stdout's buffer; the buffer is
//! written out before every wait. At the end the stored offsets are committed if the group commits at all.
//! Like Kafka's tool, it says how many records it has seen on stderr and ends with 0, also after `--timeout-ms` or when
//! the consumer fails; with 1 if a record could not be written; with 128 + the signal after Ctrl-C.

mod deserializer;
mod formatter;
mod options;
mod subscription;

use std::io::Write;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message, Timestamp};

use self::formatter::{FormatError, Formatter, Incoming, Stamp};
use self::options::{From, Settings, Source};
use self::subscription::Subscription;
use crate::failure::Failure;
use crate::options::Parsed;
use crate::record_client::consumer::{self, Quiet, Trouble};
use crate::record_client::exception;
use crate::record_client::log::{self, Level};
use crate::record_client::producer;
use crate::record_client::signal::Signals;
use crate::tool::Tool;

pub use options::number_below;

pub const TOOL: Tool = Tool {
    name: "console-consumer",
    summary: "This tool reads data from Kafka topics and outputs it to standard output.",
    on_nothing: None,
    spec: &options::SPEC,
    run,
};

const LOGGER: &str = "kafka.tools.ConsoleConsumer$";
const UNKNOWN_ERROR: &str = "Unknown error when running consumer: ";

/// How long one wait for records is at most: signals are looked at in between.
const WAIT: Duration = Duration::from_millis(50);

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let settings = Settings::of(options)?;
    let formatter = Formatter::of_class(&settings.formatter_class, &settings.formatter)
        .map_err(|exception| Failure::message(exception.to_string()).uncaught())?;
    let signals = Signals::watch()?;
    let config = consumer::configure(settings.consumer.clone()).map_err(|failure| {
        log::write_caught(Level::Error, LOGGER, UNKNOWN_ERROR, failure.text());
        Failure::Said(1)
    })?;
    let consumer: BaseConsumer<Quiet> =
        config.client.create_with_context(Quiet).map_err(|error| producer::creation(&error))?;
    let subscription = begin(&consumer, &settings, &config)?;
    let mut console = Console {
        stores: config.is("enable.auto.commit"),
        client_id: config.given.get("client.id").unwrap_or_default().to_owned(),
        consumer,
        subscription,
        formatter,
        signals,
        settings,
        records: 0,
    };
    let outcome = console.process(out);
    console.finish(outcome, out)
}

/// Subscribes, or takes the one partition.
fn begin(
    consumer: &BaseConsumer<Quiet>,
    settings: &Settings,
    config: &crate::record_client::property::Translated,
) -> Result<Subscription, Failure> {
    let failed = |error: KafkaError| {
        let message = format!("{}", exception::of(&error));
        log::write_caught(Level::Error, LOGGER, UNKNOWN_ERROR, message);
        Failure::Said(1)
    };
    match &settings.source {
        Source::Topic(topic) => {
            consumer.subscribe(&[topic]).map_err(failed)?;
            Ok(Subscription::fixed(topic))
        }
        Source::Matching(pattern) => Subscription::matching(pattern, config),
        Source::Partition { topic, partition, from } => {
            let offset = match from {
                From::Earliest => Offset::Beginning,
                From::Latest => Offset::End,
                From::Offset(offset) => Offset::Offset(*offset),
            };
            let mut assignment = TopicPartitionList::new();
            assignment.add_partition_offset(topic, *partition, offset).map_err(failed)?;
            consumer.assign(&assignment).map_err(failed)?;
            Ok(Subscription::fixed(topic))
        }
    }
}

struct Console {
    consumer: BaseConsumer<Quiet>,
    subscription: Subscription,
    formatter: Formatter,
    signals: Signals,
    settings: Settings,
    client_id: String,
    /// Whether offsets will be committed.
    stores: bool,
    records: u64,
}

/// Why reading has come to an end.
enum End {
    Enough,
    Signal(u8),
    /// Told on stderr already.
    Failed,
    /// A record could not be written, and was not to be skipped.
    Broken(String),
    /// Nobody reads stdout any more.
    Unread,
}

impl Console {
    fn process(&mut self, out: &mut dyn Write) -> End {
        let mut waiting_since = Instant::now();
        let mut pause = Duration::ZERO;
        while self.settings.records_max.is_none_or(|max| self.records < max) {
            if let Some(code) = self.signals.exit_code() {
                return End::Signal(code);
            }
            let end = match self.consumer.poll(pause) {
                Some(Ok(message)) => {
                    (waiting_since, pause) = (Instant::now(), Duration::ZERO);
                    self.records += 1;
                    let end = self.judge(write(&self.formatter, &message, out));
                    self.store(&message);
                    end
                }
                Some(Err(error)) => self.trouble(&error),
                None if pause.is_zero() && out.flush().is_err() => Some(End::Unread),
                None => {
                    pause = WAIT;
                    self.idle(waiting_since, &mut pause)
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
        End::Enough
    }

    /// Nothing waits to be read: looks after the subscription and the time.
    fn idle(&mut self, since: Instant, pause: &mut Duration) -> Option<End> {
        if let Err(error) = self.subscription.refresh(&self.consumer)
            && let Some(end) = self.trouble(&error)
        {
            return Some(end);
        }
        let limit = self.settings.timeout_ms.map(Duration::from_millis)?;
        let waited = since.elapsed();
        if waited > limit {
            self.complain(&exception::timeout().to_string());
            return Some(End::Failed);
        }
        *pause = WAIT.min(limit - waited + Duration::from_millis(1));
        None
    }

    /// The next commit may count the record as read. Fails only for a partition that another member has by now.
    fn store(&self, message: &BorrowedMessage<'_>) {
        if self.stores {
            drop(self.consumer.store_offset_from_message(message));
        }
    }

    fn judge(&self, written: Result<(), FormatError>) -> Option<End> {
        match written {
            Ok(()) => None,
            Err(FormatError::Output(_)) => Some(End::Unread),
            Err(error) if self.settings.skip_on_error => {
                let message = "Error processing message, skipping this message: ";
                log::write_caught(Level::Error, LOGGER, message, error);
                None
            }
            Err(error) => Some(End::Broken(error.to_string())),
        }
    }

    fn trouble(&self, error: &KafkaError) -> Option<End> {
        match consumer::judge(error, &self.client_id, self.subscription.name()) {
            Trouble::Passing => None,
            Trouble::Ends(exception) => {
                self.complain(&exception.to_string());
                Some(End::Failed)
            }
        }
    }

    fn complain(&self, what: &str) {
        let message = "Error processing message, terminating consumer process: ";
        log::write_caught(Level::Error, LOGGER, message, what);
    }

    /// Leaves the group, which commits what was stored, and says how many records there were.
    fn finish(self, end: End, out: &mut dyn Write) -> Result<(), Failure> {
        let flushed = out.flush();
        if matches!(end, End::Unread) || flushed.is_err() {
            eprintln!("Unable to write to standard out, closing consumer.");
        }
        let Console { consumer, records, settings, .. } = self;
        drop(consumer);
        eprintln!("Processed a total of {records} messages");
        if settings.systest_events {
            writeln!(out, "shutdown_complete")?;
        }
        match end {
            End::Enough | End::Failed | End::Unread => Ok(()),
            End::Broken(why) => {
                log::write_caught(Level::Error, LOGGER, UNKNOWN_ERROR, why);
                Err(Failure::Said(1))
            }
            End::Signal(code) => Err(Failure::Said(code)),
        }
    }
}

fn write(
    formatter: &Formatter,
    message: &BorrowedMessage<'_>,
    out: &mut dyn Write,
) -> Result<(), FormatError> {
    let headers: Vec<(&str, Option<&[u8]>)> = message
        .headers()
        .map(|headers| headers.iter().map(|header| (header.key, header.value)).collect())
        .unwrap_or_default();
    let timestamp = match message.timestamp() {
        Timestamp::NotAvailable => Stamp::None,
        Timestamp::CreateTime(at) => Stamp::Create(at),
        Timestamp::LogAppendTime(at) => Stamp::LogAppend(at),
    };
    let record = Incoming {
        partition: message.partition(),
        offset: message.offset(),
        timestamp,
        key: message.key(),
        value: message.payload(),
        headers: &headers,
    };
    formatter.write(&record, out)
}
