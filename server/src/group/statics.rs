//! A static member that comes back under a new member id (KIP-345): it takes the place of its predecessor.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use super::action::{Action, Clock, GroupError, Join, Joined, StoreError, Synced, Ticket};
use super::member::own_protocols;
use super::state::{Group, Phase, Purpose};

/// What is needed when the replacement has been stored, or could not be.
#[derive(Debug)]
pub(super) struct Replacement {
    ticket: Ticket,
    old_id: StrBytes,
    new_id: StrBytes,
    old_leader: StrBytes,
    old_protocols: Vec<(StrBytes, Bytes)>,
    old_rebalance_timeout_ms: i32,
    old_session_timeout_ms: i32,
    can_skip_assignment: bool,
}

impl Group {
    pub(super) fn replace_static(
        &mut self,
        clock: Clock,
        ticket: Ticket,
        old_id: &StrBytes,
        new_id: StrBytes,
        join: &Join,
        out: &mut Vec<Action>,
    ) {
        let old_leader = self.leader.clone().unwrap_or_default();
        let Some((old_protocols, rebalance_ms, session_ms)) = self
            .members
            .get(old_id.as_bytes())
            .map(|member| (member.protocols.clone(), member.rebalance_timeout_ms, member.session_timeout_ms))
        else {
            return;
        };
        self.rename(old_id.as_bytes(), &new_id, out);
        self.update(
            new_id.as_bytes(),
            own_protocols(join),
            join.rebalance_timeout_ms,
            join.session_timeout_ms,
        );
        self.await_join(new_id.as_bytes(), ticket, out);
        self.heard_of(&new_id, clock);
        // A group that is stable, and would choose the same protocol, need not be bothered: its assignment stays good.
        if self.phase == Phase::Stable && self.select_protocol() == self.protocol {
            let replacement = Replacement {
                ticket,
                old_id: old_id.clone(),
                new_id,
                old_leader,
                old_protocols,
                old_rebalance_timeout_ms: rebalance_ms,
                old_session_timeout_ms: session_ms,
                can_skip_assignment: join.can_skip_assignment,
            };
            return self.store(Purpose::Replacement(Box::new(replacement)), out);
        }
        self.prepare_if_possible(clock, out);
        self.try_complete_join(clock, out);
    }

    /// Whoever still waits under the old id is fenced.
    fn rename(&mut self, old_id: &[u8], new_id: &StrBytes, out: &mut Vec<Action>) {
        let Some(mut member) = self.members.remove(old_id) else { return };
        self.member_bytes -= member.bytes();
        if let Some(ticket) = member.joining.take() {
            self.joining -= 1;
            out.push(Action::AnswerJoin(
                ticket,
                Joined::refused(member.id.clone(), GroupError::FencedInstance),
            ));
        }
        if let Some(ticket) = member.syncing.take() {
            out.push(Action::AnswerSync(ticket, Synced::refused(GroupError::FencedInstance)));
        }
        if self.is_leader(old_id) {
            self.leader = Some(new_id.clone());
        }
        if self.unsynced.remove(old_id) {
            self.unsynced.insert(new_id.clone());
        }
        if let Some(instance) = &member.instance_id {
            self.statics.insert(instance.clone(), new_id.clone());
        }
        member.id = new_id.clone();
        self.member_bytes += member.bytes();
        self.members.insert(new_id.clone(), member);
    }

    pub(super) fn replacement_stored(
        &mut self,
        clock: Clock,
        replacement: Replacement,
        stored: Result<(), StoreError>,
        out: &mut Vec<Action>,
    ) {
        let id = replacement.new_id.as_bytes();
        // It may have been answered by a rebalance, or be gone.
        if !self.members.get(id).is_some_and(|member| member.joining == Some(replacement.ticket)) {
            return;
        }
        if let Err(error) = stored {
            return self.revert(clock, replacement, error, out);
        }
        // A rebalance has begun meanwhile: that one answers.
        if self.phase != Phase::Stable {
            return;
        }
        let is_leader = self.is_leader(id);
        let mut told = self.joined(id, replacement.can_skip_assignment);
        told.skip_assignment = replacement.can_skip_assignment && is_leader;
        if !replacement.can_skip_assignment {
            // An old client that finds itself the leader would make an assignment that nobody waits for.
            told.leader = replacement.old_leader;
        }
        self.answer_join(id, told, out);
        self.heard_of(&replacement.new_id, clock);
    }

    fn revert(&mut self, clock: Clock, replacement: Replacement, error: StoreError, out: &mut Vec<Action>) {
        let id = replacement.new_id.as_bytes();
        let mut refused = Joined::refused(StrBytes::new(), error.into());
        (refused.generation, refused.leader) = (self.generation, replacement.old_leader);
        (refused.protocol_type, refused.protocol) = (self.protocol_type.clone(), self.protocol.clone());
        self.answer_join(id, refused, out);
        let (rebalance_ms, session_ms) =
            (replacement.old_rebalance_timeout_ms, replacement.old_session_timeout_ms);
        self.update(id, replacement.old_protocols, rebalance_ms, session_ms);
        self.rename(id, &replacement.old_id, out);
        self.heard_of(&replacement.old_id, clock);
    }
}
