//! What each of a topic's settings does to its log, also when it is changed while the log is in use.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use thalweg_engine::error::{AppendError, ReadError, Rejection};
use thalweg_engine::id::{PartitionId, TopicPartition};
use thalweg_engine::io::sim::{SimOptions, SimWorld};
use thalweg_engine::log::{Appended, Durability, LogOptions, ReadRequest, TimestampType};
use thalweg_protocol::batch::{BatchBuilder, BatchView, Codec, TimestampType as StampedBy};
use uuid::Uuid;

use crate::batch;
use crate::harness::{Server, engine_options};

const ID: PartitionId = PartitionId { topic: Uuid::from_u128(4), index: 0 };
const NOW_MS: i64 = 1_700_000_000_000;

/// One log on one machine.
struct Topic {
    server: Server,
    next_id: u64,
}

impl Topic {
    fn new(options: LogOptions) -> Topic {
        let server = Server::start(&SimWorld::new(SimOptions::new(1)), &engine_options(1));
        let storage = Rc::clone(server.storage_of(ID));
        let name = TopicPartition { topic: "settings".into(), partition: 0 };
        let create = async move { storage.create(&name, ID, Arc::new(options)).await.map(drop) };
        server.run(ID, create).unwrap().unwrap();
        Topic { server, next_id: 0 }
    }

    fn set(&self, options: LogOptions) {
        let storage = Rc::clone(self.server.storage_of(ID));
        self.server
            .run(ID, async move { storage.set_options(ID, Arc::new(options)).await })
            .unwrap()
            .unwrap();
    }

    fn try_append(&self, batch: impl Into<Bytes>) -> Result<Appended, AppendError> {
        let (log, batch) = (self.server.log(ID).unwrap(), batch.into());
        self.server.run(ID, async move { log.append(batch).await }).unwrap()
    }

    fn append(&mut self, bytes: usize, time_ms: i64) -> Appended {
        self.next_id += 1;
        self.try_append(batch::build(self.next_id, 1, bytes, time_ms, None)).unwrap()
    }

    fn rest(&self, ms: u64) {
        self.server.runner.run_for(Duration::from_millis(ms)).unwrap();
    }

    /// Names of the log's files that end so, with their sizes.
    fn files(&self, suffix: &str) -> Vec<(String, u64)> {
        let log = self.server.log(ID).unwrap();
        let entries = self.server.runner.io(0).driver().list_dir(log.directory()).unwrap();
        let mut files: Vec<_> = entries
            .into_iter()
            .filter(|entry| entry.name.ends_with(suffix))
            .map(|entry| (entry.name, entry.len))
            .collect();
        files.sort();
        files
    }

    /// Base offsets of the segments, once everything is written.
    fn segments(&self) -> Vec<i64> {
        self.rest(6_000);
        let base = |(name, _): (String, u64)| name[..20].parse().unwrap();
        self.files(".log").into_iter().map(base).collect()
    }

    fn read(&self, offset: i64) -> Result<Vec<u8>, ReadError> {
        let log = self.server.log(ID).unwrap();
        let request = ReadRequest { offset, max_bytes: 1 << 20, at_least_one: true };
        self.server.run(ID, async move { log.read(request).await }).unwrap().map(|slice| slice.bytes.concat())
    }

    fn now_ms(&self) -> i64 {
        self.server.runner.io(0).wall_clock_ms()
    }
}

fn plain() -> LogOptions {
    LogOptions { retention_ms: None, ..LogOptions::default() }
}

#[test]
fn segment_bytes_closes_a_segment_and_counts_at_once() {
    let mut topic = Topic::new(LogOptions { segment_bytes: 10_000, ..plain() });
    for _ in 0..4 {
        topic.append(4_000, NOW_MS);
    }
    assert_eq!(topic.segments(), [0, 2]);
    topic.set(LogOptions { segment_bytes: 5_000, ..plain() });
    for _ in 0..2 {
        topic.append(4_000, NOW_MS);
    }
    assert_eq!(topic.segments(), [0, 2, 4, 5]);
}

#[test]
fn segment_ms_counts_by_the_records_time_and_jitter_shortens_it() {
    let mut topic = Topic::new(LogOptions { segment_ms: 1_000, ..plain() });
    for time_ms in [0, 1_000, 1_001] {
        topic.append(10, NOW_MS + time_ms);
    }
    assert_eq!(topic.segments(), [0, 2]);
    let mut topic = Topic::new(LogOptions { segment_ms: 1_000_000, segment_jitter_ms: 1_000_000, ..plain() });
    for n in 0..50 {
        topic.append(10, NOW_MS + n * 100_000);
    }
    // Without jitter every eleventh record would open one.
    assert!(topic.segments().len() > 5, "{:?}", topic.segments());
}

