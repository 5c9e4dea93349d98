//! The immutable picture of the cluster that every request is answered from.
//!
//! Copying an image copies a few pointers per topic, so a change costs time in proportion to the topics that there are,
//! and readers cost nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use thalweg_engine::id::PartitionId;
use uuid::Uuid;

use crate::config::{BrokerConfig, TopicConfig};

/// Topics whose records are the broker's own (`isInternal` in Metadata).
const INTERNAL_TOPICS: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

/// An address that clients are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

/// This broker, the only one and the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerInfo {
    pub id: i32,
    pub cluster_id: String,
    pub rack: Option<String>,
    /// Advertised address by listener: same indices as `BrokerConfig::listeners`. An empty host: `advertised.listeners`
    /// leaves that listener out.
    pub endpoints: Vec<Endpoint>,
}

impl BrokerInfo {
    /// What a client that came in on `listener` is told; None if that listener is not advertised.
    pub fn endpoint(&self, listener: usize) -> Option<&Endpoint> {
        self.endpoints.get(listener).filter(|endpoint| !endpoint.host.is_empty())
    }
}

/// One partition. Its leader and only replica is this broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// None while its log is missing (its directory has failed): LEADER_NOT_AVAILABLE.
    pub leader_epoch: Option<i32>,
}

/// One topic.
#[derive(Debug, Clone)]
pub struct Topic {
    pub name: String,
    pub id: Uuid,
    /// By partition index.
    pub partitions: Vec<Partition>,
    pub config: Arc<TopicConfig>,
}

impl Topic {
    /// Whether the name is one that only the broker itself creates.
    pub fn is_internal_name(name: &str) -> bool {
        INTERNAL_TOPICS.contains(&name)
    }

    pub fn is_internal(&self) -> bool {
        Topic::is_internal_name(&self.name)
    }

    /// The id of partition `index`, if there is one.
    pub fn partition(&self, index: i32) -> Option<PartitionId> {
        let slot = usize::try_from(index).ok()?;
        self.partitions.get(slot).map(|_| PartitionId { topic: self.id, index })
    }

    /// Every partition's id, by index.
    pub fn partition_ids(&self) -> impl Iterator<Item = PartitionId> + '_ {
        (0..).zip(&self.partitions).map(|(index, _)| PartitionId { topic: self.id, index })
    }

    /// The partitions from index `first` on that have no log.
    pub(super) fn missing_logs(&self, first: usize) -> impl Iterator<Item = PartitionId> + '_ {
        let partitions = self.partition_ids().zip(&self.partitions).skip(first);
        partitions.filter(|(_, partition)| partition.leader_epoch.is_none()).map(|(id, _)| id)
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct MetadataImage {
    pub broker: BrokerInfo,
    /// The configuration in force: the file's, and over it what was set since.
    pub config: Arc<BrokerConfig>,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    ids: HashMap<Uuid, Arc<Topic>>,
    /// Every producer id below this may have been handed out.
    pub next_producer_id: i64,
}

impl MetadataImage {
    /// No topics yet.
    pub fn new(broker: BrokerInfo, config: Arc<BrokerConfig>) -> MetadataImage {
        MetadataImage { broker, config, topics: BTreeMap::new(), ids: HashMap::new(), next_producer_id: 0 }
    }

    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.ids.get(&id)
    }

    /// The partition of that name, if it exists.
    pub fn partition(&self, topic: &str, index: i32) -> Option<PartitionId> {
        self.topic(topic)?.partition(index)
    }

    /// All topics by name.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    pub(super) fn insert(&mut self, topic: Arc<Topic>) {
        if let Some(replaced) = self.topics.insert(Arc::from(topic.name.as_str()), Arc::clone(&topic)) {
            self.ids.remove(&replaced.id);
        }
        self.ids.insert(topic.id, topic);
    }

    pub(super) fn remove(&mut self, id: Uuid) -> Option<Arc<Topic>> {
        let topic = self.ids.remove(&id)?;
        self.topics.remove(topic.name.as_str());
        Some(topic)
    }
}
