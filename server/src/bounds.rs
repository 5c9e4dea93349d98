//! Every limit of the server in one place, with the relations between them checked at compile time.
//!
//! What an operator may set (`socket.request.max.bytes`, `max.connections`, ...) is in the configuration; here is what
//! holds whatever is configured.

use std::time::Duration;

/// First receive buffer of a connection, bytes; what an idle connection keeps.
pub const RECEIVE_BYTES_MIN: usize = 4 << 10;

/// Largest receive buffer of a connection that is between requests, bytes.
pub const RECEIVE_BYTES_BETWEEN_MAX: usize = 16 << 10;

/// A receive buffer grows to at most this multiple of the bytes that have arrived for its request.
pub const RECEIVE_GROWTH: usize = 4;

/// Bytes of a large receive buffer that move to a larger one at a time, between which others of the shard have their turn.
pub const RECEIVE_MOVE_BYTES: usize = 256 << 10;

/// Complete requests that wait in a connection for their turn, bytes; beyond, the connection is not read.
pub const WAITING_BYTES_MAX: usize = 64 << 10;

/// Requests of one connection that run at the same time.
pub const OVERLAPPING_REQUESTS_MAX: usize = 64;

/// Bytes of requests of one connection that run at the same time; a single larger one runs alone.
pub const OVERLAPPING_BYTES_MAX: usize = 16 << 20;

/// Bytes of replies that a connection has not sent; beyond, it starts no request.
pub const UNSENT_BYTES_MAX: usize = 1 << 20;

/// Bytes of requests that a shard's connections hold together; beyond, large requests are not received.
pub const SHARD_REQUEST_BYTES: usize = 64 << 20;

/// A request that holds more than this much memory is large.
pub const LARGE_REQUEST_BYTES: usize = 64 << 10;

/// While the shard's budget is spent, a large request that makes no progress for so long loses its connection.
pub const STALLED_REQUEST_MAX: Duration = Duration::from_secs(10);

/// Body of a request that goes through `kafka-protocol`, bytes. Decoded it takes about 15 times as much.
pub const COLD_REQUEST_BYTES_MAX: usize = 2 << 20;

/// Elements of all arrays of such a request together.
pub const REQUEST_ELEMENTS_MAX: usize = 100_000;

/// Partitions of one Produce request.
pub const PRODUCE_PARTITIONS_MAX: usize = 100_000;

/// Record bytes of one Fetch response, whatever the client allows (a first batch larger than this still goes whole).
pub const FETCH_RESPONSE_BYTES_MAX: usize = 8 << 20;

/// Unsent response bytes of a shard above which Fetch responses get smaller.
pub const SHARD_UNSENT_BYTES: usize = 64 << 20;

/// Unsent response bytes of a shard at which no Fetch response is built; a first batch may be larger than its share.
pub const SHARD_UNSENT_BYTES_MAX: usize = 2 * SHARD_UNSENT_BYTES;

/// Smallest bound of a Fetch response under memory pressure, record bytes.
pub const FETCH_RESPONSE_BYTES_MIN: usize = 64 << 10;

/// Partitions of one incremental fetch session; a request for more gets no session (Kafka: sessionless).
pub const FETCH_SESSION_PARTITIONS_MAX: usize = 10_000;

/// How long a shutdown waits for running requests and unsent replies.
pub const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Pause of an acceptor that is at `max.connections`, or whose accept failed (too many open files).
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Addresses that a count of connections is kept for, before those without connections are forgotten.
pub const ADDRESSES_KEPT_MAX: usize = 4096;

/// Bytes of a client id or an address that reach a log line.
pub const LOGGED_BYTES_MAX: usize = 120;

const _: () = assert!(RECEIVE_BYTES_MIN <= RECEIVE_BYTES_BETWEEN_MAX);
const _: () = assert!(RECEIVE_BYTES_BETWEEN_MAX <= LARGE_REQUEST_BYTES);
const _: () = assert!(RECEIVE_GROWTH > 1);
const _: () = assert!(LARGE_REQUEST_BYTES < SHARD_REQUEST_BYTES);
const _: () = assert!(OVERLAPPING_BYTES_MAX < SHARD_REQUEST_BYTES);
const _: () = assert!(COLD_REQUEST_BYTES_MAX < SHARD_REQUEST_BYTES);
const _: () = assert!(AUTO_CREATIONS_MAX <= PARTITIONS_PER_CREATION_MAX);
const _: () = assert!(FETCH_RESPONSE_BYTES_MIN <= FETCH_RESPONSE_BYTES_MAX);
const _: () = assert!(FETCH_RESPONSE_BYTES_MAX < SHARD_UNSENT_BYTES);

