//! The end of a log in memory: chunks that are appended to, sent from, and written to segments.
//!
//! A chunk maps a range of one segment file, from a page boundary on. It starts with the bytes of that page that
//! lie before its first batch (the carry), so that every segment write is whole pages and a page has one writer.
//! Bytes of a chunk never change once appended.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::bounds::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, CHUNK_GROWS_WITHIN_MS};
use crate::io::{AlignedBuf, Monotonic, PAGE_BYTES, SharedRegion};

/// Where a batch lies in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    pub base_offset: i64,
    /// Byte in the region.
    pub start: u32,
    /// Sequence of the commit that carries it.
    pub sequence: u64,
}

/// A contiguous run of batches of one segment.
#[derive(Debug)]
pub struct Chunk {
    /// Base offset of the segment it belongs to.
    pub segment: i64,
    /// Byte of the segment file where the region starts: a page boundary.
    pub file_start: u64,
    /// Bytes of the region before the first batch.
    pub carry: usize,
    /// Region byte from which its bytes count as unwritten: the chunk before answers for those below.
    pub counted_from: usize,
    region: SharedRegion,
    marks: Vec<Mark>,
    /// Offset after the last batch.
    pub end_offset: i64,
    /// No more is appended.
    pub sealed: bool,
    /// Whether the next chunk carries this one's last partial page on (same segment).
    pub continued: bool,
    /// Region bytes that were written to the segment.
    pub written: usize,
    pub created: Monotonic,
    pub touched: Monotonic,
}

impl Chunk {
    /// Region byte where the batch with `offset` or the next one after it starts.
    fn start_of(&self, offset: i64) -> usize {
        let at = self.marks.partition_point(|mark| mark.base_offset < offset);
        self.marks.get(at).map_or(self.region.filled(), |mark| mark.start as usize)
    }

    /// Index of the batch that contains `offset`, or of the one after it.
    fn mark_at(&self, offset: i64) -> usize {
        self.marks.partition_point(|mark| mark.base_offset <= offset).saturating_sub(1)
    }

    pub fn first_offset(&self) -> i64 {
        self.marks.first().map_or(self.end_offset, |mark| mark.base_offset)
    }

    pub fn filled(&self) -> usize {
        self.region.filled()
    }

    /// Bytes of memory for data.
    pub fn capacity(&self) -> usize {
        self.region.capacity()
    }

    pub fn memory_bytes(&self) -> usize {
        self.region.capacity() + self.marks.capacity() * size_of::<Mark>()
    }

    pub fn view(&self, start: usize, end: usize) -> Bytes {
        self.region.view(start, end)
    }

    /// The page from `start` on (to at most `end`), copied and padded with zeros.
    pub fn padded_page(&self, start: usize, end: usize) -> Bytes {
        let mut page = AlignedBuf::zeroed(PAGE_BYTES);
        page[..end - start].copy_from_slice(&self.region.filled_bytes()[start..end]);
        page.freeze()
    }

    /// Region bytes of batches below `offset`.
    pub fn end_below(&self, offset: i64) -> usize {
        if offset >= self.end_offset { self.region.filled() } else { self.start_of(offset) }
    }

    /// The last batch boundary at or before a region byte: the byte, and the offset of the batch that starts there.
    pub fn boundary_at(&self, byte: usize) -> (usize, i64) {
        if byte >= self.filled() {
            return (self.filled(), self.end_offset);
        }
        let after = self.marks.partition_point(|mark| mark.start as usize <= byte);
        match after.checked_sub(1).and_then(|at| self.marks.get(at)) {
            Some(mark) => (mark.start as usize, mark.base_offset),
            None => (self.carry.min(byte), i64::MIN),
        }
    }

    /// Up to where this chunk is the one to write: a continued one leaves its last partial page to its successor.
    pub fn responsibility(&self) -> usize {
        if self.continued { self.filled() / PAGE_BYTES * PAGE_BYTES } else { self.filled() }
    }

    /// Whether everything in it was written to its segment, here or by its successor.
    pub fn is_written(&self) -> bool {
        self.sealed && self.written >= self.responsibility()
    }

    /// Sequence of the first commit that holds a batch at or above `offset`.
    pub fn sequence_from(&self, offset: i64) -> Option<u64> {
        let at = self.marks.partition_point(|mark| mark.base_offset < offset);
        self.marks.get(at).map(|mark| mark.sequence)
    }
}

/// A slice of a chunk handed to a reader.
pub struct TailSlice {
    pub bytes: Bytes,
    /// Offset after the last batch in it.
    pub next_offset: i64,
}

/// The chunks of a log, oldest first. Only the last may be unsealed.
#[derive(Debug, Default)]
pub struct Tail {
    chunks: VecDeque<Chunk>,
    next_bytes: usize,
    /// `next_bytes` stays as it is.
    steady: bool,
}

impl Tail {
    /// Chunks of this size, however fast they fill; None: the rate decides.
    pub fn with_chunks_of(bytes: Option<usize>) -> Tail {
        Tail { chunks: VecDeque::new(), next_bytes: bytes.unwrap_or(0), steady: bytes.is_some() }
    }

