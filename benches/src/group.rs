//! A group of batches on its way into the journal: one aligned buffer, filled by copies, written as whole pages.
//!
//! ```text
//! header 64: magic u64 | sequence u64 | used bytes u64 | batches u32 | crc32c of these u32 | zeros
//! batch:     base offset i64 | bytes u32 | zeros u32 | the batch as it came
//! ```
//! Enough to be replayed, so that the baselines write what a journal must at least write.

use thalweg_engine::io::{AlignedBuf, PAGE_BYTES};

use crate::wire::FRAME_BYTES_MAX;

/// Bytes of a group's buffer: four batches of 1 MiB in one write.
pub const GROUP_BYTES: usize = (4 << 20) + (64 << 10);
const HEADER_BYTES: usize = 64;
const ENTRY_HEADER_BYTES: usize = 16;
const MAGIC: u64 = u64::from_le_bytes(*b"THWFLOOR");

// An empty group takes any batch that a frame can carry.
const _: () = assert!(HEADER_BYTES + ENTRY_HEADER_BYTES + FRAME_BYTES_MAX <= GROUP_BYTES);
const _: () = assert!(GROUP_BYTES.is_multiple_of(PAGE_BYTES));

/// Page-aligned memory of at least [`GROUP_BYTES`], as a runtime wants it for its writes.
pub trait Pages {
    fn pages(&mut self) -> &mut [u8];
}

impl Pages for AlignedBuf {
    fn pages(&mut self) -> &mut [u8] {
        self
    }
}

/// See the module.
#[derive(Debug)]
pub struct Group<B> {
    buffer: B,
    used: usize,
    batches: u32,
}

impl<B: Pages> Group<B> {
    /// An empty group; `buffer` may hold anything.
    pub fn new(buffer: B) -> Group<B> {
        Group { buffer, used: HEADER_BYTES, batches: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.batches == 0
    }

    pub fn batches(&self) -> u32 {
        self.batches
    }

    /// Bytes that the group takes in the journal: whole pages.
    pub fn padded_bytes(&self) -> usize {
        self.used.next_multiple_of(PAGE_BYTES)
    }

    /// Whether a batch of `bytes` fits.
    pub fn takes(&self, bytes: usize) -> bool {
        self.used + ENTRY_HEADER_BYTES + bytes <= GROUP_BYTES
    }

    /// Copies a batch in.
    ///
    /// # Panics
    /// If it does not fit: [`Group::takes`] says so before.
    pub fn push(&mut self, base_offset: i64, batch: &[u8]) {
        assert!(self.takes(batch.len()), "a batch of {} bytes in a full group", batch.len());
        let entry = &mut self.buffer.pages()[self.used..self.used + ENTRY_HEADER_BYTES + batch.len()];
        entry[0..8].copy_from_slice(&base_offset.to_le_bytes());
        entry[8..12].copy_from_slice(&(batch.len() as u32).to_le_bytes());
        entry[12..16].fill(0);
        entry[ENTRY_HEADER_BYTES..].copy_from_slice(batch);
        self.used += ENTRY_HEADER_BYTES + batch.len();
        self.batches += 1;
    }

    /// Writes the header, zeroes the padding, and gives the buffer with the bytes to write from its front.
    pub fn seal(mut self, sequence: u64) -> (B, usize) {
        let (used, padded) = (self.used, self.padded_bytes());
        let pages = self.buffer.pages();
        pages[used..padded].fill(0);
        let header = &mut pages[..HEADER_BYTES];
        header[0..8].copy_from_slice(&MAGIC.to_le_bytes());
        header[8..16].copy_from_slice(&sequence.to_le_bytes());
        header[16..24].copy_from_slice(&(used as u64).to_le_bytes());
        header[24..28].copy_from_slice(&self.batches.to_le_bytes());
        let crc = crc32c::crc32c(&header[..28]);
        header[28..32].copy_from_slice(&crc.to_le_bytes());
        header[32..].fill(0);
        (self.buffer, padded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_holds_its_batches_and_pads_to_pages() {
        let mut group = Group::new(AlignedBuf::zeroed(GROUP_BYTES));
        group.push(7, &[1; 100]);
        group.push(8, &[2; 5000]);
        let (buffer, bytes) = group.seal(3);
        assert_eq!(bytes, 2 * PAGE_BYTES);
        assert_eq!(buffer[8], 3);
        let second = HEADER_BYTES + ENTRY_HEADER_BYTES + 100;
        assert_eq!(buffer[second], 8);
        assert_eq!(buffer[second + ENTRY_HEADER_BYTES..][..5000], [2; 5000]);
        assert!(buffer[second + ENTRY_HEADER_BYTES + 5000..bytes].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_full_group_takes_no_more() {
        let mut group = Group::new(AlignedBuf::zeroed(GROUP_BYTES));
        let batch = vec![0; FRAME_BYTES_MAX];
        assert!(group.takes(batch.len()));
        group.push(0, &batch);
        assert!(!group.takes(batch.len()));
    }
}
