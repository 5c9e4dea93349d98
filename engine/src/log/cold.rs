//! Segments' bytes in memory for readers that are behind: fixed chunks, read directly, shared by all readers of a
//! shard, bounded. Reading ahead and the number of reads in flight are bounded too, so that a replay at full speed
//! leaves the disk to the journal.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;

use crate::bounds::{CACHED_INDEXES_MAX, COLD_CHUNK_BYTES, COLD_READS_MAX, READ_AHEAD_CHUNKS};
use crate::error::IoFailure;
use crate::format::segment_index::IndexBytes;
use crate::io::AlignedBuf;
use crate::reactor::Io;
use crate::reactor::sync::{Notify, Semaphore};
use crate::volume::Volume;

/// A chunk of a segment: log, segment's base offset, index of the chunk.
type Key = (u64, i64, u64);

/// A closed segment's index: log, segment's base offset, entries.
type HeldIndex = ((u64, i64), Rc<IndexBytes>);

struct Cached {
    /// Valid bytes; a chunk at the growing end of a segment is read again once more of it is written.
    bytes: Bytes,
    used: u64,
}

#[derive(Default)]
struct Contents {
    chunks: HashMap<Key, Cached>,
    by_use: BTreeMap<u64, Key>,
    bytes: usize,
    loading: HashMap<Key, Notify>,
}

/// See the module. One per shard.
pub struct ColdCache {
    io: Io,
    bytes_max: usize,
    contents: RefCell<Contents>,
    /// Least recently used first.
    indexes: RefCell<VecDeque<HeldIndex>>,
    clock: Cell<u64>,
    next_key: Cell<u64>,
    reads: Semaphore,
}

/// Which bytes are wanted.
#[derive(Clone, Copy)]
pub(super) struct ColdSource<'a> {
    pub volume: &'a Rc<Volume>,
    pub path: &'a Path,
    pub log: u64,
    pub segment: i64,
    /// Bytes of the segment that are written.
    pub valid: u64,
}

impl ColdCache {
    pub fn new(io: &Io, bytes_max: usize, reads_max: usize) -> Rc<ColdCache> {
        Rc::new(ColdCache {
            io: io.clone(),
            bytes_max,
            contents: RefCell::default(),
            indexes: RefCell::default(),
            clock: Cell::new(0),
            next_key: Cell::new(0),
            reads: Semaphore::new(reads_max),
        })
    }

    /// A name for a log that no other log of this shard has or had.
    pub fn new_key(&self) -> u64 {
        self.next_key.set(self.next_key.get() + 1);
        self.next_key.get()
    }

    /// Bytes held.
    pub fn memory_bytes(&self) -> usize {
        self.contents.borrow().bytes
    }

    /// The chunk with this index, all of it that is valid.
    pub(super) async fn chunk(
        self: &Rc<Self>,
        source: ColdSource<'_>,
        index: u64,
    ) -> Result<Bytes, IoFailure> {
        let key = (source.log, source.segment, index);
        let wanted = valid_in_chunk(source.valid, index);
        loop {
            if let Some(bytes) = self.lookup(key, wanted) {
                return Ok(bytes);
            }
            let Some(loading) = self.begin(key) else {
                return self.load(source, key, wanted).await;
            };
            loading.notified().await;
        }
    }

    fn lookup(&self, key: Key, wanted: usize) -> Option<Bytes> {
        let mut contents = self.contents.borrow_mut();
        let contents = &mut *contents;
        let cached = contents.chunks.get_mut(&key).filter(|cached| cached.bytes.len() >= wanted)?;
        contents.by_use.remove(&cached.used);
        cached.used = self.tick();
        contents.by_use.insert(cached.used, key);
        Some(cached.bytes.clone())
    }

    /// None: the caller loads it. Some: somebody else does, wait for that.
    fn begin(&self, key: Key) -> Option<Notify> {
        let mut contents = self.contents.borrow_mut();
        if let Some(loading) = contents.loading.get(&key) {
            return Some(loading.clone());
        }
        contents.loading.insert(key, Notify::new());
        None
    }

