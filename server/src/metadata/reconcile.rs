//! Compares what the metadata says with the logs that are on disk, at start.
//!
//! A partition without a log was created in the moment of a crash (or its directory is new): its log is created. A log
//! without a partition was being removed, or its topic never became durable: it is removed. But where the metadata log is
//! empty and there are partitions all the same, another server wrote them, and they are adopted: nothing is removed then.
//! Pure: [`start`](super::start) carries it out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use thalweg_engine::format::metadata_record::{MetadataRecord, ProducerIdsRecord};
use thalweg_engine::format::topic_id;
use thalweg_engine::id::{METADATA_TOPIC_ID, PartitionId, ShardId};
use uuid::Uuid;

use super::creation;
use super::image::{Partition, Topic};
use super::replay::Replay;
use crate::config::{BrokerConfig, TopicConfig};
use crate::group;

/// First producer id after an adoption. The logs may hold state of ids that another server handed out, counting from 0
/// in blocks of 1000; an id that is reused with the same sequence numbers would be taken for a duplicate.
const ADOPTED_PRODUCER_ID_FIRST: i64 = 1 << 40;

/// What adopted topics are told: their configuration is not in the directory, and what is deleted wrongly is gone.
const KEEP_EVERYTHING: [(&str, &str); 2] = [("retention.bytes", "-1"), ("retention.ms", "-1")];

/// A log that recovery found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundLog {
    pub shard: ShardId,
    pub id: PartitionId,
    pub topic: String,
    pub leader_epoch: i32,
}

/// Two topics under one name, so that it cannot be told which of them is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the partitions of topic {topic} in log.dirs have different topic ids ({ids}): move the directories of the wrong ones \
     away, then start again"
)]
pub struct MixedTopic {
    pub topic: String,
    pub ids: String,
}

/// Topics of the metadata with the leaders of their logs, and the logs that belong to none of them.
pub(super) struct Reconciled {
    pub topics: Vec<Topic>,
    pub orphans: Vec<FoundLog>,
}

/// The topics of `replay`, resolved against the broker's configuration.
pub(super) fn reconcile(replay: &Replay, found: Vec<FoundLog>, config: &BrokerConfig) -> Reconciled {
    let mut epochs: HashMap<PartitionId, i32> = HashMap::new();
    let mut orphans = Vec::new();
    for log in found {
        let count = replay.topics.get(&log.id.topic).map_or(0, |topic| topic.partitions);
        match usize::try_from(log.id.index) {
            Ok(index) if index < count => drop(epochs.insert(log.id, log.leader_epoch)),
            _ => orphans.push(log),
        }
    }
    let topic = |(id, replayed): (&Uuid, &super::replay::ReplayedTopic)| {
        let partition =
            |index| Partition { leader_epoch: epochs.get(&PartitionId { topic: *id, index }).copied() };
        Topic {
            name: replayed.name.clone(),
            id: *id,
            partitions: (0..).take(replayed.partitions).map(partition).collect(),
            config: stored_config(&replayed.name, &replayed.configs, config),
        }
    };
    Reconciled { topics: replay.topics.iter().map(topic).collect(), orphans }
}

fn stored_config(topic: &str, stored: &BTreeMap<String, String>, config: &BrokerConfig) -> Arc<TopicConfig> {
    let stored = stored.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    config.stored_topic_config(stored, |key, error| {
        tracing::warn!(topic, key, %error, "A stored topic config is not valid in this version: kept, and without effect");
    })
}

