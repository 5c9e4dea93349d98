//! Which batches of a segment get index entries: feeds the offset index and the time index together.
//!
//! Follows the rule of Kafka's segment recovery batch by batch, so that indexes built while appending, rebuilt in recovery,
//! and rebuilt by Kafka are the same bytes. A Kafka 3.2.0 leader differs in one point: for an uncompressed batch with the
//! producers' timestamps its time index names the first *record* of the greatest timestamp, not the batch's last offset;
//! its own dump tool reports that as an error. Both are true entries, and we decode no records on the way.
//!
//! Owned by whoever appends to the segment. It holds no entries: they go to the caller's buffers.

use super::AppendError;
use super::index::{OffsetIndexAppender, OffsetIndexView, OffsetPosition};
use super::time_index::{NO_TIMESTAMP, TimeIndexAppender, TimeIndexView, TimestampOffset};

/// What a segment's indexes are bounded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexLimits {
    /// `index.interval.bytes`: log bytes between indexed batches.
    pub interval_bytes: u32,
    /// `segment.index.bytes`: the most that each of the two files may hold.
    pub index_bytes_max: usize,
}

/// What the indexes need to know of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSpan {
    pub last_offset: i64,
    /// The batch header's maxTimestamp, in milliseconds, or [`NO_TIMESTAMP`].
    pub max_timestamp: i64,
    /// Byte position of the batch in its segment.
    pub position: u32,
}

/// Buffers that new entries are appended to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexBytes {
    pub offset_index: Vec<u8>,
    pub time_index: Vec<u8>,
}

/// Decides on the entries of one segment.
#[derive(Debug, Clone)]
pub struct SegmentIndexer {
    interval_bytes: u32,
    offset_index: OffsetIndexAppender,
    time_index: TimeIndexAppender,
    max_timestamp: Option<TimestampOffset>,
}

impl SegmentIndexer {
    pub fn new(base_offset: i64, limits: IndexLimits) -> Self {
        Self {
            interval_bytes: limits.interval_bytes,
            offset_index: OffsetIndexAppender::new(base_offset, limits.index_bytes_max),
            time_index: TimeIndexAppender::new(base_offset, limits.index_bytes_max),
            max_timestamp: None,
        }
    }

    /// Continues on the indexes of a **cleanly closed** segment: then feed [`append`](Self::append) the batches from
    /// [`resume_position`](Self::resume_position) on, which adds nothing twice. After a crash start with [`new`](Self::new)
    /// from position 0 instead: a time index that lost an entry would make a later one lie.
    pub fn resume(
        offset_index: &OffsetIndexView<'_>,
        time_index: &TimeIndexView<'_>,
        limits: IndexLimits,
    ) -> Self {
        Self {
            interval_bytes: limits.interval_bytes,
            offset_index: OffsetIndexAppender::resume(offset_index, limits.index_bytes_max),
            time_index: TimeIndexAppender::resume(time_index, limits.index_bytes_max),
            max_timestamp: time_index.last(),
        }
    }

    /// A batch with this timestamp was seen that the indexes do not show yet: entries to come must not deny it.
    pub fn note_max(&mut self, seen: TimestampOffset) {
        if seen.timestamp > self.max_timestamp.map_or(NO_TIMESTAMP, |max| max.timestamp) {
            self.max_timestamp = Some(seen);
        }
    }

    /// Position of the last indexed batch, 0 if there is none.
    pub fn resume_position(&self) -> u32 {
        self.offset_index.last().map_or(0, |last| last.position)
    }

    /// Takes note of the next batch of the segment and appends the entries that are due to `out`.
    pub fn append(&mut self, batch: BatchSpan, out: &mut IndexBytes) -> Result<(), AppendError> {
        if batch.max_timestamp > self.max_timestamp.map_or(NO_TIMESTAMP, |max| max.timestamp) {
            self.max_timestamp =
                Some(TimestampOffset { timestamp: batch.max_timestamp, offset: batch.last_offset });
        }
        if batch.position.saturating_sub(self.resume_position()) <= self.interval_bytes {
            return Ok(());
        }
        if self.is_full() {
            return Err(AppendError::Full { entries: self.offset_index.entries() });
        }
        let entry = OffsetPosition { offset: batch.last_offset, position: batch.position };
        self.offset_index.append(entry, &mut out.offset_index)?;
        if let Some(max) = self.max_timestamp {
            self.time_index.maybe_append(max, &mut out.time_index)?;
        }
        Ok(())
    }

    /// The segment rolls or closes: the last time index entry, if one is due, goes to `out`. Idempotent.
    pub fn finish(&mut self, out: &mut IndexBytes) -> Result<(), AppendError> {
        match self.max_timestamp {
            Some(max) => self.time_index.finish(max, &mut out.time_index).map(drop),
            None => Ok(()),
        }
    }

    /// One of the indexes is full: the segment must roll before the next batch.
    pub fn is_full(&self) -> bool {
        self.offset_index.is_full() || self.time_index.is_full()
    }

