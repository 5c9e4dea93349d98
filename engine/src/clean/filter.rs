//! One batch through the cleaner: which of its records stay, and the batch that is left.
//!
//! Kafka's rules (`LogCleaner`, `MemoryRecords.filterTo`, KIP-534). Base offset, last offset, leader epoch, sequence and
//! producer stay what they are, whatever goes: a reader sees a gap and no other offsets, a producer's state is what it
//! was. The first cleaning that meets a tombstone and keeps it sets the batch's delete horizon, in place of the base
//! timestamp; once that has passed, a later cleaning drops it.

use std::ops::Range;

use thalweg_protocol::batch::{
    ATTRIBUTE_CODEC_MASK, ATTRIBUTE_DELETE_HORIZON, ATTRIBUTES_AT, BASE_TIMESTAMP_AT, BATCH_LENGTH_AT,
    BatchView, COUNT_AT, CRC_AT, Codec, HEADER_BYTES, LOG_OVERHEAD_BYTES, MAX_TIMESTAMP_AT, NO_TIMESTAMP,
    Record, RecordError, Records, TimestampType,
};
use thalweg_protocol::varint;

use super::offset_map::OffsetMap;

/// What decides on a record besides its key.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub map: &'a OffsetMap,
    pub now_ms: i64,
    pub delete_retention_ms: u64,
}

/// The records of a batch that stay, found in slices so that the shard's other tasks get their turn.
pub(super) struct Sieve<'a> {
    view: BatchView<'a>,
    body: &'a [u8],
    records: Records<'a>,
    /// Bytes of the body that stay, adjoining ones together.
    kept: Vec<Range<usize>>,
    kept_count: i32,
    count: i32,
    has_tombstone: bool,
    max_delta: i64,
}

/// What is left of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// All of it, as it is.
    Whole,
    Nothing,
    /// Some records, in a body that is not packed yet.
    Part(Part),
}

/// A batch in the making.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub header: [u8; HEADER_BYTES],
    pub body: Vec<u8>,
}

impl<'a> Sieve<'a> {
    /// `body`: the batch's records, unpacked.
    pub fn new(view: BatchView<'a>, body: &'a [u8]) -> Sieve<'a> {
        Sieve {
            view,
            body,
            records: Records::new(body, view.count()),
            kept: Vec::new(),
            kept_count: 0,
            count: 0,
            has_tombstone: false,
            max_delta: i64::MIN,
        }
    }

    /// Looks at the next records, `bytes_max` bytes of them or one. False: there are no more.
    pub fn step(&mut self, rules: &Rules<'_>, bytes_max: usize) -> Result<bool, RecordError> {
        let from = self.records.position();
        while self.records.position() - from < bytes_max {
            let start = self.records.position();
            let Some(record) = self.records.next().transpose()? else { return Ok(false) };
            self.count += 1;
            if self.stays(&record, rules) {
                self.keep(start..self.records.position(), &record);
            }
        }
        Ok(true)
    }

    fn stays(&self, record: &Record<'_>, rules: &Rules<'_>) -> bool {
        let offset = self.view.base_offset() + i64::from(record.offset_delta);
        if offset > rules.map.latest() {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_last = rules.map.get(key).is_none_or(|last| offset >= last);
        let may_go = record.value.is_none() && horizon(&self.view).is_some_and(|at| at <= rules.now_ms);
        is_last && !may_go
    }

    fn keep(&mut self, range: Range<usize>, record: &Record<'_>) {
        self.kept_count += 1;
        self.has_tombstone |= record.value.is_none();
        self.max_delta = self.max_delta.max(record.timestamp_delta);
        match self.kept.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.kept.push(range),
        }
    }

    /// What is left, after the last step.
    pub fn finish(self, rules: &Rules<'_>) -> Kept {
        let sets_horizon = self.has_tombstone && horizon(&self.view).is_none();
        if self.kept_count == 0 {
            return Kept::Nothing;
        }
        if self.kept_count == self.count && !sets_horizon {
            return Kept::Whole;
        }
        let retention_ms = i64::try_from(rules.delete_retention_ms).unwrap_or(i64::MAX);
        let new_base = sets_horizon.then(|| rules.now_ms.saturating_add(retention_ms));
        let body = match new_base {
            None => self.kept.iter().flat_map(|range| &self.body[range.clone()]).copied().collect(),
            Some(base) => self.rebased(base),
        };
        let mut header = header_of(&self.view);
        if let Some(base) = new_base {
            put(&mut header, BASE_TIMESTAMP_AT, &base.to_be_bytes());
            let attributes = self.view.attributes() | ATTRIBUTE_DELETE_HORIZON;
            put(&mut header, ATTRIBUTES_AT, &attributes.to_be_bytes());
        }
        if self.view.timestamp_type() == TimestampType::CreateTime {
            let greatest = self.view.base_timestamp().saturating_add(self.max_delta);
            put(&mut header, MAX_TIMESTAMP_AT, &greatest.to_be_bytes());
        }
        put(&mut header, COUNT_AT, &self.kept_count.to_be_bytes());
        Kept::Part(Part { header, body })
    }

    /// The kept records with their times counted from another base.
    fn rebased(&self, base: i64) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len());
        let mut record_bytes = Vec::new();
        for range in &self.kept {
            // They were decoded before: what is kept is sound.
            let mut rest = &self.body[range.clone()];
            while let Ok((length, prefix)) = varint::read_zigzag(rest) {
                let end = prefix + length.unsigned_abs() as usize;
                let record = &rest[prefix..end];
                let Ok((delta, delta_bytes)) = varint::read_zigzag_long(&record[1..]) else { break };
                let time = self.view.base_timestamp().wrapping_add(delta);
                record_bytes.clear();
                record_bytes.push(record[0]);
                varint::put_zigzag_long(&mut record_bytes, time.wrapping_sub(base));
                record_bytes.extend_from_slice(&record[1 + delta_bytes..]);
                varint::put_zigzag(&mut out, i32::try_from(record_bytes.len()).unwrap_or(i32::MAX));
                out.extend_from_slice(&record_bytes);
                rest = &rest[end..];
            }
        }
        out
    }
}

