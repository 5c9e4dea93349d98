//! A shard's groups: where each is, its time, and what becomes of what the state machines ask for.
//!
//! Owned by one shard; other shards reach it through [`call`](super::call). It decides nothing about groups.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::ops::BitOrAssign;
use std::rc::Rc;
use std::time::Duration;

use thalweg_engine::id::PartitionId;
use thalweg_engine::io::Monotonic;
use thalweg_engine::reactor::sync::Notify;

use super::OFFSETS_TOPIC;
use super::action::{Action, Clock, GroupError, StoreError};
use super::home::{Effect, Entry, Home, Readiness, Slot};
use super::load;
use super::removal::Extent;
use super::state::{Group, Limits};
use super::waits::{Answer, Waits, deliver};
use crate::bounds::{GROUP_MEMBER_BYTES_MAX, GROUP_MEMBERS_MAX, GROUPS_PER_SHARD_MAX, GROUPS_PER_TURN};
use crate::shard::ServerShard;

/// See the module.
#[derive(Default)]
pub struct Coordinator {
    homes: RefCell<HashMap<PartitionId, Rc<Home>>>,
    timers: RefCell<BTreeMap<(Monotonic, u64), Rc<Slot>>>,
    timers_changed: Notify,
    numbers: Cell<u64>,
    /// Groups of all homes.
    pub(super) groups: Cell<usize>,
    /// Offsets of all groups, stored or on their way.
    pub(super) offsets: Cell<usize>,
    pub(super) waits: Waits,
}

impl Coordinator {
    /// The home of `partition`, which is this shard's; its groups begin to be read when it is first asked for.
    ///
    /// # Errors
    /// [`GroupError::Loading`] until they are.
    pub(super) fn home(
        &self,
        shard: &Rc<ServerShard>,
        partition: PartitionId,
    ) -> Result<Rc<Home>, GroupError> {
        let known = self.homes.borrow().get(&partition).cloned();
        let home = match known {
            Some(home) => home,
            None => {
                let log = shard.storage.log(partition).ok_or(GroupError::NotCoordinator)?;
                let home = Home::new(partition, log);
                self.homes.borrow_mut().insert(partition, Rc::clone(&home));
                load::begin(shard, &home);
                home
            }
        };
        match home.readiness.get() {
            Readiness::Ready => Ok(home),
            Readiness::Loading => Err(GroupError::Loading),
            Readiness::Failed => Err(GroupError::NotCoordinator),
        }
    }

    /// Homes whose groups are known.
    pub(super) fn ready_homes(&self) -> Vec<Rc<Home>> {
        let homes = self.homes.borrow();
        let ready = homes.values().filter(|home| home.readiness.get() == Readiness::Ready);
        ready.cloned().collect()
    }

    pub(super) fn all_homes(&self) -> Vec<Rc<Home>> {
        self.homes.borrow().values().cloned().collect()
    }

    /// Which homes' groups are not known.
    pub(super) fn missing(&self) -> Missing {
        let homes = self.homes.borrow();
        let any = |readiness| homes.values().any(|home| home.readiness.get() == readiness);
        Missing { loading: any(Readiness::Loading), failed: any(Readiness::Failed) }
    }

    /// Whether the home has not been forgotten.
    pub(super) fn is_current(&self, home: &Rc<Home>) -> bool {
        self.homes.borrow().get(&home.id.partition).is_some_and(|current| Rc::ptr_eq(current, home))
    }

    /// The group, made if it is not there.
    ///
    /// # Errors
    /// [`GroupError::NotAvailable`] when the shard has as many as it takes.
    pub(super) fn slot_or_new(
        &self,
        shard: &ServerShard,
        home: &Home,
        group: &str,
    ) -> Result<Rc<Slot>, GroupError> {
        if let Some(slot) = home.slot(group) {
            return Ok(slot);
        }
        if self.groups.get() >= GROUPS_PER_SHARD_MAX {
            tracing::error!(group, "Not created: this shard has {GROUPS_PER_SHARD_MAX} groups");
            return Err(GroupError::NotAvailable);
        }
        Ok(self.insert(home, group, Group::new(limits(shard))))
    }