#[test]
fn segment_index_bytes_and_index_interval_bytes_bound_the_index() {
    // Room for two entries of the time index, of which it keeps one for its last, as Kafka's does.
    let options = LogOptions { segment_index_bytes: 24, index_interval_bytes: 1_000, ..plain() };
    let mut topic = Topic::new(options);
    for _ in 0..10 {
        topic.append(1_000, NOW_MS);
    }
    assert_eq!(topic.segments(), [0, 2, 4, 6, 8]);
    let mut topic = Topic::new(LogOptions { index_interval_bytes: 3_000, segment_bytes: 20_000, ..plain() });
    for n in 0..40 {
        topic.append(900, NOW_MS + n);
    }
    assert!(topic.segments().len() == 2);
    // One entry of eight bytes for every four batches of about 980.
    assert_eq!(topic.files(".index")[0].1, 32);
}

#[test]
fn preallocate_gives_a_segment_its_whole_size_until_it_is_closed() {
    let options = LogOptions { segment_bytes: 1 << 20, preallocate: true, ..plain() };
    let mut topic = Topic::new(options);
    topic.append(4_000, NOW_MS);
    topic.rest(6_000);
    assert_eq!(topic.files(".log")[0].1, 1 << 20);
    for _ in 0..270 {
        topic.append(4_000, NOW_MS);
    }
    topic.rest(6_000);
    let sizes: Vec<u64> = topic.files(".log").into_iter().map(|(_, size)| size).collect();
    assert!(sizes[0] < 1 << 20 && sizes[1] == 1 << 20, "{sizes:?}");
}

#[test]
fn max_message_bytes_counts_at_once() {
    let mut topic = Topic::new(LogOptions { message_bytes_max: 1_000, ..plain() });
    let large = batch::build(1, 1, 2_000, NOW_MS, None);
    assert!(matches!(
        topic.try_append(large.clone()),
        Err(AppendError::Rejected(Rejection::TooLarge { max: 1_000, .. }))
    ));
    topic.append(10, NOW_MS);
    topic.set(LogOptions { message_bytes_max: 3_000, ..plain() });
    topic.try_append(large).unwrap();
}

#[test]
fn timestamps_are_the_producers_within_bounds_or_the_brokers() {
    let topic = Topic::new(LogOptions { timestamp_difference_max_ms: 60_000, ..plain() });
    let at = |time_ms| batch::build(1, 1, 10, time_ms, None);
    let now_ms = topic.now_ms();
    topic.try_append(at(now_ms - 59_000)).unwrap();
    assert!(matches!(
        topic.try_append(at(now_ms - 61_000)),
        Err(AppendError::Rejected(Rejection::InvalidTimestamp { .. }))
    ));
    topic.set(LogOptions { timestamp_type: TimestampType::LogAppendTime, ..plain() });
    let appended = topic.try_append(at(5)).unwrap();
    let stored = topic.read(appended.base_offset).unwrap();
    let view = BatchView::parse(&stored).unwrap();
    assert_eq!(view.timestamp_type(), StampedBy::LogAppendTime);
    assert_eq!(view.max_timestamp(), appended.log_append_time_ms);
    assert!(view.crc_ok() && appended.log_append_time_ms >= now_ms);
}

#[test]
fn retention_by_time_takes_whole_segments_and_their_offsets_are_out_of_range() {
    let mut topic = Topic::new(LogOptions {
        segment_bytes: 5_000,
        retention_ms: Some(30_000),
        file_delete_delay_ms: 2_500,
        ..plain()
    });
    let start_ms = topic.now_ms();
    for n in 0..4 {
        topic.append(4_000, start_ms + n * 10_000);
    }
    assert_eq!(topic.segments(), [0, 1, 2, 3]);
    topic.rest(27_000);
    assert_eq!(topic.server.log(ID).unwrap().log_start(), 1);
    assert!(matches!(topic.read(0), Err(ReadError::OutOfRange { log_start: 1, .. })));
    assert!(topic.read(1).is_ok());
    topic.rest(60_000);
    // All are old, also the active one: it was closed for that, and an empty one is left.
    assert_eq!(topic.server.log(ID).unwrap().log_start(), 4);
    topic.rest(20_000);
    assert_eq!(topic.files(".deleted"), []);
    topic.append(10, topic.now_ms());
    assert!(topic.read(4).is_ok());
}

#[test]
fn deleted_files_stay_for_file_delete_delay_ms() {
    let mut topic = Topic::new(LogOptions { segment_bytes: 5_000, file_delete_delay_ms: 60_000, ..plain() });
    for _ in 0..4 {
        topic.append(4_000, NOW_MS);
    }
    topic.rest(6_000);
    topic.set(LogOptions { retention_bytes: Some(8_000), file_delete_delay_ms: 60_000, ..plain() });
    topic.rest(8_000);
    assert_eq!(topic.server.log(ID).unwrap().log_start(), 2);
    let deleted = topic.files(".log.deleted").len();
    assert_eq!(deleted, 2);
    topic.rest(70_000);
    assert_eq!(topic.files(".deleted"), []);
}

