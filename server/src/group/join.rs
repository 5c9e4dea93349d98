//! JoinGroup: new members, returning members, and when their joining starts a rebalance.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use super::action::{Action, Clock, GroupError, Identity, Join, Joined, Ticket};
use super::member::{Member, join_bytes, own, own_protocols};
use super::presence::session_end;
use super::state::{Group, Phase};
use crate::bounds::{GROUP_MEMBERS_MAX, NEW_MEMBER_JOIN_MAX};

impl Group {
    /// A member joins, or joins again. It is answered through an [`Action`], now or when the rebalance is through.
    pub fn join(&mut self, clock: Clock, ticket: Ticket, join: Join, out: &mut Vec<Action>) {
        let refused = match self.check_join(&join) {
            Ok(()) if join.member_id.is_empty() => return self.join_as_new(clock, ticket, join, out),
            Ok(()) => return self.join_again(clock, ticket, join, out),
            Err(error) => error,
        };
        let mut member_id = join.member_id;
        if refused == GroupError::Full {
            // Whoever is one too many is told to forget its id, and the others do not wait for it.
            self.remove(clock, member_id.as_bytes(), out);
            member_id = StrBytes::new();
        }
        out.push(Action::AnswerJoin(ticket, Joined::refused(member_id, refused)));
        self.try_complete_join(clock, out);
    }

    fn check_join(&self, join: &Join) -> Result<(), GroupError> {
        if self.phase == Phase::Dead {
            return Err(GroupError::NotAvailable);
        }
        if !self.admits(join) {
            return Err(GroupError::Full);
        }
        match self.supports(&join.protocol_type, &join.protocols) {
            true => Ok(()),
            false => Err(GroupError::InconsistentProtocol),
        }
    }

    /// While the group prepares, those that wait count: a member that does not come back makes room.
    fn admits(&self, join: &Join) -> bool {
        if !self.has_room_for(join) {
            return false;
        }
        let known = self.members.get(join.member_id.as_bytes());
        match self.phase {
            Phase::Empty | Phase::Dead => true,
            Phase::PreparingRebalance => {
                known.is_some_and(|member| member.joining.is_some()) || self.joining < self.limits.members_max
            }
            Phase::CompletingRebalance | Phase::Stable => {
                known.is_some() || self.members.len() < self.limits.members_max
            }
        }
    }

    /// The server's own bounds: ids that nobody came back with count like members. A member that comes again counts with
    /// what it brings instead of what it had.
    fn has_room_for(&self, join: &Join) -> bool {
        let held = self.member_of(join).map(Member::bytes);
        let is_counted = held.is_some() || self.pending.contains(join.member_id.as_bytes());
        let (held, brought) = (held.unwrap_or(0), join_bytes(join));
        let others = self.member_bytes - held + self.pending.bytes();
        (is_counted || self.pending.len() + self.members.len() < GROUP_MEMBERS_MAX)
            && (brought <= held || others + brought <= self.limits.member_bytes_max)
    }

    /// The member that the join comes from; a static one may have forgotten its id.
    fn member_of(&self, join: &Join) -> Option<&Member> {
        let id = match &join.instance_id {
            Some(instance) if join.member_id.is_empty() => self.statics.get(instance.as_bytes())?,
            _ => &join.member_id,
        };
        self.members.get(id.as_bytes())
    }

    fn join_as_new(&mut self, clock: Clock, ticket: Ticket, join: Join, out: &mut Vec<Action>) {
        let prefix = join.instance_id.as_ref().unwrap_or(&join.client_id);
        let id = StrBytes::from_string(format!("{prefix}-{}", join.fresh.hyphenated()));
        if let Some(instance) = &join.instance_id {
            return match self.statics.get(instance.as_bytes()).cloned() {
                Some(old) => self.replace_static(clock, ticket, &old, id, &join, out),
                None => self.add(clock, ticket, id, &join, out),
            };
        }
        if !join.requires_member_id {
            return self.add(clock, ticket, id, &join, out);
        }
        let due = session_end(clock, millis(join.session_timeout_ms));
        self.pending.insert(id.clone(), due);
        self.arm(due);
        out.push(Action::AnswerJoin(ticket, Joined::refused(id, GroupError::MemberIdRequired)));
    }

