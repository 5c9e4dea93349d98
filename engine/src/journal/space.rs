//! Which bytes of which file the next commit goes to.
//!
//! Invariants: a file is written front to back and then rests until everything in it is in synced segments under a
//! durable checkpoint (`release`); only then it is written again. Files are pre-written with zeros before their
//! first use, so that a durable write never has to journal file-system metadata.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use uuid::Uuid;

use super::file::{self, FIRST_COMMIT, JournalFileId, Lane};
use crate::bounds::{JOURNAL_FILE_BYTES, JOURNAL_FIRST_FILE_BYTES, JOURNAL_PREWRITE_BYTES, JOURNAL_RETRY_MS};
use crate::error::IoFailure;
use crate::id::ShardId;
use crate::io::{AlignedBuf, OpenMode, PAGE_BYTES};
use crate::reactor::sync::Notify;
use crate::reactor::{File, Io};

/// A place for one commit.
#[derive(Clone)]
pub(super) struct Slot {
    pub file: File,
    pub path: Rc<Path>,
    pub position: u64,
}

struct JournalFile {
    file: File,
    path: Rc<Path>,
    bytes: u64,
    /// Sequence of the last commit in it; 0 when nothing in it is needed.
    last_sequence: u64,
}

pub(super) struct Space {
    io: Io,
    dir: PathBuf,
    journal: Uuid,
    shard: ShardId,
    lane: Lane,
    bytes_max: u64,
    files: RefCell<Vec<JournalFile>>,
    /// Index of the file being written, and where in it the next commit goes.
    active: Cell<Option<(usize, u64)>>,
    growing: Cell<bool>,
    /// The last growth failed; said once.
    growth_failed: Cell<bool>,
    /// Nothing will be freed any more.
    interrupted: RefCell<Option<IoFailure>>,
    next_number: Cell<u32>,
    changed: Notify,
}

impl Space {
    pub fn new(io: &Io, dir: &Path, journal: Uuid, shard: ShardId, lane: Lane, bytes_max: u64) -> Space {
        Space {
            io: io.clone(),
            dir: dir.to_path_buf(),
            journal,
            shard,
            lane,
            bytes_max,
            files: RefCell::new(Vec::new()),
            active: Cell::new(None),
            growing: Cell::new(false),
            growth_failed: Cell::new(false),
            interrupted: RefCell::new(None),
            next_number: Cell::new(0),
            changed: Notify::new(),
        }
    }

    /// Takes over a file that recovery has done with. Files whose header is not this journal's are not adopted.
    pub async fn adopt(&self, id: JournalFileId) -> Result<bool, IoFailure> {
        let path: Rc<Path> = self.dir.join(id.file_name()).into();
        let failed = |action, error| IoFailure::new(action, &*path, error);
        let file = self.io.open(&*path, OpenMode::Direct).await.map_err(|e| failed("open", e))?;
        let (read, page) = file.read_at(AlignedBuf::zeroed(PAGE_BYTES), PAGE_BYTES, 0).await;
        read.map_err(|e| failed("read", e))?;
        let bytes = file.len().map_err(|e| failed("stat", e))? / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        if file::decode_header(&page) != Some(self.journal) || bytes <= FIRST_COMMIT {
            return Ok(false);
        }
        self.next_number.set(self.next_number.get().max(id.number + 1));
        self.files.borrow_mut().push(JournalFile { file, path, bytes, last_sequence: 0 });
        Ok(true)
    }

    /// Creates the first file when none was adopted.
    pub async fn prepare(&self) -> Result<(), IoFailure> {
        if self.files.borrow().is_empty() { self.grow(JOURNAL_FIRST_FILE_BYTES).await } else { Ok(()) }
    }

    /// Waits for a place of `bytes` for the commit with this sequence.
    pub async fn take(self: &Rc<Self>, bytes: u64, sequence: u64) -> Result<Slot, IoFailure> {
        loop {
            if let Some(slot) = self.take_now(bytes, sequence) {
                return Ok(slot);
            }
            if let Some(failure) = self.interrupted.borrow().clone() {
                return Err(failure);
            }
            let changed = self.changed.notified();
            if self.total_bytes() < self.bytes_max && !self.growing.get() {
                let grown = self.grow(self.next_file_bytes().max(FIRST_COMMIT + bytes)).await;
                match grown {
                    // A checkpoint will free a file that is there already; nothing that is acknowledged needs more.
                    Err(_) if self.could_fit(bytes) => self.pause().await,
                    grown => grown?,
                }
            } else {
                changed.await;
            }
        }
    }

    /// Ends the wait for a place: after a failure no checkpoint will free one.
    pub fn interrupt(&self, failure: &IoFailure) {
        self.interrupted.borrow_mut().get_or_insert_with(|| failure.clone());
        self.changed.notify_all();
    }

    /// A place that is there now; a further file is made ahead of need.
    pub fn take_now(self: &Rc<Self>, bytes: u64, sequence: u64) -> Option<Slot> {
        let slot = self.find(bytes, sequence)?;
        self.grow_ahead();
        Some(slot)
    }