impl Part {
    /// The batch with its body as given: packed with the codec that the header names.
    pub fn seal(mut self, body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(HEADER_BYTES - LOG_OVERHEAD_BYTES + body.len()).unwrap_or(i32::MAX);
        put(&mut self.header, BATCH_LENGTH_AT, &length.to_be_bytes());
        let mut batch = Vec::with_capacity(HEADER_BYTES + body.len());
        batch.extend_from_slice(&self.header);
        batch.extend_from_slice(body);
        let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
        batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
        batch
    }
}

/// The batch with its records packed otherwise: `body` is what `codec` made of them.
pub(crate) fn repacked(view: &BatchView<'_>, codec: Codec, body: &[u8]) -> Vec<u8> {
    let mut header = header_of(view);
    let attributes = view.attributes() & !ATTRIBUTE_CODEC_MASK | codec as i16;
    put(&mut header, ATTRIBUTES_AT, &attributes.to_be_bytes());
    Part { header, body: Vec::new() }.seal(body)
}

/// A batch without records in place of one: it keeps a producer's last sequence, and its own offsets.
pub(super) fn emptied(view: &BatchView<'_>) -> Vec<u8> {
    let mut header = header_of(view);
    let attributes = view.attributes() & !(ATTRIBUTE_CODEC_MASK | ATTRIBUTE_DELETE_HORIZON);
    put(&mut header, ATTRIBUTES_AT, &attributes.to_be_bytes());
    put(&mut header, BASE_TIMESTAMP_AT, &NO_TIMESTAMP.to_be_bytes());
    put(&mut header, COUNT_AT, &0_i32.to_be_bytes());
    Part { header, body: Vec::new() }.seal(&[])
}

/// The codec of a batch that may be cleaned. An error says why not.
pub(super) fn cleanable_codec(view: &BatchView<'_>) -> Result<Codec, String> {
    if view.is_transactional() && !view.is_control() {
        return Err("it holds a transaction, and which were aborted is not known to this version".into());
    }
    view.codec().ok_or_else(|| "a batch has an unknown compression codec".into())
}

/// When the batch's tombstones may go.
fn horizon(view: &BatchView<'_>) -> Option<i64> {
    view.has_delete_horizon().then(|| view.base_timestamp())
}

fn header_of(view: &BatchView<'_>) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header.copy_from_slice(&view.bytes()[..HEADER_BYTES]);
    header
}

