//! `kafka-consumer-perf-test.sh`: reads records as fast as they come, and reports rates.
//!
//! Records are taken in the Java consumer's portions (`max.poll.records`): like Kafka's tool, it counts whole portions, so
//! it may read more than `--messages`.

mod options;
mod report;

use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;

use self::report::{Progress, Reporter};
use crate::failure::Failure;
use crate::options::Parsed;
use crate::record_client::consumer::{self, Portion, Trouble};
use crate::record_client::log::{self, Level};
use crate::record_client::metrics::{self, Metrics, Side};
use crate::record_client::producer;
use crate::record_client::signal::Signals;
use crate::tool::Tool;

pub const TOOL: Tool = Tool {
    name: "consumer-perf-test",
    summary: "This tool helps in performance test for the full zookeeper consumer",
    on_nothing: Some("Missing required option(s) [bootstrap-server]"),
    spec: &options::SPEC,
    run,
};

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    if options.has("threads") || options.has("num-fetch-threads") {
        writeln!(
            out,
            "WARNING: option [threads] and [num-fetch-threads] have been deprecated and will be ignored by the test"
        )?;
    }
    options.require(&["topic", "messages"])?;
    for option in ["messages", "threads", "num-fetch-threads", "timeout"] {
        options.checked(option)?;
    }
    let properties = options::properties(options)?;
    let reporter = Reporter::new(options).map_err(Failure::uncaught)?;
    reporter.header(out)?;
    let mut config = consumer::configure(properties).map_err(Failure::uncaught)?;
    // Nothing is done with a record but counting it, so what was fetched may be committed.
    config.client.set("enable.auto.offset.store", "true");
    if options.has("print-metrics") {
        config.client.set("statistics.interval.ms", metrics::INTERVAL_MS);
    }
    let signals = Signals::watch()?;
    let context = Watch { joining: Mutex::new(Joining::new()), metrics: Metrics::default() };
    let consumer: BaseConsumer<Watch> =
        config.client.create_with_context(context).map_err(|error| producer::creation(&error))?;
    let client_id = config.given.get("client.id").unwrap_or_default();
    let portion = Portion::of(&config);
    let mut test = Test::new(options, consumer, portion, signals, reporter, client_id)?;
    test.run(out)?;
    if options.has("print-metrics") {
        test.await_metrics();
        test.consumer.context().metrics.print(Side::Consumer, client_id, out)?;
    }
    test.signals.exit_code().map_or(Ok(()), |code| Err(Failure::Said(code)))
}

/// How long the group has taken to settle: each time from losing partitions to getting some.
#[derive(Debug)]
struct Joining {
    since: Instant,
    total: Duration,
    round: Duration,
}

impl Joining {
    fn new() -> Joining {
        Joining { since: Instant::now(), total: Duration::ZERO, round: Duration::ZERO }
    }
}

struct Watch {
    joining: Mutex<Joining>,
    metrics: Metrics,
}

impl Watch {
    fn joining(&self) -> std::sync::MutexGuard<'_, Joining> {
        self.joining.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Watch {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        consumer::relay(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {}

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.metrics.keep(statistics);
    }
}

impl ConsumerContext for Watch {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut joining = self.joining();
        match rebalance {
            Rebalance::Assign(_) => {
                let took = joining.since.elapsed();
                joining.total += took;
                joining.round += took;
            }
            Rebalance::Revoke(_) => joining.since = Instant::now(),
            Rebalance::Error(_) => {}
        }
    }
}

struct Test<'a> {
    consumer: BaseConsumer<Watch>,
    portion: Portion,
    signals: Signals,
    reporter: Reporter,
    client_id: &'a str,
    topic: String,
    records_wanted: u64,
    patience: Duration,
}

impl<'a> Test<'a> {
    fn new(
        options: &Parsed,
        consumer: BaseConsumer<Watch>,
        portion: Portion,
        signals: Signals,
        reporter: Reporter,
        client_id: &'a str,
    ) -> Result<Test<'a>, Failure> {
        let patience = options.number::<i64>("timeout")?.unwrap_or(10_000);
        Ok(Test {
            consumer,
            portion,
            signals,
            reporter,
            client_id,
            topic: options.value("topic")?.unwrap_or_default().to_owned(),
            records_wanted: options
                .number::<i64>("messages")?
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or(0),
            patience: Duration::from_millis(u64::try_from(patience).unwrap_or(0)),
        })
    }

    fn run(&mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let begun = jiff::Zoned::now();
        let started = Instant::now();
        *self.consumer.context().joining() = Joining::new();
        self.consumer.subscribe(&[&self.topic]).map_err(|error| producer::creation(&error))?;
        let read = self.consume(out)?;
        let elapsed = started.elapsed();
        if read.records < self.records_wanted {
            writeln!(
                out,
                "WARNING: Exiting before consuming the expected number of messages: timeout ({} ms) exceeded. You can \
                 use the --timeout option to increase the timeout.",
                self.patience.as_millis()
            )?;
        }
        let joined = self.consumer.context().joining().total;
        self.reporter.total(&begun, elapsed, joined, read, out)
    }

    fn consume(&mut self, out: &mut dyn Write) -> Result<Progress, Failure> {
        let (mut read, mut reported) = (Progress::default(), Progress::default());
        let (mut last_report, mut last_record) = (Instant::now(), Instant::now());
        while read.records < self.records_wanted
            && last_record.elapsed() <= self.patience
            && self.signals.exit_code().is_none()
        {
            let mut sizes = Vec::new();
            let fault = self.portion.take(&self.consumer, Duration::from_millis(100), |message| {
                sizes.push(consumer::payload_bytes(&message));
            });
            if let Some(error) = fault
                && let Trouble::Ends(exception) = consumer::judge(&error, self.client_id, &self.topic)
            {
                log::write(Level::Error, "kafka.tools.ConsumerPerformance$", &exception);
                return Err(Failure::message(exception.to_string()));
            }
            let now = Instant::now();
            if !sizes.is_empty() {
                last_record = now;
            }
            for size in sizes {
                read.records += 1;
                read.bytes += size;
                if now - last_report >= self.reporter.interval {
                    let joined = std::mem::take(&mut self.consumer.context().joining().round);
                    self.reporter.progress(read, reported, now - last_report, joined, out)?;
                    (last_report, reported) = (now, read);
                }
            }
        }
        Ok(read)
    }

    fn await_metrics(&self) {
        let metrics = &self.consumer.context().metrics;
        metrics.forget();
        let deadline = Instant::now() + Duration::from_secs(2);
        while !metrics.is_there() && Instant::now() < deadline {
            drop(self.consumer.poll(Duration::from_millis(50)));
        }
    }
}
