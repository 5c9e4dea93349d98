//! Writing tail chunks to segment files, and closing segments.
//!
//! One materialisation of a log runs at a time, and chunks go in order; therefore at most one write in flight covers
//! a page, and `written` is always a prefix of the log. Nothing is written before it is committed to the journal.

use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;

use super::segment::{FileKind, Index, Phase};
use super::tail::Chunk;
use super::{EpochHistory, EpochStart, Log, LogPosition};
use crate::bounds::{ALLOCATE_BYTES_MAX, ALLOCATE_BYTES_MIN, CHUNK_IDLE_MS};
use crate::error::{AppendError, IoFailure};
use crate::format::epoch_checkpoint::{self, EpochStart as StoredEpoch};
use crate::format::segment_index::IndexBytes;
use crate::format::snapshot;
use crate::io::{AlignedBuf, PAGE_BYTES};
use crate::reactor::File;
use crate::volume::{replace_file, write_file};

/// How much of the tail is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Goal {
    /// Sealed chunks: whole pages, and the last page of a closed segment.
    Sealed,
    /// Everything committed so far, the partial last page padded with zeros.
    Committed,
}

/// How far a materialisation came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub(crate) enum Written {
    AsWanted,
    /// Others want the log's files; there are full chunks left.
    GaveWay,
}

/// One write of a chunk.
struct Write {
    segment: i64,
    /// Identifies the chunk within the tail: two may start at the same page.
    first_offset: i64,
    file_start: u64,
    /// Region byte that the write starts at: a page boundary.
    from: usize,
    /// Region byte up to which the chunk will then be written.
    to: usize,
    pages: Bytes,
    last_page: Option<Bytes>,
    /// Appended bytes among them, for the disk's accounting.
    fresh_bytes: u64,
}

impl Log {
    /// Writes the tail as far as `goal` says, and finishes segments that were rolled. Full chunks alone give way to whoever
    /// else wants the log's files: paced, they may never come to an end, and a checkpoint must.
    ///
    /// # Errors
    /// The first failed step. A full disk is also noted on the volume; the data stays in memory and in the journal.
    pub(crate) async fn materialise(self: &Rc<Self>, goal: Goal) -> Result<Written, IoFailure> {
        self.complete_closing_indexes().await;
        let _one = self.materialising.acquire(1).await;
        if goal == Goal::Sealed {
            self.queued.set(false);
        }
        if self.is_removed() {
            return Ok(Written::AsWanted);
        }
        let until = match goal {
            Goal::Sealed => i64::MAX,
            // As of now: with appends that keep pace there would be no end.
            Goal::Committed => self.state.borrow().committed,
        };
        loop {
            let next = self.next_write(goal, until);
            let Some(write) = next else { break };
            let outcome = self.write(&write, goal).await;
            self.note_disk(&outcome);
            outcome?;
            self.note_written(&write);
            self.finish_segments().await?;
            if goal == Goal::Sealed && self.materialising.is_awaited() {
                return Ok(Written::GaveWay);
            }
        }
        self.finish_segments().await?;
        Ok(Written::AsWanted)
    }

    fn note_disk(&self, outcome: &Result<(), IoFailure>) {
        match outcome {
            Ok(()) => self.volume.room.set_full(false),
            Err(failure) if failure.is_no_space() => self.volume.room.set_full(true),
            Err(_) => (),
        }
    }

    /// The next write of what lies before offset `until`.
    fn next_write(&self, goal: Goal, until: i64) -> Option<Write> {
        let state = self.state.borrow();
        let committed = state.committed.min(until);
        state.tail.chunks().iter().find_map(|chunk| plan(chunk, committed, goal))
    }

