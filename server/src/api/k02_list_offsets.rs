//! ListOffsets (key 2), versions 0 to 10: where a log begins and ends, and where a point in time is in it.
//!
//! Consumers see what is committed, so "latest" is the high watermark in both isolation levels: without transactions the
//! last stable offset is the same. With no tiered storage, "earliest local" (-4, KIP-405) is the log start and "latest
//! tiered" (-5, KIP-1005) does not exist (-1). Version 0 may ask for several offsets per partition, of segments in Kafka's
//! case; it gets the one that later versions get.

use std::collections::HashSet;
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{BrokerId, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::log::Log;
use thalweg_protocol::wire::{Reader, WireError};

use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError, oldest};
use crate::errors;
use crate::scatter::{join_all, scatter};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 2,
    name: "ListOffsets",
    versions: (0, 10),
    flexible: 6,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const PARTITION: &Shape = &[fixed(4), fixed(4).since(4), fixed(8), fixed(4).until(0)];
const TOPIC: &Shape = &[string(), array(PARTITION)];
pub const SHAPE: &Shape = &[fixed(4), fixed(1).since(2), array(TOPIC), fixed(4).since(10)];

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// What is asked about one partition.
struct Question {
    partition: PartitionId,
    current_leader_epoch: i32,
    timestamp: i64,
}

/// Offset, timestamp and leader epoch, each -1 where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    offset: i64,
    timestamp: i64,
    leader_epoch: i32,
}

const NOWHERE: Answer = Answer { offset: -1, timestamp: -1, leader_epoch: -1 };

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body = if request.version < OLDEST {
        read_old(&request.checked_body(SHAPE)?)?
    } else {
        request.decode(SHAPE)?
    };
    let (mut results, questions) = plan(&shard, &body, request.version.max(OLDEST));
    let mut answers = scatter(&shard, questions, answer_all).await.into_iter();
    for result in results.iter_mut().filter(|result| result.is_none()) {
        *result = Some(answers.next().flatten().unwrap_or(Err(ResponseError::NotLeaderOrFollower)));
    }
    let response = respond(body, results, request.version);
    if request.version < OLDEST { reply_old(&request, &response) } else { request.reply(&response) }
}

/// The oldest version of the codec.
const OLDEST: i16 = 1;

/// Reads the body of a version that the codec does not have.
///
/// # Errors
/// If it ends early.
pub fn read_old(body: &[u8]) -> Result<ListOffsetsRequest, WireError> {
    let mut reader = Reader::new(body, false);
    let replica = reader.i32()?;
    let topics = oldest::elements(&mut reader, |reader| {
        let name = TopicName(StrBytes::from_string(reader.string()?.to_owned()));
        let partitions = oldest::elements(reader, |reader| {
            let (index, timestamp, _offsets_max) = (reader.i32()?, reader.i64()?, reader.i32()?);
            let asked = ListOffsetsPartition::default().with_partition_index(index);
            Ok(asked.with_current_leader_epoch(-1).with_timestamp(timestamp))
        })?;
        Ok(ListOffsetsTopic::default().with_name(name).with_partitions(partitions))
    })?;
    Ok(ListOffsetsRequest::default().with_replica_id(BrokerId(replica)).with_topics(topics))
}

fn reply_old(request: &Request, response: &ListOffsetsResponse) -> Result<Reply, RequestError> {
    oldest::reply(request, |body| {
        body.count(Some(response.topics.len()))?;
        for topic in &response.topics {
            body.string(&topic.name)?;
            body.count(Some(topic.partitions.len()))?;
            for found in &topic.partitions {
                body.i32(found.partition_index);
                body.i16(found.error_code);
                let offsets = (found.offset >= 0).then_some(found.offset);
                body.count(Some(offsets.iter().count()))?;
                offsets.into_iter().for_each(|offset| body.i64(offset));
            }
        }
        Ok(())
    })
}

/// Result of one partition in the request's order; `None` waits for its shard.
type Planned = Option<Result<Answer, ResponseError>>;

fn plan(
    shard: &ServerShard,
    body: &ListOffsetsRequest,
    version: i16,
) -> (Vec<Planned>, Vec<(ShardId, Question)>) {
    let image = shard.metadata.image();
    let (mut results, mut questions) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for topic in &body.topics {
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let known = image.partition(&topic.name, index).ok_or(ResponseError::UnknownTopicOrPartition);
            let question = known.and_then(|id| {
                if !seen.insert(id) {
                    return Err(ResponseError::InvalidRequest);
                }
                check_timestamp(partition.timestamp, version)?;
                let current_leader_epoch = partition.current_leader_epoch;
                Ok(Question { partition: id, current_leader_epoch, timestamp: partition.timestamp })
            });
            results.push(match question {
                Ok(question) => {
                    questions.push((shard.home(question.partition), question));
                    None
                }
                Err(error) => Some(Err(error)),
            });
        }
    }
    (results, questions)
}

