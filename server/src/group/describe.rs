//! A group as administrators see it.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use super::home::Slot;
use super::state::{Group, Phase};
use crate::bounds::GROUPS_PER_TURN;
use crate::shard::ServerShard;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub phase: Phase,
    pub protocol_type: StrBytes,
    /// Empty unless the group is stable.
    pub protocol: StrBytes,
    pub members: Vec<DescribedMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    pub member_id: StrBytes,
    pub instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    /// Both are empty unless the group is stable.
    pub metadata: Bytes,
    pub assignment: Bytes,
}

/// One line of a list of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub group: StrBytes,
    pub protocol_type: StrBytes,
    pub phase: Phase,
}

impl Group {
    pub fn describe(&self) -> Described {
        let protocol = self.protocol.clone().filter(|_| self.phase == Phase::Stable);
        let members = self.members.values().map(|member| DescribedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: protocol.as_ref().map(|name| member.metadata(name.as_bytes())).unwrap_or_default(),
            assignment: protocol.as_ref().map(|_| member.assignment.clone()).unwrap_or_default(),
        });
        Described {
            phase: self.phase,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: members.collect(),
            protocol: protocol.unwrap_or_default(),
        }
    }
}

impl Described {
    /// Bytes that it takes in an answer, about.
    pub(super) fn bytes(&self) -> usize {
        self.members.iter().map(DescribedMember::bytes).sum()
    }
}

impl DescribedMember {
    fn bytes(&self) -> usize {
        let instance = self.instance_id.as_ref().map_or(0, |id| id.len());
        let texts = self.member_id.len() + instance + self.client_id.len() + self.client_host.len();
        size_of::<DescribedMember>() + texts + self.metadata.len() + self.assignment.len()
    }
}

/// The groups of this shard that are there to be seen.
pub(super) async fn listed(shard: &ServerShard) -> Vec<Listed> {
    let mut listed = Vec::new();
    for home in shard.groups.ready_homes() {
        for slots in home.slots().chunks(GROUPS_PER_TURN) {
            listed.extend(slots.iter().filter_map(|slot| list(slot)));
            shard.io.yield_now().await;
        }
    }
    listed
}

fn list(slot: &Slot) -> Option<Listed> {
    let group = slot.group.borrow();
    (group.phase() != Phase::Dead).then(|| Listed {
        group: StrBytes::from_string(slot.name.clone()),
        protocol_type: group.protocol_type().cloned().unwrap_or_default(),
        phase: group.phase(),
    })
}
