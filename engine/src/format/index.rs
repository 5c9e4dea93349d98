//! The offset index of a segment (`.index`): sparse entries from offset to byte position in the `.log`.
//!
//! | bytes | field |
//! |---|---|
//! | 0..4 | offset less the segment's base offset, i32 big-endian |
//! | 4..8 | position of the batch in the `.log`, i32 big-endian |
//!
//! The offset of an entry is the **last** offset of the batch at its position. Kafka indexes a batch when more than
//! `index.interval.bytes` of log lie between it and the last indexed batch, so never the batch at position 0.
//! While a segment is active Kafka keeps the file preallocated (`segment.index.bytes`, rounded down to whole entries)
//! and zero-filled behind the entries; a roll or a clean close trims it. Since no entry has position 0, an all-zero entry
//! is the end.
//!
//! Entries are hints: a reader verifies the batch header at the position that it gets.

use super::{AppendError, Malformed, be_i32, partition_point, relative_offset};

const FORMAT: &str = "offset index";

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 8;

/// A batch's last offset and the byte position of that batch in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetPosition {
    pub offset: i64,
    /// Bytes from the segment's start, at most 2^31 - 1.
    pub position: u32,
}

/// Reads the entries of an index file's bytes.
#[derive(Debug, Clone, Copy)]
pub struct OffsetIndexView<'a> {
    base_offset: i64,
    bytes: &'a [u8],
    entries: usize,
}

impl<'a> OffsetIndexView<'a> {
    /// Takes the bytes as they are: finds the end of the entries by bisection, in O(log n), and verifies nothing.
    /// On bytes that are no index, lookups give wrong hints and nothing worse.
    pub fn new(base_offset: i64, bytes: &'a [u8]) -> Self {
        let slots = bytes.len() / ENTRY_BYTES;
        let entries = partition_point(slots, |n| be_i32(bytes, n * ENTRY_BYTES + 4) != Some(0));
        Self { base_offset, bytes, entries }
    }

    /// Like [`new`](Self::new), but reads every entry: offsets and positions must ascend strictly, the tail must be zeros
    /// and the length whole entries. That is more than Kafka's own sanity check (whole entries, last offset not below base).
    pub fn check(base_offset: i64, bytes: &'a [u8]) -> Result<Self, Malformed> {
        if !bytes.len().is_multiple_of(ENTRY_BYTES) {
            let expected = format!("a multiple of {ENTRY_BYTES} bytes");
            return Err(Malformed::byte(FORMAT, bytes.len(), expected, format!("{} bytes", bytes.len())));
        }
        let view = Self::new(base_offset, bytes);
        let (mut last_relative, mut last_position) = (-1, 0);
        for n in 0..view.entries {
            let (relative, position) = view.raw(n).unwrap_or((-1, -1));
            if relative <= last_relative || position <= last_position {
                let expected = format!("an entry above ({last_relative}, {last_position})");
                return Err(Malformed::byte(
                    FORMAT,
                    n * ENTRY_BYTES,
                    expected,
                    format!("({relative}, {position})"),
                ));
            }
            (last_relative, last_position) = (relative, position);
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

    pub fn entry(&self, n: usize) -> Option<OffsetPosition> {
        if n >= self.entries {
            return None;
        }
        let (relative, position) = self.raw(n)?;
        Some(OffsetPosition {
            offset: self.base_offset.wrapping_add(relative.into()),
            position: position.max(0).unsigned_abs(),
        })
    }

    pub fn last(&self) -> Option<OffsetPosition> {
        self.entry(self.entries.checked_sub(1)?)
    }

    pub fn iter(&self) -> impl Iterator<Item = OffsetPosition> + use<'a> {
        let view = *self;
        (0..view.entries).filter_map(move |n| view.entry(n))
    }

    /// The greatest entry at or below `target`: where to start reading for that offset. Below the first entry this is
    /// the start of the segment, `(base offset, 0)`.
    pub fn lookup(&self, target: i64) -> OffsetPosition {
        partition_point(self.entries, |n| self.entry(n).is_some_and(|entry| entry.offset <= target))
            .checked_sub(1)
            .and_then(|n| self.entry(n))
            .unwrap_or(OffsetPosition { offset: self.base_offset, position: 0 })
    }

    /// The smallest entry at or beyond byte `position`: its offset bounds from above what lies before that byte.
    /// `None` behind the last entry.
    pub fn upper_bound(&self, position: u32) -> Option<OffsetPosition> {
        let n =
            partition_point(self.entries, |n| self.entry(n).is_some_and(|entry| entry.position < position));
        self.entry(n)
    }

    /// How many entries stay when the log is truncated to end before `offset`: those below it.
    pub fn entries_below(&self, offset: i64) -> usize {
        partition_point(self.entries, |n| self.entry(n).is_some_and(|entry| entry.offset < offset))
    }

    fn raw(&self, n: usize) -> Option<(i32, i32)> {
        Some((be_i32(self.bytes, n * ENTRY_BYTES)?, be_i32(self.bytes, n * ENTRY_BYTES + 4)?))
    }
}

/// Encodes entries in order. It keeps the last entry and a count, no entries: the caller owns the buffer that they are
/// appended to and may hand it to the disk at any time.
#[derive(Debug, Clone)]
pub struct OffsetIndexAppender {
    base_offset: i64,
    entries: usize,
    entries_max: usize,
    last: Option<OffsetPosition>,
}

impl OffsetIndexAppender {
    /// `index_bytes_max` is `segment.index.bytes`; it holds that many whole entries.
    pub fn new(base_offset: i64, index_bytes_max: usize) -> Self {
        Self { base_offset, entries: 0, entries_max: index_bytes_max / ENTRY_BYTES, last: None }
    }

