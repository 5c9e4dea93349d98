//! Every limit of the engine in one place, with the relations between them checked at compile time.

use std::time::Duration;

/// Task polls between two driver turns. Bounds how long a completion can wait behind ready tasks.
pub const TASK_POLLS_PER_TURN_MAX: usize = 256;

/// A turn that has taken this long leaves what is still ready to the next one: completions are looked at in between.
pub const TURN_TIME_MAX: Duration = Duration::from_millis(3);

/// A task poll or loop turn longer than this is logged.
pub const STALL_WARN: Duration = Duration::from_millis(5);

/// A task poll or loop turn longer than this fails load and crash tests.
pub const STALL_FAIL: Duration = Duration::from_millis(50);

/// How often a busy shard looks how long it had to wait for a CPU, which is not a stall of its own.
pub const CPU_WAIT_EVERY: Duration = Duration::from_millis(10);

/// Entries of a ring's submission queue; more wait in memory and are submitted in the same turn.
pub const SUBMISSION_ENTRIES: u32 = 1024;

/// Entries of a ring's completion queue; more wait in the kernel.
pub const COMPLETION_ENTRIES: u32 = 8192;

/// Buffers of one gathering send; a longer list is sent in several.
pub const SEND_BUFFERS_MAX: usize = 64;

/// Headers of gathering sends that a ring keeps for reuse (about 1 KiB each).
pub const SEND_HEADERS_KEPT_MAX: usize = 256;

/// Bytes of one read, write, receive or send; a longer one completes partially. Below the kernel's own 2 GiB - 4 KiB.
pub const TRANSFER_BYTES_MAX: usize = 1 << 30;

/// Calls in flight from one shard to another; more callers wait for a credit, in order.
pub const MESH_CALLS_PER_PAIR_MAX: usize = 1024;

/// Incoming mesh messages taken from one other shard per loop turn.
pub const MESH_MESSAGES_PER_TURN_MAX: usize = 256;

const _: () = assert!(TURN_TIME_MAX.as_nanos() < STALL_WARN.as_nanos());
const _: () = assert!(STALL_WARN.as_nanos() < STALL_FAIL.as_nanos());
const _: () = assert!(SUBMISSION_ENTRIES < COMPLETION_ENTRIES);
// UIO_MAXIOV of the kernel.
const _: () = assert!(SEND_BUFFERS_MAX <= 1024);
const _: () = assert!(TRANSFER_BYTES_MAX.is_multiple_of(crate::io::PAGE_BYTES));
const _: () = assert!(MESH_MESSAGES_PER_TURN_MAX <= MESH_CALLS_PER_PAIR_MAX);

/// Size of a journal's first file, bytes: small, so that a start is quick and an idle shard takes little.
pub const JOURNAL_FIRST_FILE_BYTES: u64 = 8 << 20;

/// Size of a journal's further files, bytes.
pub const JOURNAL_FILE_BYTES: u64 = 64 << 20;

/// Bytes of one step of pre-writing a journal file.
pub const JOURNAL_PREWRITE_BYTES: usize = 1 << 20;

/// Payload bytes of one commit; a single larger batch still makes one. With several in flight, more in one adds nothing.
pub const COMMIT_BYTES_MAX: usize = 1 << 20;

/// Commits of one journal in flight: while one is being synced, the next one's bytes are on their way. Four gained nothing over two
/// in measurements, and each is one more that a crash may leave unfinished.
pub const COMMITS_IN_FLIGHT_MAX: usize = 2;

/// Payload bytes for which a further commit is started beside those in flight; less waits and gathers.
pub const COMMIT_BYTES_WORTH_A_WRITE: usize = 64 << 10;

/// Batches of one commit.
pub const COMMIT_ENTRIES_MAX: usize = 8192;

/// A journal that is quiet for this long attests its last commit with an empty one, milliseconds.
pub const ATTEST_AFTER_MS: u64 = 20;

/// Largest batch the engine takes, bytes: one commit with it fits a journal file.
pub const BATCH_BYTES_MAX: usize = 60 << 20;

