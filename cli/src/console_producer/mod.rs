//! `kafka-console-producer.sh`: lines of stdin become records.
//!
//! ```text
//! stdin -> LineSplitter -> LineReader -> Sender -> librdkafka -> delivery: an ERROR line on stderr, or nothing
//! ```
//! One thread: it sleeps on stdin and the signals' descriptor, and serves deliveries in between. The end of the input and
//! Ctrl-C both wait for what has been read to be acknowledged; then the exit code is 0, or 128 + the signal.
//! Like Kafka's tool, it ends with 0 even if records could not be delivered, unless `--sync` was given.

mod line;
mod options;
mod reader;

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, Producer, ProducerContext};

use crate::failure::Failure;
use crate::options::Parsed;
use crate::record_client::exception::{self, Exception};
use crate::record_client::log::{self, Level};
use crate::record_client::producer::{self, Outgoing, Sender};
use crate::record_client::signal::Signals;
use crate::record_client::{Properties, consumer};
use crate::tool::Tool;

pub use line::LineSplitter;
pub use options::servers;
pub use reader::LineReader;

pub const TOOL: Tool = Tool {
    name: "console-producer",
    summary: "This tool reads data from standard input and publishes it to Kafka.",
    on_nothing: Some("Missing required option(s) [bootstrap-server]"),
    spec: &options::SPEC,
    run,
};

const READER_CLASS: &str = "kafka.tools.ConsoleProducer$LineMessageReader";
const CALLBACK: &str = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";

/// How long the tool sleeps at most before it serves deliveries again.
const IDLE_MS: u16 = 50;

fn run(options: &Parsed, out: &mut dyn Write) -> Result<(), Failure> {
    options.require(&["topic"])?;
    let topic = options.value("topic")?.unwrap_or_default();
    let properties = options::properties(options)?;
    check_reader_class(options)?;
    let reader = LineReader::new(&Properties::of_arguments(options.values("property")))
        .map_err(|exception| Failure::message(exception.to_string()))?;
    let config = producer::configure(properties)?;
    let signals = Signals::watch()?;
    let sender = Sender::new(&config, topic, Deliveries::default())?;
    let prompt = io::stdin().is_terminal() && io::stdout().is_terminal();
    Console { reader, signals, sender, topic, sync: options.has("sync"), prompt }.run(out)
}

fn check_reader_class(options: &Parsed) -> Result<(), Failure> {
    match options.value("line-reader")? {
        Some(READER_CLASS) | None => Ok(()),
        Some(other) => Err(Failure::message(format!("java.lang.ClassNotFoundException: {other}"))),
    }
}

/// Tells of records that could not be delivered, and keeps the last failure for `--sync`.
#[derive(Default)]
struct Deliveries {
    failed: std::sync::Mutex<Option<Exception>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        consumer::relay(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {}
}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    /// Whether somebody waits for this very record.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, waits: usize) {
        let Err((error, message)) = result else { return };
        let exception = exception::of(error);
        if waits == 0 {
            complain(
                message.topic(),
                message.key().map(<[u8]>::len),
                message.payload().map(<[u8]>::len),
                &exception,
            );
            return;
        }
        if let Ok(mut failed) = self.failed.lock() {
            *failed = Some(exception);
        }
    }
}

fn complain(topic: &str, key: Option<usize>, value: Option<usize>, exception: &Exception) {
    let bytes = |length: Option<usize>| length.map_or("null".to_owned(), |length| format!("{length} bytes"));
    let (key, value) = (bytes(key), bytes(value));
    let what =
        format!("Error when sending message to topic {topic} with key: {key}, value: {value} with error:");
    log::write_caught(Level::Error, CALLBACK, what, exception);
}

struct Console<'a> {
    reader: LineReader,
    signals: Signals,
    sender: Sender<Deliveries>,
    topic: &'a str,
    sync: bool,
    prompt: bool,
}

impl Console<'_> {
    fn run(mut self, out: &mut dyn Write) -> Result<(), Failure> {
        let mut lines = LineSplitter::default();
        let outcome = self.pump(&mut lines, out);
        // Whatever happened, what was read is delivered or fails in its time; a second signal ends that.
        let stopped = self.signals.exit_code();
        let Console { mut signals, sender, .. } = self;
        signals.forget();
        sender.flush(&mut || signals.exit_code().is_some());
        outcome?;
        stopped.map_or(Ok(()), |code| Err(Failure::Said(code)))
    }

    fn pump(&mut self, lines: &mut LineSplitter, out: &mut dyn Write) -> Result<(), Failure> {
        let stdin = io::stdin();
        self.ask(out)?;
        while !lines.is_done() {
            if self.signals.exit_code().is_some() {
                return Ok(());
            }
            self.sender.producer.poll(Duration::ZERO);
            if !readable(stdin.as_fd(), self.signals.as_fd())? {
                continue;
            }
            let mut input = Unbuffered(stdin.as_fd());
            lines
                .fill(&mut input)
                .map_err(|error| Failure::message(format!("cannot read standard input: {error}")))?;
            while let Some(line) = lines.take() {
                let record =
                    self.reader.read(line).map_err(|exception| Failure::message(exception.to_string()))?;
                self.send(&record)?;
                self.ask(out)?;
                if self.signals.exit_code().is_some() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn ask(&self, out: &mut dyn Write) -> Result<(), Failure> {
        if self.prompt {
            out.write_all(b">")?;
            out.flush()?;
        }
        Ok(())
    }

    fn send(&mut self, record: &Outgoing) -> Result<(), Failure> {
        let signals = Cell::new(None);
        let watched = &mut self.signals;
        let mut stop = || {
            signals.set(watched.exit_code());
            signals.get().is_some()
        };
        let sent = self.sender.send(record, usize::from(self.sync), &mut stop);
        match sent {
            Ok(()) if self.sync => self.sender.flush(&mut stop),
            Ok(()) => {}
            Err((exception, _)) if self.sync => return Err(thrown(&exception)),
            Err((exception, _)) => {
                let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(Vec::len);
                complain(self.topic, length(&record.key), length(&record.value), &exception);
            }
        }
        let failed = self.sender.producer.context().failed.lock().ok().and_then(|mut failed| failed.take());
        failed.map_or(Ok(()), |exception| Err(thrown(&exception)))
    }
}

fn thrown(exception: &Exception) -> Failure {
    Failure::message(format!("java.util.concurrent.ExecutionException: {exception}"))
}

/// Sleeps until there is input or a signal; whether there is input (its end counts).
fn readable(stdin: BorrowedFd<'_>, signals: BorrowedFd<'_>) -> Result<bool, Failure> {
    let mut descriptors = [PollFd::new(stdin, PollFlags::POLLIN), PollFd::new(signals, PollFlags::POLLIN)];
    match poll(&mut descriptors, PollTimeout::from(IDLE_MS)) {
        Ok(_) => Ok(descriptors[0].any().unwrap_or(false)),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(Failure::message(format!("cannot wait for standard input: {error}"))),
    }
}

/// Stdin without the standard library's buffer, which would hide bytes from `poll`.
struct Unbuffered<'a>(BorrowedFd<'a>);

impl io::Read for Unbuffered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        nix::unistd::read(self.0, buffer).map_err(io::Error::from)
    }
}
