//! What recovery may rely on without the journal: per partition, up to where its segments are synced, its producers
//! and its epochs. Bytes only; written and read by `storage` and `recovery`.
//!
//! Two kinds of file in a directory. The *base* (`thalweg-checkpoint`) is written once per start, when recovery has
//! made everything durable: it opens a generation. A shard's *running* checkpoint (`thalweg-checkpoint.N`) replaces
//! the base for the partitions in it; one of another generation is ignored.

use std::collections::VecDeque;

use thiserror::Error;
use uuid::Uuid;

use crate::id::{PartitionId, TopicPartition};
use crate::log::{EpochHistory, EpochStart, LogPosition, ProducedBatch, ProducerEntry, Producers};

const MAGIC: u64 = u64::from_le_bytes(*b"THWCHKPT");
/// 2 added `cleaned`; 1 is still read.
const VERSION: u16 = 2;
const VERSION_MIN: u16 = 1;
/// Magic and checksum.
const PREFIX_BYTES: usize = 12;

pub const BASE_NAME: &str = "thalweg-checkpoint";

/// `thalweg-checkpoint.N`
pub fn running_name(shard: u16) -> String {
    format!("{BASE_NAME}.{shard}")
}

/// A checkpoint of a directory or of a shard's part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Random id of the directory's journals.
    pub journal: Uuid,
    pub generation: u64,
    /// Shards that this generation runs with.
    pub shards: u16,
    /// Leader epoch that this generation's appends are stamped with.
    pub leader_epoch: i32,
    /// Written by a clean stop: the segments are at their true sizes and nothing follows in the journal.
    pub clean: bool,
    /// Lowest sequence still needed of the shard's durable and cached journals (running checkpoints only).
    pub needed: [u64; 2],
    pub partitions: Vec<PartitionCheckpoint>,
}

/// A partition in a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionCheckpoint {
    pub id: PartitionId,
    pub name: TopicPartition,
    pub log_start: i64,
    /// Everything before it is in synced segments.
    pub synced: LogPosition,
    /// Everything below it was compacted.
    pub cleaned: i64,
    /// Producers' and epochs' state; may be ahead of `synced`, replaying onto it is idempotent.
    pub epochs: EpochHistory,
    pub producers: Vec<ProducerEntry>,
}

/// Bytes that are not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {position}: {what}")]
pub struct CheckpointFault {
    pub position: usize,
    pub what: String,
}

/// Encodes a checkpoint.
pub fn encode(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut encoder = Encoder::new(checkpoint);
    checkpoint.partitions.iter().for_each(|partition| encoder.push(partition));
    encoder.finish(checkpoint.needed)
}

/// Encodes a checkpoint partition by partition, for a shard that has many.
pub struct Encoder {
    out: Vec<u8>,
    count: u32,
    /// Checksum of what is settled: all after `needed` and the count.
    crc: u32,
    crc_to: usize,
}

/// Where the fields lie that are known last.
const NEEDED_AT: usize = PREFIX_BYTES + 2 + 16 + 8 + 2 + 4 + 1;
const PARTITIONS_AT: usize = NEEDED_AT + 8 + 8 + 4;

impl Encoder {
    /// All of `checkpoint` but its partitions, and what is needed.
    pub fn new(checkpoint: &Checkpoint) -> Encoder {
        let mut out = Vec::with_capacity(64 + checkpoint.partitions.len() * 128);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(checkpoint.journal.as_bytes());
        out.extend_from_slice(&checkpoint.generation.to_le_bytes());
        out.extend_from_slice(&checkpoint.shards.to_le_bytes());
        out.extend_from_slice(&checkpoint.leader_epoch.to_le_bytes());
        out.push(u8::from(checkpoint.clean));
        out.resize(PARTITIONS_AT, 0);
        Encoder { out, count: 0, crc: 0, crc_to: PARTITIONS_AT }
    }

    pub fn push(&mut self, partition: &PartitionCheckpoint) {
        encode_partition(&mut self.out, partition);
        self.count += 1;
        self.crc = crc32c::crc32c_append(self.crc, &self.out[self.crc_to..]);
        self.crc_to = self.out.len();
    }

