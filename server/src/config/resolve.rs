//! From properties to a [`BrokerConfig`]: every value checked, defaults filled in, keys that depend on each other
//! compared. Also the warnings about keys that do nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thalweg_engine::clean::CleanerOptions;

use super::dynamic::{DynamicConfig, is_dynamic};
use super::key::Key;
use super::properties::Properties;
use super::topic_keys::TOPIC_KEYS;
use super::value::{InvalidValue, Value, split_list};
use super::{BrokerConfig, TopicConfig, broker_keys, group, listener, unsupported_keys};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Why the server does not start with these properties. Names the key, its value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Value(#[from] InvalidValue),
    #[error("{0}")]
    Listeners(String),
    /// Values that are fine alone and not together.
    #[error("{0}")]
    Conflict(String),
}

/// The configuration that `properties` stand for on a machine where `cores` processors may be used, and the lines to
/// warn the operator with.
///
/// # Errors
/// The first value that is not allowed.
pub fn resolve(properties: Properties, cores: usize) -> Result<(BrokerConfig, Vec<String>), ConfigError> {
    let warnings = warnings(&properties);
    for (name, text) in properties.iter() {
        if let Some(key) = unsupported_keys::find(name) {
            key.parse(text)?;
        }
    }
    let reader = Reader { properties: &properties };
    let shards = shards(&reader, cores)?;
    let (broker_id, broker_id_generation, reserved_broker_id_max) = broker_id(&reader)?;
    let (listeners, inter_broker_listener) = listeners(&reader)?;
    let mut resolved_hosts = HashMap::new();
    let connections_per_ip_overrides = connections_per_ip_overrides(&reader, |host| {
        let addresses =
            (host, 0).to_socket_addrs().map_err(|error| format!("{host} does not resolve: {error}"))?;
        let addresses: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
        resolved_hosts.insert(host.to_owned(), addresses.clone());
        Ok(addresses)
    })?;
    let config = BrokerConfig {
        broker_id,
        broker_id_generation,
        reserved_broker_id_max,
        rack: reader.text("broker.rack")?,
        listeners,
        inter_broker_listener,
        log_dirs: log_dirs(&reader)?,
        shards,
        journal_bytes: reader.unsigned("journal.bytes")?,
        cache_bytes: reader.unsigned("cache.bytes")?,
        idle_poll: Duration::from_micros(reader.unsigned("idle.poll.us")?),
        partitions_default: reader.int("num.partitions")?,
        replication_factor_default: i16::try_from(reader.number("default.replication.factor")?)
            .unwrap_or(i16::MAX),
        auto_create_topics: reader.flag("auto.create.topics.enable")?,
        delete_topics: reader.flag("delete.topic.enable")?,
        socket_send_buffer_bytes: usize::try_from(reader.number("socket.send.buffer.bytes")?).ok(),
        socket_receive_buffer_bytes: usize::try_from(reader.number("socket.receive.buffer.bytes")?).ok(),
        socket_backlog: reader.int("socket.listen.backlog.size")?,
        request_bytes_max: reader.size("socket.request.max.bytes")?,
        connections_max: reader.size("max.connections")?,
        connections_per_ip_max: connections_per_ip(&reader)?,
        connections_per_ip_overrides,
        resolved_hosts: Arc::new(resolved_hosts),
        connection_rate_max: u32::try_from(reader.number("max.connection.creation.rate")?)
            .unwrap_or(u32::MAX),
        connections_idle_max: u64::try_from(reader.number("connections.max.idle.ms")?)
            .ok()
            .map(Duration::from_millis),
        queued_request_bytes_max: queued_request_bytes(&reader)?,
        fetch_bytes_max: reader.size("fetch.max.bytes")?,
        fetch_sessions_max: reader.size("max.incremental.fetch.session.cache.slots")?,
        groups: group::resolve(&reader)?,
        retention_check_interval: Duration::from_millis(reader.unsigned("log.retention.check.interval.ms")?),
        cleaner: cleaner(&reader, shards)?,
        metadata_snapshot_bytes: reader.unsigned("metadata.log.max.record.bytes.between.snapshots")?,
        topic_defaults: Arc::new(topic_defaults(&reader)?),
        properties: Properties::default(),
        dynamic: DynamicConfig::default(),
        unusable: DynamicConfig::default(),
    };
    Ok((BrokerConfig { properties, ..config }, warnings))
}

