//! Metadata (key 3), versions 0 to 13: which topics there are, and who leads their partitions: this broker, always.
//!
//! A topic that does not exist is created if the client (version 4 and above) and `auto.create.topics.enable` allow it.
//! Kafka answers LEADER_NOT_AVAILABLE then and lets the client ask again; here the topic is there before the answer is,
//! so the answer already has it. Topics are named by id from version 12 on. Addresses are those of the listener that
//! the client came through.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::bounds::AUTO_CREATIONS_MAX;
use crate::metadata::{self, CreationFault, MetadataImage, Topic, TopicSpec, check_topic_name};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 3,
    name: "Metadata",
    versions: (0, 13),
    flexible: 9,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[fixed(16).since(10), string()];
pub const SHAPE: &Shape = &[array(TOPIC), fixed(1).since(4), fixed(1).since(8).until(10), fixed(1).since(8)];

/// "Not asked for", in fields of authorized operations.
pub const NO_OPERATIONS: i32 = i32::MIN;

/// READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS: without authorization, everything
/// that can be done to a topic (KIP-430), as Kafka answers it.
pub const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;

/// CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE.
pub const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

/// First version that names topics by id.
const TOPIC_IDS_FROM: i16 = 12;

/// First version in which a listener that is not advertised has an error of its own.
const LISTENER_ERROR_FROM: i16 = 6;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let mut asked: MetadataRequest = request.decode(SHAPE)?;
    forget_repeated(&mut asked);
    let topics = match wanted(&asked, request.version) {
        Wanted::All => all_topics(&shard, &request, &asked),
        Wanted::Listed(topics) => listed_topics(&shard, &request, &asked, topics).await,
        Wanted::Malformed(topics) => topics
            .iter()
            .map(|topic| refused(topic, ResponseError::InvalidRequest, request.version))
            .collect(),
    };
    let image = shard.metadata.image();
    let operations = match asked.include_cluster_authorized_operations {
        true => CLUSTER_OPERATIONS,
        false => NO_OPERATIONS,
    };
    let response = MetadataResponse::default()
        .with_brokers(brokers(&image, request.client.listener))
        .with_cluster_id(Some(StrBytes::from_string(image.broker.cluster_id.clone())))
        .with_controller_id(BrokerId(image.broker.id))
        .with_topics(topics)
        .with_cluster_authorized_operations(if request.version <= 10 { operations } else { NO_OPERATIONS });
    request.reply(&response)
}

/// Keeps the first of each topic, as Kafka does: an answer is much longer than a name.
fn forget_repeated(asked: &mut MetadataRequest) {
    let mut seen = HashSet::new();
    if let Some(topics) = &mut asked.topics {
        topics.retain(|topic| seen.insert((topic.name.clone(), topic.topic_id)));
    }
}

enum Wanted<'a> {
    All,
    Listed(&'a [MetadataRequestTopic]),
    /// Asks by id, or for no name, in a version without ids.
    Malformed(&'a [MetadataRequestTopic]),
}

fn wanted(asked: &MetadataRequest, version: i16) -> Wanted<'_> {
    let by_id = |topic: &MetadataRequestTopic| topic.name.is_none() || !topic.topic_id.is_nil();
    match asked.topics.as_deref() {
        None => Wanted::All,
        // Version 0 has no null: all topics are asked for with an empty list.
        Some([]) if version == 0 => Wanted::All,
        Some(topics) if version < TOPIC_IDS_FROM && topics.iter().any(by_id) => Wanted::Malformed(topics),
        Some(topics) => Wanted::Listed(topics),
    }
}

fn brokers(image: &MetadataImage, listener: usize) -> Vec<MetadataResponseBroker> {
    let broker = &image.broker;
    let told = broker.endpoint(listener).map(|endpoint| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(broker.id))
            .with_host(StrBytes::from_string(endpoint.host.clone()))
            .with_port(i32::from(endpoint.port))
            .with_rack(broker.rack.clone().map(StrBytes::from_string))
    });
    told.into_iter().collect()
}

