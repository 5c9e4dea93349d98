//! What of the broker's configuration is changed while it runs (KIP-226): which keys, and what they then mean.
//!
//! A value set for this broker wins over one set for all brokers (the cluster's default), and both over
//! `server.properties`. The keys are those of Kafka 3.2.0's `DynamicBrokerConfig`, less listeners, TLS, SASL, metrics
//! reporters and the cleaner's own (its defaults of topic keys are here), plus this server's own defaults of topic keys.

use std::collections::BTreeMap;

use super::resolve::{self, ConfigError};
use super::{BrokerConfig, Properties, broker_keys, unsupported_keys};

/// By name.
const DYNAMIC_KEYS: &[&str] = &[
    "background.threads",
    "compression.type",
    "durability",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleanup.policy",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.index.interval.bytes",
    "log.index.size.max.bytes",
    "log.message.downconversion.enable",
    "log.message.timestamp.difference.max.ms",
    "log.message.timestamp.type",
    "log.preallocate",
    "log.retention.bytes",
    "log.retention.ms",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "log.segment.delete.delay.ms",
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "max.connections.per.ip.overrides",
    "message.max.bytes",
    "min.insync.replicas",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "unclean.leader.election.enable",
];

/// Keys that Kafka lets change by at most a factor of two at a time.
const THREAD_KEYS: &[&str] = &[
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
];

/// Keys that Kafka changes while it runs and only for one broker; here they are read at start alone.
const PER_BROKER_PREFIXES: &[&str] = &[
    "listener.name.",
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "ssl.",
    "sasl.",
    "principal.builder.class",
];

/// Whether `name` can be changed while the server runs.
pub fn is_dynamic(name: &str) -> bool {
    DYNAMIC_KEYS.binary_search(&name).is_ok()
}

/// What was set while the server ran, by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DynamicConfig {
    /// For this broker.
    pub broker: BTreeMap<String, String>,
    /// For every broker.
    pub cluster: BTreeMap<String, String>,
}