    pub(super) fn insert(&self, home: &Home, name: &str, group: Group) -> Rc<Slot> {
        self.numbers.set(self.numbers.get() + 1);
        self.groups.set(self.groups.get() + 1);
        self.offsets.set(self.offsets.get() + group.offsets().len());
        let slot = Rc::new(Slot {
            name: name.to_owned(),
            number: self.numbers.get(),
            group: RefCell::new(group),
            scheduled: Cell::new(None),
            home: Rc::clone(&home.id),
        });
        home.groups.borrow_mut().insert(name.to_owned(), Rc::clone(&slot));
        self.schedule(&slot);
        slot
    }

    fn forget(&self, home: &Home, slot: &Rc<Slot>) {
        let mut groups = home.groups.borrow_mut();
        if groups.get(&slot.name).is_some_and(|there| Rc::ptr_eq(there, slot)) {
            groups.remove(&slot.name);
            self.groups.set(self.groups.get() - 1);
            self.offsets.set(self.offsets.get().saturating_sub(slot.group.borrow().offsets().len()));
        }
        if let Some(at) = slot.scheduled.take() {
            self.timers.borrow_mut().remove(&(at, slot.number));
        }
    }

    /// Sees to it that the group is woken when something of it is due.
    fn schedule(&self, slot: &Rc<Slot>) {
        let due = slot.group.borrow().due();
        let scheduled = slot.scheduled.get();
        if due == scheduled {
            return;
        }
        let mut timers = self.timers.borrow_mut();
        if let Some(at) = scheduled {
            timers.remove(&(at, slot.number));
        }
        slot.scheduled.set(due);
        let Some(at) = due else { return };
        let is_first = timers.first_key_value().is_none_or(|((first, _), _)| at < *first);
        timers.insert((at, slot.number), Rc::clone(slot));
        if is_first {
            self.timers_changed.notify_one();
        }
    }

    fn pop_due(&self, now: Monotonic) -> Option<Rc<Slot>> {
        let mut timers = self.timers.borrow_mut();
        let entry = timers.first_entry()?;
        if entry.key().0 > now {
            return None;
        }
        let slot = entry.remove();
        slot.scheduled.set(None);
        Some(slot)
    }
}

/// Which groups are not known.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Missing {
    loading: bool,
    failed: bool,
}

impl BitOrAssign for Missing {
    fn bitor_assign(&mut self, other: Missing) {
        self.loading |= other.loading;
        self.failed |= other.failed;
    }
}

impl Missing {
    /// What to say of it. While some are being read a client asks again, and is told then of those that cannot be.
    pub fn reason(self) -> Option<GroupError> {
        match self {
            Missing { loading: true, .. } => Some(GroupError::Loading),
            Missing { failed: true, .. } => Some(GroupError::NotCoordinator),
            Missing { loading: false, failed: false } => None,
        }
    }
}

/// Forgets the homes of an offsets topic that has been deleted, with all their groups.
pub(super) async fn forget_stale_homes(shard: &Rc<ServerShard>) {
    let topic = shard.metadata.image().topic(OFFSETS_TOPIC).map(|topic| topic.id);
    let is_stale = |partition: &PartitionId| Some(partition.topic) != topic;
    let stale: Vec<_> =
        shard.groups.homes.borrow_mut().extract_if(|partition, _| is_stale(partition)).collect();
    for (_, home) in stale {
        for slots in home.slots().chunks(GROUPS_PER_TURN) {
            for slot in slots {
                happen(shard, &home, slot, |group, clock, out| group.disband(clock, out));
                shard.groups.forget(&home, slot);
            }
            shard.io.yield_now().await;
        }
    }
}

pub(super) fn limits(shard: &ServerShard) -> Limits {
    let config = &shard.config.groups;
    Limits {
        members_max: config.size_max.min(GROUP_MEMBERS_MAX),
        member_bytes_max: GROUP_MEMBER_BYTES_MAX,
        initial_delay: config.initial_rebalance_delay,
    }
}

pub(super) fn clock(shard: &ServerShard) -> Clock {
    Clock { now: shard.io.now(), wall_ms: shard.io.wall_clock_ms() }
}

