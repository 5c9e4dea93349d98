//! What a sequence of metadata records adds up to.
//!
//! Strict: a record that contradicts the ones before it means a log that this server did not write, or wrote wrongly,
//! and is an error rather than a guess.

use std::collections::{BTreeMap, HashMap};

use thalweg_engine::format::metadata_record::{ConfigRecord, MetadataRecord, PartitionRecord};
use uuid::Uuid;

/// A topic as the records tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReplayedTopic {
    pub name: String,
    pub partitions: usize,
    pub configs: BTreeMap<String, String>,
}

/// The state after the records so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Replay {
    pub topics: HashMap<Uuid, ReplayedTopic>,
    /// Settings of brokers by id, and of all under the empty name.
    pub brokers: HashMap<String, BTreeMap<String, String>>,
    pub next_producer_id: i64,
    /// Records applied.
    pub records: u64,
    /// It begins with a snapshot.
    pub from_snapshot: bool,
    ids: HashMap<String, Uuid>,
}

/// A record that does not follow from those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    #[error("topic {name} ({id}) is created twice")]
    TopicTwice { name: String, id: Uuid },
    #[error("topic {id} does not exist")]
    NoTopic { id: Uuid },
    #[error("partition {index} of topic {name} follows {count} partitions")]
    PartitionOrder { name: String, index: i32, count: usize },
    #[error("the next producer id falls from {from} to {to}")]
    ProducerIds { from: i64, to: i64 },
}

impl Replay {
    /// Nothing yet: what follows is the whole state.
    pub(super) fn of_snapshot() -> Replay {
        Replay { from_snapshot: true, ..Replay::default() }
    }

    pub(super) fn apply(&mut self, record: MetadataRecord) -> Result<(), Contradiction> {
        match record {
            MetadataRecord::Topic(topic) => self.create(topic.name, topic.topic_id)?,
            MetadataRecord::Partition(partition) => self.add_partition(&partition)?,
            MetadataRecord::Config(config) => self.set_config(config),
            MetadataRecord::RemoveTopic(topic) => self.remove(topic.topic_id)?,
            MetadataRecord::ProducerIds(ids) if ids.next_producer_id < self.next_producer_id => {
                return Err(Contradiction::ProducerIds {
                    from: self.next_producer_id,
                    to: ids.next_producer_id,
                });
            }
            MetadataRecord::ProducerIds(ids) => self.next_producer_id = ids.next_producer_id,
            // One broker leads everything, and its own registration and features say nothing new.
            MetadataRecord::PartitionChange(_)
            | MetadataRecord::RegisterBroker(_)
            | MetadataRecord::FeatureLevel(_) => {}
        }
        self.records += 1;
        Ok(())
    }

    fn create(&mut self, name: String, id: Uuid) -> Result<(), Contradiction> {
        if self.topics.contains_key(&id) || self.ids.contains_key(&name) {
            return Err(Contradiction::TopicTwice { name, id });
        }
        self.ids.insert(name.clone(), id);
        self.topics.insert(id, ReplayedTopic { name, ..ReplayedTopic::default() });
        Ok(())
    }

    fn add_partition(&mut self, partition: &PartitionRecord) -> Result<(), Contradiction> {
        let id = partition.topic_id;
        let topic = self.topics.get_mut(&id).ok_or(Contradiction::NoTopic { id })?;
        if usize::try_from(partition.partition_id).ok() != Some(topic.partitions) {
            return Err(Contradiction::PartitionOrder {
                name: topic.name.clone(),
                index: partition.partition_id,
                count: topic.partitions,
            });
        }
        topic.partitions += 1;
        Ok(())
    }

    fn set_config(&mut self, config: ConfigRecord) {
        let settings = match config.resource_type {
            // Kafka leaves configs of removed topics behind.
            ConfigRecord::TOPIC => {
                let topic = self.ids.get(&config.resource_name).and_then(|id| self.topics.get_mut(id));
                topic.map(|topic| &mut topic.configs)
            }
            ConfigRecord::BROKER => Some(self.brokers.entry(config.resource_name).or_default()),
            _ => None,
        };
        match (settings, config.value) {
            (Some(settings), Some(value)) => drop(settings.insert(config.name, value)),
            (Some(settings), None) => drop(settings.remove(&config.name)),
            (None, _) => {}
        }
    }

