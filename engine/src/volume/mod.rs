//! A shard's part of one log directory: its journals, its open files, the disk's room, and whether it still works.
//!
//! A failed sync fences the volume: nothing on it is acknowledged any more, reads go on. Other volumes of the shard
//! are not touched.

mod files;
mod replace;
mod space;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use uuid::Uuid;

pub use files::SegmentFiles;
pub use replace::{read_file, read_file_within, replace_file, write_file, write_synced};
pub use space::DiskRoom;

use crate::bounds::{
    DISK_SPACE_EVERY_MS, JOURNAL_SHORT_PERCENT, RECOVERY_LOGS_MAX, SEGMENT_BACKLOG_BYTES,
    SEGMENT_WRITE_BYTES, SEGMENT_WRITES_MAX, SEGMENT_WRITES_PACED, UNCOMMITTED_BYTES_MAX, UNPACKING_MAX,
};
use crate::error::{AppendError, IoFailure};
use crate::id::ShardId;
use crate::journal::{Journal, JournalFileId, JournalSettings, Lane};
use crate::log::Log;
use crate::reactor::Io;
use crate::reactor::sync::{Notify, OwnedPermit, Semaphore};

/// What recovery found out about a directory, the same for all shards.
#[derive(Clone, Debug)]
pub struct VolumeSeed {
    pub dir: PathBuf,
    /// Random id that this directory's journals carry.
    pub journal: Uuid,
    pub generation: u64,
    /// Journal files that may be written again.
    pub journal_files: Vec<JournalFileId>,
    pub has_failed: FailedMark,
}

/// Set once any shard has seen a directory fail; every shard's [`VolumeSeed`] has the same one.
#[derive(Clone, Debug, Default)]
pub struct FailedMark(Arc<AtomicBool>);

impl FailedMark {
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// See the module.
pub struct Volume {
    io: Io,
    seed: VolumeSeed,
    shard: ShardId,
    journal_bytes_max: u64,
    durable: OnceCell<Rc<Journal>>,
    cached: OnceCell<Rc<Journal>>,
    opening_cached: Cell<bool>,
    /// The opening came to its end, well or not.
    cached_settled: Cell<bool>,
    cached_opened: Notify,
    /// Bytes that may be submitted and not yet committed.
    pub admission: Semaphore,
    /// Batches that are unpacked to be appended.
    pub unpacking: Semaphore,
    /// Segment writes in flight.
    pub writes: Semaphore,
    /// Those of full chunks, while they are paced; recovery paces nothing.
    paced_writes: Option<Semaphore>,
    pub files: SegmentFiles,
    pub room: DiskRoom,
    failure: RefCell<Option<IoFailure>>,
    /// Logs with full chunks to write.
    backlog: RefCell<VecDeque<Rc<Log>>>,
    pub(crate) backlog_changed: Notify,
    /// A checkpoint is wanted before its time.
    pub(crate) checkpoint_wanted: Notify,
    /// What the last durable checkpoint says is no longer all there is to say.
    pub(crate) checkpoint_stale: Cell<bool>,
    /// One checkpoint at a time.
    pub(crate) checkpointing: Semaphore,
    /// Checkpoints begun (what they say was fixed), and the last of them that is durable.
    checkpoints: Cell<(u64, u64)>,
    checkpoint_done: Notify,
    /// How many checkpoints failed, and why the last one did.
    checkpoint_failures: RefCell<(u64, Option<IoFailure>)>,
    /// The checkpoint of a clean stop is written: none follows.
    pub(crate) closed: Cell<bool>,
}

impl Volume {
    /// Opens the shard's journal in the directory.
    ///
    /// # Errors
    /// When the journal's first file cannot be made.
    pub async fn open(
        io: &Io,
        seed: VolumeSeed,
        shard: ShardId,
        journal_bytes_max: u64,
    ) -> Result<Rc<Volume>, IoFailure> {
        let paced = Some(Semaphore::new(SEGMENT_WRITES_PACED));
        let volume = Volume::new(io, seed, shard, journal_bytes_max, SEGMENT_WRITES_MAX, paced);
        let journal = volume.open_journal(Lane::Durable).await?;
        let _ = volume.durable.set(journal);
        Ok(volume)
    }

    /// For recovery, which writes segments and appends nothing new.
    pub fn for_recovery(io: &Io, seed: VolumeSeed) -> Rc<Volume> {
        Volume::new(io, seed, ShardId(0), 0, RECOVERY_LOGS_MAX, None)
    }

