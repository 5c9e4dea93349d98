//! The configuration as DescribeConfigs shows it: value, where it comes from, and its synonyms (KIP-226).
//!
//! Order and rules of synonyms follow `ConfigHelper` and `DynamicBrokerConfig.brokerConfigSynonyms` of Kafka 3.2.0. What
//! cannot be changed while the server runs is read-only.

use std::collections::BTreeSet;

use super::dynamic::is_dynamic;
use super::key::{Key, Kind};
use super::resolve::all_keys;
use super::topic_keys::TOPIC_KEYS;
use super::{BrokerConfig, TopicConfig, broker_keys, unsupported_keys};

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    Topic,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
    DynamicBrokerLogger,
}

impl ConfigSource {
    /// The number that stands for it on the wire.
    pub const fn code(self) -> i8 {
        match self {
            ConfigSource::Topic => 1,
            ConfigSource::DynamicBroker => 2,
            ConfigSource::DynamicDefaultBroker => 3,
            ConfigSource::StaticBroker => 4,
            ConfigSource::Default => 5,
            ConfigSource::DynamicBrokerLogger => 6,
        }
    }
}

/// A value that is in force, or would be if those before it were not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    pub name: String,
    /// None for one that must not be shown.
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// One key of a broker or topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    /// None for null, and for one that must not be shown.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub read_only: bool,
    pub sensitive: bool,
    pub synonyms: Vec<Synonym>,
    /// `ConfigType`; 0 for unknown.
    pub kind: i8,
    pub documentation: Option<&'static str>,
}

impl Described {
    /// A logger and its level.
    pub fn logger(name: &str, level: &str) -> Described {
        Described {
            name: name.to_owned(),
            value: Some(level.to_owned()),
            source: ConfigSource::DynamicBrokerLogger,
            read_only: false,
            sensitive: false,
            synonyms: Vec::new(),
            kind: 0,
            documentation: Some(""),
        }
    }
}

/// Every key of the broker, and what was set that is no key. `broker_id` is the one in force.
pub fn describe_broker(config: &BrokerConfig, broker_id: i32) -> Vec<Described> {
    let is_stranger = |name: &str| find_key(name).is_none();
    let strangers: BTreeSet<&str> = (config.properties.iter().map(|(name, _)| name))
        .chain(config.dynamic.broker.keys().chain(config.dynamic.cluster.keys()).map(String::as_str))
        .filter(|name| is_stranger(name))
        .collect();
    let known =
        all_keys().filter(|key| !is_hidden(key)).map(|key| describe_broker_key(config, key, broker_id));
    known.chain(strangers.into_iter().map(|name| stranger(config, name))).collect()
}

/// What was set for all brokers while they ran, and nothing else.
pub fn describe_cluster_default(config: &BrokerConfig) -> Vec<Described> {
    let describe = |(name, value): (&String, &String)| {
        let key = find_key(name);
        let sensitive = key.is_none_or(Key::is_sensitive);
        let value = key.map_or_else(String::new, |key| canonical(key, value));
        let value = (!sensitive).then_some(value);
        let source = ConfigSource::DynamicDefaultBroker;
        Described {
            name: name.clone(),
            value: value.clone(),
            source,
            read_only: !is_dynamic(name),
            sensitive,
            synonyms: vec![Synonym { name: name.clone(), value, source }],
            kind: key.map_or(0, |key| key.kind.code()),
            documentation: key.map(|key| key.doc),
        }
    };
    config.dynamic.cluster.iter().chain(&config.unusable.cluster).map(describe).collect()
}

fn find_key(name: &str) -> Option<&'static Key> {
    broker_keys::find(name).or_else(|| unsupported_keys::find(name))
}

/// Keys that Kafka 3.2.0 reads and does not show: of unfinished tiered storage, and for its own tests.
fn is_hidden(key: &Key) -> bool {
    key.name.starts_with("remote.log.") || key.name == "metadata.log.segment.min.bytes"
}

