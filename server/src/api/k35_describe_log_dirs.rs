//! DescribeLogDirs (key 35), versions 0 to 4: what lies in which log directory, and how large it is.
//!
//! Sizes are those of the segments; what is in a journal and not yet in a segment counts when it gets there. A directory that
//! failed, or did not open, is KAFKA_STORAGE_ERROR. Version 4 adds the size and the free space of its file system (KIP-827).
//! Version 0 is version 1, byte for byte.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_engine::id::{METADATA_TOPIC_ID, ShardId};

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::scatter::scatter;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 35,
    name: "DescribeLogDirs",
    versions: (0, 4),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[string(), plain_array(&fixed(4))];
pub const SHAPE: &Shape = &[array(TOPIC)];

/// The partitions that are asked for; None for all.
type Wanted = Option<Arc<HashMap<String, HashSet<i32>>>>;

/// One shard's part of one directory.
#[derive(Debug, Default)]
struct Found {
    failed: bool,
    /// Bytes by topic and partition.
    partitions: Vec<(String, i32, u64)>,
}

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let version = request.version.max(1);
    let asked: DescribeLogDirsRequest = request.decode_as(SHAPE, version)?;
    let wanted: Wanted = asked.topics.map(|topics| {
        let mut wanted: HashMap<String, HashSet<i32>> = HashMap::new();
        for topic in topics {
            wanted.entry(topic.topic.to_string()).or_default().extend(topic.partitions);
        }
        Arc::new(wanted)
    });
    let questions = (0..shard.shards).map(|home| (ShardId(home), wanted.clone())).collect();
    let answers = scatter(&shard, questions, look_all).await;
    let mut dirs: BTreeMap<PathBuf, Found> = BTreeMap::new();
    for (dir, part) in answers.into_iter().flatten().flatten() {
        let found = dirs.entry(dir).or_default();
        found.failed |= part.failed;
        found.partitions.extend(part.partitions);
    }
    let results = shard.config.log_dirs.iter().map(|dir| result(&shard, dir, dirs.remove(dir)));
    let response = DescribeLogDirsResponse::default().with_results(results.collect());
    request.reply_as(&response, version, API.is_flexible(request.version))
}

async fn look_all(shard: Rc<ServerShard>, questions: Vec<Wanted>) -> Vec<Vec<(PathBuf, Found)>> {
    questions.into_iter().map(|wanted| look(&shard, &wanted)).collect()
}

fn look(shard: &ServerShard, wanted: &Wanted) -> Vec<(PathBuf, Found)> {
    let is_wanted = |topic: &str, index: i32| match wanted {
        None => true,
        Some(wanted) => wanted.get(topic).is_some_and(|indexes| indexes.contains(&index)),
    };
    let mut dirs: BTreeMap<PathBuf, Found> = BTreeMap::new();
    for volume in shard.storage.volumes() {
        let found = Found { failed: volume.failure().is_some(), partitions: Vec::new() };
        dirs.insert(volume.dir().to_path_buf(), found);
    }
    for log in shard.storage.logs() {
        let name = log.name();
        if log.id().topic != METADATA_TOPIC_ID
            && is_wanted(&name.topic, name.partition)
            && let Some(found) = dirs.get_mut(log.volume().dir())
        {
            found.partitions.push((name.topic.clone(), name.partition, log.size_bytes()));
        }
    }
    dirs.into_iter().collect()
}

fn result(shard: &ServerShard, dir: &Path, found: Option<Found>) -> DescribeLogDirsResult {
    let path = std::path::absolute(dir).unwrap_or_else(|_unknown| dir.to_path_buf());
    let result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(path.display().to_string()))
        .with_total_bytes(-1)
        .with_usable_bytes(-1);
    let Some(found) = found.filter(|found| !found.failed) else {
        return result.with_error_code(ResponseError::KafkaStorageError.code());
    };
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let result = match shard.io.driver().disk_space(dir) {
        Ok((free, total)) => result.with_usable_bytes(bytes(free)).with_total_bytes(bytes(total)),
        Err(error) => {
            tracing::warn!(%error, "the free space of {} is not known", dir.display());
            result
        }
    };
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (topic, index, size) in found.partitions {
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(index)
            .with_partition_size(bytes(size))
            .with_offset_lag(0)
            .with_is_future_key(false);
        topics.entry(topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic::default()
            .with_name(TopicName(StrBytes::from_string(name)))
            .with_partitions(partitions)
    });
    result.with_error_code(errors::NONE).with_topics(topics.collect())
}
