//! The producer state snapshot of a partition (`NNNN.snapshot`): what idempotent producers last wrote before offset NNNN.
//!
//! | bytes | field |
//! |---|---|
//! | 0..2 | version, i16: 1 |
//! | 2..6 | CRC-32C of all that follows |
//! | 6..10 | number of entries, i32 |
//! | then per entry, 46 bytes | |
//! | 8 | producer id |
//! | 2 | producer epoch |
//! | 4 | last sequence |
//! | 8 | last offset |
//! | 4 | last offset less first offset of the last batch |
//! | 8 | timestamp, milliseconds |
//! | 4 | coordinator epoch |
//! | 8 | first offset of the open transaction, -1 if none |
//!
//! Integers are big-endian. Kafka remembers five batches per producer in memory and stores only the last one here, so after a
//! restart it knows older duplicates no more. It writes a snapshot when a segment rolls (named by the new segment's base
//! offset) and on a clean close (named by the log end offset).

use super::{Malformed, be_i32, be_i64};

const FORMAT: &str = "producer snapshot";
const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const COUNT_AT: usize = 6;
const HEADER_BYTES: usize = 10;
const ENTRY_BYTES: usize = 46;

/// No batch, epoch, sequence or transaction: -1 in the fields that may be absent.
pub const ABSENT: i64 = -1;

/// One producer's state, each field as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerEntry {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Sequence of the last record of the last batch; -1 without a batch (only control records so far).
    pub last_sequence: i32,
    /// Offset of the last record of the last batch; -1 without a batch.
    pub last_offset: i64,
    /// Last less first sequence of the last batch.
    pub offset_delta: i32,
    /// Greatest timestamp of the last append, milliseconds.
    pub timestamp: i64,
    /// Epoch of the transaction coordinator that sent the last marker, -1 if none did.
    pub coordinator_epoch: i32,
    /// First offset of the open transaction, -1 if none.
    pub current_txn_first_offset: i64,
}

/// The snapshot file for `entries`, in their order.
pub fn encode(entries: &[ProducerEntry]) -> Vec<u8> {
    let count = i32::try_from(entries.len()).expect("producers of a partition are bounded far below 2^31");
    let mut out = Vec::with_capacity(HEADER_BYTES + entries.len() * ENTRY_BYTES);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&count.to_be_bytes());
    entries.iter().for_each(|entry| encode_entry(entry, &mut out));
    let crc = crc32c::crc32c(&out[COUNT_AT..]);
    out[CRC_AT..COUNT_AT].copy_from_slice(&crc.to_be_bytes());
    out
}

/// The entries of a snapshot file. Version, length and CRC must be right.
pub fn decode(bytes: &[u8]) -> Result<Vec<ProducerEntry>, Malformed> {
    let (Some(header), Some(count)) = (bytes.first_chunk::<COUNT_AT>(), be_i32(bytes, COUNT_AT)) else {
        let expected = format!("a header of {HEADER_BYTES} bytes");
        return Err(Malformed::byte(FORMAT, bytes.len(), expected, "the end"));
    };
    let [v0, v1, crc @ ..] = *header;
    let version = i16::from_be_bytes([v0, v1]);
    if version != VERSION {
        return Err(Malformed::byte(FORMAT, 0, format!("version {VERSION}"), version.to_string()));
    }
    let (stored, computed) = (u32::from_be_bytes(crc), crc32c::crc32c(&bytes[COUNT_AT..]));
    if stored != computed {
        return Err(Malformed::byte(
            FORMAT,
            CRC_AT,
            format!("crc {computed:#010x}"),
            format!("{stored:#010x}"),
        ));
    }
    let body = &bytes[HEADER_BYTES..];
    let whole = body.len().is_multiple_of(ENTRY_BYTES).then_some(body.len() / ENTRY_BYTES);
    if whole.is_none() || usize::try_from(count).ok() != whole {
        let found = format!("{} bytes for a count of {count}", body.len());
        return Err(Malformed::byte(FORMAT, COUNT_AT, format!("{ENTRY_BYTES} bytes per entry"), found));
    }
    body.chunks_exact(ENTRY_BYTES).enumerate().map(|(n, entry)| decode_entry(n, entry)).collect()
}

