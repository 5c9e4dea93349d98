//! Brings the metadata up when the server starts: replays the source, reconciles it with the disk, publishes the first
//! image, and puts the controller in its place. On the controller's shard, before any listener opens.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_engine::id::{METADATA_TOPIC_ID, PartitionId, ShardId};
use thalweg_engine::log::LogOptions;
use thalweg_engine::reactor::ShardGone;

use super::changes::MeshShards;
use super::controller::{ChangeError, Controller, Shards, Source};
use super::image::{Partition, Topic};
use super::reconcile::{FoundLog, MixedTopic, Reconciled, adoption, reconcile};
use super::replay::Replay;
use super::source::{EmbeddedLog, SourceError};
use crate::config::{BrokerConfig, DynamicConfig};
use crate::group;
use crate::shard::ServerShard;

/// Why the server cannot know its topics.
#[derive(Debug, thiserror::Error)]
pub enum MetadataStartError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Mixed(#[from] MixedTopic),
    #[error("the topics found in log.dirs cannot be adopted: {0}")]
    Adopt(ChangeError),
    #[error(
        "the metadata log is in none of the log.dirs that can be used, and {0} of them cannot be used: mend what the lines \
         above say of it, so that the metadata is found if it is there"
    )]
    Degraded(usize),
    #[error(
        "{} has no meta.properties, other log.dirs have one, and {missing}. If it is a disk that is not mounted, mount it. If \
         what was on it is lost, or it is new, copy meta.properties into it from another of the log.dirs", dir.display()
    )]
    Stranger { dir: PathBuf, missing: String },
    #[error("shard {} ended while the server was starting", .0.0)]
    Shard(ShardId),
}

/// What was found, for the line that the start ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataStart {
    pub topics: usize,
    pub partitions: usize,
    /// Partitions that had no log and got one.
    pub created: usize,
    /// Logs that belonged to no topic and were removed.
    pub removed: usize,
}

/// See the module.
///
/// # Errors
/// [`MetadataStartError`]; nothing has been removed then.
///
/// `strangers`: usable log directories without `meta.properties` although others have it. What seems to be missing may be
/// on a disk that should be mounted there.
pub async fn start(
    shard: &Rc<ServerShard>,
    strangers: &[PathBuf],
) -> Result<MetadataStart, MetadataStartError> {
    let unusable = unusable_dirs(shard).await?;
    if !EmbeddedLog::is_there(&shard.storage) {
        if unusable > 0 {
            return Err(MetadataStartError::Degraded(unusable));
        }
        check_strangers(strangers, || Some("the metadata log is in none of them".to_owned()))?;
    }
    let source = EmbeddedLog::open(&shard.io, &shard.storage, shard.config.metadata_snapshot_bytes).await?;
    let found = found_logs(shard).await?;
    let mut replay = source.replay().await?;
    if replay.records == 0 && unusable > 0 && !found.is_empty() {
        return Err(MetadataStartError::Degraded(unusable));
    }
    if replay.records == 0
        && let Some(records) = adoption(&found, &shard.config, shard.metadata.image().broker.id)?
    {
        source.append(records).await.map_err(MetadataStartError::Adopt)?;
        replay = source.replay().await?;
    }
    let config = Arc::new(config_in_force(shard, &mut replay));
    let Reconciled { topics, orphans } = reconcile(&replay, found, &config);
    check_strangers(strangers, || missing_log(&topics))?;
    let removed = remove_orphans(shard, orphans).await?;
    apply_options(shard, &topics).await?;
    let logs = MeshShards::new(shard);
    let mut image = (*shard.metadata.snapshot()).clone();
    image.next_producer_id = replay.next_producer_id;
    image.config = config;
    let mut summary = MetadataStart { topics: topics.len(), partitions: 0, created: 0, removed };
    for topic in topics {
        // A log that is missing may be in a directory that will come back: a second one would split the partition.
        let topic = if unusable == 0 { with_all_logs(&logs, topic, &mut summary).await } else { topic };
        summary.partitions += topic.partitions.len();
        image.insert(Arc::new(topic));
    }
    shard.metadata.publish(image);
    shard.controller.set(Controller::new(source, logs, Arc::clone(&shard.metadata)));
    Ok(summary)
}

/// Refuses to go on when something is missing that may be in a directory that is not what it should be.
fn check_strangers(
    strangers: &[PathBuf],
    missing: impl FnOnce() -> Option<String>,
) -> Result<(), MetadataStartError> {
    let Some(dir) = strangers.first() else { return Ok(()) };
    match missing() {
        Some(missing) => Err(MetadataStartError::Stranger { dir: dir.clone(), missing }),
        None => Ok(()),
    }
}

