//! CreatePartitions (key 37), versions 0 to 3: a topic gets more partitions.
//!
//! All valid topics of a request become durable together, and their new logs exist when the answer leaves, whatever
//! `timeout_ms` says. Fewer partitions than there are: INVALID_PARTITIONS.

use std::collections::HashMap;
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_partitions_request::{CreatePartitionsRequest, CreatePartitionsTopic};
use kafka_protocol::messages::create_partitions_response::{
    CreatePartitionsResponse, CreatePartitionsTopicResult,
};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::metadata::{self, Expansion};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 37,
    name: "CreatePartitions",
    versions: (0, 3),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const ASSIGNMENT: &Shape = &[plain_array(&fixed(4))];
const TOPIC: &Shape = &[string(), fixed(4), array(ASSIGNMENT)];
pub const SHAPE: &Shape = &[array(TOPIC), fixed(4), fixed(1)];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: CreatePartitionsRequest = request.decode(SHAPE)?;
    let mut named: HashMap<&str, usize> = HashMap::new();
    for topic in &asked.topics {
        *named.entry(topic.name.as_str()).or_default() += 1;
    }
    let once: Vec<_> = asked.topics.iter().filter(|topic| named[topic.name.as_str()] == 1).collect();
    let expansions = once.iter().map(|topic| expansion(topic)).collect();
    let answers = metadata::create_partitions(&shard, expansions, asked.validate_only).await;
    let mut results: Vec<_> = once
        .iter()
        .zip(answers)
        .map(|(topic, answer)| match answer {
            Ok(()) => result(topic.name.clone(), None),
            Err(error) => result(topic.name.clone(), Some((error.code(), error.to_string()))),
        })
        .collect();
    let twice = named.into_iter().filter(|(_, times)| *times > 1).map(|(name, _)| {
        let refusal = (ResponseError::InvalidRequest, "Duplicate topic in request.".to_owned());
        result(TopicName(StrBytes::from_string(name.to_owned())), Some(refusal))
    });
    results.extend(twice);
    request.reply(&CreatePartitionsResponse::default().with_results(results))
}

fn expansion(topic: &CreatePartitionsTopic) -> Expansion {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        assignments.iter().map(|one| one.broker_ids.iter().map(|id| id.0).collect()).collect()
    });
    Expansion { topic: topic.name.to_string(), count: topic.count, assignments }
}

fn result(name: TopicName, refusal: Option<(ResponseError, String)>) -> CreatePartitionsTopicResult {
    let result = CreatePartitionsTopicResult::default().with_name(name);
    match refusal {
        None => result.with_error_message(None),
        Some((error, message)) => {
            result.with_error_code(error.code()).with_error_message(Some(StrBytes::from_string(message)))
        }
    }
}
