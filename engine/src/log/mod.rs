//! One partition's log.
//!
//! Owned by one shard. Its state is in memory; `append` puts a batch at the end of it, `materialise` writes it to
//! segments, `read` serves it, `roll` closes a segment, `retention` drops the oldest. Offsets below `committed` are as
//! durable as the topic asks for and are all that a consumer ever sees.
//!
//! It deliberately does not know of topics' configuration keys, of requests, or of other partitions.

mod append;
mod cold;
mod compact;
pub mod epoch;
mod header;
mod index;
mod intake;
mod lane;
mod lookup;
mod materialise;
pub mod options;
mod pack;
pub mod producer;
mod read;
mod remove;
mod replace;
mod replay;
mod retention;
mod segment;
mod tail;
mod tail_cache;
mod unpack;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

pub use append::Appended;
pub(crate) use append::produced;
pub use cold::ColdCache;
pub(crate) use compact::SegmentInfo;
pub use epoch::{EpochEnd, EpochHistory, EpochStart};
pub(crate) use header::BatchHeader;
pub use lookup::TimestampedOffset;
pub(crate) use materialise::{Goal, Written};
pub use options::{Durability, LogOptions, TimestampType};
pub(crate) use pack::pack;
pub use producer::{ProducedBatch, ProducerEntry, Producers};
pub use read::{LogSlice, ReadRequest};
pub(crate) use remove::purge;
pub(crate) use replace::{CleanedSegment, Replacement};
pub(crate) use replay::Replayed;
pub use segment::{FileKind, Index, Phase, Segment};
pub use tail_cache::TailCache;
pub use unpack::unpack;

use crate::error::{AppendError, Corruption, ReadError};
use crate::id::{PartitionId, TopicPartition};
use crate::journal::{CommitObserver, Lane};
use crate::reactor::sync::{Notify, Semaphore};
use crate::volume::Volume;
use tail::Tail;

/// A place between two batches: everything before it, and nothing after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogPosition {
    /// Base offset of the segment.
    pub segment: i64,
    /// Byte of that segment.
    pub position: u64,
    /// Offset of the next batch.
    pub offset: i64,
}

/// A segment found on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSeed {
    pub base_offset: i64,
    /// Bytes of whole, valid batches.
    pub bytes: u64,
}

/// All that recovery knows of a log; plain data, so that it can go to the shard that will own it.
#[derive(Clone, Debug, Default)]
pub struct LogSeed {
    pub id: Option<PartitionId>,
    pub name: Option<TopicPartition>,
    pub directory: PathBuf,
    pub log_start: i64,
    /// In order.
    pub segments: Vec<SegmentSeed>,
    /// Base offset of the segment that is appended to; it need not exist yet.
    pub active_base: i64,
    /// The end of the log: in the last segment, at its length.
    pub end_offset: i64,
    pub epochs: EpochHistory,
    pub producers: Producers,
    /// Whether the last segment's index files are whole (after a clean stop).
    pub indexed: bool,
    /// Everything below it was compacted.
    pub cleaned: i64,
    /// Why the partition must not be served.
    pub corruption: Option<Corruption>,
}

/// What is left of a chunk that is on disk and not yet synced.
#[derive(Clone, Copy, Debug)]
struct Retired {
    end_offset: i64,
    first_sequence: u64,
}

/// Whether the log takes part.
#[derive(Clone, Debug)]
enum Status {
    Open,
    Closing,
    Removed,
    Corrupt(Corruption),
}

pub(crate) struct LogState {
    options: Arc<LogOptions>,
    status: Status,
    log_start: i64,
    /// Offset that the next batch gets.
    end: i64,
    /// Offset after the last batch that is as durable as asked for.
    committed: i64,
    /// What consumers may see; above `committed` only with `durability=memory`.
    high_watermark: i64,
    segments: Vec<Segment>,
    tail: Tail,
    /// The part of the last page before the end that is on disk only, once read: for the next chunk to carry.
    carry: Option<(LogPosition, Vec<u8>)>,
    /// Up to here everything was written to segment files.
    written: LogPosition,
    /// Up to here everything survives power loss without the journal.
    synced: LogPosition,
    /// Up to here a durable checkpoint says so.
    checkpointed: LogPosition,
    /// Chunks that left memory before what they hold was synced: the end of each, and the first commit it needs.
    retired: VecDeque<Retired>,
    /// Segments written to since they were last synced.
    unsynced: BTreeSet<i64>,
    /// A segment file was created or removed since the directory was last synced.
    names_changed: bool,
    producers: Producers,
    epochs: EpochHistory,
    lane: Lane,
    /// Everything below it was compacted.
    cleaned: i64,
}

