//! A read-only view of one RecordBatch v2 at the head of a slice.
//!
//! Invariant: a view covers exactly `total_bytes()` bytes, header included, and its magic is 2. Nothing else about the
//! fields is implied: counts, deltas and timestamps are whatever the sender wrote.

use super::layout::*;
use super::record::{RecordError, Records};

/// Why bytes are not a RecordBatch v2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The slice ends before the batch does; `needed` bytes are known to be necessary from the batch's start.
    #[error("batch needs {needed} bytes, {have} are there")]
    Truncated { have: usize, needed: usize },
    /// The batch length is below that of an empty batch, or negative.
    #[error("batch length {length} is impossible")]
    Length { length: i32 },
    /// Not magic 2.
    #[error("magic {magic} is not the record format 2")]
    Magic { magic: i8 },
    /// The stored CRC-32C does not match the bytes.
    #[error("CRC-32C is {computed:#010x}, the batch says {stored:#010x}")]
    Crc { stored: u32, computed: u32 },
    /// Offsets or counts that no log can hold: a negative base offset, delta or count, or an overflow.
    #[error("base offset {base_offset}, last offset delta {last_offset_delta}, count {count} cannot be")]
    Range { base_offset: i64, last_offset_delta: i32, count: i32 },
}

/// One RecordBatch v2; cheap to copy.
#[derive(Clone, Copy)]
pub struct BatchView<'a> {
    header: &'a [u8; HEADER_BYTES],
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the head of `bytes`; what follows it is left alone. Checks size, magic and bounds, not the CRC.
    pub fn parse(bytes: &'a [u8]) -> Result<BatchView<'a>, BatchError> {
        let total = peek_total_bytes(bytes)?;
        let truncated = BatchError::Truncated { have: bytes.len(), needed: total };
        let batch = bytes.get(..total).ok_or(truncated)?;
        let header = batch.first_chunk::<HEADER_BYTES>().ok_or(truncated)?;
        Ok(BatchView { header, bytes: batch })
    }

    /// The whole batch, header included.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records as stored: compressed as one block if [`codec`](Self::codec) says so.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Bytes of the batch with its header.
    pub fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(self.field::<BASE_OFFSET_AT, 8>())
    }

    /// Bytes after the length field: `total_bytes() - 12`.
    pub fn batch_length(&self) -> i32 {
        i32::from_be_bytes(self.field::<BATCH_LENGTH_AT, 4>())
    }

    pub fn leader_epoch(&self) -> i32 {
        i32::from_be_bytes(self.field::<LEADER_EPOCH_AT, 4>())
    }

    /// Always 2.
    pub fn magic(&self) -> i8 {
        i8::from_be_bytes(self.field::<MAGIC_AT, 1>())
    }

    /// CRC-32C as stored; see [`crc_ok`](Self::crc_ok).
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(self.field::<CRC_AT, 4>())
    }

    /// Raw attribute bits, see `ATTRIBUTE_*`.
    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(self.field::<ATTRIBUTES_AT, 2>())
    }

    pub fn last_offset_delta(&self) -> i32 {
        i32::from_be_bytes(self.field::<LAST_OFFSET_DELTA_AT, 4>())
    }

    /// ms since the epoch, -1 for none; timestamp deltas of records count from it.
    pub fn base_timestamp(&self) -> i64 {
        i64::from_be_bytes(self.field::<BASE_TIMESTAMP_AT, 8>())
    }

    /// ms since the epoch, -1 for none, as the producer (or a log-append-time stamp) wrote it.
    pub fn max_timestamp(&self) -> i64 {
        i64::from_be_bytes(self.field::<MAX_TIMESTAMP_AT, 8>())
    }

    pub fn producer_id(&self) -> i64 {
        i64::from_be_bytes(self.field::<PRODUCER_ID_AT, 8>())
    }

    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes(self.field::<PRODUCER_EPOCH_AT, 2>())
    }

    pub fn base_sequence(&self) -> i32 {
        i32::from_be_bytes(self.field::<BASE_SEQUENCE_AT, 4>())
    }

    /// Records in the batch; fewer than `last_offset_delta() + 1` after compaction.
    pub fn count(&self) -> i32 {
        i32::from_be_bytes(self.field::<COUNT_AT, 4>())
    }

    /// Offset of the last record; saturates where the header's fields make no sense.
    pub fn last_offset(&self) -> i64 {
        self.base_offset().saturating_add(i64::from(self.last_offset_delta()))
    }

    /// The codec, `None` for an id that nobody has assigned.
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_attributes(self.attributes())
    }

    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes() & ATTRIBUTE_LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes() & ATTRIBUTE_TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes() & ATTRIBUTE_CONTROL != 0
    }

    pub fn has_delete_horizon(&self) -> bool {
        self.attributes() & ATTRIBUTE_DELETE_HORIZON != 0
    }

    /// Whether a producer id is set, which makes the batch idempotent.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id() > NO_PRODUCER_ID
    }

    /// CRC-32C of attributes to end, as it should be.
    pub fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.bytes[ATTRIBUTES_AT..])
    }

    /// Whether the stored CRC-32C matches the bytes. Touches every byte of the batch.
    pub fn crc_ok(&self) -> bool {
        self.crc() == self.computed_crc()
    }

    /// Like [`crc_ok`](Self::crc_ok), with both values in the error.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.crc(), self.computed_crc());
        if stored == computed { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
    }

    /// Whether the offsets can stand in a log: nothing negative, nothing that overflows.
    pub fn check_range(&self) -> Result<(), BatchError> {
        let (base_offset, last_offset_delta, count) =
            (self.base_offset(), self.last_offset_delta(), self.count());
        // The end offset, one past the last, must exist too.
        let end = base_offset.checked_add(i64::from(last_offset_delta)).and_then(|last| last.checked_add(1));
        if base_offset < 0 || last_offset_delta < 0 || count < 0 || end.is_none() {
            return Err(BatchError::Range { base_offset, last_offset_delta, count });
        }
        Ok(())
    }

    /// The records of an uncompressed batch, decoded one by one and bounded by the body.
    pub fn records(&self) -> Result<Records<'a>, RecordError> {
        match self.codec() {
            Some(Codec::None) => Ok(Records::new(self.body(), self.count())),
            codec => Err(RecordError::Compressed { codec }),
        }
    }

    fn field<const AT: usize, const N: usize>(&self) -> [u8; N] {
        const { assert!(AT + N <= HEADER_BYTES) };
        let mut value = [0; N];
        value.copy_from_slice(&self.header[AT..AT + N]);
        value
    }
}

