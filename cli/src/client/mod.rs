//! A client of Kafka's protocol as a tool needs one: blocking, one request at a time, over any broker from 3.2 on.
//!
//! [`Connection`] is one socket with the versions its broker speaks. [`Client`] knows the brokers of a cluster, finds the
//! controller and a group's coordinator, and tries again what Kafka's own admin client would try again, until
//! `default.api.timeout.ms` is over.

mod address;
mod cluster;
mod connection;
mod error;
mod settings;

pub use address::{Address, parse_bootstrap};
pub use cluster::{Client, Node, Target};
pub use connection::Connection;
pub use error::{ClientError, KafkaError, exception};
pub use settings::{Settings, SettingsError};
