//! Reads the groups of one partition back, when the server starts or the partition is new.
//!
//! The records are applied in the order of the log, so the last one of each key counts, whether compaction has been
//! there or not. Offsets that a transaction committed count when its marker does, unless something later has counted by
//! then. A record that cannot be read is left out with a line, as Kafka does: the others are somebody's positions. Offsets
//! of topics that are not there any more get their tombstones.

use std::collections::HashMap;
use std::rc::Rc;

use thalweg_engine::error::ReadError;
use thalweg_engine::log::{ReadRequest, unpack};
use thalweg_protocol::batch::{BatchHeaderWalker, BatchView, Codec, Record, Records};

use super::coordinator::{clock, limits};
use super::expiry;
use super::home::{Home, Readiness};
use super::offsets::{CommittedOffset, Offsets};
use super::record::{GroupMetadata, Key, RecordFault, decode_group, decode_key, decode_offset};
use super::state::Group;
use crate::bounds::{GROUP_READ_BYTES, GROUP_READ_PAUSE_MAX, GROUP_READ_PAUSE_MIN, GROUPS_PER_TURN};
use crate::shard::ServerShard;

/// What the records have said so far.
#[derive(Default)]
pub struct Replay {
    groups: HashMap<String, Stored>,
    /// What open transactions have committed, by producer.
    open: HashMap<i64, Vec<Pending>>,
    /// Where the batches begin whose offsets have counted since there are open transactions.
    counted_at: HashMap<OffsetKey, i64>,
    records: u64,
    unread: u64,
}

#[derive(Default)]
struct Stored {
    metadata: Option<GroupMetadata>,
    offsets: Offsets,
}

/// Group, topic, partition.
type OffsetKey = (String, String, i32);

/// An offset that waits for the marker of its transaction.
struct Pending {
    key: OffsetKey,
    /// Where its batch begins.
    base_offset: i64,
    committed: CommittedOffset,
}

/// Starts reading; a partition with nothing in it is ready at once.
pub(super) fn begin(shard: &Rc<ServerShard>, home: &Rc<Home>) {
    if home.log.log_start() == home.log.high_watermark() {
        return home.readiness.set(Readiness::Ready);
    }
    let (shard, home) = (Rc::clone(shard), Rc::clone(home));
    let io = shard.io.clone();
    let load = async move {
        let started = shard.io.now();
        match read(&shard, &home).await {
            Ok(replay) => {
                let (records, unread) = (replay.records, replay.unread);
                let groups = adopt(&shard, &home, replay).await;
                home.readiness.set(Readiness::Ready);
                home.deleted.take();
                let took = shard.io.now().since(started);
                let partition = home.log.name();
                tracing::info!(%partition, groups, records, unread, "Read the consumer groups in {took:?}");
            }
            Err(why) => {
                home.readiness.set(Readiness::Failed);
                tracing::error!(partition = %home.log.name(), "Its consumer groups are not available: {why}");
            }
        }
    };
    io.spawn("group load", load).detach();
}

async fn read(shard: &ServerShard, home: &Home) -> Result<Replay, String> {
    let mut replay = Replay::default();
    let mut rested = 0;
    let mut pause = GROUP_READ_PAUSE_MIN;
    let mut offset = home.log.log_start();
    while offset < home.log.high_watermark() {
        let request = ReadRequest { offset, max_bytes: GROUP_READ_BYTES, at_least_one: true };
        let slice = match home.log.read(request).await {
            Ok(slice) => slice,
            Err(ReadError::Io(failure)) => {
                // It may pass; the groups are not given up for it.
                let partition = home.log.name();
                tracing::warn!(%partition, "Its consumer groups cannot be read, next attempt in {pause:?}: {failure}");
                shard.io.sleep(pause).await;
                pause = (2 * pause).min(GROUP_READ_PAUSE_MAX);
                continue;
            }
            Err(error) => return Err(error.to_string()),
        };
        pause = GROUP_READ_PAUSE_MIN;
        if slice.next_offset <= offset {
            return Err(format!("nothing can be read at offset {offset}"));
        }
        apply(shard, &slice.bytes.concat(), offset, &mut replay, &mut rested).await?;
        offset = slice.next_offset;
    }
    Ok(replay)
}