    /// Continues behind the entries of `view`.
    pub fn resume(view: &OffsetIndexView<'_>, index_bytes_max: usize) -> Self {
        Self { entries: view.len(), last: view.last(), ..Self::new(view.base_offset(), index_bytes_max) }
    }

    /// Appends the 8 bytes of `entry` to `out`.
    pub fn append(&mut self, entry: OffsetPosition, out: &mut Vec<u8>) -> Result<(), AppendError> {
        if self.is_full() {
            return Err(AppendError::Full { entries: self.entries });
        }
        let OffsetPosition { offset, position } = entry;
        let relative = relative_offset(self.base_offset, offset)?;
        let stored = match i32::try_from(position) {
            Ok(stored) if stored > 0 => stored,
            _ => return Err(AppendError::PositionOutOfRange { position }),
        };
        if let Some(last) = self.last {
            if offset <= last.offset {
                return Err(AppendError::NotAscending { last: last.offset, got: offset });
            }
            if position <= last.position {
                return Err(AppendError::NotAscending { last: last.position.into(), got: position.into() });
            }
        }
        out.extend_from_slice(&relative.to_be_bytes());
        out.extend_from_slice(&stored.to_be_bytes());
        self.entries += 1;
        self.last = Some(entry);
        Ok(())
    }

    /// A full index makes its segment roll before the next append.
    pub fn is_full(&self) -> bool {
        self.entries >= self.entries_max
    }

    pub fn entries(&self) -> usize {
        self.entries
    }

    pub fn last(&self) -> Option<OffsetPosition> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROLLED: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/segment/00000000000000000188.index");
    const ACTIVE: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/active/00000000000000000560.index");
    const CLOSED: &[u8] =
        include_bytes!("../../tests/fixtures/kafka-3.2.0/closed/00000000000000000560.index");

    fn encode(base: i64, entries: &[OffsetPosition]) -> Vec<u8> {
        let mut appender = OffsetIndexAppender::new(base, entries.len() * ENTRY_BYTES);
        let mut bytes = Vec::new();
        for entry in entries {
            appender.append(*entry, &mut bytes).unwrap();
        }
        bytes
    }