fn all_topics(shard: &ServerShard, request: &Request, asked: &MetadataRequest) -> Vec<MetadataResponseTopic> {
    let image = shard.metadata.image();
    image.topics().map(|topic| described(&image, topic, request, asked)).collect()
}

async fn listed_topics(
    shard: &ServerShard,
    request: &Request,
    asked: &MetadataRequest,
    topics: &[MetadataRequestTopic],
) -> Vec<MetadataResponseTopic> {
    let may_create = asked.allow_auto_topic_creation && shard.config.auto_create_topics;
    let refusals = match may_create {
        true => create_missing(shard, topics).await,
        false => HashMap::new(),
    };
    let image = shard.metadata.image();
    let answer = |topic: &MetadataRequestTopic| {
        let found = match &topic.name {
            Some(name) => image.topic(name).ok_or_else(|| missing(name, &refusals)),
            None => image.topic_by_id(topic.topic_id).ok_or(ResponseError::UnknownTopicId),
        };
        match found {
            Ok(found) => described(&image, found, request, asked),
            Err(error) => refused(topic, error, request.version),
        }
    };
    topics.iter().map(answer).collect()
}

/// Creates the named topics that do not exist and may. Returns why some were not.
async fn create_missing(
    shard: &ServerShard,
    topics: &[MetadataRequestTopic],
) -> HashMap<String, ResponseError> {
    let mut specs: Vec<TopicSpec> = Vec::new();
    {
        let image = shard.metadata.image();
        let creatable = |name: &str| {
            image.topic(name).is_none() && check_topic_name(name).is_ok() && !Topic::is_internal_name(name)
        };
        let mut seen = HashSet::new();
        for name in topics.iter().filter_map(|topic| topic.name.as_ref()) {
            if specs.len() == AUTO_CREATIONS_MAX {
                break;
            }
            if creatable(name) && seen.insert(name) {
                specs.push(TopicSpec::with_defaults(name.to_string()));
            }
        }
    }
    if specs.is_empty() {
        return HashMap::new();
    }
    let names: Vec<String> = specs.iter().map(|spec| spec.name.clone()).collect();
    let answers = metadata::create_topics(shard, specs, false).await;
    let refusal = |(name, answer): (String, Result<_, metadata::CreationError>)| match answer {
        Ok(_) => None,
        // Somebody else was quicker.
        Err(error) if error.fault == CreationFault::Exists => None,
        Err(error) => Some((name, error)),
    };
    let refused: Vec<_> = names.into_iter().zip(answers).filter_map(refusal).collect();
    if let Some((topic, error)) = refused.first() {
        tracing::info!(topic, others = refused.len() - 1, "Not created automatically: {error}");
    }
    refused.into_iter().map(|(name, error)| (name, error.code())).collect()
}

fn missing(name: &str, refusals: &HashMap<String, ResponseError>) -> ResponseError {
    match refusals.get(name) {
        Some(refusal) => *refusal,
        None if check_topic_name(name).is_err() => ResponseError::InvalidTopicException,
        None => ResponseError::UnknownTopicOrPartition,
    }
}

fn refused(topic: &MetadataRequestTopic, error: ResponseError, version: i16) -> MetadataResponseTopic {
    // Null is a name only in the versions that name topics by id.
    let nameless = (version < TOPIC_IDS_FROM).then(TopicName::default);
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(topic.name.clone().or(nameless))
        .with_topic_id(topic.topic_id)
        .with_is_internal(topic.name.as_ref().is_some_and(|name| Topic::is_internal_name(name)))
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn described(
    image: &MetadataImage,
    topic: &Topic,
    request: &Request,
    asked: &MetadataRequest,
) -> MetadataResponseTopic {
    let advertised = image.broker.endpoint(request.client.listener).is_some();
    let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| {
        let leader_epoch = partition.leader_epoch.filter(|_| advertised);
        described_partition(
            image.broker.id,
            index,
            leader_epoch,
            partition.leader_epoch.is_some(),
            request.version,
        )
    });
    let operations = if asked.include_topic_authorized_operations { TOPIC_OPERATIONS } else { NO_OPERATIONS };
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(if request.version >= 10 { topic.id } else { Uuid::nil() })
        .with_is_internal(topic.is_internal())
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(operations)
}