    pub fn finish(mut self, needed: [u64; 2]) -> Vec<u8> {
        self.out[NEEDED_AT..NEEDED_AT + 8].copy_from_slice(&needed[0].to_le_bytes());
        self.out[NEEDED_AT + 8..NEEDED_AT + 16].copy_from_slice(&needed[1].to_le_bytes());
        self.out[PARTITIONS_AT - 4..PARTITIONS_AT].copy_from_slice(&self.count.to_le_bytes());
        let head = crc32c::crc32c(&self.out[PREFIX_BYTES..PARTITIONS_AT]);
        let crc = crc32c::crc32c_combine(head, self.crc, self.out.len() - PARTITIONS_AT);
        self.out[8..PREFIX_BYTES].copy_from_slice(&crc.to_le_bytes());
        self.out
    }
}

fn encode_partition(out: &mut Vec<u8>, partition: &PartitionCheckpoint) {
    out.extend_from_slice(partition.id.topic.as_bytes());
    out.extend_from_slice(&partition.id.index.to_le_bytes());
    put_count(out, partition.name.topic.len());
    out.extend_from_slice(partition.name.topic.as_bytes());
    out.extend_from_slice(&partition.log_start.to_le_bytes());
    out.extend_from_slice(&partition.synced.segment.to_le_bytes());
    out.extend_from_slice(&partition.synced.position.to_le_bytes());
    out.extend_from_slice(&partition.synced.offset.to_le_bytes());
    out.extend_from_slice(&partition.cleaned.to_le_bytes());
    put_count(out, partition.epochs.starts().len());
    for start in partition.epochs.starts() {
        out.extend_from_slice(&start.epoch.to_le_bytes());
        out.extend_from_slice(&start.start_offset.to_le_bytes());
    }
    put_count(out, partition.producers.len());
    for producer in &partition.producers {
        encode_producer(out, producer);
    }
}

fn encode_producer(out: &mut Vec<u8>, producer: &ProducerEntry) {
    out.extend_from_slice(&producer.producer_id.to_le_bytes());
    out.extend_from_slice(&producer.epoch.to_le_bytes());
    out.extend_from_slice(&producer.used_ms.to_le_bytes());
    put_count(out, producer.batches.len());
    for batch in &producer.batches {
        out.extend_from_slice(&batch.base_sequence.to_le_bytes());
        out.extend_from_slice(&batch.last_sequence.to_le_bytes());
        out.extend_from_slice(&batch.base_offset.to_le_bytes());
        out.extend_from_slice(&batch.last_offset.to_le_bytes());
        out.extend_from_slice(&batch.timestamp_ms.to_le_bytes());
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

/// Decodes a checkpoint and proves it whole.
///
/// # Errors
/// Where and what is wrong.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint, CheckpointFault> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.u64()? != MAGIC {
        return Err(reader.fault("no checkpoint magic"));
    }
    let stored = reader.u32()?;
    let crc = crc32c::crc32c(&bytes[PREFIX_BYTES..]);
    if crc != stored {
        return Err(reader.fault(format!("checksum {crc:#010x}, expected {stored:#010x}")));
    }
    let version = reader.u16()?;
    if !(VERSION_MIN..=VERSION).contains(&version) {
        return Err(reader.fault(format!("version {version}, this server reads {VERSION_MIN} to {VERSION}")));
    }
    let mut checkpoint = Checkpoint {
        journal: Uuid::from_bytes(reader.array()?),
        generation: reader.u64()?,
        shards: reader.u16()?,
        leader_epoch: reader.i32()?,
        clean: reader.array::<1>()?[0] != 0,
        needed: [reader.u64()?, reader.u64()?],
        partitions: Vec::new(),
    };
    for _ in 0..reader.u32()? {
        checkpoint.partitions.push(decode_partition(&mut reader, version)?);
    }
    if reader.at != bytes.len() {
        return Err(reader.fault("bytes after the end"));
    }
    Ok(checkpoint)
}

