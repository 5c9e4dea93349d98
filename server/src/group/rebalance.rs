//! The rebalance itself: it begins, waits for everybody, makes a generation, and waits for the syncs.

use std::time::Duration;

use super::action::{Action, Clock, GroupError, Joined, StoreError, StoreId, Synced};
use super::join::millis;
use super::state::{Group, JoinWindow, Phase, Purpose};

impl Group {
    /// Begins a rebalance unless one is already being prepared.
    pub(super) fn prepare_if_possible(&mut self, clock: Clock, out: &mut Vec<Action>) {
        let was = self.phase;
        if !matches!(was, Phase::Stable | Phase::CompletingRebalance | Phase::Empty) {
            return;
        }
        if was == Phase::CompletingRebalance {
            self.refuse_syncs(GroupError::Rebalance, clock, out);
        }
        self.forget_unsynced();
        let timeout = self.rebalance_timeout();
        let window = match was {
            Phase::Empty => {
                let delay = self.limits.initial_delay;
                JoinWindow { due: clock.now.after(delay), initial: Some(timeout.saturating_sub(delay)) }
            }
            _ => JoinWindow { due: clock.now.after(timeout), initial: None },
        };
        self.new_member_added = false;
        self.open_window(window);
        self.enter(Phase::PreparingRebalance, clock);
        self.try_complete_join(clock, out);
    }

    fn open_window(&mut self, window: JoinWindow) {
        self.arm(window.due);
        self.window = Some(window);
    }

    /// The longest that a member asks for.
    fn rebalance_timeout(&self) -> Duration {
        let longest = self.members.values().map(|member| member.rebalance_timeout_ms).max();
        millis(longest.unwrap_or(0))
    }

    /// Ends the joining once everybody is here.
    pub(super) fn try_complete_join(&mut self, clock: Clock, out: &mut Vec<Action>) {
        let waits_for_its_time = self.window.is_some_and(|window| window.initial.is_some());
        let all_here = self.members.len() == self.joining && self.pending.is_empty();
        if self.phase == Phase::PreparingRebalance && !waits_for_its_time && all_here {
            self.complete_join(clock, out);
        }
    }

    /// The window's time is up.
    pub(super) fn window_closed(&mut self, clock: Clock, out: &mut Vec<Action>) {
        let Some(window) = self.window.take() else { return };
        match window.initial {
            Some(left) if self.new_member_added && !left.is_zero() => {
                self.new_member_added = false;
                let delay = self.limits.initial_delay.min(left);
                let initial = Some(left.saturating_sub(delay));
                self.open_window(JoinWindow { due: clock.now.after(delay), initial });
            }
            _ => self.complete_join(clock, out),
        }
    }

    fn complete_join(&mut self, clock: Clock, out: &mut Vec<Action>) {
        self.window = None;
        let absent: Vec<_> = self
            .members
            .values()
            .filter(|member| member.joining.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect();
        for id in absent {
            self.take(id.as_bytes());
        }
        if self.elect_leader() {
            return self.begin_generation(clock, out);
        }
        // Static members alone, and none of them here: their sessions decide. A moment at least between two looks, as
        // their timeout may be zero.
        let due = clock.now.after(self.rebalance_timeout().max(Duration::from_millis(1)));
        self.open_window(JoinWindow { due, initial: None });
    }

    /// A leader that has not joined cannot lead. False: there are members, and none of them has joined.
    fn elect_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else { return true };
        if self.members.get(leader.as_bytes()).is_some_and(|member| member.joining.is_some()) {
            return true;
        }
        let Some(joined) = self.members.values().find(|member| member.joining.is_some()) else {
            return false;
        };
        self.leader = Some(joined.id.clone());
        true
    }