    fn new(
        io: &Io,
        seed: VolumeSeed,
        shard: ShardId,
        journal_bytes_max: u64,
        writes_max: usize,
        paced_writes: Option<Semaphore>,
    ) -> Rc<Volume> {
        Rc::new(Volume {
            io: io.clone(),
            shard,
            journal_bytes_max,
            durable: OnceCell::new(),
            cached: OnceCell::new(),
            opening_cached: Cell::new(false),
            cached_settled: Cell::new(false),
            cached_opened: Notify::new(),
            admission: Semaphore::new(UNCOMMITTED_BYTES_MAX),
            unpacking: Semaphore::new(UNPACKING_MAX),
            writes: Semaphore::new(writes_max),
            paced_writes,
            files: SegmentFiles::new(io),
            room: DiskRoom::new(io, &seed.dir),
            failure: RefCell::new(None),
            backlog: RefCell::new(VecDeque::new()),
            backlog_changed: Notify::new(),
            checkpoint_wanted: Notify::new(),
            checkpoint_stale: Cell::new(false),
            checkpointing: Semaphore::new(1),
            checkpoints: Cell::new((0, 0)),
            checkpoint_done: Notify::new(),
            checkpoint_failures: RefCell::default(),
            closed: Cell::new(false),
            seed,
        })
    }

    async fn open_journal(&self, lane: Lane) -> Result<Rc<Journal>, IoFailure> {
        let files: Vec<JournalFileId> = self
            .seed
            .journal_files
            .iter()
            .copied()
            .filter(|file| file.shard == self.shard && file.lane == lane)
            .collect();
        let settings = JournalSettings {
            dir: self.seed.dir.clone(),
            journal: self.seed.journal,
            shard: self.shard,
            lane,
            generation: self.seed.generation,
            bytes_max: self.journal_bytes_max,
            has_failed: self.seed.has_failed.clone(),
        };
        Journal::open(&self.io, settings, &files).await
    }

    /// The journal of a lane. Until the cached lane is open (its first use opens it in the background), the
    /// durable one stands in: an acknowledgement may promise more than was asked for, never less.
    pub fn journal(self: &Rc<Self>, lane: Lane) -> Rc<Journal> {
        if lane == Lane::Cached {
            if let Some(cached) = self.cached.get() {
                return Rc::clone(cached);
            }
            self.open_cached_in_background();
        }
        match self.durable.get() {
            Some(durable) => Rc::clone(durable),
            None => panic!("a volume without its journal"),
        }
    }

    fn open_cached_in_background(self: &Rc<Self>) {
        if self.opening_cached.replace(true) {
            return;
        }
        let volume = Rc::clone(self);
        self.io
            .spawn("journal open", async move {
                match volume.open_journal(Lane::Cached).await {
                    Ok(journal) => drop(volume.cached.set(journal)),
                    Err(failure) => {
                        tracing::warn!("durability=os acts as disk in {}: {failure}", volume.dir().display())
                    }
                }
                volume.cached_settled.set(true);
                volume.cached_opened.notify_all();
            })
            .detach();
    }

    /// Waits until `journal` gives the lane itself, or its opening has failed.
    pub async fn open_lane(self: &Rc<Self>, lane: Lane) {
        if lane == Lane::Cached && !self.cached_settled.get() {
            let opened = self.cached_opened.notified();
            self.open_cached_in_background();
            opened.await;
        }
    }

    /// The journals that are open.
    pub fn journals(&self) -> impl Iterator<Item = &Rc<Journal>> {
        self.durable.get().into_iter().chain(self.cached.get())
    }

    pub fn io(&self) -> &Io {
        &self.io
    }

    pub fn dir(&self) -> &Path {
        &self.seed.dir
    }

    pub fn shard(&self) -> ShardId {
        self.shard
    }

    pub fn generation(&self) -> u64 {
        self.seed.generation
    }

    pub fn journal_id(&self) -> Uuid {
        self.seed.journal
    }

    /// The failure that ended acknowledgements here, if any.
    pub fn failure(&self) -> Option<IoFailure> {
        self.failure.borrow().clone().or_else(|| self.journals().find_map(|journal| journal.failure()))
    }

    /// Ends acknowledgements: after a sync failed, nothing is known of what it covered.
    pub fn fence(&self, failure: IoFailure) {
        self.seed.has_failed.note();
        if self.failure.borrow().is_none() {
            tracing::error!(
                "{} stops acknowledging: {failure}; restart the server once the disk is mended",
                self.dir().display()
            );
        }
        for journal in self.journals() {
            journal.fence(&failure);
        }
        self.failure.borrow_mut().get_or_insert(failure);
    }

    /// Whether new partitions may be placed here: not once another shard has seen the directory fail, although what
    /// this shard has in it goes on for as long as it works.
    pub fn takes_new_logs(&self) -> bool {
        self.failure().is_none() && !self.seed.has_failed.is_set()
    }

