//! A shard's partitions, and the background work on them: writing full chunks, checkpoints, retention, trimming.
//!
//! Owned by one shard; other shards reach it by message.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::bounds::{CHECKPOINT_EVERY_MS, CHECKPOINT_SYNCS_MAX, SNAPSHOT_LOGS_PER_TURN};
use crate::checkpoint::{self, Checkpoint, PartitionCheckpoint};
use crate::clean::{self, CleanError, CleanerOptions, Range};
use crate::error::{AppendError, IoFailure, StorageError};
use crate::format::partition_metadata;
use crate::id::{PartitionId, ShardId, TopicPartition};
use crate::io::release_recycled;
use crate::journal::{JournalFileId, Lane};
use crate::log::{ColdCache, Goal, Log, LogOptions, LogPosition, LogSeed, TailCache, Written};
use crate::reactor::Io;
use crate::reactor::sync::Semaphore;
use crate::runtime::CleanPartition;
use crate::volume::{Volume, VolumeSeed, replace_file};

/// What a shard's storage starts from.
#[derive(Clone, Debug)]
pub struct StorageSeed {
    pub shard: ShardId,
    pub shards: u16,
    pub leader_epoch: i32,
    pub volumes: Vec<VolumeSeed>,
    /// This shard's partitions.
    pub logs: Vec<LogSeed>,
    pub journal_bytes_max: u64,
    pub cache_bytes: usize,
    pub options: Arc<LogOptions>,
    pub retention_check_interval: Duration,
    pub cleaner: CleanerOptions,
}

/// See the module.
pub struct Storage {
    io: Io,
    shard: ShardId,
    shards: u16,
    leader_epoch: i32,
    volumes: Vec<Rc<Volume>>,
    cold: Rc<ColdCache>,
    logs: RefCell<HashMap<PartitionId, Rc<Log>>>,
    tails: Rc<TailCache>,
    /// One log is cleaned at a time.
    cleaning: Semaphore,
    retention_check_interval: Duration,
    cleaner: CleanerOptions,
    closing: Cell<bool>,
    /// `shutdown` went through.
    clean: Cell<bool>,
}

impl Storage {
    /// Opens what recovery left for this shard and starts the tasks that write segments and checkpoints. Nothing is
    /// removed before [`maintain`](Self::maintain).
    ///
    /// # Errors
    /// When no directory's journal can be opened. A directory that fails, now or later, takes only its partitions.
    pub async fn open(io: &Io, seed: StorageSeed) -> Result<Rc<Storage>, IoFailure> {
        let volumes = open_volumes(io, &seed).await?;
        let cold = ColdCache::new(io, seed.cache_bytes / 2, crate::bounds::COLD_READS_MAX);
        let storage = Rc::new(Storage {
            io: io.clone(),
            shard: seed.shard,
            shards: seed.shards,
            leader_epoch: seed.leader_epoch,
            volumes,
            cold,
            logs: RefCell::default(),
            tails: TailCache::new(seed.cache_bytes / 2),
            cleaning: Semaphore::new(1),
            retention_check_interval: seed.retention_check_interval,
            cleaner: seed.cleaner,
            closing: Cell::new(false),
            clean: Cell::new(false),
        });
        for log in seed.logs {
            storage.adopt(log, &seed.options);
        }
        storage.start_writers();
        Ok(storage)
    }

    fn adopt(&self, seed: LogSeed, options: &Arc<LogOptions>) {
        let volume = self.volumes.iter().find(|volume| seed.directory.parent() == Some(volume.dir()));
        let Some(volume) = volume else {
            tracing::error!("{} is not served: its log directory is left out", seed.directory.display());
            return;
        };
        let (cold, tails) = (Rc::clone(&self.cold), Rc::clone(&self.tails));
        let log = Log::open(seed, Rc::clone(volume), cold, tails, Arc::clone(options), self.leader_epoch);
        self.logs.borrow_mut().insert(log.id(), log);
    }

    /// The partition, if this shard has it.
    pub fn log(&self, id: PartitionId) -> Option<Rc<Log>> {
        self.logs.borrow().get(&id).cloned()
    }

    /// All partitions of this shard, by id.
    pub fn logs(&self) -> Vec<Rc<Log>> {
        let mut logs: Vec<_> = self.logs.borrow().values().cloned().collect();
        logs.sort_by_key(|log| log.id());
        logs
    }

    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// The shard's part of each log directory.
    pub fn volumes(&self) -> &[Rc<Volume>] {
        &self.volumes
    }

