//! Byte map of the RecordBatch v2 header and the meaning of its attribute bits.
//!
//! All integers are big-endian. Source: Kafka documentation, "Message Format" (KIP-98, magic 2).
//!
//! | offset | bytes | field | |
//! |---|---|---|---|
//! | 0 | 8 | base offset | set by the broker |
//! | 8 | 4 | batch length | bytes after this field, so total - 12 |
//! | 12 | 4 | partition leader epoch | set by the broker |
//! | 16 | 1 | magic | 2 |
//! | 17 | 4 | CRC-32C | over offset 21 to the end |
//! | 21 | 2 | attributes | see `ATTRIBUTE_*` |
//! | 23 | 4 | last offset delta | |
//! | 27 | 8 | base timestamp | ms since the epoch, of the first record |
//! | 35 | 8 | max timestamp | ms since the epoch |
//! | 43 | 8 | producer id | -1: none |
//! | 51 | 2 | producer epoch | -1: none |
//! | 53 | 4 | base sequence | -1: none |
//! | 57 | 4 | record count | |
//! | 61 | | records, compressed as one block if a codec is set | |

/// Start of the base offset, `i64`.
pub const BASE_OFFSET_AT: usize = 0;
/// Start of the batch length, `i32`: bytes that follow this field.
pub const BATCH_LENGTH_AT: usize = 8;
/// Start of the partition leader epoch, `i32`.
pub const LEADER_EPOCH_AT: usize = 12;
/// Position of the magic byte, `i8`; the same in every message format.
pub const MAGIC_AT: usize = 16;
/// Start of the CRC-32C, `u32`.
pub const CRC_AT: usize = 17;
/// Start of the attributes, `i16`; the checksummed part begins here.
pub const ATTRIBUTES_AT: usize = 21;
/// Start of the last offset delta, `i32`.
pub const LAST_OFFSET_DELTA_AT: usize = 23;
/// Start of the base timestamp, `i64`, ms.
pub const BASE_TIMESTAMP_AT: usize = 27;
/// Start of the max timestamp, `i64`, ms.
pub const MAX_TIMESTAMP_AT: usize = 35;
/// Start of the producer id, `i64`.
pub const PRODUCER_ID_AT: usize = 43;
/// Start of the producer epoch, `i16`.
pub const PRODUCER_EPOCH_AT: usize = 51;
/// Start of the base sequence, `i32`.
pub const BASE_SEQUENCE_AT: usize = 53;
/// Start of the record count, `i32`.
pub const COUNT_AT: usize = 57;
/// Bytes before the first record.
pub const HEADER_BYTES: usize = 61;

/// Bytes of base offset and batch length, which the batch length does not count.
pub const LOG_OVERHEAD_BYTES: usize = 12;
/// Bytes that tell size and format of a batch of any magic.
pub const PEEK_BYTES: usize = MAGIC_AT + 1;
/// Smallest batch length of magic 2: a header with no record.
pub const BATCH_LENGTH_MIN: i32 = (HEADER_BYTES - LOG_OVERHEAD_BYTES) as i32;

/// The only record format that is stored.
pub const MAGIC: i8 = 2;

/// Attribute bits 0 to 2: the codec.
pub const ATTRIBUTE_CODEC_MASK: i16 = 0x07;
/// Attribute bit 3: 0 is create time, 1 is log append time.
pub const ATTRIBUTE_LOG_APPEND_TIME: i16 = 0x08;
/// Attribute bit 4: the batch belongs to a transaction.
pub const ATTRIBUTE_TRANSACTIONAL: i16 = 0x10;
/// Attribute bit 5: a control batch (transaction marker, leader change); never from a client.
pub const ATTRIBUTE_CONTROL: i16 = 0x20;
/// Attribute bit 6: the base timestamp holds the delete horizon of compaction (KIP-534).
pub const ATTRIBUTE_DELETE_HORIZON: i16 = 0x40;

/// Producer id of a batch that is not idempotent.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch of a batch that is not idempotent.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Base sequence of a batch that is not idempotent.
pub const NO_SEQUENCE: i32 = -1;
/// Timestamp of a record that has none.
pub const NO_TIMESTAMP: i64 = -1;
/// Leader epoch as clients send it.
pub const NO_LEADER_EPOCH: i32 = -1;

/// How a batch's records are compressed. Bodies pass through opaque, whatever the codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Codec {
    /// The codec of an attributes field; `None` for the ids 5 to 7 that nobody has assigned.
    pub const fn from_attributes(attributes: i16) -> Option<Codec> {
        match attributes & ATTRIBUTE_CODEC_MASK {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }
}

/// Who set a batch's timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Each record carries the producer's time.
    CreateTime,
    /// All records have the batch's max timestamp, set by the broker on append.
    LogAppendTime,
}
