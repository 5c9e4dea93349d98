//! What a broker writes into a batch on append.
//!
//! Base offset and leader epoch lie before the checksummed part, so stamping them costs nothing per byte. Log append
//! time lies inside: it costs one CRC pass over the batch.

use super::layout::*;

/// Writes the offset that the log assigned and the epoch of the leader that took the batch; the CRC stays valid.
///
/// # Panics
/// If `batch` is shorter than a header: only a parsed batch may be stamped.
pub fn stamp(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    assert!(batch.len() >= HEADER_BYTES, "stamp takes a whole batch");
    batch[BASE_OFFSET_AT..BASE_OFFSET_AT + 8].copy_from_slice(&base_offset.to_be_bytes());
    batch[LEADER_EPOCH_AT..LEADER_EPOCH_AT + 4].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Makes `now_ms` the time of every record (`message.timestamp.type=LogAppendTime`) and computes the CRC anew.
///
/// `batch` is exactly one batch: the CRC runs to the end of the slice. The base timestamp and the records' deltas stay as
/// the producer wrote them; readers take the max timestamp for all records when the attribute bit is set.
///
/// # Panics
/// If `batch` is shorter than a header, or its length field disagrees with the slice.
pub fn stamp_log_append_time(batch: &mut [u8], now_ms: i64) {
    assert!(batch.len() >= HEADER_BYTES, "stamp takes a whole batch");
    let length = u32::from_be_bytes([batch[8], batch[9], batch[10], batch[11]]) as usize;
    assert_eq!(length + LOG_OVERHEAD_BYTES, batch.len(), "stamp takes exactly one batch");
    let attributes = i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
    let attributes = attributes | ATTRIBUTE_LOG_APPEND_TIME;
    batch[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&now_ms.to_be_bytes());
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, BatchView, TimestampType};
    use super::*;

    #[test]
    fn stamping_offsets_keeps_the_crc() {
        let mut batch = BatchBuilder::new().record(5, None, Some(b"v")).build();
        stamp(&mut batch, i64::MAX - 7, 42);
        let view = BatchView::parse(&batch).unwrap();
        assert!(view.crc_ok());
        assert_eq!((view.base_offset(), view.leader_epoch()), (i64::MAX - 7, 42));
    }

    #[test]
    fn log_append_time_rewrites_type_time_and_crc_only() {
        let mut batch = BatchBuilder::new().record(5, Some(b"k"), Some(b"v")).record(9, None, None).build();
        let before = BatchView::parse(&batch).unwrap();
        assert_eq!((before.timestamp_type(), before.max_timestamp()), (TimestampType::CreateTime, 9));
        let (crc, body) = (before.crc(), before.body().to_vec());
        stamp_log_append_time(&mut batch, 1_700_000_000_000);
        let after = BatchView::parse(&batch).unwrap();
        assert!(after.crc_ok());
        assert_ne!(after.crc(), crc);
        assert_eq!(after.body(), body);
        assert_eq!(after.base_timestamp(), 5);
        assert_eq!(
            (after.timestamp_type(), after.max_timestamp()),
            (TimestampType::LogAppendTime, 1_700_000_000_000)
        );
    }
}