/// Applies whole batches. One that goes back before the offset asked for is not possible: offsets are read batch by batch.
async fn apply(
    shard: &ServerShard,
    bytes: &[u8],
    from: i64,
    replay: &mut Replay,
    rested: &mut u64,
) -> Result<(), String> {
    let mut walker = BatchHeaderWalker::checked(bytes);
    while let Some(step) = walker.next_view() {
        let (_, view) = step.map_err(|stop| format!("a batch behind offset {from}: {stop}"))?;
        match view.codec() {
            Some(Codec::None) => replay.apply(&view, None),
            Some(codec) => {
                let body = unpack(&shard.io, codec, view.body()).await?;
                replay.apply(&view, Some(&body));
            }
            None => return Err(format!("a batch behind offset {from} has an unknown codec")),
        }
        if replay.records >= *rested + RECORDS_PER_TURN {
            *rested = replay.records;
            shard.io.yield_now().await;
        }
    }
    Ok(())
}

/// Records between two turns for others.
const RECORDS_PER_TURN: u64 = 2000;

async fn adopt(shard: &Rc<ServerShard>, home: &Rc<Home>, replay: Replay) -> usize {
    let mut adopted = 0;
    for (name, stored) in replay.groups {
        if stored.metadata.is_none() && stored.offsets.is_empty() {
            continue;
        }
        if adopted % GROUPS_PER_TURN == 0 {
            shard.io.yield_now().await;
            // The topic may have been deleted meanwhile: nobody would ever forget these groups.
            if !shard.groups.is_current(home) {
                break;
            }
        }
        let group = Group::loaded(limits(shard), stored.metadata, stored.offsets, clock(shard));
        let slot = shard.groups.insert(home, &name, group);
        expiry::drop_orphans(shard, home, &slot);
        adopted += 1;
    }
    adopted
}

/// Where a record comes from.
#[derive(Clone, Copy)]
struct Origin {
    /// Of its batch.
    base_offset: i64,
    /// The producer whose marker it waits for.
    transaction: Option<i64>,
}

impl Replay {
    /// Applies one batch; `body` is what it unpacks to, if it is compressed.
    pub fn apply(&mut self, view: &BatchView<'_>, body: Option<&[u8]>) {
        let records = match body {
            Some(body) => Ok(Records::new(body, view.count())),
            None => view.records(),
        };
        let records = match records {
            Ok(records) => records,
            Err(error) => return self.left_out(&error),
        };
        if view.is_control() {
            return self.end_transaction(view.producer_id(), records);
        }
        let transaction = view.is_transactional().then(|| view.producer_id());
        self.apply_records(records, Origin { base_offset: view.base_offset(), transaction });
    }

    fn apply_records(&mut self, records: Records<'_>, origin: Origin) {
        for record in records {
            match record {
                Ok(record) => self.apply_record(&record, origin),
                Err(error) => return self.left_out(&error),
            }
        }
    }

    fn left_out(&mut self, why: &dyn std::fmt::Display) {
        self.unread += 1;
        tracing::warn!("A record of consumer groups is left out: {why}");
    }

    fn apply_record(&mut self, record: &Record<'_>, origin: Origin) {
        self.records += 1;
        let Some(key) = record.key else { return self.left_out(&"it has no key") };
        let applied = match decode_key(key) {
            Ok(Key::Offset { group, topic, partition }) => {
                self.apply_offset((group, topic, partition), record.value, origin)
            }
            Ok(Key::Group { group }) => self.apply_group(group, record.value),
            Ok(Key::Other { version }) => return self.left_out(&format!("its key has version {version}")),
            Err(error) => Err(error),
        };
        if let Err(error) = applied {
            self.left_out(&error);
        }
    }

    fn apply_offset(
        &mut self,
        (group, topic, partition): (&str, &str, i32),
        value: Option<&[u8]>,
        Origin { base_offset, transaction }: Origin,
    ) -> Result<(), RecordFault> {
        let key = || (group.to_owned(), topic.to_owned(), partition);
        let Some(value) = value else {
            if let Some(stored) = self.groups.get_mut(group) {
                stored.offsets.remove(topic, partition);
            }
            if !self.counted_at.is_empty() {
                self.counted_at.remove(&key());
            }
            return Ok(());
        };
        let committed = decode_offset(value)?;
        match transaction {
            Some(producer) => {
                self.open.entry(producer).or_default().push(Pending { key: key(), base_offset, committed });
            }
            None => {
                if !self.open.is_empty() {
                    self.counted_at.insert(key(), base_offset);
                }
                self.stored(group).offsets.load(topic, partition, committed);
            }
        }
        Ok(())
    }

    fn apply_group(&mut self, group: &str, value: Option<&[u8]>) -> Result<(), RecordFault> {
        let metadata = value.map(decode_group).transpose()?;
        self.stored(group).metadata = metadata;
        Ok(())
    }

