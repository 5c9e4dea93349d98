//! A topic's configuration: what was set for it, over the broker's defaults, and what the engine makes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use thalweg_engine::log::{Durability, LogOptions, TimestampType};
use thalweg_protocol::batch::Codec;

use super::key::Key;
use super::topic_keys::{self, TOPIC_KEYS};
use super::value::{InvalidValue, Value};

/// Why a topic cannot have that configuration. The texts are Kafka's, which clients show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicConfig {
    #[error("Unknown topic config name: {0}")]
    Unknown(String),
    #[error(transparent)]
    Value(#[from] InvalidValue),
    #[error("conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})")]
    CompactionLag { min: i64, max: i64 },
}

/// See the module. Immutable; a change makes a new one.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicConfig {
    /// What was set for this topic, in canonical spelling.
    pub overrides: BTreeMap<String, String>,
    /// What was set for this topic by another version and means nothing in this one, as it was written. Kept, so that
    /// going back loses nothing.
    pub unusable: BTreeMap<String, String>,
    /// For the engine.
    pub log: Arc<LogOptions>,
    /// `min.insync.replicas`: above 1, `acks=all` cannot be met.
    pub min_insync_replicas: i32,
    values: BTreeMap<&'static str, Value>,
    producer_id_expiration_ms: u64,
}

impl TopicConfig {
    /// The broker's defaults: `values` for the topic keys that its own keys set, Kafka's defaults for the others.
    pub(super) fn defaults(
        set: BTreeMap<&'static str, Value>,
        producer_id_expiration_ms: u64,
    ) -> TopicConfig {
        let mut values: BTreeMap<_, _> =
            TOPIC_KEYS.iter().filter_map(|key| Some((key.name, key.default_value()?))).collect();
        values.extend(set);
        TopicConfig::of(values, BTreeMap::new(), producer_id_expiration_ms)
    }

    /// The configuration of a topic with `overrides` where `self` holds the defaults.
    ///
    /// # Errors
    /// As Kafka validates: INVALID_CONFIG with the error's text.
    pub fn with_overrides<'a>(
        &self,
        overrides: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<TopicConfig, InvalidTopicConfig> {
        let config = self.with_each(overrides, |_, _, error| Err(error))?;
        config.check_compaction_lag()?;
        Ok(config)
    }

