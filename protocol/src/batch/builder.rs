//! Builds an uncompressed RecordBatch v2, for internal logs and tests.
//!
//! Invariant: what [`BatchBuilder::build`] returns passes [`validate_produced`](super::validate_produced) unless the
//! caller asked for control bits; the CRC is right and offset deltas run from 0.
//!
//! Deliberately absent: compression, and gaps between offsets.

use super::layout::*;
use super::record::Header;
use crate::varint;
use bytes::BufMut;

/// Collects records; see the module.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    base_offset: i64,
    leader_epoch: i32,
    attributes: i16,
    producer: (i64, i16, i32),
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    /// Header's space, then the records.
    bytes: Vec<u8>,
    /// Scratch for the record under construction, whose length comes first.
    record: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> BatchBuilder {
        BatchBuilder::new()
    }
}

impl BatchBuilder {
    /// A batch as a client sends it: base offset 0, no leader epoch, no producer, create time.
    pub fn new() -> BatchBuilder {
        BatchBuilder {
            base_offset: 0,
            leader_epoch: NO_LEADER_EPOCH,
            attributes: 0,
            producer: (NO_PRODUCER_ID, NO_PRODUCER_EPOCH, NO_SEQUENCE),
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            count: 0,
            bytes: vec![0; HEADER_BYTES],
            record: Vec::new(),
        }
    }

    pub fn base_offset(mut self, offset: i64) -> BatchBuilder {
        self.base_offset = offset;
        self
    }

    pub fn leader_epoch(mut self, epoch: i32) -> BatchBuilder {
        self.leader_epoch = epoch;
        self
    }

    /// Makes the batch idempotent.
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> BatchBuilder {
        self.producer = (id, epoch, base_sequence);
        self
    }

    pub fn transactional(mut self) -> BatchBuilder {
        self.attributes |= ATTRIBUTE_TRANSACTIONAL;
        self
    }

    pub fn control(mut self) -> BatchBuilder {
        self.attributes |= ATTRIBUTE_CONTROL;
        self
    }

    /// Adds a record without headers. `timestamp` in ms since the epoch.
    pub fn record(self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> BatchBuilder {
        self.record_with_headers(timestamp, key, value, &[])
    }

    /// Adds a record. `timestamp` in ms since the epoch.
    pub fn record_with_headers(
        mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) -> BatchBuilder {
        self.push(timestamp, key, value, headers);
        self
    }

    /// Adds a record in place, for loops. `timestamp` in ms since the epoch.
    pub fn push(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.record.clear();
        self.record.put_i8(0);
        varint::put_zigzag_long(&mut self.record, timestamp.wrapping_sub(self.base_timestamp));
        varint::put_zigzag(&mut self.record, self.count);
        put_nullable(&mut self.record, key);
        put_nullable(&mut self.record, value);
        varint::put_zigzag(&mut self.record, length(headers.len()));
        for header in headers {
            put_nullable(&mut self.record, Some(header.key));
            put_nullable(&mut self.record, header.value);
        }
        varint::put_zigzag(&mut self.bytes, length(self.record.len()));
        self.bytes.put_slice(&self.record);
        self.count += 1;
    }

    /// Bytes that [`build`](Self::build) would return now.
    pub fn total_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Records so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// The finished batch.
    ///
    /// # Panics
    /// Without a record (a batch that no broker takes), or beyond 2 GiB.
    pub fn build(mut self) -> Vec<u8> {
        assert!(self.count > 0, "a batch holds at least one record");
        let batch_length = length(self.bytes.len() - LOG_OVERHEAD_BYTES);
        let (producer_id, producer_epoch, base_sequence) = self.producer;
        let mut header = &mut self.bytes[..HEADER_BYTES];
        header.put_i64(self.base_offset);
        header.put_i32(batch_length);
        header.put_i32(self.leader_epoch);
        header.put_i8(MAGIC);
        header.put_u32(0);
        header.put_i16(self.attributes);
        header.put_i32(self.count - 1);
        header.put_i64(self.base_timestamp);
        header.put_i64(self.max_timestamp);
        header.put_i64(producer_id);
        header.put_i16(producer_epoch);
        header.put_i32(base_sequence);
        header.put_i32(self.count);
        let crc = crc32c::crc32c(&self.bytes[ATTRIBUTES_AT..]);
        self.bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        self.bytes
    }
}

fn put_nullable(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => varint::put_zigzag(out, -1),
        Some(field) => {
            varint::put_zigzag(out, length(field.len()));
            out.put_slice(field);
        }
    }
}

/// A length as the format holds it; the caller's data, so beyond 2 GiB is a bug.
fn length(bytes: usize) -> i32 {
    assert!(bytes <= i32::MAX as usize, "a batch is below 2 GiB");
    bytes as i32
}
