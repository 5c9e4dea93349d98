//! The keys of `server.properties` that have an effect here.
//!
//! Names, types, defaults and bounds are those of Apache Kafka 3.2.0's `KafkaConfig`, so that a file moves over unchanged;
//! the last rows are this server's own. A key belongs here only if something reads it.

use super::key::{BATCH_BYTES_MAX, Check, Key, Kind};

/// By name.
pub static BROKER_KEYS: &[Key] = &[
    Key::new("advertised.listeners", Kind::String, None, "Addresses that clients are told to connect to, NAME://HOST:PORT each. Without it, those of listeners."),
    Key::new("auto.create.topics.enable", Kind::Boolean, Some("true"), "Create a topic when a client asks for the metadata of one that does not exist, and allows it."),
    Key::new("broker.id", Kind::Int, Some("-1"), "This broker's id. -1 keeps the id that log.dirs hold, or generates one."),
    Key::new("broker.id.generation.enable", Kind::Boolean, Some("true"), "Whether a broker id may be generated."),
    Key::new("broker.rack", Kind::String, None, "Rack name that clients are told."),
    Key::new("cache.bytes", Kind::Long, Some("268435456"), "Memory for the tails of partitions and for read-ahead, over all shards.").check(Check::Min(16_777_216)),
    Key::new("connections.max.idle.ms", Kind::Long, Some("600000"), "Close a connection that has been silent for this long; negative keeps it."),
    Key::new("default.replication.factor", Kind::Int, Some("1"), "Replicas of an automatically created topic. There is one broker, so only 1 can be met.").check(Check::Min(1)),
    Key::new("delete.topic.enable", Kind::Boolean, Some("true"), "Whether topics can be deleted."),
    Key::new("durability", Kind::String, Some("disk"), "Default of the topic's durability: what an acknowledgement promises. disk: on stable storage, survives power loss. os: in the kernel's cache, survives the end of the process. memory: survives nothing until it is flushed, within a bound.").check(Check::OneOf(&["disk", "os", "memory"])),
    Key::new("fetch.max.bytes", Kind::Int, Some("57671680"), "Most bytes that one fetch returns.").check(Check::Min(1024)),
    Key::new("inter.broker.listener.name", Kind::String, None, "Listener that other brokers would use; it must be one of the advertised ones."),
    Key::new("journal.bytes", Kind::Long, Some("1073741824"), "Bound of a journal. A shard has one in each directory for topics whose durability is disk, and one more once one with os or memory is written there; a journal may exceed the bound by its last file.").check(Check::Min(67_108_864)),
    Key::new("listener.security.protocol.map", Kind::String, Some("PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"), "Security protocol by listener name. PLAINTEXT is the one there is."),
    Key::new("listeners", Kind::String, Some("PLAINTEXT://:9092"), "Addresses to listen on, NAME://HOST:PORT each. An empty host listens on every interface and advertises the canonical host name; 0.0.0.0 is every interface too."),
    Key::new("log.cleanup.policy", Kind::List, Some("delete"), "Default of cleanup.policy.").check(Check::EachOneOf(&["compact", "delete"])),
    Key::new("log.dir", Kind::String, Some("/tmp/kafka-logs"), "Directory of the data, if log.dirs is not set."),
    Key::new("log.dirs", Kind::String, None, "Directories of the data, separated by commas."),
    Key::new("log.flush.interval.messages", Kind::Long, Some("9223372036854775807"), "Default of flush.messages.").check(Check::Min(1)),
    Key::new("log.flush.interval.ms", Kind::Long, None, "Default of flush.ms; without it log.flush.scheduler.interval.ms counts."),
    Key::new("log.flush.scheduler.interval.ms", Kind::Long, Some("9223372036854775807"), "Default of log.flush.interval.ms."),
    Key::new("log.index.interval.bytes", Kind::Int, Some("4096"), "Default of index.interval.bytes.").check(Check::Min(0)),
    Key::new("log.index.size.max.bytes", Kind::Int, Some("10485760"), "Default of segment.index.bytes.").check(Check::Min(4)),
    Key::new("log.message.timestamp.difference.max.ms", Kind::Long, Some("9223372036854775807"), "Default of message.timestamp.difference.max.ms."),
    Key::new("log.message.timestamp.type", Kind::String, Some("CreateTime"), "Default of message.timestamp.type.").check(Check::OneOf(&["CreateTime", "LogAppendTime"])),
    Key::new("log.preallocate", Kind::Boolean, Some("false"), "Default of preallocate."),
    Key::new("log.retention.bytes", Kind::Long, Some("-1"), "Default of retention.bytes."),
    Key::new("log.retention.check.interval.ms", Kind::Long, Some("300000"), "How often segments are looked through for ones to delete.").check(Check::Min(1)),
    Key::new("log.retention.hours", Kind::Int, Some("168"), "Default of retention.ms in hours, if neither minutes nor milliseconds are set."),
    Key::new("log.retention.minutes", Kind::Int, None, "Default of retention.ms in minutes, if milliseconds are not set."),
    Key::new("log.retention.ms", Kind::Long, None, "Default of retention.ms."),
    Key::new("log.roll.hours", Kind::Int, Some("168"), "Default of segment.ms in hours, if log.roll.ms is not set.").check(Check::Min(1)),
    Key::new("log.roll.jitter.hours", Kind::Int, Some("0"), "Default of segment.jitter.ms in hours, if log.roll.jitter.ms is not set.").check(Check::Min(0)),
    Key::new("log.roll.jitter.ms", Kind::Long, None, "Default of segment.jitter.ms."),
    Key::new("log.roll.ms", Kind::Long, None, "Default of segment.ms."),
    Key::new("log.segment.bytes", Kind::Int, Some("1073741824"), "Default of segment.bytes.").check(Check::Min(14)),
    Key::new("log.segment.delete.delay.ms", Kind::Long, Some("60000"), "Default of file.delete.delay.ms.").check(Check::Min(0)),
    Key::new("max.connection.creation.rate", Kind::Int, Some("2147483647"), "New connections per second; more wait.").check(Check::Min(0)),
    Key::new("max.connections", Kind::Int, Some("2147483647"), "Open connections of the broker.").check(Check::Min(0)),
    Key::new("max.connections.per.ip", Kind::Int, Some("2147483647"), "Open connections from one address.").check(Check::Min(0)),
    Key::new("max.connections.per.ip.overrides", Kind::String, Some(""), "Other bounds than max.connections.per.ip, ADDRESS:BOUND each, separated by commas."),
    Key::new("max.incremental.fetch.session.cache.slots", Kind::Int, Some("1000"), "Fetch sessions (KIP-227) that are kept.").check(Check::Min(0)),
    Key::new("message.max.bytes", Kind::Int, Some("1048588"), "Default of max.message.bytes.").check(Check::Range(0, BATCH_BYTES_MAX)),
    Key::new("min.insync.replicas", Kind::Int, Some("1"), "Default of the topic's min.insync.replicas.").check(Check::Min(1)),
    Key::new("node.id", Kind::Int, Some("-1"), "The same as broker.id."),
    Key::new("num.io.threads", Kind::Int, Some("8"), "Bounds the number of shards while num.shards is not set.").check(Check::Min(1)),
    Key::new("num.partitions", Kind::Int, Some("1"), "Partitions of a topic whose creator names no number.").check(Check::Min(1)),
    Key::new("num.shards", Kind::Int, None, "Shards: threads with a core, a ring and a journal each. Without it, the cores that this process may run on, or num.io.threads if that is set and smaller.").check(Check::Range(1, 1024)),
    Key::new("producer.id.expiration.ms", Kind::Int, Some("86400000"), "How long the state of an idempotent producer is kept after its last batch (Kafka 3.4 and later have this key).").check(Check::Min(1)),
    Key::new("queued.max.request.bytes", Kind::Long, Some("-1"), "Bytes of requests that are received and not answered yet; -1 sets no bound of its own."),
    Key::new("reserved.broker.max.id", Kind::Int, Some("1000"), "Greatest broker.id that can be set while ids may be generated; generated ones are greater.").check(Check::Min(0)),
    Key::new("security.inter.broker.protocol", Kind::String, Some("PLAINTEXT"), "Names the inter-broker listener by its protocol, if inter.broker.listener.name is not set."),
    Key::new("socket.listen.backlog.size", Kind::Int, Some("50"), "Connections that the kernel keeps while they wait to be accepted.").check(Check::Min(1)),
    Key::new("socket.receive.buffer.bytes", Kind::Int, Some("102400"), "SO_RCVBUF of connections; -1 leaves it to the system.").check(Check::MinusOneOrMin(1)),
    Key::new("socket.request.max.bytes", Kind::Int, Some("104857600"), "Longest request; a longer one closes its connection.").check(Check::Min(1)),
    Key::new("socket.send.buffer.bytes", Kind::Int, Some("102400"), "SO_SNDBUF of connections; -1 leaves it to the system.").check(Check::MinusOneOrMin(1)),
];

/// The row of `name`.
pub fn find(name: &str) -> Option<&'static Key> {
    BROKER_KEYS.iter().find(|key| key.name == name)
}
