//! Builds record batches (magic 2): once per worker, then patched for each send.
//!
//! Only the front of a batch changes from send to send (base sequence, timestamps, the timed head in its first
//! record). The CRC-32C of the rest is known beforehand, and CRCs of adjacent parts combine linearly
//! (`crc(A|B) = shift(crc(A), len(B)) ^ crc(B)`), so each batch that goes out has a true CRC for the price of some
//! hundred bytes. With `--verify` every record is written afresh and the whole batch is summed. Source: KIP-98.

use std::io;

use crate::compress::Codec;
use crate::payload::{self, Proved, Timed};

/// Bytes of a batch before its records.
pub const BATCH_HEAD: usize = 61;
/// First byte that the CRC covers (attributes).
pub const CRC_FROM: usize = 21;
/// Room kept in front of the batch for the request around it: fixed fields, and a topic name of up to 249 bytes.
pub const REQUEST_ROOM: usize = 512;

/// The shape of every batch of a producer.
#[derive(Debug, Clone)]
pub struct Shape {
    pub record_bytes: usize,
    /// Upper bound of the uncompressed batch; at least one record always fits.
    pub batch_bytes: usize,
    pub codec: Codec,
    /// Number of distinct keys, 0 for records without a key.
    pub keys: u64,
    /// Rotates which keys a producer starts with.
    pub seed: u64,
    pub proved: bool,
    /// Whether each send carries fresh times. Without consumers a compressed batch need not be packed again.
    pub timed: bool,
}

/// What differs between two batches of one producer.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// Records in this batch, 1 to [`Builder::records_max`].
    pub count: u32,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub timed: Timed,
    /// Identity of the first record; later ones count `sequence` up.
    pub proved: Proved,
}

/// A batch under construction, with room in front for the request header.
#[derive(Debug)]
pub struct Builder {
    shape: Shape,
    /// Uncompressed records, laid end to end.
    records: Vec<u8>,
    /// End of each record in `records`.
    ends: Vec<usize>,
    /// Start of each record's value in `records`.
    values: Vec<usize>,
    /// Bytes of `records` that a stamp may change in *timed* form.
    front: usize,
    /// `crc_rest[n]`: CRC of `records[front..]` up to the end of record `n`.
    crc_rest: Vec<u32>,
    full_shift: CrcShift,
    packed: Vec<u8>,
    packed_count: u32,
}

fn put_varint(value: i64, out: &mut Vec<u8>) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

fn record_body(delta: usize, key: Option<&[u8]>, value_bytes: usize) -> (Vec<u8>, usize) {
    let mut body = vec![0];
    put_varint(0, &mut body);
    put_varint(delta as i64, &mut body);
    put_varint(key.map_or(-1, |k| k.len() as i64), &mut body);
    body.extend_from_slice(key.unwrap_or_default());
    put_varint(value_bytes as i64, &mut body);
    let value_at = body.len();
    body.resize(value_at + value_bytes, 0);
    put_varint(0, &mut body);
    (body, value_at)
}

