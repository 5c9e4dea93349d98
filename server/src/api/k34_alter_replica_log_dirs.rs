//! AlterReplicaLogDirs (key 34), versions 0 to 2: which log directory a partition lies in.
//!
//! Partitions stay where they were created, so only the directory that a partition is in already is accepted. Another one of
//! `log.dirs` is INVALID_REQUEST, a path that is none is LOG_DIR_NOT_FOUND. Version 0 is version 1, byte for byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
};
use thalweg_engine::id::{PartitionId, ShardId};

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::scatter::scatter;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 34,
    name: "AlterReplicaLogDirs",
    versions: (0, 2),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[string(), plain_array(&fixed(4))];
const DIR: &Shape = &[string(), array(TOPIC)];
pub const SHAPE: &Shape = &[array(DIR)];

/// A partition and the directory that it is to be in.
type Question = (PartitionId, PathBuf);

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let version = request.version.max(1);
    let asked: AlterReplicaLogDirsRequest = request.decode_as(SHAPE, version)?;
    let (mut places, mut questions) = (Vec::new(), Vec::new());
    for dir in asked.dirs {
        let path = Path::new(dir.path.as_str());
        for topic in dir.topics {
            for index in topic.partitions {
                let checked = checked(&shard, path, &topic.name, index);
                places.push((topic.name.clone(), index, checked.as_ref().err().copied()));
                questions.extend(checked.ok());
            }
        }
    }
    let mut answers = scatter(&shard, questions, answer_all).await.into_iter();
    let mut topics: BTreeMap<TopicName, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for (name, index, refusal) in places {
        let answered = || answers.next().flatten().unwrap_or(Some(ResponseError::NotLeaderOrFollower));
        let error = refusal.map_or_else(answered, Some);
        let result = AlterReplicaLogDirPartitionResult::default().with_partition_index(index);
        let code = error.map_or(errors::NONE, |error| error.code());
        topics.entry(name).or_default().push(result.with_error_code(code));
    }
    let results = topics.into_iter().map(|(name, partitions)| {
        AlterReplicaLogDirTopicResult::default().with_topic_name(name).with_partitions(partitions)
    });
    let response = AlterReplicaLogDirsResponse::default().with_results(results.collect());
    request.reply_as(&response, version, API.is_flexible(request.version))
}

/// As in Kafka, a wrong path is said before a wrong partition, and a path that is not absolute is wrong.
fn checked(
    shard: &ServerShard,
    path: &Path,
    topic: &str,
    index: i32,
) -> Result<(ShardId, Question), ResponseError> {
    let is_path = |dir: &&PathBuf| std::path::absolute(dir).is_ok_and(|dir| dir == path);
    let dir = shard.config.log_dirs.iter().find(is_path).ok_or(ResponseError::LogDirNotFound)?;
    let id = shard.metadata.image().partition(topic, index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    Ok((shard.home(id), (id, dir.clone())))
}

async fn answer_all(shard: Rc<ServerShard>, questions: Vec<Question>) -> Vec<Option<ResponseError>> {
    let answer = |(id, dir): (PartitionId, PathBuf)| match shard.storage.log(id) {
        None => Some(ResponseError::KafkaStorageError),
        Some(log) if log.volume().dir() == dir => None,
        Some(log) => {
            tracing::warn!(partition = %log.name(), "Partitions stay in their log directory; not moved to {}", dir.display());
            Some(ResponseError::InvalidRequest)
        }
    };
    questions.into_iter().map(answer).collect()
}