    fn join_again(&mut self, clock: Clock, ticket: Ticket, join: Join, out: &mut Vec<Action>) {
        if self.pending.contains(join.member_id.as_bytes()) {
            let id = own(&join.member_id);
            return self.add(clock, ticket, id, &join, out);
        }
        let who = Identity {
            member_id: join.member_id.clone(),
            instance_id: join.instance_id.clone(),
            generation: self.generation,
        };
        if let Err(error) = self.check_member(&who) {
            out.push(Action::AnswerJoin(ticket, Joined::refused(join.member_id, error)));
            return;
        }
        let id = join.member_id.as_bytes();
        let changed = !self.members.get(id).is_some_and(|member| member.matches(&join.protocols));
        let rejoins = match self.phase {
            Phase::PreparingRebalance => true,
            // Its answer may have been lost: it is told again.
            Phase::CompletingRebalance => changed,
            // A leader joins to have the assignment made anew.
            Phase::Stable => changed || self.is_leader(id),
            Phase::Empty | Phase::Dead => {
                let refused = Joined::refused(join.member_id, GroupError::UnknownMember);
                return out.push(Action::AnswerJoin(ticket, refused));
            }
        };
        if rejoins {
            self.rejoin(clock, ticket, &join, out);
        } else {
            let with_members = self.phase == Phase::CompletingRebalance;
            let told = self.joined(id, with_members);
            out.push(Action::AnswerJoin(ticket, told));
            self.heard_of(&join.member_id, clock);
        }
    }

    fn rejoin(&mut self, clock: Clock, ticket: Ticket, join: &Join, out: &mut Vec<Action>) {
        self.update(
            join.member_id.as_bytes(),
            own_protocols(join),
            join.rebalance_timeout_ms,
            join.session_timeout_ms,
        );
        self.await_join(join.member_id.as_bytes(), ticket, out);
        self.prepare_if_possible(clock, out);
        self.try_complete_join(clock, out);
    }

    /// The join waits for the rebalance; one that waited before was given up by its client.
    pub(super) fn await_join(&mut self, id: &[u8], ticket: Ticket, out: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(id) else { return };
        match member.joining.replace(ticket) {
            None => self.joining += 1,
            Some(old) => {
                let refused = Joined::refused(member.id.clone(), GroupError::Rebalance);
                out.push(Action::AnswerJoin(old, refused));
            }
        }
    }

    fn add(&mut self, clock: Clock, ticket: Ticket, id: StrBytes, join: &Join, out: &mut Vec<Action>) {
        if self.phase == Phase::PreparingRebalance && self.generation == 0 {
            self.new_member_added = true;
        }
        if self.members.is_empty() {
            self.protocol_type = Some(own(&join.protocol_type));
        }
        // It has no id yet to send heartbeats with. A client that gives up and comes again leaves a member behind that
        // is removed after this time.
        let due = session_end(clock, NEW_MEMBER_JOIN_MAX);
        self.insert(Member {
            id,
            instance_id: join.instance_id.as_ref().map(own),
            client_id: own(&join.client_id),
            client_host: own(&join.client_host),
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: own_protocols(join),
            assignment: Bytes::new(),
            joining: Some(ticket),
            syncing: None,
            is_new: true,
            session_due: Some(due),
        });
        self.arm(due);
        self.prepare_if_possible(clock, out);
        self.try_complete_join(clock, out);
    }

    /// What a member is told of the current generation.
    pub(super) fn joined(&self, id: &[u8], with_members: bool) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let told = (with_members && self.is_leader(id)).then(|| self.members.values());
        Joined {
            error: None,
            member_id: self.members.get(id).map(|member| member.id.clone()).unwrap_or_default(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: told.into_iter().flatten().map(|member| member.joined(protocol.as_bytes())).collect(),
        }
    }
}

pub(super) fn millis(ms: i32) -> std::time::Duration {
    std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