/// See the module.
pub struct Log {
    id: PartitionId,
    name: TopicPartition,
    directory: PathBuf,
    volume: Rc<Volume>,
    cold: Rc<ColdCache>,
    tails: Rc<TailCache>,
    leader_epoch: i32,
    state: RefCell<LogState>,
    /// Something was committed, or the status changed.
    progress: Notify,
    /// One at a time: materialisation, and whatever else moves `written`.
    materialising: Semaphore,
    /// Whether the log waits in its volume's backlog.
    queued: Cell<bool>,
    /// One append at a time is between its turn and its offsets, so that a later one cannot overtake it.
    placing: Semaphore,
    /// The options ask for a more durable lane than the one in use; the next append changes over first.
    lane_stale: Cell<bool>,
    /// One writer of index files at a time: a roll, or a reader that found them wrong.
    indexing: Semaphore,
    /// The active segment's index files are whole up to where it was opened.
    indexed: Cell<bool>,
    /// Names what is in this log's files in the cold cache, whatever its directory is called. Another one once segments
    /// were replaced: what was read before then is of no use.
    content: Cell<u64>,
    /// Segment files are being replaced: they are not read meanwhile.
    replacing: Cell<bool>,
    replaced: Notify,
    /// That failed half-way, and why.
    half_replaced: RefCell<Option<Corruption>>,
}

impl Log {
    /// A log on what recovery found.
    ///
    /// # Panics
    /// If the seed has no identity: a bug of recovery.
    pub fn open(
        seed: LogSeed,
        volume: Rc<Volume>,
        cold: Rc<ColdCache>,
        tails: Rc<TailCache>,
        options: Arc<LogOptions>,
        leader_epoch: i32,
    ) -> Rc<Log> {
        let (Some(id), Some(name)) = (seed.id, seed.name) else { panic!("a log without identity") };
        let mut segments = open_segments(&seed.segments, seed.active_base, &options);
        if let Some(active) = segments.last_mut() {
            active.jitter = volume.io().random();
        }
        let at_end = LogPosition {
            segment: segments.last().map_or(seed.log_start, |last| last.base_offset),
            position: segments.last().map_or(0, |last| last.bytes),
            offset: seed.end_offset,
        };
        let content = cold.new_key();
        let state = LogState {
            options,
            status: seed.corruption.map_or(Status::Open, Status::Corrupt),
            log_start: seed.log_start,
            end: seed.end_offset,
            committed: seed.end_offset,
            high_watermark: seed.end_offset,
            segments,
            tail: Tail::with_chunks_of(tails.chunk_bytes()),
            carry: None,
            written: at_end,
            synced: at_end,
            checkpointed: at_end,
            retired: VecDeque::new(),
            unsynced: BTreeSet::new(),
            names_changed: false,
            producers: seed.producers,
            epochs: seed.epochs,
            lane: Lane::Durable,
            cleaned: seed.cleaned,
        };
        Rc::new(Log {
            id,
            name,
            directory: seed.directory,
            volume,
            cold,
            tails,
            leader_epoch,
            state: RefCell::new(state),
            progress: Notify::new(),
            materialising: Semaphore::new(1),
            queued: Cell::new(false),
            placing: Semaphore::new(1),
            lane_stale: Cell::new(false),
            indexing: Semaphore::new(1),
            indexed: Cell::new(seed.indexed),
            content: Cell::new(content),
            replacing: Cell::new(false),
            replaced: Notify::new(),
            half_replaced: RefCell::new(None),
        })
    }

    pub fn id(&self) -> PartitionId {
        self.id
    }

    pub fn name(&self) -> &TopicPartition {
        &self.name
    }

