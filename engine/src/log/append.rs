//! Taking a batch: admission, offsets, the tail chunk, the journal, and waiting for its commit.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use thalweg_protocol::batch::{BatchView, stamp, stamp_log_append_time};

use super::intake;
use super::lane::effective;
use super::producer::{ProducedBatch, ProducerClaim, Verdict};
use super::tail::{Chunk, Mark};
use super::{Durability, Log, LogOptions, LogState, TimestampType};
use crate::bounds::{BATCH_BYTES_MAX, UNCOMMITTED_BYTES_MAX};
use crate::error::{AppendError, Rejection};
use crate::id::METADATA_TOPIC_ID;
use crate::io::PAGE_BYTES;
use crate::journal::{CommitTicket, Journal};
use crate::reactor::sync::OwnedPermit;

/// What an acknowledged append was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    pub base_offset: i64,
    pub last_offset: i64,
    /// -1 unless the topic stamps LogAppendTime.
    pub log_append_time_ms: i64,
    pub log_start: i64,
    /// The batch was here before; nothing was appended.
    pub duplicate: bool,
}

enum Placed {
    New { ticket: Option<CommitTicket>, appended: Appended },
    Duplicate { appended: Appended },
}

impl Log {
    /// Appends exactly one RecordBatch that was checked with `validate_produced`.
    ///
    /// Offsets are given in the order in which the futures are first polled. It resolves when the batch is as durable
    /// as the topic's `durability` says; dropping the future does not take back what was placed.
    ///
    /// # Errors
    /// See [`AppendError`]; after any of them nothing was acknowledged, and after all but `Io` and `Fenced` nothing
    /// was appended.
    pub async fn append(self: &Rc<Self>, mut batch: Bytes) -> Result<Appended, AppendError> {
        self.check_appendable()?;
        self.check_size(&batch)?;
        self.check_room()?;
        let turn = match self.placing.try_acquire(1) {
            Some(turn) => turn,
            None => self.patiently(self.placing.acquire(1)).await?,
        };
        if self.lane_stale.get() {
            self.change_lane().await?;
        }
        if intake::is_needed(&self.options()) {
            batch = self.taken_in(batch).await?;
        }
        let room = self.volume.admission.acquire(batch.len().min(UNCOMMITTED_BYTES_MAX));
        let admitted = self.patiently(room).await?;
        self.prepare_tail().await?;
        let placed = self.place(&batch, admitted)?;
        drop(turn);
        match placed {
            Placed::New { ticket: None, appended } => Ok(appended),
            Placed::New { ticket: Some(ticket), appended } => {
                match self.is_metadata() {
                    // A change must not be told to have failed and happen later.
                    true => ticket.outcome().await?,
                    false => ticket.done().await?,
                }
                Ok(appended)
            }
            Placed::Duplicate { appended } => {
                self.wait_committed(appended.last_offset).await?;
                Ok(appended)
            }
        }
    }

    fn is_metadata(&self) -> bool {
        self.id.topic == METADATA_TOPIC_ID
    }

    /// The reserve of a full disk is also there for the changes of metadata that make room: removals, shorter retention.
    fn check_room(&self) -> Result<(), AppendError> {
        if self.is_metadata() { self.volume.check_acknowledging() } else { self.volume.check_writable() }
    }

    /// Waits for its turn, but not on a disk that has become full meanwhile.
    async fn patiently<T>(&self, turn: impl Future<Output = T>) -> Result<T, AppendError> {
        if self.is_metadata() { Ok(turn.await) } else { self.volume.unless_refused(turn).await }
    }

    pub(super) fn check_size(&self, batch: &Bytes) -> Result<(), Rejection> {
        let max = usize::try_from(self.state.borrow().options.message_bytes_max).unwrap_or(usize::MAX);
        let max = max.min(BATCH_BYTES_MAX);
        if batch.len() > max { Err(Rejection::TooLarge { bytes: batch.len(), max }) } else { Ok(()) }
    }

