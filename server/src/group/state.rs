//! One consumer group: who is in it, in which phase it is, what each waits for.
//!
//! A pure state machine: requests and the time go in, [`Action`]s come out; nothing is read, written or waited for in
//! here. The phases and their answers are those of Kafka 3.2.0's `GroupCoordinator`:
//!
//! ```text
//!           join                  all joined, or time is up          leader's sync is stored
//! Empty ----------> Preparing ------------------------> Completing ------------------------> Stable
//!   ^               Rebalance <-----------------------  Rebalance                              |
//!   |                  |  ^      join, leave, expiry                                           |
//!   +------------------+  +--------------------------------------------------------------------+
//!     nobody is left        join, leave, expiry                    Dead: being deleted, nothing is done any more
//! ```
//!
//! Invariants: the generation never goes back; there is a leader exactly when there are members; a waiting join or sync is
//! answered exactly once; whatever waits has a deadline. This file holds the state, the files beside it the events.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use thalweg_engine::io::Monotonic;

use super::action::{Action, Clock, GroupError, Identity, StoreId};
use super::member::Member;
use super::offsets::Offsets;
use super::pending::Pending;
use super::record::{GroupMetadata, MemberMetadata};
use super::subscription::subscribed_topics;

/// Protocol type of Kafka's own consumers, whose subscriptions the coordinator can read.
pub(super) const CONSUMER: &str = "consumer";

/// Where a group is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
    Dead,
}

impl Phase {
    /// Kafka's name, in answers and listings.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::PreparingRebalance => "PreparingRebalance",
            Phase::CompletingRebalance => "CompletingRebalance",
            Phase::Stable => "Stable",
            Phase::Dead => "Dead",
        }
    }
}

/// What the configuration allows a group.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `group.max.size`, and what the server bounds.
    pub members_max: usize,
    /// Of all members' metadata together.
    pub member_bytes_max: usize,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_delay: Duration,
}

/// When the phase PreparingRebalance ends, whoever has joined.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinWindow {
    pub due: Monotonic,
    /// In the first rebalance of an empty group the window runs its time, and is prolonged while members come: by how
    /// much at most in all.
    pub initial: Option<Duration>,
}

/// What a record is stored for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// The leader's assignments of this generation.
    Assignment { generation: i32, assignments: Vec<(StrBytes, Bytes)> },
    /// A static member that came back under a new id.
    Replacement(Box<super::statics::Replacement>),
    /// A generation without members.
    Empty,
}

/// See the module.
#[derive(Debug)]
pub struct Group {
    pub(super) limits: Limits,
    pub(super) phase: Phase,
    /// When the phase began, milliseconds since the epoch; None if a record did not say.
    pub(super) phase_since_ms: Option<i64>,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<StrBytes>,
    pub(super) protocol: Option<StrBytes>,
    pub(super) leader: Option<StrBytes>,
    pub(super) members: BTreeMap<StrBytes, Member>,
    pub(super) member_bytes: usize,
    /// How many members support each protocol.
    pub(super) protocols: HashMap<StrBytes, usize>,
    /// How many members wait with a join.
    pub(super) joining: usize,
    /// Ids that were given out and have not joined yet.
    pub(super) pending: Pending,
    /// Member id by group instance id.
    pub(super) statics: BTreeMap<StrBytes, StrBytes>,
    /// Members of this generation whose sync has not come yet, and when those that are left are removed.
    pub(super) unsynced: BTreeSet<StrBytes>,
    pub(super) sync_due: Option<Monotonic>,
    pub(super) window: Option<JoinWindow>,
    /// Somebody joined in the initial window.
    pub(super) new_member_added: bool,
    pub(super) storing: BTreeMap<StoreId, Purpose>,
    pub(super) stores: u64,
    /// Topics that the members consume; None where that cannot be told.
    pub(super) subscribed: Option<BTreeSet<String>>,
    pub(super) offsets: Offsets,
    /// No deadline is earlier than this.
    pub(super) due: Option<Monotonic>,
}

