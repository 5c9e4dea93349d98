//! The topic that holds all groups: made when a coordinator is first looked for, as Kafka makes it.

use std::sync::Arc;

use thalweg_engine::log::{Durability, LogOptions};

use crate::config::GroupConfig;
use crate::metadata::{self, CreationFault, TopicSpec};
use crate::shard::ServerShard;

use super::{GroupError, OFFSETS_TOPIC};

/// Its configs: compacted, and never less than durable, whatever the broker's default is.
pub fn topic_settings(config: &GroupConfig) -> [(&'static str, String); 4] {
    [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        ("durability", "disk".to_owned()),
        ("segment.bytes", config.topic_segment_bytes.to_string()),
    ]
}

/// The options of the logs of `topic`, which its config has as `configured`. What groups store is acknowledged when it is on
/// stable storage, whatever somebody has made of the config.
pub fn log_options(topic: &str, configured: &Arc<LogOptions>) -> Arc<LogOptions> {
    if topic != OFFSETS_TOPIC || configured.durability == Durability::Disk {
        return Arc::clone(configured);
    }
    Arc::new(LogOptions { durability: Durability::Disk, ..(**configured).clone() })
}

/// Creates it if it is not there.
///
/// # Errors
/// [`GroupError::NotAvailable`] if it cannot be; a line says why.
pub async fn ensure_topic(shard: &ServerShard) -> Result<(), GroupError> {
    if shard.metadata.image().topic(OFFSETS_TOPIC).is_some() {
        return Ok(());
    }
    let config = &shard.config.groups;
    if config.topic_replication_factor > 1 {
        let asked = config.topic_replication_factor;
        tracing::warn!("offsets.topic.replication.factor={asked} counts as 1: there is one broker");
    }
    let settings = topic_settings(config).into_iter();
    let spec = TopicSpec {
        name: OFFSETS_TOPIC.to_owned(),
        partitions: config.topic_partitions,
        replication_factor: 1,
        configs: settings.map(|(key, value)| (key.to_owned(), Some(value))).collect(),
        ..TopicSpec::default()
    };
    match metadata::create_topics(shard, vec![spec], false).await.pop() {
        Some(Ok(_)) => Ok(()),
        // Somebody else was quicker.
        Some(Err(error)) if error.fault == CreationFault::Exists => Ok(()),
        Some(Err(error)) => {
            tracing::error!("{OFFSETS_TOPIC} cannot be created: {error}");
            Err(GroupError::NotAvailable)
        }
        None => Err(GroupError::NotAvailable),
    }
}
