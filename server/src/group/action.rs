//! What goes into a group and what comes out of it: requests, answers, refusals.
//!
//! Plain data that can cross shards. Kafka's error codes are not here: `crate::errors` maps [`GroupError`].

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use thalweg_engine::id::ShardId;
use thalweg_engine::io::Monotonic;
use uuid::Uuid;

use super::record::GroupMetadata;

/// The time at which an event happens: the machine itself reads no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// For timeouts.
    pub now: Monotonic,
    /// Milliseconds since the epoch, for what is stored.
    pub wall_ms: i64,
}

/// Names one request that waits for its answer: the shard of its connection, and a number there. Opaque to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub shard: ShardId,
    pub number: u64,
}

/// Names one record that was asked to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(pub u64);

/// Why a group does not do what a client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("the group id is not valid")]
    InvalidGroupId,
    #[error(
        "the session timeout is not within group.min.session.timeout.ms and group.max.session.timeout.ms"
    )]
    InvalidSessionTimeout,
    #[error("the coordinator is still reading this group")]
    Loading,
    #[error("the coordinator is not available")]
    NotAvailable,
    #[error("this is not the coordinator of the group")]
    NotCoordinator,
    #[error("the group does not know this member")]
    UnknownMember,
    #[error("another member has this group instance id now")]
    FencedInstance,
    #[error("the generation is not the group's")]
    IllegalGeneration,
    #[error("the protocols are not those of the group")]
    InconsistentProtocol,
    #[error("the group is rebalancing")]
    Rebalance,
    #[error("join again with this member id")]
    MemberIdRequired,
    #[error("the group is full")]
    Full,
    #[error("the group has members")]
    NonEmpty,
    #[error("there is no such group")]
    NotFound,
    #[error("the group is subscribed to the topic")]
    Subscribed,
    #[error("the record is too large for the offsets topic")]
    RecordTooLarge,
}

/// A JoinGroup. Strings and bytes that the group keeps are copied out of it.
#[derive(Debug, Clone)]
pub struct Join {
    /// Empty for a new member.
    pub member_id: StrBytes,
    pub instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: StrBytes,
    /// Name and metadata, by preference.
    pub protocols: Vec<(StrBytes, Bytes)>,
    /// From version 4 on a dynamic member is told its id first, and joins with it (KIP-394).
    pub requires_member_id: bool,
    /// From version 9 on a static leader can be told to leave the assignment as it is (KIP-814).
    pub can_skip_assignment: bool,
    /// For the id of a new member.
    pub fresh: Uuid,
}

/// The answer to a [`Join`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub error: Option<GroupError>,
    pub member_id: StrBytes,
    /// -1 in a refusal.
    pub generation: i32,
    pub protocol_type: Option<StrBytes>,
    pub protocol: Option<StrBytes>,
    pub leader: StrBytes,
    pub skip_assignment: bool,
    /// For the leader.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: StrBytes,
    pub instance_id: Option<StrBytes>,
    pub metadata: Bytes,
}

impl Joined {
    pub fn refused(member_id: StrBytes, error: GroupError) -> Joined {
        Joined {
            error: Some(error),
            member_id,
            generation: -1,
            protocol_type: None,
            protocol: None,
            leader: StrBytes::new(),
            skip_assignment: false,
            members: Vec::new(),
        }
    }
}

/// A SyncGroup.
#[derive(Debug, Clone)]
pub struct Sync {
    pub member: Identity,
    pub protocol_type: Option<StrBytes>,
    pub protocol: Option<StrBytes>,
    /// From the leader.
    pub assignments: Vec<(StrBytes, Bytes)>,
}

/// The answer to a [`Sync`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    pub error: Option<GroupError>,
    pub protocol_type: Option<StrBytes>,
    pub protocol: Option<StrBytes>,
    pub assignment: Bytes,
}

impl Synced {
    pub fn refused(error: GroupError) -> Synced {
        Synced { error: Some(error), protocol_type: None, protocol: None, assignment: Bytes::new() }
    }
}

/// Who says something in the name of a member.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    pub member_id: StrBytes,
    pub instance_id: Option<StrBytes>,
    pub generation: i32,
}

/// What the machine wants done.
#[derive(Debug)]
pub enum Action {
    AnswerJoin(Ticket, Joined),
    AnswerSync(Ticket, Synced),
    /// To be stored; `Group::stored` is told how it ended.
    Store(StoreId, GroupMetadata),
}

/// Why something was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the record is too large")]
    TooLarge,
    #[error("the offsets topic is gone")]
    Gone,
    #[error("the offsets topic cannot be written")]
    Storage,
}

impl From<StoreError> for GroupError {
    fn from(error: StoreError) -> GroupError {
        match error {
            StoreError::TooLarge => GroupError::RecordTooLarge,
            StoreError::Gone => GroupError::NotAvailable,
            StoreError::Storage => GroupError::NotCoordinator,
        }
    }
}
