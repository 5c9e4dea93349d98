//! Contents of a file as whole pages, and the page ranges that a file has been given on the disk.
//!
//! Pages are shared between images until one of them writes, so a copy of an image costs one map. A page that is
//! absent reads as zeros: a hole, or an unwritten extent.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::io::PAGE_BYTES;

const PAGE: u64 = PAGE_BYTES as u64;

/// Bytes and size of a file. Bytes past the size can be written, and appear once the size covers them.
#[derive(Clone, Debug, Default)]
pub(super) struct SparseImage {
    pages: BTreeMap<u64, Rc<[u8; PAGE_BYTES]>>,
    len: u64,
}

impl SparseImage {
    pub(super) fn from_bytes(bytes: &[u8]) -> SparseImage {
        let mut image = SparseImage::default();
        image.write(0, bytes);
        image.set_len(bytes.len() as u64);
        image
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Sets the size in bytes; what lies past a smaller one is forgotten.
    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.forget_from(len);
        }
        self.len = len;
    }

    /// Forgets bytes that lie past the size.
    pub(super) fn trim(&mut self) {
        self.forget_from(self.len);
    }

    fn forget_from(&mut self, offset: u64) {
        let cut = self.pages.split_off(&(offset / PAGE));
        let within = (offset % PAGE) as usize;
        if let Some(page) = cut.get(&(offset / PAGE)).filter(|_| within > 0) {
            let mut kept = [0; PAGE_BYTES];
            kept[..within].copy_from_slice(&page[..within]);
            self.pages.insert(offset / PAGE, Rc::new(kept));
        }
    }

    /// Writes without changing the size.
    pub(super) fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let mut at = offset;
        while !bytes.is_empty() {
            let within = (at % PAGE) as usize;
            let (now, rest) = bytes.split_at(bytes.len().min(PAGE_BYTES - within));
            self.write_in_page(at / PAGE, within, now);
            at += now.len() as u64;
            bytes = rest;
        }
    }

    fn write_in_page(&mut self, index: u64, within: usize, bytes: &[u8]) {
        let whole_zeros = bytes.len() == PAGE_BYTES && bytes.iter().all(|byte| *byte == 0);
        if whole_zeros {
            self.pages.remove(&index);
            return;
        }
        let page = self.pages.entry(index).or_insert_with(|| Rc::new([0; PAGE_BYTES]));
        Rc::make_mut(page)[within..within + bytes.len()].copy_from_slice(bytes);
    }

    /// Reads into `target` from `offset`; returns the bytes that lie below the size.
    pub(super) fn read(&self, offset: u64, target: &mut [u8]) -> usize {
        let count = self.len.saturating_sub(offset).min(target.len() as u64) as usize;
        let (mut at, mut rest) = (offset, &mut target[..count]);
        while !rest.is_empty() {
            let within = (at % PAGE) as usize;
            let (now, later) = rest.split_at_mut((PAGE_BYTES - within).min(rest.len()));
            match self.pages.get(&(at / PAGE)) {
                Some(page) => now.copy_from_slice(&page[within..within + now.len()]),
                None => now.fill(0),
            }
            at += now.len() as u64;
            rest = later;
        }
        count
    }

    /// All bytes below the size.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(0, &mut bytes);
        bytes
    }
}

/// A set of pages as disjoint ranges `start -> end`.
#[derive(Clone, Debug, Default)]
pub(super) struct Extents {
    ranges: BTreeMap<u64, u64>,
    pages: u64,
}

impl Extents {
    /// Pages in the set.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    fn page_range(offset: u64, len: u64) -> (u64, u64) {
        (offset / PAGE, offset.saturating_add(len).div_ceil(PAGE))
    }

    /// How many pages of the byte range are not in the set yet.
    pub(super) fn missing(&self, offset: u64, len: u64) -> u64 {
        let (start, end) = Extents::page_range(offset, len);
        let covered: u64 =
            self.ranges.range(..end).map(|(from, to)| to.min(&end).saturating_sub(*from.max(&start))).sum();
        end.saturating_sub(start) - covered
    }

    /// Adds the pages that the byte range touches.
    pub(super) fn add(&mut self, offset: u64, len: u64) {
        let (mut start, mut end) = Extents::page_range(offset, len);
        if start >= end {
            return;
        }
        self.pages += self.missing(offset, len);
        while let Some((from, to)) = self.ranges.range(..=end).next_back().map(|(from, to)| (*from, *to)) {
            if to < start {
                break;
            }
            self.ranges.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.ranges.insert(start, end);
    }

    /// Gives back the pages that lie wholly at or past this many bytes.
    pub(super) fn cut(&mut self, bytes: u64) {
        let end = bytes.div_ceil(PAGE);
        let past = self.ranges.split_off(&end);
        self.pages -= past.iter().map(|(from, to)| to - from).sum::<u64>();
        if let Some(mut last) = self.ranges.last_entry().filter(|last| *last.get() > end) {
            self.pages -= *last.get() - end;
            last.insert(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_read_as_zeros_and_a_shrunk_tail_does_not_come_back() {
        let mut image = SparseImage::default();
        image.write(5000, b"hello");
        assert_eq!(image.read(0, &mut [0; 10]), 0);
        image.set_len(10_000);
        let mut bytes = [9; 7];
        assert_eq!(image.read(4999, &mut bytes), 7);
        assert_eq!(&bytes, b"\0hello\0");
        image.set_len(5002);
        image.set_len(10_000);
        assert_eq!(image.read(4999, &mut bytes), 7);
        assert_eq!(&bytes, b"\0he\0\0\0\0");
        assert_eq!(image.read(9_998, &mut bytes), 2);
    }

    #[test]
    fn copies_do_not_share_later_writes() {
        let mut image = SparseImage::from_bytes(b"abc");
        let copy = image.clone();
        image.write(0, b"x");
        assert_eq!((image.to_vec(), copy.to_vec()), (b"xbc".to_vec(), b"abc".to_vec()));
    }

    #[test]
    fn extents_agree_with_a_set_of_pages() {
        let mut prng = crate::io::sim::prng::Prng::new(3);
        for _ in 0..200 {
            let (mut extents, mut model) = (Extents::default(), std::collections::BTreeSet::new());
            for _ in 0..12 {
                let (offset, len) = (prng.below(40 * PAGE), prng.below(8 * PAGE));
                if prng.chance(0.2) {
                    extents.cut(offset);
                    model.retain(|page| *page < offset.div_ceil(PAGE));
                } else {
                    let touched = if len == 0 { 0..0 } else { offset / PAGE..(offset + len).div_ceil(PAGE) };
                    if len > 0 {
                        let missing = touched.clone().filter(|page| !model.contains(page)).count();
                        assert_eq!(extents.missing(offset, len), missing as u64);
                        extents.add(offset, len);
                    }
                    model.extend(touched);
                }
                assert_eq!(extents.pages(), model.len() as u64);
            }
        }
    }
}