#[test]
fn compression_type_packs_anew_what_comes_otherwise() {
    let text = b"all work and no play ".repeat(100);
    let batch = BatchBuilder::new()
        .producer(7, 0, 0)
        .record(NOW_MS, Some(b"k"), Some(&text))
        .record(NOW_MS + 5, None, Some(&text))
        .build();
    let topic = Topic::new(plain());
    let mut previous = batch.clone();
    let mut sequence = 0;
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd, Codec::None] {
        topic.set(LogOptions { compression: Some(codec), ..plain() });
        // What the last codec made of it comes as if from a producer.
        let mut sent = previous.clone();
        sequence += 2;
        renumber(&mut sent, sequence - 2);
        let appended = topic.try_append(sent).unwrap();
        let stored = topic.read(appended.base_offset).unwrap();
        let view = BatchView::parse(&stored).unwrap();
        assert!(view.crc_ok() && view.codec() == Some(codec), "{codec:?}: {view:?}");
        assert!(codec == Codec::None || stored.len() < batch.len() / 4, "{codec:?}: {} bytes", stored.len());
        assert_eq!((view.count(), view.base_timestamp(), view.max_timestamp()), (2, NOW_MS, NOW_MS + 5));
        assert_eq!((view.producer_id(), view.base_sequence()), (7, sequence - 2));
        previous = stored;
    }
    assert_eq!(
        previous[thalweg_protocol::batch::HEADER_BYTES..],
        batch[thalweg_protocol::batch::HEADER_BYTES..]
    );
    // Unpacked it is larger than the topic allows.
    topic.set(LogOptions { compression: Some(Codec::Gzip), ..plain() });
    renumber(&mut previous, sequence);
    let appended = topic.try_append(previous).unwrap();
    let packed = topic.read(appended.base_offset).unwrap();
    let small = LogOptions { compression: Some(Codec::None), message_bytes_max: 1_000, ..plain() };
    topic.set(small);
    let mut packed = packed;
    renumber(&mut packed, sequence + 2);
    assert!(matches!(topic.try_append(packed), Err(AppendError::Rejected(Rejection::TooLarge { .. }))));
}

/// As another batch of the same producer, without offsets.
fn renumber(batch: &mut [u8], sequence: i32) {
    use thalweg_protocol::batch::{ATTRIBUTES_AT, BASE_SEQUENCE_AT, CRC_AT, stamp};
    stamp(batch, 0, -1);
    batch[BASE_SEQUENCE_AT..BASE_SEQUENCE_AT + 4].copy_from_slice(&sequence.to_be_bytes());
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

#[test]
fn a_compacted_topic_takes_no_record_without_a_key() {
    let topic = Topic::new(LogOptions { compact: true, ..plain() });
    let batch = BatchBuilder::new()
        .record(NOW_MS, Some(b"k"), Some(b"v"))
        .record(NOW_MS, None, Some(b"v"))
        .record(NOW_MS, Some(b""), None)
        .build();
    let Err(AppendError::Rejected(Rejection::WithoutKey { records, .. })) = topic.try_append(batch.clone())
    else {
        panic!("it was taken")
    };
    assert_eq!(records, [1]);
    topic.set(plain());
    topic.try_append(batch).unwrap();
}

#[test]
fn records_that_cannot_be_read_are_refused_where_they_have_to_be() {
    let topic = Topic::new(LogOptions { compression: Some(Codec::Zstd), ..plain() });
    let mut batch = BatchBuilder::new().record(NOW_MS, None, Some(&[7; 200])).build();
    batch[thalweg_protocol::batch::HEADER_BYTES] = 0xFF;
    renumber(&mut batch, -1);
    assert!(matches!(topic.try_append(batch), Err(AppendError::Rejected(Rejection::Unreadable { .. }))));
}

/// `flush.messages` and `flush.ms` turn a log that would not be synced into one whose every answer is.
#[test]
fn flush_settings_make_answers_durable() {
    for flush in [LogOptions { flush_ms: 1_000, ..plain() }, LogOptions { flush_messages: 1, ..plain() }] {
        let mut topic = Topic::new(LogOptions { durability: Durability::Memory, ..plain() });
        topic.append(10, NOW_MS);
        topic.set(LogOptions { durability: Durability::Memory, ..flush });
        topic.append(10, NOW_MS);
        let world = topic.server.runner.world().power_loss();
        let server = Server::start(&world, &engine_options(1));
        assert_eq!(server.log(ID).unwrap().end(), 2);
    }
}