    /// `topic-N` in one of the log directories.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn volume(&self) -> &Rc<Volume> {
        &self.volume
    }

    pub fn options(&self) -> Arc<LogOptions> {
        Arc::clone(&self.state.borrow().options)
    }

    /// The lowest offset that can be read.
    pub fn log_start(&self) -> i64 {
        self.state.borrow().log_start
    }

    /// The offset after the last one that consumers may see.
    pub fn high_watermark(&self) -> i64 {
        self.state.borrow().high_watermark
    }

    /// The offset after the last batch, committed or not.
    pub fn end(&self) -> i64 {
        self.state.borrow().end
    }

    /// The epoch that appends are stamped with; raised at every unclean start.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// Bytes of all its segments.
    pub fn size_bytes(&self) -> u64 {
        self.state.borrow().segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Heap bytes of tail chunks and indexes.
    pub fn memory_bytes(&self) -> usize {
        let state = self.state.borrow();
        state.tail.memory_bytes() + state.segments.iter().map(Segment::memory_bytes).sum::<usize>()
    }

    /// Resolves when something above `offset` is visible to consumers, or the log is gone.
    pub async fn wait_past(&self, offset: i64) {
        loop {
            let progress = self.progress.notified();
            {
                let state = self.state.borrow();
                if state.high_watermark > offset || !matches!(state.status, Status::Open) {
                    return;
                }
            }
            progress.await;
        }
    }

    /// Where `epoch` ends, as OffsetForLeaderEpoch wants it.
    pub fn epoch_end(&self, epoch: i32) -> EpochEnd {
        let state = self.state.borrow();
        state.epochs.end_of(epoch, self.leader_epoch, state.high_watermark)
    }

    /// The epoch that wrote `offset`; -1 when unknown.
    pub fn epoch_of(&self, offset: i64) -> i32 {
        self.state.borrow().epochs.at(offset)
    }

    /// The producers whose state is kept, in order of their ids.
    pub fn active_producers(&self) -> Vec<ProducerEntry> {
        self.state.borrow().producers.entries().into_iter().cloned().collect()
    }

    /// Why the partition is not served, if it is corrupt.
    pub fn corruption(&self) -> Option<Corruption> {
        match &self.state.borrow().status {
            Status::Corrupt(corruption) => Some(corruption.clone()),
            _ => None,
        }
    }

    /// Its directory is, or is about to be, somebody else's: nothing is done by path any more.
    pub(crate) fn is_removed(&self) -> bool {
        matches!(self.state.borrow().status, Status::Removed)
    }

    fn check_appendable(&self) -> Result<(), AppendError> {
        match &self.state.borrow().status {
            Status::Open => Ok(()),
            Status::Closing => Err(AppendError::Closing),
            Status::Removed => Err(AppendError::Removed),
            Status::Corrupt(corruption) => Err(corruption.clone().into()),
        }
    }

    fn check_readable(&self) -> Result<(), ReadError> {
        match &self.state.borrow().status {
            Status::Open | Status::Closing => Ok(()),
            Status::Removed => Err(ReadError::Removed),
            Status::Corrupt(corruption) => Err(corruption.clone().into()),
        }
    }

    /// Refuses appends from now on; reads go on.
    pub(crate) fn close_to_appends(&self) {
        let mut state = self.state.borrow_mut();
        if matches!(state.status, Status::Open) {
            state.status = Status::Closing;
        }
        drop(state);
        self.progress.notify_all();
    }

    /// Sequence of the first commit that is still needed to recover this log; None when none is.
    pub(crate) fn first_needed_sequence(&self, lane: Lane) -> Option<u64> {
        let state = self.state.borrow();
        if state.lane != lane {
            return None;
        }
        state.first_needed_sequence()
    }

    /// What another `Log` needs to go on from here. Meaningful when everything is written and synced.
    pub(crate) fn to_seed(&self) -> LogSeed {
        let state = self.state.borrow();
        let created = state.segments.iter().filter(|segment| segment.created);
        LogSeed {
            id: Some(self.id),
            name: Some(self.name.clone()),
            directory: self.directory.clone(),
            // With less than `Disk`, a deletion may have outlived what it deleted.
            log_start: state.log_start.min(state.end),
            segments: created.map(|s| SegmentSeed { base_offset: s.base_offset, bytes: s.bytes }).collect(),
            active_base: state.active().base_offset,
            end_offset: state.end,
            epochs: state.epochs.clone(),
            producers: state.producers.clone(),
            indexed: self.indexed.get(),
            cleaned: state.cleaned,
            corruption: None,
        }
    }

    /// Whether the oldest chunk in memory is at or before the one that starts at this offset.
    pub(super) fn holds_chunk(&self, first_offset: i64) -> bool {
        self.state
            .borrow()
            .tail
            .chunks()
            .front()
            .is_some_and(|chunk| chunk.sealed && chunk.first_offset() <= first_offset)
    }

    /// Drops the oldest chunk if its segment has all of it. Says whether it did.
    pub(crate) fn drop_oldest_chunk(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let written = state.written.offset;
        let droppable =
            |chunk: &tail::Chunk| chunk.sealed && chunk.is_written() && chunk.end_offset <= written;
        state.tail.chunks().front().is_some_and(droppable) && self.drop_front(&mut state)
    }

    fn drop_front(&self, state: &mut LogState) -> bool {
        let Some(chunk) = state.tail.chunks_mut().pop_front() else { return false };
        self.tails.dropped(chunk.capacity());
        let unsynced = chunk.end_offset > state.synced.offset;
        if let Some(first_sequence) = chunk.sequence_from(state.synced.offset).filter(|_| unsynced) {
            state.retired.push_back(Retired { end_offset: chunk.end_offset, first_sequence });
        }
        true
    }

    pub(crate) fn has_tail(&self) -> bool {
        !self.state.borrow().tail.chunks().is_empty()
    }

    /// A snapshot of what a checkpoint stores.
    pub(crate) fn with_state<R>(&self, view: impl FnOnce(&LogState) -> R) -> R {
        view(&self.state.borrow())
    }
}