    fn find(&self, bytes: u64, sequence: u64) -> Option<Slot> {
        let mut files = self.files.borrow_mut();
        let here = self.active.get().filter(|(index, position)| position + bytes <= files[*index].bytes);
        let (index, position) = match here {
            Some(place) => place,
            None => {
                let fits = |file: &JournalFile| file.last_sequence == 0 && FIRST_COMMIT + bytes <= file.bytes;
                (files.iter().position(fits)?, FIRST_COMMIT)
            }
        };
        self.active.set(Some((index, position + bytes)));
        let file = &mut files[index];
        file.last_sequence = sequence;
        Some(Slot { file: file.file.clone(), path: Rc::clone(&file.path), position })
    }

    /// Starts a new file in the background when the last free one is in use and the bound leaves room.
    fn grow_ahead(self: &Rc<Self>) {
        let free = self.files.borrow().iter().any(|file| file.last_sequence == 0);
        if free || self.growing.get() || self.total_bytes() >= self.bytes_max || !self.half_used() {
            return;
        }
        let space = Rc::clone(self);
        self.io
            .spawn("journal growth", async move {
                // Not fatal: commits wait for a checkpoint to free a file instead.
                let _ = space.grow(space.next_file_bytes()).await;
            })
            .detach();
    }

    /// No further past the bound than the smallest file.
    fn next_file_bytes(&self) -> u64 {
        let left = self.bytes_max.saturating_sub(self.total_bytes());
        left.clamp(JOURNAL_FIRST_FILE_BYTES, JOURNAL_FILE_BYTES).next_multiple_of(PAGE_BYTES as u64)
    }

    fn could_fit(&self, bytes: u64) -> bool {
        self.files.borrow().iter().any(|file| FIRST_COMMIT + bytes <= file.bytes)
    }

    /// Until something was freed, but not for long: room on the disk comes without notice.
    async fn pause(&self) {
        let changed = self.changed.notified();
        let _ = self.io.timeout(std::time::Duration::from_millis(JOURNAL_RETRY_MS), changed).await;
    }

    fn half_used(&self) -> bool {
        let Some((index, position)) = self.active.get() else { return false };
        position * 2 > self.files.borrow()[index].bytes
    }

    async fn grow(&self, bytes: u64) -> Result<(), IoFailure> {
        self.growing.set(true);
        let id = JournalFileId { shard: self.shard, lane: self.lane, number: self.next_number.get() };
        self.next_number.set(id.number + 1);
        let grown = self.create(id, bytes).await;
        self.growing.set(false);
        self.changed.notify_all();
        if let Err(failure) = &grown {
            if !self.growth_failed.replace(true) {
                tracing::warn!("the journal of {} cannot grow: {failure}", self.dir.display());
            }
            // What there is of it only takes room.
            let _ = self.io.unlink(self.dir.join(id.file_name())).await;
        }
        self.files.borrow_mut().push(grown?);
        self.growth_failed.set(false);
        Ok(())
    }

    /// Creates and pre-writes a file: every block allocated, written and durable, then the header.
    async fn create(&self, id: JournalFileId, bytes: u64) -> Result<JournalFile, IoFailure> {
        let path: Rc<Path> = self.dir.join(id.file_name()).into();
        let failed = |action, error| IoFailure::new(action, &*path, error);
        let file = self.io.open(&*path, OpenMode::DirectCreate).await.map_err(|e| failed("create", e))?;
        file.allocate(0, bytes, true).await.map_err(|e| failed("allocate", e))?;
        let zeros: Bytes = AlignedBuf::zeroed(JOURNAL_PREWRITE_BYTES).freeze();
        let mut position = 0;
        while position < bytes {
            let step = (bytes - position).min(zeros.len() as u64);
            let part = zeros.slice(..usize::try_from(step).unwrap_or(zeros.len()));
            file.write_at(part, position, false).await.map_err(|e| failed("pre-write", e))?;
            position += step;
        }
        let header = file::encode_header(self.journal).freeze();
        file.write_at(header, 0, false).await.map_err(|e| failed("write", e))?;
        file.sync().await.map_err(|e| failed("sync", e))?;
        self.io.sync_dir(&self.dir).await.map_err(|e| IoFailure::new("sync", &self.dir, e))?;
        Ok(JournalFile { file, path, bytes, last_sequence: 0 })
    }

    /// Everything below `needed` is in synced segments under a durable checkpoint: frees files that hold nothing else.
    pub fn release(&self, needed: u64) {
        let active = self.active.get().map(|(index, _)| index);
        for (index, file) in self.files.borrow_mut().iter_mut().enumerate() {
            if file.last_sequence != 0 && file.last_sequence < needed {
                file.last_sequence = 0;
                if Some(index) == active {
                    self.active.set(None);
                }
            }
        }
        self.changed.notify_all();
    }

    pub fn total_bytes(&self) -> u64 {
        self.files.borrow().iter().map(|file| file.bytes).sum()
    }

    /// Bytes in files that hold needed commits, the active one up to where it is written.
    pub fn used_bytes(&self) -> u64 {
        let active = self.active.get();
        let files = self.files.borrow();
        let used = files.iter().enumerate().filter(|(_, file)| file.last_sequence != 0);
        used.map(|(index, file)| match active {
            Some((at, position)) if at == index => position,
            _ => file.bytes,
        })
        .sum()
    }

    /// Bytes that may come to be used before appends have to wait.
    pub fn capacity_bytes(&self) -> u64 {
        self.bytes_max.max(self.total_bytes())
    }
}
