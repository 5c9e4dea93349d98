//! The records that coordinators keep in `__consumer_offsets` and `__transaction_state`, and the texts in which Kafka's
//! tools show them.
//!
//! Each is a version as i16 and a body; the layouts are those of Kafka 3.2.0, and of later releases where they went on.
//! Two texts exist of each: that of the console consumer's formatters, which is the `toString` of Scala's classes down to
//! the order of a hash map, and that of `kafka-dump-log.sh`.
//!
//! Invariant: any bytes give a text or an error, nothing is allocated for a count before its elements are there.

mod group;
mod scala;
mod transaction;

pub use group::{Key, dump, format_group, format_offset};
pub use transaction::{dump as dump_transaction, format as format_transaction};

use thalweg_protocol::wire::WireError;

/// Why a record is none of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorRecordError {
    #[error("java.lang.IllegalStateException: {0}: {1}")]
    Version(&'static str, i16),
    #[error("org.apache.kafka.common.KafkaException: {0}")]
    Missing(&'static str),
    #[error("the record is malformed: {0}")]
    Malformed(#[from] WireError),
}

/// A topic's partition as Kafka writes it, `topic-0`.
fn topic_partition(topic: &str, partition: i32) -> String {
    format!("{topic}-{partition}")
}