fn encode_entry(entry: &ProducerEntry, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.producer_id.to_be_bytes());
    out.extend_from_slice(&entry.producer_epoch.to_be_bytes());
    out.extend_from_slice(&entry.last_sequence.to_be_bytes());
    out.extend_from_slice(&entry.last_offset.to_be_bytes());
    out.extend_from_slice(&entry.offset_delta.to_be_bytes());
    out.extend_from_slice(&entry.timestamp.to_be_bytes());
    out.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
    out.extend_from_slice(&entry.current_txn_first_offset.to_be_bytes());
}

fn decode_entry(n: usize, entry: &[u8]) -> Result<ProducerEntry, Malformed> {
    let read = || {
        Some(ProducerEntry {
            producer_id: be_i64(entry, 0)?,
            producer_epoch: i16::from_be_bytes(*entry.get(8..)?.first_chunk()?),
            last_sequence: be_i32(entry, 10)?,
            last_offset: be_i64(entry, 14)?,
            offset_delta: be_i32(entry, 22)?,
            timestamp: be_i64(entry, 26)?,
            coordinator_epoch: be_i32(entry, 34)?,
            current_txn_first_offset: be_i64(entry, 38)?,
        })
    };
    read().ok_or_else(|| {
        let at = HEADER_BYTES + n * ENTRY_BYTES;
        Malformed::byte(FORMAT, at, format!("an entry of {ENTRY_BYTES} bytes"), "the end")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TWO_PRODUCERS: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/txn/00000000000000000106.snapshot");
    const OPEN_TRANSACTION: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/txn/00000000000000000076.snapshot");

    #[test]
    fn reads_and_writes_what_kafka_wrote() {
        let entries = decode(TWO_PRODUCERS).unwrap();
        let after_commit = ProducerEntry {
            producer_id: 1,
            producer_epoch: 0,
            last_sequence: 99,
            last_offset: 99,
            offset_delta: 0,
            timestamp: 0x1a2_048d_4e6b,
            coordinator_epoch: 0,
            current_txn_first_offset: ABSENT,
        };
        let idempotent = ProducerEntry {
            producer_id: 2,
            producer_epoch: 0,
            last_sequence: 4,
            last_offset: 105,
            offset_delta: 4,
            timestamp: 0x1a2_048d_5375,
            coordinator_epoch: -1,
            current_txn_first_offset: ABSENT,
        };
        assert_eq!(entries, [after_commit, idempotent]);
        assert_eq!(encode(&entries), TWO_PRODUCERS);
        let open = decode(OPEN_TRANSACTION).unwrap();
        assert_eq!(open[0].current_txn_first_offset, 0);
        assert_eq!(encode(&open), OPEN_TRANSACTION);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        for at in 0..TWO_PRODUCERS.len() * 8 {
            let mut bytes = TWO_PRODUCERS.to_vec();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(decode(&bytes).is_err(), "bit {at}");
        }
        for end in 0..TWO_PRODUCERS.len() {
            assert!(decode(&TWO_PRODUCERS[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused() {
        let mut bytes = TWO_PRODUCERS.to_vec();
        bytes[COUNT_AT..HEADER_BYTES].copy_from_slice(&i32::MAX.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[COUNT_AT..]);
        bytes[CRC_AT..COUNT_AT].copy_from_slice(&crc.to_be_bytes());
        assert!(decode(&bytes).unwrap_err().to_string().contains("count of 2147483647"));
    }

    prop_compose! {
        fn any_entry()(a: i64, b: i16, c: i32, d: i64, e: i32, f: i64, g: i32, h: i64) -> ProducerEntry {
            ProducerEntry {
                producer_id: a, producer_epoch: b, last_sequence: c, last_offset: d, offset_delta: e, timestamp: f,
                coordinator_epoch: g, current_txn_first_offset: h,
            }
        }
    }

    proptest! {
        #[test]
        fn round_trip(entries in prop::collection::vec(any_entry(), 0..50)) {
            prop_assert_eq!(decode(&encode(&entries)).unwrap(), entries);
        }

        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