impl LogState {
    pub(crate) fn producers(&self) -> &Producers {
        &self.producers
    }

    pub(crate) fn epochs(&self) -> &EpochHistory {
        &self.epochs
    }

    pub(crate) fn log_start(&self) -> i64 {
        self.log_start
    }

    /// Everything below it was compacted.
    pub(crate) fn cleaned(&self) -> i64 {
        self.cleaned
    }

    /// Everything before it survives without the journal.
    pub(crate) fn synced(&self) -> LogPosition {
        self.synced
    }

    /// Sequence of the first commit that holds something not yet in synced segments.
    fn first_needed_sequence(&self) -> Option<u64> {
        let retired = self.retired.front().map(|retired| retired.first_sequence);
        retired.or_else(|| self.tail.sequence_from(self.synced.offset))
    }

    fn active(&self) -> &Segment {
        match self.segments.last() {
            Some(segment) => segment,
            None => panic!("a log has at least one segment"),
        }
    }

    fn active_mut(&mut self) -> &mut Segment {
        match self.segments.last_mut() {
            Some(segment) => segment,
            None => panic!("a log has at least one segment"),
        }
    }

    /// Closes the active segment and starts the next at the end of the log. `random` picks its jitter.
    fn roll(&mut self, random: u64) {
        self.tail.seal();
        self.active_mut().phase = Phase::Closing;
        let segment = Segment::new(self.end, &self.options, random);
        self.segments.push(segment);
    }

    fn segment_mut(&mut self, base_offset: i64) -> Option<&mut Segment> {
        let at = self.segments.binary_search_by_key(&base_offset, |segment| segment.base_offset).ok()?;
        self.segments.get_mut(at)
    }
}

/// Found segments, and the one to append to: found as well, or new.
fn open_segments(seeds: &[SegmentSeed], active_base: i64, options: &LogOptions) -> Vec<Segment> {
    let mut segments: Vec<Segment> =
        seeds.iter().map(|seed| Segment::found(seed.base_offset, seed.bytes)).collect();
    match segments.last_mut().filter(|last| last.base_offset == active_base) {
        Some(last) => last.reopen(options),
        None => segments.push(Segment::new(active_base, options, 0)),
    }
    segments
}

impl CommitObserver for Log {
    fn committed(self: Rc<Self>, end_offset: i64) {
        let backlog = {
            let mut state = self.state.borrow_mut();
            state.committed = state.committed.max(end_offset);
            state.high_watermark = state.high_watermark.max(state.committed);
            state.tail.has_backlog()
        };
        if backlog {
            self.enqueue();
        }
        self.progress.notify_all();
    }

    fn delayed(self: Rc<Self>) {
        self.progress.notify_all();
    }

    fn failed(self: Rc<Self>) {
        self.progress.notify_all();
    }
}