    /// A duplicate of a batch that is still on its way to the disk waits for it.
    pub(super) async fn wait_committed(&self, last_offset: i64) -> Result<(), AppendError> {
        loop {
            let progress = self.progress.notified();
            if self.state.borrow().committed > last_offset {
                return Ok(());
            }
            self.check_appendable()?;
            self.check_room()?;
            progress.await;
        }
    }

    fn place(self: &Rc<Self>, batch: &Bytes, admitted: OwnedPermit) -> Result<Placed, AppendError> {
        self.check_appendable()?;
        let Ok(view) = BatchView::parse(batch) else { panic!("append of bytes that were not validated") };
        let now_ms = self.volume.io().wall_clock_ms();
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        check_timestamp(&state.options, view.max_timestamp(), now_ms)?;
        let claim = claim_of(&view);
        if let Some(Verdict::Duplicate(batch)) =
            claim.map(|claim| state.producers.check(&claim)).transpose()?
        {
            return Ok(Placed::Duplicate { appended: duplicate(state, &batch) });
        }
        let base_offset = state.end;
        let Some(last_offset) =
            base_offset.checked_add(i64::from(view.last_offset_delta())).filter(|o| *o < i64::MAX)
        else {
            return Err(Rejection::OffsetsExhausted.into());
        };
        let stamps_time = state.options.timestamp_type == TimestampType::LogAppendTime;
        let log_append_time_ms = if stamps_time { now_ms } else { -1 };
        let timestamp_ms = if stamps_time { now_ms } else { view.max_timestamp() };

        let journal = self.choose_journal(state);
        let sealed = self.make_room(state, batch.len(), last_offset, timestamp_ms);
        let epoch = self.leader_epoch;
        let mark = Mark { base_offset, start: 0, sequence: 0 };
        let patch = |bytes: &mut [u8]| {
            stamp(bytes, base_offset, epoch);
            if stamps_time {
                stamp_log_append_time(bytes, now_ms);
            }
        };
        let now = self.volume.io().now();
        let stored = state.tail.append(batch, mark, last_offset + 1, patch, now);
        state.active_mut().note(batch.len(), last_offset, timestamp_ms, now);
        state.end = last_offset + 1;
        state.epochs.note(epoch, base_offset);
        if let Some(claim) = claim {
            let batch = claim.batch(base_offset, last_offset, timestamp_ms);
            state.producers.record(&claim, batch, now_ms);
        }
        let ticket = self.submit(state, &journal, stored, admitted);
        let appended = Appended {
            base_offset,
            last_offset,
            log_append_time_ms,
            log_start: state.log_start,
            duplicate: false,
        };
        drop(guard);
        if let Some(first_offset) = sealed {
            self.tails.sealed(self, first_offset);
            self.enqueue();
            self.tails.reclaim();
        }
        Ok(Placed::New { ticket, appended })
    }

    /// Hands the stored batch to the journal. None when the topic is acknowledged from memory.
    fn submit(
        self: &Rc<Self>,
        state: &mut LogState,
        journal: &Journal,
        stored: Bytes,
        admitted: OwnedPermit,
    ) -> Option<CommitTicket> {
        self.volume.room.appended(stored.len() as u64);
        let submitted = journal.submit(self.id, stored, state.end, Rc::clone(self) as Rc<_>, admitted);
        state.tail.set_last_sequence(submitted.sequence);
        if effective(&state.options) == Durability::Memory {
            state.high_watermark = state.end;
            self.progress.notify_all();
            return None;
        }
        Some(submitted.ticket)
    }