/// `config` with the values that `properties` have for the keys that can change while the server runs.
///
/// # Errors
/// The first value that is not allowed.
pub(super) fn reconfigured(
    config: &BrokerConfig,
    properties: &Properties,
) -> Result<BrokerConfig, ConfigError> {
    for (name, text) in properties.iter().filter(|(name, _)| is_dynamic(name)) {
        if let Some(key) = broker_keys::find(name).or_else(|| unsupported_keys::find(name)) {
            key.parse(text)?;
        }
    }
    let reader = Reader { properties };
    Ok(BrokerConfig {
        connections_max: reader.size("max.connections")?,
        connections_per_ip_max: connections_per_ip(&reader)?,
        connections_per_ip_overrides: connections_per_ip_overrides(&reader, |host| {
            let known = config.resolved_hosts.get(host).cloned();
            known.ok_or_else(|| {
                format!(
                    "{host} is a host name, and those are resolved only at start: give its address, or put it into \
                     server.properties and restart"
                )
            })
        })?,
        connection_rate_max: u32::try_from(reader.number("max.connection.creation.rate")?)
            .unwrap_or(u32::MAX),
        topic_defaults: Arc::new(topic_defaults(&reader)?),
        ..config.clone()
    })
}

/// Reads typed values through the table, so that a key that is not in it cannot be read.
pub(super) struct Reader<'a> {
    properties: &'a Properties,
}

