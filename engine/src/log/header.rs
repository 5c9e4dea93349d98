//! The fixed header of a batch whose body is elsewhere: what a segment walk needs without reading every byte.

use thalweg_protocol::batch::{
    BASE_OFFSET_AT, BATCH_LENGTH_AT, BATCH_LENGTH_MIN, CRC_AT, HEADER_BYTES, LAST_OFFSET_DELTA_AT,
    LEADER_EPOCH_AT, LOG_OVERHEAD_BYTES, MAGIC, MAGIC_AT, MAX_TIMESTAMP_AT,
};

/// Fields of a RecordBatch v2 header, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub base_offset: i64,
    pub last_offset: i64,
    pub total_bytes: usize,
    pub leader_epoch: i32,
    pub max_timestamp: i64,
    pub crc: u32,
}

impl BatchHeader {
    /// # Errors
    /// What is wrong, in words.
    pub fn decode(bytes: &[u8]) -> Result<BatchHeader, String> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(format!("{} bytes where a batch header has {HEADER_BYTES}", bytes.len()));
        };
        let length = i32_at(header, BATCH_LENGTH_AT);
        if length < BATCH_LENGTH_MIN {
            return Err(format!("a batch length of {length}"));
        }
        let magic = header[MAGIC_AT] as i8;
        if magic != MAGIC {
            return Err(format!("magic {magic} where {MAGIC} is supported"));
        }
        let base_offset = i64_at(header, BASE_OFFSET_AT);
        let delta = i32_at(header, LAST_OFFSET_DELTA_AT);
        let Some(last_offset) =
            base_offset.checked_add(i64::from(delta)).filter(|_| base_offset >= 0 && delta >= 0)
        else {
            return Err(format!("base offset {base_offset} with a last offset delta of {delta}"));
        };
        Ok(BatchHeader {
            base_offset,
            last_offset,
            total_bytes: LOG_OVERHEAD_BYTES + length.unsigned_abs() as usize,
            leader_epoch: i32_at(header, LEADER_EPOCH_AT),
            max_timestamp: i64_at(header, MAX_TIMESTAMP_AT),
            crc: i32_at(header, CRC_AT) as u32,
        })
    }
}

fn i32_at(header: &[u8; HEADER_BYTES], at: usize) -> i32 {
    let mut field = [0; 4];
    field.copy_from_slice(&header[at..at + 4]);
    i32::from_be_bytes(field)
}

fn i64_at(header: &[u8; HEADER_BYTES], at: usize) -> i64 {
    let mut field = [0; 8];
    field.copy_from_slice(&header[at..at + 8]);
    i64::from_be_bytes(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_protocol::batch::{BatchBuilder, BatchView};

    #[test]
    fn it_reads_what_the_view_reads() {
        let batch =
            BatchBuilder::new().base_offset(7).record(55, None, Some(b"v")).record(66, None, None).build();
        let view = BatchView::parse(&batch).unwrap();
        let header = BatchHeader::decode(&batch).unwrap();
        assert_eq!((header.base_offset, header.last_offset, header.total_bytes), (7, 8, batch.len()));
        assert_eq!(
            (header.crc, header.max_timestamp, header.leader_epoch),
            (view.crc(), 66, view.leader_epoch())
        );
    }

    #[test]
    fn nonsense_is_named() {
        assert!(BatchHeader::decode(&[0; 61]).unwrap_err().contains("batch length of 0"));
        assert!(BatchHeader::decode(&[0; 60]).unwrap_err().contains("60 bytes"));
    }
}