impl Builder {
    pub fn new(shape: Shape) -> Self {
        let (mut records, mut ends, mut values) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let delta = ends.len();
            let key =
                (shape.keys > 0).then(|| format!("key-{:010}", (shape.seed + delta as u64) % shape.keys));
            let (mut body, value_at) =
                record_body(delta, key.as_deref().map(str::as_bytes), shape.record_bytes);
            payload::fill(delta as u64, &mut body[value_at..value_at + shape.record_bytes]);
            let mut length = Vec::with_capacity(5);
            put_varint(body.len() as i64, &mut length);
            let end = records.len() + length.len() + body.len();
            if delta > 0 && BATCH_HEAD + end > shape.batch_bytes {
                break;
            }
            values.push(records.len() + length.len() + value_at);
            records.extend_from_slice(&length);
            records.extend_from_slice(&body);
            ends.push(end);
        }
        let front =
            if shape.record_bytes >= payload::TIMED_HEAD { values[0] + payload::TIMED_HEAD } else { 0 };
        let mut crc_rest = Vec::with_capacity(ends.len());
        let (mut crc, mut from) = (0, front);
        for &end in &ends {
            crc = crc32c::crc32c_append(crc, &records[from..end]);
            crc_rest.push(crc);
            from = end;
        }
        let full_shift = CrcShift::new(records.len() - front);
        Self {
            shape,
            records,
            ends,
            values,
            front,
            crc_rest,
            full_shift,
            packed: Vec::new(),
            packed_count: 0,
        }
    }

    /// Records that fit one batch.
    pub fn records_max(&self) -> u32 {
        self.ends.len() as u32
    }

    /// A buffer for [`Builder::write`], empty but for the room in front.
    pub fn buffer(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(REQUEST_ROOM + BATCH_HEAD + self.records.len() + 1024);
        out.resize(REQUEST_ROOM + BATCH_HEAD, 0);
        if self.rewrites_in_place() {
            out.extend_from_slice(&self.records);
        }
        out
    }

    fn rewrites_in_place(&self) -> bool {
        self.shape.codec == Codec::None && !self.shape.proved
    }

    /// Writes the batch at [`REQUEST_ROOM`] of a buffer from [`Builder::buffer`]; returns the batch's length in bytes.
    pub fn write(&mut self, stamp: &Stamp, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let end = self.ends[stamp.count as usize - 1];
        if self.rewrites_in_place() {
            return Ok(self.patch(stamp, end, buffer));
        }
        let reuse = !self.shape.timed && !self.shape.proved && self.packed_count == stamp.count;
        if !reuse {
            self.refresh(stamp);
            self.packed.clear();
            self.shape.codec.compress(&self.records[..end], &mut self.packed)?;
            self.packed_count = stamp.count;
        }
        buffer.truncate(REQUEST_ROOM + BATCH_HEAD);
        buffer.extend_from_slice(&self.packed);
        let length = BATCH_HEAD + self.packed.len();
        let batch = &mut buffer[REQUEST_ROOM..];
        write_head(&mut batch[..BATCH_HEAD], stamp, self.shape.codec, length);
        let crc = crc32c::crc32c(&batch[CRC_FROM..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        Ok(length)
    }

    /// The cheap path: stamp the front, combine its CRC with the known one of the rest.
    fn patch(&self, stamp: &Stamp, end: usize, buffer: &mut [u8]) -> usize {
        let length = BATCH_HEAD + end;
        let batch = &mut buffer[REQUEST_ROOM..];
        write_head(&mut batch[..BATCH_HEAD], stamp, Codec::None, length);
        if self.front > 0 {
            let value = BATCH_HEAD + self.values[0];
            payload::write_timed(&stamp.timed, &mut batch[value..value + payload::TIMED_HEAD]);
        }
        let front_crc = crc32c::crc32c(&batch[CRC_FROM..BATCH_HEAD + self.front]);
        let rest_crc = self.crc_rest[stamp.count as usize - 1];
        let crc = if stamp.count == self.records_max() {
            self.full_shift.apply(front_crc) ^ rest_crc
        } else {
            crc32c::crc32c_combine(front_crc, rest_crc, end - self.front)
        };
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        length
    }

    fn refresh(&mut self, stamp: &Stamp) {
        let size = self.shape.record_bytes;
        if !self.shape.proved {
            if self.front > 0 {
                let at = self.values[0];
                payload::write_timed(&stamp.timed, &mut self.records[at..at + size]);
            }
            return;
        }
        for (i, &at) in self.values[..stamp.count as usize].iter().enumerate() {
            let mut proved = stamp.proved;
            proved.sequence += i as u64;
            proved.unix_us += (u64::from(stamp.timed.step_ns) * i as u64 / 1000) as i64;
            payload::write_proved(&proved, &mut self.records[at..at + size]);
        }
    }
}

/// Everything in the head but the CRC.
fn write_head(head: &mut [u8], stamp: &Stamp, codec: Codec, length: usize) {
    let base_ms = stamp.timed.first_unix_us / 1000;
    let last = stamp.count as i32 - 1;
    head[0..8].fill(0);
    head[8..12].copy_from_slice(&(length as i32 - 12).to_be_bytes());
    head[12..16].copy_from_slice(&(-1i32).to_be_bytes());
    head[16] = 2;
    head[21..23].copy_from_slice(&codec.bits().to_be_bytes());
    head[23..27].copy_from_slice(&last.to_be_bytes());
    head[27..35].copy_from_slice(&base_ms.to_be_bytes());
    head[35..43].copy_from_slice(&base_ms.to_be_bytes());
    head[43..51].copy_from_slice(&stamp.producer_id.to_be_bytes());
    head[51..53].copy_from_slice(&stamp.producer_epoch.to_be_bytes());
    head[53..57].copy_from_slice(&stamp.base_sequence.to_be_bytes());
    head[57..61].copy_from_slice(&(last + 1).to_be_bytes());
}

/// The linear map that appending a fixed number of bytes applies to a CRC-32C, as four byte-indexed tables.
#[derive(Debug)]
struct CrcShift {
    tables: Box<[[u32; 256]; 4]>,
}

impl CrcShift {
    fn new(len: usize) -> Self {
        let columns: Vec<u32> = (0..32).map(|bit| crc32c::crc32c_combine(1 << bit, 0, len)).collect();
        let mut tables = Box::new([[0u32; 256]; 4]);
        for (byte, table) in tables.iter_mut().enumerate() {
            for (value, entry) in table.iter_mut().enumerate() {
                *entry = (0..8).filter(|b| value >> b & 1 == 1).fold(0, |acc, b| acc ^ columns[byte * 8 + b]);
            }
        }
        Self { tables }
    }

    fn apply(&self, crc: u32) -> u32 {
        let b = crc.to_le_bytes();
        (0..4).fold(0, |acc, i| acc ^ self.tables[i][b[i] as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_reader::{Checks, batches};

    fn shape(codec: Codec, proved: bool) -> Shape {
        Shape { record_bytes: 100, batch_bytes: 4096, codec, keys: 3, seed: 1, proved, timed: true }
    }

    fn stamp(count: u32, at: i64) -> Stamp {
        Stamp {
            count,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            timed: Timed { run: 9, first_unix_us: at, step_ns: 500 },
            proved: Proved { run: 9, producer: 1, partition: 0, sequence: 40, unix_us: at },
        }
    }

    #[test]
    fn a_patched_batch_has_the_crc_of_its_bytes_at_every_count() {
        let mut builder = Builder::new(shape(Codec::None, false));
        let mut buffer = builder.buffer();
        for count in 1..=builder.records_max() {
            let length = builder.write(&stamp(count, 1_000_000 + i64::from(count)), &mut buffer).unwrap();
            let batch = &buffer[REQUEST_ROOM..REQUEST_ROOM + length];
            let stored = u32::from_be_bytes(batch[17..21].try_into().unwrap());
            assert_eq!(stored, crc32c::crc32c(&batch[CRC_FROM..]), "{count} records");
        }
    }

    #[test]
    fn every_form_reads_back() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            for proved in [false, true] {
                let mut builder = Builder::new(shape(codec, proved));
                let mut buffer = builder.buffer();
                let length = builder.write(&stamp(5, 77_000_123), &mut buffer).unwrap();
                let bytes = &buffer[REQUEST_ROOM..REQUEST_ROOM + length];
                let batch = batches(bytes, Checks::Crc).next().unwrap().unwrap();
                assert!(batch.is_intact);
                let records = batch.unpack().unwrap();
                let values: Vec<&[u8]> = records.iter().map(|r| r.unwrap().value).collect();
                assert_eq!(values.len(), 5);
                if proved {
                    let sequences: Vec<u64> =
                        values.iter().map(|v| payload::read_proved(v).unwrap().sequence).collect();
                    assert_eq!(sequences, [40, 41, 42, 43, 44]);
                } else {
                    assert_eq!(payload::read_timed(values[0]).unwrap().first_unix_us, 77_000_123);
                }
            }
        }
    }
}