/// Records that make the topics that are on disk this server's own. None if there is nothing to adopt.
///
/// # Errors
/// [`MixedTopic`].
pub(super) fn adoption(
    found: &[FoundLog],
    config: &BrokerConfig,
    broker: i32,
) -> Result<Option<Vec<MetadataRecord>>, MixedTopic> {
    let mut names: BTreeMap<&str, (BTreeSet<Uuid>, i32)> = BTreeMap::new();
    for log in found.iter().filter(|log| log.id.topic != METADATA_TOPIC_ID) {
        let (ids, index_max) = names.entry(&log.topic).or_default();
        ids.insert(log.id.topic);
        *index_max = (*index_max).max(log.id.index);
    }
    if names.is_empty() {
        return Ok(None);
    }
    let ids =
        ProducerIdsRecord { broker_id: broker, broker_epoch: 0, next_producer_id: ADOPTED_PRODUCER_ID_FIRST };
    let mut records = vec![MetadataRecord::from(ids)];
    for (name, (ids, index_max)) in names {
        let [id] = ids.iter().copied().collect::<Vec<_>>()[..] else {
            let ids = ids.into_iter().map(topic_id::format).collect::<Vec<_>>().join(", ");
            return Err(MixedTopic { topic: name.to_owned(), ids });
        };
        let topic = adopted(name, id, index_max, config);
        tracing::warn!(
            topic = name,
            id = topic_id::format(id),
            partitions = topic.partitions.len(),
            "Adopted a topic that another server wrote; its configs are not known here, so it keeps its records for ever \
             (retention.ms=-1, retention.bytes=-1)"
        );
        records.extend(creation::records(&topic, broker));
    }
    Ok(Some(records))
}

fn adopted(name: &str, id: Uuid, index_max: i32, config: &BrokerConfig) -> Topic {
    let count = usize::try_from(index_max).unwrap_or(0) + 1;
    let keep = match name == group::OFFSETS_TOPIC {
        true => {
            let settings = group::topic_settings(&config.groups);
            let settings = settings.iter().map(|(key, value)| (*key, value.as_str()));
            config.topic_defaults.with_stored_overrides(settings, |_, _| {})
        }
        false => config.topic_defaults.with_stored_overrides(KEEP_EVERYTHING, |_, _| {}),
    };
    Topic {
        name: name.to_owned(),
        id,
        partitions: vec![Partition { leader_epoch: None }; count],
        config: Arc::new(keep),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> BrokerConfig {
        crate::config::resolve(crate::config::Properties::default(), 1).unwrap().0
    }

    fn log(topic: &str, id: u128, index: i32) -> FoundLog {
        let id = PartitionId { topic: Uuid::from_u128(id), index };
        FoundLog { shard: ShardId(0), id, topic: topic.to_owned(), leader_epoch: 5 }
    }

    fn replayed(records: Vec<MetadataRecord>) -> Replay {
        let mut replay = Replay::default();
        records.into_iter().try_for_each(|record| replay.apply(record)).unwrap();
        replay
    }

    #[test]
    fn a_foreign_directory_is_adopted_whole() {
        let found = [log("a", 500, 2), log("a", 500, 0), log("b", 600, 0), log("__cluster_metadata", 1, 0)];
        let replay = replayed(adoption(&found, &config(), 1).unwrap().unwrap());
        assert_eq!(replay.topics.len(), 2);
        assert_eq!(replay.topics[&Uuid::from_u128(500)].partitions, 3);
        assert_eq!(replay.next_producer_id, ADOPTED_PRODUCER_ID_FIRST);
        let reconciled = reconcile(&replay, found[..3].to_vec(), &config());
        assert!(reconciled.orphans.is_empty());
        let a = reconciled.topics.iter().find(|topic| topic.name == "a").unwrap();
        let epochs: Vec<_> = a.partitions.iter().map(|partition| partition.leader_epoch).collect();
        assert_eq!(epochs, [Some(5), None, Some(5)]);
        assert_eq!((a.config.log.retention_ms, a.config.log.retention_bytes), (None, None));
    }

    #[test]
    fn an_empty_directory_has_nothing_to_adopt() {
        assert_eq!(adoption(&[], &config(), 1), Ok(None));
        assert_eq!(adoption(&[log("__cluster_metadata", 1, 0)], &config(), 1), Ok(None));
    }

    #[test]
    fn two_topics_under_one_name_are_not_guessed_about() {
        let mixed = adoption(&[log("a", 500, 0), log("a", 501, 1)], &config(), 1).unwrap_err();
        assert!(mixed.to_string().contains("topic a"));
    }

    #[test]
    fn logs_of_unknown_topics_and_of_surplus_partitions_are_orphans() {
        let replay = replayed(adoption(&[log("a", 500, 1)], &config(), 1).unwrap().unwrap());
        let orphans =
            reconcile(&replay, vec![log("a", 500, 2), log("a", 499, 0), log("a", 500, 0)], &config()).orphans;
        assert_eq!(orphans, [log("a", 500, 2), log("a", 499, 0)]);
    }
}
