//! Topics: creation, deletion, more partitions, descriptions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, delete_topics_request::DeleteTopicState,
    metadata_request::MetadataRequestTopic,
};
use uuid::Uuid;

use super::{str_bytes, topic_name};
use crate::client::{Client, ClientError, KafkaError, Target};

/// A topic to be created.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    pub name: String,
    /// The broker's default if `None`.
    pub partitions: Option<i32>,
    /// The broker's default if `None`.
    pub replication: Option<i16>,
    /// The brokers of each partition; empty to leave that to the controller.
    pub assignment: Vec<Vec<i32>>,
    pub configs: Vec<(String, String)>,
}

/// One partition as a description shows it.
#[derive(Debug, Clone)]
pub struct Partition {
    pub index: i32,
    pub leader: Option<i32>,
    pub replicas: Vec<i32>,
    pub isr: Vec<i32>,
}

/// A topic as a description shows it.
#[derive(Debug, Clone)]
pub struct Topic {
    pub name: String,
    pub id: Uuid,
    pub internal: bool,
    /// By index.
    pub partitions: Vec<Partition>,
}

/// A partition whose replicas are being changed.
#[derive(Debug, Clone)]
pub struct Reassignment {
    pub topic: String,
    pub partition: i32,
    pub replicas: Vec<i32>,
    pub adding: Vec<i32>,
    pub removing: Vec<i32>,
}

/// # Errors
/// The broker's refusal.
pub fn create(client: &mut Client, topic: &NewTopic) -> Result<(), ClientError> {
    let timeout = client.settings().request_timeout_ms();
    let assignments = topic.assignment.iter().enumerate().map(|(index, brokers)| {
        CreatableReplicaAssignment::default()
            .with_partition_index(index as i32)
            .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
    });
    let configs = topic.configs.iter().map(|(name, value)| {
        CreatableTopicConfig::default().with_name(str_bytes(name)).with_value(Some(str_bytes(value)))
    });
    let created = CreatableTopic::default()
        .with_name(topic_name(&topic.name))
        .with_num_partitions(topic.partitions.unwrap_or(-1))
        .with_replication_factor(topic.replication.unwrap_or(-1))
        .with_assignments(assignments.collect())
        .with_configs(configs.collect());
    let request =
        |_| CreateTopicsRequest::default().with_timeout_ms(timeout).with_topics(vec![created.clone()]);
    client.call_checked(&Target::Controller, request, |answer| {
        let mut topics = answer.topics.iter();
        settled(topics.find_map(|topic| KafkaError::of(topic.error_code, topic.error_message.as_deref())))
    })?;
    Ok(())
}

/// # Errors
/// The first refusal among the topics; the others may be gone.
pub fn delete(client: &mut Client, names: &[String]) -> Result<(), ClientError> {
    let timeout = client.settings().request_timeout_ms();
    let request = |version| {
        let request = DeleteTopicsRequest::default().with_timeout_ms(timeout);
        match version {
            6.. => request.with_topics(
                names
                    .iter()
                    .map(|name| DeleteTopicState::default().with_name(Some(topic_name(name))))
                    .collect(),
            ),
            _ => request.with_topic_names(names.iter().map(|name| topic_name(name)).collect()),
        }
    };
    client.call_checked(&Target::Controller, request, |answer| {
        let mut topics = answer.responses.iter();
        settled(topics.find_map(|topic| KafkaError::of(topic.error_code, topic.error_message.as_deref())))
    })?;
    Ok(())
}

/// More partitions for topics: how many there shall be, and the brokers of the new ones if that is not the controller's
/// choice.
#[derive(Debug, Clone)]
pub struct MorePartitions {
    pub topic: String,
    pub count: i32,
    pub assignment: Option<Vec<Vec<i32>>>,
}

