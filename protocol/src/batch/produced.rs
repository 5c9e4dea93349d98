//! What a broker checks before it appends a batch that a client produced.
//!
//! Invariant: an accepted batch is exactly one, of the record format 2, whole, and with the offsets it claims; patching
//! its base offset and leader epoch is all that is left to do. Records are not decoded: what Kafka finds only by decoding
//! (a count that the body does not hold, offset deltas out of order, a key missing on a compacted topic) passes here.
//!
//! Reasons in the order of the checks, which is Kafka's, and what a 3.2.0 broker answered to each over the wire:
//!
//! | reason | Kafka 3.2.0 |
//! |---|---|
//! | [`Reject::NoBatch`] | INVALID_RECORD; records that are null in the request: UNKNOWN_SERVER_ERROR |
//! | [`Reject::Length`], [`Reject::UnknownMagic`] | CORRUPT_MESSAGE, from the batch iterator, before anything else |
//! | [`Reject::OldMagic`] | INVALID_RECORD from Produce v3. Below, magic 0 and 1 are converted up, which Thalweg does not: UNSUPPORTED_FOR_MESSAGE_FORMAT says so |
//! | [`Reject::ZstdTooEarly`] | UNSUPPORTED_COMPRESSION_TYPE, zstd below Produce v7 |
//! | [`Reject::SeveralBatches`] | INVALID_RECORD, in every version |
//! | [`Reject::Trailing`] | cut off silently, or CORRUPT_MESSAGE where 12 bytes or more claim a length below 14; here always refused. CORRUPT_MESSAGE would make clients retry: INVALID_RECORD |
//! | [`Reject::BaseOffset`] | INVALID_RECORD |
//! | [`Reject::TooLarge`] | MESSAGE_TOO_LARGE |
//! | [`Reject::Crc`] | CORRUPT_MESSAGE |
//! | [`Reject::UnknownCodec`] | UNKNOWN_SERVER_ERROR, an unchecked exception; UNSUPPORTED_COMPRESSION_TYPE says what is wrong |
//! | [`Reject::OffsetRange`], [`Reject::Count`] | INVALID_RECORD |
//! | [`Reject::Sequence`] | INVALID_RECORD: a producer id without a sequence |
//! | [`Reject::Control`] | INVALID_RECORD |
//! | [`Reject::TimestampType`], [`Reject::Timestamp`] | INVALID_TIMESTAMP |
//!
//! Kafka accepts a max timestamp that is not the records' maximum, also one below the base timestamp, and recomputes it
//! from the records. Some clients send the last record's timestamp, so neither is refused here. Unassigned attribute bits
//! and the delete horizon bit are accepted by both. A transactional batch without a transactional id in its request is
//! TRANSACTIONAL_ID_AUTHORIZATION_FAILED: that is the request's business, not the batch's.

use super::layout::*;
use super::view::{BatchError, BatchView};

/// Limits of one append, from topic and request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceLimits {
    /// `max.message.bytes`: largest batch with its header, bytes.
    pub message_bytes_max: usize,
    /// Whether zstd is allowed; the client said so by Produce v7 or above (KIP-110).
    pub zstd: bool,
    /// `message.timestamp.difference.max.ms` around now; `None` does not look at timestamps, as with log append time.
    pub timestamps: Option<TimestampBounds>,
}

/// Timestamps that are accepted, both ends included, ms since the epoch. -1, no timestamp, always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampBounds {
    pub earliest_ms: i64,
    pub latest_ms: i64,
}

impl TimestampBounds {
    /// `difference_max_ms` to both sides of `now_ms`.
    pub fn around(now_ms: i64, difference_max_ms: i64) -> TimestampBounds {
        TimestampBounds {
            earliest_ms: now_ms.saturating_sub(difference_max_ms),
            latest_ms: now_ms.saturating_add(difference_max_ms),
        }
    }

    fn hold(&self, timestamp: i64) -> bool {
        timestamp == NO_TIMESTAMP || (self.earliest_ms..=self.latest_ms).contains(&timestamp)
    }
}

