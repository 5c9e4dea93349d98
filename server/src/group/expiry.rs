//! Offsets that nobody needs any more: those that have outlived `offsets.retention.minutes` (KIP-211), those of deleted
//! topics, and groups that are left with nothing.

use std::collections::HashSet;
use std::rc::Rc;

use kafka_protocol::protocol::StrBytes;
use thalweg_engine::reactor::sync::{OneshotReceiver, oneshot};

use super::action::StoreError;
use super::coordinator::{clock, forget_stale_homes, happen};
use super::home::{Done, Home, Readiness, Slot};
use super::removal::{self, Extent};
use super::state::Phase;
use crate::shard::ServerShard;

/// Looks through all groups of the shard, every `offsets.retention.check.interval.ms`.
pub(super) async fn run(shard: Rc<ServerShard>) {
    loop {
        shard.io.sleep(shard.config.groups.retention_check_interval).await;
        forget_stale_homes(&shard).await;
        for home in shard.groups.ready_homes() {
            for slot in home.slots() {
                expire(&shard, &home, &slot);
                shard.io.yield_now().await;
            }
        }
    }
}

fn expire(shard: &Rc<ServerShard>, home: &Rc<Home>, slot: &Rc<Slot>) {
    let retention_ms = i64::try_from(shard.config.groups.offsets_retention.as_millis()).unwrap_or(i64::MAX);
    let (expired, leaves_nothing) = {
        let group = slot.group.borrow();
        let expired = group.expired_offsets(clock(shard).wall_ms, retention_ms);
        let leaves_nothing = group.is_forgettable_without(expired.len());
        (expired, leaves_nothing)
    };
    if leaves_nothing {
        tracing::info!(group = slot.name, offsets = expired.len(), "Forgetting an empty group");
        if let Err(refused) = remove_group(shard, home, slot, None) {
            tracing::debug!(group = slot.name, "It is not empty after all: {refused}");
        }
    } else if !expired.is_empty() {
        tracing::info!(group = slot.name, offsets = expired.len(), "Committed offsets have expired");
        remove_offsets(shard, home, slot, &expired, None);
    }
}

/// Removes a group that has no members, with all its offsets.
///
/// # Errors
/// [`GroupError::NonEmpty`](super::GroupError), or that it is being removed already.
pub(super) fn remove_group(
    shard: &Rc<ServerShard>,
    home: &Rc<Home>,
    slot: &Rc<Slot>,
    done: Option<Done>,
) -> Result<(), super::GroupError> {
    happen(shard, home, slot, |group, clock, _| group.begin_deletion(clock))?;
    let (offsets, generation) = {
        let group = slot.group.borrow();
        (group.offsets().keys(), group.generation())
    };
    // Without a generation there is no record of the group itself.
    let extent = Extent::WholeGroup { recorded: generation > 0 };
    removal::remove(shard, home, slot, &offsets, extent, done);
    Ok(())
}

/// Removes offsets of a group.
pub(super) fn remove_offsets(
    shard: &Rc<ServerShard>,
    home: &Rc<Home>,
    slot: &Rc<Slot>,
    offsets: &[(StrBytes, i32)],
    done: Option<Done>,
) {
    removal::remove(shard, home, slot, offsets, Extent::Offsets, done);
}

/// Removes what groups of this shard committed for topics that are gone; each of what is returned says when it is stored.
///
/// Topics of these names must not be there before: their first commits would go too.
pub(super) async fn topics_deleted(shard: &Rc<ServerShard>, topics: &HashSet<String>) -> Vec<Stored> {
    let mut removals = Vec::new();
    for home in shard.groups.all_homes() {
        if home.readiness.get() == Readiness::Loading {
            home.deleted.borrow_mut().extend(topics.iter().cloned());
        }
        for (place, slot) in home.slots().iter().enumerate() {
            let offsets = slot.group.borrow().offsets().keys_where(|topic| topics.contains(topic));
            removals.extend(forget_deleted(shard, &home, slot, &offsets));
            if place % SLOTS_PER_TURN == SLOTS_PER_TURN - 1 {
                shard.io.yield_now().await;
            }
        }
    }
    removals
}

/// Groups that are looked through between two turns for others.
const SLOTS_PER_TURN: usize = 1000;

/// Says when a removal is stored.
type Stored = OneshotReceiver<Result<(), StoreError>>;

/// Removes what a group that has just been read committed for topics that are gone: they were deleted while it was being
/// read, or right before a crash.
pub(super) fn drop_orphans(shard: &Rc<ServerShard>, home: &Rc<Home>, slot: &Rc<Slot>) {
    let image = shard.metadata.image();
    let deleted = home.deleted.borrow();
    let is_gone = |topic: &str| image.topic(topic).is_none() || deleted.contains(topic);
    let offsets = slot.group.borrow().offsets().keys_where(is_gone);
    drop(forget_deleted(shard, home, slot, &offsets));
}

fn forget_deleted(
    shard: &Rc<ServerShard>,
    home: &Rc<Home>,
    slot: &Rc<Slot>,
    offsets: &[(StrBytes, i32)],
) -> Option<Stored> {
    if offsets.is_empty() || slot.group.borrow().phase() == Phase::Dead {
        return None;
    }
    tracing::info!(group = slot.name, offsets = offsets.len(), "Forgetting the offsets of a deleted topic");
    let (done, stored) = oneshot();
    remove_offsets(shard, home, slot, offsets, Some(done));
    Some(stored)
}