    pub fn chunks(&self) -> &VecDeque<Chunk> {
        &self.chunks
    }

    pub fn chunks_mut(&mut self) -> &mut VecDeque<Chunk> {
        &mut self.chunks
    }

    /// Lowest offset that can be read from memory.
    pub fn first_offset(&self) -> Option<i64> {
        self.chunks.iter().find(|chunk| !chunk.marks.is_empty()).map(Chunk::first_offset)
    }

    /// Whether the next batch of `bytes` fits the open chunk of this segment.
    pub fn has_room(&self, segment: i64, bytes: usize) -> bool {
        self.open_chunk(segment).is_some_and(|chunk| chunk.region.capacity() - chunk.filled() >= bytes)
    }

    fn open_chunk(&self, segment: i64) -> Option<&Chunk> {
        self.chunks.back().filter(|chunk| !chunk.sealed && chunk.segment == segment)
    }

    /// Starts a chunk at `position` of the segment for a batch of `bytes`. `carry` is the part of the page before
    /// `position` that the file already has; when the chunk before continues into this one, its own bytes are taken.
    pub fn open(
        &mut self,
        segment: i64,
        position: u64,
        bytes: usize,
        carry: Option<&[u8]>,
        now: Monotonic,
        end: i64,
    ) {
        let carried = usize::try_from(position % PAGE_BYTES as u64).unwrap_or(0);
        let bytes_wanted = (carried + bytes).max(self.size_next(now));
        let region = SharedRegion::with_capacity(bytes_wanted);
        let from_disk = carry.is_some();
        let mut counted_from = carried;
        let last = self.chunks.back_mut().filter(|last| last.segment == segment && !last.sealed);
        match (last, carry) {
            (Some(last), None) => {
                let filled = last.region.filled_bytes();
                region.append(&filled[filled.len() - carried..], |_| ());
                last.sealed = true;
                last.continued = true;
                let answered = last.written.max(last.responsibility());
                counted_from = carried - last.filled().saturating_sub(answered).min(carried);
            }
            (_, Some(carry)) => {
                assert_eq!(carry.len(), carried, "carry of a chunk");
                region.append(carry, |_| ());
            }
            (None, None) => assert_eq!(carried, 0, "a chunk in the middle of a page without its carry"),
        }
        self.chunks.push_back(Chunk {
            segment,
            file_start: position - carried as u64,
            carry: carried,
            counted_from,
            region,
            marks: Vec::new(),
            end_offset: end,
            sealed: false,
            continued: false,
            // What the chunk before continues into this one is written here; a carry from disk is there already.
            written: if from_disk { carried } else { 0 },
            created: now,
            touched: now,
        });
    }

    fn size_next(&mut self, now: Monotonic) -> usize {
        if self.steady {
            return self.next_bytes;
        }
        let quick = self
            .chunks
            .back()
            .is_some_and(|last| now.since(last.created).as_millis() < u128::from(CHUNK_GROWS_WITHIN_MS));
        let next = if quick { self.next_bytes * 2 } else { self.next_bytes / 2 };
        self.next_bytes = next.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        self.next_bytes
    }

    /// Appends a batch to the open chunk and returns the stored bytes.
    ///
    /// # Panics
    /// If there is no open chunk with room: see `has_room` and `open`.
    pub fn append(
        &mut self,
        batch: &[u8],
        mark: Mark,
        end: i64,
        patch: impl FnOnce(&mut [u8]),
        now: Monotonic,
    ) -> Bytes {
        let Some(chunk) = self.chunks.back_mut().filter(|chunk| !chunk.sealed) else {
            panic!("append to a log without an open chunk")
        };
        let start = chunk.region.append(batch, patch);
        chunk.marks.push(Mark { start: u32::try_from(start).unwrap_or(u32::MAX), ..mark });
        chunk.end_offset = end;
        chunk.touched = now;
        chunk.region.view(start, start + batch.len())
    }

    /// Sets the commit sequence of the batch appended last.
    pub fn set_last_sequence(&mut self, sequence: u64) {
        if let Some(mark) = self.chunks.back_mut().and_then(|chunk| chunk.marks.last_mut()) {
            mark.sequence = sequence;
        }
    }

    /// Seals the open chunk at the end of its segment.
    pub fn seal(&mut self) {
        if let Some(last) = self.chunks.back_mut() {
            last.sealed = true;
        }
    }