/// Why a produced batch is refused; the module has the Kafka error of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    #[error("no whole record batch in {have} bytes")]
    NoBatch { have: usize },
    #[error("batch length {length} is impossible")]
    Length { length: i32 },
    #[error("magic {magic} is no known message format")]
    UnknownMagic { magic: i8 },
    #[error("message format {magic} is not supported, only 2 is")]
    OldMagic { magic: i8 },
    #[error("zstd needs Produce version 7")]
    ZstdTooEarly,
    #[error("codec id {id} is not assigned")]
    UnknownCodec { id: i16 },
    #[error("more than one record batch")]
    SeveralBatches,
    #[error("{unused} bytes behind the record batch")]
    Trailing { unused: usize },
    #[error("base offset {base_offset} of a produced batch should be 0")]
    BaseOffset { base_offset: i64 },
    #[error("batch has {bytes} bytes, at most {limit} are allowed")]
    TooLarge { bytes: usize, limit: usize },
    #[error("CRC-32C is {computed:#010x}, the batch says {stored:#010x}")]
    Crc { stored: u32, computed: u32 },
    #[error("last offset delta {last_offset_delta} is negative")]
    OffsetRange { last_offset_delta: i32 },
    #[error("{count} records do not fit a last offset delta of {last_offset_delta}")]
    Count { count: i32, last_offset_delta: i32 },
    #[error("sequence {base_sequence} with producer id {producer_id}")]
    Sequence { producer_id: i64, base_sequence: i32 },
    #[error("clients may not write control records")]
    Control,
    #[error("clients may not set log append time")]
    TimestampType,
    #[error("timestamp {timestamp} is out of bounds")]
    Timestamp { timestamp: i64 },
}

/// Checks `bytes`, the records of one partition in a Produce request, against everything in the module's table.
///
/// What the header alone tells is checked before the CRC pass over the body, except where Kafka's order shows in the
/// answer.
pub fn validate_produced<'a>(bytes: &'a [u8], limits: &ProduceLimits) -> Result<BatchView<'a>, Reject> {
    check_length(bytes)?;
    let view = BatchView::parse(bytes).map_err(unparsed)?;
    if view.codec() == Some(Codec::Zstd) && !limits.zstd {
        return Err(Reject::ZstdTooEarly);
    }
    check_alone(&view, bytes)?;
    if view.base_offset() != 0 {
        return Err(Reject::BaseOffset { base_offset: view.base_offset() });
    }
    if view.total_bytes() > limits.message_bytes_max {
        return Err(Reject::TooLarge { bytes: view.total_bytes(), limit: limits.message_bytes_max });
    }
    if let Err(BatchError::Crc { stored, computed }) = view.check_crc() {
        return Err(Reject::Crc { stored, computed });
    }
    if view.codec().is_none() {
        return Err(Reject::UnknownCodec { id: view.attributes() & ATTRIBUTE_CODEC_MASK });
    }
    check_offsets(&view)?;
    check_origin(&view)?;
    check_timestamps(&view, limits)?;
    Ok(view)
}

/// A length that no format can have, whatever the magic says: an old message has 14 bytes at least.
fn check_length(bytes: &[u8]) -> Result<(), Reject> {
    const OLD_MESSAGE_BYTES_MIN: i32 = 14;
    let Some(head) = bytes.first_chunk::<LOG_OVERHEAD_BYTES>() else { return Ok(()) };
    let length = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    if length < OLD_MESSAGE_BYTES_MIN { Err(Reject::Length { length }) } else { Ok(()) }
}

fn unparsed(error: BatchError) -> Reject {
    match error {
        BatchError::Magic { magic: magic @ (0 | 1) } => Reject::OldMagic { magic },
        BatchError::Magic { magic } => Reject::UnknownMagic { magic },
        BatchError::Length { length } => Reject::Length { length },
        BatchError::Truncated { have, .. } => Reject::NoBatch { have },
        BatchError::Crc { stored, computed } => Reject::Crc { stored, computed },
        BatchError::Range { last_offset_delta, .. } => Reject::OffsetRange { last_offset_delta },
    }
}