/// Lets something happen to a group, and does what it asks for then.
pub(super) fn happen<R>(
    shard: &Rc<ServerShard>,
    home: &Rc<Home>,
    slot: &Rc<Slot>,
    event: impl FnOnce(&mut Group, Clock, &mut Vec<Action>) -> R,
) -> R {
    let mut actions = Vec::new();
    let before = slot.group.borrow().phase();
    let outcome = event(&mut slot.group.borrow_mut(), clock(shard), &mut actions);
    {
        let group = slot.group.borrow();
        if group.phase() != before {
            let (phase, generation) = (group.phase().name(), group.generation());
            tracing::debug!(group = slot.name, generation, "{} -> {phase}", before.name());
        }
    }
    for action in actions {
        match action {
            Action::AnswerJoin(ticket, joined) => deliver(shard, ticket, Answer::Joined(joined)),
            Action::AnswerSync(ticket, synced) => deliver(shard, ticket, Answer::Synced(synced)),
            Action::Store(id, metadata) => {
                let mut entry = Entry::default();
                entry.group(&slot.name, &metadata);
                home.write(shard, &entry, Effect::Stored { slot: Rc::clone(slot), id });
            }
        }
    }
    shard.groups.schedule(slot);
    outcome
}

/// Records are stored, or could not be: whatever waited for that.
pub(super) fn settle(
    shard: &Rc<ServerShard>,
    home: &Rc<Home>,
    effect: Effect,
    result: Result<(), StoreError>,
) {
    let counted = |slot: &Slot, change: &mut dyn FnMut(&mut Group)| {
        let mut group = slot.group.borrow_mut();
        let before = group.offsets().len();
        change(&mut group);
        let total = shard.groups.offsets.get() + group.offsets().len();
        shard.groups.offsets.set(total.saturating_sub(before));
    };
    match effect {
        Effect::Committed { slot, offsets, done } => {
            let mut offsets = offsets.into_iter();
            counted(&slot, &mut |group| {
                for (topic, partition, committed) in offsets.by_ref() {
                    group.offsets_mut().settle(&topic, partition, result.is_ok().then_some(committed));
                }
            });
            done.send(result);
        }
        Effect::Stored { slot, id } => {
            happen(shard, home, &slot, |group, clock, out| group.stored(clock, id, result, out));
        }
        Effect::Forgotten { offsets, removal } => {
            if result.is_ok() {
                counted(&removal.slot, &mut |group| {
                    offsets.iter().for_each(|(topic, index)| group.offsets_mut().remove(topic, *index));
                });
            }
            let Some(outcome) = removal.settle(result) else { return };
            match (removal.extent, outcome) {
                (Extent::Offsets, _) => (),
                (Extent::WholeGroup { .. }, Ok(())) => shard.groups.forget(home, &removal.slot),
                (Extent::WholeGroup { .. }, Err(_)) => {
                    removal.slot.group.borrow_mut().undo_deletion(clock(shard));
                }
            }
            removal.tell(outcome);
        }
    }
}

/// Starts what a shard does for its groups: reads those that are stored, watches their time, lets offsets expire.
pub fn start(shard: &Rc<ServerShard>) {
    let partitions: Vec<_> = {
        let image = shard.metadata.image();
        let topic = image.topic(OFFSETS_TOPIC);
        topic.map(|topic| topic.partition_ids().collect()).unwrap_or_default()
    };
    for partition in partitions.into_iter().filter(|partition| shard.home(*partition) == shard.id) {
        // Asking is what starts it.
        let _loading = shard.groups.home(shard, partition);
    }
    shard.io.spawn("group timers", watch_timers(Rc::clone(shard))).detach();
    shard.io.spawn("group expiry", super::expiry::run(Rc::clone(shard))).detach();
}

async fn watch_timers(shard: Rc<ServerShard>) {
    loop {
        let changed = shard.groups.timers_changed.notified();
        while let Some(slot) = shard.groups.pop_due(shard.io.now()) {
            let home = shard.groups.homes.borrow().get(&slot.home.partition).cloned();
            if let Some(home) = home {
                happen(&shard, &home, &slot, Group::tick);
            }
            shard.io.yield_now().await;
        }
        let next = shard.groups.timers.borrow().first_key_value().map(|((at, _), _)| *at);
        let wait = next.map_or(IDLE_LOOK, |at| at.since(shard.io.now()));
        // A deadline is met or a nearer one came: both are looked at anew.
        let _either = shard.io.timeout(wait, changed).await;
    }
}

/// Between two looks at timers that are not there.
const IDLE_LOOK: Duration = Duration::from_secs(3600);
