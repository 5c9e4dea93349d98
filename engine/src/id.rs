//! The identities that everything else is keyed by.

use uuid::Uuid;

/// `__cluster_metadata`: the topic id that Kafka's KRaft reserves for it (`Uuid.METADATA_TOPIC_ID`).
pub const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// A shard: one core, one thread, one ring. Dense from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ShardId(pub u16);

/// A partition for as long as it lives: a topic deleted and created again has another topic id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct PartitionId {
    pub topic: Uuid,
    pub index: i32,
}

impl PartitionId {
    /// The shard that owns this partition when there are `shards` of them.
    ///
    /// Topics start at a shard chosen by their id, and a topic's partitions go round from there, so that the
    /// partitions of one topic never differ by more than one per shard.
    pub fn home(self, shards: u16) -> ShardId {
        assert!(shards > 0, "placement over no shards");
        if self.topic == METADATA_TOPIC_ID {
            return ShardId(0);
        }
        let (high, low) = self.topic.as_u64_pair();
        let start = (high ^ low).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let index = u64::from(self.index.unsigned_abs());
        let shard = (start + index) % u64::from(shards);
        ShardId(u16::try_from(shard).unwrap_or(0))
    }
}

impl std::fmt::Display for PartitionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}

/// A partition by the name people use.
#[derive(Clone, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_partitions_of_a_topic_spread_evenly() {
        for shards in 1..=7u16 {
            let topic = Uuid::from_u128(0x1234_5678_9abc_def0_1122_3344_5566_7788);
            let mut load = vec![0; usize::from(shards)];
            for index in 0..64 {
                load[usize::from(PartitionId { topic, index }.home(shards).0)] += 1;
            }
            assert!(load.iter().max().unwrap() - load.iter().min().unwrap() <= 1, "{load:?}");
        }
    }

    #[test]
    fn metadata_is_on_the_first_shard() {
        assert_eq!(PartitionId { topic: METADATA_TOPIC_ID, index: 0 }.home(5), ShardId(0));
    }
}