    async fn load(
        self: &Rc<Self>,
        source: ColdSource<'_>,
        key: Key,
        wanted: usize,
    ) -> Result<Bytes, IoFailure> {
        let loading = Loading { cache: self, key };
        let _slot = self.reads.acquire(1).await;
        let file = source.volume.files.open(source.path).await?;
        let offset = key.2 * COLD_CHUNK_BYTES as u64;
        let (read, buf) =
            file.read_at(AlignedBuf::recycled(COLD_CHUNK_BYTES), COLD_CHUNK_BYTES, offset).await;
        let read = read.map_err(|error| IoFailure::new("read", source.path, error))?;
        if read < wanted {
            let error = std::io::Error::other(format!("the file ends {} bytes early", wanted - read));
            return Err(IoFailure::new("read", source.path, error));
        }
        let bytes = buf.freeze().slice(..wanted);
        self.insert(key, bytes.clone());
        drop(loading);
        Ok(bytes)
    }

    fn insert(&self, key: Key, bytes: Bytes) {
        let used = self.tick();
        let mut contents = self.contents.borrow_mut();
        contents.bytes += COLD_CHUNK_BYTES;
        if let Some(old) = contents.chunks.insert(key, Cached { bytes, used }) {
            contents.by_use.remove(&old.used);
            contents.bytes -= COLD_CHUNK_BYTES;
        }
        contents.by_use.insert(used, key);
        while contents.bytes > self.bytes_max {
            let Some((_, oldest)) = contents.by_use.pop_first() else { break };
            contents.chunks.remove(&oldest);
            contents.bytes -= COLD_CHUNK_BYTES;
        }
    }

    /// Reads the chunks after `index` in the background, for a reader that moves forward.
    pub(super) fn read_ahead(self: &Rc<Self>, source: ColdSource<'_>, index: u64) {
        let last = source.valid.saturating_sub(1) / COLD_CHUNK_BYTES as u64;
        for ahead in index + 1..=last.min(index + READ_AHEAD_CHUNKS) {
            let key = (source.log, source.segment, ahead);
            let wanted = valid_in_chunk(source.valid, ahead);
            let here =
                self.contents.borrow().chunks.get(&key).is_some_and(|cached| cached.bytes.len() >= wanted);
            if here || self.reads.available() <= COLD_READS_MAX / 2 || self.begin(key).is_some() {
                continue;
            }
            let (cache, volume, path) =
                (Rc::clone(self), Rc::clone(source.volume), source.path.to_path_buf());
            let (log, segment, valid) = (source.log, source.segment, source.valid);
            self.io
                .spawn("read ahead", async move {
                    let source = ColdSource { volume: &volume, path: &path, log, segment, valid };
                    // The reader that comes for it will see the error itself.
                    drop(cache.load(source, key, wanted).await);
                })
                .detach();
        }
    }

    /// A closed segment's index, if it was read lately.
    pub(super) fn index(&self, key: (u64, i64)) -> Option<Rc<IndexBytes>> {
        let mut indexes = self.indexes.borrow_mut();
        let at = indexes.iter().position(|(held, _)| *held == key)?;
        let found = indexes.remove(at)?;
        let bytes = Rc::clone(&found.1);
        indexes.push_back(found);
        Some(bytes)
    }

    pub(super) fn keep_index(&self, key: (u64, i64), bytes: Rc<IndexBytes>) {
        let mut indexes = self.indexes.borrow_mut();
        indexes.push_back((key, bytes));
        if indexes.len() > CACHED_INDEXES_MAX {
            indexes.pop_front();
        }
    }

    pub(super) fn forget_index(&self, key: (u64, i64)) {
        self.indexes.borrow_mut().retain(|(held, _)| *held != key);
    }

    /// Forgets a log, or only its segments below `before`.
    pub(crate) fn forget(&self, log: u64, before: Option<i64>) {
        self.indexes
            .borrow_mut()
            .retain(|((held, segment), _)| *held != log || before.is_some_and(|b| *segment >= b));
        let mut contents = self.contents.borrow_mut();
        let contents = &mut *contents;
        let gone = |key: &Key| key.0 == log && before.is_none_or(|before| key.1 < before);
        contents.chunks.retain(|key, cached| {
            let keep = !gone(key);
            if !keep {
                contents.by_use.remove(&cached.used);
                contents.bytes -= COLD_CHUNK_BYTES;
            }
            keep
        });
    }

    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }
}

/// Marks a chunk as being read; those who wait for it go on when it is dropped, however the read ended.
struct Loading<'a> {
    cache: &'a ColdCache,
    key: Key,
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        if let Some(loading) = self.cache.contents.borrow_mut().loading.remove(&self.key) {
            loading.notify_all();
        }
    }
}

fn valid_in_chunk(valid: u64, index: u64) -> usize {
    let start = index * COLD_CHUNK_BYTES as u64;
    usize::try_from(valid.saturating_sub(start)).unwrap_or(usize::MAX).min(COLD_CHUNK_BYTES)
}