    /// As [`with_overrides`](Self::with_overrides) for overrides that were valid once: one that does not parse any more
    /// (written by another version) is kept as [`unusable`](Self::unusable), and named to `skipped`. Whether the others go
    /// together is not asked again: that the broker's defaults have changed is no reason to drop what a topic was told.
    pub fn with_stored_overrides<'a>(
        &self,
        overrides: impl IntoIterator<Item = (&'a str, &'a str)>,
        mut skipped: impl FnMut(&str, &InvalidTopicConfig),
    ) -> TopicConfig {
        let mut unusable = BTreeMap::new();
        let skip = |name: &str, text: &str, error| {
            skipped(name, &error);
            unusable.insert(name.to_owned(), text.to_owned());
            Ok::<(), std::convert::Infallible>(())
        };
        let Ok(config) = self.with_each(overrides, skip);
        TopicConfig { unusable, ..config }
    }

    /// This configuration, with these in place of what is [`unusable`](Self::unusable).
    pub fn with_unusable(&self, unusable: BTreeMap<String, String>) -> TopicConfig {
        TopicConfig { unusable, ..self.clone() }
    }

    /// Everything that was set for this topic, whether it means something or not.
    pub fn stored(&self) -> impl Iterator<Item = (&str, &str)> {
        self.overrides.iter().chain(&self.unusable).map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values of `self`, and over them the overrides that parse; `invalid` decides about the others.
    fn with_each<'a, E>(
        &self,
        overrides: impl IntoIterator<Item = (&'a str, &'a str)>,
        mut invalid: impl FnMut(&str, &str, InvalidTopicConfig) -> Result<(), E>,
    ) -> Result<TopicConfig, E> {
        let mut values = self.values.clone();
        let mut kept = BTreeMap::new();
        for (name, text) in overrides {
            match parse(name, text) {
                Ok((key, value)) => {
                    kept.insert(name.to_owned(), value.to_string());
                    values.insert(key.name, value);
                }
                Err(error) => invalid(name, text, error)?,
            }
        }
        Ok(TopicConfig::of(values, kept, self.producer_id_expiration_ms))
    }

    /// Whether the two bounds on when a record is compacted go together.
    pub(super) fn check_compaction_lag(&self) -> Result<(), InvalidTopicConfig> {
        let (min, max) = (self.number("min.compaction.lag.ms"), self.number("max.compaction.lag.ms"));
        match min > max {
            true => Err(InvalidTopicConfig::CompactionLag { min, max }),
            false => Ok(()),
        }
    }

    /// The value in force for `key`, in canonical spelling.
    pub fn value(&self, key: &Key) -> Option<String> {
        self.values.get(key.name).map(Value::to_string)
    }

    /// Whether old records may be deleted: without `delete` in its policy, retention does not apply to a topic.
    pub fn deletes(&self) -> bool {
        self.has_policy("delete")
    }

    fn of(
        values: BTreeMap<&'static str, Value>,
        overrides: BTreeMap<String, String>,
        producer_id_expiration_ms: u64,
    ) -> TopicConfig {
        let mut config = TopicConfig {
            overrides,
            unusable: BTreeMap::new(),
            log: Arc::default(),
            min_insync_replicas: 1,
            values,
            producer_id_expiration_ms,
        };
        config.log = Arc::new(config.log_options());
        config.min_insync_replicas = i32::try_from(config.number("min.insync.replicas")).unwrap_or(i32::MAX);
        config
    }

    fn log_options(&self) -> LogOptions {
        let unsigned = |name| u64::try_from(self.number(name)).unwrap_or(0);
        let small = |name| u32::try_from(self.number(name)).unwrap_or(0);
        let deletes = self.deletes();
        let retention = |name| u64::try_from(self.number(name)).ok().filter(|_| deletes);
        LogOptions {
            segment_bytes: small("segment.bytes"),
            segment_ms: unsigned("segment.ms"),
            segment_jitter_ms: unsigned("segment.jitter.ms"),
            segment_index_bytes: small("segment.index.bytes"),
            index_interval_bytes: small("index.interval.bytes"),
            message_bytes_max: small("max.message.bytes"),
            timestamp_type: match self.text("message.timestamp.type") {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_difference_max_ms: self.number("message.timestamp.difference.max.ms"),
            durability: match self.text("durability") {
                "os" => Durability::Os,
                "memory" => Durability::Memory,
                _ => Durability::Disk,
            },
            flush_messages: unbounded(self.number("flush.messages")),
            flush_ms: unbounded(self.number("flush.ms")),
            retention_ms: retention("retention.ms"),
            retention_bytes: retention("retention.bytes"),
            file_delete_delay_ms: unsigned("file.delete.delay.ms"),
            preallocate: matches!(self.values.get("preallocate"), Some(Value::Boolean(true))),
            producer_id_expiration_ms: self.producer_id_expiration_ms,
            compact: self.has_policy("compact"),
            delete_retention_ms: unsigned("delete.retention.ms"),
            min_compaction_lag_ms: unsigned("min.compaction.lag.ms"),
            max_compaction_lag_ms: unsigned("max.compaction.lag.ms"),
            min_cleanable_dirty_ratio: self.fraction("min.cleanable.dirty.ratio"),
            compression: match self.text("compression.type") {
                "uncompressed" => Some(Codec::None),
                "gzip" => Some(Codec::Gzip),
                "snappy" => Some(Codec::Snappy),
                "lz4" => Some(Codec::Lz4),
                "zstd" => Some(Codec::Zstd),
                _ => None,
            },
        }
    }

    fn has_policy(&self, policy: &str) -> bool {
        matches!(self.values.get("cleanup.policy"), Some(Value::List(policies))
            if policies.iter().any(|set| set == policy))
    }

    fn number(&self, name: &str) -> i64 {
        match self.values.get(name) {
            Some(Value::Number(number)) => *number,
            other => unreachable!("{name} is a number with a default, not {other:?}"),
        }
    }

    fn fraction(&self, name: &str) -> f64 {
        match self.values.get(name) {
            Some(Value::Double(number)) => *number,
            other => unreachable!("{name} is a fraction with a default, not {other:?}"),
        }
    }

    fn text(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(Value::Text(text)) => text,
            other => unreachable!("{name} is a text with a default, not {other:?}"),
        }
    }
}

