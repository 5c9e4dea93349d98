//! Sans-I/O Kafka wire codec: bytes in, views and bytes out.
//!
//! - [`batch`]: RecordBatch v2, the unit that is produced, stored and fetched as it came.
//! - [`frame`]: from a byte stream to request headers, and responses to frames.
//! - [`wire`]: primitive types, classic and flexible.
//! - [`produce`], [`fetch`]: the two hot APIs, all versions, records as slices.
//!
//! Invariants: nothing here does I/O, blocks, or panics on bytes from outside; no allocation follows a length or count
//! field before the bytes behind it are there; record payloads are never copied, only sliced.
//!
//! Deliberately absent: compression (bodies are opaque), Kafka error codes (the server maps reasons to codes at its
//! edge), and the cold APIs, which go through the `kafka-protocol` crate.

#![forbid(unsafe_code)]

pub mod batch;
pub mod fetch;
pub mod frame;
pub mod produce;
mod topic;
pub mod varint;
pub mod wire;

pub use topic::{CurrentLeader, NodeEndpoint, TopicRef};