fn put(header: &mut [u8; HEADER_BYTES], at: usize, field: &[u8]) {
    header[at..at + field.len()].copy_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_protocol::batch::{BatchBuilder, stamp};

    const NOW: i64 = 1_700_000_000_000;

    fn map(entries: &[(&[u8], i64)]) -> OffsetMap {
        let mut map = OffsetMap::new(100, 1 << 16, 0.9, (3, 4));
        entries.iter().for_each(|(key, offset)| assert!(map.put(key, *offset)));
        map
    }

    fn batch() -> Vec<u8> {
        let mut batch = BatchBuilder::new()
            .producer(9, 1, 40)
            .record(NOW, Some(b"a"), Some(b"1"))
            .record(NOW + 50, Some(b"b"), None)
            .record(NOW + 20, Some(b"c"), Some(b"3"))
            .record(NOW + 30, None, Some(b"no key"))
            .build();
        stamp(&mut batch, 100, 7);
        batch
    }

    fn sift(batch: &[u8], map: &OffsetMap, now_ms: i64) -> Kept {
        let view = BatchView::parse(batch).unwrap();
        let rules = Rules { map, now_ms, delete_retention_ms: 1_000 };
        let mut sieve = Sieve::new(view, view.body());
        while sieve.step(&rules, 1).unwrap() {}
        sieve.finish(&rules)
    }

    fn sealed(kept: Kept) -> Vec<u8> {
        let Kept::Part(part) = kept else { panic!("{kept:?}") };
        let body = part.body.clone();
        part.seal(&body)
    }

    fn records(batch: &[u8]) -> Vec<(i64, i64, Option<Vec<u8>>)> {
        let view = BatchView::parse(batch).unwrap();
        assert!(view.crc_ok());
        let record = |record: Result<Record<'_>, RecordError>| {
            let record = record.unwrap();
            let offset = view.base_offset() + i64::from(record.offset_delta);
            (offset, view.base_timestamp() + record.timestamp_delta, record.key.map(<[u8]>::to_vec))
        };
        view.records().unwrap().map(record).collect()
    }

    #[test]
    fn older_records_and_those_without_a_key_go_and_the_rest_keeps_its_place() {
        let batch = batch();
        let left = sealed(sift(&batch, &map(&[(b"a", 500), (b"b", 101), (b"c", 102)]), NOW));
        let view = BatchView::parse(&left).unwrap();
        assert_eq!((view.base_offset(), view.last_offset(), view.count()), (100, 103, 2));
        assert_eq!((view.producer_id(), view.base_sequence(), view.leader_epoch()), (9, 40, 7));
        assert_eq!(view.max_timestamp(), NOW + 50);
        assert_eq!(
            records(&left),
            [(101, NOW + 50, Some(b"b".to_vec())), (102, NOW + 20, Some(b"c".to_vec()))]
        );
    }

    #[test]
    fn a_tombstone_gets_its_horizon_once_and_goes_when_it_has_passed() {
        let map = map(&[(b"a", 500), (b"b", 101), (b"c", 102)]);
        let first = sealed(sift(&batch(), &map, NOW));
        let view = BatchView::parse(&first).unwrap();
        assert!(view.has_delete_horizon());
        assert_eq!(view.base_timestamp(), NOW + 1_000);
        assert_eq!(sift(&first, &map, NOW + 999), Kept::Whole, "the horizon is not moved");
        let later = sealed(sift(&first, &map, NOW + 1_000));
        assert_eq!(records(&later), [(102, NOW + 20, Some(b"c".to_vec()))]);
        assert!(BatchView::parse(&later).unwrap().has_delete_horizon());
    }

    #[test]
    fn records_that_the_map_has_not_seen_stay() {
        let one = BatchBuilder::new().base_offset(100).record(5, None, Some(b"v")).build();
        assert_eq!(sift(&one, &map(&[(b"x", 99)]), NOW), Kept::Whole);
        assert_eq!(sift(&one, &map(&[(b"x", 100)]), NOW), Kept::Nothing);
    }

    #[test]
    fn an_emptied_batch_keeps_offsets_and_producer() {
        let empty = emptied(&BatchView::parse(&batch()).unwrap());
        let view = BatchView::parse(&empty).unwrap();
        assert!(view.crc_ok());
        assert_eq!((view.base_offset(), view.last_offset(), view.count()), (100, 103, 0));
        assert_eq!((view.producer_id(), view.producer_epoch(), view.base_sequence()), (9, 1, 40));
        assert_eq!((view.total_bytes(), view.max_timestamp()), (HEADER_BYTES, NOW + 50));
    }
}
