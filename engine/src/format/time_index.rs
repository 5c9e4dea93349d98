//! The time index of a segment (`.timeindex`): sparse entries from timestamp to offset.
//!
//! | bytes | field |
//! |---|---|
//! | 0..8 | timestamp in milliseconds, i64 big-endian |
//! | 8..12 | offset less the segment's base offset, i32 big-endian |
//!
//! An entry `(t, o)` says: `t` is the greatest timestamp up to `o`, so a record later than `t` comes after offset `o`.
//! `o` is the last offset of the batch that brought `t` (from a Kafka 3.2.0 leader it may be an earlier offset within that
//! batch, see `segment_index`). Kafka tries an entry each time that it adds one to the offset
//! index, and once more when the segment rolls or closes; one whose timestamp is not above the last entry's is dropped.
//! Hence timestamps ascend strictly, and the last entry of a rolled segment holds the segment's greatest timestamp: Kafka
//! takes it from there for retention and rolling, and `kafka-dump-log --verify-index-only` compares it with the log.
//! One entry of `segment.index.bytes` is kept free for that last one.
//!
//! While a segment is active the file is preallocated and zero-filled like the offset index.

use super::{AppendError, Malformed, be_i32, be_i64, partition_point, relative_offset};

const FORMAT: &str = "time index";

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 12;

/// Stands for "no record has a timestamp".
pub const NO_TIMESTAMP: i64 = -1;

/// The greatest timestamp so far and the last offset of the batch that brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Milliseconds since 1970, or [`NO_TIMESTAMP`].
    pub timestamp: i64,
    pub offset: i64,
}

/// Reads the entries of a time index file's bytes.
#[derive(Debug, Clone, Copy)]
pub struct TimeIndexView<'a> {
    base_offset: i64,
    bytes: &'a [u8],
    entries: usize,
}

impl<'a> TimeIndexView<'a> {
    /// Takes the bytes as they are: finds the end of the entries by bisection, in O(log n), and verifies nothing.
    ///
    /// Timestamp 0 at the base offset is a legal first entry, and all zeros. It counts as one where another entry follows
    /// or where it is the whole file, for a file of one entry has been trimmed.
    pub fn new(base_offset: i64, bytes: &'a [u8]) -> Self {
        let slots = bytes.len() / ENTRY_BYTES;
        let is_zero = |n: usize| be_i64(bytes, n * ENTRY_BYTES) == Some(0);
        let after_first = partition_point(slots.saturating_sub(1), |n| !is_zero(n + 1));
        let first_zero = bytes.iter().take(ENTRY_BYTES).all(|byte| *byte == 0);
        let entries = match after_first {
            0 if slots == 0 || (first_zero && slots > 1) => 0,
            more => more + 1,
        };
        Self { base_offset, bytes, entries }
    }

    /// Like [`new`](Self::new), but reads every entry: timestamps must ascend strictly from 0, offsets must not descend nor
    /// lie below the base, the tail must be zeros and the length whole entries. That covers Kafka's own sanity check.
    pub fn check(base_offset: i64, bytes: &'a [u8]) -> Result<Self, Malformed> {
        if !bytes.len().is_multiple_of(ENTRY_BYTES) {
            let expected = format!("a multiple of {ENTRY_BYTES} bytes");
            return Err(Malformed::byte(FORMAT, bytes.len(), expected, format!("{} bytes", bytes.len())));
        }
        let view = Self::new(base_offset, bytes);
        let (mut last_timestamp, mut last_relative) = (NO_TIMESTAMP, 0);
        for n in 0..view.entries {
            let (timestamp, relative) = view.raw(n).unwrap_or((NO_TIMESTAMP, -1));
            if timestamp <= last_timestamp || relative < last_relative {
                let expected = format!("an entry above ({last_timestamp}, {last_relative})");
                return Err(Malformed::byte(
                    FORMAT,
                    n * ENTRY_BYTES,
                    expected,
                    format!("({timestamp}, {relative})"),
                ));
            }
            (last_timestamp, last_relative) = (timestamp, relative);
        }
        match bytes.iter().skip(view.entries * ENTRY_BYTES).position(|byte| *byte != 0) {
            None => Ok(view),
            Some(at) => {
                let at = view.entries * ENTRY_BYTES + at;
                Err(Malformed::byte(FORMAT, at, "zeros behind the last entry", "another byte"))
            }
        }
    }

    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Number of entries, the zero-filled tail not counted.
    pub fn len(&self) -> usize {
        self.entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The bytes of the entries alone: what the file holds once trimmed.
    pub fn trimmed(&self) -> &'a [u8] {
        self.bytes.get(..self.entries * ENTRY_BYTES).unwrap_or_default()
    }

