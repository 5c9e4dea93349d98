//! Finding the place to start looking, and making an index again when it is missing or wrong.
//!
//! An index entry is a hint: the batch header at its position decides. So a lost, torn or flipped index costs time
//! and never an answer.

use std::rc::Rc;

use super::Log;
use super::read::{ColdSegment, OFFSETS_GO_BACK};
use super::segment::{FileKind, Index, Phase, Segment};
use crate::error::{IoFailure, ReadError};
use crate::format::index::OffsetIndexView;
use crate::format::segment_index::{BatchSpan, IndexBytes, IndexLimits, SegmentIndexer};
use crate::format::time_index::{ENTRY_BYTES, TimeIndexView, TimestampOffset};
use crate::volume::read_file;

impl Log {
    /// Byte of the segment where a search for `offset` starts.
    pub(super) async fn position_hint(
        self: &Rc<Self>,
        segment: &ColdSegment,
        offset: i64,
    ) -> Result<u64, ReadError> {
        self.complete_active_index(segment).await?;
        let in_memory =
            self.state.borrow_mut().segment_mut(segment.base_offset).and_then(|s| s.position_hint(offset));
        if let Some(position) = in_memory {
            return Ok(if position < segment.valid { position } else { 0 });
        }
        let bytes = self.stored_index(segment).await?;
        let entry = OffsetIndexView::new(segment.base_offset, &bytes.offset_index).lookup(offset);
        let position = u64::from(entry.position);
        Ok(if position < segment.valid { position } else { 0 })
    }

    /// The index files of a closed segment, made again when they are missing or do not hold together.
    pub(super) async fn stored_index(
        self: &Rc<Self>,
        segment: &ColdSegment,
    ) -> Result<Rc<IndexBytes>, ReadError> {
        if segment.valid == 0 {
            return Ok(Rc::default());
        }
        let key = (segment.content, segment.base_offset);
        if let Some(bytes) = self.cold.index(key) {
            return Ok(bytes);
        }
        let bytes = match self.read_index(segment.base_offset).await? {
            Some(bytes) => bytes,
            None => {
                tracing::info!("{}: rebuilding the index of segment {}", self.name, segment.base_offset);
                self.build_and_store(segment).await?
            }
        };
        let bytes = Rc::new(bytes);
        self.cold.keep_index(key, Rc::clone(&bytes));
        Ok(bytes)
    }

    async fn read_index(&self, base_offset: i64) -> Result<Option<IndexBytes>, IoFailure> {
        let io = self.volume.io();
        let offsets = read_file(io, &FileKind::Index.path(&self.directory, base_offset)).await?;
        let times = read_file(io, &FileKind::TimeIndex.path(&self.directory, base_offset)).await?;
        let (Some(offset_index), Some(time_index)) = (offsets, times) else { return Ok(None) };
        // A closed segment has at least one time entry: an empty file is one that lost its content.
        let sound = !time_index.is_empty()
            && OffsetIndexView::check(base_offset, &offset_index).is_ok()
            && TimeIndexView::check(base_offset, &time_index).is_ok();
        Ok(sound.then_some(IndexBytes { offset_index, time_index }))
    }

    /// An index that pointed to where no batch is: made again from the segment.
    pub(super) async fn mend_index(self: &Rc<Self>, segment: &ColdSegment) {
        tracing::warn!(
            "{}: an index entry of segment {} is wrong; rebuilding it",
            self.name,
            segment.base_offset
        );
        self.cold.forget_index((segment.content, segment.base_offset));
        let is_stored = self
            .state
            .borrow_mut()
            .segment_mut(segment.base_offset)
            .is_some_and(|segment| matches!(segment.index, Index::Files));
        if is_stored && let Err(error) = self.build_and_store(segment).await {
            tracing::warn!(
                "{}: the index of segment {} stays wrong: {error}",
                self.name,
                segment.base_offset
            );
        }
    }

    async fn build_and_store(self: &Rc<Self>, segment: &ColdSegment) -> Result<IndexBytes, ReadError> {
        let (bytes, _) = self.build_index(segment, segment.valid).await?;
        let _one = self.indexing.acquire(1).await;
        // Of a segment that was replaced meanwhile this would be the wrong index.
        if self.content.get() == segment.content {
            self.replace_index(segment.base_offset, &bytes).await?;
        }
        Ok(bytes)
    }