fn missing_log(topics: &[Topic]) -> Option<String> {
    topics.iter().find_map(|topic| {
        let index = topic.partitions.iter().position(|partition| partition.leader_epoch.is_none())?;
        Some(format!("partition {}-{index} is in none of them", topic.name))
    })
}

/// The file's configuration, and over it what was set while the server ran.
fn config_in_force(shard: &ServerShard, replay: &mut Replay) -> BrokerConfig {
    let mut settings = |name: &str| replay.brokers.remove(name).unwrap_or_default();
    let broker = settings(&shard.metadata.image().broker.id.to_string());
    let stored = DynamicConfig { broker, cluster: settings("") };
    shard.config.with_stored_dynamic(stored, |key, error| {
        tracing::warn!(key, %error, "A stored broker config is not valid in this version or with this file: kept, and without effect");
    })
}

/// Creates the logs that are missing. Creation is idempotent, so it may name those that are there too.
async fn with_all_logs(logs: &MeshShards, topic: Topic, summary: &mut MetadataStart) -> Topic {
    let is_missing = |partition: &&Partition| partition.leader_epoch.is_none();
    let missing = topic.partitions.iter().filter(is_missing).count();
    if missing == 0 {
        return topic;
    }
    let partitions = logs.create(&topic, 0).await;
    summary.created += missing - partitions.iter().filter(is_missing).count();
    Topic { partitions, ..topic }
}

fn all_shards(shard: &ServerShard) -> impl Iterator<Item = ShardId> + use<> {
    (0..shard.shards).map(ShardId)
}

/// The partitions of every shard, without the metadata's own.
async fn found_logs(shard: &Rc<ServerShard>) -> Result<Vec<FoundLog>, MetadataStartError> {
    let mut found = Vec::new();
    for home in all_shards(shard) {
        let look = |there: Rc<ServerShard>| async move {
            let described = there.storage.logs().into_iter().map(|log| FoundLog {
                shard: there.id,
                id: log.id(),
                topic: log.name().topic.clone(),
                leader_epoch: log.leader_epoch(),
            });
            described.collect::<Vec<_>>()
        };
        let logs =
            shard.mesh().call(home, look).await.map_err(|ShardGone| MetadataStartError::Shard(home))?;
        found.extend(logs);
    }
    found.retain(|log| log.id.topic != METADATA_TOPIC_ID);
    Ok(found)
}

/// How many of the log.dirs did not open or have failed, on the shard that misses most.
async fn unusable_dirs(shard: &Rc<ServerShard>) -> Result<usize, MetadataStartError> {
    let mut most = 0;
    for home in all_shards(shard) {
        let count = |there: Rc<ServerShard>| async move {
            let working = there.storage.volumes().iter().filter(|volume| volume.failure().is_none()).count();
            there.config.log_dirs.len().saturating_sub(working)
        };
        let unusable =
            shard.mesh().call(home, count).await.map_err(|ShardGone| MetadataStartError::Shard(home))?;
        most = most.max(unusable);
    }
    Ok(most)
}

async fn remove_orphans(
    shard: &Rc<ServerShard>,
    orphans: Vec<FoundLog>,
) -> Result<usize, MetadataStartError> {
    let mut removed = 0;
    for orphan in orphans {
        tracing::warn!(topic = orphan.topic, partition = %orphan.id, "Removing a log whose topic was deleted");
        let id = orphan.id;
        let remove = move |there: Rc<ServerShard>| async move { there.storage.remove(id).await };
        match shard.mesh().call(orphan.shard, remove).await {
            Ok(Ok(())) => removed += 1,
            Ok(Err(error)) => tracing::error!(partition = %id, %error, "It could not be removed"),
            Err(ShardGone) => return Err(MetadataStartError::Shard(orphan.shard)),
        }
    }
    Ok(removed)
}

/// Recovery opened the logs with the broker's defaults; tells each what its topic says.
async fn apply_options(shard: &Rc<ServerShard>, topics: &[Topic]) -> Result<(), MetadataStartError> {
    let mut options: BTreeMap<ShardId, Vec<(PartitionId, Arc<LogOptions>)>> = BTreeMap::new();
    for topic in topics {
        let of_logs = group::log_options(&topic.name, &topic.config.log);
        for id in topic.partition_ids() {
            options.entry(shard.home(id)).or_default().push((id, Arc::clone(&of_logs)));
        }
    }
    for (home, options) in options {
        let apply = move |there: Rc<ServerShard>| async move {
            for (id, options) in options {
                if let Err(error) = there.storage.set_options(id, options).await {
                    tracing::error!(partition = %id, %error, "Its topic's configuration is not fully in force");
                }
            }
        };
        shard.mesh().call(home, apply).await.map_err(|ShardGone| MetadataStartError::Shard(home))?;
    }
    Ok(())
}