/// Partitions that one CreateTopics creates, over all its topics (KRaft has the same bound): their records are one batch.
pub const PARTITIONS_PER_CREATION_MAX: usize = 10_000;

/// Bytes of the name or value of a setting: a string in a metadata record, as in all of Kafka's older encodings.
pub const CONFIG_TEXT_BYTES_MAX: usize = i16::MAX as usize;

/// Settings that are kept for one broker, or for all: keys that nobody knows are kept too.
pub const DYNAMIC_SETTINGS_MAX: usize = 1000;

/// Partitions of one answer to DescribeTopicPartitions (Kafka's `max.request.partition.size.limit`).
pub const DESCRIBED_PARTITIONS_MAX: usize = 2000;

/// Topics whose configuration is resolved in one turn of the controller's shard.
pub const TOPICS_PER_TURN: usize = 200;

/// Bytes of a batch of metadata records.
pub const METADATA_BATCH_BYTES_MAX: u32 = 16 << 20;

/// Records of one batch of a snapshot of the metadata, bytes; what a batch adds to them is below the difference to
/// [`METADATA_BATCH_BYTES_MAX`].
pub const METADATA_SNAPSHOT_BATCH_BYTES: usize = 1 << 20;

const _: () = assert!(METADATA_SNAPSHOT_BATCH_BYTES * 8 <= METADATA_BATCH_BYTES_MAX as usize);

/// Bytes that one read of the metadata log takes at start.
pub const METADATA_READ_BYTES: usize = 4 << 20;

/// Producer ids made durable as taken at a time (Kafka's block).
pub const PRODUCER_ID_BLOCK: i64 = 1000;

/// Topics that one Metadata request creates; a client that asks for more asks again.
pub const AUTO_CREATIONS_MAX: usize = 1000;

/// Topics whose logs are created at the same time.
pub const TOPIC_CREATIONS_MAX: usize = 64;

/// Logs that a shard creates at the same time.
pub const LOG_CREATIONS_MAX: usize = 32;

/// Members of a group and member ids that it gave out and that have not joined, whatever `group.max.size` says.
pub const GROUP_MEMBERS_MAX: usize = 100_000;

/// What the members of a group hold in memory together, bytes; beyond, the group is full.
pub const GROUP_MEMBER_BYTES_MAX: usize = 64 << 20;

/// How long the first join of a member may wait before it is given up: it has no id yet to send heartbeats with.
pub const NEW_MEMBER_JOIN_MAX: Duration = Duration::from_secs(5 * 60);

/// Members of a group are given up at multiples of this, milliseconds.
pub const GROUP_TICK_MS: u64 = 100;

/// Groups of one shard.
pub const GROUPS_PER_SHARD_MAX: usize = 200_000;

/// Groups that are looked at between two turns for others of the shard.
pub const GROUPS_PER_TURN: usize = 1000;

/// Bytes that one shard puts into an answer about several groups; the one that goes beyond is told whole.
pub const GROUPS_ANSWER_BYTES_MAX: usize = 16 << 20;

/// Committed offsets of all groups of one shard, about 200 bytes each.
pub const OFFSETS_PER_SHARD_MAX: usize = 5_000_000;

/// A batch of group records is closed at this size, bytes; what `max.message.bytes` allows bounds it too.
pub const GROUP_BATCH_BYTES: usize = 256 << 10;

/// What a record adds to its key and value in a batch, bytes: lengths, attributes, deltas.
pub const GROUP_RECORD_OVERHEAD_BYTES: usize = 40;

/// Bytes that one read of the offsets topic takes when groups are loaded.
pub const GROUP_READ_BYTES: usize = 1 << 20;

const _: () = assert!(GROUP_BATCH_BYTES <= GROUP_READ_BYTES);

/// Pause before a failed read of the offsets topic is tried again; it doubles up to the larger one.
pub const GROUP_READ_PAUSE_MIN: Duration = Duration::from_millis(100);
pub const GROUP_READ_PAUSE_MAX: Duration = Duration::from_secs(30);

const _: () = assert!(GROUP_READ_PAUSE_MIN.as_millis() <= GROUP_READ_PAUSE_MAX.as_millis());

/// Bytes of a text about a member that its client chooses: with what is added to it, it must fit into an int16 of a record.
pub const CLIENT_TEXT_BYTES_MAX: usize = 16 << 10;

const _: () = assert!(CLIENT_TEXT_BYTES_MAX + 64 <= crate::group::STRING_BYTES_MAX);
