//! DescribeProducers (key 61), version 0: the producers whose state a partition keeps (KIP-664).
//!
//! Idempotent producers appear as in Kafka, with their last sequence. There are no transactions, so no coordinator epoch and
//! no open transaction either (-1).

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_producers_response::{
    DescribeProducersResponse, PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, ProducerId};
use kafka_protocol::protocol::StrBytes;
use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::log::ProducerEntry;

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::scatter::scatter;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 61,
    name: "DescribeProducers",
    versions: (0, 0),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[string(), plain_array(&fixed(4))];
pub const SHAPE: &Shape = &[array(TOPIC)];

type Answer = Result<Vec<ProducerEntry>, ResponseError>;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: DescribeProducersRequest = request.decode(SHAPE)?;
    let mut questions: Vec<(ShardId, PartitionId)> = Vec::new();
    let mut known = Vec::new();
    {
        let image = shard.metadata.image();
        for topic in &asked.topics {
            for index in &topic.partition_indexes {
                let id = image.partition(&topic.name, *index);
                questions.extend(id.map(|id| (shard.home(id), id)));
                known.push(id.is_some());
            }
        }
    }
    let mut answers = scatter(&shard, questions, look_all).await.into_iter();
    let mut results = known.into_iter().map(|known| match known {
        true => answers.next().flatten().unwrap_or(Err(ResponseError::NotLeaderOrFollower)),
        false => Err(ResponseError::UnknownTopicOrPartition),
    });
    let topics = asked.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().zip(results.by_ref());
        let partitions = partitions.map(|(index, result)| partition(*index, result)).collect();
        TopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    request.reply(&DescribeProducersResponse::default().with_topics(topics.collect()))
}

async fn look_all(shard: Rc<ServerShard>, questions: Vec<PartitionId>) -> Vec<Answer> {
    let look = |id| Ok(shard.storage.log(id).ok_or(ResponseError::KafkaStorageError)?.active_producers());
    questions.into_iter().map(look).collect()
}

fn partition(index: i32, answer: Answer) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(index);
    match answer {
        Ok(producers) => response
            .with_error_message(None)
            .with_active_producers(producers.into_iter().map(producer).collect()),
        Err(error) => response.with_error_code(error.code()).with_error_message(Some(
            StrBytes::from_static_str("This server does not host this topic-partition."),
        )),
    }
}

fn producer(entry: ProducerEntry) -> ProducerState {
    let last = entry.batches.back();
    ProducerState::default()
        .with_producer_id(ProducerId(entry.producer_id))
        .with_producer_epoch(i32::from(entry.epoch))
        .with_last_sequence(last.map_or(-1, |batch| batch.last_sequence))
        .with_last_timestamp(last.map_or(-1, |batch| batch.timestamp_ms))
        .with_coordinator_epoch(-1)
        .with_current_txn_start_offset(-1)
}