/// # Errors
/// The first refusal among the topics.
pub fn create_partitions(client: &mut Client, topics: &[MorePartitions]) -> Result<(), ClientError> {
    let timeout = client.settings().request_timeout_ms();
    let topics: Vec<CreatePartitionsTopic> = topics
        .iter()
        .map(|more| {
            let assignments = more.assignment.as_ref().map(|partitions| {
                let brokers =
                    partitions.iter().map(|brokers| brokers.iter().copied().map(BrokerId).collect());
                brokers.map(|ids| CreatePartitionsAssignment::default().with_broker_ids(ids)).collect()
            });
            CreatePartitionsTopic::default()
                .with_name(topic_name(&more.topic))
                .with_count(more.count)
                .with_assignments(assignments)
        })
        .collect();
    let request = |_| CreatePartitionsRequest::default().with_timeout_ms(timeout).with_topics(topics.clone());
    client.call_checked(&Target::Controller, request, |answer| {
        let mut results = answer.results.iter();
        settled(results.find_map(|one| KafkaError::of(one.error_code, one.error_message.as_deref())))
    })?;
    Ok(())
}

/// Names of all topics and whether they are internal, by name.
///
/// # Errors
/// When nobody answers in time.
pub fn names(client: &mut Client) -> Result<Vec<(String, bool)>, ClientError> {
    let answer = client.describe_topics(None)?;
    let named =
        answer.topics.iter().filter_map(|topic| Some((topic.name.as_ref()?.to_string(), topic.is_internal)));
    let mut names: Vec<(String, bool)> = named.collect();
    names.sort();
    Ok(names)
}

/// Descriptions of topics by name.
///
/// # Errors
/// The first topic's that cannot be described.
pub fn describe(client: &mut Client, names: &[String]) -> Result<Vec<Topic>, ClientError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let answer = client.describe_topics(Some(names))?;
    answer.topics.iter().map(described).collect()
}

/// The description of a topic by its id.
///
/// # Errors
/// UNKNOWN_TOPIC_ID, if there is none.
pub fn describe_by_id(client: &mut Client, id: Uuid) -> Result<Topic, ClientError> {
    let asked = vec![MetadataRequestTopic::default().with_name(None).with_topic_id(id)];
    let request =
        |_| MetadataRequest::default().with_topics(Some(asked.clone())).with_allow_auto_topic_creation(false);
    let answer = client.call(&Target::Any, request)?;
    match answer.topics.first() {
        Some(topic) => described(topic),
        None => Err(ClientError::refused(ResponseError::UnknownTopicId.code(), None)),
    }
}

fn described(topic: &MetadataResponseTopic) -> Result<Topic, ClientError> {
    settled(KafkaError::of(topic.error_code, None))?;
    let mut partitions: Vec<Partition> = topic
        .partitions
        .iter()
        .map(|partition| Partition {
            index: partition.partition_index,
            leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
            replicas: partition.replica_nodes.iter().map(|id| id.0).collect(),
            isr: partition.isr_nodes.iter().map(|id| id.0).collect(),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    let name = topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
    Ok(Topic { name, id: topic.topic_id, internal: topic.is_internal, partitions })
}

/// What is being reassigned; nothing at a broker that does not know the question.
///
/// # Errors
/// The broker's refusal.
pub fn reassignments(client: &mut Client) -> Result<Vec<Reassignment>, ClientError> {
    let timeout = client.settings().request_timeout_ms();
    let request = |_| ListPartitionReassignmentsRequest::default().with_timeout_ms(timeout).with_topics(None);
    let answer = client.call_checked(&Target::Controller, request, |answer| {
        settled(KafkaError::of(answer.error_code, answer.error_message.as_deref()))
    });
    let answer = match answer {
        Err(ClientError::Unsupported { .. }) => return Ok(Vec::new()),
        other => other?,
    };
    let ids = |ids: &[BrokerId]| ids.iter().map(|id| id.0).collect();
    let mut found = Vec::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            found.push(Reassignment {
                topic: topic.name.to_string(),
                partition: partition.partition_index,
                replicas: ids(&partition.replicas),
                adding: ids(&partition.adding_replicas),
                removing: ids(&partition.removing_replicas),
            });
        }
    }
    Ok(found)
}

fn settled(error: Option<KafkaError>) -> Result<(), ClientError> {
    error.map_or(Ok(()), |error| Err(ClientError::Refused(error)))
}
