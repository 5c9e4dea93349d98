//! Records about topics and their partitions.

use super::flexible::{Reader, Tags, put_i32s, put_string, put_uuids};
use super::{Body, EncodeError};
use crate::format::Malformed;
use std::ops::RangeInclusive;
use uuid::Uuid;

/// A topic exists from here on (api key 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRecord {
    pub name: String,
    pub topic_id: Uuid,
}

impl Body for TopicRecord {
    const NAME: &'static str = "TopicRecord";
    const API_KEY: u32 = 2;
    const VERSIONS: RangeInclusive<u32> = 0..=0;

    fn read(from: &mut Reader<'_>, _: u32) -> Result<Self, Malformed> {
        let record = Self { name: from.string()?, topic_id: from.uuid()? };
        from.no_tags()?;
        Ok(record)
    }

    fn write(&self, _: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_string(&self.name, out)?;
        out.extend_from_slice(self.topic_id.as_bytes());
        Tags::default().finish(out);
        Ok(())
    }
}

/// A topic and all its partitions are gone (api key 9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveTopicRecord {
    pub topic_id: Uuid,
}

impl Body for RemoveTopicRecord {
    const NAME: &'static str = "RemoveTopicRecord";
    const API_KEY: u32 = 9;
    const VERSIONS: RangeInclusive<u32> = 0..=0;

    fn read(from: &mut Reader<'_>, _: u32) -> Result<Self, Malformed> {
        let record = Self { topic_id: from.uuid()? };
        from.no_tags()?;
        Ok(record)
    }

    fn write(&self, _: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(self.topic_id.as_bytes());
        Tags::default().finish(out);
        Ok(())
    }
}

/// The state of a partition (api key 3). Version 1 (Kafka 3.7) adds `directories`, version 2 (3.7) the eligible leader replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRecord {
    pub partition_id: i32,
    pub topic_id: Uuid,
    /// In order of preference.
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
    pub removing_replicas: Vec<i32>,
    pub adding_replicas: Vec<i32>,
    /// -1 without a leader.
    pub leader: i32,
    /// 1 while the partition recovers from an unclean election, else 0.
    pub leader_recovery_state: i8,
    pub leader_epoch: i32,
    /// Rises with every change of the partition.
    pub partition_epoch: i32,
    /// The log directory of each replica, in the order of `replicas` (KIP-858). Empty before version 1.
    pub directories: Vec<Uuid>,
    /// KIP-966. `None` before version 2.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// KIP-966. `None` before version 2.
    pub last_known_elr: Option<Vec<i32>>,
}

impl Body for PartitionRecord {
    const NAME: &'static str = "PartitionRecord";
    const API_KEY: u32 = 3;
    const VERSIONS: RangeInclusive<u32> = 0..=2;

    fn version_needed(&self) -> u32 {
        match self {
            Self { eligible_leader_replicas: None, last_known_elr: None, directories, .. } => {
                u32::from(!directories.is_empty())
            }
            _ => 2,
        }
    }