/// Special timestamps came with versions; one that the version does not know is refused.
fn check_timestamp(timestamp: i64, version: i16) -> Result<(), ResponseError> {
    let first = match timestamp {
        0.. | LATEST | EARLIEST => 1,
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        _ => return Err(ResponseError::UnsupportedVersion),
    };
    if version >= first { Ok(()) } else { Err(ResponseError::UnsupportedVersion) }
}

async fn answer_all(shard: Rc<ServerShard>, questions: Vec<Question>) -> Vec<Result<Answer, ResponseError>> {
    join_all(questions.into_iter().map(|question| answer(Rc::clone(&shard), question)).collect()).await
}

async fn answer(shard: Rc<ServerShard>, question: Question) -> Result<Answer, ResponseError> {
    let log = shard.storage.log(question.partition).ok_or(ResponseError::KafkaStorageError)?;
    if log.corruption().is_some() {
        return Err(ResponseError::KafkaStorageError);
    }
    errors::check_leader_epoch(question.current_leader_epoch, log.leader_epoch())?;
    match question.timestamp {
        LATEST => {
            Ok(Answer { offset: log.high_watermark(), timestamp: -1, leader_epoch: log.leader_epoch() })
        }
        EARLIEST | EARLIEST_LOCAL => {
            Ok(Answer { offset: log.log_start(), timestamp: -1, leader_epoch: log.epoch_of(log.log_start()) })
        }
        LATEST_TIERED => Ok(NOWHERE),
        timestamp => look_up(&log, timestamp).await,
    }
}

async fn look_up(log: &Rc<Log>, timestamp: i64) -> Result<Answer, ResponseError> {
    let found = match timestamp {
        MAX_TIMESTAMP => log.max_timestamp().await,
        timestamp => log.offset_for_timestamp(timestamp).await,
    };
    let found = found.map_err(|error| {
        tracing::warn!(partition = %log.name(), timestamp, "lookup by timestamp: {error}");
        errors::of_read(&error)
    })?;
    Ok(found.map_or(NOWHERE, |found| Answer {
        offset: found.offset,
        timestamp: found.timestamp_ms,
        leader_epoch: found.leader_epoch,
    }))
}

fn respond(body: ListOffsetsRequest, results: Vec<Planned>, version: i16) -> ListOffsetsResponse {
    let mut results = results.into_iter().flatten();
    let topics = body.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(results.by_ref());
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(
            partitions.map(|(asked, result)| respond_one(asked.partition_index, result, version)).collect(),
        )
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn respond_one(
    index: i32,
    result: Result<Answer, ResponseError>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let code = result.as_ref().err().map_or(errors::NONE, ResponseError::code);
    let answer = result.unwrap_or(NOWHERE);
    ListOffsetsPartitionResponse::default()
        .with_partition_index(index)
        .with_error_code(code)
        .with_offset(answer.offset)
        .with_timestamp(answer.timestamp)
        .with_leader_epoch(if version >= 4 { answer.leader_epoch } else { -1 })
}

#[cfg(test)]
mod tests {
    use super::super::encode_reply;
    use super::*;

    /// A leader epoch in an answer below version 4 ended the connection of every client that asked so.
    #[test]
    fn every_version_can_be_encoded() {
        let topic = ListOffsetsTopic::default().with_partitions(vec![ListOffsetsPartition::default(); 2]);
        let body = ListOffsetsRequest::default().with_topics(vec![topic]);
        for version in OLDEST..=API.versions.1 {
            let answer = Answer { offset: 7, timestamp: 8, leader_epoch: 9 };
            let results = vec![Some(Ok(answer)), Some(Err(ResponseError::FencedLeaderEpoch))];
            let encoded = encode_reply(1, false, &respond(body.clone(), results, version), version);
            assert!(encoded.is_ok(), "version {version}");
        }
    }

    #[test]
    fn special_timestamps_need_their_version() {
        assert_eq!(check_timestamp(MAX_TIMESTAMP, 7), Ok(()));
        assert_eq!(check_timestamp(MAX_TIMESTAMP, 6), Err(ResponseError::UnsupportedVersion));
        assert_eq!(check_timestamp(LATEST_TIERED, 8), Err(ResponseError::UnsupportedVersion));
        assert_eq!(check_timestamp(-7, 10), Err(ResponseError::UnsupportedVersion));
        assert_eq!(check_timestamp(0, 1), Ok(()));
    }
}
