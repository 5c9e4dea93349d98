//! The command line: options, their units, and the checks that span several of them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::compare::CompareOptions;
use crate::compress::Codec;
use crate::page::ReportOptions;
use crate::payload::PROVED_HEAD;
use crate::plan::{From, Traffic};
use crate::sweep::options::SweepOptions;
use crate::units::{self, Rate};

#[derive(Debug, Parser)]
#[command(name = "thalweg-loadgen", version, about = "Load generator for any broker of Kafka's protocol")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Produce and consume, and report throughput and latency
    Run(Box<RunOptions>),
    /// Measure a matrix of options, and start the broker for it
    Sweep(Box<SweepOptions>),
    /// Compare two stored runs or sweeps, and tell differences from noise
    Compare(CompareOptions),
    /// Write stored runs and sweeps as one HTML page, and their summary here
    Report(ReportOptions),
    /// Read back what a ledger says was acknowledged, and check every byte of it
    Verify(VerifyOptions),
    /// Acknowledge whatever comes, store nothing: what this instrument is proven against
    #[command(hide = true)]
    FakeBroker(FakeBrokerOptions),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Acks {
    #[value(name = "0")]
    None,
    #[value(name = "1")]
    Leader,
    #[value(name = "all", alias = "-1")]
    All,
}

#[derive(Debug, Args)]
pub struct RunOptions {
    /// Brokers to start from: HOST:PORT[,HOST:PORT...]
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap_server: String,
    /// Topic to use; with --topics above 1, the prefix of topic-0, topic-1, ...
    #[arg(long, default_value = "thalweg-loadgen")]
    pub topic: String,
    /// Number of topics
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub topics: u32,
    /// Partitions of each topic that --create-topics makes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: u32,
    /// Make the topics first (existing ones are used as they are)
    #[arg(long)]
    pub create_topics: bool,
    /// Delete the topics afterwards
    #[arg(long)]
    pub delete_topics: bool,
    /// Topic configuration for --create-topics; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub topic_config: Vec<(String, String)>,
    /// Replicas of created topics; 0 is the broker's default
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i16).range(0..))]
    pub replication_factor: i16,

    /// Producers, each with a connection to every leader
    #[arg(long, default_value_t = 1)]
    pub producers: usize,
    /// Consumers; the partitions are divided among them
    #[arg(long, default_value_t = 0)]
    pub consumers: usize,
    /// Threads that the producers and consumers are spread over
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
    /// CPUs to pin the threads to, in turn: 0 or 0,2-3
    #[arg(long, value_name = "LIST", value_parser = cpu_list)]
    pub cpus: Option<CpuList>,

    /// Size of a record's value
    #[arg(long, default_value = "1KiB", value_parser = units::bytes)]
    pub record_size: u64,
    /// Upper bound of an uncompressed batch; a request carries one batch
    #[arg(long, default_value = "16KiB", value_parser = units::bytes)]
    pub batch_bytes: u64,
    /// With a rate: how long the oldest record of a batch may wait for it to fill
    #[arg(long, default_value = "5ms", value_parser = units::duration)]
    pub linger: Duration,
    /// Requests in flight per producer connection
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub in_flight: u32,
    #[arg(long, value_enum, default_value = "all")]
    pub acks: Acks,
    #[arg(long, value_enum, default_value = "none")]
    pub compression: Codec,
    /// Distinct keys that the records carry; 0 for none
    #[arg(long, default_value_t = 0)]
    pub keys: u64,
    /// Of all producers together: max, 100000/s (records) or 50MB/s (bytes of record values)
    #[arg(long, default_value = "max", value_parser = units::rate)]
    pub rate: Rate,
    /// Traffic before the measurement
    #[arg(long, default_value = "5s", value_parser = units::duration)]
    pub warmup: Duration,
    /// The measurement
    #[arg(long, default_value = "30s", value_parser = units::duration)]
    pub duration: Duration,
    /// How long to wait for answers after the last send
    #[arg(long, default_value = "10s", value_parser = units::duration)]
    pub drain: Duration,
    /// Measurements in a row, each with its own warm-up
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: u32,

    /// Where consumers begin
    #[arg(long, value_enum, default_value = "latest")]
    pub from: From,
    /// Consumers start over at the end of the log, until the window ends; needs --from earliest
    #[arg(long)]
    pub replay: bool,
    /// Most bytes of one Fetch response
    #[arg(long, default_value = "8MiB", value_parser = units::bytes)]
    pub fetch_max_bytes: u64,
    /// Most bytes of one partition in a Fetch response
    #[arg(long, default_value = "1MiB", value_parser = units::bytes)]
    pub partition_fetch_bytes: u64,

    /// Prove that each acknowledged record comes back once, in order, byte for byte
    #[arg(long)]
    pub verify: bool,
    /// Append what is acknowledged to this file as it comes, for `verify --ledger` after a crash
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    /// Go on over broker restarts; batches in flight then count as unknown
    #[arg(long)]
    pub reconnect: bool,
    /// Idempotent producers (KIP-98): reconnect, and send again what was in flight
    #[arg(long)]
    pub idempotent: bool,

    /// Show a live screen while it runs; q ends it early and prints the summary
    #[arg(long)]
    pub live: bool,
    /// Serve the running counters and latencies to Prometheus at HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    pub prometheus: Option<SocketAddr>,
    /// What is measured, for reports: a broker's name and version
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// Process whose CPU and memory are reported beside this one's
    #[arg(long, value_name = "PID")]
    pub server_pid: Option<i32>,
    /// Write the result, with full histograms, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the histograms as an HdrHistogram log
    #[arg(long, value_name = "FILE")]
    pub hdr: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// Brokers to start from: HOST:PORT[,HOST:PORT...]
    #[arg(long, value_name = "HOST:PORT")]
    pub bootstrap_server: String,
    /// Ledger that `run --ledger` wrote
    #[arg(long, value_name = "FILE")]
    pub ledger: PathBuf,
    /// Give up reading after this long
    #[arg(long, default_value = "10m", value_parser = units::duration)]
    pub timeout: Duration,
    /// Write the verdict as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct FakeBrokerOptions {
    /// Address to listen on; port 0 picks one. The address is printed
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Partitions of every topic
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub partitions: u32,
    /// CPU to pin to
    #[arg(long)]
    pub cpu: Option<usize>,
    /// Keep batches in memory, for consumers
    #[arg(long)]
    pub store: bool,
    /// Stall once, this long after the first Produce ...
    #[arg(long, value_parser = units::duration, requires = "stall_for")]
    pub stall_after: Option<Duration>,
    /// ... and for this long
    #[arg(long, value_parser = units::duration, requires = "stall_after")]
    pub stall_for: Option<Duration>,
    /// Delay of each answer; several are taken in turn
    #[arg(long, value_parser = units::duration)]
    pub delay: Vec<Duration>,
}

