//! How much memory the tails of a shard's logs may hold, and who gives some back.
//!
//! Chunks leave in the order in which they were sealed, as soon as their segment has them; the memory goes straight to
//! the next chunk that is opened (see `io::buf`), so that a busy shard touches the same pages over and over.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use super::Log;
use crate::bounds::{CHUNK_BYTES_MAX, CHUNK_BYTES_MIN};

/// One per shard.
pub struct TailCache {
    bytes_max: usize,
    /// All chunks have this size; None: each log's own rate decides.
    chunk_bytes: Option<usize>,
    bytes: Cell<usize>,
    /// Sealed chunks in order: the log, and the chunk's first offset.
    sealed: RefCell<VecDeque<(Weak<Log>, i64)>>,
}

impl TailCache {
    pub fn new(bytes_max: usize) -> Rc<TailCache> {
        TailCache::with_chunks_of(None, bytes_max)
    }

    /// For recovery: chunks of one size, such that an open one of each of `logs` takes half of the memory; the other half is
    /// for those on their way to the disk.
    pub fn shared_by(logs: usize, bytes_max: usize) -> Rc<TailCache> {
        let share = (bytes_max / 2 / logs.max(1)).clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        TailCache::with_chunks_of(Some(1 << share.ilog2()), bytes_max)
    }

    fn with_chunks_of(chunk_bytes: Option<usize>, bytes_max: usize) -> Rc<TailCache> {
        let (bytes, sealed) = (Cell::new(0), RefCell::default());
        Rc::new(TailCache { bytes_max, chunk_bytes, bytes, sealed })
    }

    pub(super) fn chunk_bytes(&self) -> Option<usize> {
        self.chunk_bytes
    }

    /// There are more bytes than there may be.
    pub(crate) fn is_over(&self) -> bool {
        self.bytes.get() > self.bytes_max
    }

    /// Bytes held by tail chunks.
    pub fn memory_bytes(&self) -> usize {
        self.bytes.get()
    }

    pub(super) fn opened(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    pub(super) fn dropped(&self, bytes: usize) {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
    }

    /// A chunk of the log was sealed: its turn to go will come.
    pub(super) fn sealed(&self, log: &Rc<Log>, first_offset: i64) {
        self.sealed.borrow_mut().push_back((Rc::downgrade(log), first_offset));
    }

    /// Lets chunks go while there are too many bytes and the oldest are in their segments.
    pub(crate) fn reclaim(&self) {
        loop {
            let Some((log, first_offset)) = self.sealed.borrow().front().cloned() else { return };
            // Gone otherwise: idle for long, deleted, or with its whole log.
            let held = log.upgrade().filter(|log| log.holds_chunk(first_offset));
            if let Some(log) = held
                && (self.bytes.get() <= self.bytes_max || !log.drop_oldest_chunk())
            {
                return;
            }
            self.sealed.borrow_mut().pop_front();
        }
    }
}
