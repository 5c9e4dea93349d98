//! Thread-per-core io_uring storage engine: ring, shard, journal, partition log, cache.
//!
//! It knows RecordBatch and nothing of Kafka's APIs. Data flows one way: server -> shard -> journal -> segment.

pub mod bounds;
pub mod checkpoint;
pub mod clean;
pub mod error;
pub mod format;
pub mod id;
pub mod io;
pub mod journal;
pub mod log;
pub mod reactor;
pub mod recovery;
pub mod runtime;
pub mod storage;
pub mod volume;
