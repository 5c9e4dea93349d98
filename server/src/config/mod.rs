//! `server.properties`: what may be set, what was set, and what it means here.
//!
//! ```text
//! file + --override -> Properties -> checked against the key tables -> BrokerConfig (typed, immutable, in an Arc)
//! CreateTopics' configs -> checked against the topic keys -> TopicConfig (overrides + the engine's LogOptions)
//! what was set since    -> BrokerConfig::with_dynamic -> another BrokerConfig, in the metadata image
//! ```
//!
//! Invariants: every key that is known stands in exactly one row of a table ([`broker_keys`], [`unsupported_keys`],
//! [`topic_keys`]), which parsing, warnings and DescribeConfigs all read; a [`BrokerConfig`] exists only if every value
//! was valid. A configuration never changes: an alteration makes another one.

mod broker_keys;
mod describe;
mod dynamic;
mod group;
mod key;
mod listener;
mod properties;
mod resolve;
mod topic;
mod topic_keys;
mod unsupported_keys;
mod value;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg_engine::clean::CleanerOptions;

pub use describe::{
    ConfigSource, Described, Synonym, describe_broker, describe_cluster_default, describe_topic,
};
pub use dynamic::{DynamicConfig, InvalidDynamicConfig, is_dynamic};
pub use group::GroupConfig;
pub use key::{Check, Key, Kind};
pub use listener::Listener;
pub use properties::{Properties, PropertiesError};
pub use resolve::{ConfigError, resolve};
pub use topic::{InvalidTopicConfig, TopicConfig};

/// The row of a topic's key.
pub fn topic_key(name: &str) -> Option<&'static Key> {
    topic_keys::find(name)
}

/// The row of a broker's key, whether it has an effect here or not.
pub fn broker_key(name: &str) -> Option<&'static Key> {
    broker_keys::find(name).or_else(|| unsupported_keys::find(name))
}

/// The broker's configuration, resolved and valid.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// `broker.id`; None (-1) takes the one that the log directories hold, or a generated one.
    pub broker_id: Option<i32>,
    /// `broker.id.generation.enable`: whether an id may be generated.
    pub broker_id_generation: bool,
    /// `reserved.broker.max.id`: generated ids are above this.
    pub reserved_broker_id_max: i32,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `listeners` with their advertised addresses; at least one. A client's listener is an index into this.
    pub listeners: Vec<Listener>,
    /// The listener that `inter.broker.listener.name` (or `security.inter.broker.protocol`) names.
    pub inter_broker_listener: usize,
    /// `log.dirs`, or `log.dir`; at least one, none twice.
    pub log_dirs: Vec<PathBuf>,
    /// `num.shards`, or what follows from `num.io.threads` and the processors that are there; at least 1.
    pub shards: u16,
    /// `journal.bytes`: bound of one journal; a shard has up to two in each directory.
    pub journal_bytes: u64,
    /// `cache.bytes`: bound of the engine's memory for tails and read-ahead, over all shards.
    pub cache_bytes: u64,
    /// `idle.poll.us`: how long a shard that has been busy looks for work before its thread sleeps; zero never.
    pub idle_poll: Duration,

    /// `num.partitions`.
    pub partitions_default: i32,
    /// `default.replication.factor`.
    pub replication_factor_default: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,

    /// `socket.send.buffer.bytes`; None leaves it to the system (-1).
    pub socket_send_buffer_bytes: Option<usize>,
    /// `socket.receive.buffer.bytes`; None leaves it to the system (-1).
    pub socket_receive_buffer_bytes: Option<usize>,
    /// `socket.listen.backlog.size`.
    pub socket_backlog: i32,
    /// `socket.request.max.bytes`: a longer request closes its connection.
    pub request_bytes_max: usize,
    /// `max.connections`.
    pub connections_max: usize,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: usize,
    /// `max.connections.per.ip.overrides`, with host names resolved at start.
    pub connections_per_ip_overrides: HashMap<IpAddr, usize>,
    /// Addresses of the host names in there; no name is looked up while the server runs, as that may take seconds.
    pub resolved_hosts: Arc<HashMap<String, Vec<IpAddr>>>,
    /// `max.connection.creation.rate`: new connections per second.
    pub connection_rate_max: u32,
    /// `connections.max.idle.ms`; None never closes an idle connection (a negative value).
    pub connections_idle_max: Option<Duration>,
    /// `queued.max.request.bytes`: bytes of requests that are received and not answered yet; None for no bound of its own.
    pub queued_request_bytes_max: Option<u64>,
    /// `fetch.max.bytes`: upper bound of what one Fetch answers.
    pub fetch_bytes_max: usize,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: usize,

    /// Consumer groups and their offsets.
    pub groups: GroupConfig,

    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// `log.cleaner.*`
    pub cleaner: CleanerOptions,
    /// `metadata.log.max.record.bytes.between.snapshots`.
    pub metadata_snapshot_bytes: u64,
    /// What a topic without overrides gets.
    pub topic_defaults: Arc<TopicConfig>,
    /// What was set in the file and on the command line.
    pub properties: Properties,
    /// What was set since, over it.
    pub dynamic: DynamicConfig,
    /// What was set since and is not valid in this version, or not with this file. Kept, without effect.
    pub unusable: DynamicConfig,
}

impl BrokerConfig {
    /// The configuration of a topic with these overrides. Topics without any share the defaults.
    ///
    /// # Errors
    /// As Kafka validates.
    pub fn topic_config(
        &self,
        overrides: &BTreeMap<String, String>,
    ) -> Result<Arc<TopicConfig>, InvalidTopicConfig> {
        if overrides.is_empty() {
            return Ok(Arc::clone(&self.topic_defaults));
        }
        let settings = overrides.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.topic_defaults.with_overrides(settings).map(Arc::new)
    }

    /// As [`topic_config`](Self::topic_config) for overrides that were valid once; one that is not any more is kept, has no
    /// effect, and is named to `skipped`.
    pub fn stored_topic_config<'a>(
        &self,
        stored: impl IntoIterator<Item = (&'a str, &'a str)>,
        skipped: impl FnMut(&str, &InvalidTopicConfig),
    ) -> Arc<TopicConfig> {
        let mut stored = stored.into_iter().peekable();
        if stored.peek().is_none() {
            return Arc::clone(&self.topic_defaults);
        }
        Arc::new(self.topic_defaults.with_stored_overrides(stored, skipped))
    }
}
