//! A load generator for any broker of Kafka's protocol.
//!
//! `run` drives producers and consumers and reports throughput and latency; `verify` proves after a crash that what
//! was acknowledged is there. It shares no code with the server or its protocol crate on purpose: a misreading of
//! the protocol must not hide on both sides.
//!
//! Flow: [`cli`] -> [`run`] -> one [`worker`] per thread -> [`producer`] and [`consumer`] lanes over [`connection`]s
//! -> [`stats`] -> [`report`]. The proof goes [`payload`] -> [`ledger`] -> [`audit`].

pub mod audit;
pub mod batch;
pub mod buckets;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod compare;
pub mod compress;
pub mod connection;
pub mod consumer;
pub mod fake_broker;
pub mod host;
pub mod ledger;
pub mod log_reader;
pub mod observer;
pub mod over_time;
pub mod pace;
pub mod page;
pub mod payload;
pub mod plan;
pub mod producer;
pub mod progress;
pub mod prometheus;
pub mod report;
pub mod run;
pub mod screen;
pub mod stats;
pub mod stored;
pub mod sweep;
pub mod units;
pub mod verify;
pub mod wire;
pub mod worker;
