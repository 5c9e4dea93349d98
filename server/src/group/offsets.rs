//! The offsets that a group committed, and when they are forgotten.
//!
//! An offset counts once its record is stored; until then its slot only knows that something is on its way, so that
//! whatever removes it writes its tombstone behind that record.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use kafka_protocol::protocol::StrBytes;

use super::action::{Clock, GroupError, Identity};
use super::state::{CONSUMER, Group, Phase};

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: i64,
    /// -1: the client did not say.
    pub leader_epoch: i32,
    pub metadata: StrBytes,
    /// Milliseconds since the epoch.
    pub commit_ms: i64,
    /// When it is forgotten whatever the broker's retention is; only OffsetCommit 2 to 4 can ask for that.
    pub expire_ms: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Slot {
    committed: Option<CommittedOffset>,
    /// Records of it that are being stored.
    pending: u32,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Offsets {
    topics: BTreeMap<StrBytes, BTreeMap<i32, Slot>>,
    count: usize,
}

impl Offsets {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Partitions with an offset, stored or on its way.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn get(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.topics.get(topic.as_bytes())?.get(&partition)?.committed.as_ref()
    }

    /// All stored offsets, by topic and partition.
    pub fn iter(&self) -> impl Iterator<Item = (&StrBytes, i32, &CommittedOffset)> {
        self.topics.iter().flat_map(|(topic, slots)| {
            slots
                .iter()
                .filter_map(move |(partition, slot)| Some((topic, *partition, slot.committed.as_ref()?)))
        })
    }

    /// The topics that there are offsets of.
    pub fn topics(&self) -> impl Iterator<Item = &StrBytes> {
        self.topics.keys()
    }

    /// Everything that a tombstone is needed for when the group goes.
    pub fn keys(&self) -> Vec<(StrBytes, i32)> {
        self.keys_where(|_| true)
    }

    /// Those of the topics that `is_chosen`.
    pub fn keys_where(&self, is_chosen: impl Fn(&str) -> bool) -> Vec<(StrBytes, i32)> {
        let chosen = self.topics.iter().filter(|(topic, _)| is_chosen(topic));
        chosen.flat_map(|(topic, slots)| slots.keys().map(|index| (topic.clone(), *index))).collect()
    }

    /// Whether there is one, or one on its way.
    pub fn contains(&self, topic: &str, partition: i32) -> bool {
        self.topics.get(topic.as_bytes()).is_some_and(|slots| slots.contains_key(&partition))
    }

    /// A record of it is on its way; [`settle`](Self::settle) must follow.
    pub fn begin(&mut self, topic: &str, partition: i32) {
        self.slot(topic, partition).pending += 1;
    }

    /// The record that was on its way is stored, or (None) is not.
    pub fn settle(&mut self, topic: &str, partition: i32, stored: Option<CommittedOffset>) {
        let Some(slot) = self.topics.get_mut(topic.as_bytes()).and_then(|slots| slots.get_mut(&partition))
        else {
            return;
        };
        slot.pending = slot.pending.saturating_sub(1);
        if stored.is_some() {
            slot.committed = stored;
        } else if slot.committed.is_none() && slot.pending == 0 {
            self.remove(topic, partition);
        }
    }

    /// Sets what a record in the log says.
    pub fn load(&mut self, topic: &str, partition: i32, committed: CommittedOffset) {
        self.slot(topic, partition).committed = Some(committed);
    }

    /// Forgets one whose tombstone is stored. What is on its way stays on its way.
    pub fn remove(&mut self, topic: &str, partition: i32) {
        let Some(slots) = self.topics.get_mut(topic.as_bytes()) else { return };
        let Some(slot) = slots.get_mut(&partition) else { return };
        slot.committed = None;
        if slot.pending > 0 {
            return;
        }
        slots.remove(&partition);
        self.count -= 1;
        if slots.is_empty() {
            self.topics.remove(topic.as_bytes());
        }
    }

    fn slot(&mut self, topic: &str, partition: i32) -> &mut Slot {
        if !self.topics.contains_key(topic.as_bytes()) {
            self.topics.insert(StrBytes::from_string(topic.to_owned()), BTreeMap::new());
        }
        let Some(slots) = self.topics.get_mut(topic.as_bytes()) else { unreachable!("it was just inserted") };
        if let Entry::Vacant(_) = slots.entry(partition) {
            self.count += 1;
        }
        slots.entry(partition).or_default()
    }
}

impl Group {
    /// Whether a commit in this name is taken.
    ///
    /// # Errors
    /// Why not. Within a group only its members commit; while it is empty anybody does who is in no generation.
    pub fn check_commit(&mut self, clock: Clock, who: &Identity) -> Result<(), GroupError> {
        if self.phase == Phase::Dead {
            return Err(GroupError::NotAvailable);
        }
        if who.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        if who.generation < 0 && who.member_id.is_empty() && who.instance_id.is_none() {
            return Err(GroupError::UnknownMember);
        }
        self.check_member(who)?;
        self.check_generation(who)?;
        match self.phase {
            Phase::Empty | Phase::Dead => Ok(()),
            // Its heartbeat tells it to join again; what it has consumed counts until then.
            Phase::Stable | Phase::PreparingRebalance => {
                self.heard_of(&who.member_id, clock);
                Ok(())
            }
            Phase::CompletingRebalance => Err(GroupError::Rebalance),
        }
    }

    /// The offsets that have outlived their retention (KIP-211): counted from when the group became empty, or from the
    /// commit where nobody manages the group or a consumer group is no longer subscribed to the topic.
    pub fn expired_offsets(&self, now_ms: i64, retention_ms: i64) -> Vec<(StrBytes, i32)> {
        let empty_since = self.phase_since_ms.filter(|_| self.phase == Phase::Empty);
        let kind = self.protocol_type.as_deref();
        let expires = |topic: &StrBytes, slot: &Slot| {
            let Some(committed) = slot.committed.as_ref().filter(|_| slot.pending == 0) else { return false };
            let since = match kind {
                Some(_) if self.phase == Phase::Empty => empty_since.unwrap_or(committed.commit_ms),
                Some(CONSUMER) if self.phase == Phase::Stable && !self.is_subscribed(topic) => {
                    committed.commit_ms
                }
                Some(_) => return false,
                None => committed.commit_ms,
            };
            match committed.expire_ms {
                Some(expire_ms) => now_ms >= expire_ms,
                None => now_ms.saturating_sub(since) >= retention_ms,
            }
        };
        let slots = self.offsets.topics.iter();
        slots
            .flat_map(|(topic, slots)| slots.iter().map(move |(index, slot)| (topic, *index, slot)))
            .filter(|(topic, _, slot)| expires(topic, slot))
            .map(|(topic, index, _)| (topic.clone(), index))
            .collect()
    }

    /// Whether the offset of a partition may be deleted while the group is as it is.
    ///
    /// # Errors
    /// [`GroupError::NonEmpty`] for the whole request, [`GroupError::Subscribed`] for the topic.
    pub fn check_offset_delete(&self, topic: &str) -> Result<(), GroupError> {
        match self.phase {
            Phase::Dead => Err(GroupError::NotFound),
            Phase::Empty => Ok(()),
            _ if self.protocol_type.as_deref() != Some(CONSUMER) => Err(GroupError::NonEmpty),
            _ if self.is_subscribed(topic) => Err(GroupError::Subscribed),
            _ => Ok(()),
        }
    }

    /// Begins the end of a group without members: nothing is done with it any more.
    ///
    /// # Errors
    /// [`GroupError::NonEmpty`], [`GroupError::NotFound`].
    pub fn begin_deletion(&mut self, clock: Clock) -> Result<(), GroupError> {
        match self.phase {
            Phase::Empty => {
                self.enter(Phase::Dead, clock);
                Ok(())
            }
            Phase::Dead => Err(GroupError::NotFound),
            Phase::PreparingRebalance | Phase::CompletingRebalance | Phase::Stable => {
                Err(GroupError::NonEmpty)
            }
        }
    }

    /// The deletion could not be stored: the group is there as before.
    pub fn undo_deletion(&mut self, clock: Clock) {
        if self.phase == Phase::Dead {
            self.enter(Phase::Empty, clock);
        }
    }
}
