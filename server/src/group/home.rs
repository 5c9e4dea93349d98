//! One partition of the offsets topic, the groups whose home it is, and the one way by which their records get into it.
//!
//! What arrives while a batch is being stored forms the next one, so that a hundred commits at once cost one append.
//! Effects happen in the order of the log, when their records are on stable storage, and not before.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use thalweg_engine::error::{AppendError, Rejection};
use thalweg_engine::id::PartitionId;
use thalweg_engine::io::Monotonic;
use thalweg_engine::log::Log;
use thalweg_engine::reactor::sync::OneshotSender;
use thalweg_protocol::batch::BatchBuilder;

use super::action::{StoreError, StoreId};
use super::offsets::CommittedOffset;
use super::record::{self, GroupMetadata};
use super::removal::Removal;
use super::state::Group;
use crate::bounds::{GROUP_BATCH_BYTES, GROUP_RECORD_OVERHEAD_BYTES};
use crate::shard::ServerShard;

/// Whether the groups are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readiness {
    Loading,
    Ready,
    /// The partition cannot be read; a line said why.
    Failed,
}

/// One group in its home.
pub(super) struct Slot {
    pub name: String,
    /// Unique on its shard.
    pub number: u64,
    pub group: RefCell<Group>,
    /// Where the shard's timers have it.
    pub scheduled: Cell<Option<Monotonic>>,
    pub home: Rc<HomeId>,
}

/// What a slot knows of its home; the home holds its slots.
pub(super) struct HomeId {
    pub partition: PartitionId,
}

/// See the module.
pub(super) struct Home {
    pub id: Rc<HomeId>,
    pub log: Rc<Log>,
    pub readiness: Cell<Readiness>,
    pub groups: RefCell<HashMap<String, Rc<Slot>>>,
    /// Topics that were deleted while the groups are being read.
    pub deleted: RefCell<HashSet<String>>,
    queue: RefCell<VecDeque<Batch>>,
    writing: Cell<bool>,
}

/// Records on their way, and what they mean.
struct Batch {
    records: BatchBuilder,
    effects: Vec<Effect>,
}

/// Tells whoever asked.
pub(super) type Done = OneshotSender<Result<(), StoreError>>;

/// What is true once the records are stored.
pub(super) enum Effect {
    Committed {
        slot: Rc<Slot>,
        offsets: Vec<(StrBytes, i32, CommittedOffset)>,
        done: Done,
    },
    Stored {
        slot: Rc<Slot>,
        id: StoreId,
    },
    /// Some of what a removal takes away.
    Forgotten {
        offsets: Vec<(StrBytes, i32)>,
        removal: Rc<Removal>,
    },
}

/// Records that are stored together or not at all.
#[derive(Default)]
pub(super) struct Entry {
    bytes: Vec<u8>,
    /// Where each record's key and value end; no value is a tombstone.
    ends: Vec<(usize, Option<usize>)>,
}

impl Entry {
    pub fn offset(&mut self, group: &str, topic: &str, partition: i32, committed: &CommittedOffset) {
        record::encode_offset_key(&mut self.bytes, group, topic, partition);
        let key_end = self.bytes.len();
        record::encode_offset(&mut self.bytes, committed);
        self.ends.push((key_end, Some(self.bytes.len())));
    }

    pub fn offset_gone(&mut self, group: &str, topic: &str, partition: i32) {
        record::encode_offset_key(&mut self.bytes, group, topic, partition);
        self.ends.push((self.bytes.len(), None));
    }

    pub fn group(&mut self, group: &str, metadata: &GroupMetadata) {
        record::encode_group_key(&mut self.bytes, group);
        let key_end = self.bytes.len();
        record::encode_group(&mut self.bytes, metadata);
        self.ends.push((key_end, Some(self.bytes.len())));
    }