fn decode_partition(reader: &mut Reader<'_>, version: u16) -> Result<PartitionCheckpoint, CheckpointFault> {
    let id = PartitionId { topic: Uuid::from_bytes(reader.array()?), index: reader.i32()? };
    let name_bytes = reader.u32()? as usize;
    let Ok(topic) = std::str::from_utf8(reader.take(name_bytes)?) else {
        return Err(reader.fault("a topic name that is not UTF-8"));
    };
    let name = TopicPartition { topic: topic.to_string(), partition: id.index };
    let log_start = reader.i64()?;
    let synced = LogPosition { segment: reader.i64()?, position: reader.u64()?, offset: reader.i64()? };
    let cleaned = if version >= 2 { reader.i64()? } else { 0 };
    let mut starts = Vec::new();
    for _ in 0..reader.u32()? {
        starts.push(EpochStart { epoch: reader.i32()?, start_offset: reader.i64()? });
    }
    let mut producers = Vec::new();
    for _ in 0..reader.u32()? {
        producers.push(decode_producer(reader)?);
    }
    Ok(PartitionCheckpoint {
        id,
        name,
        log_start,
        synced,
        cleaned,
        epochs: EpochHistory::from_starts(starts),
        producers,
    })
}

fn decode_producer(reader: &mut Reader<'_>) -> Result<ProducerEntry, CheckpointFault> {
    let producer_id = reader.i64()?;
    let epoch = i16::from_le_bytes(reader.array()?);
    let used_ms = reader.i64()?;
    let mut batches = VecDeque::new();
    for _ in 0..reader.u32()? {
        batches.push_back(ProducedBatch {
            base_sequence: reader.i32()?,
            last_sequence: reader.i32()?,
            base_offset: reader.i64()?,
            last_offset: reader.i64()?,
            timestamp_ms: reader.i64()?,
        });
    }
    Ok(ProducerEntry { producer_id, epoch, batches, used_ms })
}

impl PartitionCheckpoint {
    /// The producers as the log keeps them.
    pub fn producers(&self) -> Producers {
        Producers::from_entries(self.producers.iter().cloned())
    }
}

/// Bounds-checked little-endian reading; memory grows only with bytes that are there.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], CheckpointFault> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let Some(taken) = taken else { return Err(self.fault("cut off")) };
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CheckpointFault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, CheckpointFault> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, CheckpointFault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn i32(&mut self) -> Result<i32, CheckpointFault> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, CheckpointFault> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn i64(&mut self) -> Result<i64, CheckpointFault> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    fn fault(&self, what: impl Into<String>) -> CheckpointFault {
        CheckpointFault { position: self.at, what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        let id = PartitionId { topic: Uuid::from_u128(3), index: 4 };
        let batch = ProducedBatch {
            base_sequence: 0,
            last_sequence: 4,
            base_offset: 10,
            last_offset: 14,
            timestamp_ms: 99,
        };
        Checkpoint {
            journal: Uuid::from_u128(1),
            generation: 7,
            shards: 2,
            leader_epoch: 5,
            clean: true,
            needed: [3, 9],
            partitions: vec![PartitionCheckpoint {
                id,
                name: TopicPartition { topic: "orders".into(), partition: 4 },
                log_start: 10,
                synced: LogPosition { segment: 10, position: 500, offset: 15 },
                cleaned: 12,
                epochs: EpochHistory::from_starts([EpochStart { epoch: 1, start_offset: 10 }]),
                producers: vec![ProducerEntry {
                    producer_id: 8,
                    epoch: 0,
                    batches: [batch].into(),
                    used_ms: 1,
                }],
            }],
        }
    }

    #[test]
    fn it_comes_back() {
        assert_eq!(decode(&encode(&checkpoint())).unwrap(), checkpoint());
    }

    #[test]
    fn what_the_version_before_wrote_is_read() {
        let mut old = encode(&checkpoint());
        let cleaned = old.windows(8).position(|bytes| bytes == 12_i64.to_le_bytes()).unwrap();
        old.drain(cleaned..cleaned + 8);
        old[PREFIX_BYTES..PREFIX_BYTES + 2].copy_from_slice(&1_u16.to_le_bytes());
        let crc = crc32c::crc32c(&old[PREFIX_BYTES..]);
        old[8..PREFIX_BYTES].copy_from_slice(&crc.to_le_bytes());
        let mut expected = checkpoint();
        expected.partitions[0].cleaned = 0;
        assert_eq!(decode(&old).unwrap(), expected);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode(&checkpoint());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
