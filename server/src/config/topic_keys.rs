//! The configuration of a topic, by key.
//!
//! Names, types, defaults, bounds and synonyms are those of Apache Kafka 3.2.0's `LogConfig`, plus `durability`. Keys
//! without an effect here say so; they are checked and kept all the same, so that tools which set them work.

use super::key::{BATCH_BYTES_MAX, Check, Key, Kind};

/// By name.
pub static TOPIC_KEYS: &[Key] = &[
    Key::new("cleanup.policy", Kind::List, Some("delete"), "What becomes of old records: delete removes segments by retention, compact keeps the last record of every key.").check(Check::EachOneOf(&["compact", "delete"])).synonym("log.cleanup.policy"),
    Key::new("compression.type", Kind::String, Some("producer"), "How batches are stored: producer leaves them as they come, anything else packs those anew that come otherwise.").check(Check::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])).synonym("compression.type"),
    Key::new("delete.retention.ms", Kind::Long, Some("86400000"), "How long a tombstone stays after compaction first met it.").check(Check::Min(0)).synonym("log.cleaner.delete.retention.ms"),
    Key::new("durability", Kind::String, Some("disk"), "What an acknowledgement promises. disk: on stable storage, survives power loss. os: in the kernel's cache, survives the end of the process. memory: survives nothing until it is flushed, within a bound.").check(Check::OneOf(&["disk", "os", "memory"])).synonym("durability"),
    Key::new("file.delete.delay.ms", Kind::Long, Some("60000"), "How long the files of a deleted segment stay on disk.").check(Check::Min(0)).synonym("log.segment.delete.delay.ms"),
    Key::new("flush.messages", Kind::Long, Some("9223372036854775807"), "Sync at least after this many records where durability is os or memory.").check(Check::Min(0)).synonym("log.flush.interval.messages"),
    Key::new("flush.ms", Kind::Long, Some("9223372036854775807"), "Sync at least after this long where durability is os or memory.").check(Check::Min(0)).synonym("log.flush.interval.ms"),
    Key::new("follower.replication.throttled.replicas", Kind::List, Some(""), "No effect: this is one broker, nothing is replicated.").check(Check::ThrottledReplicas),
    Key::new("index.interval.bytes", Kind::Int, Some("4096"), "Bytes of log between two entries of the offset index.").check(Check::Min(0)).synonym("log.index.interval.bytes"),
    Key::new("leader.replication.throttled.replicas", Kind::List, Some(""), "No effect: this is one broker, nothing is replicated.").check(Check::ThrottledReplicas),
    Key::new("max.compaction.lag.ms", Kind::Long, Some("9223372036854775807"), "Age at which a record is compacted at the latest; its segment is closed in time for that.").check(Check::Min(1)).synonym("log.cleaner.max.compaction.lag.ms"),
    Key::new("max.message.bytes", Kind::Int, Some("1048588"), "Largest record batch, in bytes, compressed if it is compressed.").check(Check::Range(0, BATCH_BYTES_MAX)).synonym("message.max.bytes"),
    Key::new("message.downconversion.enable", Kind::Boolean, Some("true"), "No effect: record batches are of magic 2, and are never converted.").synonym("log.message.downconversion.enable"),
    Key::new("message.format.version", Kind::String, Some("3.0-IV1"), "No effect: record batches are of magic 2, and are never converted.").check(Check::KafkaVersion).synonym("log.message.format.version"),
    Key::new("message.timestamp.difference.max.ms", Kind::Long, Some("9223372036854775807"), "Largest distance of a record's timestamp from the broker's clock; with LogAppendTime it does not count.").check(Check::Min(0)).synonym("log.message.timestamp.difference.max.ms"),
    Key::new("message.timestamp.type", Kind::String, Some("CreateTime"), "Whose clock sets a record's timestamp: CreateTime the producer's, LogAppendTime the broker's.").check(Check::OneOf(&["CreateTime", "LogAppendTime"])).synonym("log.message.timestamp.type"),
    Key::new("min.cleanable.dirty.ratio", Kind::Double, Some("0.5"), "Share of a log's bytes that are written since it was compacted, above which it is compacted again.").check(Check::Fraction(0.0, 1.0)).synonym("log.cleaner.min.cleanable.ratio"),
    Key::new("min.compaction.lag.ms", Kind::Long, Some("0"), "Age below which a record is not compacted.").check(Check::Min(0)).synonym("log.cleaner.min.compaction.lag.ms"),
    Key::new("min.insync.replicas", Kind::Int, Some("1"), "Replicas that must have a batch for acks=all. There is one, so more refuses such batches.").check(Check::Min(1)).synonym("min.insync.replicas"),
    Key::new("preallocate", Kind::Boolean, Some("false"), "Allocate a segment's whole size when it is created.").synonym("log.preallocate"),
    Key::new("retention.bytes", Kind::Long, Some("-1"), "Size that a partition may have before its oldest segments are deleted; -1 for any.").synonym("log.retention.bytes"),
    Key::new("retention.ms", Kind::Long, Some("604800000"), "Age at which segments are deleted; -1 keeps them.").check(Check::Min(-1)).synonym("log.retention.ms"),
    Key::new("segment.bytes", Kind::Int, Some("1073741824"), "Size at which a segment is closed and the next begun.").check(Check::Min(14)).synonym("log.segment.bytes"),
    Key::new("segment.index.bytes", Kind::Int, Some("10485760"), "Size of a segment's index; a full one closes the segment.").check(Check::Min(0)).synonym("log.index.size.max.bytes"),
    Key::new("segment.jitter.ms", Kind::Long, Some("0"), "Random reduction of segment.ms, so that not all partitions roll at once.").check(Check::Min(0)).synonym("log.roll.jitter.ms"),
    Key::new("segment.ms", Kind::Long, Some("604800000"), "Age at which a segment is closed even if it is not full.").check(Check::Min(1)).synonym("log.roll.ms"),
    Key::new("unclean.leader.election.enable", Kind::Boolean, Some("false"), "No effect: this is one broker, nothing is replicated.").synonym("unclean.leader.election.enable"),
];