    /// Makes sure that the open chunk takes the batch; rolls the segment if its time has come. Returns the first
    /// offset of the chunk that was sealed, if one was.
    pub(super) fn make_room(
        &self,
        state: &mut LogState,
        bytes: usize,
        last_offset: i64,
        timestamp_ms: i64,
    ) -> Option<i64> {
        let now = self.volume.io().now();
        let options = Arc::clone(&state.options);
        if state.active().must_roll(&options, bytes, last_offset, timestamp_ms, now) {
            state.roll(self.volume.io().random());
        }
        let (segment, position) = (state.active().base_offset, state.active().bytes);
        if state.tail.has_room(segment, bytes) {
            return None;
        }
        let carry = state.carry.take().filter(|(at, _)| at.segment == segment && at.position == position);
        let sealed = state.tail.chunks().back().map(Chunk::first_offset);
        state.tail.open(
            segment,
            position,
            bytes,
            carry.as_ref().map(|(_, bytes)| bytes.as_slice()),
            now,
            state.end,
        );
        self.tails.opened(state.tail.chunks().back().map_or(0, Chunk::capacity));
        sealed
    }

    /// Reads the last partial page of the log when the next chunk will need it and memory does not have it.
    pub(super) async fn prepare_tail(self: &Rc<Self>) -> Result<(), AppendError> {
        while self.needs_carry() {
            self.load_carry().await?;
        }
        Ok(())
    }

    fn needs_carry(&self) -> bool {
        let state = self.state.borrow();
        let active = state.active();
        let in_memory = state
            .tail
            .chunks()
            .back()
            .is_some_and(|chunk| chunk.segment == active.base_offset && !chunk.sealed);
        let loaded = state
            .carry
            .as_ref()
            .is_some_and(|(at, _)| at.segment == active.base_offset && at.position == active.bytes);
        !in_memory && !loaded && !active.bytes.is_multiple_of(PAGE_BYTES as u64)
    }

    /// Queues the log for the writing of its full chunks.
    pub(crate) fn enqueue(self: &Rc<Self>) {
        if !self.queued.replace(true) {
            self.volume.enqueue(Rc::clone(self));
        }
    }
}

/// The producer state that a batch in the log stands for.
pub(crate) fn produced(view: &BatchView<'_>) -> Option<(ProducerClaim, ProducedBatch)> {
    let claim = claim_of(view)?;
    Some((claim, claim.batch(view.base_offset(), view.last_offset(), view.max_timestamp())))
}

fn claim_of(view: &BatchView<'_>) -> Option<ProducerClaim> {
    view.has_producer_id().then(|| ProducerClaim {
        producer_id: view.producer_id(),
        epoch: view.producer_epoch(),
        base_sequence: view.base_sequence(),
        last_sequence: last_sequence(view.base_sequence(), view.last_offset_delta()),
    })
}

/// Sequences wrap from `i32::MAX` to 0.
fn last_sequence(base: i32, delta: i32) -> i32 {
    let last = i64::from(base) + i64::from(delta);
    let wrapped = if last > i64::from(i32::MAX) { last - i64::from(i32::MAX) - 1 } else { last };
    i32::try_from(wrapped).unwrap_or(-1)
}

fn duplicate(state: &LogState, batch: &ProducedBatch) -> Appended {
    Appended {
        base_offset: batch.base_offset,
        last_offset: batch.last_offset,
        log_append_time_ms: match state.options.timestamp_type {
            TimestampType::LogAppendTime => batch.timestamp_ms,
            TimestampType::CreateTime => -1,
        },
        log_start: state.log_start,
        duplicate: true,
    }
}

fn check_timestamp(options: &LogOptions, timestamp_ms: i64, now_ms: i64) -> Result<(), Rejection> {
    let difference_max_ms = options.timestamp_difference_max_ms;
    let applies = options.timestamp_type == TimestampType::CreateTime && timestamp_ms >= 0;
    if applies && (timestamp_ms.saturating_sub(now_ms)).saturating_abs() > difference_max_ms {
        return Err(Rejection::InvalidTimestamp { timestamp_ms, now_ms, difference_max_ms });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sequence_wraps_to_zero() {
        assert_eq!(last_sequence(5, 2), 7);
        assert_eq!(last_sequence(i32::MAX - 1, 2), 0);
    }
}