    async fn write(&self, write: &Write, goal: Goal) -> Result<(), IoFailure> {
        let _turn = if goal == Goal::Sealed { self.volume.pace().await } else { None };
        let _slot = self.volume.writes.acquire(1).await;
        let end = write.file_start
            + (write.from + write.pages.len()) as u64
            + write.last_page.as_ref().map_or(0, |page| page.len()) as u64;
        let path = FileKind::Log.path(&self.directory, write.segment);
        let file = self.segment_file(write.segment, &path).await?;
        self.allocate(&file, &path, write.segment, end).await?;
        let position = write.file_start + write.from as u64;
        let failed = |error| IoFailure::new("write", &path, error);
        self.state.borrow_mut().unsynced.insert(write.segment);
        // One piece after the other: a large write would hold up the journal's commits on their way to the device.
        let mut rest = write.pages.clone();
        while !rest.is_empty() {
            let at = position + (write.pages.len() - rest.len()) as u64;
            let piece = rest.split_to(rest.len().min(self.volume.piece_bytes()));
            file.write_at(piece, at, false).await.map_err(failed)?;
        }
        if let Some(page) = &write.last_page {
            file.write_at(page.clone(), position + write.pages.len() as u64, false).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn segment_file(&self, segment: i64, path: &Path) -> Result<File, IoFailure> {
        let created = self.state.borrow_mut().segment_mut(segment).is_some_and(|segment| segment.created);
        if created {
            return self.volume.files.open(path).await;
        }
        let file = self.volume.files.create(path).await?;
        let mut state = self.state.borrow_mut();
        state.names_changed = true;
        if let Some(segment) = state.segment_mut(segment) {
            segment.created = true;
        }
        Ok(file)
    }

    /// Allocates ahead of need, in steps that grow with the segment: an allocation punts to a kernel worker, and a
    /// write past the end of the file would take the inode's lock.
    async fn allocate(&self, file: &File, path: &Path, base_offset: i64, end: u64) -> Result<(), IoFailure> {
        let (allocated, segment_bytes, preallocate) = {
            let mut state = self.state.borrow_mut();
            let preallocate = state.options.preallocate;
            let most = u64::from(state.options.segment_bytes).next_multiple_of(PAGE_BYTES as u64);
            let Some(segment) = state.segment_mut(base_offset) else { return Ok(()) };
            (segment.allocated, if preallocate { most } else { most.min(end * 2) }, preallocate)
        };
        if end <= allocated {
            return Ok(());
        }
        let step =
            if preallocate { segment_bytes } else { allocated.clamp(ALLOCATE_BYTES_MIN, ALLOCATE_BYTES_MAX) };
        let mut target = (allocated + step).min(segment_bytes).max(end).next_multiple_of(PAGE_BYTES as u64);
        let from = allocated / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        let failed = |error| IoFailure::new("allocate", path, error);
        let mut outcome = file.allocate(from, target - from, true).await.map_err(failed);
        let needed = end.next_multiple_of(PAGE_BYTES as u64);
        if needed < target && outcome.as_ref().is_err_and(IoFailure::is_no_space) {
            // What is acknowledged may fit although what might follow does not.
            target = needed;
            outcome = file.allocate(from, target - from, true).await.map_err(failed);
        }
        outcome?;
        if let Some(segment) = self.state.borrow_mut().segment_mut(base_offset) {
            segment.allocated = target;
        }
        Ok(())
    }

    fn note_written(&self, write: &Write) {
        let mut state = self.state.borrow_mut();
        self.volume.room.written(write.fresh_bytes);
        let is_it = |chunk: &&mut Chunk| chunk.first_offset() == write.first_offset;
        let Some(chunk) = state.tail.chunks_mut().iter_mut().find(is_it) else { return };
        chunk.written = chunk.written.max(write.to);
        let (byte, offset) = chunk.boundary_at(chunk.written);
        let position =
            LogPosition { segment: chunk.segment, position: chunk.file_start + byte as u64, offset };
        if offset > state.written.offset {
            state.written = position;
        }
    }

    /// Closes the segments that were rolled and are written to their end.
    async fn finish_segments(self: &Rc<Self>) -> Result<(), IoFailure> {
        loop {
            let ready = {
                let state = self.state.borrow();
                let written = state.written;
                state
                    .segments
                    .iter()
                    .zip(state.segments.iter().skip(1))
                    .find(|(segment, next)| {
                        segment.phase == Phase::Closing && written.offset >= next.base_offset
                    })
                    .map(|(segment, next)| (segment.base_offset, next.base_offset))
            };
            let Some((segment, next)) = ready else { return Ok(()) };
            self.finish_segment(segment, next).await?;
        }
    }

    /// True size, index files, producer snapshot. The snapshot is a shortcut and need not be durable.
    async fn finish_segment(self: &Rc<Self>, base_offset: i64, next: i64) -> Result<(), IoFailure> {
        let path = FileKind::Log.path(&self.directory, base_offset);
        let bytes = self.state.borrow_mut().segment_mut(base_offset).map_or(0, |segment| segment.bytes);
        let file = self.volume.files.open(&path).await?;
        file.truncate(bytes).await.map_err(|error| IoFailure::new("truncate", &path, error))?;
        self.state.borrow_mut().unsynced.insert(base_offset);
        self.write_index(base_offset).await?;
        self.write_snapshot(next).await?;
        let mut state = self.state.borrow_mut();
        if let Some(segment) = state.segment_mut(base_offset) {
            segment.phase = Phase::Closed;
            segment.allocated = bytes;
            if matches!(segment.index, Index::Memory { complete_from, .. } if complete_from > 0) {
                // What was seen of it since the start is not all there is: the stored time index knows.
                segment.max_timestamp = None;
            }
            segment.index = Index::Files;
        }
        Ok(())
    }

    /// Writes `.index` and `.timeindex` of a segment whose index is complete in memory; an incomplete one is built
    /// from the segment first.
    pub(crate) async fn write_index(self: &Rc<Self>, base_offset: i64) -> Result<(), IoFailure> {
        let complete = {
            let mut state = self.state.borrow_mut();
            match state.segment_mut(base_offset).map(|segment| &mut segment.index) {
                Some(Index::Memory { indexer, bytes, complete_from: 0 }) => {
                    // Full or not: entries that no longer fit only make a lookup scan more.
                    let _ = indexer.finish(bytes);
                    Some(bytes.clone())
                }
                _ => None,
            }
        };
        let bytes = match complete {
            Some(bytes) => bytes,
            None => self.rebuild_index(base_offset).await?,
        };
        self.store_index(base_offset, &bytes).await
    }

    pub(super) async fn store_index(&self, base_offset: i64, bytes: &IndexBytes) -> Result<(), IoFailure> {
        let _one = self.indexing.acquire(1).await;
        self.replace_index(base_offset, bytes).await
    }

    /// The caller has the turn to write index files.
    pub(super) async fn replace_index(&self, base_offset: i64, bytes: &IndexBytes) -> Result<(), IoFailure> {
        let io = self.volume.io();
        let offsets = Bytes::copy_from_slice(&bytes.offset_index);
        let times = Bytes::copy_from_slice(&bytes.time_index);
        // Durable: a torn time index would make a segment look old, and retention would let it go.
        replace_file(io, &FileKind::Index.path(&self.directory, base_offset), offsets).await?;
        replace_file(io, &FileKind::TimeIndex.path(&self.directory, base_offset), times).await
    }

    /// `NNN.snapshot`: the producers' state at `offset`, as Kafka writes it when it rolls and when it stops.
    pub(crate) async fn write_snapshot(&self, offset: i64) -> Result<(), IoFailure> {
        let entries: Vec<snapshot::ProducerEntry> =
            self.state.borrow().producers.entries().into_iter().filter_map(snapshot_entry).collect();
        let path = FileKind::Snapshot.path(&self.directory, offset);
        write_file(self.volume.io(), &path, snapshot::encode(&entries).into()).await
    }

    /// Makes what was written durable. Returns up to where.
    ///
    /// # Errors
    /// After a failed sync the volume is fenced: what it covered may be lost.
    pub(crate) async fn sync(self: &Rc<Self>) -> Result<LogPosition, IoFailure> {
        let _one = self.materialising.acquire(1).await;
        let (written, segments, names_changed) = {
            let state = self.state.borrow();
            (state.written, state.unsynced.clone(), state.names_changed)
        };
        if self.is_removed() {
            return Ok(written);
        }
        for segment in segments {
            let path = FileKind::Log.path(&self.directory, segment);
            let file = self.volume.files.open(&path).await?;
            self.synced_or_fenced(file.sync().await.map_err(|error| IoFailure::new("sync", &path, error)))?;
            self.state.borrow_mut().unsynced.remove(&segment);
        }
        if names_changed {
            let synced = self.volume.io().sync_dir(&self.directory).await;
            self.synced_or_fenced(synced.map_err(|error| IoFailure::new("sync", &self.directory, error)))?;
            self.state.borrow_mut().names_changed = false;
        }
        Ok(written)
    }

    fn synced_or_fenced(&self, outcome: Result<(), IoFailure>) -> Result<(), IoFailure> {
        outcome.inspect_err(|failure| self.volume.fence(failure.clone()))
    }

    /// Everything up to `position` is in synced segments.
    pub(crate) fn note_synced(&self, position: LogPosition) {
        let mut state = self.state.borrow_mut();
        if position.offset > state.synced.offset {
            state.synced = position;
            state.retired.retain(|retired| retired.end_offset > position.offset);
        }
    }

    /// A durable checkpoint says that everything up to `position` is in synced segments.
    pub(crate) fn note_checkpointed(&self, position: LogPosition) {
        let mut state = self.state.borrow_mut();
        state.checkpointed = state.checkpointed.max(position);
    }

    /// The end of a clean stop: everything written, the active segment at its true size, with the index, snapshot and
    /// epoch files that Kafka looks for.
    ///
    /// # Errors
    /// The first failed step.
    pub(crate) async fn finish(self: &Rc<Self>) -> Result<(), IoFailure> {
        let _ = self.materialise(Goal::Committed).await?;
        let (segment, bytes, created, end, epochs) = {
            let state = self.state.borrow();
            let active = state.active();
            (active.base_offset, active.bytes, active.created, state.end, state.epochs.clone())
        };
        if created {
            let path = FileKind::Log.path(&self.directory, segment);
            let file = self.volume.files.open(&path).await?;
            file.truncate(bytes).await.map_err(|error| IoFailure::new("truncate", &path, error))?;
            self.state.borrow_mut().unsynced.insert(segment);
            self.write_index(segment).await?;
            self.write_snapshot(end).await?;
            self.write_epochs(&epochs).await?;
        }
        let reached = self.sync().await?;
        self.note_synced(reached);
        Ok(())
    }

    async fn write_epochs(&self, epochs: &EpochHistory) -> Result<(), IoFailure> {
        let stored =
            |start: &EpochStart| StoredEpoch { epoch: start.epoch, start_offset: start.start_offset };
        let starts: Vec<_> = epochs.starts().iter().map(stored).collect();
        let path = self.directory.join(epoch_checkpoint::FILE_NAME);
        write_file(self.volume.io(), &path, epoch_checkpoint::encode(&starts).into()).await
    }

    /// Whether a checkpoint would free something of this log.
    pub(crate) fn is_dirty(&self) -> bool {
        let state = self.state.borrow();
        state.synced.offset < state.committed
    }

    /// Drops chunks that nobody touched for long, the open one too: an idle log keeps no memory.
    pub(crate) fn drop_idle_chunks(&self) {
        let now = self.volume.io().now();
        let mut state = self.state.borrow_mut();
        loop {
            let (synced, end) = (state.synced.offset, state.end);
            let idle = |chunk: &Chunk| now.since(chunk.touched).as_millis() >= u128::from(CHUNK_IDLE_MS);
            let droppable =
                |chunk: &Chunk| idle(chunk) && chunk.end_offset <= synced && (chunk.sealed || synced == end);
            if !state.tail.chunks().front().is_some_and(droppable) || !self.drop_front(&mut state) {
                return;
            }
        }
    }

    /// Reads the bytes of the last page before the end, for the next chunk to carry.
    pub(super) async fn load_carry(self: &Rc<Self>) -> Result<(), AppendError> {
        let _one = self.materialising.acquire(1).await;
        self.check_appendable()?;
        let (at, segment) = {
            let state = self.state.borrow();
            let active = state.active();
            (
                LogPosition { segment: active.base_offset, position: active.bytes, offset: state.end },
                active.base_offset,
            )
        };
        let path = FileKind::Log.path(&self.directory, segment);
        let page = at.position / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        let wanted = usize::try_from(at.position - page).unwrap_or(0);
        let file = self.volume.files.open(&path).await?;
        let (read, buf) = file.read_at(AlignedBuf::zeroed(PAGE_BYTES), PAGE_BYTES, page).await;
        let read = read.map_err(|error| IoFailure::new("read", &path, error))?;
        if read < wanted {
            let error = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
            return Err(IoFailure::new("read", &path, error).into());
        }
        self.state.borrow_mut().carry = Some((at, buf[..wanted].to_vec()));
        Ok(())
    }
}

fn plan(chunk: &Chunk, committed: i64, goal: Goal) -> Option<Write> {
    if committed < chunk.first_offset() {
        // Not even the batch that it carries on is committed; its first part lies in the chunk before.
        return None;
    }
    let commits = chunk.end_below(committed);
    let whole = chunk.sealed && commits == chunk.filled();
    let to = match (goal, whole) {
        (_, true) => chunk.responsibility(),
        (Goal::Committed, false) => commits,
        (Goal::Sealed, false) if chunk.sealed => commits / PAGE_BYTES * PAGE_BYTES,
        (Goal::Sealed, false) => return None,
    };
    if to <= chunk.written {
        return None;
    }
    let from = chunk.written / PAGE_BYTES * PAGE_BYTES;
    let whole_pages = to / PAGE_BYTES * PAGE_BYTES;
    let last_page = (to > whole_pages).then(|| chunk.padded_page(whole_pages, to));
    let fresh = to.saturating_sub(chunk.written.max(chunk.counted_from));
    Some(Write {
        segment: chunk.segment,
        first_offset: chunk.first_offset(),
        file_start: chunk.file_start,
        from,
        to,
        pages: chunk.view(from, whole_pages.max(from)),
        last_page,
        fresh_bytes: fresh as u64,
    })
}

fn snapshot_entry(entry: &super::ProducerEntry) -> Option<snapshot::ProducerEntry> {
    let last = entry.batches.back()?;
    Some(snapshot::ProducerEntry {
        producer_id: entry.producer_id,
        producer_epoch: entry.epoch,
        last_sequence: last.last_sequence,
        last_offset: last.last_offset,
        offset_delta: i32::try_from(last.last_offset - last.base_offset).unwrap_or(0),
        timestamp: last.timestamp_ms,
        coordinator_epoch: -1,
        current_txn_first_offset: -1,
    })
}