/// Keys that Kafka 3.2.0 accepts and does not show (tiered storage that is not finished there).
pub static HIDDEN_TOPIC_KEYS: &[Key] = &[
    Key::new("local.retention.bytes", Kind::Long, Some("-2"), "No effect: there is no tiered storage.")
        .check(Check::Min(-2)),
    Key::new("local.retention.ms", Kind::Long, Some("-2"), "No effect: there is no tiered storage.")
        .check(Check::Min(-2)),
    Key::new("remote.storage.enable", Kind::Boolean, Some("false"), "No effect: there is no tiered storage."),
];

/// The row of `name`.
pub fn find(name: &str) -> Option<&'static Key> {
    TOPIC_KEYS.iter().chain(HIDDEN_TOPIC_KEYS).find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every topic config of Kafka 3.2.0 (`TopicConfig`, `LogConfig`), with those that it hides.
    const KAFKA_TOPIC_KEYS: &[&str] = &[
        "cleanup.policy",
        "compression.type",
        "delete.retention.ms",
        "file.delete.delay.ms",
        "flush.messages",
        "flush.ms",
        "follower.replication.throttled.replicas",
        "index.interval.bytes",
        "leader.replication.throttled.replicas",
        "local.retention.bytes",
        "local.retention.ms",
        "max.compaction.lag.ms",
        "max.message.bytes",
        "message.downconversion.enable",
        "message.format.version",
        "message.timestamp.difference.max.ms",
        "message.timestamp.type",
        "min.cleanable.dirty.ratio",
        "min.compaction.lag.ms",
        "min.insync.replicas",
        "preallocate",
        "remote.storage.enable",
        "retention.bytes",
        "retention.ms",
        "segment.bytes",
        "segment.index.bytes",
        "segment.jitter.ms",
        "segment.ms",
        "unclean.leader.election.enable",
    ];

    #[test]
    fn every_topic_key_of_kafka_is_known_and_one_of_our_own() {
        let mut known: Vec<_> = TOPIC_KEYS.iter().chain(HIDDEN_TOPIC_KEYS).map(|key| key.name).collect();
        known.sort_unstable();
        let mut expected = KAFKA_TOPIC_KEYS.to_vec();
        expected.push("durability");
        expected.sort_unstable();
        assert_eq!(known, expected);
    }

    #[test]
    fn what_has_no_effect_is_named_in_the_docs() {
        let docs = include_str!("../../../docs/kafka.md");
        for key in TOPIC_KEYS.iter().chain(HIDDEN_TOPIC_KEYS).filter(|key| key.doc.starts_with("No effect")) {
            assert!(docs.contains(&format!("`{}`", key.name)), "{}", key.name);
        }
    }
}
