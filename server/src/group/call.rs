//! How a request on any shard reaches a group in its home, and what it is told.
//!
//! Everything that a handler needs is here: it knows neither homes nor shards. What is acknowledged is stored.

use std::collections::HashSet;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use kafka_protocol::protocol::StrBytes;
use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::reactor::sync::{Latch, OneshotReceiver, oneshot};

use super::action::{GroupError, Identity, Join, Joined, StoreError, Sync, Synced, Ticket};
use super::coordinator::{self, Missing, happen};
use super::describe::{self, Listed};
use super::home::{Effect, Entry, Home, Slot};
use super::offsets::CommittedOffset;
use super::state::Group;
use super::waits::{Answer, deliver};
use super::{OFFSETS_TOPIC, STRING_BYTES_MAX, expiry, partition_of};
use crate::bounds::OFFSETS_PER_SHARD_MAX;
use crate::scatter::scatter;
use crate::shard::ServerShard;

/// One offset to commit.
pub type Commit = (StrBytes, i32, CommittedOffset);

/// One partition of an OffsetFetch, and what is committed for it.
pub type Fetched = (StrBytes, i32, Option<CommittedOffset>);

/// Which groups may have no name: those that never join one only keep offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Naming {
    Any,
    NotEmpty,
}

/// The partition that is the group's home.
///
/// # Errors
/// [`GroupError::NotCoordinator`] while there is no offsets topic: FindCoordinator creates it.
pub(super) fn locate(shard: &ServerShard, group: &str, naming: Naming) -> Result<PartitionId, GroupError> {
    if group.len() > STRING_BYTES_MAX || (naming == Naming::NotEmpty && group.is_empty()) {
        return Err(GroupError::InvalidGroupId);
    }
    let image = shard.metadata.image();
    let topic = image.topic(OFFSETS_TOPIC).ok_or(GroupError::NotCoordinator)?;
    topic.partition(partition_of(group, topic.partitions.len())).ok_or(GroupError::NotCoordinator)
}

/// Runs `work` with the group's home, on its shard. `work` must not wait long: see [`join`] for what does.
async fn at_home<R, Fut>(
    shard: &Rc<ServerShard>,
    partition: PartitionId,
    work: impl FnOnce(Rc<ServerShard>, Rc<Home>) -> Fut + Send + 'static,
) -> Result<R, GroupError>
where
    R: Send + 'static,
    Fut: Future<Output = Result<R, GroupError>> + 'static,
{
    let target = shard.home(partition);
    let call = shard.mesh().call(target, move |there| async move {
        let home = there.groups.home(&there, partition)?;
        work(there, home).await
    });
    call.await.unwrap_or(Err(GroupError::NotAvailable))
}

/// Joins; returns when the rebalance is through, or when `gone` is set.
pub async fn join(shard: &Rc<ServerShard>, group: StrBytes, join: Join, gone: &Latch) -> Joined {
    let member_id = join.member_id.clone();
    let refused = |error| Joined::refused(member_id.clone(), error);
    let partition = match locate(shard, &group, Naming::NotEmpty) {
        Ok(partition) => partition,
        Err(error) => return refused(error),
    };
    let timeouts = shard.config.groups.session_timeout_min_ms..=shard.config.groups.session_timeout_max_ms;
    if !timeouts.contains(&join.session_timeout_ms) {
        return refused(GroupError::InvalidSessionTimeout);
    }
    let target = shard.home(partition);
    let start = |ticket: Ticket| async move {
        let call =
            move |there: Rc<ServerShard>| async move { join_here(&there, partition, &group, ticket, join) };
        shard.mesh().call(target, call).await.is_ok()
    };
    match shard.groups.waits.answered(shard, gone, start).await {
        Some(Answer::Joined(joined)) => joined,
        Some(Answer::Synced(_)) | None => refused(GroupError::NotAvailable),
    }
}