    /// The greatest timestamp of the batches so far and the last offset of the batch that brought it.
    pub fn max_timestamp(&self) -> Option<TimestampOffset> {
        self.max_timestamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! fixture {
        ($path:literal) => {
            include_bytes!(concat!("../../tests/fixtures/kafka-3.2.0/", $path)).as_slice()
        };
    }

    /// The topic that the fixtures are of had `index.interval.bytes=512` and `segment.index.bytes=1024`.
    const LIMITS: IndexLimits = IndexLimits { interval_bytes: 512, index_bytes_max: 1024 };

    /// Field positions of the batch header, version 2.
    fn spans(log: &[u8]) -> Vec<BatchSpan> {
        let (mut spans, mut at) = (Vec::new(), 0);
        while at < log.len() {
            let i64_at = |field: usize| crate::format::be_i64(log, at + field).unwrap();
            let i32_at = |field: usize| crate::format::be_i32(log, at + field).unwrap();
            spans.push(BatchSpan {
                last_offset: i64_at(0) + i64::from(i32_at(23)),
                max_timestamp: i64_at(35),
                position: at.try_into().unwrap(),
            });
            at += 12 + usize::try_from(i32_at(8)).unwrap();
        }
        spans
    }

    fn build(base: i64, log: &[u8], finish: bool) -> IndexBytes {
        let mut indexer = SegmentIndexer::new(base, LIMITS);
        let mut out = IndexBytes::default();
        for span in spans(log) {
            indexer.append(span, &mut out).unwrap();
        }
        if finish {
            indexer.finish(&mut out).unwrap();
        }
        out
    }

    #[test]
    fn builds_the_indexes_that_kafka_rebuilds_in_recovery() {
        let built = build(188, fixture!("segment/00000000000000000188.log"), true);
        assert_eq!(built.offset_index, fixture!("recovered/00000000000000000188.index"));
        assert_eq!(built.time_index, fixture!("recovered/00000000000000000188.timeindex"));
        let built = build(560, fixture!("active/00000000000000000560.log"), true);
        assert_eq!(built.offset_index, fixture!("recovered/00000000000000000560.index"));
        assert_eq!(built.time_index, fixture!("recovered/00000000000000000560.timeindex"));
    }

    #[test]
    fn differs_from_what_a_leader_appends_only_in_the_record_named_within_a_batch() {
        let log = fixture!("active/00000000000000000560.log");
        let built = build(560, log, false);
        let (offsets, times) = (
            fixture!("active/00000000000000000560.index"),
            fixture!("active/00000000000000000560.timeindex"),
        );
        assert_eq!(built.offset_index, OffsetIndexView::new(560, offsets).trimmed());
        let theirs = TimeIndexView::new(560, times);
        assert_eq!(built.time_index.len(), theirs.trimmed().len());
        for (ours, theirs) in TimeIndexView::new(560, &built.time_index).iter().zip(theirs.iter()) {
            let batch_end =
                spans(log).iter().map(|span| span.last_offset).find(|last| *last >= theirs.offset);
            assert_eq!((ours.timestamp, Some(ours.offset)), (theirs.timestamp, batch_end));
        }
    }

    #[test]
    fn resuming_anywhere_gives_the_same_bytes() {
        let spans = spans(fixture!("segment/00000000000000000188.log"));
        let whole = build(188, fixture!("segment/00000000000000000188.log"), true);
        for stop in 0..spans.len() {
            let mut out = IndexBytes::default();
            let mut indexer = SegmentIndexer::new(188, LIMITS);
            spans[..stop].iter().for_each(|span| indexer.append(*span, &mut out).unwrap());
            let mut resumed = SegmentIndexer::resume(
                &OffsetIndexView::new(188, &out.offset_index),
                &TimeIndexView::new(188, &out.time_index),
                LIMITS,
            );
            let from = resumed.resume_position();
            let rest = spans.iter().filter(|span| span.position >= from);
            rest.for_each(|span| resumed.append(*span, &mut out).unwrap());
            resumed.finish(&mut out).unwrap();
            resumed.finish(&mut out).unwrap();
            assert_eq!(out, whole, "stopped before batch {stop}");
        }
    }

    #[test]
    fn a_full_index_is_announced_before_it_overflows() {
        let limits = IndexLimits { interval_bytes: 1, index_bytes_max: 24 };
        let mut indexer = SegmentIndexer::new(0, limits);
        let mut out = IndexBytes::default();
        let span = |n: u32| BatchSpan { last_offset: n.into(), max_timestamp: n.into(), position: n * 100 };
        indexer.append(span(0), &mut out).unwrap();
        assert!(!indexer.is_full());
        indexer.append(span(1), &mut out).unwrap();
        assert!(indexer.is_full());
        assert!(indexer.append(span(2), &mut out).is_err());
        indexer.finish(&mut out).unwrap();
        assert_eq!(TimeIndexView::check(0, &out.time_index).unwrap().last().unwrap().timestamp, 2);
    }
}