fn describe_broker_key(config: &BrokerConfig, key: &Key, broker_id: i32) -> Described {
    let synonyms = broker_synonyms(config, key.name);
    let value = match key.name {
        "broker.id" | "node.id" => Some(broker_id.to_string()),
        name => set_value(config, name).map(|text| canonical(key, text)).or(key.default.map(str::to_owned)),
    };
    Described {
        name: key.name.to_owned(),
        value: value.filter(|_| !key.is_sensitive()),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        read_only: !is_dynamic(key.name),
        sensitive: key.is_sensitive(),
        synonyms,
        kind: key.kind.code(),
        documentation: Some(key.doc),
    }
}

/// Where values are set, the one that counts most first.
fn settings<'a>(config: &'a BrokerConfig, name: &str) -> [(ConfigSource, Option<&'a str>); 3] {
    [
        (ConfigSource::DynamicBroker, config.dynamic.broker.get(name).map(String::as_str)),
        (ConfigSource::DynamicDefaultBroker, config.dynamic.cluster.get(name).map(String::as_str)),
        (ConfigSource::StaticBroker, config.properties.get(name)),
    ]
}

fn set_value<'a>(config: &'a BrokerConfig, name: &str) -> Option<&'a str> {
    settings(config, name).into_iter().find_map(|(_, value)| value)
}

/// A key that nobody knows may hold anything, so its value is not shown.
fn stranger(config: &BrokerConfig, name: &str) -> Described {
    let set = settings(config, name).into_iter().filter(|(_, value)| value.is_some());
    hidden(name, set.map(|(source, _)| source))
}

fn hidden(name: &str, sources: impl IntoIterator<Item = ConfigSource>) -> Described {
    let synonym = |source| Synonym { name: name.to_owned(), value: None, source };
    let synonyms: Vec<_> = sources.into_iter().map(synonym).collect();
    Described {
        name: name.to_owned(),
        value: None,
        source: synonyms.first().map_or(ConfigSource::StaticBroker, |synonym| synonym.source),
        read_only: true,
        sensitive: true,
        synonyms,
        kind: 0,
        documentation: None,
    }
}

/// Every key of a topic, and what was set that is no key.
pub fn describe_topic(broker: &BrokerConfig, topic: &TopicConfig) -> Vec<Described> {
    let is_key = |name: &str| TOPIC_KEYS.iter().any(|key| key.name == name);
    let strangers = topic.unusable.keys().filter(|name| !is_key(name));
    let strangers = strangers.map(|name| hidden(name, [ConfigSource::Topic]));
    TOPIC_KEYS.iter().map(|key| describe_topic_key(broker, topic, key)).chain(strangers).collect()
}

fn describe_topic_key(broker: &BrokerConfig, topic: &TopicConfig, key: &Key) -> Described {
    // One that means nothing here is shown all the same: who reads it to write it back must not lose it.
    let unusable = topic.unusable.get(key.name);
    let own = topic.overrides.get(key.name).or(unusable).map(|value| Synonym {
        name: key.name.to_owned(),
        value: Some(value.clone()),
        source: ConfigSource::Topic,
    });
    let inherited = key.synonym.map(|name| broker_synonyms(broker, name)).unwrap_or_default();
    let synonyms: Vec<_> = own.into_iter().chain(inherited).collect();
    Described {
        name: key.name.to_owned(),
        value: unusable.cloned().or_else(|| topic.value(key)),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        read_only: false,
        sensitive: false,
        synonyms,
        kind: key.kind.code(),
        documentation: Some(key.doc),
    }
}

/// Keys that stand in for another one when it is not set, finest first.
const COARSER: &[(&str, &[&str])] = &[
    ("log.retention.ms", &["log.retention.minutes", "log.retention.hours"]),
    ("log.roll.ms", &["log.roll.hours"]),
    ("log.roll.jitter.ms", &["log.roll.jitter.hours"]),
    ("log.flush.interval.ms", &["log.flush.scheduler.interval.ms"]),
];

/// What is set for `name` or a coarser key of the same meaning, then the defaults; from `name` itself on.
fn broker_synonyms(config: &BrokerConfig, name: &str) -> Vec<Synonym> {
    let coarser = COARSER.iter().find(|(finest, _)| *finest == name).map_or(&[][..], |(_, names)| names);
    let keys: Vec<&Key> = std::iter::once(name).chain(coarser.iter().copied()).filter_map(find_key).collect();
    let set = (0..settings(config, name).len()).flat_map(|place| {
        keys.iter().filter_map(move |key| {
            let (source, value) = settings(config, key.name)[place];
            Some(synonym(key, canonical(key, value?), source))
        })
    });
    let defaults =
        keys.iter().filter_map(|key| Some(synonym(key, key.default?.to_owned(), ConfigSource::Default)));
    set.chain(defaults).skip_while(|synonym| synonym.name != name).collect()
}

