//! Errors, cut by who must act: the operator (`Io`, `NoSpace`), whoever owns the data (`Corrupt`), the client
//! (`Rejected`, `OutOfRange`), nobody (`Fenced`, `Removed`, `Closing`). Kafka's codes appear only in the server.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::id::TopicPartition;

/// A failed system call, with what was being done to which file. Cloneable: one failure ends many requests.
#[derive(Debug, Clone, Error)]
#[error("{action} {}: {source}", path.display())]
pub struct IoFailure {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: Arc<io::Error>,
}

impl IoFailure {
    pub fn new(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> IoFailure {
        IoFailure { action, path: path.into(), source: Arc::new(source) }
    }

    /// Whether the file system is full (ENOSPC, EDQUOT): making room mends it.
    pub fn is_no_space(&self) -> bool {
        matches!(self.source.raw_os_error(), Some(code) if code == nix::libc::ENOSPC || code == nix::libc::EDQUOT)
    }
}

/// Bytes on the medium that are not what was written there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is corrupt at byte {position} (offset {offset}): {what}", path.display())]
pub struct Corruption {
    pub path: PathBuf,
    pub position: u64,
    /// Log offset of the batch concerned; -1 when it cannot be told.
    pub offset: i64,
    pub what: String,
}

/// Why a partition does not take a batch that is well-formed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Rejection {
    #[error("the batch has {bytes} bytes, max.message.bytes is {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error(
        "timestamp {timestamp_ms} is more than message.timestamp.difference.max.ms={difference_max_ms} from the \
         broker's {now_ms}"
    )]
    InvalidTimestamp { timestamp_ms: i64, now_ms: i64, difference_max_ms: i64 },
    #[error("producer {producer_id}: sequence {got} where {expected} comes next")]
    OutOfOrderSequence { producer_id: i64, expected: i32, got: i32 },
    #[error("producer {producer_id}: epoch {got} is older than {current}")]
    InvalidProducerEpoch { producer_id: i64, current: i16, got: i16 },
    #[error("producer {producer_id} has no state here and starts at sequence {sequence} instead of 0")]
    UnknownProducer { producer_id: i64, sequence: i32 },
    /// Records without a key, by their place in the batch (the first so many of them).
    #[error("Compacted topic cannot accept message without key in topic partition {partition}.")]
    WithoutKey { partition: TopicPartition, records: Vec<i32> },
    #[error("the records cannot be read: {what}")]
    Unreadable { what: String },
    #[error("the batch ends past the last possible offset")]
    OffsetsExhausted,
}

/// Why an append was not acknowledged.
#[derive(Debug, Clone, Error)]
pub enum AppendError {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("no space left in {}: {free_bytes} bytes are free, {reserve_bytes} are kept in reserve", dir.display())]
    NoSpace { dir: PathBuf, free_bytes: u64, reserve_bytes: u64 },
    #[error(transparent)]
    Io(#[from] IoFailure),
    /// A write or sync failed before: nothing more is acknowledged on this directory until the server restarts.
    #[error("{} stopped acknowledging after: {cause}; restart the server once the disk is mended", dir.display())]
    Fenced { dir: PathBuf, cause: IoFailure },
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    #[error("the partition was removed")]
    Removed,
    #[error("the server is shutting down")]
    Closing,
}

/// Why a read returned nothing.
#[derive(Debug, Clone, Error)]
pub enum ReadError {
    #[error("the offset is not in [{log_start}, {high_watermark}]")]
    OutOfRange { log_start: i64, high_watermark: i64 },
    #[error(transparent)]
    Io(#[from] IoFailure),
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    #[error("the partition was removed")]
    Removed,
}

/// Why a partition could not be created, removed or closed.
#[derive(Debug, Clone, Error)]
pub enum StorageError {
    #[error(transparent)]
    Io(#[from] IoFailure),
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    #[error("all log directories have failed; see the log for each one's cause")]
    NoDirectory,
}

/// Why the engine did not start. Each says what to change.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Io(#[from] IoFailure),
    #[error("{0}")]
    Unsupported(String),
    #[error("{} is in use by another server; stop it or choose another log.dirs", .0.display())]
    Locked(PathBuf),
    #[error("{}: {what}", path.display())]
    Format { path: PathBuf, what: String },
    #[error("shard {shard} failed: {what}")]
    Shard { shard: u16, what: String },
}
