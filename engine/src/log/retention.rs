//! Dropping the oldest segments: by age, by size, and below a log start that a client moved (DeleteRecords).
//!
//! Files are renamed to `.deleted` at once and unlinked after `file.delete.delay.ms`, in the background. The active
//! segment stays.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::segment::{FileKind, Phase};
use super::{Log, LogPosition, LogState};
use crate::error::ReadError;
use crate::reactor::Io;

impl Log {
    /// Applies `retention.ms` and `retention.bytes`, and forgets producers that were not heard of for
    /// `producer.id.expiration.ms`; returns how many segments went.
    pub(crate) async fn apply_retention(self: &Rc<Self>) -> usize {
        self.roll_if_expired();
        let now_ms = self.volume.io().wall_clock_ms();
        {
            let mut state = self.state.borrow_mut();
            let expiration_ms = state.options.producer_id_expiration_ms;
            state.producers.expire(now_ms, expiration_ms);
        }
        let mut candidates = Vec::new();
        for base in self.closed_segments() {
            // An unreadable time index: the segment's age is not known, so it stays.
            candidates.push((base, self.segment_age_ms(base, now_ms).await));
        }
        let gone = {
            let state = self.state.borrow();
            // Deleted by a client while they were not closed yet.
            let below = state.below(state.log_start);
            if below.is_empty() { state.expired(&candidates) } else { below }
        };
        self.drop_segments(gone)
    }

    async fn segment_age_ms(self: &Rc<Self>, base: i64, now_ms: i64) -> Option<i64> {
        let max = self.consistent(async || self.segment_max_timestamp(base).await).await.ok()??;
        if max.timestamp < 0 {
            return None;
        }
        Some(now_ms.saturating_sub(max.timestamp))
    }

    fn closed_segments(&self) -> Vec<i64> {
        let state = self.state.borrow();
        state.segments.iter().filter(|s| s.phase == Phase::Closed).map(|s| s.base_offset).collect()
    }

    /// Closes an active segment whose records are all past their retention, or of a log that may have no bytes at all,
    /// so that it can go too (as Kafka does).
    fn roll_if_expired(self: &Rc<Self>) {
        let now_ms = self.volume.io().wall_clock_ms();
        let mut guard = self.state.borrow_mut();
        let state = &mut *guard;
        let (retention_ms, retention_bytes) = (state.options.retention_ms, state.options.retention_bytes);
        let newest = state.active().max_timestamp.map_or(i64::MAX, |max| max.timestamp);
        let is_old = retention_ms
            .is_some_and(|most| now_ms.saturating_sub(newest) > i64::try_from(most).unwrap_or(i64::MAX));
        let expired = state.active().bytes > 0
            && (is_old || retention_bytes == Some(0))
            && state.end == state.committed;
        if expired {
            state.roll(self.volume.io().random());
            drop(guard);
            self.enqueue();
        }
    }

    /// Raises the log start: everything below `before` is gone for readers at once; segments wholly below it go too.
    /// -1 means the high watermark. The caller checkpoints, which makes it durable.
    ///
    /// # Errors
    /// [`ReadError::OutOfRange`] when `before` is above the high watermark.
    pub async fn delete_records(self: &Rc<Self>, before: i64) -> Result<i64, ReadError> {
        self.check_readable()?;
        let gone = {
            let mut guard = self.state.borrow_mut();
            let state = &mut *guard;
            let target = if before == -1 { state.high_watermark } else { before };
            if target > state.high_watermark || target < 0 {
                let (log_start, high_watermark) = (state.log_start, state.high_watermark);
                return Err(ReadError::OutOfRange { log_start, high_watermark });
            }
            state.log_start = state.log_start.max(target);
            self.volume.checkpoint_stale.set(true);
            state.epochs.trim_below(state.log_start);
            state.below(state.log_start)
        };
        self.drop_segments(gone);
        Ok(self.log_start())
    }

