//! CreateTopics (key 19), versions 0 to 7.
//!
//! All valid topics of a request become durable together, and their logs exist when the answer leaves, whatever
//! `timeout` says. Version 0 cannot only validate, and
//! its answer has no messages; version 1 is version 2 without a throttle time. Version 5 and above return the configuration,
//! version 7 the topic's id.

use std::collections::HashMap;
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError, oldest};
use crate::config::{BrokerConfig, TopicConfig, describe_topic};
use crate::metadata::{self, Creation, CreationError, TopicSpec};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 19,
    name: "CreateTopics",
    versions: (0, 7),
    flexible: 5,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const ASSIGNMENT: &Shape = &[fixed(4), plain_array(&fixed(4))];
const CONFIG: &Shape = &[string(), string()];
const TOPIC: &Shape = &[string(), fixed(4), fixed(2), array(ASSIGNMENT), array(CONFIG)];
pub const SHAPE: &Shape = &[array(TOPIC), fixed(4), fixed(1).since(1)];

/// What version 0 lacks at its end: `validate_only`.
const NOT_ONLY_VALIDATE: &[u8] = &[0];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: CreateTopicsRequest = match request.version {
        0 => request.decode_extended(SHAPE, OLDEST, NOT_ONLY_VALIDATE)?,
        1 => request.decode_as(SHAPE, OLDEST)?,
        _ => request.decode(SHAPE)?,
    };
    let mut named: HashMap<&str, usize> = HashMap::new();
    for topic in &asked.topics {
        *named.entry(topic.name.as_str()).or_default() += 1;
    }
    let unique = |topic: &&CreatableTopic| named[topic.name.as_str()] == 1;
    let once: Vec<&CreatableTopic> = asked.topics.iter().filter(unique).collect();
    let specs = once.iter().map(|topic| spec(topic)).collect();
    let answers = metadata::create_topics(&shard, specs, asked.validate_only).await;
    let mut results: Vec<_> = once
        .iter()
        .zip(answers)
        .map(|(topic, answer)| result(&shard.metadata.image().config, topic, answer))
        .collect();
    let twice = named.into_iter().filter(|(_, times)| *times > 1).map(|(name, _)| repeated(name));
    results.extend(twice);
    let response = CreateTopicsResponse::default().with_topics(results);
    match request.version {
        0 => oldest::reply(&request, |body| {
            body.count(Some(response.topics.len()))?;
            for topic in &response.topics {
                body.string(&topic.name)?;
                body.i16(topic.error_code);
            }
            Ok(())
        }),
        1 => oldest::reply_without_throttle(&request, &response, OLDEST),
        _ => request.reply(&response),
    }
}

/// The oldest version of the codec.
const OLDEST: i16 = 2;

fn spec(topic: &CreatableTopic) -> TopicSpec {
    let brokers = |ids: &[kafka_protocol::messages::BrokerId]| ids.iter().map(|id| id.0).collect();
    TopicSpec {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .iter()
            .map(|assignment| (assignment.partition_index, brokers(&assignment.broker_ids)))
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)))
            .collect(),
    }
}

fn result(
    config: &BrokerConfig,
    topic: &CreatableTopic,
    answer: Result<Creation, CreationError>,
) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(topic.name.clone());
    match answer {
        Ok(creation) => result
            .with_topic_id(creation.id)
            .with_error_message(None)
            .with_num_partitions(i32::try_from(creation.partitions).unwrap_or(i32::MAX))
            .with_replication_factor(1)
            .with_configs(Some(configs(config, &creation.config))),
        Err(error) => result
            .with_error_code(error.code().code())
            .with_error_message(Some(StrBytes::from_string(error.message)))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_configs(Some(Vec::new())),
    }
}

fn configs(broker: &BrokerConfig, topic: &TopicConfig) -> Vec<CreatableTopicConfigs> {
    let shown = |key: crate::config::Described| {
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_string(key.name))
            .with_value(key.value.map(StrBytes::from_string))
            .with_read_only(key.read_only)
            .with_config_source(key.source.code())
            .with_is_sensitive(key.sensitive)
    };
    describe_topic(broker, topic).into_iter().map(shown).collect()
}

fn repeated(name: &str) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(kafka_protocol::messages::TopicName(StrBytes::from_string(name.to_owned())))
        .with_error_code(ResponseError::InvalidRequest.code())
        .with_error_message(Some(StrBytes::from_static_str("Found multiple entries for this topic.")))
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(Some(Vec::new()))
}
