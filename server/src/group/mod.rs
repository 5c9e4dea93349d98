//! Consumer groups: who consumes what (classic groups), and how far (committed offsets).
//!
//! ```text
//! api -> call -> (mesh) -> coordinator -> Group (a pure state machine: events in, actions out)
//!                                     -> home  (one partition of __consumer_offsets: its groups, its records)
//! ```
//!
//! A group lives on the shard that owns its partition of the offsets topic, found by Kafka's hash of its name. What is
//! acknowledged has been stored in that partition, with durability `disk`, in Kafka's record format.
//!
//! Invariants: a [`Group`] does no I/O and reads no clock; an effect of a record happens after it is stored, in the order of
//! the log; nothing that waits for a client holds a call between shards. *Absent:* consumer groups of KIP-848, share groups,
//! transactional commits.

mod action;
mod call;
mod coordinator;
mod describe;
mod expiry;
mod home;
mod join;
mod load;
mod member;
mod offsets;
mod pending;
mod placement;
mod presence;
mod rebalance;
pub mod record;
mod removal;
#[cfg(test)]
mod rig;
mod several;
#[cfg(test)]
mod simulation;
mod state;
mod statics;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;
mod topic;
mod waits;

pub use action::{
    Action, Clock, GroupError, Identity, Join, Joined, JoinedMember, StoreError, StoreId, Sync, Synced,
    Ticket,
};
pub use call::{
    Commit, Fetched, commit, delete_offsets, fetch, heartbeat, join, leave, list, sync, topics_deleted,
};
pub use coordinator::{Coordinator, start};
pub use describe::{Described, DescribedMember, Listed};
pub use load::Replay;
pub use offsets::{CommittedOffset, Offsets};
pub use placement::{OFFSETS_TOPIC, partition_of};
pub use record::STRING_BYTES_MAX;
pub use several::{delete, describe, fetch_several};
pub use state::{Group, Limits, Phase};
pub use subscription::subscribed_topics;
pub use topic::{ensure_topic, log_options, topic_settings};
