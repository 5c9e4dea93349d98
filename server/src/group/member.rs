//! One member of a group.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use thalweg_engine::io::Monotonic;

use super::action::{Join, JoinedMember, Ticket};

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub id: StrBytes,
    pub instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// Name and metadata, by preference.
    pub protocols: Vec<(StrBytes, Bytes)>,
    pub assignment: Bytes,
    /// Its JoinGroup that waits.
    pub joining: Option<Ticket>,
    /// Its SyncGroup that waits.
    pub syncing: Option<Ticket>,
    /// It has not been in a generation yet, so it cannot send heartbeats, and its waiting join is all there is of it.
    pub is_new: bool,
    /// When it is given up unless it is heard of.
    pub session_due: Option<Monotonic>,
}

impl Member {
    /// Whether a join with these protocols changes nothing.
    pub fn matches(&self, protocols: &[(StrBytes, Bytes)]) -> bool {
        self.protocols == protocols
    }

    pub fn metadata(&self, protocol: &[u8]) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name.as_bytes() == protocol);
        found.map_or_else(Bytes::new, |(_, metadata)| metadata.clone())
    }

    /// The first of its protocols that everybody has.
    pub fn vote(&self, is_candidate: impl Fn(&StrBytes) -> bool) -> Option<&StrBytes> {
        self.protocols.iter().map(|(name, _)| name).find(|name| is_candidate(name))
    }

    /// Bytes that it holds in memory, about.
    pub fn bytes(&self) -> usize {
        held_bytes(self.id.len(), &self.client_id, &self.client_host, &self.protocols)
    }

    pub fn joined(&self, protocol: &[u8]) -> JoinedMember {
        JoinedMember {
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
            metadata: self.metadata(protocol),
        }
    }
}

/// Bytes that the member will hold in memory when it has joined, about.
pub(super) fn join_bytes(join: &Join) -> usize {
    let prefix = join.instance_id.as_ref().unwrap_or(&join.client_id);
    let id_bytes = if join.member_id.is_empty() { prefix.len() + FRESH_BYTES } else { join.member_id.len() };
    held_bytes(id_bytes, &join.client_id, &join.client_host, &join.protocols)
}

fn held_bytes(id_bytes: usize, client_id: &str, client_host: &str, protocols: &[(StrBytes, Bytes)]) -> usize {
    let protocols: usize = protocols.iter().map(|(name, metadata)| name.len() + metadata.len()).sum();
    FIXED_BYTES + 2 * id_bytes + client_id.len() + client_host.len() + protocols
}

/// Of a member, whatever its strings are.
const FIXED_BYTES: usize = 512;

/// What is appended to a client's or instance's id to make a member id.
const FRESH_BYTES: usize = 37;

/// A copy of its own: what a group keeps must not hold on to a connection's buffer.
pub(super) fn own(text: &StrBytes) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

pub(super) fn own_protocols(join: &Join) -> Vec<(StrBytes, Bytes)> {
    join.protocols.iter().map(|(name, metadata)| (own(name), Bytes::copy_from_slice(metadata))).collect()
}