/// Newtype, because clap would take a `Vec` for a repeated option.
#[derive(Debug, Clone)]
pub struct CpuList(pub Vec<usize>);

fn cpu_list(text: &str) -> Result<CpuList, String> {
    units::cpus(text).map(CpuList)
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or("write it as KEY=VALUE, for example segment.bytes=1048576")?;
    Ok((key.to_string(), value.to_string()))
}

impl RunOptions {
    pub fn topic_names(&self) -> Vec<String> {
        match self.topics {
            1 => vec![self.topic.clone()],
            n => (0..n).map(|i| format!("{}-{i}", self.topic)).collect(),
        }
    }

    /// Checks what spans options; the message names the option to change.
    pub fn traffic(&self) -> Result<Traffic, String> {
        self.check()?;
        Ok(Traffic {
            producers: self.producers,
            consumers: self.consumers,
            record_bytes: self.record_size as usize,
            batch_bytes: self.batch_bytes as usize,
            linger: self.linger,
            in_flight: self.in_flight as usize,
            acks: match self.acks {
                Acks::None => 0,
                Acks::Leader => 1,
                Acks::All => -1,
            },
            codec: self.compression,
            keys: self.keys,
            rate: self.rate,
            warmup: self.warmup,
            duration: self.duration,
            drain: self.drain,
            from: self.from,
            replay: self.replay,
            fetch_max_bytes: self.fetch_max_bytes.min(i32::MAX as u64) as i32,
            partition_fetch_bytes: self.partition_fetch_bytes.min(i32::MAX as u64) as i32,
            proved: self.verify || self.ledger.is_some(),
            reconnect: self.reconnect,
            idempotent: self.idempotent,
        })
    }

    fn check(&self) -> Result<(), String> {
        let proved = self.verify || self.ledger.is_some();
        let rules = [
            (
                self.producers + self.consumers == 0,
                "give --producers or --consumers (both are 0)".to_string(),
            ),
            (
                self.producers > 100_000 || self.consumers > 100_000,
                "at most 100000 producers or consumers".into(),
            ),
            (
                self.record_size == 0 || self.record_size > 100 << 20,
                "--record-size must lie between 1B and 100MiB".into(),
            ),
            (self.batch_bytes > 200 << 20, "--batch-bytes must not exceed 200MiB".into()),
            (
                proved && self.record_size < PROVED_HEAD as u64,
                format!("--verify and --ledger need --record-size {PROVED_HEAD}B or more"),
            ),
            (
                proved && self.acks == Acks::None,
                "--verify and --ledger need --acks 1 or all: 0 acknowledges nothing".into(),
            ),
            (
                self.verify && self.producers == 0,
                "--verify needs --producers; to check a ledger use `verify --ledger FILE`".into(),
            ),
            (self.idempotent && self.acks != Acks::All, "--idempotent needs --acks all (KIP-98)".into()),
            (
                self.idempotent && self.in_flight > 5,
                "--idempotent needs --in-flight 5 or less (KIP-98)".into(),
            ),
            (self.duration.is_zero(), "--duration must be above 0".into()),
            (
                self.replay && (self.from != From::Earliest || self.consumers == 0 || self.verify),
                "--replay needs --from earliest, --consumers above 0 and no --verify".into(),
            ),
            (self.topic.is_empty() || self.topic.len() > 240, "--topic must have 1 to 240 characters".into()),
        ];
        match rules.into_iter().find(|(broken, _)| *broken) {
            Some((_, message)) => Err(message),
            None => Ok(()),
        }
    }
}
