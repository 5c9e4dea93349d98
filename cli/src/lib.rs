//! Kafka's command-line tools: the options, the exit codes and the output of Apache Kafka 3.2.0, without a JVM.
//!
//! One module per tool; [`tool`] lists them and runs one by name. [`options`] reads a command line as Kafka's tools do,
//! [`client`] speaks to brokers, [`failure`] is how a tool ends badly. A tool writes to the `Write` it is given and
//! returns; it never exits the process, so that tests can run it.

pub mod admin;
pub mod api_versions;
pub mod base64_id;
pub mod bounds;
pub mod calendar;
pub mod client;
pub mod completion;
pub mod configs;
#[cfg(feature = "librdkafka")]
pub mod console_consumer;
#[cfg(feature = "librdkafka")]
pub mod console_producer;
#[cfg(feature = "librdkafka")]
pub mod consumer_perf;
pub mod coordinator_record;
pub mod delete_records;
pub mod dump_log;
pub mod failure;
pub mod get_offsets;
pub mod groups;
pub mod java;
pub mod log_dirs;
pub mod options;
#[cfg(feature = "librdkafka")]
pub mod producer_perf;
#[cfg(feature = "librdkafka")]
pub mod record_client;
pub mod session;
pub mod tool;
pub mod topics;
#[cfg(feature = "librdkafka")]
pub mod verifiable_consumer;
#[cfg(feature = "librdkafka")]
pub mod verifiable_producer;

pub use tool::run;
