//! `kafka-producer-perf-test.sh`: writes records as fast as they go, or at a rate, and reports rates and latencies.
//!
//! A latency is from handing a record over to its acknowledgement, waiting in the client included. A record that failed
//! counts too, and its error goes to stderr, as with Kafka's tool.

mod options;
mod payload;
mod statistics;

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{NoCustomPartitioner, Producer, ProducerContext};

use self::payload::Payload;
use self::statistics::Statistics;
use crate::failure::Failure;
use crate::options::Parsed;
use crate::record_client::metrics::{self, Metrics, Side};
use crate::record_client::producer::{self, Outgoing, Sender};
use crate::record_client::property::Translated;
use crate::record_client::signal::Signals;
use crate::record_client::throttle::Throttle;
use crate::record_client::{Properties, consumer, exception};
use crate::tool::Tool;

pub use options::PROGRAM;

pub const TOOL: Tool = Tool {
    name: "producer-perf-test",
    summary: "This tool is used to verify the producer performance.",
    on_nothing: None,
    spec: &options::SPEC,
    run,
};

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    if !options.has("producer-props") && !options.has("producer.config") {
        return Err(Failure::message(format!(
            "{}: error: Either --producer-props or --producer.config must be specified.",
            PROGRAM.name
        )));
    }
    let payload = match options.value("payload-file")? {
        Some(path) => Payload::of_file(path, options.value("payload-delimiter")?.unwrap_or_default(), out)?,
        None => Payload::letters(options.number::<usize>("record-size")?.unwrap_or(0)),
    };
    let records: u64 = options.number("num-records")?.unwrap_or(0);
    if records == 0 {
        return Err(Failure::message("java.lang.ArithmeticException: / by zero").uncaught());
    }
    let transaction =
        Some(options.number::<u64>("transaction-duration-ms")?.unwrap_or(0)).filter(|&ms| ms > 0);
    let mut config =
        producer::configure(properties(options, transaction.is_some())?).map_err(Failure::uncaught)?;
    if options.has("print-metrics") {
        config.client.set("statistics.interval.ms", metrics::INTERVAL_MS);
    }
    let signals = Signals::watch()?;
    let context =
        Deliveries { statistics: Mutex::new(Statistics::new(records)), metrics: Metrics::default() };
    let sender = Sender::new(&config, options.value("topic")?.unwrap_or_default(), context)?;
    let throttle = Throttle::new(options.number::<i64>("throughput")?.unwrap_or(-1));
    let transaction = transaction.map(Duration::from_millis);
    let mut test = Test { sender, payload, throttle, signals, records, transaction };
    test.run(out)?;
    if options.has("print-metrics") {
        test.print_metrics(&config, out)?;
    }
    test.signals.exit_code().map_or(Ok(()), |code| Err(Failure::Said(code)))
}

fn properties(options: &Parsed, transactions: bool) -> Result<Properties, Failure> {
    let mut properties = match options.value("producer.config")? {
        Some(path) => Properties::load(path)?,
        None => Properties::new(),
    };
    for pair in options.values("producer-props") {
        let pieces: Vec<&str> = pair.trim_end_matches('=').split('=').collect();
        match pieces.as_slice() {
            [key, value] => properties.set(key, *value),
            _ => {
                return Err(Failure::message(format!(
                    "java.lang.IllegalArgumentException: Invalid property: {pair}"
                ))
                .uncaught());
            }
        }
    }
    if transactions {
        properties.set("transactional.id", options.value("transactional-id")?.unwrap_or_default());
    }
    properties.set_default("client.id", "perf-producer-client");
    properties.set_default("bootstrap.servers", "");
    Ok(properties)
}

/// One record on its way.
struct Sent {
    iteration: u64,
    at: Instant,
    bytes: u64,
}

struct Deliveries {
    statistics: Mutex<Statistics>,
    metrics: Metrics,
}