fn join_here(shard: &Rc<ServerShard>, partition: PartitionId, group: &str, ticket: Ticket, join: Join) {
    let found = shard.groups.home(shard, partition).and_then(|home| {
        let slot = match home.slot(group) {
            Some(slot) => slot,
            // Whoever has a member id had it from a group that is gone.
            None if !join.member_id.is_empty() => return Err(GroupError::UnknownMember),
            None => shard.groups.slot_or_new(shard, &home, group)?,
        };
        Ok((home, slot))
    });
    match found {
        Ok((home, slot)) => {
            happen(shard, &home, &slot, |group, clock, out| group.join(clock, ticket, join, out));
        }
        Err(error) => deliver(shard, ticket, Answer::Joined(Joined::refused(join.member_id, error))),
    }
}

/// Fetches the member's assignment; returns when the leader has brought it, or when `gone` is set.
pub async fn sync(shard: &Rc<ServerShard>, group: StrBytes, sync: Sync, gone: &Latch) -> Synced {
    let partition = match locate(shard, &group, Naming::NotEmpty) {
        Ok(partition) => partition,
        Err(error) => return Synced::refused(error),
    };
    let target = shard.home(partition);
    let start = |ticket: Ticket| async move {
        let call =
            move |there: Rc<ServerShard>| async move { sync_here(&there, partition, &group, ticket, sync) };
        shard.mesh().call(target, call).await.is_ok()
    };
    match shard.groups.waits.answered(shard, gone, start).await {
        Some(Answer::Synced(synced)) => synced,
        Some(Answer::Joined(_)) | None => Synced::refused(GroupError::NotAvailable),
    }
}

fn sync_here(shard: &Rc<ServerShard>, partition: PartitionId, group: &str, ticket: Ticket, sync: Sync) {
    let found = shard.groups.home(shard, partition).and_then(|home| {
        let slot = home.slot(group).ok_or(GroupError::UnknownMember)?;
        Ok((home, slot))
    });
    match found {
        Ok((home, slot)) => {
            happen(shard, &home, &slot, |group, clock, out| group.sync(clock, ticket, sync, out));
        }
        // What the group was doing is not known any more: its members join again, here.
        Err(GroupError::Loading) => {
            deliver(shard, ticket, Answer::Synced(Synced::refused(GroupError::Rebalance)))
        }
        Err(error) => deliver(shard, ticket, Answer::Synced(Synced::refused(error))),
    }
}

/// A member is alive.
///
/// # Errors
/// What it has to do instead of going on.
pub async fn heartbeat(shard: &Rc<ServerShard>, group: StrBytes, who: Identity) -> Result<(), GroupError> {
    let partition = locate(shard, &group, Naming::NotEmpty)?;
    let beat = at_home(shard, partition, move |there, home| async move {
        let slot = home.slot(&group).ok_or(GroupError::UnknownMember)?;
        happen(&there, &home, &slot, |group, clock, _| group.heartbeat(clock, &who))
    });
    match beat.await {
        // It would only join again for nothing.
        Err(GroupError::Loading) => Ok(()),
        result => result,
    }
}

/// Members leave; one result for each, in their order.
///
/// # Errors
/// For all of them.
pub async fn leave(
    shard: &Rc<ServerShard>,
    group: StrBytes,
    members: Vec<Identity>,
) -> Result<Vec<Result<(), GroupError>>, GroupError> {
    let partition = locate(shard, &group, Naming::NotEmpty)?;
    let work = async move |there: Rc<ServerShard>, home: Rc<Home>| {
        let Some(slot) = home.slot(&group) else {
            return Ok(vec![Err(GroupError::UnknownMember); members.len()]);
        };
        happen(&there, &home, &slot, |group, clock, out| {
            let left: Vec<_> = members.iter().map(|who| group.leave(clock, who, out)).collect();
            // Of a group that is being deleted there is nothing to leave.
            if left.contains(&Err(GroupError::NotAvailable)) {
                Err(GroupError::NotAvailable)
            } else {
                Ok(left)
            }
        })
    };
    at_home(shard, partition, work).await
}