    /// Removes segments from the front of the log and their files behind it. Not while compacted ones are put in place:
    /// the next check does it then.
    fn drop_segments(self: &Rc<Self>, gone: Vec<i64>) -> usize {
        if self.replacing.get() {
            return 0;
        }
        let Some(last) = gone.last().copied() else { return 0 };
        let next = {
            let mut state = self.state.borrow_mut();
            state.segments.retain(|segment| segment.base_offset > last);
            let next = state.segments.first().map_or(state.end, |segment| segment.base_offset);
            state.log_start = state.log_start.max(next);
            let log_start = state.log_start;
            state.epochs.trim_below(log_start);
            state.raise_to(LogPosition { segment: next, position: 0, offset: next });
            self.volume.checkpoint_stale.set(true);
            self.volume.checkpoint_wanted.notify_one();
            while state.tail.chunks().front().is_some_and(|chunk| chunk.segment <= last) {
                self.drop_front(&mut state);
            }
            next
        };
        self.cold.forget(self.content.get(), Some(next));
        tracing::info!("{}: deleting {} segments below offset {next}", self.name, gone.len());
        let log = Rc::clone(self);
        let delay = Duration::from_millis(self.options().file_delete_delay_ms);
        let count = gone.len();
        self.volume
            .io()
            .spawn("segment deletion", async move { log.delete_files(gone, delay).await })
            .detach();
        count
    }

    async fn delete_files(&self, gone: Vec<i64>, delay: Duration) {
        let io = self.volume.io();
        // Until the log start is durable, a crash would leave a hole where only some of the files are gone.
        self.volume.checkpointed().await;
        let one = self.materialising.acquire(1).await;
        if self.is_removed() {
            return;
        }
        let mut renamed = Vec::new();
        for base in gone {
            for kind in FileKind::ALL {
                let path = kind.path(&self.directory, base);
                self.volume.files.forget(&path);
                let mut deleted = path.clone().into_os_string();
                deleted.push(".deleted");
                if io.rename(&path, &deleted).await.is_ok() {
                    renamed.push(PathBuf::from(deleted));
                }
            }
        }
        drop(one);
        io.sleep(delay).await;
        if !self.is_removed() {
            unlink_all(io, renamed).await;
        }
    }
}

pub(super) async fn unlink_all(io: &Io, paths: Vec<PathBuf>) {
    for path in paths {
        match io.unlink(&path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
            _ => (),
        }
    }
}

impl LogState {
    /// Segments below `floor` are gone: nothing may name them as written, synced or to be synced any more.
    fn raise_to(&mut self, floor: LogPosition) {
        let raised = |at: LogPosition| LogPosition { offset: at.offset.max(floor.offset), ..floor };
        if self.written.segment < floor.segment {
            self.written = raised(self.written);
        }
        if self.synced.segment < floor.segment {
            self.synced = raised(self.synced);
        }
        self.unsynced.retain(|base| *base >= floor.segment);
        let synced = self.synced.offset;
        self.retired.retain(|retired| retired.end_offset > synced);
    }

    /// The closed segments from the front on that retention lets go. `candidates`: base offset and age, in order.
    fn expired(&self, candidates: &[(i64, Option<i64>)]) -> Vec<i64> {
        let mut excess = self.options.retention_bytes.map_or(0, |most| {
            self.segments.iter().map(|segment| segment.bytes).sum::<u64>().saturating_sub(most)
        });
        let retention_ms = self.options.retention_ms.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
        let mut gone = Vec::new();
        for (segment, (base, age_ms)) in self.segments.iter().zip(candidates) {
            if segment.base_offset != *base {
                break;
            }
            let aged = matches!((age_ms, retention_ms), (Some(age), Some(most)) if *age > most);
            let oversize = excess > 0 && excess >= segment.bytes;
            // What compaction left nothing of has no age.
            let empty = segment.bytes == 0
                && (self.options.retention_ms, self.options.retention_bytes) != (None, None);
            if !(aged || oversize || empty) {
                break;
            }
            excess = excess.saturating_sub(segment.bytes);
            gone.push(*base);
        }
        gone
    }

    /// The closed segments that lie wholly below `offset`.
    fn below(&self, offset: i64) -> Vec<i64> {
        let pairs = self.segments.iter().zip(self.segments.iter().skip(1));
        pairs
            .take_while(|(segment, next)| segment.phase == Phase::Closed && next.base_offset <= offset)
            .map(|(segment, _)| segment.base_offset)
            .collect()
    }
}
