//! Fetch, every version.

use crate::{any_bytes, any_name, any_tags, any_uuid, peer_body, peer_frame, string};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request as peer_request;
use kafka_protocol::messages::fetch_response as peer;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use thalweg_protocol::fetch::*;
use thalweg_protocol::{CurrentLeader, NodeEndpoint, TopicRef};

fn any_partition(version: i16) -> impl Strategy<Value = peer_request::FetchPartition> {
    let fields = (any::<(i32, i32, i64, i32, i64, i32, i64)>(), any_uuid(), any_tags());
    fields.prop_map(
        move |((index, epoch, offset, last_epoch, start, max_bytes, watermark), directory, tags)| {
            let mut partition = peer_request::FetchPartition::default()
                .with_partition(index)
                .with_fetch_offset(offset)
                .with_partition_max_bytes(max_bytes);
            if version >= 5 {
                partition.log_start_offset = start;
            }
            if version >= 9 {
                partition.current_leader_epoch = epoch;
            }
            if version >= 12 {
                partition.last_fetched_epoch = last_epoch;
                partition.unknown_tagged_fields = tags;
            }
            if version >= 17 {
                partition.replica_directory_id = directory;
            }
            if version >= 18 {
                partition.high_watermark = watermark;
            }
            partition
        },
    )
}

fn any_topic(version: i16) -> impl Strategy<Value = peer_request::FetchTopic> {
    (any_name(), any_uuid(), vec(any_partition(version), 0..4), any_tags()).prop_map(
        move |(name, id, partitions, tags)| {
            let topic = peer_request::FetchTopic::default().with_partitions(partitions);
            let topic =
                if version >= 13 { topic.with_topic_id(id) } else { topic.with_topic(string(&name).into()) };
            if version >= 12 { topic.with_unknown_tagged_fields(tags) } else { topic }
        },
    )
}

fn any_forgotten(version: i16) -> impl Strategy<Value = peer_request::ForgottenTopic> {
    (any_name(), any_uuid(), vec(any::<i32>(), 0..5)).prop_map(move |(name, id, partitions)| {
        let topic = peer_request::ForgottenTopic::default().with_partitions(partitions);
        if version >= 13 { topic.with_topic_id(id) } else { topic.with_topic(string(&name).into()) }
    })
}

fn any_request() -> impl Strategy<Value = (i16, peer_request::FetchRequest)> {
    (4i16..=18).prop_flat_map(|version| {
        let scalars = any::<(i32, i32, i32, i32, i8, i32, i32, i64)>();
        let arrays = (vec(any_topic(version), 0..4), vec(any_forgotten(version), 0..4));
        (scalars, arrays, any_name(), option::of(any_name()), any_tags()).prop_map(
            move |(scalars, (topics, forgotten), rack, cluster, tags)| {
                let (replica, wait, min, max, isolation, session, epoch, replica_epoch) = scalars;
                let mut request = peer_request::FetchRequest::default()
                    .with_max_wait_ms(wait)
                    .with_min_bytes(min)
                    .with_max_bytes(max)
                    .with_isolation_level(isolation)
                    .with_topics(topics);
                if version <= 14 {
                    request.replica_id = replica.into();
                } else {
                    request.replica_state = peer_request::ReplicaState::default()
                        .with_replica_id(replica.into())
                        .with_replica_epoch(replica_epoch);
                }
                if version >= 7 {
                    request = request
                        .with_session_id(session)
                        .with_session_epoch(epoch)
                        .with_forgotten_topics_data(forgotten);
                }
                if version >= 11 {
                    request.rack_id = string(&rack);
                }
                if version >= 12 {
                    request = request
                        .with_cluster_id(cluster.as_deref().map(string))
                        .with_unknown_tagged_fields(tags);
                }
                (version, request)
            },
        )
    })
}

fn assert_topic(topic: TopicRef<'_>, name: &str, id: uuid::Uuid) {
    match topic {
        TopicRef::Name(found) => assert_eq!(found, name),
        TopicRef::Id(found) => assert_eq!(found, id),
    }
}