/// Bytes submitted to one journal and not yet committed; further appends wait, in order.
pub const UNCOMMITTED_BYTES_MAX: usize = 32 << 20;

/// Idle slabs of 2 MiB that a busy shard has ready, mapped and touched.
pub const SLABS_AHEAD: usize = 2;

/// Idle slabs of 2 MiB that a shard keeps; more go back to the kernel.
pub const SLABS_KEPT_MAX: usize = 8;

const _: () = assert!(SLABS_AHEAD <= SLABS_KEPT_MAX);

/// Smallest and largest tail chunk, bytes. A chunk doubles when the one before filled quickly.
pub const CHUNK_BYTES_MIN: usize = 16 << 10;
pub const CHUNK_BYTES_MAX: usize = 1 << 20;

/// A chunk that filled faster than this is followed by one twice its size, milliseconds.
pub const CHUNK_GROWS_WITHIN_MS: u64 = 500;

/// A tail chunk that is on disk and untouched for this long is dropped, milliseconds.
pub const CHUNK_IDLE_MS: u64 = 10_000;

/// Segment writes in flight per shard and directory.
pub const SEGMENT_WRITES_MAX: usize = 8;

/// Of those, writes of full chunks while writing keeps up. Few, because the journal's commits share the device with them,
/// and clients wait for those.
pub const SEGMENT_WRITES_PACED: usize = 2;

/// One write of a chunk while writing keeps up, bytes.
pub const SEGMENT_WRITE_BYTES: usize = 256 << 10;

/// Appended and not yet in segments, bytes per shard and directory: with more, writing has fallen behind and is not paced.
/// Chunks that still fill count, so many busy partitions are never paced. Nor is it with more than [`JOURNAL_SHORT_PERCENT`] of the journal in use: appends would soon have to wait.
pub const SEGMENT_BACKLOG_BYTES: u64 = 32 << 20;
pub const JOURNAL_SHORT_PERCENT: u64 = 75;

/// Bytes of one allocation step of a segment, doubled from the smallest to the largest as it grows.
pub const ALLOCATE_BYTES_MIN: u64 = 64 << 10;
pub const ALLOCATE_BYTES_MAX: u64 = 64 << 20;

/// Longest time between two checkpoints of a shard that has appended, milliseconds.
pub const CHECKPOINT_EVERY_MS: u64 = 5_000;

/// Logs that one checkpoint writes and syncs at the same time.
pub const CHECKPOINT_SYNCS_MAX: usize = 16;

/// Logs that a checkpoint takes down before the shard's other tasks get their turn.
pub const SNAPSHOT_LOGS_PER_TURN: usize = 32;

/// Free disk space below which appends are refused, bytes.
pub const DISK_RESERVE_BYTES: u64 = 64 << 20;

/// How often free disk space is looked up, milliseconds.
pub const DISK_SPACE_EVERY_MS: u64 = 500;

/// Producers whose state a partition keeps; the least recently used go first.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 10_000;

/// Batches remembered per producer to answer duplicates (as Kafka's `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const PRODUCER_BATCHES_MAX: usize = 5;

/// Bytes of one cold chunk, the unit of reading and caching segments.
pub const COLD_CHUNK_BYTES: usize = 256 << 10;

/// Cold chunks read ahead of a reader that moves forward.
pub const READ_AHEAD_CHUNKS: u64 = 4;

/// Segment files kept open per shard and directory, beside those in use.
pub const OPEN_SEGMENTS_MAX: usize = 512;

/// Segment indexes kept in memory per shard.
pub const CACHED_INDEXES_MAX: usize = 64;

const _: () = assert!(JOURNAL_FIRST_FILE_BYTES > 2 * COMMIT_BYTES_MAX as u64);
const _: () = assert!(COMMIT_BYTES_WORTH_A_WRITE <= COMMIT_BYTES_MAX);
const _: () = assert!((BATCH_BYTES_MAX as u64) < JOURNAL_FILE_BYTES - (1 << 20));
const _: () = assert!(CHUNK_BYTES_MIN.is_power_of_two() && CHUNK_BYTES_MAX.is_power_of_two());
const _: () = assert!(CHUNK_BYTES_MIN >= 2 * crate::io::PAGE_BYTES);
const _: () = assert!(COLD_CHUNK_BYTES.is_multiple_of(crate::io::PAGE_BYTES));
const _: () = assert!(ALLOCATE_BYTES_MIN.is_multiple_of(crate::io::PAGE_BYTES as u64));