    /// Creates a partition, durable when it returns; one that exists is returned as it is.
    ///
    /// # Errors
    /// When no directory works, or its directory cannot be made.
    pub async fn create(
        self: &Rc<Self>,
        name: &TopicPartition,
        id: PartitionId,
        options: Arc<LogOptions>,
    ) -> Result<Rc<Log>, StorageError> {
        if let Some(log) = self.log(id) {
            return Ok(log);
        }
        let volume = self.place(id)?;
        let directory = volume.dir().join(name.to_string());
        self.make_directory(&directory, id, volume.dir()).await?;
        let seed = LogSeed { id: Some(id), name: Some(name.clone()), directory, ..LogSeed::default() };
        if self.log(id).is_none() {
            self.adopt(seed, &options);
        }
        volume.open_lane(options.lane()).await;
        self.log(id).ok_or(StorageError::NoDirectory)
    }

    /// The working directory with the fewest partitions of this shard; the metadata log is always in the first.
    fn place(&self, id: PartitionId) -> Result<Rc<Volume>, StorageError> {
        if id.topic == crate::id::METADATA_TOPIC_ID {
            return self.volumes.first().cloned().ok_or(StorageError::NoDirectory);
        }
        let logs = self.logs.borrow();
        let working = self.volumes.iter().filter(|volume| volume.takes_new_logs());
        let count =
            |volume: &&Rc<Volume>| logs.values().filter(|log| Rc::ptr_eq(log.volume(), volume)).count();
        working.min_by_key(count).cloned().ok_or(StorageError::NoDirectory)
    }

