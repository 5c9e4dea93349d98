//! OffsetForLeaderEpoch (key 23), versions 0 to 4: where a leader epoch ends in a log (KIP-101, KIP-320).
//!
//! Consumers ask after a change of the leader epoch, which here is an unclean start of the server: what they hold beyond
//! the answered end was never committed. Versions 0 and 1 do not say which leader they mean; the answer to version 0 has no epoch.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::log::EpochEnd;
use thalweg_protocol::wire::{Reader, WireError};

use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError, oldest};
use crate::errors;
use crate::scatter::scatter;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 23,
    name: "OffsetForLeaderEpoch",
    versions: (0, 4),
    flexible: 4,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const PARTITION: &Shape = &[fixed(4), fixed(4).since(2), fixed(4)];
const TOPIC: &Shape = &[string(), array(PARTITION)];
pub const SHAPE: &Shape = &[fixed(4).since(3), array(TOPIC)];

struct Question {
    partition: PartitionId,
    current_leader_epoch: i32,
    leader_epoch: i32,
}

/// Result of one partition in the request's order; `None` waits for its shard.
type Planned = Option<Result<EpochEnd, ResponseError>>;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body = if request.version < OLDEST {
        read_old(&request.checked_body(SHAPE)?)?
    } else {
        request.decode(SHAPE)?
    };
    let (mut results, questions) = plan(&shard, &body);
    let mut answers = scatter(&shard, questions, answer_all).await.into_iter();
    for result in results.iter_mut().filter(|result| result.is_none()) {
        *result = Some(answers.next().flatten().unwrap_or(Err(ResponseError::NotLeaderOrFollower)));
    }
    let response = respond(body, results);
    if request.version < OLDEST { reply_old(&request, &response) } else { request.reply(&response) }
}

/// The oldest version of the codec.
const OLDEST: i16 = 2;

/// Reads the body of a version that the codec does not have.
///
/// # Errors
/// If it ends early.
pub fn read_old(body: &[u8]) -> Result<OffsetForLeaderEpochRequest, WireError> {
    let topics = oldest::elements(&mut Reader::new(body, false), |reader| {
        let name = TopicName(StrBytes::from_string(reader.string()?.to_owned()));
        let partitions = oldest::elements(reader, |reader| {
            let (partition, leader_epoch) = (reader.i32()?, reader.i32()?);
            let asked = OffsetForLeaderPartition::default().with_partition(partition);
            Ok(asked.with_current_leader_epoch(-1).with_leader_epoch(leader_epoch))
        })?;
        Ok(OffsetForLeaderTopic::default().with_topic(name).with_partitions(partitions))
    })?;
    Ok(OffsetForLeaderEpochRequest::default().with_topics(topics))
}

fn reply_old(request: &Request, response: &OffsetForLeaderEpochResponse) -> Result<Reply, RequestError> {
    oldest::reply(request, |body| {
        body.count(Some(response.topics.len()))?;
        for topic in &response.topics {
            body.string(&topic.topic)?;
            body.count(Some(topic.partitions.len()))?;
            for end in &topic.partitions {
                body.i16(end.error_code);
                body.i32(end.partition);
                if request.version > 0 {
                    body.i32(end.leader_epoch);
                }
                body.i64(end.end_offset);
            }
        }
        Ok(())
    })
}

fn plan(shard: &ServerShard, body: &OffsetForLeaderEpochRequest) -> (Vec<Planned>, Vec<(ShardId, Question)>) {
    let image = shard.metadata.image();
    let (mut results, mut questions) = (Vec::new(), Vec::new());
    for topic in &body.topics {
        for asked in &topic.partitions {
            let Some(partition) = image.partition(&topic.topic, asked.partition) else {
                results.push(Some(Err(ResponseError::UnknownTopicOrPartition)));
                continue;
            };
            let question = Question {
                partition,
                current_leader_epoch: asked.current_leader_epoch,
                leader_epoch: asked.leader_epoch,
            };
            questions.push((shard.home(partition), question));
            results.push(None);
        }
    }
    (results, questions)
}

async fn answer_all(
    shard: Rc<ServerShard>,
    questions: Vec<Question>,
) -> Vec<Result<EpochEnd, ResponseError>> {
    questions.iter().map(|question| answer(&shard, question)).collect()
}

fn answer(shard: &ServerShard, question: &Question) -> Result<EpochEnd, ResponseError> {
    let log = shard.storage.log(question.partition).ok_or(ResponseError::KafkaStorageError)?;
    if log.corruption().is_some() {
        return Err(ResponseError::KafkaStorageError);
    }
    errors::check_leader_epoch(question.current_leader_epoch, log.leader_epoch())?;
    Ok(log.epoch_end(question.leader_epoch))
}

fn respond(body: OffsetForLeaderEpochRequest, results: Vec<Planned>) -> OffsetForLeaderEpochResponse {
    let mut results = results.into_iter().flatten();
    let topics = body.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(results.by_ref());
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic)
            .with_partitions(partitions.map(|(asked, result)| respond_one(asked.partition, result)).collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}

fn respond_one(index: i32, result: Result<EpochEnd, ResponseError>) -> EpochEndOffset {
    let response = EpochEndOffset::default().with_partition(index);
    match result {
        Ok(end) => response.with_leader_epoch(end.epoch).with_end_offset(end.end_offset),
        Err(error) => response.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1),
    }
}

#[cfg(test)]
mod tests {
    use super::super::encode_reply;
    use super::*;

    #[test]
    fn every_version_can_be_encoded() {
        let topic =
            OffsetForLeaderTopic::default().with_partitions(vec![OffsetForLeaderPartition::default(); 2]);
        let body = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
        for version in OLDEST..=API.versions.1 {
            let end = EpochEnd { epoch: 3, end_offset: 4 };
            let results = vec![Some(Ok(end)), Some(Err(ResponseError::FencedLeaderEpoch))];
            let encoded = encode_reply(1, false, &respond(body.clone(), results), version);
            assert!(encoded.is_ok(), "version {version}");
        }
    }
}