    #[test]
    fn reads_what_kafka_wrote() {
        let view = OffsetIndexView::check(188, ROLLED).unwrap();
        assert_eq!(view.len(), ROLLED.len() / ENTRY_BYTES);
        assert_eq!(view.entry(0), Some(OffsetPosition { offset: 195, position: 0x20d }));
        assert_eq!(view.lookup(194), OffsetPosition { offset: 188, position: 0 });
        assert_eq!(view.lookup(195).position, 0x20d);
        assert_eq!(view.lookup(200).position, 0x20d);
        assert_eq!(view.lookup(201).position, 0x41a);
        assert_eq!(Some(view.lookup(i64::MAX)), view.last());
        assert_eq!(view.upper_bound(0x20e), Some(OffsetPosition { offset: 201, position: 0x41a }));
        assert_eq!(view.upper_bound(u32::MAX), None);
        assert_eq!(encode(188, &view.iter().collect::<Vec<_>>()), ROLLED);
    }

    #[test]
    fn preallocated_tail_is_not_entries_and_closing_trims_it() {
        let view = OffsetIndexView::check(560, ACTIVE).unwrap();
        assert_eq!(ACTIVE.len(), 1024);
        assert_eq!(view.trimmed(), CLOSED);
    }

    #[test]
    fn refuses_torn_and_unordered_files() {
        assert!(OffsetIndexView::check(188, &ROLLED[..ROLLED.len() - 3]).is_err());
        let mut swapped = ROLLED.to_vec();
        swapped[8..24].rotate_left(8);
        assert!(OffsetIndexView::check(188, &swapped).is_err());
        let mut stained = ACTIVE.to_vec();
        stained[1000] = 1;
        assert!(OffsetIndexView::check(560, &stained).is_err());
    }

    #[test]
    fn appender_refuses_what_kafka_would() {
        let mut appender = OffsetIndexAppender::new(10, 17);
        let mut out = Vec::new();
        let at = |offset, position| OffsetPosition { offset, position };
        assert!(appender.append(at(9, 1), &mut out).is_err());
        assert!(appender.append(at(10 + (1 << 31), 1), &mut out).is_err());
        assert!(appender.append(at(10, 1 << 31), &mut out).is_err());
        appender.append(at(10, 5), &mut out).unwrap();
        assert!(appender.append(at(10, 6), &mut out).is_err());
        assert!(appender.append(at(11, 5), &mut out).is_err());
        appender.append(at(11, 6), &mut out).unwrap();
        assert!(appender.is_full());
        assert_eq!(appender.append(at(12, 7), &mut out), Err(AppendError::Full { entries: 2 }));
        assert_eq!(out.len(), 16);
    }

    fn ascending() -> impl Strategy<Value = (i64, Vec<OffsetPosition>)> {
        (0..i64::MAX / 2, prop::collection::vec((1u32..1000, 1u32..100_000), 0..200)).prop_map(
            |(base, steps)| {
                let (mut offset, mut position) = (base - 1, 0);
                let entries = steps.into_iter().map(|(offsets, bytes)| {
                    offset += i64::from(offsets);
                    position += bytes;
                    OffsetPosition { offset, position }
                });
                (base, entries.collect())
            },
        )
    }

    proptest! {
        #[test]
        fn round_trip_and_lookup_as_a_linear_scan((base, entries) in ascending(), tail in 0usize..50, ahead in 0i64..200_000) {
            let mut bytes = encode(base, &entries);
            bytes.resize(bytes.len() + tail * ENTRY_BYTES, 0);
            let view = OffsetIndexView::check(base, &bytes).unwrap();
            prop_assert_eq!(view.iter().collect::<Vec<_>>(), entries.clone());
            let target = base + ahead;
            let scanned = entries.iter().rev().find(|entry| entry.offset <= target);
            prop_assert_eq!(view.lookup(target), scanned.copied().unwrap_or(OffsetPosition { offset: base, position: 0 }));
            prop_assert_eq!(view.entries_below(target), entries.iter().filter(|entry| entry.offset < target).count());
        }

        #[test]
        fn any_bytes_are_survived(base: i64, bytes: Vec<u8>, target: i64, position: u32) {
            let view = OffsetIndexView::new(base, &bytes);
            let _ = (view.lookup(target), view.upper_bound(position), view.iter().count());
            let _ = OffsetIndexView::check(base, &bytes);
        }
    }
}