    fn read(from: &mut Reader<'_>, version: u32) -> Result<Self, Malformed> {
        let mut record = Self {
            partition_id: from.i32()?,
            topic_id: from.uuid()?,
            replicas: from.i32s()?,
            isr: from.i32s()?,
            removing_replicas: from.i32s()?,
            adding_replicas: from.i32s()?,
            leader: from.i32()?,
            leader_recovery_state: 0,
            leader_epoch: from.i32()?,
            partition_epoch: from.i32()?,
            directories: if version >= 1 { from.uuids()? } else { Vec::new() },
            eligible_leader_replicas: None,
            last_known_elr: None,
        };
        from.tags(|tag, field| {
            match tag {
                0 => record.leader_recovery_state = field.i8()?,
                1 if version >= 2 => record.eligible_leader_replicas = field.optional_i32s()?,
                2 if version >= 2 => record.last_known_elr = field.optional_i32s()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(record)
    }

    fn write(&self, version: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.partition_id.to_be_bytes());
        out.extend_from_slice(self.topic_id.as_bytes());
        for nodes in [&self.replicas, &self.isr, &self.removing_replicas, &self.adding_replicas] {
            put_i32s(nodes, out)?;
        }
        for number in [self.leader, self.leader_epoch, self.partition_epoch] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        if version >= 1 {
            put_uuids(&self.directories, out)?;
        }
        let mut tags = Tags::default();
        if self.leader_recovery_state != 0 {
            tags.add_i8(0, self.leader_recovery_state)?;
        }
        tags.add_i32s(1, self.eligible_leader_replicas.as_deref())?;
        tags.add_i32s(2, self.last_known_elr.as_deref())?;
        tags.finish(out);
        Ok(())
    }
}

/// What changed of a partition (api key 5): `None` where nothing did. A change of the leader raises the leader epoch by one,
/// and so does naming the same leader again; every change raises the partition epoch. Versions as of [`PartitionRecord`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionChangeRecord {
    pub partition_id: i32,
    pub topic_id: Uuid,
    pub isr: Option<Vec<i32>>,
    /// `Some(-1)`: there is no leader any more.
    pub leader: Option<i32>,
    pub replicas: Option<Vec<i32>>,
    pub removing_replicas: Option<Vec<i32>>,
    pub adding_replicas: Option<Vec<i32>>,
    pub leader_recovery_state: Option<i8>,
    pub directories: Option<Vec<Uuid>>,
    pub eligible_leader_replicas: Option<Vec<i32>>,
    pub last_known_elr: Option<Vec<i32>>,
}

impl PartitionChangeRecord {
    /// A record that changes nothing yet.
    pub fn of(topic_id: Uuid, partition_id: i32) -> Self {
        Self {
            partition_id,
            topic_id,
            isr: None,
            leader: None,
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            leader_recovery_state: None,
            directories: None,
            eligible_leader_replicas: None,
            last_known_elr: None,
        }
    }
}

/// How the stored fields say "no change".
const LEADER_UNCHANGED: i32 = -2;
const RECOVERY_STATE_UNCHANGED: i8 = -1;

impl Body for PartitionChangeRecord {
    const NAME: &'static str = "PartitionChangeRecord";
    const API_KEY: u32 = 5;
    const VERSIONS: RangeInclusive<u32> = 0..=2;

    fn version_needed(&self) -> u32 {
        match self {
            Self { eligible_leader_replicas: None, last_known_elr: None, directories, .. } => {
                u32::from(directories.is_some())
            }
            _ => 2,
        }
    }

    fn read(from: &mut Reader<'_>, version: u32) -> Result<Self, Malformed> {
        let (partition_id, topic_id) = (from.i32()?, from.uuid()?);
        let mut record = Self::of(topic_id, partition_id);
        from.tags(|tag, field| {
            match tag {
                0 => record.isr = field.optional_i32s()?,
                1 => record.leader = Some(field.i32()?).filter(|leader| *leader != LEADER_UNCHANGED),
                2 => record.replicas = field.optional_i32s()?,
                3 => record.removing_replicas = field.optional_i32s()?,
                4 => record.adding_replicas = field.optional_i32s()?,
                5 => {
                    let state = Some(field.i8()?);
                    record.leader_recovery_state = state.filter(|state| *state != RECOVERY_STATE_UNCHANGED);
                }
                6 if version >= 2 => record.eligible_leader_replicas = field.optional_i32s()?,
                7 if version >= 2 => record.last_known_elr = field.optional_i32s()?,
                8 if version >= 1 => record.directories = field.optional_uuids()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(record)
    }

    fn write(&self, _: u32, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.partition_id.to_be_bytes());
        out.extend_from_slice(self.topic_id.as_bytes());
        let mut tags = Tags::default();
        tags.add_i32s(0, self.isr.as_deref())?;
        if let Some(leader) = self.leader.filter(|leader| *leader != LEADER_UNCHANGED) {
            tags.add(1, |out| {
                out.extend_from_slice(&leader.to_be_bytes());
                Ok(())
            })?;
        }
        tags.add_i32s(2, self.replicas.as_deref())?;
        tags.add_i32s(3, self.removing_replicas.as_deref())?;
        tags.add_i32s(4, self.adding_replicas.as_deref())?;
        if let Some(state) = self.leader_recovery_state.filter(|state| *state != RECOVERY_STATE_UNCHANGED) {
            tags.add_i8(5, state)?;
        }
        tags.add_i32s(6, self.eligible_leader_replicas.as_deref())?;
        tags.add_i32s(7, self.last_known_elr.as_deref())?;
        tags.add_uuids(8, self.directories.as_deref())?;
        tags.finish(out);
        Ok(())
    }
}