impl Reader<'_> {
    fn is_set(&self, name: &str) -> bool {
        self.properties.get(name).is_some()
    }

    fn value(&self, name: &str) -> Result<Option<Value>, InvalidValue> {
        let Some(key) = broker_keys::find(name) else { unreachable!("{name} is not in the table of keys") };
        match self.properties.get(name) {
            Some(text) => key.parse(text).map(Some),
            None => Ok(key.default_value()),
        }
    }

    /// A text; empty counts as not set.
    fn text(&self, name: &str) -> Result<Option<String>, InvalidValue> {
        Ok(self.value(name)?.map(|value| value.to_string()).filter(|text| !text.is_empty()))
    }

    fn flag(&self, name: &str) -> Result<bool, InvalidValue> {
        Ok(self.value(name)? == Some(Value::Boolean(true)))
    }

    fn optional_number(&self, name: &str) -> Result<Option<i64>, InvalidValue> {
        match self.value(name)? {
            Some(Value::Number(number)) => Ok(Some(number)),
            None => Ok(None),
            Some(other) => unreachable!("{name} is a number, not {other:?}"),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<i64, InvalidValue> {
        let number = self.optional_number(name)?;
        Ok(number.unwrap_or_else(|| unreachable!("{name} has a default")))
    }

    fn fraction(&self, name: &str) -> Result<f64, InvalidValue> {
        match self.value(name)? {
            Some(Value::Double(number)) => Ok(number),
            other => unreachable!("{name} is a fraction with a default, not {other:?}"),
        }
    }

    pub(super) fn int(&self, name: &str) -> Result<i32, InvalidValue> {
        Ok(i32::try_from(self.number(name)?).unwrap_or(i32::MAX))
    }

    /// A number that the table bounds from below by 0 or more.
    pub(super) fn unsigned(&self, name: &str) -> Result<u64, InvalidValue> {
        Ok(u64::try_from(self.number(name)?).unwrap_or(0))
    }

    pub(super) fn size(&self, name: &str) -> Result<usize, InvalidValue> {
        Ok(usize::try_from(self.number(name)?).unwrap_or(0))
    }

    /// The first of `names` that has a value, in milliseconds; each name with the milliseconds of its unit.
    fn first_ms(&self, names: &[(&str, i64)]) -> Result<Option<(String, i64)>, InvalidValue> {
        for (name, unit_ms) in names {
            if let Some(number) = self.optional_number(name)? {
                return Ok(Some(((*name).to_owned(), number.saturating_mul(*unit_ms))));
            }
        }
        Ok(None)
    }
}

fn refuse<T>(key: &str, value: impl ToString, allowed: impl Into<String>) -> Result<T, ConfigError> {
    Err(InvalidValue { key: key.to_owned(), value: value.to_string(), allowed: allowed.into() }.into())
}

fn broker_id(reader: &Reader<'_>) -> Result<(Option<i32>, bool, i32), ConfigError> {
    let (broker, node) = (reader.int("broker.id")?, reader.int("node.id")?);
    if reader.is_set("broker.id") && reader.is_set("node.id") && broker != node {
        return Err(ConfigError::Conflict(format!(
            "You must set node.id to the same value as broker.id: node.id={node}, broker.id={broker}"
        )));
    }
    let id = if reader.is_set("broker.id") { broker } else { node };
    let generation = reader.flag("broker.id.generation.enable")?;
    let reserved = reader.int("reserved.broker.max.id")?;
    if generation && !(-1..=reserved).contains(&id) {
        return refuse(
            "broker.id",
            id,
            format!(
                "broker.id must be equal or greater than -1 and not greater than reserved.broker.max.id ({reserved})"
            ),
        );
    }
    if !generation && id < 0 {
        return refuse(
            "broker.id",
            id,
            "broker.id must be equal or greater than 0 (broker.id.generation.enable=false)",
        );
    }
    Ok((u32::try_from(id).is_ok().then_some(id), generation, reserved))
}

fn listeners(reader: &Reader<'_>) -> Result<(Vec<listener::Listener>, usize), ConfigError> {
    let set = |name: &str| reader.properties.get(name).map(str::trim).filter(|text| !text.is_empty());
    let or_default = |name: &str| {
        let default = broker_keys::find(name).and_then(|key| key.default).unwrap_or_default();
        reader.properties.get(name).map_or(default, str::trim).to_owned()
    };
    let (listeners, protocol_map) = (or_default("listeners"), or_default("listener.security.protocol.map"));
    listener::resolve(&listener::Settings {
        listeners: &listeners,
        advertised: set("advertised.listeners"),
        protocol_map: &protocol_map,
        inter_broker_name: set("inter.broker.listener.name"),
        inter_broker_protocol: set("security.inter.broker.protocol"),
    })
    .map_err(ConfigError::Listeners)
}

fn log_dirs(reader: &Reader<'_>) -> Result<Vec<PathBuf>, ConfigError> {
    let (key, text) = match reader.text("log.dirs")? {
        Some(text) => ("log.dirs", text),
        None => ("log.dir", reader.text("log.dir")?.unwrap_or_default()),
    };
    let mut dirs: Vec<PathBuf> = Vec::new();
    for dir in split_list(&text).into_iter().filter(|dir| !dir.is_empty()).map(PathBuf::from) {
        if dirs.contains(&dir) {
            return refuse(key, &text, format!("{} is listed twice", dir.display()));
        }
        dirs.push(dir);
    }
    if dirs.is_empty() {
        return refuse(key, &text, "At least one log directory must be defined via log.dirs or log.dir.");
    }
    Ok(dirs)
}

fn shards(reader: &Reader<'_>, cores: usize) -> Result<u16, ConfigError> {
    let cores = u16::try_from(cores.max(1)).unwrap_or(u16::MAX);
    if let Some(shards) = reader.optional_number("num.shards")? {
        return Ok(u16::try_from(shards).unwrap_or(u16::MAX));
    }
    let threads = reader.number("num.io.threads")?;
    let bound =
        if reader.is_set("num.io.threads") { u16::try_from(threads).unwrap_or(u16::MAX) } else { u16::MAX };
    Ok(cores.min(bound))
}

fn connections_per_ip(reader: &Reader<'_>) -> Result<usize, ConfigError> {
    let bound = reader.size("max.connections.per.ip")?;
    if bound == 0 && reader.text("max.connections.per.ip.overrides")?.is_none() {
        return refuse(
            "max.connections.per.ip",
            bound,
            "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.",
        );
    }
    Ok(bound)
}

/// `resolve` is asked for the addresses of what is no address itself, and says why there are none.
fn connections_per_ip_overrides(
    reader: &Reader<'_>,
    mut resolve: impl FnMut(&str) -> Result<Vec<IpAddr>, String>,
) -> Result<HashMap<IpAddr, usize>, ConfigError> {
    const KEY: &str = "max.connections.per.ip.overrides";
    let text = reader.text(KEY)?.unwrap_or_default();
    let mut overrides = HashMap::new();
    for item in split_list(&text).into_iter().filter(|item| !item.is_empty()) {
        let parsed =
            item.rsplit_once(':').and_then(|(host, bound)| Some((host.trim(), bound.trim().parse().ok()?)));
        let Some((host, bound)) = parsed else {
            return refuse(KEY, &text, format!("'{item}' is not ADDRESS:BOUND"));
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let addresses = host.parse().map_or_else(|_no_address| resolve(host), |address| Ok(vec![address]));
        match addresses {
            Ok(addresses) => overrides.extend(addresses.into_iter().map(|address| (address, bound))),
            Err(why) => return refuse(KEY, &text, why),
        }
    }
    Ok(overrides)
}

fn queued_request_bytes(reader: &Reader<'_>) -> Result<Option<u64>, ConfigError> {
    let (bytes, request) =
        (reader.number("queued.max.request.bytes")?, reader.number("socket.request.max.bytes")?);
    if bytes > 0 && bytes < request {
        return refuse(
            "queued.max.request.bytes",
            bytes,
            format!(
                "queued.max.request.bytes must be larger or equal to socket.request.max.bytes ({request}), or -1"
            ),
        );
    }
    Ok(u64::try_from(bytes).ok().filter(|bytes| *bytes > 0))
}

fn cleaner(reader: &Reader<'_>, shards: u16) -> Result<CleanerOptions, ConfigError> {
    let bytes_per_second = reader.fraction("log.cleaner.io.max.bytes.per.second")?;
    if bytes_per_second.is_nan() || bytes_per_second <= 0.0 {
        return refuse(
            "log.cleaner.io.max.bytes.per.second",
            bytes_per_second,
            "Value must be greater than 0",
        );
    }
    Ok(CleanerOptions {
        enabled: reader.flag("log.cleaner.enable")?,
        dedupe_buffer_bytes: reader.unsigned("log.cleaner.dedupe.buffer.size")?,
        load_factor: reader.fraction("log.cleaner.io.buffer.load.factor")?,
        io_bytes_per_second: (bytes_per_second < f64::MAX)
            .then(|| bytes_per_second / f64::from(shards.max(1))),
        backoff: Duration::from_millis(reader.unsigned("log.cleaner.backoff.ms")?),
    })
}

/// The broker's keys as defaults of the topic's, through the topic table's synonyms.
fn topic_defaults(reader: &Reader<'_>) -> Result<TopicConfig, ConfigError> {
    let mut set = BTreeMap::new();
    for key in TOPIC_KEYS {
        let Some(synonym) = key.synonym else { continue };
        let Some(value) = topic_default(reader, synonym)? else { continue };
        // The topic's own bounds hold for its default too; the message names the key that the operator set.
        key.parse(&value.to_string()).map_err(|error| InvalidValue { key: synonym.to_owned(), ..error })?;
        set.insert(key.name, value);
    }
    let defaults = TopicConfig::defaults(set, reader.unsigned("producer.id.expiration.ms")?);
    // Of the topic's own checks this is the only one on two keys; no topic could be altered with defaults that fail it.
    defaults.check_compaction_lag().map_err(|error| {
        ConfigError::Conflict(format!(
            "log.cleaner.min.compaction.lag.ms, log.cleaner.max.compaction.lag.ms: {error}"
        ))
    })?;
    Ok(defaults)
}

fn topic_default(reader: &Reader<'_>, synonym: &str) -> Result<Option<Value>, ConfigError> {
    let at_least = |found: Option<(String, i64)>, min: i64| match found {
        Some((key, ms)) if ms < min => refuse(&key, ms, format!("{key} must be at least {min} ms")),
        found => Ok(found.map(|(_, ms)| Value::Number(ms))),
    };
    match synonym {
        "log.retention.ms" => retention_ms(reader),
        "log.roll.ms" => at_least(reader.first_ms(&[("log.roll.ms", 1), ("log.roll.hours", HOUR_MS)])?, 1),
        "log.roll.jitter.ms" => {
            at_least(reader.first_ms(&[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", HOUR_MS)])?, 0)
        }
        "log.flush.interval.ms" => at_least(
            reader.first_ms(&[("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)])?,
            0,
        ),
        _ if broker_keys::find(synonym).is_some() => Ok(reader.value(synonym)?),
        _ => Ok(match (unsupported_keys::find(synonym), reader.properties.get(synonym)) {
            (Some(key), Some(text)) => Some(key.parse(text)?),
            _ => None,
        }),
    }
}

/// Kafka takes every negative retention for unlimited, and refuses 0.
fn retention_ms(reader: &Reader<'_>) -> Result<Option<Value>, ConfigError> {
    let units =
        [("log.retention.ms", 1), ("log.retention.minutes", MINUTE_MS), ("log.retention.hours", HOUR_MS)];
    match reader.first_ms(&units)? {
        Some((key, 0)) => {
            refuse(&key, 0, "log.retention.ms must be unlimited (-1) or, equal or greater than 1")
        }
        found => Ok(found.map(|(_, ms)| Value::Number(ms.max(-1)))),
    }
}

/// One line per effect, naming the keys that were set in vain.
fn warnings(properties: &Properties) -> Vec<String> {
    let mut lines = Vec::new();
    let mut unsupported: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, _) in properties.iter() {
        match (broker_keys::find(name), unsupported_keys::find(name)) {
            (Some(_), _) => {}
            (None, Some(key)) => drop(unsupported.entry(key.doc).or_default().insert(key.name)),
            (None, None) => lines.push(format!("{name}: unknown key, ignored")),
        }
    }
    let named = |(effect, names): (&str, BTreeSet<&str>)| {
        format!("{}: {}", names.into_iter().collect::<Vec<_>>().join(", "), lower_first(effect))
    };
    lines.extend(unsupported.into_iter().map(named));
    lines
}

fn lower_first(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Every key of a broker, supported or not.
pub(super) fn all_keys() -> impl Iterator<Item = &'static Key> {
    broker_keys::BROKER_KEYS.iter().chain(unsupported_keys::UNSUPPORTED_KEYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(settings: &[(&str, &str)]) -> BrokerConfig {
        resolve(settings.iter().copied().collect(), 4).unwrap().0
    }

    fn refusal(settings: &[(&str, &str)]) -> String {
        resolve(settings.iter().copied().collect(), 4).unwrap_err().to_string()
    }

    #[test]
    fn no_key_stands_twice_and_every_default_is_valid() {
        let mut seen = BTreeSet::new();
        for key in all_keys() {
            assert!(seen.insert(key.name), "{} stands twice", key.name);
            if let Some(default) = key.default {
                assert!(key.parse(default).is_ok(), "{}={default}", key.name);
            }
            assert!(!key.doc.is_empty());
        }
        for key in TOPIC_KEYS {
            if let Some(synonym) = key.synonym {
                assert!(seen.contains(synonym), "{} has the unknown synonym {synonym}", key.name);
            }
        }
    }

    #[test]
    fn an_empty_file_gives_kafkas_defaults() {
        let config = resolved(&[]);
        assert_eq!((config.broker_id, config.shards), (None, 4));
        assert_eq!(config.log_dirs, [PathBuf::from("/tmp/kafka-logs")]);
        assert_eq!(config.listeners[0].bind.port(), 9092);
        assert_eq!((config.request_bytes_max, config.socket_backlog), (104_857_600, 50));
        assert_eq!(config.socket_send_buffer_bytes, Some(102_400));
        assert_eq!(config.connections_idle_max, Some(Duration::from_secs(600)));
        assert_eq!(*config.topic_defaults.log, thalweg_engine::log::LogOptions::default());
    }

    #[test]
    fn kafkas_sample_file_is_honoured() {
        let config = resolved(&[
            ("broker.id", "0"),
            ("num.network.threads", "3"),
            ("num.io.threads", "8"),
            ("socket.send.buffer.bytes", "-1"),
            ("log.dirs", "/a,/b"),
            ("num.partitions", "3"),
            ("log.flush.interval.messages", "10000"),
            ("log.flush.interval.ms", "1000"),
            ("log.retention.hours", "1"),
            ("log.retention.bytes", "1073741824"),
            ("log.segment.bytes", "1000000"),
            ("zookeeper.connect", "localhost:2181"),
        ]);
        assert_eq!((config.broker_id, config.shards, config.partitions_default), (Some(0), 4, 3));
        assert_eq!(config.socket_send_buffer_bytes, None);
        let log = &config.topic_defaults.log;
        assert_eq!((log.flush_messages, log.flush_ms), (10_000, 1_000));
        assert_eq!((log.retention_ms, log.retention_bytes), (Some(3_600_000), Some(1 << 30)));
        assert_eq!(log.segment_bytes, 1_000_000);
    }

    #[test]
    fn finer_units_win() {
        let log = resolved(&[
            ("log.retention.ms", "5"),
            ("log.retention.minutes", "1"),
            ("log.roll.hours", "1"),
            ("log.roll.jitter.ms", "7"),
            ("log.flush.scheduler.interval.ms", "9"),
        ])
        .topic_defaults
        .log
        .clone();
        assert_eq!((log.retention_ms, log.segment_ms), (Some(5), 3_600_000));
        assert_eq!((log.segment_jitter_ms, log.flush_ms), (7, 9));
        assert_eq!(resolved(&[("log.retention.minutes", "-1")]).topic_defaults.log.retention_ms, None);
    }

    #[test]
    fn shards_follow_the_cores_the_threads_and_the_key() {
        assert_eq!(resolved(&[("num.io.threads", "2")]).shards, 2);
        assert_eq!(resolved(&[("num.io.threads", "2"), ("num.shards", "7")]).shards, 7);
        assert_eq!(resolve(Properties::default(), 1).unwrap().0.shards, 1);
    }

    #[test]
    fn a_refusal_names_key_value_and_what_is_allowed() {
        type Settings = &'static [(&'static str, &'static str)];
        let cases: &[(Settings, &[&str])] = &[
            (&[("num.partitions", "0")], &["num.partitions", "0", "at least 1"]),
            (&[("num.partitions", "many")], &["num.partitions", "many", "INT"]),
            (&[("broker.id", "2000")], &["broker.id", "2000", "reserved.broker.max.id"]),
            (
                &[("broker.id", "-1"), ("broker.id.generation.enable", "false")],
                &["broker.id", "-1", "greater than 0"],
            ),
            (&[("broker.id", "1"), ("node.id", "2")], &["node.id=2", "broker.id=1"]),
            (&[("log.dirs", " , ")], &["log.dirs", "At least one log directory"]),
            (&[("log.dirs", "/a,/a")], &["log.dirs", "/a,/a", "twice"]),
            (&[("log.retention.ms", "0")], &["log.retention.ms", "-1"]),
            (
                &[("log.message.timestamp.difference.max.ms", "-5")],
                &["log.message.timestamp.difference.max.ms", "-5"],
            ),
            (&[("durability", "tape")], &["durability", "tape", "disk, os, memory"]),
            (
                &[("queued.max.request.bytes", "5")],
                &["queued.max.request.bytes", "5", "socket.request.max.bytes"],
            ),
            (
                &[("message.max.bytes", "62914561")],
                &["message.max.bytes", "62914561", "no more than 62914560"],
            ),
            (&[("queued.max.requests", "0")], &["queued.max.requests", "0", "at least 1"]),
            (&[("max.connections.per.ip", "0")], &["max.connections.per.ip", "0", "overrides"]),
            (
                &[("max.connections.per.ip.overrides", "localhost")],
                &["overrides", "localhost", "ADDRESS:BOUND"],
            ),
            (&[("group.max.size", "0")], &["group.max.size", "0", "at least 1"]),
            (&[("listeners", "SSL://:1")], &["SSL", "PLAINTEXT"]),
            (
                &[("log.cleaner.min.compaction.lag.ms", "10"), ("log.cleaner.max.compaction.lag.ms", "5")],
                &["log.cleaner.min.compaction.lag.ms", "(10)", "log.cleaner.max.compaction.lag.ms", "(5)"],
            ),
            (&[("log.cleanup.policy", "keep")], &["log.cleanup.policy", "keep", "compact, delete"]),
        ];
        for (settings, parts) in cases {
            let message = refusal(settings);
            for part in *parts {
                assert!(message.contains(part), "{message:?} lacks {part:?}");
            }
        }
    }

    #[test]
    fn keys_in_vain_are_named_with_what_happens_instead() {
        let settings = [("zookeeper.connect", "a:1"), ("zookeeper.session.timeout.ms", "5"), ("my.key", "1")];
        let (_, lines) = resolve(settings.into_iter().collect(), 1).unwrap();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert_eq!(lines[0], "my.key: unknown key, ignored");
        assert!(
            lines[1].starts_with(
                "zookeeper.connect, zookeeper.session.timeout.ms: no effect: metadata is embedded"
            )
        );
        assert!(resolve(Properties::default(), 1).unwrap().1.is_empty());
    }

    #[test]
    fn connection_bounds_per_address_are_resolved() {
        let config = resolved(&[("max.connections.per.ip.overrides", "127.0.0.1:5, [::1]:6")]);
        assert_eq!(config.connections_per_ip_overrides[&"127.0.0.1".parse::<IpAddr>().unwrap()], 5);
        assert_eq!(config.connections_per_ip_overrides[&"::1".parse::<IpAddr>().unwrap()], 6);
    }
}