impl Group {
    /// A group that nothing is known of yet.
    pub fn new(limits: Limits) -> Group {
        Group {
            limits,
            phase: Phase::Empty,
            phase_since_ms: None,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            member_bytes: 0,
            protocols: HashMap::new(),
            joining: 0,
            pending: Pending::default(),
            statics: BTreeMap::new(),
            unsynced: BTreeSet::new(),
            sync_due: None,
            window: None,
            new_member_added: false,
            storing: BTreeMap::new(),
            stores: 0,
            subscribed: None,
            offsets: Offsets::default(),
            due: None,
        }
    }

    /// The group as it was stored; its members have a session's time to be heard of.
    pub fn loaded(limits: Limits, stored: Option<GroupMetadata>, offsets: Offsets, clock: Clock) -> Group {
        let mut group = Group { offsets, ..Group::new(limits) };
        let Some(stored) = stored else { return group };
        group.generation = stored.generation;
        group.protocol_type = Some(stored.protocol_type).filter(|kind| !kind.is_empty());
        group.phase_since_ms = stored.phase_since_ms;
        let protocol = stored.protocol.clone().unwrap_or_default();
        for member in stored.members {
            group.insert(Member {
                id: member.member_id,
                instance_id: member.instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: vec![(protocol.clone(), member.subscription)],
                assignment: member.assignment,
                joining: None,
                syncing: None,
                is_new: false,
                session_due: None,
            });
        }
        if group.members.is_empty() {
            return group;
        }
        group.phase = Phase::Stable;
        group.protocol = stored.protocol;
        group.leader = stored.leader.filter(|leader| group.members.contains_key(leader.as_bytes()));
        group.leader = group.leader.take().or_else(|| group.members.keys().next().cloned());
        group.subscribed = group.compute_subscribed();
        let ids: Vec<_> = group.members.keys().cloned().collect();
        for id in ids {
            group.heard_of(&id, clock);
        }
        if group.members.len() > limits.members_max {
            // Some will be turned away; a rebalance lets them commit before. Nobody waits for an answer yet.
            group.prepare_if_possible(clock, &mut Vec::new());
        }
        group
    }

    pub fn phase(&self) -> Phase {
        self.phase
    }

    pub fn generation(&self) -> i32 {
        self.generation
    }

    pub fn protocol_type(&self) -> Option<&StrBytes> {
        self.protocol_type.as_ref()
    }

    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    pub fn offsets_mut(&mut self) -> &mut Offsets {
        &mut self.offsets
    }

    /// No deadline of the group is earlier; None while it waits for nothing.
    pub fn due(&self) -> Option<Monotonic> {
        self.due
    }

    /// Whether nothing would be lost by forgetting it once `expired` of its offsets are gone.
    pub fn is_forgettable_without(&self, expired: usize) -> bool {
        self.phase == Phase::Empty
            && self.offsets.len() == expired
            && self.pending.is_empty()
            && self.storing.is_empty()
    }

    pub(super) fn enter(&mut self, phase: Phase, clock: Clock) {
        self.phase = phase;
        self.phase_since_ms = Some(clock.wall_ms);
    }