    pub fn entry(&self, n: usize) -> Option<TimestampOffset> {
        if n >= self.entries {
            return None;
        }
        let (timestamp, relative) = self.raw(n)?;
        Some(TimestampOffset { timestamp, offset: self.base_offset.wrapping_add(relative.into()) })
    }

    pub fn last(&self) -> Option<TimestampOffset> {
        self.entry(self.entries.checked_sub(1)?)
    }

    pub fn iter(&self) -> impl Iterator<Item = TimestampOffset> + use<'a> {
        let view = *self;
        (0..view.entries).filter_map(move |n| view.entry(n))
    }

    /// The greatest entry at or below `target` milliseconds: no record before its offset is later than its timestamp, so the
    /// search for the first record at or after `target` starts there. Below the first entry:
    /// `(NO_TIMESTAMP, base offset)`.
    pub fn lookup(&self, target: i64) -> TimestampOffset {
        partition_point(self.entries, |n| self.entry(n).is_some_and(|entry| entry.timestamp <= target))
            .checked_sub(1)
            .and_then(|n| self.entry(n))
            .unwrap_or(TimestampOffset { timestamp: NO_TIMESTAMP, offset: self.base_offset })
    }

    /// How many entries stay when the log is truncated to end before `offset`: those below it.
    pub fn entries_below(&self, offset: i64) -> usize {
        partition_point(self.entries, |n| self.entry(n).is_some_and(|entry| entry.offset < offset))
    }

    fn raw(&self, n: usize) -> Option<(i64, i32)> {
        Some((be_i64(self.bytes, n * ENTRY_BYTES)?, be_i32(self.bytes, n * ENTRY_BYTES + 8)?))
    }
}

/// Encodes entries in order into a buffer of the caller's, keeping only the last entry and a count.
#[derive(Debug, Clone)]
pub struct TimeIndexAppender {
    base_offset: i64,
    entries: usize,
    entries_max: usize,
    last: Option<TimestampOffset>,
}

impl TimeIndexAppender {
    /// `index_bytes_max` is `segment.index.bytes`; it holds that many whole entries.
    pub fn new(base_offset: i64, index_bytes_max: usize) -> Self {
        Self { base_offset, entries: 0, entries_max: index_bytes_max / ENTRY_BYTES, last: None }
    }

    /// Continues behind the entries of `view`.
    pub fn resume(view: &TimeIndexView<'_>, index_bytes_max: usize) -> Self {
        Self { entries: view.len(), last: view.last(), ..Self::new(view.base_offset(), index_bytes_max) }
    }

    /// Appends the 12 bytes of `entry` to `out` if its timestamp is above the last entry's; says whether it did.
    pub fn maybe_append(&mut self, entry: TimestampOffset, out: &mut Vec<u8>) -> Result<bool, AppendError> {
        if self.is_full() {
            return Err(AppendError::Full { entries: self.entries });
        }
        self.append_later(entry, out)
    }

    /// The last entry of a segment that rolls or closes: may use the entry kept free for it.
    pub fn finish(&mut self, entry: TimestampOffset, out: &mut Vec<u8>) -> Result<bool, AppendError> {
        self.append_later(entry, out)
    }

    /// A full index makes its segment roll before the next append. One entry is kept free for [`finish`](Self::finish).
    pub fn is_full(&self) -> bool {
        self.entries + 1 >= self.entries_max
    }

    pub fn entries(&self) -> usize {
        self.entries
    }

    pub fn last(&self) -> Option<TimestampOffset> {
        self.last
    }

