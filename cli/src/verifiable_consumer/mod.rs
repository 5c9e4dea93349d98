//! `kafka-verifiable-consumer.sh`: reads in a group, and writes a line of JSON for every rebalance, portion and commit.

mod options;

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde::Serialize;

use crate::failure::Failure;
use crate::options::Parsed;
use crate::record_client::Properties;
use crate::record_client::consumer::{self, Portion, Trouble};
use crate::record_client::exception::{self, Exception};
use crate::record_client::log::{self, Level};
use crate::record_client::producer;
use crate::record_client::signal::Signals;
use crate::tool::Tool;
use crate::verifiable_producer::{bare_line, line};

pub use options::PROGRAM;

pub const TOOL: Tool = Tool {
    name: "verifiable-consumer",
    summary: "This tool consumes messages from a specific topic and emits consumer events (e.g. group rebalances, received messages, and offsets committed) as JSON objects to STDOUT.",
    on_nothing: None,
    spec: &options::SPEC,
    run,
};

const LOGGER: &str = "org.apache.kafka.tools.VerifiableConsumer";

#[derive(Serialize)]
struct Partition {
    topic: String,
    partition: i32,
}

#[derive(Serialize)]
struct Partitions {
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Record {
    key: Option<String>,
    value: Option<String>,
    topic: String,
    partition: i32,
    offset: i64,
}

#[derive(Serialize)]
struct Consumed {
    count: usize,
    partitions: Vec<Portions>,
}

#[derive(Serialize)]
struct Portions {
    topic: String,
    partition: i32,
    count: usize,
    #[serde(rename = "minOffset")]
    min_offset: i64,
    #[serde(rename = "maxOffset")]
    max_offset: i64,
}

#[derive(Serialize)]
struct Committed {
    offsets: Vec<CommittedOffset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    success: bool,
}

#[derive(Serialize)]
struct CommittedOffset {
    topic: String,
    partition: i32,
    offset: i64,
}

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    let mut config = consumer::configure(properties(options)?).map_err(Failure::uncaught)?;
    if options.has("enable-autocommit") {
        config.client.set("enable.auto.offset.store", "true");
    }
    let signals = Signals::watch()?;
    let consumer: BaseConsumer<Rebalances> = config
        .client
        .create_with_context(Rebalances::default())
        .map_err(|error| producer::creation(&error))?;
    let verifiable = Verifiable {
        portion: Portion::of(&config),
        client_id: config.given.get("client.id").unwrap_or_default().to_owned(),
        consumer,
        signals,
        topic: options.value("topic")?.unwrap_or_default().to_owned(),
        left: options.number::<i64>("max-messages")?.and_then(|max| usize::try_from(max).ok()),
        verbose: options.has("verbose"),
        commits: !options.has("enable-autocommit"),
    };
    verifiable.run(out)
}

/// The file first: options win.
fn properties(options: &Parsed) -> Result<Properties, Failure> {
    let mut properties = match options.value("consumer.config")? {
        Some(path) => Properties::load(path)?,
        None => Properties::new(),
    };
    let servers = match options.value("bootstrap-server")? {
        Some(servers) => servers,
        None => options.value("broker-list")?.unwrap_or_default(),
    };
    properties.set("bootstrap.servers", servers);
    properties.set("enable.auto.commit", options.has("enable-autocommit").to_string());
    for (key, option) in [
        ("group.id", "group-id"),
        ("group.instance.id", "group-instance-id"),
        ("auto.offset.reset", "reset-policy"),
        ("session.timeout.ms", "session-timeout"),
        ("partition.assignment.strategy", "assignment-strategy"),
    ] {
        if let Some(value) = options.value(option)? {
            properties.set(key, value);
        }
    }
    let client_id = format!("consumer-{}-1", properties.get("group.id").unwrap_or_default());
    properties.set_default("client.id", client_id);
    Ok(properties)
}

/// Lines of rebalances, until the main loop writes them.
#[derive(Default)]
struct Rebalances(Mutex<Vec<String>>);

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        consumer::relay(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let (name, list) = match rebalance {
            Rebalance::Assign(list) => ("partitions_assigned", list),
            Rebalance::Revoke(list) => ("partitions_revoked", list),
            Rebalance::Error(_) => return,
        };
        let partition = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| Partition {
            topic: element.topic().to_owned(),
            partition: element.partition(),
        };
        let partitions = list.elements().iter().map(partition).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line(name, Partitions { partitions }));
    }
}