impl Deliveries {
    fn done(&self, sent: &Sent) {
        let mut statistics = self.statistics.lock().unwrap_or_else(PoisonError::into_inner);
        statistics.record(sent.iteration, sent.at.elapsed(), sent.bytes);
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        consumer::relay(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {}

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.metrics.keep(statistics);
    }
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        self.done(&sent);
        if let Err((error, _)) = result {
            eprintln!("{}", exception::of(error));
        }
    }
}

struct Test {
    sender: Sender<Deliveries>,
    payload: Payload,
    throttle: Throttle,
    signals: Signals,
    records: u64,
    transaction: Option<Duration>,
}

impl Test {
    fn run(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        if self.transaction.is_some() {
            self.transact(|sender| sender.producer.init_transactions(Duration::from_secs(60)))?;
        }
        let mut open: Option<Instant> = None;
        for iteration in 0..self.records {
            if self.signals.exit_code().is_some() {
                break;
            }
            if self.transaction.is_some() && open.is_none() {
                self.transact(|sender| sender.producer.begin_transaction())?;
                open = Some(Instant::now());
            }
            self.send(iteration);
            if open.zip(self.transaction).is_some_and(|(since, length)| since.elapsed() >= length) {
                self.commit()?;
                open = None;
            }
            self.pause(iteration);
            self.report(out)?;
        }
        if open.is_some() {
            self.commit()?;
        }
        self.sender.flush(&mut || false);
        self.report(out)?;
        let total = self.statistics().total_report();
        Ok(writeln!(out, "{total}")?)
    }

    fn send(&mut self, iteration: u64) {
        let value = self.payload.next().to_vec();
        let sent = Box::new(Sent { iteration, at: Instant::now(), bytes: value.len() as u64 });
        let record = Outgoing { value: Some(value), ..Outgoing::default() };
        let signals = &mut self.signals;
        if let Err((exception, sent)) = self.sender.send(&record, sent, &mut || signals.exit_code().is_some())
        {
            self.sender.producer.context().done(&sent);
            eprintln!("{exception}");
        }
        self.sender.producer.poll(Duration::ZERO);
    }

    /// Sleeps as long as the rate asks for; acknowledgements are taken meanwhile, so that latencies are right.
    fn pause(&mut self, iteration: u64) {
        let Some(pause) = self.throttle.pause(iteration) else { return };
        let until = Instant::now().checked_add(pause);
        while until.is_none_or(|until| Instant::now() < until) && self.signals.exit_code().is_none() {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            self.sender.producer.poll(left.min(Duration::from_millis(50)));
        }
    }

    fn commit(&mut self) -> Result<(), Failure> {
        self.sender.flush(&mut || false);
        self.transact(|sender| sender.producer.commit_transaction(Duration::from_secs(60)))
    }

    fn transact(
        &mut self,
        step: impl FnOnce(&Sender<Deliveries>) -> Result<(), KafkaError>,
    ) -> Result<(), Failure> {
        step(&self.sender).map_err(|error| Failure::message(exception::of(&error).to_string()))
    }

    fn statistics(&self) -> std::sync::MutexGuard<'_, Statistics> {
        self.sender.producer.context().statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let reports = std::mem::take(&mut self.statistics().reports);
        if reports.is_empty() {
            return Ok(());
        }
        for report in reports {
            writeln!(out, "{report}")?;
        }
        Ok(out.flush()?)
    }

    /// Waits for statistics that count everything, which come by themselves.
    fn print_metrics(&self, config: &Translated, out: &mut dyn Write) -> Result<(), Failure> {
        let metrics = &self.sender.producer.context().metrics;
        metrics.forget();
        let deadline = Instant::now() + Duration::from_secs(2);
        while !metrics.is_there() && Instant::now() < deadline {
            self.sender.producer.poll(Duration::from_millis(50));
        }
        Ok(metrics.print(Side::Producer, config.given.get("client.id").unwrap_or_default(), out)?)
    }
}
