//! Batches of the metadata log: a change is one; the whole state, a snapshot, is one or several.
//!
//! What the first record of a batch has as its key says what the batch is: no key, a change; `snapshot`, the whole state;
//! `snapshot.first`, `snapshot.more` and `snapshot.last`, parts of it in this order with nothing in between. Parts count
//! once the last is there: a crash before that leaves a beginning that is passed over, and what the log said before holds.

use bytes::Bytes;
use thalweg_engine::format::metadata_record::{DecodeError, MetadataRecord};
use thalweg_protocol::batch::{BatchBuilder, BatchView, RecordError};

use super::controller::ChangeError;
use super::replay::{Contradiction, Replay};
use crate::bounds::METADATA_SNAPSHOT_BATCH_BYTES;

const WHOLE: &[u8] = b"snapshot";
const FIRST: &[u8] = b"snapshot.first";
const MORE: &[u8] = b"snapshot.more";
const LAST: &[u8] = b"snapshot.last";

/// What is wrong with a batch that is whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum BatchFault {
    #[error("the batch is compressed, which metadata is not")]
    Compressed,
    #[error("a record has no value")]
    NoValue,
    #[error("it goes on with a snapshot that does not begin")]
    NoFirst,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Contradiction(#[from] Contradiction),
}

/// The batch of a change.
///
/// # Errors
/// A record that cannot be written.
pub(super) fn encode(records: &[MetadataRecord], timestamp_ms: i64) -> Result<Bytes, ChangeError> {
    let mut batch = BatchBuilder::new();
    let mut value = Vec::new();
    for record in records {
        encode_record(record, &mut value)?;
        batch.push(timestamp_ms, None, Some(&value), &[]);
    }
    Ok(Bytes::from(batch.build()))
}

/// The batches of a snapshot, each of about [`METADATA_SNAPSHOT_BATCH_BYTES`] at most.
///
/// # Errors
/// A record that cannot be written.
pub(super) fn encode_snapshot(
    records: &[MetadataRecord],
    timestamp_ms: i64,
) -> Result<Vec<Bytes>, ChangeError> {
    // A batch's key depends on whether there are others, so they are divided first.
    let mut parts: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut part_bytes = 0;
    for record in records {
        let mut value = Vec::new();
        encode_record(record, &mut value)?;
        part_bytes += value.len();
        match parts.last_mut() {
            Some(part) if part_bytes <= METADATA_SNAPSHOT_BATCH_BYTES => part.push(value),
            _ => {
                part_bytes = value.len();
                parts.push(vec![value]);
            }
        }
    }
    let last = parts.len().saturating_sub(1);
    let key = |place| match place {
        0 if last == 0 => WHOLE,
        0 => FIRST,
        place if place == last => LAST,
        _ => MORE,
    };
    let batch = |(place, values): (usize, Vec<Vec<u8>>)| {
        let mut batch = BatchBuilder::new();
        let mut key = Some(key(place));
        values.iter().for_each(|value| batch.push(timestamp_ms, key.take(), Some(value), &[]));
        Bytes::from(batch.build())
    };
    Ok(parts.into_iter().enumerate().map(batch).collect())
}

fn encode_record(record: &MetadataRecord, value: &mut Vec<u8>) -> Result<(), ChangeError> {
    value.clear();
    record.encode(value).map_err(|error| ChangeError::Storage(error.to_string()))
}

/// What the batches so far add up to.
#[derive(Default)]
pub(super) struct Reader {
    replay: Replay,
    /// What the parts of a snapshot add up to, of which the last has not come.
    partial: Option<Replay>,
}

impl Reader {
    /// Applies one batch. True if it completes a snapshot, so that nothing before counts any more.
    pub(super) fn apply(&mut self, view: &BatchView<'_>) -> Result<bool, BatchFault> {
        // A KRaft controller's notes to itself (KIP-595).
        if view.is_control() {
            return Ok(false);
        }
        if view.attributes() & 0x07 != 0 {
            return Err(BatchFault::Compressed);
        }
        let first = view.records()?.next().transpose()?;
        let key = first.and_then(|record| record.key).unwrap_or_default();
        // A part applies to a copy of its own, so that an unfinished snapshot changes nothing.
        let mut target = match key {
            WHOLE | FIRST => Replay::of_snapshot(),
            MORE | LAST => self.partial.take().ok_or(BatchFault::NoFirst)?,
            _ => std::mem::take(&mut self.replay),
        };
        for record in view.records()? {
            target.apply(MetadataRecord::decode(record?.value.ok_or(BatchFault::NoValue)?)?)?;
        }
        match key {
            FIRST | MORE => self.partial = Some(target),
            _ => (self.replay, self.partial) = (target, None),
        }
        Ok(matches!(key, WHOLE | LAST))
    }