    fn append_later(&mut self, entry: TimestampOffset, out: &mut Vec<u8>) -> Result<bool, AppendError> {
        let last_timestamp = self.last.map_or(NO_TIMESTAMP, |last| last.timestamp);
        if entry.timestamp <= last_timestamp {
            return Ok(false);
        }
        if self.entries >= self.entries_max {
            return Err(AppendError::Full { entries: self.entries });
        }
        if let Some(last) = self.last.filter(|last| entry.offset < last.offset) {
            return Err(AppendError::NotAscending { last: last.offset, got: entry.offset });
        }
        let relative = relative_offset(self.base_offset, entry.offset)?;
        out.extend_from_slice(&entry.timestamp.to_be_bytes());
        out.extend_from_slice(&relative.to_be_bytes());
        self.entries += 1;
        self.last = Some(entry);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROLLED: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/segment/00000000000000000188.timeindex");
    const ACTIVE: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/active/00000000000000000560.timeindex");
    const CLOSED: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/closed/00000000000000000560.timeindex");

    fn encode(base: i64, entries: &[TimestampOffset]) -> Vec<u8> {
        let mut appender = TimeIndexAppender::new(base, (entries.len() + 1) * ENTRY_BYTES);
        let mut bytes = Vec::new();
        for entry in entries {
            assert!(appender.maybe_append(*entry, &mut bytes).unwrap());
        }
        bytes
    }

    #[test]
    fn reads_what_kafka_wrote() {
        let view = TimeIndexView::check(188, ROLLED).unwrap();
        let first = TimestampOffset { timestamp: 0x1a2_048c_9079, offset: 195 };
        assert_eq!(view.len(), ROLLED.len() / ENTRY_BYTES);
        assert_eq!(view.entry(0), Some(first));
        assert_eq!(view.lookup(first.timestamp), first);
        assert_eq!(
            view.lookup(first.timestamp - 1),
            TimestampOffset { timestamp: NO_TIMESTAMP, offset: 188 }
        );
        assert_eq!(Some(view.lookup(i64::MAX)), view.last());
        assert_eq!(encode(188, &view.iter().collect::<Vec<_>>()), ROLLED);
    }

    #[test]
    fn preallocated_tail_is_not_entries() {
        let view = TimeIndexView::check(560, ACTIVE).unwrap();
        assert_eq!(ACTIVE.len(), 1020);
        assert_eq!(view.trimmed(), CLOSED);
    }

    #[test]
    fn timestamp_zero_at_the_base_is_an_entry_only_where_it_can_be_told() {
        let zero = TimestampOffset { timestamp: 0, offset: 7 };
        assert_eq!(TimeIndexView::new(7, &[0; 12]).last(), Some(zero));
        assert_eq!(TimeIndexView::new(7, &[0; 24]).last(), None);
        let two = encode(7, &[zero, TimestampOffset { timestamp: 1, offset: 8 }]);
        assert_eq!(TimeIndexView::check(7, &two).unwrap().len(), 2);
    }

    #[test]
    fn one_entry_is_kept_for_the_roll() {
        let mut appender = TimeIndexAppender::new(0, 2 * ENTRY_BYTES);
        let mut out = Vec::new();
        let at = |timestamp, offset| TimestampOffset { timestamp, offset };
        assert_eq!(appender.maybe_append(at(NO_TIMESTAMP, 0), &mut out), Ok(false));
        assert_eq!(appender.maybe_append(at(5, 1), &mut out), Ok(true));
        assert!(appender.is_full());
        assert_eq!(appender.maybe_append(at(6, 2), &mut out), Err(AppendError::Full { entries: 1 }));
        assert_eq!(appender.finish(at(5, 2), &mut out), Ok(false));
        assert!(appender.finish(at(6, 0), &mut out).is_err());
        assert_eq!(appender.finish(at(6, 2), &mut out), Ok(true));
        assert!(appender.finish(at(7, 3), &mut out).is_err());
        assert_eq!(out.len(), 24);
    }

    fn ascending() -> impl Strategy<Value = (i64, Vec<TimestampOffset>)> {
        (0..i64::MAX / 2, prop::collection::vec((1i64..1000, 0i64..1000), 0..200)).prop_map(
            |(base, steps)| {
                let mut entry = TimestampOffset { timestamp: 0, offset: base };
                let entries = steps.into_iter().map(|(later, offsets)| {
                    entry.timestamp += later;
                    entry.offset += offsets;
                    entry
                });
                (base, entries.collect())
            },
        )
    }

    proptest! {
        #[test]
        fn round_trip_and_lookup_as_a_linear_scan((base, entries) in ascending(), tail in 0usize..50, target in 0i64..200_000) {
            let mut bytes = encode(base, &entries);
            bytes.resize(bytes.len() + if entries.is_empty() { 24 } else { tail * ENTRY_BYTES }, 0);
            let view = TimeIndexView::check(base, &bytes).unwrap();
            prop_assert_eq!(view.iter().collect::<Vec<_>>(), entries.clone());
            let scanned = entries.iter().rev().find(|entry| entry.timestamp <= target).copied();
            prop_assert_eq!(view.lookup(target), scanned.unwrap_or(TimestampOffset { timestamp: NO_TIMESTAMP, offset: base }));
        }

        #[test]
        fn any_bytes_are_survived(base: i64, bytes: Vec<u8>, target: i64) {
            let view = TimeIndexView::new(base, &bytes);
            let _ = (view.lookup(target), view.entries_below(target), view.iter().count());
            let _ = TimeIndexView::check(base, &bytes);
        }
    }
}