    fn stored(&mut self, group: &str) -> &mut Stored {
        if !self.groups.contains_key(group) {
            self.groups.insert(group.to_owned(), Stored::default());
        }
        match self.groups.get_mut(group) {
            Some(stored) => stored,
            None => unreachable!("it was just inserted"),
        }
    }

    /// A marker: key version int16, type int16; 0 aborts, 1 commits.
    fn end_transaction(&mut self, producer: i64, mut marker: Records<'_>) {
        let Some(offsets) = self.open.remove(&producer) else { return };
        let key = marker.next().and_then(Result::ok).and_then(|marker| marker.key);
        let commits = key.and_then(|key| key.get(2..4)) == Some(&[0, 1]);
        for Pending { key, base_offset, committed } in offsets.into_iter().filter(|_| commits) {
            // Whatever was written later has counted already, and stays.
            if self.counted_at.get(&key).is_some_and(|counted_at| *counted_at > base_offset) {
                continue;
            }
            self.stored(&key.0).offsets.load(&key.1, key.2, committed);
            self.counted_at.insert(key, base_offset);
        }
        if self.open.is_empty() {
            self.counted_at = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::StrBytes;
    use thalweg_protocol::batch::BatchBuilder;

    use super::super::record::{encode_offset, encode_offset_key};
    use super::*;

    /// What a log says, batch by batch.
    enum Said {
        /// A commit of this offset; in a transaction, by whom.
        Commit(i64, Option<i64>),
        Gone,
        /// The end of a producer's transaction; true commits it.
        Marker(i64, bool),
    }

    use Said::{Commit, Gone, Marker};

    fn batch(said: &Said) -> BatchBuilder {
        let mut key = Vec::new();
        encode_offset_key(&mut key, "g", "t", 0);
        let mut value = Vec::new();
        let batch = BatchBuilder::new();
        match said {
            Commit(offset, producer) => {
                let metadata = StrBytes::new();
                let committed = CommittedOffset {
                    offset: *offset,
                    leader_epoch: -1,
                    metadata,
                    commit_ms: 0,
                    expire_ms: None,
                };
                encode_offset(&mut value, &committed);
                let batch = match producer {
                    Some(producer) => batch.producer(*producer, 0, -1).transactional(),
                    None => batch,
                };
                batch.record(0, Some(&key), Some(&value))
            }
            Gone => batch.record(0, Some(&key), None),
            Marker(producer, commits) => {
                let marker = batch.producer(*producer, 0, -1).transactional().control();
                marker.record(0, Some(&[0, 0, 0, u8::from(*commits)]), Some(&[0; 6]))
            }
        }
    }

    fn loaded(log: &[Said]) -> Option<i64> {
        let mut replay = Replay::default();
        for (base_offset, said) in (0..).zip(log) {
            let bytes = batch(said).base_offset(base_offset).build();
            replay.apply(&BatchView::parse(&bytes).unwrap(), None);
        }
        assert_eq!(replay.unread, 0);
        replay.groups.get("g").and_then(|stored| stored.offsets.get("t", 0)).map(|committed| committed.offset)
    }

    /// The offsets of a transaction counted at its marker whatever had been committed since, so that a group went back.
    #[test]
    fn the_offset_that_was_written_last_counts_not_the_one_whose_marker_came_last() {
        assert_eq!(loaded(&[Commit(10, None), Commit(20, Some(1)), Marker(1, true)]), Some(20));
        assert_eq!(loaded(&[Commit(10, None), Commit(20, Some(1)), Marker(1, false)]), Some(10));
        assert_eq!(loaded(&[Commit(10, Some(1)), Commit(20, None), Marker(1, true)]), Some(20));
        let overlapping = [Commit(10, Some(1)), Commit(20, Some(2)), Marker(2, true), Marker(1, true)];
        assert_eq!(loaded(&overlapping), Some(20));
        let twice = [Commit(10, Some(1)), Commit(20, Some(1)), Marker(1, true)];
        assert_eq!(loaded(&twice), Some(20));
        let later =
            [Commit(10, Some(1)), Marker(1, true), Commit(20, Some(2)), Commit(30, Some(1)), Marker(2, true)];
        assert_eq!(loaded(&later), Some(20));
    }

    /// As in Kafka: what a tombstone removes is what has counted so far.
    #[test]
    fn a_tombstone_leaves_what_waits_for_its_marker() {
        assert_eq!(loaded(&[Commit(10, Some(1)), Commit(20, None), Gone, Marker(1, true)]), Some(10));
        assert_eq!(loaded(&[Commit(10, Some(1)), Marker(1, true), Gone]), None);
    }
}