    /// Sees to it that `tick` is called at `at`.
    pub(super) fn arm(&mut self, at: Monotonic) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn insert(&mut self, member: Member) {
        for (name, _) in &member.protocols {
            *self.protocols.entry(name.clone()).or_default() += 1;
        }
        if let Some(instance) = &member.instance_id {
            self.statics.insert(instance.clone(), member.id.clone());
        }
        self.joining += usize::from(member.joining.is_some());
        self.member_bytes += member.bytes();
        self.leader.get_or_insert_with(|| member.id.clone());
        self.pending.remove(member.id.as_bytes());
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out, and with it everything that names it. Somebody else leads then.
    pub(super) fn take(&mut self, id: &[u8]) -> Option<Member> {
        self.pending.remove(id);
        self.unsynced.remove(id);
        let member = self.members.remove(id)?;
        self.release_protocols(&member);
        if let Some(instance) = &member.instance_id
            && self.statics.get(instance.as_bytes()) == Some(&member.id)
        {
            self.statics.remove(instance.as_bytes());
        }
        self.joining -= usize::from(member.joining.is_some());
        self.member_bytes -= member.bytes();
        if self.leader.as_ref() == Some(&member.id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    fn release_protocols(&mut self, member: &Member) {
        for (name, _) in &member.protocols {
            if let Some(count) = self.protocols.get_mut(name.as_bytes()) {
                *count -= 1;
                if *count == 0 {
                    self.protocols.remove(name.as_bytes());
                }
            }
        }
    }

    /// Gives a member other protocols and timeouts.
    pub(super) fn update(
        &mut self,
        id: &[u8],
        protocols: Vec<(StrBytes, Bytes)>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
    ) {
        let Some(mut member) = self.members.remove(id) else { return };
        self.release_protocols(&member);
        self.member_bytes -= member.bytes();
        for (name, _) in &protocols {
            *self.protocols.entry(name.clone()).or_default() += 1;
        }
        member.protocols = protocols;
        member.rebalance_timeout_ms = rebalance_timeout_ms;
        member.session_timeout_ms = session_timeout_ms;
        self.member_bytes += member.bytes();
        self.members.insert(member.id.clone(), member);
    }

    pub(super) fn is_leader(&self, id: &[u8]) -> bool {
        self.leader.as_ref().is_some_and(|leader| leader.as_bytes() == id)
    }

    /// Whether a member that speaks these protocols fits in.
    pub(super) fn supports(&self, protocol_type: &StrBytes, protocols: &[(StrBytes, Bytes)]) -> bool {
        if self.phase == Phase::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.is_candidate(name))
    }

    /// Whether every member has it: where there is none, any protocol is one.
    pub(super) fn is_candidate(&self, protocol: &StrBytes) -> bool {
        self.protocols.get(protocol.as_bytes()).copied().unwrap_or(0) == self.members.len()
    }

    /// The protocol that most members vote for, among those that all have.
    pub(super) fn select_protocol(&self) -> Option<StrBytes> {
        let mut votes: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(vote) = member.vote(|name| self.is_candidate(name)) {
                *votes.entry(vote).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone())
    }

    pub(super) fn compute_subscribed(&self) -> Option<BTreeSet<String>> {
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let protocol = self.protocol.as_ref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscribed_topics(&member.metadata(protocol.as_bytes()))?);
        }
        Some(topics)
    }

    /// Whether the group consumes `topic`, or may.
    pub fn is_subscribed(&self, topic: &str) -> bool {
        self.subscribed.as_ref().is_none_or(|topics| topics.contains(topic))
    }

    /// Whether a request in the name of a member comes from that member.
    pub(super) fn check_member(&self, who: &Identity) -> Result<(), GroupError> {
        if let Some(instance) = &who.instance_id {
            match self.statics.get(instance.as_bytes()) {
                Some(current) if *current != who.member_id => return Err(GroupError::FencedInstance),
                Some(_) => (),
                None => return Err(GroupError::UnknownMember),
            }
        }
        match self.members.contains_key(who.member_id.as_bytes()) {
            true => Ok(()),
            false => Err(GroupError::UnknownMember),
        }
    }

    pub(super) fn check_generation(&self, who: &Identity) -> Result<(), GroupError> {
        if who.generation == self.generation { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    /// The record of the group, with `assignments` in the place of what its members have.
    pub(super) fn metadata(&self, assignments: Option<&[(StrBytes, Bytes)]>) -> GroupMetadata {
        let protocol = self.protocol.clone().unwrap_or_default();
        let given: Option<HashMap<&[u8], &Bytes>> = assignments
            .map(|given| given.iter().map(|(id, assignment)| (id.as_bytes(), assignment)).collect());
        let member = |member: &Member| MemberMetadata {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol.as_bytes()),
            assignment: match &given {
                Some(given) => {
                    given.get(member.id.as_bytes()).map(|bytes| (*bytes).clone()).unwrap_or_default()
                }
                None => member.assignment.clone(),
            },
        };
        GroupMetadata {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            phase_since_ms: self.phase_since_ms,
            members: self.members.values().map(member).collect(),
        }
    }

    pub(super) fn store(&mut self, purpose: Purpose, out: &mut Vec<Action>) {
        let assignments = match &purpose {
            Purpose::Assignment { assignments, .. } => Some(assignments.as_slice()),
            Purpose::Replacement(_) | Purpose::Empty => None,
        };
        let record = self.metadata(assignments);
        self.stores += 1;
        let id = StoreId(self.stores);
        self.storing.insert(id, purpose);
        out.push(Action::Store(id, record));
    }
}
