//! Produce (API key 0), versions 0 to 13, without copying a record.
//!
//! | version | request | response |
//! |---|---|---|
//! | 0 | acks, timeout, topics | topics |
//! | 1 | | throttle time |
//! | 2 | | log append time |
//! | 3 | transactional id; record format 2 only | |
//! | 5 | | log start offset |
//! | 7 | zstd allowed (KIP-110) | |
//! | 8 | | record errors, error message (KIP-467) |
//! | 9 | flexible | flexible |
//! | 10 | | current leader, node endpoints (KIP-951) |
//! | 12 | transactions V2 (KIP-890) | |
//! | 13 | topic ids (KIP-516) | topic ids |
//!
//! Versions that are not listed changed semantics or errors alone. Kafka advertises 0 to 2 because librdkafka takes its
//! codecs from them (KAFKA-18659); 3.2.0 serves them and converts old formats up, 4.x closes the connection on them.
//! Here they decode like any other, so that the server can answer.
//!
//! Invariants: decoding checks the whole message before the caller sees any of it, and allocates nothing; records are
//! slices of the frame.

mod request;
mod response;

pub use request::{ProducePartition, ProduceRequest, ProduceTopic};
pub use response::{PartitionProduceResponse, ProduceResponse, RecordRefusal, TopicProduceResponse};

/// The API key.
pub const API_KEY: i16 = 0;
/// Newest version known here.
pub const VERSION_MAX: i16 = 13;

const FLEXIBLE_FROM: i16 = 9;
const TOPIC_IDS_FROM: i16 = 13;
