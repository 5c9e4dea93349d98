//! Who is still there: heartbeats, leaving, and what happens when a time is up.

use std::time::Duration;

use kafka_protocol::protocol::StrBytes;
use thalweg_engine::io::Monotonic;

use super::action::{Action, Clock, GroupError, Identity, Joined, Synced};
use super::join::millis;
use super::state::{Group, Phase};
use crate::bounds::GROUP_TICK_MS;

impl Group {
    /// A member says that it is alive.
    ///
    /// # Errors
    /// What the member has to do: join again, or under another id.
    pub fn heartbeat(&mut self, clock: Clock, who: &Identity) -> Result<(), GroupError> {
        if self.phase == Phase::Dead {
            return Err(GroupError::NotAvailable);
        }
        self.check_member(who)?;
        self.check_generation(who)?;
        match self.phase {
            Phase::Empty | Phase::Dead => Err(GroupError::UnknownMember),
            Phase::CompletingRebalance | Phase::Stable => {
                self.heard_of(&who.member_id, clock);
                Ok(())
            }
            Phase::PreparingRebalance => {
                self.heard_of(&who.member_id, clock);
                Err(GroupError::Rebalance)
            }
        }
    }

    /// A new session begins for the member.
    pub(super) fn heard_of(&mut self, id: &StrBytes, clock: Clock) {
        let Some(member) = self.members.get_mut(id.as_bytes()) else { return };
        let due = session_end(clock, millis(member.session_timeout_ms));
        member.session_due = Some(due);
        self.arm(due);
    }

    /// A member leaves, or an administrator removes a static member by its instance id alone.
    ///
    /// # Errors
    /// Why there is nobody to leave.
    pub fn leave(&mut self, clock: Clock, who: &Identity, out: &mut Vec<Action>) -> Result<(), GroupError> {
        if self.phase == Phase::Dead {
            return Err(GroupError::NotAvailable);
        }
        if who.member_id.is_empty() {
            let instance = who.instance_id.as_ref().ok_or(GroupError::UnknownMember)?;
            let id = self.statics.get(instance.as_bytes()).cloned().ok_or(GroupError::UnknownMember)?;
            self.remove(clock, id.as_bytes(), out);
            return Ok(());
        }
        if self.pending.remove(who.member_id.as_bytes()) {
            self.try_complete_join(clock, out);
            return Ok(());
        }
        self.check_member(who)?;
        self.remove(clock, who.member_id.as_bytes(), out);
        Ok(())
    }

    /// Takes a member out for good, and has the others share what it had.
    pub(super) fn remove(&mut self, clock: Clock, id: &[u8], out: &mut Vec<Action>) {
        if !self.dismiss(id, out) {
            return;
        }
        match self.phase {
            Phase::Stable | Phase::CompletingRebalance => self.prepare_if_possible(clock, out),
            Phase::PreparingRebalance => self.try_complete_join(clock, out),
            Phase::Empty | Phase::Dead => (),
        }
    }

    /// Takes a member out and refuses what it waits for. False: there is none.
    pub(super) fn dismiss(&mut self, id: &[u8], out: &mut Vec<Action>) -> bool {
        let Some(member) = self.take(id) else { return false };
        if let Some(ticket) = member.joining {
            // If it is there after all, it joins anew.
            out.push(Action::AnswerJoin(ticket, Joined::refused(StrBytes::new(), GroupError::UnknownMember)));
        }
        if let Some(ticket) = member.syncing {
            out.push(Action::AnswerSync(ticket, Synced::refused(GroupError::UnknownMember)));
        }
        true
    }

    /// The group is gone with what it lived in: whoever waits looks for it anew, and nothing is due any more.
    pub fn disband(&mut self, clock: Clock, out: &mut Vec<Action>) {
        for member in self.members.values_mut() {
            if let Some(ticket) = member.joining.take() {
                let refused = Joined::refused(member.id.clone(), GroupError::NotCoordinator);
                out.push(Action::AnswerJoin(ticket, refused));
            }
            if let Some(ticket) = member.syncing.take() {
                out.push(Action::AnswerSync(ticket, Synced::refused(GroupError::NotCoordinator)));
            }
        }
        self.joining = 0;
        self.due = None;
        self.enter(Phase::Dead, clock);
    }

    /// Time has passed: whatever is due happens. To be called when [`due`](Group::due) is reached; earlier is harmless.
    pub fn tick(&mut self, clock: Clock, out: &mut Vec<Action>) {
        let is_due = |at: Monotonic| at <= clock.now;
        let silent: Vec<_> = self
            .members
            .values_mut()
            .filter(|member| member.session_due.is_some_and(is_due))
            .filter_map(|member| {
                member.session_due = None;
                // Whoever waits for an answer of ours cannot send heartbeats. A session begins with the answer.
                let waits = !member.is_new && (member.joining.is_some() || member.syncing.is_some());
                (!waits).then(|| member.id.clone())
            })
            .collect();
        for id in silent {
            self.remove(clock, id.as_bytes(), out);
        }
        if self.pending.expire(clock.now) {
            self.try_complete_join(clock, out);
        }
        if self.sync_due.is_some_and(is_due) {
            self.sync_overdue(clock, out);
        }
        if self.window.is_some_and(|window| is_due(window.due)) {
            self.window_closed(clock, out);
        }
        self.due = self.earliest();
    }

    fn earliest(&self) -> Option<Monotonic> {
        let sessions = self.members.values().filter_map(|member| member.session_due);
        let window = self.window.map(|window| window.due);
        sessions.chain(self.pending.earliest()).chain(window).chain(self.sync_due).min()
    }
}

/// When whoever is silent from now on for `timeout` is given up. On a grid, so that a group looks through its members a few
/// times a second, however many of them have their end.
pub(super) fn session_end(clock: Clock, timeout: Duration) -> Monotonic {
    let Monotonic(at_ns) = clock.now.after(timeout);
    Monotonic(at_ns.next_multiple_of(GROUP_TICK_MS * 1_000_000))
}