fn assert_same(request: &FetchRequest, peer: &peer_request::FetchRequest) {
    let replica_id = if request.version() >= 15 { peer.replica_state.replica_id } else { peer.replica_id };
    let replica = ReplicaState { replica_id: replica_id.0, replica_epoch: peer.replica_state.replica_epoch };
    assert_eq!(request.replica, replica);
    assert_eq!((request.max_wait_ms, request.min_bytes), (peer.max_wait_ms, peer.min_bytes));
    assert_eq!((request.max_bytes, request.isolation_level), (peer.max_bytes, peer.isolation_level));
    assert_eq!((request.session_id, request.session_epoch), (peer.session_id, peer.session_epoch));
    assert_eq!(request.rack_id(), peer.rack_id.as_str());
    assert_eq!(request.cluster_id(), peer.cluster_id.as_deref());
    assert_eq!(request.topics().count(), peer.topics.len());
    for (topic, peer) in request.topics().zip(&peer.topics) {
        assert_topic(topic.topic, peer.topic.as_str(), peer.topic_id);
        let expected = peer.partitions.iter().map(|peer| FetchPartition {
            index: peer.partition,
            current_leader_epoch: peer.current_leader_epoch,
            fetch_offset: peer.fetch_offset,
            last_fetched_epoch: peer.last_fetched_epoch,
            log_start_offset: peer.log_start_offset,
            max_bytes: peer.partition_max_bytes,
            replica_directory_id: peer.replica_directory_id,
            high_watermark: peer.high_watermark,
        });
        assert_eq!(topic.partitions.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
    assert_eq!(request.forgotten().count(), peer.forgotten_topics_data.len());
    for (topic, peer) in request.forgotten().zip(&peer.forgotten_topics_data) {
        assert_topic(topic.topic, peer.topic.as_str(), peer.topic_id);
        assert_eq!(topic.partitions.collect::<Vec<_>>(), peer.partitions);
    }
}

/// What both sides' responses are made from.
#[derive(Debug, Clone)]
struct Response {
    scalars: (i32, i16, i32),
    topics: Vec<(String, uuid::Uuid, Vec<Partition>)>,
    endpoints: Vec<(i32, String, i32, Option<String>)>,
}

#[derive(Debug, Clone)]
struct Partition {
    scalars: (i32, i16, i64, i64, i64, i32),
    aborted: Option<Vec<(i64, i64)>>,
    /// Sent as several slices.
    records: Option<Vec<Bytes>>,
    diverging: Option<(i32, i64)>,
    leader: Option<(i32, i32)>,
    snapshot: Option<(i64, i32)>,
}

fn any_response() -> impl Strategy<Value = Response> {
    let tags = (
        option::of((0..i32::MAX, any::<i64>())),
        option::of((0..i32::MAX, any::<i32>())),
        option::of((0..i64::MAX, any::<i32>())),
    );
    let aborted = option::of(vec(any::<(i64, i64)>(), 0..3));
    let partition =
        (any::<(i32, i16, i64, i64, i64, i32)>(), aborted, option::of(vec(any_bytes(), 0..4)), tags)
            .prop_map(|(scalars, aborted, records, (diverging, leader, snapshot))| Partition {
                scalars,
                aborted,
                records,
                diverging,
                leader,
                snapshot,
            });
    let topics = vec((any_name(), any_uuid(), vec(partition, 0..4)), 0..4);
    let endpoints = vec((any::<i32>(), any_name(), any::<i32>(), option::of(any_name())), 0..3);
    (any::<(i32, i16, i32)>(), topics, endpoints).prop_map(|(scalars, topics, endpoints)| Response {
        scalars,
        topics,
        endpoints,
    })
}

impl Response {
    fn ours(&self, version: i16) -> FetchResponse<'_, Vec<Bytes>> {
        let topics = self.topics.iter().map(|(name, id, partitions)| TopicFetchResponse {
            topic: if version >= 13 { TopicRef::Id(*id) } else { TopicRef::Name(name) },
            partitions: partitions.iter().map(Partition::ours).collect(),
        });
        let node_endpoints = self.endpoints.iter().map(|(node_id, host, port, rack)| NodeEndpoint {
            node_id: *node_id,
            host,
            port: *port,
            rack: rack.as_deref(),
        });
        let (throttle_time_ms, error_code, session_id) = self.scalars;
        FetchResponse {
            throttle_time_ms,
            error_code,
            session_id,
            topics: topics.collect(),
            node_endpoints: node_endpoints.collect(),
        }
    }

    fn peer(&self, version: i16) -> peer::FetchResponse {
        let topics = self.topics.iter().map(|(name, id, partitions)| {
            let topic = peer::FetchableTopicResponse::default()
                .with_partitions(partitions.iter().map(|partition| partition.peer(version)).collect());
            if version >= 13 { topic.with_topic_id(*id) } else { topic.with_topic(string(name).into()) }
        });
        let endpoints = self.endpoints.iter().map(|(node_id, host, port, rack)| {
            peer::NodeEndpoint::default()
                .with_node_id((*node_id).into())
                .with_host(string(host))
                .with_port(*port)
                .with_rack(rack.as_deref().map(string))
        });
        let (throttle_time_ms, error_code, session_id) = self.scalars;
        let mut response = peer::FetchResponse::default()
            .with_throttle_time_ms(throttle_time_ms)
            .with_responses(topics.collect());
        if version >= 7 {
            response = response.with_error_code(error_code).with_session_id(session_id);
        }
        if version >= 16 {
            response = response.with_node_endpoints(endpoints.collect());
        }
        response
    }
}

impl Partition {
    fn ours(&self) -> PartitionFetchResponse<Vec<Bytes>> {
        let (index, error_code, high_watermark, last_stable_offset, log_start_offset, replica) = self.scalars;
        let aborted = |list: &Vec<(i64, i64)>| {
            let entries = list.iter();
            entries
                .map(|&(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset })
                .collect()
        };
        PartitionFetchResponse {
            index,
            error_code,
            high_watermark,
            last_stable_offset,
            log_start_offset,
            diverging_epoch: self.diverging.map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset }),
            current_leader: self
                .leader
                .map(|(leader_id, leader_epoch)| CurrentLeader { leader_id, leader_epoch }),
            snapshot_id: self.snapshot.map(|(end_offset, epoch)| SnapshotId { end_offset, epoch }),
            aborted_transactions: self.aborted.as_ref().map(aborted),
            preferred_read_replica: replica,
            records: self.records.clone(),
        }
    }

    fn peer(&self, version: i16) -> peer::PartitionData {
        let (index, error_code, high_watermark, last_stable_offset, log_start_offset, replica) = self.scalars;
        let aborted = |list: &Vec<(i64, i64)>| {
            let entry = |&(id, offset): &(i64, i64)| {
                peer::AbortedTransaction::default().with_producer_id(id.into()).with_first_offset(offset)
            };
            list.iter().map(entry).collect()
        };
        let mut partition = peer::PartitionData::default()
            .with_partition_index(index)
            .with_error_code(error_code)
            .with_high_watermark(high_watermark)
            .with_last_stable_offset(last_stable_offset)
            .with_log_start_offset(log_start_offset)
            .with_aborted_transactions(self.aborted.as_ref().map(aborted))
            .with_records(self.records.as_ref().map(|slices| slices.concat().into()));
        if version >= 11 {
            partition.preferred_read_replica = replica.into();
        }
        if version >= 12 {
            if let Some((epoch, end)) = self.diverging {
                partition.diverging_epoch =
                    peer::EpochEndOffset::default().with_epoch(epoch).with_end_offset(end);
            }
            if let Some((id, epoch)) = self.leader {
                partition.current_leader =
                    peer::LeaderIdAndEpoch::default().with_leader_id(id.into()).with_leader_epoch(epoch);
            }
            if let Some((end, epoch)) = self.snapshot {
                partition.snapshot_id = peer::SnapshotId::default().with_end_offset(end).with_epoch(epoch);
            }
        }
        partition
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn requests_decode_as_the_peer_wrote_them((version, peer) in any_request(), junk in 0usize..40) {
        let request = FetchRequest::decode(peer_body(&peer, junk, version), junk, version).unwrap();
        assert_same(&request, &peer);
    }

    #[test]
    fn no_truncated_request_decodes((version, peer) in any_request()) {
        let frame = peer_body(&peer, 0, version);
        for cut in 0..frame.len() {
            prop_assert!(FetchRequest::decode(frame.slice(..cut), 0, version).is_err(), "cut at {}", cut);
        }
    }

    #[test]
    fn no_flipped_byte_makes_it_panic((version, peer) in any_request(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut frame = peer_body(&peer, 0, version).to_vec();
        let at = at.index(frame.len());
        frame[at] ^= flip;
        if let Ok(request) = FetchRequest::decode(frame.into(), 0, version) {
            for topic in request.topics() {
                prop_assert_eq!(topic.partitions.len(), topic.partitions.count());
            }
            for topic in request.forgotten() {
                prop_assert_eq!(topic.partitions.len(), topic.partitions.count());
            }
        }
    }

    #[test]
    fn responses_encode_as_the_peer_does(response in any_response(), version in 4i16..=18, correlation_id in any::<i32>()) {
        let encoded = response.ours(version).encode(correlation_id, version).unwrap();
        let total_bytes = encoded.total_bytes;
        let payloads = encoded.pieces.iter().filter(|piece| matches!(piece, Piece::Payload(_))).count();
        let sent = response.topics.iter().flat_map(|(_, _, partitions)| partitions);
        let sent = sent.filter(|partition| partition.records.iter().flatten().any(|slice| !slice.is_empty())).count();
        prop_assert_eq!(payloads, sent);
        let slices = encoded.into_slices();
        prop_assert_eq!(slices.iter().map(Bytes::len).sum::<usize>(), total_bytes);
        prop_assert_eq!(Bytes::from(slices.concat()), peer_frame(&response.peer(version), correlation_id, version));
    }
}

/// Versions 0 to 3 are not in `kafka-protocol`: these bytes follow Kafka 3.2.0's schema.
#[test]
fn old_requests_lack_limits_and_isolation() {
    for version in 0..=3 {
        let mut body = BytesMut::new();
        body.put_i32(-1);
        body.put_i32(500);
        body.put_i32(1);
        if version == 3 {
            body.put_i32(1 << 20);
        }
        body.put_i32(1);
        body.put_i16(1);
        body.put_slice(b"t");
        body.put_i32(1);
        body.put_i32(7);
        body.put_i64(42);
        body.put_i32(1 << 10);
        let body = body.freeze();
        let request = FetchRequest::decode(body.clone(), 0, version).unwrap();
        let max_bytes = if version == 3 { 1 << 20 } else { i32::MAX };
        assert_eq!((request.max_bytes, request.isolation_level, request.session_epoch), (max_bytes, 0, -1));
        let topic = request.topics().next().unwrap();
        assert_eq!(topic.topic, TopicRef::Name("t"));
        let partitions: Vec<_> = topic.partitions.collect();
        assert_eq!(
            (partitions[0].index, partitions[0].fetch_offset, partitions[0].max_bytes),
            (7, 42, 1 << 10)
        );
        for cut in 0..body.len() {
            assert!(FetchRequest::decode(body.slice(..cut), 0, version).is_err());
        }
    }
    assert!(FetchRequest::decode(Bytes::new(), 0, -1).is_err());
    assert!(FetchRequest::decode(Bytes::new(), 0, VERSION_MAX + 1).is_err());
}

#[test]
fn old_responses_lack_throttle_and_stable_offset() {
    for version in 0..=3 {
        let mut expected = BytesMut::new();
        expected.put_i32(0);
        expected.put_i32(99);
        if version >= 1 {
            expected.put_i32(5);
        }
        expected.put_i32(1);
        expected.put_i16(1);
        expected.put_slice(b"t");
        expected.put_i32(1);
        expected.put_i32(7);
        expected.put_i16(0);
        expected.put_i64(42);
        expected.put_i32(3);
        expected.put_slice(b"abc");
        let size = expected.len() as i32 - 4;
        expected[..4].copy_from_slice(&size.to_be_bytes());
        let partition = PartitionFetchResponse {
            error_code: 0,
            high_watermark: 42,
            records: Some(Bytes::from_static(b"abc")),
            ..PartitionFetchResponse::refused(7, 0)
        };
        let response = FetchResponse {
            throttle_time_ms: 5,
            error_code: 0,
            session_id: 0,
            topics: vec![TopicFetchResponse { topic: TopicRef::Name("t"), partitions: vec![partition] }],
            node_endpoints: Vec::new(),
        };
        let encoded = response.encode(99, version).unwrap();
        let mut sent = BytesMut::new();
        for piece in &encoded.pieces {
            match piece {
                Piece::Encoded(bytes) | Piece::Payload(bytes) => sent.put_slice(bytes),
            }
        }
        assert_eq!(sent, expected, "v{version}");
    }
}

/// A payload whose bytes are not there yet: only its length is asked for.
struct Cursor(usize);

impl Payload for Cursor {
    fn payload_bytes(&self) -> usize {
        self.0
    }
}

fn one_partition(records: Cursor) -> FetchResponse<'static, Cursor> {
    let partition =
        PartitionFetchResponse { records: Some(records), ..PartitionFetchResponse::refused(0, 0) };
    FetchResponse {
        throttle_time_ms: 0,
        error_code: 0,
        session_id: 0,
        topics: vec![TopicFetchResponse { topic: TopicRef::Name("t"), partitions: vec![partition] }],
        node_endpoints: Vec::new(),
    }
}

#[test]
fn a_payload_may_be_a_promise() {
    let encoded = one_partition(Cursor(1 << 30)).encode(1, 12).unwrap();
    assert!(encoded.total_bytes > 1 << 30);
    let Piece::Encoded(head) = &encoded.pieces[0] else { panic!("a response begins with its header") };
    let size = i32::from_be_bytes(head[..4].try_into().unwrap());
    assert_eq!(size as usize + 4, encoded.total_bytes);
    assert!(matches!(&encoded.pieces[1], Piece::Payload(Cursor(bytes)) if *bytes == 1 << 30));
}

#[test]
fn a_frame_beyond_its_size_field_is_refused() {
    assert!(one_partition(Cursor(i32::MAX as usize)).encode(1, 12).is_err());
    assert!(one_partition(Cursor(i32::MAX as usize)).encode(1, 11).is_err());
    assert!(one_partition(Cursor(usize::MAX / 2)).encode(1, 11).is_err());
}
