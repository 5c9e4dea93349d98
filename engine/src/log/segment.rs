//! One segment of a log as its shard knows it: where it starts, how long it is, how to find things in it.

use std::path::{Path, PathBuf};

use crate::format::index::OffsetIndexView;
use crate::format::segment_index::{BatchSpan, IndexBytes, IndexLimits, SegmentIndexer};
use crate::format::time_index::{TimeIndexView, TimestampOffset};
use crate::io::Monotonic;
use crate::log::options::LogOptions;

/// How far a segment's files are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Appended to; its index is in memory.
    Active,
    /// Closed to appends; its last bytes and its index are on their way to the disk.
    Closing,
    /// All of it is in files of their true size.
    Closed,
}

/// Where the index of a segment is.
#[derive(Debug)]
pub enum Index {
    /// Complete from byte `complete_from` of the segment on: nothing below it was looked at since an unclean start.
    Memory { indexer: Box<SegmentIndexer>, bytes: IndexBytes, complete_from: u64 },
    /// In `.index` and `.timeindex`.
    Files,
}

/// A contiguous part of a log in one file.
#[derive(Debug)]
pub struct Segment {
    pub base_offset: i64,
    /// Bytes appended so far, whether on disk yet or not.
    pub bytes: u64,
    pub phase: Phase,
    pub index: Index,
    /// Bytes that the file has allocated.
    pub allocated: u64,
    /// Whether the file exists.
    pub created: bool,
    /// Timestamp of the first batch, ms; -1 when it has none or is not known.
    pub first_timestamp_ms: i64,
    /// Greatest timestamp and where; None while unknown (a segment found on disk) or without any.
    pub max_timestamp: Option<TimestampOffset>,
    /// When the first batch was appended by this process.
    pub started: Option<Monotonic>,
    /// Drawn at random: decides on this segment's share of `segment.jitter.ms`.
    pub jitter: u64,
}

impl Segment {
    /// A new, empty segment at the end of a log.
    pub fn new(base_offset: i64, options: &LogOptions, jitter: u64) -> Segment {
        Segment {
            base_offset,
            bytes: 0,
            phase: Phase::Active,
            index: Index::Memory {
                indexer: Box::new(SegmentIndexer::new(base_offset, limits(options))),
                bytes: IndexBytes::default(),
                complete_from: 0,
            },
            allocated: 0,
            created: false,
            first_timestamp_ms: -1,
            max_timestamp: None,
            started: None,
            jitter,
        }
    }

    /// A segment that was found on disk, with its true size.
    pub fn found(base_offset: i64, bytes: u64) -> Segment {
        Segment {
            base_offset,
            bytes,
            phase: Phase::Closed,
            index: Index::Files,
            allocated: bytes,
            created: true,
            first_timestamp_ms: -1,
            max_timestamp: None,
            started: None,
            jitter: 0,
        }
    }

    /// Makes a found segment the one to append to. Its index is in memory from here on.
    pub fn reopen(&mut self, options: &LogOptions) {
        self.phase = Phase::Active;
        self.index_from(options, None);
    }

    /// Keeps the index in memory: on top of `indexed`, complete from the segment's start, or from its end on.
    pub fn index_from(&mut self, options: &LogOptions, indexed: Option<IndexBytes>) {
        let (indexer, bytes, complete_from) = match indexed {
            Some(bytes) => {
                let offsets = OffsetIndexView::new(self.base_offset, &bytes.offset_index);
                let times = TimeIndexView::new(self.base_offset, &bytes.time_index);
                (SegmentIndexer::resume(&offsets, &times, limits(options)), bytes, 0)
            }
            None => {
                (SegmentIndexer::new(self.base_offset, limits(options)), IndexBytes::default(), self.bytes)
            }
        };
        self.max_timestamp = indexer.max_timestamp();
        self.index = Index::Memory { indexer: Box::new(indexer), bytes, complete_from };
    }

    /// Takes note of a batch of `total` bytes at the segment's end.
    pub fn note(&mut self, total: usize, last_offset: i64, timestamp_ms: i64, now: Monotonic) {
        if self.bytes == 0 {
            self.first_timestamp_ms = timestamp_ms;
        }
        self.started.get_or_insert(now);
        if let Index::Memory { indexer, bytes, .. } = &mut self.index {
            let position = u32::try_from(self.bytes).unwrap_or(u32::MAX);
            // Full or out of range: the caller rolls before that (`must_roll`); without the entry a lookup scans more.
            let _ = indexer.append(BatchSpan { last_offset, max_timestamp: timestamp_ms, position }, bytes);
        }
        if timestamp_ms > self.max_timestamp.map_or(-1, |max| max.timestamp) {
            self.max_timestamp = Some(TimestampOffset { timestamp: timestamp_ms, offset: last_offset });
        }
        self.bytes += total as u64;
    }