    /// Walks the segment's batch headers below byte `to` and makes the entries that they would have got.
    pub(super) async fn build_index(
        self: &Rc<Self>,
        segment: &ColdSegment,
        to: u64,
    ) -> Result<(IndexBytes, SegmentIndexer), ReadError> {
        let limits = {
            let options = self.options();
            IndexLimits {
                interval_bytes: options.index_interval_bytes,
                index_bytes_max: usize::try_from(options.segment_index_bytes).unwrap_or(usize::MAX),
            }
        };
        let mut indexer = SegmentIndexer::new(segment.base_offset, limits);
        let mut bytes = IndexBytes::default();
        let (mut position, mut end) = (0, segment.base_offset);
        while position < to {
            let Some(found) = self.header_at(segment, position).await? else { break };
            if found.base_offset < end {
                return Err(self.damage(segment, position, found.base_offset, OFFSETS_GO_BACK));
            }
            end = found.last_offset + 1;
            let span = BatchSpan {
                last_offset: found.last_offset,
                max_timestamp: found.max_timestamp,
                position: u32::try_from(position).unwrap_or(u32::MAX),
            };
            // Full: later batches are found by scanning from the last entry.
            let _ = indexer.append(span, &mut bytes);
            position += found.total as u64;
            self.volume.io().yield_now().await;
        }
        let _ = indexer.finish(&mut bytes);
        Ok((bytes, indexer))
    }

    /// The whole index of a segment whose memory has only the part since an unclean start, or none.
    pub(super) async fn rebuild_index(self: &Rc<Self>, base_offset: i64) -> Result<IndexBytes, IoFailure> {
        let Some(segment) = self.cold_segment(base_offset) else { return Ok(IndexBytes::default()) };
        match self.build_index(&segment, segment.valid).await {
            Ok((bytes, _)) => Ok(bytes),
            Err(ReadError::Io(failure)) => Err(failure),
            // What cannot be walked cannot be indexed; a read of the place reports it.
            Err(_) => Ok(IndexBytes::default()),
        }
    }

    /// Of a segment that was opened anew in its middle and rolled since, all of it is looked through for its index: that
    /// takes long, so it is done before anything is held up by it.
    pub(super) async fn complete_closing_indexes(self: &Rc<Self>) {
        let incomplete = {
            let state = self.state.borrow();
            let closing = state.segments.iter().filter(|segment| segment.phase == Phase::Closing);
            let incomplete = |segment: &&Segment| matches!(segment.index, Index::Memory { complete_from, .. } if complete_from > 0);
            closing.filter(incomplete).map(|segment| segment.base_offset).collect::<Vec<_>>()
        };
        for base_offset in incomplete {
            let segment = self.cold_segment(base_offset).filter(|segment| segment.base_offset == base_offset);
            if let Some(segment) = segment
                && let Err(error) = self.complete_active_index(&segment).await
            {
                // It is tried again when the segment is closed, and reported there.
                tracing::debug!("{}: the index of segment {base_offset}: {error}", self.name);
            }
        }
    }

    /// After a start the active segment's index begins at where it ended then. The first search below that puts the
    /// entries of the part before in front: from the index files of a clean stop, or by walking it once.
    pub(super) async fn complete_active_index(
        self: &Rc<Self>,
        segment: &ColdSegment,
    ) -> Result<(), ReadError> {
        let missing = {
            let mut state = self.state.borrow_mut();
            match state.segment_mut(segment.base_offset).map(|segment| &segment.index) {
                Some(Index::Memory { complete_from, .. }) if *complete_from > 0 => *complete_from,
                _ => return Ok(()),
            }
        };
        let stored = if self.indexed.get() { self.read_index(segment.base_offset).await? } else { None };
        let mut front = match stored {
            Some(stored) => stored,
            None => self.build_index(segment, missing).await?.0,
        };
        let options = self.options();
        let mut state = self.state.borrow_mut();
        let Some(active) = state.segment_mut(segment.base_offset) else { return Ok(()) };
        let Index::Memory { bytes, complete_from, .. } = &active.index else { return Ok(()) };
        if *complete_from == missing {
            append_index(segment.base_offset, &mut front, bytes);
            let known = active.max_timestamp;
            active.index_from(&options, Some(front));
            active.max_timestamp = later(active.max_timestamp, known);
            if let (Index::Memory { indexer, .. }, Some(max)) = (&mut active.index, active.max_timestamp) {
                indexer.note_max(max);
            }
        }
        Ok(())
    }
}

/// Puts a later part's entries behind those of the part before it.
fn append_index(base_offset: i64, front: &mut IndexBytes, rest: &IndexBytes) {
    front.offset_index.extend_from_slice(&rest.offset_index);
    let last = TimeIndexView::new(base_offset, &front.time_index).last();
    let times = TimeIndexView::new(base_offset, &rest.time_index);
    let skip =
        times.iter().take_while(|entry| last.is_some_and(|last| entry.timestamp <= last.timestamp)).count();
    front.time_index.extend_from_slice(&rest.time_index[skip * ENTRY_BYTES..]);
}

/// The later of two timestamps.
fn later(one: Option<TimestampOffset>, two: Option<TimestampOffset>) -> Option<TimestampOffset> {
    match (one, two) {
        (Some(a), Some(b)) if b.timestamp > a.timestamp => Some(b),
        (a, b) => a.or(b),
    }
}