/// `leader_epoch`: None when no leader can be told, because there is no log (not `online`), or no address for it.
fn described_partition(
    broker: i32,
    index: i32,
    leader_epoch: Option<i32>,
    online: bool,
    version: i16,
) -> MetadataResponsePartition {
    let partition = MetadataResponsePartition::default()
        .with_partition_index(index)
        .with_replica_nodes(vec![BrokerId(broker)])
        .with_isr_nodes(vec![BrokerId(broker)]);
    match leader_epoch {
        Some(epoch) => partition.with_leader_id(BrokerId(broker)).with_leader_epoch(epoch),
        None => {
            let error = match online && version >= LISTENER_ERROR_FROM {
                true => ResponseError::ListenerNotFound,
                false => ResponseError::LeaderNotAvailable,
            };
            let offline = if online { Vec::new() } else { vec![BrokerId(broker)] };
            partition
                .with_error_code(error.code())
                .with_leader_id(BrokerId(-1))
                .with_offline_replicas(offline)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &'static str) -> MetadataRequestTopic {
        MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(name))))
    }

    fn asking(topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
        MetadataRequest::default().with_topics(topics)
    }

    #[test]
    fn an_empty_list_is_all_topics_in_version_0_only() {
        assert!(matches!(wanted(&asking(Some(vec![])), 0), Wanted::All));
        assert!(matches!(wanted(&asking(Some(vec![])), 1), Wanted::Listed([])));
        assert!(matches!(wanted(&asking(None), 1), Wanted::All));
    }

    #[test]
    fn ids_are_refused_before_the_version_that_has_them() {
        let by_id =
            asking(Some(vec![named("a"), MetadataRequestTopic::default().with_topic_id(Uuid::from_u128(9))]));
        assert!(matches!(wanted(&by_id, 11), Wanted::Malformed([_, _])));
        assert!(matches!(wanted(&by_id, 12), Wanted::Listed([_, _])));
    }

    #[test]
    fn a_topic_that_is_asked_for_twice_is_answered_once() {
        let by_id = |id| MetadataRequestTopic::default().with_topic_id(Uuid::from_u128(id));
        let mut asked = asking(Some(vec![named("a"), by_id(1), named("b"), named("a"), by_id(1), by_id(2)]));
        forget_repeated(&mut asked);
        assert_eq!(asked.topics, Some(vec![named("a"), by_id(1), named("b"), by_id(2)]));
    }

    #[test]
    fn a_partition_without_a_log_or_an_address_has_no_leader() {
        let told = described_partition(7, 0, Some(3), true, 12);
        assert_eq!((told.error_code, told.leader_id, told.leader_epoch), (0, BrokerId(7), 3));
        let failed = described_partition(7, 0, None, false, 12);
        assert_eq!(failed.error_code, ResponseError::LeaderNotAvailable.code());
        assert_eq!((failed.leader_id, failed.offline_replicas), (BrokerId(-1), vec![BrokerId(7)]));
        let unadvertised = |version| described_partition(7, 0, None, true, version).error_code;
        assert_eq!(unadvertised(12), ResponseError::ListenerNotFound.code());
        assert_eq!(unadvertised(5), ResponseError::LeaderNotAvailable.code());
    }

    #[test]
    fn operations_are_kafkas_bits() {
        assert_eq!((TOPIC_OPERATIONS, CLUSTER_OPERATIONS), (3576, 8096));
    }
}
