//! Taking back what a journal or an unchecked segment holds: batches that have their offsets already.

use std::rc::Rc;

use thalweg_protocol::batch::BatchView;

use super::append::produced;
use super::tail::Mark;
use super::{Goal, Log, LogPosition, LogState, Written};
use crate::error::{AppendError, IoFailure};
use crate::io::PAGE_BYTES;

/// What became of a replayed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replayed {
    Appended {
        /// A chunk became full: it can be written.
        sealed: bool,
    },
    /// The log has it already.
    Known,
    /// It starts after the log's end: something in between is missing.
    Gap { end: i64 },
}

impl Log {
    /// Appends a stored batch as it is. Idempotent: what the log already has is passed over.
    ///
    /// # Errors
    /// When the page before the log's end cannot be read.
    pub(crate) async fn replay(self: &Rc<Self>, view: &BatchView<'_>) -> Result<Replayed, AppendError> {
        let end = self.end();
        if view.last_offset() < end {
            return Ok(Replayed::Known);
        }
        if view.base_offset() != end {
            return Ok(Replayed::Gap { end });
        }
        self.prepare_tail().await?;
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let bytes = view.bytes();
        let sealed = self.make_room(state, bytes.len(), view.last_offset(), view.max_timestamp());
        let mark = Mark { base_offset: view.base_offset(), start: 0, sequence: 1 };
        let now = self.volume.io().now();
        state.tail.append(bytes, mark, view.last_offset() + 1, |_| (), now);
        state.active_mut().note(bytes.len(), view.last_offset(), view.max_timestamp(), now);
        state.end = view.last_offset() + 1;
        state.committed = state.end;
        state.high_watermark = state.end;
        self.volume.room.appended(bytes.len() as u64);
        state.remember(view, self.volume.io().wall_clock_ms());
        Ok(Replayed::Appended { sealed: sealed.is_some() })
    }

    /// Writes the chunks that are full, and lets their memory go.
    ///
    /// # Errors
    /// The first failed step.
    pub(crate) async fn write_full_chunks(self: &Rc<Self>) -> Result<(), IoFailure> {
        while self.materialise(Goal::Sealed).await? == Written::GaveWay {}
        while self.drop_oldest_chunk() {}
        Ok(())
    }

    /// Writes all of the tail, and lets its memory go but for what the next chunk has to carry.
    ///
    /// # Errors
    /// The first failed step.
    pub(crate) async fn write_tail(self: &Rc<Self>) -> Result<(), IoFailure> {
        let _ = self.materialise(Goal::Committed).await?;
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        if state.written.offset < state.end {
            return Ok(());
        }
        let active = state.active();
        let at = LogPosition { segment: active.base_offset, position: active.bytes, offset: state.end };
        if let Some(open) = state.tail.chunks().back().filter(|last| !last.sealed) {
            let page = open.filled() / PAGE_BYTES * PAGE_BYTES;
            state.carry = Some((at, open.view(page, open.filled()).to_vec()));
        }
        while self.drop_front(state) {}
        Ok(())
    }
}

impl LogState {
    /// What a batch in the log means to epochs and producers.
    fn remember(&mut self, view: &BatchView<'_>, now_ms: i64) {
        self.epochs.note(view.leader_epoch(), view.base_offset());
        if let Some((claim, batch)) = produced(view) {
            self.producers.record(&claim, batch, now_ms);
        }
    }
}
