//! What of a log may be cleaned, whether it is time, and which segments go together (Kafka's `LogCleanerManager`).

use std::rc::Rc;

use crate::error::ReadError;
use crate::log::{Log, SegmentInfo};

/// The part of a compacted log that was not cleaned yet and may be.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    /// All segments up to its end, also the clean ones in front, in order.
    pub segments: Vec<SegmentInfo>,
    /// Offset of the first record that was never looked at.
    pub first_dirty: i64,
    /// Offset of the first record that may not be looked at yet.
    pub end: i64,
    /// Share of the bytes up to the end that are dirty, 0 to 1.
    pub dirty_ratio: f64,
    /// It is worth a pass, or overdue.
    pub is_due: bool,
}

impl Range {
    /// None: nothing in this log may be cleaned now.
    pub async fn of(log: &Rc<Log>) -> Result<Option<Range>, ReadError> {
        let options = log.options();
        if !options.compact || log.corruption().is_some() {
            return Ok(None);
        }
        let now_ms = log.volume().io().wall_clock_ms();
        let (mut segments, cleaned) = log.cleanable_segments();
        let log_start = log.log_start();
        let first_dirty = if cleaned < log_start { log_start } else { cleaned };
        let end = first_young(log, &segments, first_dirty, now_ms).await?;
        segments.retain(|segment| segment.base_offset < end);
        let Some(last) = segments.last() else { return Ok(None) };
        let end = last.next_offset;
        if end <= first_dirty {
            return Ok(None);
        }
        let total: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let dirty = segments.iter().filter(|segment| segment.next_offset > first_dirty);
        let dirty_bytes: u64 = dirty.map(|segment| segment.bytes).sum();
        if dirty_bytes == 0 {
            return Ok(None);
        }
        let dirty_ratio = dirty_bytes as f64 / total as f64;
        let is_due = dirty_ratio > options.min_cleanable_dirty_ratio
            || is_overdue(log, &segments, first_dirty, now_ms).await?;
        Ok(Some(Range { segments, first_dirty, end, dirty_ratio, is_due }))
    }

    /// The segments below `end` in runs that become one segment each: within `segment.bytes`, the bounds of an index,
    /// and the offsets that a segment can have.
    pub fn groups(&self, log: &Log, end: i64) -> Vec<Vec<SegmentInfo>> {
        let options = log.options();
        let entry_bytes = u64::from(options.index_interval_bytes.max(1)) / 12;
        let bytes_max = u64::from(options.segment_bytes)
            .min(u64::from(options.segment_index_bytes).saturating_mul(entry_bytes.max(1)));
        let mut groups: Vec<Vec<SegmentInfo>> = Vec::new();
        let mut bytes = 0;
        for segment in self.segments.iter().filter(|segment| segment.base_offset < end) {
            let fits = groups.last().and_then(|group| group.first()).is_some_and(|first| {
                bytes + segment.bytes <= bytes_max
                    && segment.next_offset - first.base_offset <= i64::from(i32::MAX)
            });
            if fits && let Some(group) = groups.last_mut() {
                group.push(*segment);
                bytes += segment.bytes;
            } else {
                groups.push(vec![*segment]);
                bytes = segment.bytes;
            }
        }
        groups
    }
}

/// Offset of the first dirty segment that holds a record younger than `min.compaction.lag.ms`.
async fn first_young(
    log: &Rc<Log>,
    segments: &[SegmentInfo],
    first_dirty: i64,
    now_ms: i64,
) -> Result<i64, ReadError> {
    let lag_ms = i64::try_from(log.options().min_compaction_lag_ms).unwrap_or(i64::MAX);
    if lag_ms > 0 {
        for segment in segments.iter().filter(|segment| segment.next_offset > first_dirty) {
            let newest = log.newest_timestamp(segment.base_offset).await?;
            if newest.is_some_and(|newest| newest > now_ms.saturating_sub(lag_ms)) {
                return Ok(segment.base_offset);
            }
        }
    }
    Ok(i64::MAX)
}

/// Whether a dirty record is older than `max.compaction.lag.ms`.
async fn is_overdue(
    log: &Rc<Log>,
    segments: &[SegmentInfo],
    first_dirty: i64,
    now_ms: i64,
) -> Result<bool, ReadError> {
    let lag_ms = i64::try_from(log.options().max_compaction_lag_ms).unwrap_or(i64::MAX);
    if lag_ms == i64::MAX {
        return Ok(false);
    }
    for segment in segments.iter().filter(|segment| segment.next_offset > first_dirty) {
        let first = log.first_timestamp(segment.base_offset).await?;
        if first.is_some_and(|first| first > 0 && first < now_ms.saturating_sub(lag_ms)) {
            return Ok(true);
        }
    }
    Ok(false)
}