/// Cold reads in flight per shard, few because commits share the device with them. Read-ahead begins only while more than
/// half of them are free.
pub const COLD_READS_MAX: usize = 2;

/// Cold reads in flight per directory in recovery, when nobody appends.
pub const RECOVERY_READS_MAX: usize = 8;

/// Bytes that a batch may unpack to where it is looked into: for a lookup by timestamp, for the cleaner, for a topic
/// whose `compression.type` or `cleanup.policy` asks for it.
pub const UNPACKED_BYTES_MAX: usize = 128 << 20;

/// Batches of a shard and directory that are unpacked at a time to be appended: each may take `UNPACKED_BYTES_MAX`.
pub const UNPACKING_MAX: usize = 2;

/// Records that a refusal names.
pub const REFUSED_RECORDS_MAX: usize = 100;

/// Bytes that are unpacked, and records that are looked at, before the shard's other tasks get their turn.
pub const UNPACK_SLICE_BYTES: u64 = 64 << 10;
pub const LOOKUP_RECORDS_PER_TURN: usize = 4096;

/// Bytes of one read while looking through a journal: the smallest, behind a commit whose payload is passed over, and the
/// largest, where page after page is looked at.
pub const JOURNAL_PEEK_BYTES: usize = 16 << 10;
pub const JOURNAL_SCAN_BYTES: usize = 1 << 20;

/// Journal files that recovery looks through side by side.
pub const JOURNAL_SCANS_MAX: usize = 8;

/// Bytes of commits that recovery reads ahead of the one it replays; a single larger commit is read alone.
pub const JOURNAL_AHEAD_BYTES: usize = 8 << 20;

/// Logs that recovery writes or syncs at the same time: each waits mostly for the disk, and the file system's own journal makes
/// many syncs durable with one write.
pub const RECOVERY_LOGS_MAX: usize = 64;

/// Kernel workers of recovery's ring: its creations, allocations and syncs are calls that block one each.
pub const RECOVERY_WORKERS: u32 = RECOVERY_LOGS_MAX as u32;

/// Largest checkpoint that a start reads, bytes: one read(2). Ten thousand idempotent producers take about 1 MB.
pub const CHECKPOINT_BYTES_MAX: u64 = 0x7fff_f000;

/// How long a commit waits for a place in the journal before its clients are told, milliseconds: less than they wait by
/// default (`request.timeout.ms`, 30 s).
pub const COMMIT_PATIENCE_MS: u64 = 20_000;

/// How long a journal that cannot grow waits before it tries again, milliseconds.
pub const JOURNAL_RETRY_MS: u64 = 200;

/// Bytes of one read and of one write of the cleaner.
pub const CLEAN_WINDOW_BYTES: usize = 256 << 10;

/// Bytes of records that the cleaner looks at before the shard's other tasks get their turn.
pub const CLEAN_SLICE_BYTES: usize = 64 << 10;

/// While a shard takes batches the cleaner pauses this many times as long as it worked ...
pub const CLEAN_BUSY_SHARE: u32 = 4;
/// ... but at most this long at a time.
pub const CLEAN_PAUSE_MAX: Duration = Duration::from_millis(10);

const _: () = assert!(CLEAN_WINDOW_BYTES.is_multiple_of(crate::io::PAGE_BYTES));
const _: () = assert!(SEGMENT_WRITE_BYTES.is_multiple_of(crate::io::PAGE_BYTES));
const _: () = assert!(JOURNAL_PEEK_BYTES.is_multiple_of(crate::io::PAGE_BYTES));
const _: () = assert!(JOURNAL_SCAN_BYTES.is_multiple_of(crate::io::PAGE_BYTES));
const _: () = assert!(CLEAN_SLICE_BYTES <= CLEAN_WINDOW_BYTES);