/// Commits offsets, all of them or none; they are stored when it returns.
///
/// # Errors
/// Why none is.
pub async fn commit(
    shard: &Rc<ServerShard>,
    group: StrBytes,
    who: Identity,
    offsets: Vec<Commit>,
) -> Result<(), GroupError> {
    let partition = locate(shard, &group, Naming::Any)?;
    let work = async move |there: Rc<ServerShard>, home: Rc<Home>| match commit_here(
        &there, &home, &group, &who, offsets,
    )? {
        Some(stored) => settled(stored).await,
        None => Ok(()),
    };
    at_home(shard, partition, work).await
}

/// Puts the commit on its way; nothing in here waits, so commits are stored in the order in which they came.
fn commit_here(
    shard: &Rc<ServerShard>,
    home: &Rc<Home>,
    group: &str,
    who: &Identity,
    offsets: Vec<Commit>,
) -> Result<Option<OneshotReceiver<Result<(), StoreError>>>, GroupError> {
    let slot = match home.slot(group) {
        Some(slot) => slot,
        None if who.generation >= 0 => return Err(GroupError::NotFound),
        None => shard.groups.slot_or_new(shard, home, group)?,
    };
    happen(shard, home, &slot, |group, clock, _| group.check_commit(clock, who))?;
    if offsets.is_empty() {
        return Ok(None);
    }
    if shard.groups.offsets.get() + offsets.len() > OFFSETS_PER_SHARD_MAX && adds_any(&slot, &offsets) {
        tracing::error!(group, "Not committed: this shard keeps {OFFSETS_PER_SHARD_MAX} offsets");
        return Err(GroupError::NotAvailable);
    }
    let mut entry = Entry::default();
    {
        let mut state = slot.group.borrow_mut();
        let before = state.offsets().len();
        for (topic, index, committed) in &offsets {
            entry.offset(group, topic, *index, committed);
            state.offsets_mut().begin(topic, *index);
        }
        shard.groups.offsets.set(shard.groups.offsets.get() + state.offsets().len() - before);
    }
    let (done, stored) = oneshot();
    home.write(shard, &entry, Effect::Committed { slot, offsets, done });
    Ok(Some(stored))
}

fn adds_any(slot: &Slot, offsets: &[Commit]) -> bool {
    let group = slot.group.borrow();
    offsets.iter().any(|(topic, index, _)| !group.offsets().contains(topic, *index))
}

pub(super) async fn settled(stored: OneshotReceiver<Result<(), StoreError>>) -> Result<(), GroupError> {
    match stored.await {
        Ok(result) => result.map_err(GroupError::from),
        // The server is ending.
        Err(_) => Err(GroupError::NotCoordinator),
    }
}

/// What a group committed; `wanted` None for all of it.
///
/// # Errors
/// Why nothing can be told.
pub async fn fetch(
    shard: &Rc<ServerShard>,
    group: StrBytes,
    wanted: Option<Vec<(StrBytes, i32)>>,
) -> Result<Vec<Fetched>, GroupError> {
    let partition = locate(shard, &group, Naming::Any)?;
    at_home(shard, partition, async move |_, home: Rc<Home>| Ok(fetch_here(&home, &group, wanted))).await
}

pub(super) fn fetch_here(home: &Home, group: &str, wanted: Option<Vec<(StrBytes, i32)>>) -> Vec<Fetched> {
    let slot = home.slot(group);
    let group = slot.as_ref().map(|slot| slot.group.borrow());
    let offsets =
        group.as_ref().filter(|group| group.phase() != super::Phase::Dead).map(|group| group.offsets());
    match wanted {
        Some(wanted) => wanted
            .into_iter()
            .map(|(topic, index)| {
                let committed = offsets.and_then(|offsets| offsets.get(&topic, index)).cloned();
                (topic, index, committed)
            })
            .collect(),
        None => offsets
            .iter()
            .flat_map(|offsets| offsets.iter())
            .map(|(topic, index, committed)| (topic.clone(), index, Some(committed.clone())))
            .collect(),
    }
}