    pub fn group_gone(&mut self, group: &str) {
        record::encode_group_key(&mut self.bytes, group);
        self.ends.push((self.bytes.len(), None));
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Records in it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Takes the last record out again.
    pub fn pop(&mut self) {
        self.ends.pop();
        let end = self.ends.last().map_or(0, |(key_end, value_end)| value_end.unwrap_or(*key_end));
        self.bytes.truncate(end);
    }

    /// An upper bound of what it takes in a batch.
    pub fn batch_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * GROUP_RECORD_OVERHEAD_BYTES
    }

    fn push_into(&self, batch: &mut BatchBuilder, now_ms: i64) {
        let mut start = 0;
        for (key_end, value_end) in &self.ends {
            let value = value_end.map(|end| &self.bytes[*key_end..end]);
            batch.push(now_ms, Some(&self.bytes[start..*key_end]), value, &[]);
            start = value_end.unwrap_or(*key_end);
        }
    }
}

impl Home {
    pub fn new(partition: PartitionId, log: Rc<Log>) -> Rc<Home> {
        Rc::new(Home {
            id: Rc::new(HomeId { partition }),
            log,
            readiness: Cell::new(Readiness::Loading),
            groups: RefCell::default(),
            deleted: RefCell::default(),
            queue: RefCell::default(),
            writing: Cell::new(false),
        })
    }

    pub fn slot(&self, group: &str) -> Option<Rc<Slot>> {
        self.groups.borrow().get(group).cloned()
    }

    pub fn slots(&self) -> Vec<Rc<Slot>> {
        self.groups.borrow().values().cloned().collect()
    }

    fn message_bytes_max(&self) -> usize {
        usize::try_from(self.log.options().message_bytes_max).unwrap_or(usize::MAX)
    }

    /// The largest entry that can be stored, as [`Entry::batch_bytes`] has it.
    pub fn entry_bytes_max(&self) -> usize {
        self.message_bytes_max().saturating_sub(EMPTY_BATCH_BYTES)
    }

    /// Stores `entry`, and lets `effect` happen when it is stored, or could not be.
    pub fn write(self: &Rc<Self>, shard: &Rc<ServerShard>, entry: &Entry, effect: Effect) {
        let batch_bytes = entry.batch_bytes();
        if batch_bytes > self.entry_bytes_max() {
            return super::coordinator::settle(shard, self, effect, Err(StoreError::TooLarge));
        }
        let batch_bytes_max = self.message_bytes_max().min(GROUP_BATCH_BYTES);
        let mut queue = self.queue.borrow_mut();
        let fits = |batch: &Batch| batch.records.total_bytes() + batch_bytes <= batch_bytes_max;
        if !queue.back().is_some_and(fits) {
            queue.push_back(Batch { records: BatchBuilder::new(), effects: Vec::new() });
        }
        if let Some(batch) = queue.back_mut() {
            entry.push_into(&mut batch.records, shard.io.wall_clock_ms());
            batch.effects.push(effect);
        }
        drop(queue);
        if !self.writing.replace(true) {
            shard.io.spawn("group writer", write_all(Rc::clone(shard), Rc::clone(self))).detach();
        }
    }

    fn next_batch(&self) -> Option<Batch> {
        let batch = self.queue.borrow_mut().pop_front();
        self.writing.set(batch.is_some());
        batch
    }
}

/// Of a batch without records.
const EMPTY_BATCH_BYTES: usize = thalweg_protocol::batch::HEADER_BYTES;

async fn write_all(shard: Rc<ServerShard>, home: Rc<Home>) {
    while let Some(Batch { records, effects }) = home.next_batch() {
        let stored = home.log.append(Bytes::from(records.build())).await;
        let result = stored.map(drop).map_err(|error| {
            tracing::error!(partition = %home.log.name(), "Consumer groups cannot be stored: {error}");
            store_error(&error)
        });
        for effect in effects {
            super::coordinator::settle(&shard, &home, effect, result);
        }
    }
}

fn store_error(error: &AppendError) -> StoreError {
    match error {
        AppendError::Rejected(Rejection::TooLarge { .. }) => StoreError::TooLarge,
        AppendError::Removed => StoreError::Gone,
        _ => StoreError::Storage,
    }
}
