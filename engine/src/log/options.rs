//! What a topic's configuration means to its logs. Values are validated where they are parsed, in the server.

use thalweg_protocol::batch::Codec;

/// What an acknowledgement promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Durability {
    /// On stable storage: survives power loss.
    #[default]
    Disk,
    /// Given to the kernel and the disk, not synced: survives the death of the process, not that of the machine.
    Os,
    /// In the process's memory: survives nothing until it is flushed, within a second.
    Memory,
}

/// Whose clock a record's timestamp is (`message.timestamp.type`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

/// A topic's configuration, resolved. The defaults are those of Apache Kafka 3.2.0.
#[derive(Clone, PartialEq, Debug)]
pub struct LogOptions {
    /// A segment is closed before it grows past this many bytes (`segment.bytes`).
    pub segment_bytes: u32,
    /// ... or when its records span this much time (`segment.ms`).
    pub segment_ms: u64,
    /// Random reduction of `segment_ms`, at most this much, so that not all logs roll at once (`segment.jitter.ms`).
    pub segment_jitter_ms: u64,
    /// ... or when its offset index has this many bytes (`segment.index.bytes`).
    pub segment_index_bytes: u32,
    /// Log bytes between two index entries (`index.interval.bytes`).
    pub index_interval_bytes: u32,
    /// Largest batch, bytes (`max.message.bytes`).
    pub message_bytes_max: u32,
    pub timestamp_type: TimestampType,
    /// Largest distance of a CreateTime from the broker's clock (`message.timestamp.difference.max.ms`).
    pub timestamp_difference_max_ms: i64,
    pub durability: Durability,
    /// Strengthens `Os` and `Memory`: sync at least after this many records (`flush.messages`).
    pub flush_messages: u64,
    /// Strengthens `Os` and `Memory`: sync at least after this long (`flush.ms`).
    pub flush_ms: u64,
    /// None keeps segments for ever (`retention.ms` = -1).
    pub retention_ms: Option<u64>,
    /// None sets no bound on the log's size (`retention.bytes` = -1).
    pub retention_bytes: Option<u64>,
    /// How long a deleted segment's files stay on disk (`file.delete.delay.ms`).
    pub file_delete_delay_ms: u64,
    /// Allocate a segment's whole size when it is created (`preallocate`).
    pub preallocate: bool,
    /// Producer state unused for this long is dropped (`producer.id.expiration.ms`).
    pub producer_id_expiration_ms: u64,
    /// The last record of every key is kept and older ones are cleaned away (`cleanup.policy` with `compact`).
    pub compact: bool,
    /// How long a tombstone stays after it was first cleaned (`delete.retention.ms`).
    pub delete_retention_ms: u64,
    /// Records stay at least this long before they are cleaned (`min.compaction.lag.ms`).
    pub min_compaction_lag_ms: u64,
    /// Records are cleaned at the latest after this long (`max.compaction.lag.ms`).
    pub max_compaction_lag_ms: u64,
    /// Share of a log's bytes that must be uncleaned before it is cleaned (`min.cleanable.dirty.ratio`), 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// What batches are stored with (`compression.type`); None keeps what the producer chose.
    pub compression: Option<Codec>,
}

const WEEK_MS: u64 = 7 * 24 * 3_600 * 1_000;

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            segment_bytes: 1 << 30,
            segment_ms: WEEK_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
            message_bytes_max: 1_048_588,
            timestamp_type: TimestampType::CreateTime,
            timestamp_difference_max_ms: i64::MAX,
            durability: Durability::Disk,
            flush_messages: u64::MAX,
            flush_ms: u64::MAX,
            retention_ms: Some(WEEK_MS),
            retention_bytes: None,
            file_delete_delay_ms: 60_000,
            preallocate: false,
            producer_id_expiration_ms: 24 * 3_600 * 1_000,
            compact: false,
            delete_retention_ms: 24 * 3_600 * 1_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX as u64,
            min_cleanable_dirty_ratio: 0.5,
            compression: None,
        }
    }
}