    async fn make_directory(
        &self,
        directory: &PathBuf,
        id: PartitionId,
        parent: &std::path::Path,
    ) -> Result<(), IoFailure> {
        match self.io.make_dir(directory).await {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(IoFailure::new("create directory", directory, error));
            }
            _ => (),
        }
        let metadata = partition_metadata::encode(id.topic);
        let path = directory.join(partition_metadata::FILE_NAME);
        replace_file(&self.io, &path, Bytes::from(metadata)).await?;
        self.io.sync_dir(parent).await.map_err(|error| IoFailure::new("sync", parent, error))
    }

    /// Removes a partition; when it returns no start finds it again. Its files go in the background.
    ///
    /// # Errors
    /// When its directory cannot be renamed.
    pub async fn remove(&self, id: PartitionId) -> Result<(), StorageError> {
        let Some(log) = self.logs.borrow_mut().remove(&id) else { return Ok(()) };
        Ok(log.remove().await?)
    }

    /// Gives a partition other options while it runs. When it returns they are in force: every acknowledgement still to
    /// come promises what `durability` says. A partition that is not here has none.
    ///
    /// # Errors
    /// When what was appended before cannot be made as durable as asked for; the options are set all the same, and
    /// appends are refused with the same error until it can.
    pub async fn set_options(&self, id: PartitionId, options: Arc<LogOptions>) -> Result<(), AppendError> {
        let Some(log) = self.log(id) else { return Ok(()) };
        log.set_options(options);
        log.settle_options().await
    }

    /// Starts retention and compaction. Not before every partition has its own options (see
    /// [`set_options`](Self::set_options)): under those that it was opened with, they may remove what it is to keep.
    pub fn maintain(self: &Rc<Self>) {
        self.io
            .spawn("retention", Rc::clone(self).retain_periodically(self.retention_check_interval))
            .detach();
        if self.cleaner.enabled {
            self.io.spawn("cleaner", Rc::clone(self).clean_periodically()).detach();
        }
    }

    fn start_writers(self: &Rc<Self>) {
        for volume in &self.volumes {
            for _ in 0..crate::bounds::SEGMENT_WRITES_MAX {
                self.io.spawn("segment writer", write_backlog(Rc::clone(volume))).detach();
            }
            self.io.spawn("checkpoint", Rc::clone(self).checkpoint_periodically(Rc::clone(volume))).detach();
        }
        self.io.spawn("cache trim", Rc::clone(self).trim_periodically()).detach();
    }

    async fn checkpoint_periodically(self: Rc<Self>, volume: Rc<Volume>) {
        // Until the end of a stop: it may have to wait for journal space, too.
        while !volume.closed.get() {
            let wanted = volume.checkpoint_wanted.notified();
            let every = Duration::from_millis(CHECKPOINT_EVERY_MS);
            let _ = self.io.timeout(every, wanted).await;
            if volume.closed.get() {
                return;
            }
            if let Err(failure) = self.checkpoint(&volume, false).await {
                tracing::error!("checkpoint of {}: {failure}; trying again", volume.dir().display());
                volume.fail_checkpoint(failure);
                self.io.sleep(Duration::from_millis(500)).await;
            }
        }
    }

    fn logs_of(&self, volume: &Rc<Volume>) -> Vec<Rc<Log>> {
        self.logs().into_iter().filter(|log| Rc::ptr_eq(log.volume(), volume)).collect()
    }

    /// Brings everything committed into synced segments, makes that fact durable, and frees the journal behind it.
    ///
    /// # Errors
    /// The first failed step; the journal keeps what was not checkpointed. A log that cannot be written does not hold up
    /// the others: they are checkpointed all the same, unless it is to be the checkpoint of a `clean` stop.
    pub async fn checkpoint(&self, volume: &Rc<Volume>, clean: bool) -> Result<(), IoFailure> {
        let _one = volume.checkpointing.acquire(1).await;
        let dirty: Vec<_> = self.logs_of(volume).into_iter().filter(|log| log.is_dirty()).collect();
        let nothing_new = dirty.is_empty() && !clean && !volume.checkpoint_stale.get();
        if nothing_new || volume.closed.get() {
            return Ok(());
        }
        volume.checkpoint_stale.set(true);
        let (reached, failed) = self.settle(dirty).await;
        for (log, position) in &reached {
            log.note_synced(*position);
        }
        if let Some(failure) = &failed
            && clean
        {
            return Err(failure.clone());
        }
        let number = volume.begin_checkpoint();
        // Not the logs of the beginning: one created since has commits that must not be given up.
        let (bytes, needed, synced) = self.snapshot(volume, &self.logs_of(volume), clean).await;
        if let Some(failure) = volume.failure() {
            // After a failed sync nothing is known of what it covered: the journal's copy is the one to keep.
            return Err(failure);
        }
        let path = volume.dir().join(checkpoint::running_name(self.shard.0));
        let written = replace_file(&self.io, &path, Bytes::from(bytes)).await;
        written.inspect_err(|_| volume.checkpoint_stale.set(true))?;
        volume.closed.set(clean);
        for (log, position) in synced {
            log.note_checkpointed(position);
        }
        volume.end_checkpoint(number);
        for journal in volume.journals() {
            let needed = needed[lane_index(journal.lane())];
            journal.release(needed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Writes and syncs what is committed of these logs, some at a time: one sync waits mostly for the disk. Returns up
    /// to where each is synced, and the first failure. Every log is seen to its end, also after one failed: a write that
    /// is given up while the kernel has it may still replace what is written to its page next.
    async fn settle(&self, logs: Vec<Rc<Log>>) -> (Vec<(Rc<Log>, LogPosition)>, Option<IoFailure>) {
        let (mut reached, mut failed) = (Vec::with_capacity(logs.len()), None);
        let mut note = |settled: Result<(Rc<Log>, LogPosition), IoFailure>| match settled {
            Ok(settled) => reached.push(settled),
            Err(failure) => drop(failed.get_or_insert(failure)),
        };
        let mut running = VecDeque::new();
        for log in logs.into_iter().filter(|log| log.corruption().is_none()) {
            if running.len() >= CHECKPOINT_SYNCS_MAX
                && let Some(oldest) = running.pop_front()
            {
                note(oldest.await);
            }
            running.push_back(self.io.spawn("checkpoint of a log", async move {
                let _ = log.materialise(Goal::Committed).await?;
                let position = log.sync().await?;
                Ok((log, position))
            }));
        }
        for task in running {
            note(task.await);
        }
        (reached, failed)
    }

    /// The checkpoint's content, which sequences are needed by it, and up to where it has each log. In slices: a batch
    /// that is appended meanwhile belongs to a commit after those that were complete at the beginning.
    async fn snapshot(
        &self,
        volume: &Rc<Volume>,
        logs: &[Rc<Log>],
        clean: bool,
    ) -> (Vec<u8>, [u64; 2], Vec<(Rc<Log>, LogPosition)>) {
        let mut needed = [0, 0];
        for journal in volume.journals() {
            needed[lane_index(journal.lane())] = journal.committed_sequence() + 1;
        }
        let head = Checkpoint {
            journal: volume.journal_id(),
            generation: volume.generation(),
            shards: self.shards,
            leader_epoch: self.leader_epoch,
            clean,
            needed,
            partitions: Vec::new(),
        };
        let mut encoder = checkpoint::Encoder::new(&head);
        let mut synced = Vec::with_capacity(logs.len());
        for some in logs.chunks(SNAPSHOT_LOGS_PER_TURN) {
            for log in some {
                for lane in [Lane::Durable, Lane::Cached] {
                    let first = log.first_needed_sequence(lane).unwrap_or(u64::MAX);
                    needed[lane_index(lane)] = needed[lane_index(lane)].min(first);
                }
                if log.corruption().is_none() {
                    let partition = partition_checkpoint(log);
                    encoder.push(&partition);
                    synced.push((Rc::clone(log), partition.synced));
                }
            }
            self.io.yield_now().await;
        }
        (encoder.finish(needed), needed, synced)
    }

    async fn trim_periodically(self: Rc<Self>) {
        while !self.clean.get() {
            self.io.sleep(Duration::from_millis(100)).await;
            self.trim();
        }
    }

    /// Drops idle chunks, and asks for a checkpoint where a journal fills up.
    fn trim(&self) {
        for log in self.logs.borrow().values() {
            if log.has_tail() {
                log.drop_idle_chunks();
            }
        }
        if self.tails.memory_bytes() == 0 {
            release_recycled();
        }
        for volume in &self.volumes {
            if volume.is_pressed() {
                volume.checkpoint_wanted.notify_one();
            }
        }
    }

    async fn retain_periodically(self: Rc<Self>, every: Duration) {
        while !self.closing.get() {
            self.io.sleep(every).await;
            for log in self.logs() {
                log.apply_retention().await;
                self.io.yield_now().await;
            }
        }
    }

    /// Cleans the dirtiest log that is worth it, again and again, and rests when there is none.
    async fn clean_periodically(self: Rc<Self>) {
        // Found to be beyond cleaning, said once; and failed for now, while the others have their turn.
        let (mut given_up, mut resting) = (HashSet::new(), HashSet::new());
        while !self.closing.get() {
            let left_out = |id: PartitionId| given_up.contains(&id) || resting.contains(&id);
            let Some((log, range)) = self.dirtiest(left_out).await else {
                resting.clear();
                self.io.sleep(self.cleaner.backoff).await;
                continue;
            };
            let failed = self.clean(&log, &range).await.err();
            if let Some(error) = failed {
                let is_final = matches!(error, CleanError::Uncleanable(_) | CleanError::TooLarge { .. });
                if is_final { &mut given_up } else { &mut resting }.insert(log.id());
            }
        }
    }

    /// The log with the greatest share of dirty bytes among those that are due.
    async fn dirtiest(&self, left_out: impl Fn(PartitionId) -> bool) -> Option<(Rc<Log>, Range)> {
        let mut dirtiest: Option<(Rc<Log>, Range)> = None;
        for log in self.logs().into_iter().filter(|log| !left_out(log.id())) {
            match Range::of(&log).await {
                Ok(Some(range)) if range.is_due => {
                    if dirtiest.as_ref().is_none_or(|(_, other)| range.dirty_ratio > other.dirty_ratio) {
                        dirtiest = Some((log, range));
                    }
                }
                Ok(_) => (),
                Err(error) => tracing::warn!("{}: what to compact is not known: {error}", log.name()),
            }
        }
        dirtiest
    }

    /// # Errors
    /// Said in the log, unless the pass was only interrupted.
    async fn clean(&self, log: &Rc<Log>, range: &Range) -> Result<(), CleanError> {
        let _one = self.cleaning.acquire(1).await;
        let options = &self.cleaner;
        let map_bytes_max = options.dedupe_buffer_bytes / u64::from(self.shards.max(1));
        let outcome = clean::clean(log, range, options, map_bytes_max, &|| self.closing.get()).await;
        match &outcome {
            Ok(cleaned) => tracing::info!(
                "{}: compacted up to offset {}: {} bytes where there were {}",
                log.name(),
                log.with_state(|state| state.cleaned()),
                cleaned.bytes_after,
                cleaned.bytes_before
            ),
            Err(CleanError::Interrupted) => (),
            Err(error) => tracing::error!("{}: it is not compacted: {error}", log.name()),
        }
        outcome.map(drop)
    }

    /// Stops cleanly: no more appends, everything into segments of their true size, Kafka's index and snapshot files,
    /// and a checkpoint that says so. After it nothing is left to recover.
    ///
    /// # Errors
    /// What could not be written; the journal has it, and the next start recovers it.
    pub async fn shutdown(&self) -> Result<(), StorageError> {
        self.closing.set(true);
        let logs = self.logs();
        for log in &logs {
            log.close_to_appends();
        }
        let _cleaned = self.cleaning.acquire(1).await;
        let mut failed = None;
        for volume in &self.volumes {
            // The other directories end in good order all the same.
            failed = self.close(volume).await.err().or(failed);
        }
        match failed {
            Some(failure) => Err(failure.into()),
            None => {
                self.clean.set(true);
                Ok(())
            }
        }
    }

    async fn close(&self, volume: &Rc<Volume>) -> Result<(), IoFailure> {
        for journal in volume.journals() {
            journal.close().await;
        }
        if let Some(failure) = volume.failure() {
            return Err(failure);
        }
        for log in self.logs_of(volume) {
            if log.corruption().is_none() {
                log.finish().await?;
            }
        }
        self.checkpoint(volume, true).await
    }

    /// The partitions as they were left; None unless `shutdown` went through.
    pub fn clean_partitions(&self) -> Option<Vec<CleanPartition>> {
        let partition = |log: Rc<Log>| CleanPartition {
            dir: log.volume().dir().to_path_buf(),
            name: log.name().clone(),
            log_start: log.log_start(),
            end: log.end(),
            cleaned: log.options().compact.then(|| log.with_state(|state| state.cleaned())),
        };
        self.clean.get().then(|| self.logs().into_iter().map(partition).collect())
    }
}

/// The shard's part of every directory whose journal opens; the others are left out.
async fn open_volumes(io: &Io, seed: &StorageSeed) -> Result<Vec<Rc<Volume>>, IoFailure> {
    let (mut volumes, mut last) = (Vec::new(), None);
    for volume in &seed.volumes {
        match Volume::open(io, volume.clone(), seed.shard, seed.journal_bytes_max).await {
            Ok(volume) => volumes.push(volume),
            Err(failure) => {
                volume.has_failed.note();
                let (dir, shard) = (volume.dir.display(), seed.shard.0);
                tracing::error!(
                    "log directory {dir} is left out with its partitions of shard {shard}: {failure}"
                );
                last = Some(failure);
            }
        }
    }
    match last {
        Some(failure) if volumes.is_empty() => Err(failure),
        _ => Ok(volumes),
    }
}

async fn write_backlog(volume: Rc<Volume>) {
    loop {
        let log = volume.next_backlog().await;
        match log.materialise(Goal::Sealed).await {
            Ok(Written::AsWanted) => (),
            Ok(Written::GaveWay) => log.enqueue(),
            Err(failure) => {
                tracing::error!("{}: {failure}; it stays in the journal and is tried again", log.name());
                volume.io().sleep(Duration::from_millis(500)).await;
                log.enqueue();
            }
        }
    }
}

/// Index of a lane in `Checkpoint::needed`.
pub(crate) fn lane_index(lane: Lane) -> usize {
    match lane {
        Lane::Durable => 0,
        Lane::Cached => 1,
    }
}

pub(crate) fn partition_checkpoint(log: &Log) -> PartitionCheckpoint {
    log.with_state(|state| PartitionCheckpoint {
        id: log.id(),
        name: log.name().clone(),
        log_start: state.log_start(),
        synced: state.synced(),
        cleaned: state.cleaned(),
        epochs: state.epochs().clone(),
        producers: state.producers().entries().into_iter().cloned().collect(),
    })
}

/// The journal files that a shard of this many may write again, and those that nobody will.
pub(crate) fn reusable(files: &[JournalFileId], shards: u16) -> (Vec<JournalFileId>, Vec<JournalFileId>) {
    files.iter().partition(|file| file.shard.0 < shards)
}
