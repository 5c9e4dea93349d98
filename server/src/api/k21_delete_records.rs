//! DeleteRecords (key 21), versions 0 to 2: moves the start of a log forward.
//!
//! What an answer promises: the new start is on stable storage, so no restart and no power loss brings the records back.
//! Their segments go in the background. -1 stands for the high watermark; an offset below the start changes nothing.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};
use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::volume::Volume;

use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::metadata::MetadataImage;
use crate::scatter::scatter;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 21,
    name: "DeleteRecords",
    versions: (0, 2),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const PARTITION: &Shape = &[fixed(4), fixed(8)];
const TOPIC: &Shape = &[string(), array(PARTITION)];
pub const SHAPE: &Shape = &[array(TOPIC), fixed(4)];

/// A log and the first offset that stays.
type Question = (PartitionId, i64);
/// The start of the log afterwards.
type Answer = Result<i64, ResponseError>;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body: DeleteRecordsRequest = request.decode(SHAPE)?;
    let (mut answers, mut questions) = (Vec::new(), Vec::new());
    for topic in &body.topics {
        for partition in &topic.partitions {
            match checked(&shard.metadata.image(), &topic.name, partition.partition_index) {
                Ok(id) => {
                    questions.push((shard.home(id), (id, partition.offset)));
                    answers.push(None);
                }
                Err(error) => answers.push(Some(Err(error))),
            }
        }
    }
    let questions: Vec<(ShardId, Question)> = questions;
    let mut deleted = scatter(&shard, questions, delete_all).await.into_iter();
    let mut answers = answers.into_iter().map(|answer: Option<Answer>| {
        answer.unwrap_or_else(|| deleted.next().flatten().unwrap_or(Err(ResponseError::NotLeaderOrFollower)))
    });
    let topics = body.topics.into_iter().map(|topic| {
        let results = topic.partitions.iter().zip(answers.by_ref());
        let results = results.map(|(asked, answer)| result(asked.partition_index, answer)).collect();
        DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(results)
    });
    request.reply(&DeleteRecordsResponse::default().with_topics(topics.collect()))
}

/// The partition, if its records are a client's to delete.
fn checked(image: &MetadataImage, name: &str, index: i32) -> Result<PartitionId, ResponseError> {
    let topic = image.topic(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let id = topic.partition(index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    match () {
        () if topic.is_internal() => Err(ResponseError::InvalidTopicException),
        () if !topic.config.deletes() => Err(ResponseError::PolicyViolation),
        () => Ok(id),
    }
}

/// Moves the logs' starts, and makes that durable once per directory.
async fn delete_all(shard: Rc<ServerShard>, questions: Vec<Question>) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(questions.len());
    let mut touched: Vec<Rc<Volume>> = Vec::new();
    for (id, before) in questions {
        let Some(log) = shard.storage.log(id) else {
            answers.push((None, Err(ResponseError::KafkaStorageError)));
            continue;
        };
        let answer = log.delete_records(before).await.map_err(|error| errors::of_read(&error));
        if answer.is_ok() && !touched.iter().any(|volume| Rc::ptr_eq(volume, log.volume())) {
            touched.push(Rc::clone(log.volume()));
        }
        answers.push((Some(Rc::clone(log.volume())), answer));
    }
    let mut failed: Vec<Rc<Volume>> = Vec::new();
    for volume in touched {
        if let Err(error) = shard.storage.checkpoint(&volume, false).await {
            tracing::error!(%error, "the start of logs in {} could not be kept", volume.dir().display());
            failed.push(volume);
        }
    }
    let is_kept = |volume: &Option<Rc<Volume>>| {
        !failed.iter().any(|bad| volume.as_ref().is_some_and(|v| Rc::ptr_eq(v, bad)))
    };
    let durable = |(volume, answer): (Option<Rc<Volume>>, Answer)| {
        answer.and_then(
            |start| if is_kept(&volume) { Ok(start) } else { Err(ResponseError::KafkaStorageError) },
        )
    };
    answers.into_iter().map(durable).collect()
}

fn result(index: i32, answer: Answer) -> DeleteRecordsPartitionResult {
    let code = answer.as_ref().err().map_or(errors::NONE, ResponseError::code);
    DeleteRecordsPartitionResult::default()
        .with_partition_index(index)
        .with_low_watermark(answer.unwrap_or(-1))
        .with_error_code(code)
}