fn parse(name: &str, text: &str) -> Result<(&'static Key, Value), InvalidTopicConfig> {
    let key = topic_keys::find(name).ok_or_else(|| InvalidTopicConfig::Unknown(name.to_owned()))?;
    Ok((key, key.parse(text)?))
}

/// Kafka's `Long.MAX_VALUE` means never.
fn unbounded(value: i64) -> u64 {
    if value == i64::MAX { u64::MAX } else { u64::try_from(value).unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> TopicConfig {
        TopicConfig::defaults(BTreeMap::new(), LogOptions::default().producer_id_expiration_ms)
    }

    #[test]
    fn the_tables_defaults_are_the_engines() {
        assert_eq!(*defaults().log, LogOptions::default());
    }

    #[test]
    fn overrides_reach_the_engine() {
        let config = defaults()
            .with_overrides([
                ("segment.bytes", "1048576"),
                ("retention.ms", "-1"),
                ("retention.bytes", "5"),
                ("message.timestamp.type", "LogAppendTime"),
                ("durability", "os"),
                ("flush.messages", "1"),
                ("min.insync.replicas", "2"),
            ])
            .unwrap();
        assert_eq!(config.log.segment_bytes, 1_048_576);
        assert_eq!((config.log.retention_ms, config.log.retention_bytes), (None, Some(5)));
        assert_eq!(config.log.timestamp_type, TimestampType::LogAppendTime);
        assert_eq!((config.log.durability, config.log.flush_messages), (Durability::Os, 1));
        assert_eq!(config.min_insync_replicas, 2);
        assert_eq!(config.overrides.len(), 7);
    }

    #[test]
    fn a_compacted_topic_loses_nothing_to_retention() {
        let config =
            defaults().with_overrides([("cleanup.policy", "compact"), ("retention.bytes", "5")]).unwrap();
        assert_eq!((config.log.retention_ms, config.log.retention_bytes), (None, None));
        let both = defaults().with_overrides([("cleanup.policy", "compact,delete")]).unwrap();
        assert!(both.log.retention_ms.is_some());
    }

    #[test]
    fn refusals_read_as_those_of_kafka() {
        let unknown = defaults().with_overrides([("nope", "1")]).unwrap_err();
        assert_eq!(unknown.to_string(), "Unknown topic config name: nope");
        let lag =
            defaults().with_overrides([("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")]);
        assert_eq!(
            lag.unwrap_err().to_string(),
            "conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)"
        );
    }

    #[test]
    fn a_stored_override_that_is_no_longer_valid_is_left_out_by_name() {
        let mut skipped = Vec::new();
        let stored = [("segment.bytes", "1048576"), ("gone", "1"), ("retention.ms", "x")];
        let config = defaults().with_stored_overrides(stored, |name, _| skipped.push(name.to_owned()));
        assert_eq!(skipped, ["gone", "retention.ms"]);
        assert_eq!(config.log.segment_bytes, 1_048_576);
        assert_eq!(config.overrides.len(), 1);
        assert_eq!(config.stored().collect::<Vec<_>>(), [stored[0], stored[1], stored[2]]);
    }

    /// Defaults whose compaction lags contradict each other made every key of every topic "not valid", so that
    /// `retention.ms=-1` and the compaction of the offsets topic were dropped and records deleted.
    #[test]
    fn defaults_that_contradict_each_other_drop_no_stored_override() {
        let number = |name, number| (name, Value::Number(number));
        let set = [number("min.compaction.lag.ms", 10), number("max.compaction.lag.ms", 5)];
        let defaults = TopicConfig::defaults(set.into_iter().collect(), 1);
        let stored = [("cleanup.policy", "compact"), ("durability", "os"), ("retention.ms", "-1")];
        let config = defaults.with_stored_overrides(stored, |name, error| panic!("{name}: {error}"));
        assert!(config.log.compact && !config.deletes());
        assert_eq!((config.log.durability, config.overrides.len()), (Durability::Os, 3));
        assert!(defaults.with_overrides([("retention.ms", "-1")]).is_err(), "a new alteration is refused");
    }
}