/// Why a dynamic configuration is refused. The texts are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDynamicConfig {
    #[error("Cannot update these configs dynamically: Set({0})")]
    NotDynamic(String),
    #[error("Cannot update these configs at default cluster level, broker id must be specified: Set({0})")]
    PerBroker(String),
    #[error(
        "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update validation failed for \
         {key}={value}, value {rule} the current value {current} for configuration Invalid dynamic configuration"
    )]
    Threads { key: String, value: i64, current: i64, rule: &'static str },
    #[error(transparent)]
    Value(#[from] ConfigError),
}

impl BrokerConfig {
    /// This configuration with `dynamic` over it, in place of what was dynamic before.
    ///
    /// # Errors
    /// [`InvalidDynamicConfig`], for any of the keys in it.
    pub fn with_dynamic(&self, dynamic: DynamicConfig) -> Result<BrokerConfig, InvalidDynamicConfig> {
        check_names(&dynamic)?;
        check_threads(&merge(&self.properties, &self.dynamic), &merge(&self.properties, &dynamic))?;
        self.resolved(dynamic)
    }

    /// As [`with_dynamic`](Self::with_dynamic) for settings that were valid once: one that is not any more (written by
    /// another version, or the file has changed) is kept as [`unusable`](Self::unusable), and named to `skipped`.
    pub fn with_stored_dynamic(
        &self,
        stored: DynamicConfig,
        mut skipped: impl FnMut(&str, &InvalidDynamicConfig),
    ) -> BrokerConfig {
        let bare = BrokerConfig { dynamic: DynamicConfig::default(), unusable: stored, ..self.clone() };
        let (config, faults) = bare.taking_up_unusable();
        faults.iter().for_each(|(name, error)| skipped(name, error));
        config
    }

    /// Takes up those of the unusable settings that go with what is in force, and says what is wrong with the others.
    ///
    /// All of them at once if that is valid, as one may need another. Else one by one, for as long as that adds any.
    pub fn taking_up_unusable(self) -> (BrokerConfig, Vec<(String, InvalidDynamicConfig)>) {
        let mut config = self;
        if config.unusable.len() == 0 {
            return (config, Vec::new());
        }
        // The rule on numbers of threads is one on a change, and not on what is stored: it is not asked here.
        let mut all = config.dynamic.clone();
        all.broker.extend(config.unusable.broker.clone());
        all.cluster.extend(config.unusable.cluster.clone());
        if let Ok(whole) = check_names(&all).and_then(|()| config.resolved(all)) {
            return (BrokerConfig { unusable: DynamicConfig::default(), ..whole }, Vec::new());
        }
        loop {
            let tried = std::mem::take(&mut config.unusable);
            let count = tried.len();
            let mut faults = Vec::new();
            for (is_cluster, name, value) in tried.into_settings() {
                let mut more = config.dynamic.clone();
                more.scope(is_cluster).insert(name.clone(), value.clone());
                match check_names(&more).and_then(|()| config.resolved(more)) {
                    Ok(next) => config = next,
                    Err(error) => {
                        config.unusable.scope(is_cluster).insert(name.clone(), value);
                        faults.push((name, error));
                    }
                }
            }
            if faults.len() == count {
                return (config, faults);
            }
        }
    }

    fn resolved(&self, dynamic: DynamicConfig) -> Result<BrokerConfig, InvalidDynamicConfig> {
        let merged = merge(&self.properties, &dynamic);
        Ok(BrokerConfig { dynamic, ..resolve::reconfigured(self, &merged)? })
    }
}

impl DynamicConfig {
    /// What was set for all brokers, or for this one.
    pub fn scope(&mut self, is_cluster: bool) -> &mut BTreeMap<String, String> {
        if is_cluster { &mut self.cluster } else { &mut self.broker }
    }

    fn len(&self) -> usize {
        self.broker.len() + self.cluster.len()
    }

    /// Whether each is the cluster's, its name and its value.
    fn into_settings(self) -> impl Iterator<Item = (bool, String, String)> {
        let cluster = self.cluster.into_iter().map(|(name, value)| (true, name, value));
        cluster.chain(self.broker.into_iter().map(|(name, value)| (false, name, value)))
    }
}

fn check_names(dynamic: &DynamicConfig) -> Result<(), InvalidDynamicConfig> {
    check_names_of(&dynamic.broker, false)?;
    check_names_of(&dynamic.cluster, true)
}

/// Keys that nobody knows are kept, as Kafka keeps them for its plug-ins.
fn check_names_of(settings: &BTreeMap<String, String>, is_cluster: bool) -> Result<(), InvalidDynamicConfig> {
    let is_known = |name: &str| broker_keys::find(name).is_some() || unsupported_keys::find(name).is_some();
    let is_per_broker = |name: &str| PER_BROKER_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let named = |is_wrong: &dyn Fn(&str) -> bool| {
        let names: Vec<&str> = settings.keys().map(String::as_str).filter(|name| is_wrong(name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if is_cluster && let Some(names) = named(&is_per_broker) {
        return Err(InvalidDynamicConfig::PerBroker(names));
    }
    match named(&|name| (is_known(name) || is_per_broker(name)) && !is_dynamic(name)) {
        Some(names) => Err(InvalidDynamicConfig::NotDynamic(names)),
        None => Ok(()),
    }
}

fn merge(file: &Properties, dynamic: &DynamicConfig) -> Properties {
    let mut merged = file.clone();
    for (name, value) in dynamic.cluster.iter().chain(&dynamic.broker) {
        merged.set(name.clone(), value.clone());
    }
    merged
}

fn check_threads(before: &Properties, after: &Properties) -> Result<(), InvalidDynamicConfig> {
    for name in THREAD_KEYS {
        let (Some(current), Some(value)) = (threads(before, name), threads(after, name)) else { continue };
        let rule = match value {
            _ if value < current / 2 => "should be at least half",
            _ if value > current.saturating_mul(2) => "should not be greater than double",
            _ => continue,
        };
        return Err(InvalidDynamicConfig::Threads { key: (*name).to_owned(), value, current, rule });
    }
    Ok(())
}

fn threads(properties: &Properties, name: &str) -> Option<i64> {
    let key = broker_keys::find(name).or_else(|| unsupported_keys::find(name))?;
    properties.get(name).or(key.default)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve;

    fn config() -> BrokerConfig {
        resolve([("log.segment.bytes", "2000000")].into_iter().collect(), 4).unwrap().0
    }

    fn settings(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
        settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn refusal(broker: &[(&str, &str)], cluster: &[(&str, &str)]) -> String {
        let dynamic = DynamicConfig { broker: settings(broker), cluster: settings(cluster) };
        config().with_dynamic(dynamic).unwrap_err().to_string()
    }

    #[test]
    fn the_list_is_sorted_and_every_key_is_known() {
        assert!(DYNAMIC_KEYS.is_sorted());
        for name in DYNAMIC_KEYS.iter().chain(THREAD_KEYS) {
            assert!(broker_keys::find(name).or_else(|| unsupported_keys::find(name)).is_some(), "{name}");
            assert!(is_dynamic(name));
        }
    }

    #[test]
    fn the_brokers_own_setting_wins_over_the_clusters_and_both_over_the_file() {
        let cluster =
            DynamicConfig { cluster: settings(&[("log.segment.bytes", "3000000")]), ..Default::default() };
        let config = config().with_dynamic(cluster.clone()).unwrap();
        assert_eq!(config.topic_defaults.log.segment_bytes, 3_000_000);
        let both = DynamicConfig { broker: settings(&[("log.segment.bytes", "4000000")]), ..cluster };
        let config = config.with_dynamic(both).unwrap();
        assert_eq!(config.topic_defaults.log.segment_bytes, 4_000_000);
        let back = config.with_dynamic(DynamicConfig::default()).unwrap();
        assert_eq!(back.topic_defaults.log.segment_bytes, 2_000_000);
        assert_eq!(back.shards, 4);
    }

    #[test]
    fn connection_limits_follow() {
        let dynamic =
            settings(&[("max.connections", "5"), ("max.connections.per.ip.overrides", "127.0.0.1:3")]);
        let config = config().with_dynamic(DynamicConfig { broker: dynamic, ..Default::default() }).unwrap();
        assert_eq!(config.connections_max, 5);
        assert_eq!(config.connections_per_ip_overrides.len(), 1);
    }

    #[test]
    fn refusals_are_those_of_kafka() {
        assert_eq!(
            refusal(&[("num.partitions", "5"), ("broker.id", "1")], &[]),
            "Cannot update these configs dynamically: Set(broker.id, num.partitions)"
        );
        assert_eq!(
            refusal(&[], &[("listeners", "PLAINTEXT://:1")]),
            "Cannot update these configs at default cluster level, broker id must be specified: Set(listeners)"
        );
        assert_eq!(
            refusal(&[("log.retention.ms", "x")], &[]),
            "Invalid value x for configuration log.retention.ms: Not a number of type LONG"
        );
        assert_eq!(
            refusal(&[("log.segment.bytes", "1")], &[]),
            "Invalid value 1 for configuration log.segment.bytes: Value must be at least 14"
        );
        assert!(
            refusal(&[("num.io.threads", "100")], &[])
                .contains("should not be greater than double the current value 8")
        );
        assert!(
            refusal(&[("num.io.threads", "1")], &[]).contains("should be at least half the current value 8")
        );
    }

    /// Every alteration of the broker resolved the names anew, on the thread that serves shard 0: a slow name server
    /// stopped it.
    #[test]
    fn host_names_are_looked_up_at_start_and_not_again() {
        const KEY: &str = "max.connections.per.ip.overrides";
        let config = resolve([(KEY, "localhost:5")].into_iter().collect(), 4).unwrap().0;
        let altered = |text: &str| {
            config.with_dynamic(DynamicConfig { broker: settings(&[(KEY, text)]), ..Default::default() })
        };
        let localhost = "127.0.0.1".parse().unwrap();
        assert_eq!(altered("localhost:7,10.0.0.1:2").unwrap().connections_per_ip_overrides[&localhost], 7);
        let refused = altered("other.example:3").unwrap_err().to_string();
        assert!(
            refused.contains("other.example is a host name") && refused.contains("give its address"),
            "{refused}"
        );
        let back = altered("10.0.0.1:2").unwrap().with_dynamic(DynamicConfig::default()).unwrap();
        assert_eq!(back.connections_per_ip_overrides[&localhost], 5);
    }

    #[test]
    fn unknown_keys_are_kept() {
        let dynamic = DynamicConfig { broker: settings(&[("my.plugin.key", "1")]), ..Default::default() };
        assert_eq!(config().with_dynamic(dynamic.clone()).unwrap().dynamic, dynamic);
    }

    #[test]
    fn a_stored_setting_that_is_no_longer_valid_is_left_out_by_name() {
        let stored = settings(&[("log.segment.bytes", "x"), ("log.retention.ms", "7")]);
        let mut skipped = Vec::new();
        let config = config()
            .with_stored_dynamic(DynamicConfig { broker: stored, ..Default::default() }, |name, _| {
                skipped.push(name.to_owned())
            });
        assert_eq!(skipped, ["log.segment.bytes"]);
        assert_eq!(config.topic_defaults.log.retention_ms, Some(7));
        assert_eq!(config.unusable.broker, settings(&[("log.segment.bytes", "x")]));
    }

    /// Settings were taken up one by one in the order of their names, so `max.connections.per.ip=0` came before the
    /// overrides without which it is refused, was skipped, and the next snapshot forgot it.
    #[test]
    fn stored_settings_that_need_each_other_are_taken_up_in_any_order() {
        let pair = [("max.connections.per.ip", "0"), ("max.connections.per.ip.overrides", "127.0.0.1:3")];
        let stored = |more: &[(&str, &str)]| DynamicConfig {
            broker: settings(&[&pair[..], more].concat()),
            ..Default::default()
        };
        let alone = config().with_stored_dynamic(stored(&[]), |name, _| panic!("{name}"));
        assert_eq!((alone.connections_per_ip_max, alone.dynamic), (0, stored(&[])));
        let mut skipped = Vec::new();
        let beside = config().with_stored_dynamic(stored(&[("log.segment.bytes", "x")]), |name, _| {
            skipped.push(name.to_owned());
        });
        assert_eq!((beside.connections_per_ip_max, beside.dynamic), (0, stored(&[])));
        assert_eq!(skipped, ["log.segment.bytes"]);
    }
}
