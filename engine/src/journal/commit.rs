//! The bytes of one commit: header, entry table, payload, padding to whole pages. Pure; no I/O.
//!
//! The checksum covers header and table. Payload bytes are covered by each batch's own CRC-32C, whose value stands
//! in the table, and by the table's copy of the fields that the batch CRC leaves out. So a commit costs no second
//! pass over its data when it is written, and recovery still proves every byte.
//!
//! The journal id is random per data directory and secret to it: a record whose payload looks like a commit is not
//! taken for one.

use std::fmt;

use bytes::Bytes;
use thalweg_protocol::batch;
use uuid::Uuid;

use crate::id::PartitionId;
use crate::io::{AlignedBuf, PAGE_BYTES};

/// "THWCOMIT", little-endian.
const MAGIC: u64 = u64::from_le_bytes(*b"THWCOMIT");
const VERSION: u16 = 2;
/// Commits were written one at a time: each attested all before it.
const VERSION_ONE_AT_A_TIME: u16 = 1;

/// Bytes of the commit header; the entry table follows.
pub const HEADER_BYTES: usize = 96;
/// Bytes of one table entry.
pub const ENTRY_BYTES: usize = 48;
/// Where the checksum's coverage starts (right after the checksum itself).
const COVERED_FROM: usize = 12;

/// Identifies a commit among all that a directory ever saw.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct CommitId {
    /// Raised at every start.
    pub generation: u64,
    /// Contiguous within a journal and generation, from 1.
    pub sequence: u64,
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.sequence)
    }
}

/// The fixed part of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommitHeader {
    pub journal: Uuid,
    pub id: CommitId,
    /// Checksum of the commit before this one; 0 for the first of a generation.
    pub previous_crc: u32,
    /// This commit's own checksum.
    pub crc: u32,
    pub entries: u32,
    /// When this commit was made, all commits up to this sequence were durable; 0 for none.
    pub attests: u64,
    /// Bytes used: header, table and payload, without padding.
    pub used_bytes: u64,
}

impl CommitHeader {
    /// Bytes on disk: whole pages.
    pub fn padded_bytes(&self) -> u64 {
        self.used_bytes.next_multiple_of(PAGE_BYTES as u64)
    }

    /// Bytes of header and table.
    pub fn table_end(&self) -> usize {
        HEADER_BYTES + self.entries as usize * ENTRY_BYTES
    }
}

/// How a commit follows on from those before it.
#[derive(Clone, Copy, Debug)]
pub struct Follows {
    pub id: CommitId,
    /// See [`CommitHeader::previous_crc`] and [`CommitHeader::attests`].
    pub previous_crc: u32,
    pub attests: u64,
}

/// One batch in a commit's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryHeader {
    pub partition: PartitionId,
    pub payload_bytes: u32,
    pub base_offset: i64,
    pub last_offset_delta: i32,
    pub leader_epoch: i32,
    /// The batch's own CRC-32C, of everything from its attributes on.
    pub batch_crc: u32,
}

impl EntryHeader {
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }
}

/// Why bytes are not a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommitFault {
    /// Nothing here was ever meant as a commit of this journal.
    Absent,
    /// It starts as one and does not hold together.
    Damaged(String),
}

/// A batch on its way into a commit. `bytes` are already stamped.
#[derive(Clone, Debug)]
pub struct Entry {
    pub partition: PartitionId,
    pub bytes: Bytes,
}

/// Bytes that a commit of these entries takes, without padding.
pub fn used_bytes(entries: usize, payload_bytes: usize) -> usize {
    HEADER_BYTES + entries * ENTRY_BYTES + payload_bytes
}

/// Encodes a commit into `target` (at least `used_bytes` rounded up to pages; the padding is zeroed) and returns its
/// header.
///
/// # Panics
/// If `target` is too small or an entry is no batch: both are bugs, not input.
pub fn encode(target: &mut AlignedBuf, journal: Uuid, follows: Follows, entries: &[Entry]) -> CommitHeader {
    let Follows { id, previous_crc, attests } = follows;
    let payload_bytes = entries.iter().map(|entry| entry.bytes.len()).sum();
    let used = used_bytes(entries.len(), payload_bytes);
    let padded = used.next_multiple_of(PAGE_BYTES);
    let table_end = HEADER_BYTES + entries.len() * ENTRY_BYTES;
    let mut at = table_end;
    for entry in entries {
        target.stream(at, &entry.bytes);
        at += entry.bytes.len();
    }
    target[at..padded].fill(0);

    let table = &mut target[..table_end];
    for (entry, slot) in entries.iter().zip(table[HEADER_BYTES..].chunks_exact_mut(ENTRY_BYTES)) {
        encode_entry(slot, entry);
    }
    let header = &mut table[..HEADER_BYTES];
    header.fill(0);
    header[0..8].copy_from_slice(&MAGIC.to_le_bytes());
    header[12..14].copy_from_slice(&VERSION.to_le_bytes());
    header[16..32].copy_from_slice(journal.as_bytes());
    header[32..40].copy_from_slice(&id.generation.to_le_bytes());
    header[40..48].copy_from_slice(&id.sequence.to_le_bytes());
    header[48..52].copy_from_slice(&previous_crc.to_le_bytes());
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    header[52..56].copy_from_slice(&count.to_le_bytes());
    header[56..64].copy_from_slice(&(used as u64).to_le_bytes());
    header[64..72].copy_from_slice(&attests.to_le_bytes());
    let crc = crc32c::crc32c(&table[COVERED_FROM..]);
    table[8..12].copy_from_slice(&crc.to_le_bytes());
    CommitHeader { journal, id, previous_crc, crc, entries: count, attests, used_bytes: used as u64 }
}