struct Verifiable {
    consumer: BaseConsumer<Rebalances>,
    portion: Portion,
    signals: Signals,
    client_id: String,
    topic: String,
    /// Records to read yet; any number if not set.
    left: Option<usize>,
    verbose: bool,
    commits: bool,
}

impl Verifiable {
    fn run(mut self, out: &mut dyn Write) -> Result<(), Failure> {
        writeln!(out, "{}", bare_line("startup_complete"))?;
        out.flush()?;
        let failed = match self.consumer.subscribe(&[&self.topic]) {
            Ok(()) => self.consume(out)?,
            Err(error) => Some(exception::of(&error)),
        };
        if let Some(exception) = failed {
            log::write_caught(
                Level::Error,
                LOGGER,
                "Error during processing, terminating consumer process: ",
                exception,
            );
        }
        // Leaving the group takes the partitions away, which is told first.
        self.consumer.unsubscribe();
        while self.consumer.assignment().is_ok_and(|assignment| assignment.count() > 0) {
            drop(self.consumer.poll(Duration::from_millis(10)));
        }
        self.tell(out)?;
        let Verifiable { consumer, mut signals, .. } = self;
        drop(consumer);
        writeln!(out, "{}", bare_line("shutdown_complete"))?;
        signals.exit_code().map_or(Ok(()), |code| Err(Failure::Said(code)))
    }

    fn consume(&mut self, out: &mut dyn Write) -> Result<Option<Exception>, Failure> {
        while self.left != Some(0) && self.signals.exit_code().is_none() {
            let mut records = Vec::new();
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            let fault = self.portion.take(&self.consumer, Duration::from_millis(50), |message| {
                records.push(Record {
                    key: text(message.key()),
                    value: text(message.payload()),
                    topic: message.topic().to_owned(),
                    partition: message.partition(),
                    offset: message.offset(),
                });
            });
            self.tell(out)?;
            if !records.is_empty() {
                self.receive(records, out)?;
            }
            if let Some(error) = fault
                && let Trouble::Ends(exception) = consumer::judge(&error, &self.client_id, &self.topic)
            {
                return Ok(Some(exception));
            }
        }
        Ok(None)
    }

    /// Tells of one portion, and commits it.
    fn receive(&mut self, records: Vec<Record>, out: &mut dyn Write) -> Result<(), Failure> {
        let count = records.len();
        let mut partitions: Vec<Portions> = Vec::new();
        for record in records {
            if self.left == Some(0) {
                break;
            }
            self.left = self.left.map(|left| left - 1);
            let known = partitions.iter_mut().find(|known| known.partition == record.partition);
            match known {
                Some(known) => (known.count, known.max_offset) = (known.count + 1, record.offset),
                None => partitions.push(Portions {
                    topic: record.topic.clone(),
                    partition: record.partition,
                    count: 1,
                    min_offset: record.offset,
                    max_offset: record.offset,
                }),
            }
            if self.verbose {
                writeln!(out, "{}", line("record_data", record))?;
            }
        }
        let offsets: Vec<CommittedOffset> = partitions
            .iter()
            .map(|portion| CommittedOffset {
                topic: portion.topic.clone(),
                partition: portion.partition,
                offset: portion.max_offset + 1,
            })
            .collect();
        writeln!(out, "{}", line("records_consumed", Consumed { count, partitions }))?;
        if self.commits {
            let error = self.commit(&offsets).err().map(|error| exception::of(&error).message);
            let success = error.is_none();
            writeln!(out, "{}", line("offsets_committed", Committed { offsets, error, success }))?;
        }
        Ok(out.flush()?)
    }

    fn commit(&self, offsets: &[CommittedOffset]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for committed in offsets {
            list.add_partition_offset(
                &committed.topic,
                committed.partition,
                Offset::Offset(committed.offset),
            )?;
        }
        self.consumer.commit(&list, CommitMode::Sync)
    }

    fn tell(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let lines =
            std::mem::take(&mut *self.consumer.context().0.lock().unwrap_or_else(PoisonError::into_inner));
        if lines.is_empty() {
            return Ok(());
        }
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }
}