fn check_alone(view: &BatchView<'_>, bytes: &[u8]) -> Result<(), Reject> {
    let behind = &bytes[view.total_bytes()..];
    if behind.is_empty() {
        return Ok(());
    }
    match BatchView::parse(behind) {
        Ok(_) => Err(Reject::SeveralBatches),
        Err(_) => Err(Reject::Trailing { unused: behind.len() }),
    }
}

fn check_offsets(view: &BatchView<'_>) -> Result<(), Reject> {
    let (last_offset_delta, count) = (view.last_offset_delta(), view.count());
    if last_offset_delta < 0 {
        return Err(Reject::OffsetRange { last_offset_delta });
    }
    if count < 1 || count - 1 != last_offset_delta {
        return Err(Reject::Count { count, last_offset_delta });
    }
    Ok(())
}

fn check_origin(view: &BatchView<'_>) -> Result<(), Reject> {
    let (producer_id, base_sequence) = (view.producer_id(), view.base_sequence());
    if view.has_producer_id() && base_sequence < 0 {
        return Err(Reject::Sequence { producer_id, base_sequence });
    }
    if view.is_control() { Err(Reject::Control) } else { Ok(()) }
}

fn check_timestamps(view: &BatchView<'_>, limits: &ProduceLimits) -> Result<(), Reject> {
    if view.timestamp_type() == TimestampType::LogAppendTime {
        return Err(Reject::TimestampType);
    }
    let Some(bounds) = limits.timestamps else { return Ok(()) };
    for timestamp in [view.base_timestamp(), view.max_timestamp()] {
        if !bounds.hold(timestamp) {
            return Err(Reject::Timestamp { timestamp });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::BatchBuilder;
    use super::*;

    const LIMITS: ProduceLimits = ProduceLimits { message_bytes_max: 1 << 20, zstd: true, timestamps: None };

    fn good() -> Vec<u8> {
        BatchBuilder::new().record(100, Some(b"k"), Some(b"v")).record(200, None, Some(b"w")).build()
    }

    fn refused(bytes: &[u8]) -> Reject {
        validate_produced(bytes, &LIMITS).unwrap_err()
    }

    /// Applies `edit` to a good batch and mends the CRC, so that the check behind it is what fails.
    fn edited(edit: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut batch = good();
        edit(&mut batch);
        let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        batch
    }

    #[test]
    fn a_good_batch_passes_with_its_fields() {
        let batch = good();
        let view = validate_produced(&batch, &LIMITS).unwrap();
        assert_eq!((view.count(), view.last_offset_delta(), view.total_bytes()), (2, 1, batch.len()));
        assert_eq!((view.base_timestamp(), view.max_timestamp()), (100, 200));
    }

    #[test]
    fn every_truncation_is_refused() {
        let batch = good();
        for cut in 0..batch.len() {
            assert_eq!(refused(&batch[..cut]), Reject::NoBatch { have: cut });
        }
    }

    #[test]
    fn every_flipped_bit_in_the_checksummed_part_is_refused() {
        let batch = good();
        for at in CRC_AT..batch.len() {
            let mut torn = batch.clone();
            torn[at] ^= 1;
            assert!(validate_produced(&torn, &LIMITS).is_err(), "byte {at}");
        }
    }

    #[test]
    fn each_reason_is_told_apart() {
        assert_eq!(refused(&edited(|b| b[MAGIC_AT] = 1)), Reject::OldMagic { magic: 1 });
        assert_eq!(refused(&edited(|b| b[MAGIC_AT] = 3)), Reject::UnknownMagic { magic: 3 });
        assert_eq!(refused(&edited(|b| b[11] = 48)), Reject::Length { length: 48 });
        assert_eq!(refused(&edited(|b| b[7] = 1)), Reject::BaseOffset { base_offset: 1 });
        assert_eq!(refused(&edited(|b| b[22] |= 7)), Reject::UnknownCodec { id: 7 });
        assert_eq!(refused(&edited(|b| b[22] |= 0x20)), Reject::Control);
        assert_eq!(refused(&edited(|b| b[22] |= 0x08)), Reject::TimestampType);
        assert_eq!(refused(&edited(|b| b[26] = 0)), Reject::Count { count: 2, last_offset_delta: 0 });
        assert_eq!(
            refused(&edited(|b| b[23] = 0x80)),
            Reject::OffsetRange { last_offset_delta: i32::MIN + 1 }
        );
        assert_eq!(
            refused(&edited(|b| {
                b[23..27].copy_from_slice(&(-1i32).to_be_bytes());
                b[57..61].copy_from_slice(&0i32.to_be_bytes());
            })),
            Reject::OffsetRange { last_offset_delta: -1 }
        );
        assert_eq!(
            refused(&edited(|b| b[43..51].copy_from_slice(&7i64.to_be_bytes()))),
            Reject::Sequence { producer_id: 7, base_sequence: -1 }
        );
        let mut torn = good();
        *torn.last_mut().unwrap() ^= 1;
        assert!(matches!(refused(&torn), Reject::Crc { .. }));
    }

    /// Several things wrong at once: the answer is the one that a 3.2.0 broker gave.
    #[test]
    fn the_first_reason_is_the_one_that_kafka_gives() {
        let mut both = edited(|b| b[22] |= 5);
        both[CRC_AT] ^= 1;
        assert!(matches!(refused(&both), Reject::Crc { .. }), "unknown codec and CRC");
        let mut both = edited(|b| b[7] = 1);
        both[CRC_AT] ^= 1;
        assert_eq!(refused(&both), Reject::BaseOffset { base_offset: 1 }, "base offset and CRC");
        let mut both = good();
        both[CRC_AT] ^= 1;
        let limits = ProduceLimits { message_bytes_max: 1, ..LIMITS };
        let reject = validate_produced(&both, &limits).unwrap_err();
        assert!(matches!(reject, Reject::TooLarge { .. }), "size and CRC");
        let both = edited(|b| (b[11], b[MAGIC_AT]) = (5, 0));
        assert_eq!(refused(&both), Reject::Length { length: 5 }, "length and magic");
        assert_eq!(refused(&[0; 64]), Reject::Length { length: 0 });
    }

    #[test]
    fn exactly_one_batch_is_taken() {
        assert_eq!(refused(&[good(), good()].concat()), Reject::SeveralBatches);
        assert_eq!(refused(&[good(), vec![0; 5]].concat()), Reject::Trailing { unused: 5 });
        assert_eq!(refused(&[]), Reject::NoBatch { have: 0 });
    }

    #[test]
    fn limits_are_inclusive() {
        let batch = good();
        let limits = ProduceLimits { message_bytes_max: batch.len(), ..LIMITS };
        assert!(validate_produced(&batch, &limits).is_ok());
        let limits = ProduceLimits { message_bytes_max: batch.len() - 1, ..LIMITS };
        let reject = validate_produced(&batch, &limits).unwrap_err();
        assert_eq!(reject, Reject::TooLarge { bytes: batch.len(), limit: batch.len() - 1 });
        let within = |earliest_ms, latest_ms| {
            let timestamps = Some(TimestampBounds { earliest_ms, latest_ms });
            validate_produced(&batch, &ProduceLimits { timestamps, ..LIMITS }).map(|_| ())
        };
        assert_eq!(within(100, 200), Ok(()));
        assert_eq!(within(101, 200), Err(Reject::Timestamp { timestamp: 100 }));
        assert_eq!(within(100, 199), Err(Reject::Timestamp { timestamp: 200 }));
        let zstd = edited(|b| b[22] |= 4);
        assert!(validate_produced(&zstd, &LIMITS).is_ok());
        let early = ProduceLimits { zstd: false, ..LIMITS };
        assert_eq!(validate_produced(&zstd, &early).unwrap_err(), Reject::ZstdTooEarly);
    }

    #[test]
    fn no_timestamp_is_within_any_bounds() {
        let batch = BatchBuilder::new().record(NO_TIMESTAMP, None, None).build();
        let timestamps = Some(TimestampBounds::around(1_700_000_000_000, 1000));
        assert!(validate_produced(&batch, &ProduceLimits { timestamps, ..LIMITS }).is_ok());
    }
}
