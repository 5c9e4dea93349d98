//! What the cleaner asks a log.

use std::collections::HashMap;
use std::rc::Rc;

use super::Log;
use super::segment::Phase;
use crate::error::ReadError;

/// A closed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    pub base_offset: i64,
    pub bytes: u64,
    /// Base offset of the segment after it.
    pub next_offset: i64,
}

impl Log {
    /// The segments that may be rewritten, in order, and the offset below which all was compacted. Only what a durable
    /// checkpoint has: recovery looks for a segment that it names, at the length that it names.
    pub(crate) fn cleanable_segments(&self) -> (Vec<SegmentInfo>, i64) {
        let state = self.state.borrow();
        if self.replacing.get() {
            return (Vec::new(), state.cleaned);
        }
        let pairs = state.segments.iter().zip(state.segments.iter().skip(1));
        let closed = pairs.take_while(|(segment, _)| {
            segment.phase == Phase::Closed && segment.base_offset < state.checkpointed.segment
        });
        let info = closed.map(|(segment, next)| SegmentInfo {
            base_offset: segment.base_offset,
            bytes: segment.bytes,
            next_offset: next.base_offset,
        });
        (info.collect(), state.cleaned)
    }

    /// Everything below `end` was compacted, and that is on stable storage.
    pub(crate) fn note_cleaned(&self, end: i64) {
        let mut state = self.state.borrow_mut();
        state.cleaned = state.cleaned.max(end);
        self.volume.checkpoint_stale.set(true);
    }

    /// The greatest timestamp of a segment.
    pub(crate) async fn newest_timestamp(
        self: &Rc<Self>,
        base_offset: i64,
    ) -> Result<Option<i64>, ReadError> {
        let max = self.consistent(async || self.segment_max_timestamp(base_offset).await).await?;
        Ok(max.map(|max| max.timestamp))
    }

    /// The timestamp of a segment's first batch.
    pub(crate) async fn first_timestamp(self: &Rc<Self>, base_offset: i64) -> Result<Option<i64>, ReadError> {
        let known =
            self.state.borrow_mut().segment_mut(base_offset).map(|segment| segment.first_timestamp_ms);
        if let Some(known) = known.filter(|known| *known >= 0) {
            return Ok(Some(known));
        }
        let first = async || match self.cold_segment(base_offset) {
            Some(segment) => self.header_at(&segment, 0).await,
            None => Ok(None),
        };
        let first = self.consistent(first).await?.map(|found| found.max_timestamp);
        if let Some(segment) = self.state.borrow_mut().segment_mut(base_offset) {
            segment.first_timestamp_ms = first.unwrap_or(-1);
        }
        Ok(first)
    }

    /// The last offset of every producer that is known: its batch is kept, emptied if need be.
    pub(crate) fn last_offsets_of_producers(&self) -> HashMap<i64, i64> {
        let state = self.state.borrow();
        let last = state
            .producers
            .entries()
            .into_iter()
            .filter_map(|entry| entry.batches.back().map(|batch| (entry.producer_id, batch.last_offset)));
        last.collect()
    }
}