fn synonym(key: &Key, value: String, source: ConfigSource) -> Synonym {
    let value = (!key.is_sensitive()).then_some(value);
    Synonym { name: key.name.to_owned(), value, source }
}

/// A value that was set, in its one spelling; it was valid when the server started.
fn canonical(key: &Key, text: &str) -> String {
    match key.kind {
        Kind::Password => String::new(),
        _ => key.parse(text).map_or_else(|_invalid| text.to_owned(), |value| value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolve;

    fn config(settings: &[(&str, &str)]) -> BrokerConfig {
        resolve(settings.iter().copied().collect(), 1).unwrap().0
    }

    fn find(described: Vec<Described>, name: &str) -> Described {
        described.into_iter().find(|key| key.name == name).unwrap()
    }

    fn shown(described: &Described) -> Vec<(&str, &str, ConfigSource)> {
        described
            .synonyms
            .iter()
            .map(|s| (s.name.as_str(), s.value.as_deref().unwrap_or("(hidden)"), s.source))
            .collect()
    }

    #[test]
    fn a_topics_override_comes_before_the_brokers_values() {
        let broker = config(&[("log.segment.bytes", "2000000")]);
        let topic = broker.topic_defaults.with_overrides([("segment.bytes", "1048576")]).unwrap();
        let key = find(describe_topic(&broker, &topic), "segment.bytes");
        assert_eq!(key.value.as_deref(), Some("1048576"));
        assert_eq!(key.source, ConfigSource::Topic);
        assert_eq!(
            shown(&key),
            [
                ("segment.bytes", "1048576", ConfigSource::Topic),
                ("log.segment.bytes", "2000000", ConfigSource::StaticBroker),
                ("log.segment.bytes", "1073741824", ConfigSource::Default),
            ]
        );
    }

    #[test]
    fn an_override_that_means_nothing_here_is_shown_as_it_is_stored() {
        let broker = config(&[]);
        let stored = [("gone", "secret"), ("retention.ms", "x")];
        let topic = broker.topic_defaults.with_stored_overrides(stored, |_, _| {});
        let described = describe_topic(&broker, &topic);
        let key = find(described.clone(), "retention.ms");
        assert_eq!((key.value.as_deref(), key.source), (Some("x"), ConfigSource::Topic));
        let gone = find(described, "gone");
        assert_eq!((gone.value, gone.source, gone.sensitive), (None, ConfigSource::Topic, true));
    }

    #[test]
    fn coarser_keys_show_only_behind_the_finest_as_in_kafka() {
        let coarse = config(&[("log.retention.hours", "1")]);
        let key = find(describe_topic(&coarse, &coarse.topic_defaults), "retention.ms");
        assert_eq!((key.value.as_deref(), key.source), (Some("3600000"), ConfigSource::Default));
        assert!(key.synonyms.is_empty());
        let fine = config(&[("log.retention.hours", "1"), ("log.retention.ms", "5")]);
        let key = find(describe_topic(&fine, &fine.topic_defaults), "retention.ms");
        assert_eq!(
            shown(&key),
            [
                ("log.retention.ms", "5", ConfigSource::StaticBroker),
                ("log.retention.hours", "1", ConfigSource::StaticBroker),
                ("log.retention.hours", "168", ConfigSource::Default),
            ]
        );
    }

    #[test]
    fn secrets_and_strangers_are_not_shown() {
        let broker = config(&[("ssl.key.password", "hunter2"), ("my.key", "hunter2")]);
        let described = describe_broker(&broker, 7);
        assert!(!format!("{described:?}").contains("hunter2"));
        assert!(find(described.clone(), "my.key").sensitive);
        assert!(find(described.clone(), "ssl.key.password").sensitive);
        assert_eq!(find(described, "broker.id").value.as_deref(), Some("7"));
    }
}