fn encode_entry(slot: &mut [u8], entry: &Entry) {
    let Ok(view) = batch::BatchView::parse(&entry.bytes) else {
        panic!("a journal entry that is not a batch")
    };
    slot[0..16].copy_from_slice(entry.partition.topic.as_bytes());
    slot[16..20].copy_from_slice(&entry.partition.index.to_le_bytes());
    slot[20..24].copy_from_slice(&u32::try_from(entry.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    slot[24..32].copy_from_slice(&view.base_offset().to_le_bytes());
    slot[32..36].copy_from_slice(&view.last_offset_delta().to_le_bytes());
    slot[36..40].copy_from_slice(&view.leader_epoch().to_le_bytes());
    slot[40..44].copy_from_slice(&view.crc().to_le_bytes());
    slot[44..48].fill(0);
}

/// Reads a commit's header. `available` is how many bytes of the journal lie from its start on; nothing else bounds
/// what a damaged length may claim. The checksum is not checked here: see [`decode_table`].
///
/// # Errors
/// [`CommitFault::Absent`] when the magic or journal id is another's.
pub fn decode_header(bytes: &[u8], journal: Uuid, available: u64) -> Result<CommitHeader, CommitFault> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Err(CommitFault::Absent) };
    if u64_at(header, 0) != MAGIC || header[16..32] != *journal.as_bytes() {
        return Err(CommitFault::Absent);
    }
    let version = u16::from_le_bytes([header[12], header[13]]);
    if version != VERSION && version != VERSION_ONE_AT_A_TIME {
        return Err(CommitFault::Damaged(format!(
            "commit version {version}, known are {VERSION_ONE_AT_A_TIME} and {VERSION}"
        )));
    }
    let id = CommitId { generation: u64_at(header, 32), sequence: u64_at(header, 40) };
    let attests = if version == VERSION { u64_at(header, 64) } else { id.sequence.saturating_sub(1) };
    let decoded = CommitHeader {
        journal,
        id,
        attests,
        previous_crc: u32_at(header, 48),
        crc: u32_at(header, 8),
        entries: u32_at(header, 52),
        used_bytes: u64_at(header, 56),
    };
    let table_end = HEADER_BYTES as u64 + u64::from(decoded.entries) * ENTRY_BYTES as u64;
    if decoded.used_bytes < table_end || decoded.used_bytes > available {
        return Err(CommitFault::Damaged(format!(
            "commit {} claims {} bytes with {} entries where {available} are left",
            decoded.id, decoded.used_bytes, decoded.entries
        )));
    }
    Ok(decoded)
}

/// Whether a page that [`decode_header`] made nothing of was a commit of this journal: its magic or the journal's id
/// is still there.
pub fn is_ruin(page: &[u8], journal: Uuid) -> bool {
    page.first_chunk::<HEADER_BYTES>()
        .is_some_and(|header| u64_at(header, 0) == MAGIC || header[16..32] == *journal.as_bytes())
}

/// Checks the checksum and reads the table. `bytes` must reach to `header.table_end()`.
///
/// # Errors
/// [`CommitFault::Damaged`] when header or table do not match their checksum.
pub fn decode_table(header: &CommitHeader, bytes: &[u8]) -> Result<Vec<EntryHeader>, CommitFault> {
    let Some(table) = bytes.get(..header.table_end()) else {
        return Err(CommitFault::Damaged(format!("commit {} ends within its table", header.id)));
    };
    let crc = crc32c::crc32c(&table[COVERED_FROM..]);
    if crc != header.crc {
        return Err(CommitFault::Damaged(format!(
            "commit {}: checksum {crc:#010x}, expected {:#010x}",
            header.id, header.crc
        )));
    }
    let entries: Vec<EntryHeader> =
        table[HEADER_BYTES..].chunks_exact(ENTRY_BYTES).map(decode_entry).collect();
    let payload: u64 = entries.iter().map(|entry| u64::from(entry.payload_bytes)).sum();
    if header.table_end() as u64 + payload != header.used_bytes {
        return Err(CommitFault::Damaged(format!(
            "commit {}: its entries do not add up to its length",
            header.id
        )));
    }
    Ok(entries)
}