    fn remove(&mut self, id: Uuid) -> Result<(), Contradiction> {
        let topic = self.topics.remove(&id).ok_or(Contradiction::NoTopic { id })?;
        self.ids.remove(&topic.name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_engine::format::metadata_record::{ProducerIdsRecord, RemoveTopicRecord, TopicRecord};

    use crate::metadata::creation::{TopicSpec, plan, records};
    use crate::metadata::image::{BrokerInfo, MetadataImage};

    fn created(name: &str, id: u128, settings: &[(&str, &str)]) -> Vec<MetadataRecord> {
        let broker = BrokerInfo { id: 1, cluster_id: String::new(), rack: None, endpoints: Vec::new() };
        let config = crate::config::resolve([("num.partitions", "2")].into_iter().collect(), 1).unwrap().0;
        let image = MetadataImage::new(broker, std::sync::Arc::new(config));
        let configs =
            settings.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        let spec = TopicSpec { configs, ..TopicSpec::with_defaults(name.to_owned()) };
        records(&plan(&spec, Uuid::from_u128(id), &image, &Default::default()).unwrap(), 1)
    }

    fn replay(records: Vec<MetadataRecord>) -> Result<Replay, Contradiction> {
        let mut replay = Replay::default();
        records.into_iter().try_for_each(|record| replay.apply(record))?;
        Ok(replay)
    }

    fn removal(id: u128) -> MetadataRecord {
        RemoveTopicRecord { topic_id: Uuid::from_u128(id) }.into()
    }

    #[test]
    fn what_creation_writes_replays_to_the_same_topic() {
        let replayed = replay(created("t", 200, &[("segment.bytes", "1048576")])).unwrap();
        let topic = &replayed.topics[&Uuid::from_u128(200)];
        assert_eq!((topic.name.as_str(), topic.partitions), ("t", 2));
        assert_eq!(topic.configs["segment.bytes"], "1048576");
        assert_eq!(replayed.records, 4);
    }

    #[test]
    fn a_topic_removed_and_created_again_is_another_one() {
        let all = [created("t", 200, &[("retention.ms", "5")]), vec![removal(200)], created("t", 201, &[])]
            .concat();
        let replayed = replay(all).unwrap();
        assert_eq!(replayed.topics.len(), 1);
        assert!(replayed.topics[&Uuid::from_u128(201)].configs.is_empty());
    }

    #[test]
    fn settings_of_brokers_and_of_all_are_kept_apart() {
        let setting = |resource_name: &str, value: Option<&str>| {
            MetadataRecord::from(ConfigRecord {
                resource_type: ConfigRecord::BROKER,
                resource_name: resource_name.into(),
                name: "log.retention.ms".into(),
                value: value.map(str::to_owned),
            })
        };
        let replayed =
            replay(vec![setting("1", Some("5")), setting("", Some("6")), setting("1", None)]).unwrap();
        assert!(replayed.brokers["1"].is_empty());
        assert_eq!(replayed.brokers[""]["log.retention.ms"], "6");
    }

    #[test]
    fn contradictions_are_errors() {
        let twice = [created("t", 200, &[]), created("t", 201, &[])].concat();
        assert!(matches!(replay(twice), Err(Contradiction::TopicTwice { .. })));
        assert!(matches!(replay(vec![removal(9)]), Err(Contradiction::NoTopic { .. })));
        let mut gap = created("t", 200, &[]);
        gap.remove(1);
        assert!(matches!(replay(gap), Err(Contradiction::PartitionOrder { index: 1, count: 0, .. })));
        let ids = |next_producer_id| {
            MetadataRecord::from(ProducerIdsRecord { broker_id: 1, broker_epoch: 0, next_producer_id })
        };
        assert!(matches!(replay(vec![ids(2000), ids(1000)]), Err(Contradiction::ProducerIds { .. })));
        let lone = MetadataRecord::from(TopicRecord { name: "u".into(), topic_id: Uuid::from_u128(300) });
        assert_eq!(replay(vec![lone]).unwrap().topics[&Uuid::from_u128(300)].partitions, 0);
    }
}