    fn begin_generation(&mut self, clock: Clock, out: &mut Vec<Action>) {
        self.generation = self.generation.wrapping_add(1).max(1);
        self.unsynced.clear();
        if self.members.is_empty() {
            self.protocol = None;
            self.subscribed = self.compute_subscribed();
            self.enter(Phase::Empty, clock);
            return self.store(Purpose::Empty, out);
        }
        self.protocol = self.select_protocol();
        self.subscribed = self.compute_subscribed();
        self.enter(Phase::CompletingRebalance, clock);
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let told = self.joined(id.as_bytes(), true);
            self.answer_join(id.as_bytes(), told, out);
            self.heard_of(&id, clock);
            if let Some(member) = self.members.get_mut(id.as_bytes()) {
                member.is_new = false;
            }
            self.unsynced.insert(id);
        }
        let due = clock.now.after(self.rebalance_timeout());
        self.sync_due = Some(due);
        self.arm(due);
    }

    /// Answers the member's join if it waits with one.
    pub(super) fn answer_join(&mut self, id: &[u8], told: Joined, out: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(ticket) = member.joining.take() {
            self.joining -= 1;
            out.push(Action::AnswerJoin(ticket, told));
        }
    }

    /// Answers every waiting sync with what its member has, or with `error`.
    pub(super) fn answer_syncs(&mut self, error: Option<GroupError>, clock: Clock, out: &mut Vec<Action>) {
        let ids: Vec<_> = self
            .members
            .values()
            .filter(|member| member.syncing.is_some())
            .map(|member| member.id.clone())
            .collect();
        for id in ids {
            let told = self.synced(id.as_bytes(), error);
            let ticket = self.members.get_mut(id.as_bytes()).and_then(|member| member.syncing.take());
            out.extend(ticket.map(|ticket| Action::AnswerSync(ticket, told)));
            self.heard_of(&id, clock);
        }
    }

    pub(super) fn refuse_syncs(&mut self, error: GroupError, clock: Clock, out: &mut Vec<Action>) {
        for member in self.members.values_mut() {
            member.assignment = bytes::Bytes::new();
        }
        self.answer_syncs(Some(error), clock, out);
    }

    pub(super) fn synced(&self, id: &[u8], error: Option<GroupError>) -> Synced {
        match error {
            Some(error) => Synced::refused(error),
            None => Synced {
                error: None,
                protocol_type: self.protocol_type.clone(),
                protocol: self.protocol.clone(),
                assignment: self.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default(),
            },
        }
    }

    pub(super) fn forget_unsynced(&mut self) {
        self.unsynced.clear();
        self.sync_due = None;
    }

    /// Members that took part in the generation and never asked for their assignment are gone.
    pub(super) fn sync_overdue(&mut self, clock: Clock, out: &mut Vec<Action>) {
        self.sync_due = None;
        let silent = std::mem::take(&mut self.unsynced);
        if silent.is_empty() || !matches!(self.phase, Phase::CompletingRebalance | Phase::Stable) {
            return;
        }
        for id in silent {
            self.dismiss(id.as_bytes(), out);
        }
        self.prepare_if_possible(clock, out);
    }

    /// A record that [`Action::Store`] asked for is stored, or could not be.
    pub fn stored(
        &mut self,
        clock: Clock,
        id: StoreId,
        result: Result<(), StoreError>,
        out: &mut Vec<Action>,
    ) {
        match self.storing.remove(&id) {
            Some(Purpose::Assignment { generation, assignments }) => {
                // Somebody may have joined meanwhile, and the assignment is void.
                if self.phase != Phase::CompletingRebalance || generation != self.generation {
                    return;
                }
                if let Err(error) = result {
                    self.refuse_syncs(error.into(), clock, out);
                    return self.prepare_if_possible(clock, out);
                }
                for (member, assignment) in assignments {
                    if let Some(member) = self.members.get_mut(member.as_bytes()) {
                        member.assignment = assignment;
                    }
                }
                self.answer_syncs(None, clock, out);
                self.enter(Phase::Stable, clock);
            }
            Some(Purpose::Replacement(replacement)) => {
                self.replacement_stored(clock, *replacement, result, out);
            }
            // Not stored: the generation before it is what a restart finds, whose members then time out.
            Some(Purpose::Empty) | None => (),
        }
    }
}
