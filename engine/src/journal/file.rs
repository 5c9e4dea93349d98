//! A journal file: one header page, then commits to its end. Names, and the header's bytes. Pure; no I/O.

use uuid::Uuid;

use crate::id::ShardId;
use crate::io::{AlignedBuf, PAGE_BYTES};

const MAGIC: u64 = u64::from_le_bytes(*b"THWJRNL1");
const COVERED_FROM: usize = 12;
const COVERED_TO: usize = 64;

/// Commits start here.
pub const FIRST_COMMIT: u64 = PAGE_BYTES as u64;

/// How a journal makes its commits survive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// O_DIRECT and O_DSYNC: a finished write survives power loss.
    Durable,
    /// O_DIRECT without a sync: a finished write survives the process, and the disk's cache decides about power loss.
    Cached,
}

impl Lane {
    fn letter(self) -> &'static str {
        match self {
            Lane::Durable => "d",
            Lane::Cached => "c",
        }
    }
}

/// Which file of a directory's journals this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct JournalFileId {
    pub shard: ShardId,
    pub lane: Lane,
    pub number: u32,
}

impl JournalFileId {
    /// Plain files, never directories: Kafka takes every directory in `log.dirs` for a partition.
    pub fn file_name(self) -> String {
        format!("thalweg-journal.{}.{}.{}", self.shard.0, self.lane.letter(), self.number)
    }

    /// The inverse of `file_name`; None for any other name.
    pub fn parse(name: &str) -> Option<JournalFileId> {
        let mut parts = name.strip_prefix("thalweg-journal.")?.split('.');
        let shard = ShardId(parts.next()?.parse().ok()?);
        let lane = match parts.next()? {
            "d" => Lane::Durable,
            "c" => Lane::Cached,
            _ => return None,
        };
        let number = parts.next()?.parse().ok()?;
        let id = JournalFileId { shard, lane, number };
        (parts.next().is_none() && id.file_name() == name).then_some(id)
    }
}

/// Encodes the header page.
pub fn encode_header(journal: Uuid) -> AlignedBuf {
    let mut page = AlignedBuf::zeroed(PAGE_BYTES);
    page[0..8].copy_from_slice(&MAGIC.to_le_bytes());
    page[16..32].copy_from_slice(journal.as_bytes());
    let crc = crc32c::crc32c(&page[COVERED_FROM..COVERED_TO]);
    page[8..12].copy_from_slice(&crc.to_le_bytes());
    page
}

/// Reads the header page: the journal id, or None when the page is damaged or was never finished.
pub fn decode_header(page: &[u8]) -> Option<Uuid> {
    let covered = page.get(COVERED_FROM..COVERED_TO)?;
    let magic = u64::from_le_bytes(page.get(0..8)?.try_into().ok()?);
    let crc = u32::from_le_bytes(page.get(8..12)?.try_into().ok()?);
    if magic != MAGIC || crc != crc32c::crc32c(covered) {
        return None;
    }
    Some(Uuid::from_bytes(page.get(16..32)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let id = JournalFileId { shard: ShardId(3), lane: Lane::Cached, number: 12 };
        assert_eq!(id.file_name(), "thalweg-journal.3.c.12");
        assert_eq!(JournalFileId::parse(&id.file_name()), Some(id));
        for other in ["thalweg-journal.3.c", "thalweg-journal.3.x.1", "thalweg-journal.03.c.1", "topic-0"] {
            assert_eq!(JournalFileId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_damaged_header_page_is_refused() {
        let page = encode_header(Uuid::from_u128(5));
        assert_eq!(decode_header(&page), Some(Uuid::from_u128(5)));
        for bit in 0..COVERED_TO * 8 {
            let mut damaged = page.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_header(&damaged), None, "bit {bit}");
        }
    }
}