impl std::fmt::Debug for BatchView<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchView")
            .field("base_offset", &self.base_offset())
            .field("last_offset_delta", &self.last_offset_delta())
            .field("count", &self.count())
            .field("total_bytes", &self.total_bytes())
            .field("attributes", &self.attributes())
            .field("leader_epoch", &self.leader_epoch())
            .field("max_timestamp", &self.max_timestamp())
            .field("producer_id", &self.producer_id())
            .field("producer_epoch", &self.producer_epoch())
            .field("base_sequence", &self.base_sequence())
            .finish_non_exhaustive()
    }
}

/// Total bytes that the batch at the head of `bytes` claims, from its first 17 bytes.
///
/// The magic is looked at before the length is judged, so that magic 0 and 1 are told apart from corruption.
fn peek_total_bytes(bytes: &[u8]) -> Result<usize, BatchError> {
    let Some(peek) = bytes.first_chunk::<PEEK_BYTES>() else {
        return Err(BatchError::Truncated { have: bytes.len(), needed: HEADER_BYTES });
    };
    let magic = peek[MAGIC_AT] as i8;
    if magic != MAGIC {
        return Err(BatchError::Magic { magic });
    }
    let length = i32::from_be_bytes([peek[8], peek[9], peek[10], peek[11]]);
    match usize::try_from(length) {
        Ok(after) if length >= BATCH_LENGTH_MIN => Ok(LOG_OVERHEAD_BYTES + after),
        _ => Err(BatchError::Length { length }),
    }
}
