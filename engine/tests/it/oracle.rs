//! What the clients know: what they sent, what was acknowledged, what they fetched; and the check of a server against it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use thalweg_engine::id::{PartitionId, TopicPartition};
use thalweg_engine::io::sim::RunError;
use thalweg_engine::log::LogOptions;
use thalweg_protocol::batch::BatchView;

use crate::batch::{BatchId, id_of, unstamped};
use crate::harness::Server;

/// How far a partition's life is, as its owner knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Creating,
    Live,
    Removing,
    Removed,
}

/// A batch that a producer sent and has no answer to.
#[derive(Clone, Debug)]
pub struct Unanswered {
    pub id: BatchId,
}

/// An idempotent producer of one partition.
#[derive(Clone, Debug, Default)]
pub struct Producer {
    pub producer_id: i64,
    pub next_sequence: i32,
    /// In order.
    pub unanswered: Vec<Unanswered>,
}

/// A partition as its clients know it.
#[derive(Clone, Debug)]
pub struct Known {
    pub name: TopicPartition,
    pub options: Arc<LogOptions>,
    pub stage: Stage,
    pub sent: HashMap<BatchId, Bytes>,
    /// Base offset of every acknowledged batch.
    pub acked: BTreeMap<i64, BatchId>,
    /// Base offset of every batch that a reader got.
    pub fetched: BTreeMap<i64, BatchId>,
    pub producers: Vec<Producer>,
    /// Offset below which deletion was acknowledged, and below which it was asked for.
    pub deleted: i64,
    pub deletion_asked: i64,
}

impl Known {
    pub fn new(name: TopicPartition, options: Arc<LogOptions>) -> Known {
        Known {
            name,
            options,
            stage: Stage::Creating,
            sent: HashMap::new(),
            acked: BTreeMap::new(),
            fetched: BTreeMap::new(),
            producers: Vec::new(),
            deleted: 0,
            deletion_asked: 0,
        }
    }

    /// # Panics
    /// If another batch was acknowledged or fetched at this offset.
    pub fn note_acked(&mut self, base_offset: i64, id: BatchId) {
        let before = self.acked.insert(base_offset, id);
        assert!(before.is_none_or(|before| before == id), "{}: two batches at {base_offset}", self.name);
        self.check_known(base_offset, id);
    }

    /// # Panics
    /// If the batch is not what was sent, or another one was seen at its offset.
    pub fn note_fetched(&mut self, batch: &[u8]) {
        let (base_offset, id) = self.identify(batch);
        self.fetched.insert(base_offset, id);
        self.check_known(base_offset, id);
    }

    fn check_known(&self, base_offset: i64, id: BatchId) {
        for known in [&self.acked, &self.fetched] {
            let other = known.get(&base_offset).copied().unwrap_or(id);
            assert_eq!(other, id, "{}: another batch at {base_offset}", self.name);
        }
    }

    fn identify(&self, batch: &[u8]) -> (i64, BatchId) {
        let view = BatchView::parse(batch).unwrap();
        let id = id_of(&view);
        let Some(sent) = self.sent.get(&id) else { panic!("{}: batch {id} was never sent", self.name) };
        assert!(unstamped(sent) == unstamped(batch), "{}: batch {id} was changed", self.name);
        (view.base_offset(), id)
    }
}

/// What must have survived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Survival {
    /// All that was acknowledged or fetched.
    All,
    /// A prefix of it, without holes.
    Prefix,
}

/// All that the clients of a server know.
#[derive(Default)]
pub struct Oracle {
    pub partitions: BTreeMap<PartitionId, Known>,
    pub next_id: BatchId,
    pub next_topic: u128,
    pub appends: u64,
    pub fetches: u64,
}

impl Oracle {
    pub fn fresh_id(&mut self) -> BatchId {
        self.next_id += 1;
        self.next_id
    }

    /// # Panics
    /// Without such a partition.
    pub fn known(&mut self, id: PartitionId) -> &mut Known {
        self.partitions.get_mut(&id).unwrap()
    }

    /// Holds a freshly started server against what the clients know; then what it has is what they know.
    ///
    /// # Errors
    /// When the machine crashes meanwhile.
    ///
    /// # Panics
    /// When it is not as promised.
    pub fn check(&mut self, server: &Server, survival: impl Fn(&Known) -> Survival) -> Result<(), RunError> {
        assert!(server.report.refused.is_empty(), "refused: {:?}", server.report.refused);
        assert!(server.report.failed_dirs.is_empty(), "failed: {:?}", server.report.failed_dirs);
        for (id, known) in &mut self.partitions {
            let log = server.log(*id);
            // Its owner had decided, durably, that it goes: a checkpoint may already have left it out, and whoever decided
            // finishes the removal. What is left of it is still a log.
            let goes = known.stage == Stage::Removing;
            match (known.stage, &log) {
                (Stage::Live, None) => panic!("{} {id} is gone", known.name),
                (Stage::Removed, Some(_)) => panic!("{} {id} is back", known.name),
                (_, None) => {
                    known.stage = Stage::Removed;
                    continue;
                }
                (Stage::Creating | Stage::Removing | Stage::Live, Some(_)) => known.stage = Stage::Live,
            }
            let found = server.read_all(*id)?.unwrap_or_else(|error| panic!("{}: {error}", known.name));
            let log_start = log.map_or(0, |log| log.log_start());
            let survival = if goes { Survival::Prefix } else { survival(known) };
            known.check_content(&found, log_start, survival);
        }
        Ok(())
    }
}

impl Known {
    fn check_content(&mut self, found: &[Vec<u8>], log_start: i64, survival: Survival) {
        let name = self.name.clone();
        // A log that lost its first segment with the power starts later, as Kafka's does.
        assert!(
            survival == Survival::Prefix
                || (self.deleted..=self.deletion_asked.max(self.deleted)).contains(&log_start),
            "{name}: log start {log_start}, deleted {} to {}",
            self.deleted,
            self.deletion_asked
        );
        let (mut end, mut at, mut ids) = (None, BTreeMap::new(), BTreeSet::new());
        for batch in found {
            let (base_offset, id) = self.identify(batch);
            assert!(end.is_none_or(|end| end == base_offset), "{name}: {base_offset} follows {end:?}");
            assert!(base_offset <= log_start || end.is_some(), "{name}: starts at {base_offset}");
            assert!(ids.insert(id), "{name}: batch {id} is there twice");
            self.check_known(base_offset, id);
            at.insert(base_offset, id);
            end = Some(BatchView::parse(batch).unwrap().last_offset() + 1);
        }
        let end = end.unwrap_or(log_start);
        for (what, known) in [("acknowledged", &self.acked), ("fetched", &self.fetched)] {
            for (base_offset, id) in known.range(log_start..) {
                let excused = survival == Survival::Prefix && *base_offset >= end;
                assert!(
                    excused || at.get(base_offset) == Some(id),
                    "{name}: {what} batch {id} at {base_offset} is lost; the log is {log_start}..{end}"
                );
            }
        }
        if self.acked.keys().any(|base| *base >= end) {
            // What was lost leaves a hole in their sequences: they start anew.
            self.producers.clear();
        }
        self.deleted = log_start;
        self.deletion_asked = log_start;
        self.acked = at.clone();
        self.fetched = at;
    }
}