    /// Waits for `what`, and looks now and then whether an append would still be taken on.
    ///
    /// # Errors
    /// As [`check_writable`](Self::check_writable).
    pub async fn unless_refused<T>(&self, what: impl Future<Output = T>) -> Result<T, AppendError> {
        let mut what = pin!(what);
        loop {
            match self.io.timeout(Duration::from_millis(DISK_SPACE_EVERY_MS), what.as_mut()).await {
                Ok(output) => return Ok(output),
                Err(_) => self.check_writable()?,
            }
        }
    }

    /// Whether an append may be taken on now.
    ///
    /// # Errors
    /// [`AppendError::Fenced`], [`AppendError::NoSpace`], and [`AppendError::Io`] while the journal is full and cannot be
    /// emptied.
    pub fn check_writable(&self) -> Result<(), AppendError> {
        self.check_acknowledging()?;
        if let Some(failure) = self.journals().find_map(|journal| journal.stuck()) {
            return Err(failure.into());
        }
        self.room.check()
    }

    /// Whether what was appended can still be acknowledged.
    ///
    /// # Errors
    /// [`AppendError::Fenced`].
    pub fn check_acknowledging(&self) -> Result<(), AppendError> {
        match self.failure() {
            Some(cause) => Err(AppendError::Fenced { dir: self.dir().to_path_buf(), cause }),
            None => Ok(()),
        }
    }

    /// Asks for a log's full chunks to be written.
    pub fn enqueue(&self, log: Rc<Log>) {
        self.backlog.borrow_mut().push_back(log);
        self.backlog_changed.notify_one();
    }

    /// The next log with full chunks; waits for one.
    pub async fn next_backlog(&self) -> Rc<Log> {
        loop {
            let changed = self.backlog_changed.notified();
            if let Some(log) = self.backlog.borrow_mut().pop_front() {
                return log;
            }
            changed.await;
        }
    }

    /// Waits for the turn of a full chunk's write. Commits of the journal share the device with it and clients wait for
    /// those, so it may wait for as long as writing keeps up with appending.
    pub(crate) async fn pace(&self) -> Option<OwnedPermit> {
        let paced = self.paced_writes.as_ref().filter(|_| !self.is_behind())?;
        Some(paced.acquire(1).await)
    }

    /// How much of a chunk to write at a time now, bytes.
    pub(crate) fn piece_bytes(&self) -> usize {
        if self.paced_writes.is_none() || self.is_behind() { usize::MAX } else { SEGMENT_WRITE_BYTES }
    }

    fn is_behind(&self) -> bool {
        self.room.unwritten_bytes() > SEGMENT_BACKLOG_BYTES || self.uses_more_than(JOURNAL_SHORT_PERCENT)
    }

    /// A checkpoint's content is fixed now. Returns its number.
    pub(crate) fn begin_checkpoint(&self) -> u64 {
        let (begun, durable) = self.checkpoints.get();
        self.checkpoints.set((begun + 1, durable));
        self.checkpoint_stale.set(false);
        begun + 1
    }

    /// The checkpoint with this number is durable.
    pub(crate) fn end_checkpoint(&self, number: u64) {
        self.checkpoints.set((self.checkpoints.get().0, number));
        self.checkpoint_done.notify_all();
    }

    /// Waits until a checkpoint that saw the present state is durable.
    pub(crate) async fn checkpointed(&self) {
        let wanted = self.checkpoints.get().0 + 1;
        self.checkpoint_stale.set(true);
        self.checkpoint_wanted.notify_one();
        loop {
            let done = self.checkpoint_done.notified();
            if self.checkpoints.get().1 >= wanted {
                return;
            }
            done.await;
        }
    }

    /// A checkpoint did not come to its end; it is tried again.
    pub(crate) fn fail_checkpoint(&self, failure: IoFailure) {
        let mut failures = self.checkpoint_failures.borrow_mut();
        *failures = (failures.0 + 1, Some(failure));
        drop(failures);
        self.checkpoint_done.notify_all();
    }

    /// As [`checkpointed`](Self::checkpointed), but gives up with the first checkpoint that fails.
    pub(crate) async fn try_checkpointed(&self) -> Result<(), IoFailure> {
        let wanted = self.checkpoints.get().0 + 1;
        let failures = self.checkpoint_failures.borrow().0;
        self.checkpoint_stale.set(true);
        self.checkpoint_wanted.notify_one();
        loop {
            let done = self.checkpoint_done.notified();
            if self.checkpoints.get().1 >= wanted {
                return Ok(());
            }
            match &*self.checkpoint_failures.borrow() {
                (count, Some(failure)) if *count > failures => return Err(failure.clone()),
                _ => (),
            }
            done.await;
        }
    }

    /// Half of the journal is in use: the oldest data should become segments now.
    pub fn is_pressed(&self) -> bool {
        self.uses_more_than(50)
    }

    fn uses_more_than(&self, percent: u64) -> bool {
        self.journals().any(|journal| journal.used_bytes() * 100 > journal.capacity_bytes() * percent)
    }
}