    /// Whole batches from the one that contains `offset` on, below `limit`, of at most `bytes_max` (but at least one
    /// when `at_least_one`). None when `offset` lies below the tail.
    pub fn read(
        &self,
        offset: i64,
        limit: i64,
        bytes_max: usize,
        at_least_one: bool,
    ) -> Option<Vec<TailSlice>> {
        if self.first_offset().is_none_or(|first| offset < first) {
            return None;
        }
        let from = self.chunks.partition_point(|chunk| chunk.end_offset <= offset);
        let mut slices: Vec<TailSlice> = Vec::new();
        let mut left = bytes_max;
        for chunk in self.chunks.iter().skip(from) {
            if chunk.marks.is_empty() {
                continue;
            }
            let first = chunk.mark_at(offset);
            let start = chunk.marks[first].start as usize;
            let stop = chunk.end_below(limit);
            let end = whole_batches(chunk, first, start, stop, left, at_least_one && slices.is_empty());
            if end > start {
                let next_offset = chunk
                    .marks
                    .iter()
                    .find(|m| m.start as usize >= end)
                    .map_or(chunk.end_offset, |m| m.base_offset);
                slices.push(TailSlice { bytes: chunk.view(start, end), next_offset });
                left = left.saturating_sub(end - start);
            }
            if end < chunk.filled() {
                break;
            }
        }
        Some(slices)
    }

    /// Sequence of the first commit that holds a batch at or above `offset`.
    pub fn sequence_from(&self, offset: i64) -> Option<u64> {
        self.chunks
            .iter()
            .find(|chunk| chunk.end_offset > offset)
            .and_then(|chunk| chunk.sequence_from(offset))
    }

    /// Whether a sealed chunk waits to be written. Chunks are written in order.
    pub fn has_backlog(&self) -> bool {
        self.chunks.iter().rev().find(|chunk| chunk.sealed).is_some_and(|chunk| !chunk.is_written())
    }

    /// Bytes that no segment file has yet.
    pub fn unwritten_bytes(&self) -> u64 {
        let unwritten =
            |chunk: &Chunk| chunk.responsibility().saturating_sub(chunk.written.max(chunk.counted_from));
        self.chunks.iter().map(|chunk| unwritten(chunk) as u64).sum()
    }

    pub fn memory_bytes(&self) -> usize {
        self.chunks.iter().map(Chunk::memory_bytes).sum()
    }
}

/// Region byte after the last whole batch that fits `bytes_max` from the batch at index `first` on.
fn whole_batches(
    chunk: &Chunk,
    first: usize,
    start: usize,
    stop: usize,
    bytes_max: usize,
    at_least_one: bool,
) -> usize {
    if stop <= start {
        return start;
    }
    if stop - start <= bytes_max {
        return stop;
    }
    let fits = chunk.marks.partition_point(|mark| mark.start as usize <= start + bytes_max);
    let end = chunk.marks[fits - 1].start as usize;
    if end > start || !at_least_one {
        return end;
    }
    chunk.marks.get(first + 1).map_or(chunk.filled(), |mark| mark.start as usize).min(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Monotonic = Monotonic(0);

    fn filled(sizes: &[usize]) -> Tail {
        let mut tail = Tail::default();
        let mut position = 0;
        for (offset, size) in sizes.iter().enumerate() {
            let offset = offset as i64;
            if !tail.has_room(0, *size) {
                tail.open(0, position, *size, None, NOW, offset);
            }
            let mark = Mark { base_offset: offset, start: 0, sequence: offset as u64 + 1 };
            tail.append(&vec![offset as u8; *size], mark, offset + 1, |_| (), NOW);
            position += *size as u64;
        }
        tail
    }

    fn lengths(slices: Option<Vec<TailSlice>>) -> Vec<usize> {
        slices.unwrap().iter().map(|slice| slice.bytes.len()).collect()
    }

    #[test]
    fn reads_return_whole_batches_within_bounds() {
        let tail = filled(&[100, 200, 300]);
        assert_eq!(lengths(tail.read(0, 3, 1000, false)), [600]);
        assert_eq!(lengths(tail.read(0, 3, 300, false)), [300]);
        assert_eq!(lengths(tail.read(1, 3, 299, false)), [200]);
        assert_eq!(lengths(tail.read(2, 3, 10, false)), [] as [usize; 0]);
        assert_eq!(lengths(tail.read(2, 3, 10, true)), [300]);
        assert_eq!(lengths(tail.read(0, 1, 1000, true)), [100]);
        assert_eq!(lengths(tail.read(3, 3, 1000, true)), [] as [usize; 0]);
    }

    #[test]
    fn a_chunk_carries_the_partial_page_of_the_one_before() {
        let size = 5000;
        let tail = filled(&[size; 12]);
        assert!(tail.chunks().len() > 1);
        for pair in tail.chunks().iter().collect::<Vec<_>>().windows(2) {
            let [before, after] = pair else { unreachable!() };
            assert!(before.continued && after.file_start % PAGE_BYTES as u64 == 0);
            let overlap = usize::try_from(after.file_start - before.file_start).unwrap();
            assert_eq!(before.view(overlap, before.filled()), after.view(0, after.carry));
        }
        let total: usize = lengths(tail.read(0, 12, usize::MAX, true)).iter().sum();
        assert_eq!(total, 12 * size);
    }

    #[test]
    fn the_first_needed_commit_follows_the_offset() {
        let tail = filled(&[10, 10, 10]);
        assert_eq!(tail.sequence_from(1), Some(2));
        assert_eq!(tail.sequence_from(3), None);
    }
}