    /// Whether a batch of `total` bytes that ends at `last_offset` needs a new segment (Kafka's `LogSegment.shouldRoll`).
    pub fn must_roll(
        &self,
        options: &LogOptions,
        total: usize,
        last_offset: i64,
        timestamp_ms: i64,
        now: Monotonic,
    ) -> bool {
        if self.bytes == 0 {
            return false;
        }
        let index_full = matches!(&self.index, Index::Memory { indexer, .. } if indexer.is_full());
        self.bytes + total as u64 > u64::from(options.segment_bytes)
            || last_offset - self.base_offset > i64::from(i32::MAX)
            || index_full
            || self.age_ms(timestamp_ms, now) > self.age_max_ms(options)
    }

    /// Records span less time than this. A compacted log closes its segments in time for `max.compaction.lag.ms`: only
    /// closed ones are cleaned.
    fn age_max_ms(&self, options: &LogOptions) -> u64 {
        let lag_ms = if options.compact { options.max_compaction_lag_ms } else { u64::MAX };
        let jitter_max_ms = options.segment_jitter_ms.min(options.segment_ms);
        let jitter_ms = self.jitter.checked_rem(jitter_max_ms).unwrap_or(0);
        options.segment_ms.min(lag_ms).saturating_sub(jitter_ms)
    }

    /// By the records' own time when they have one, by the broker's clock otherwise.
    fn age_ms(&self, timestamp_ms: i64, now: Monotonic) -> u64 {
        if self.first_timestamp_ms >= 0 && timestamp_ms >= 0 {
            return u64::try_from(timestamp_ms - self.first_timestamp_ms).unwrap_or(0);
        }
        self.started.map_or(0, |started| u64::try_from(now.since(started).as_millis()).unwrap_or(u64::MAX))
    }

    /// Byte of the segment where a search for `offset` starts, when the index is in memory.
    pub fn position_hint(&self, offset: i64) -> Option<u64> {
        let Index::Memory { bytes, .. } = &self.index else { return None };
        let entry = OffsetIndexView::new(self.base_offset, &bytes.offset_index).lookup(offset);
        Some(u64::from(entry.position))
    }

    /// Heap bytes of the index.
    pub fn memory_bytes(&self) -> usize {
        match &self.index {
            Index::Memory { bytes, .. } => bytes.offset_index.capacity() + bytes.time_index.capacity(),
            Index::Files => 0,
        }
    }
}

fn limits(options: &LogOptions) -> IndexLimits {
    IndexLimits {
        interval_bytes: options.index_interval_bytes,
        index_bytes_max: usize::try_from(options.segment_index_bytes).unwrap_or(usize::MAX),
    }
}

/// Which of a segment's files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileKind {
    Log,
    Index,
    TimeIndex,
    Snapshot,
    TransactionIndex,
}

impl FileKind {
    pub const ALL: [FileKind; 5] =
        [FileKind::Log, FileKind::Index, FileKind::TimeIndex, FileKind::Snapshot, FileKind::TransactionIndex];

    fn suffix(self) -> &'static str {
        match self {
            FileKind::Log => "log",
            FileKind::Index => "index",
            FileKind::TimeIndex => "timeindex",
            FileKind::Snapshot => "snapshot",
            FileKind::TransactionIndex => "txnindex",
        }
    }

    /// `00000000000000000000.log` and so on, as Kafka names them.
    pub fn path(self, directory: &Path, base_offset: i64) -> PathBuf {
        directory.join(format!("{base_offset:020}.{}", self.suffix()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> LogOptions {
        LogOptions { segment_bytes: 1000, segment_ms: 100, ..LogOptions::default() }
    }

    #[test]
    fn a_segment_rolls_by_size_time_and_offset_range() {
        let mut segment = Segment::new(5, &options(), 0);
        let now = Monotonic(0);
        assert!(!segment.must_roll(&options(), 5000, 5, 0, now), "an empty segment takes any batch");
        segment.note(600, 5, 1_000, now);
        assert!(!segment.must_roll(&options(), 400, 6, 1_100, now));
        assert!(segment.must_roll(&options(), 401, 6, 1_100, now), "size");
        assert!(segment.must_roll(&options(), 10, 6, 1_101, now), "time of the records");
        assert!(segment.must_roll(&options(), 10, 6, -1, Monotonic(101_000_000)), "time of the broker");
        assert!(segment.must_roll(&options(), 10, 5 + i64::from(i32::MAX) + 1, 1_000, now), "offset range");
    }

    #[test]
    fn names_are_kafkas() {
        let path = FileKind::TimeIndex.path(Path::new("/d/t-0"), 17);
        assert_eq!(path, Path::new("/d/t-0/00000000000000000017.timeindex"));
    }
}