fn decode_entry(slot: &[u8]) -> EntryHeader {
    let mut topic = [0; 16];
    topic.copy_from_slice(&slot[0..16]);
    EntryHeader {
        partition: PartitionId { topic: Uuid::from_bytes(topic), index: i32_at(slot, 16) },
        payload_bytes: u32_at(slot, 20),
        base_offset: u64_at(slot, 24) as i64,
        last_offset_delta: i32_at(slot, 32),
        leader_epoch: i32_at(slot, 36),
        batch_crc: u32_at(slot, 40),
    }
}

/// Checks one payload against its table entry, to the last byte.
///
/// # Errors
/// What differs, in words.
pub fn check_payload(entry: &EntryHeader, payload: &[u8]) -> Result<(), String> {
    let view = batch::BatchView::parse(payload).map_err(|error| format!("no batch: {error}"))?;
    if view.total_bytes() != payload.len() {
        return Err(format!("batch of {} bytes in a slot of {}", view.total_bytes(), payload.len()));
    }
    let stored = (view.base_offset(), view.last_offset_delta(), view.leader_epoch(), view.crc());
    let expected = (entry.base_offset, entry.last_offset_delta, entry.leader_epoch, entry.batch_crc);
    if stored != expected {
        return Err(format!("batch header {stored:?}, the commit's table says {expected:?}"));
    }
    if !view.crc_ok() {
        return Err(format!("batch CRC is not {:#010x}", entry.batch_crc));
    }
    Ok(())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    u32_at(bytes, at) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_protocol::batch::{BatchBuilder, stamp};

    fn entry(index: i32, base_offset: i64) -> Entry {
        let mut bytes = BatchBuilder::new().record(17, Some(b"key"), Some(b"value")).build();
        stamp(&mut bytes, base_offset, 3);
        Entry { partition: PartitionId { topic: Uuid::from_u128(9), index }, bytes: bytes.into() }
    }

    fn encoded(entries: &[Entry]) -> (AlignedBuf, CommitHeader, Uuid) {
        let journal = Uuid::from_u128(77);
        let mut target = AlignedBuf::zeroed(2 * PAGE_BYTES);
        let id = CommitId { generation: 4, sequence: 9 };
        let follows = Follows { id, previous_crc: 0xABCD, attests: 7 };
        let header = encode(&mut target, journal, follows, entries);
        (target, header, journal)
    }

    #[test]
    fn a_commit_comes_back_as_it_went_in() {
        let entries = [entry(0, 5), entry(1, 1_000_000_000_000)];
        let (bytes, header, journal) = encoded(&entries);
        let decoded = decode_header(&bytes, journal, bytes.len() as u64).unwrap();
        assert_eq!(decoded, header);
        let table = decode_table(&decoded, &bytes).unwrap();
        assert_eq!(table[1].base_offset, 1_000_000_000_000);
        let mut at = decoded.table_end();
        for (entry, slot) in entries.iter().zip(&table) {
            let payload = &bytes[at..at + slot.payload_bytes as usize];
            assert_eq!(payload, &entry.bytes[..]);
            check_payload(slot, payload).unwrap();
            at += payload.len();
        }
    }

    #[test]
    fn an_empty_commit_is_one_page() {
        let (bytes, header, journal) = encoded(&[]);
        assert_eq!(header.padded_bytes(), PAGE_BYTES as u64);
        let decoded = decode_header(&bytes, journal, 4096).unwrap();
        assert!(decode_table(&decoded, &bytes).unwrap().is_empty());
    }

    #[test]
    fn another_journals_commit_is_absent() {
        let (bytes, _, _) = encoded(&[entry(0, 0)]);
        assert_eq!(decode_header(&bytes, Uuid::from_u128(78), 8192), Err(CommitFault::Absent));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let (bytes, header, journal) = encoded(&[entry(0, 5), entry(1, 6)]);
        for bit in 0..header.used_bytes as usize * 8 {
            let mut damaged = bytes.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(!survives(&damaged, journal), "bit {bit} flipped unnoticed");
        }
    }

    fn survives(bytes: &[u8], journal: Uuid) -> bool {
        let Ok(header) = decode_header(bytes, journal, bytes.len() as u64) else { return false };
        let Ok(table) = decode_table(&header, bytes) else { return false };
        let mut at = header.table_end();
        table.iter().all(|slot| {
            let payload = &bytes[at..at + slot.payload_bytes as usize];
            at += payload.len();
            check_payload(slot, payload).is_ok()
        })
    }
}
