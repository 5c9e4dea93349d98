//! Fetch (API key 1), versions 0 to 18, with record payloads that pass by reference.
//!
//! | version | request | response |
//! |---|---|---|
//! | 0 | replica id, wait, min bytes, topics | topics |
//! | 1 | | throttle time |
//! | 3 | max bytes (KIP-74) | |
//! | 4 | isolation level; record format 2 | last stable offset, aborted transactions |
//! | 5 | log start offset | log start offset |
//! | 7 | session id and epoch, forgotten topics (KIP-227) | error code, session id |
//! | 9 | current leader epoch (KIP-320) | |
//! | 10 | zstd allowed (KIP-110) | |
//! | 11 | rack id (KIP-392) | preferred read replica |
//! | 12 | flexible; last fetched epoch, cluster id (KIP-595) | flexible; diverging epoch, current leader, snapshot id |
//! | 13 | topic ids (KIP-516) | topic ids |
//! | 15 | replica state replaces replica id (KIP-903) | |
//! | 16 | | node endpoints (KIP-951) |
//! | 17 | replica directory id (KIP-853) | |
//! | 18 | high watermark (KIP-1166) | |
//!
//! Versions that are not listed changed semantics or errors alone. A client below version 4 cannot read record format 2;
//! Kafka up to 3.x converts down for it, 4.x refuses the versions. Here they decode and encode, so that the server can
//! answer; the payload is the caller's.
//!
//! Invariants: decoding checks the whole message before the caller sees any of it, and allocates nothing. Encoding never
//! looks at or copies a payload: it needs its length alone, so a payload may be a cursor that is resolved while the
//! socket drains.

mod request;
mod response;

pub use request::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic, ReplicaState};
pub use response::{
    AbortedTransaction, EncodedFetch, EpochEndOffset, FetchResponse, PartitionFetchResponse, Payload, Piece,
    SnapshotId, TopicFetchResponse,
};

/// The API key.
pub const API_KEY: i16 = 1;
/// Newest version known here.
pub const VERSION_MAX: i16 = 18;

const FLEXIBLE_FROM: i16 = 12;
const TOPIC_IDS_FROM: i16 = 13;