    /// Whether what was read begins with a snapshot, or with the first part of one.
    pub(super) fn is_from_snapshot(&self) -> bool {
        self.replay.from_snapshot || self.partial.is_some()
    }

    /// The state, without a snapshot that is not complete.
    pub(super) fn finish(self) -> Replay {
        self.replay
    }
}

#[cfg(test)]
mod tests {
    use thalweg_engine::format::metadata_record::TopicRecord;
    use thalweg_protocol::batch::BatchHeaderWalker;
    use uuid::Uuid;

    use super::*;

    fn topics(names: std::ops::Range<u128>) -> Vec<MetadataRecord> {
        let topic = |id| TopicRecord { name: format!("{id:0>200}"), topic_id: Uuid::from_u128(200 + id) };
        names.map(|id| topic(id).into()).collect()
    }

    /// The number of topics after `batches`, and after which of them a snapshot was complete.
    fn read(batches: &[Bytes]) -> Result<(usize, Vec<bool>), BatchFault> {
        let mut reader = Reader::default();
        let mut complete = Vec::new();
        for batch in batches {
            let mut walker = BatchHeaderWalker::checked(batch);
            let (_, view) = walker.next_view().unwrap().unwrap();
            complete.push(reader.apply(&view)?);
        }
        Ok((reader.finish().topics.len(), complete))
    }

    /// Enough for several batches.
    const MANY: u128 = 10_000;

    #[test]
    fn a_small_snapshot_is_one_batch_and_replaces_what_was_before() {
        let snapshot = encode_snapshot(&topics(0..5), 0).unwrap();
        assert_eq!(snapshot.len(), 1);
        let all =
            [vec![encode(&topics(0..9), 0).unwrap()], snapshot, vec![encode(&topics(5..7), 0).unwrap()]];
        assert_eq!(read(&all.concat()).unwrap(), (7, vec![false, true, false]));
    }

    /// A state beyond one batch could not be stored, so the log was never cut and grew for ever.
    #[test]
    fn a_large_snapshot_counts_once_its_last_batch_is_there() {
        let snapshot = encode_snapshot(&topics(0..MANY), 0).unwrap();
        assert!(snapshot.len() > 2);
        assert!(snapshot.iter().all(|batch| batch.len() < 2 * METADATA_SNAPSHOT_BATCH_BYTES));
        let before = vec![encode(&topics(0..9), 0).unwrap()];
        let later = vec![encode(&topics(MANY..MANY + 2), 0).unwrap()];
        let (count, complete) = read(&[before.clone(), snapshot.clone(), later.clone()].concat()).unwrap();
        assert_eq!(count, 10_002);
        assert_eq!(complete.iter().rposition(|complete| *complete), Some(snapshot.len()));
        // The server crashed before the last batch, went on, and took another snapshot later.
        let part = &snapshot[..snapshot.len() - 1];
        assert_eq!(read(&[&before, part].concat()).unwrap().0, 9);
        assert_eq!(read(&[&before, part, &later].concat()).unwrap().0, 11);
        assert_eq!(read(&[&before, part, &snapshot, &later].concat()).unwrap().0, 10_002);
        assert_eq!(read(&[&before, part, &later, &snapshot].concat()).unwrap().0, 10_000);
    }

    #[test]
    fn a_part_without_its_beginning_is_a_fault() {
        let snapshot = encode_snapshot(&topics(0..MANY), 0).unwrap();
        assert!(matches!(read(&snapshot[1..]), Err(BatchFault::NoFirst)));
        let between = [&snapshot[..1], &[encode(&topics(0..1), 0).unwrap()], &snapshot[1..]].concat();
        assert!(matches!(read(&between), Err(BatchFault::NoFirst)));
    }
}