/// Deletes the offsets of some partitions of a group; one result for each, in their order.
///
/// # Errors
/// For all of them.
pub async fn delete_offsets(
    shard: &Rc<ServerShard>,
    group: StrBytes,
    partitions: Vec<(StrBytes, i32)>,
) -> Result<Vec<Result<(), GroupError>>, GroupError> {
    let partition = locate(shard, &group, Naming::Any)?;
    let work = async move |there: Rc<ServerShard>, home: Rc<Home>| {
        let slot = home.slot(&group).ok_or(GroupError::NotFound)?;
        let mut results = check_each(&slot.group.borrow(), &partitions)?;
        let chosen: Vec<_> = partitions
            .into_iter()
            .zip(&results)
            .filter(|((topic, index), result)| {
                result.is_ok() && slot.group.borrow().offsets().contains(topic, *index)
            })
            .map(|(partition, _)| partition)
            .collect();
        let (done, stored) = oneshot();
        expiry::remove_offsets(&there, &home, &slot, &chosen, Some(done));
        if let Err(error) = settled(stored).await {
            results.iter_mut().filter(|result| result.is_ok()).for_each(|result| *result = Err(error));
        }
        Ok(results)
    };
    at_home(shard, partition, work).await
}

fn check_each(
    group: &Group,
    partitions: &[(StrBytes, i32)],
) -> Result<Vec<Result<(), GroupError>>, GroupError> {
    let checked: Vec<_> = partitions.iter().map(|(topic, _)| group.check_offset_delete(topic)).collect();
    let for_all =
        |result: &&Result<(), GroupError>| matches!(result, Err(GroupError::NonEmpty | GroupError::NotFound));
    match checked.iter().find(for_all) {
        Some(Err(error)) => Err(*error),
        Some(Ok(())) | None => Ok(checked),
    }
}

/// All groups of all shards that are known, and why some may not be.
///
/// # Errors
/// [`GroupError::NotAvailable`] when a shard has ended.
pub async fn list(shard: &Rc<ServerShard>) -> Result<(Vec<Listed>, Option<GroupError>), GroupError> {
    let shards = (0..shard.shards).map(|id| (ShardId(id), ())).collect();
    let listed = scatter(shard, shards, |there, asked| async move {
        let here = (describe::listed(&there).await, there.groups.missing());
        std::iter::repeat_n(here, asked.len()).collect()
    });
    let (mut groups, mut missing) = (Vec::new(), Missing::default());
    for answer in listed.await {
        let (here, missing_here) = answer.ok_or(GroupError::NotAvailable)?;
        groups.extend(here);
        missing |= missing_here;
    }
    Ok((groups, missing.reason()))
}

/// Forgets what all groups committed for topics that have been deleted; gone for good when it returns, but for groups that
/// are still being read: theirs go when they have been. With the offsets topic all groups go.
pub async fn topics_deleted(shard: &Rc<ServerShard>, topics: HashSet<String>) {
    if topics.contains(OFFSETS_TOPIC) {
        return homes_deleted(shard).await;
    }
    let topics = Arc::new(topics);
    let shards = (0..shard.shards).map(|id| (ShardId(id), Arc::clone(&topics))).collect();
    let told = scatter(shard, shards, |there, asked: Vec<Arc<HashSet<String>>>| async move {
        for topics in &asked {
            for stored in expiry::topics_deleted(&there, topics).await {
                // A line said why if they could not be: the next start tries again.
                let _outcome = settled(stored).await;
            }
        }
        vec![(); asked.len()]
    });
    drop(told.await);
}

/// Forgets all groups: what they lived in has been deleted.
async fn homes_deleted(shard: &Rc<ServerShard>) {
    let shards = (0..shard.shards).map(|id| (ShardId(id), ())).collect();
    let told = scatter(shard, shards, |there, asked| async move {
        coordinator::forget_stale_homes(&there).await;
        asked
    });
    drop(told.await);
}
