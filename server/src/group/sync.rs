//! SyncGroup: the leader brings the assignments, everybody fetches their own.

use std::collections::HashMap;

use bytes::Bytes;

use super::action::{Action, Clock, GroupError, Sync, Synced, Ticket};
use super::state::{Group, Phase, Purpose};

impl Group {
    /// A member asks for its assignment; answered through an [`Action`], now or when the leader's is stored.
    pub fn sync(&mut self, clock: Clock, ticket: Ticket, sync: Sync, out: &mut Vec<Action>) {
        if let Err(error) = self.check_sync(&sync) {
            return out.push(Action::AnswerSync(ticket, Synced::refused(error)));
        }
        let id = sync.member.member_id.as_bytes();
        match self.phase {
            Phase::CompletingRebalance => self.await_sync(ticket, &sync, out),
            Phase::Stable => {
                self.unsynced.remove(id);
                out.push(Action::AnswerSync(ticket, self.synced(id, None)));
                self.heard_of(&sync.member.member_id, clock);
            }
            Phase::PreparingRebalance => {
                out.push(Action::AnswerSync(ticket, Synced::refused(GroupError::Rebalance)));
            }
            Phase::Empty | Phase::Dead => {
                out.push(Action::AnswerSync(ticket, Synced::refused(GroupError::UnknownMember)));
            }
        }
        if self.unsynced.is_empty() {
            self.sync_due = None;
        }
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), GroupError> {
        if self.phase == Phase::Dead {
            return Err(GroupError::NotAvailable);
        }
        self.check_member(&sync.member)?;
        self.check_generation(&sync.member)?;
        let differs = |theirs: &Option<_>, ours: &Option<_>| theirs.is_some() && theirs != ours;
        let strange =
            differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol);
        if strange { Err(GroupError::InconsistentProtocol) } else { Ok(()) }
    }

    fn await_sync(&mut self, ticket: Ticket, sync: &Sync, out: &mut Vec<Action>) {
        let id = sync.member.member_id.as_bytes();
        self.unsynced.remove(id);
        let Some(member) = self.members.get_mut(id) else { return };
        if let Some(given_up) = member.syncing.replace(ticket) {
            out.push(Action::AnswerSync(given_up, Synced::refused(GroupError::Rebalance)));
        }
        let generation = self.generation;
        let stores = |purpose: &Purpose| matches!(purpose, Purpose::Assignment { generation: of, .. } if *of == generation);
        if !self.is_leader(id) || self.storing.values().any(stores) {
            return;
        }
        // Whom the leader leaves out has nothing to do; strangers are left out.
        let given: HashMap<&[u8], &Bytes> =
            sync.assignments.iter().map(|(member, bytes)| (member.as_bytes(), bytes)).collect();
        let assignment =
            |id: &[u8]| given.get(id).map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(bytes));
        let assignments = self.members.keys().map(|id| (id.clone(), assignment(id.as_bytes()))).collect();
        self.store(Purpose::Assignment { generation, assignments }, out);
    }
}
