//! Produce, every version.

use crate::{any_bytes, any_name, any_tags, any_uuid, peer_body, peer_frame, string};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::produce_request::{
    PartitionProduceData, ProduceRequest as PeerRequest, TopicProduceData,
};
use kafka_protocol::messages::produce_response as peer;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use thalweg_protocol::produce::*;
use thalweg_protocol::{CurrentLeader, NodeEndpoint, TopicRef};

fn peer_partition(version: i16) -> impl Strategy<Value = PartitionProduceData> {
    (any::<i32>(), option::of(any_bytes()), any_tags()).prop_map(move |(index, records, tags)| {
        let partition = PartitionProduceData::default().with_index(index).with_records(records);
        if version >= 9 { partition.with_unknown_tagged_fields(tags) } else { partition }
    })
}

fn peer_topic(version: i16) -> impl Strategy<Value = TopicProduceData> {
    (any_name(), any_uuid(), vec(peer_partition(version), 0..4), any_tags()).prop_map(
        move |(name, id, partitions, tags)| {
            let topic = TopicProduceData::default().with_partition_data(partitions);
            let topic =
                if version >= 13 { topic.with_topic_id(id) } else { topic.with_name(string(&name).into()) };
            if version >= 9 { topic.with_unknown_tagged_fields(tags) } else { topic }
        },
    )
}

fn peer_request() -> impl Strategy<Value = (i16, PeerRequest)> {
    (3i16..=13).prop_flat_map(|version| {
        let fields =
            (option::of(any_name()), any::<i16>(), any::<i32>(), vec(peer_topic(version), 0..4), any_tags());
        fields.prop_map(move |(transactional_id, acks, timeout_ms, topics, tags)| {
            let request = PeerRequest::default()
                .with_transactional_id(transactional_id.map(|id| string(&id).into()))
                .with_acks(acks)
                .with_timeout_ms(timeout_ms)
                .with_topic_data(topics);
            (version, if version >= 9 { request.with_unknown_tagged_fields(tags) } else { request })
        })
    })
}

/// Whether `request` says what `peer` does, and holds records by reference into `frame`.
fn assert_same(request: &ProduceRequest, peer: &PeerRequest, frame: &Bytes) {
    assert_eq!(request.transactional_id(), peer.transactional_id.as_ref().map(|id| id.as_str()));
    assert_eq!((request.acks(), request.timeout_ms()), (peer.acks, peer.timeout_ms));
    assert_eq!(request.topic_count(), peer.topic_data.len());
    assert_eq!(request.topics().count(), peer.topic_data.len());
    for (topic, peer) in request.topics().zip(&peer.topic_data) {
        match topic.topic {
            TopicRef::Name(name) => assert_eq!(name, peer.name.as_str()),
            TopicRef::Id(id) => assert_eq!(id, peer.topic_id),
        }
        assert_eq!(topic.partitions().count(), peer.partition_data.len());
        for (partition, peer) in topic.partitions().zip(&peer.partition_data) {
            assert_eq!((partition.index, &partition.records), (peer.index, &peer.records));
            if let Some(records) = partition.records.filter(|records| !records.is_empty()) {
                assert!(frame.as_ptr_range().contains(&records.as_ptr()), "records were copied");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn requests_decode_as_the_peer_wrote_them((version, peer) in peer_request(), junk in 0usize..40) {
        let frame = peer_body(&peer, junk, version);
        let request = ProduceRequest::decode(frame.clone(), junk, version).unwrap();
        assert_same(&request, &peer, &frame);
    }

    #[test]
    fn no_truncated_request_decodes((version, peer) in peer_request()) {
        let frame = peer_body(&peer, 0, version);
        for cut in 0..frame.len() {
            prop_assert!(ProduceRequest::decode(frame.slice(..cut), 0, version).is_err(), "cut at {}", cut);
        }
    }

    #[test]
    fn no_flipped_byte_makes_it_panic((version, peer) in peer_request(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut frame = peer_body(&peer, 0, version).to_vec();
        let at = at.index(frame.len());
        frame[at] ^= flip;
        if let Ok(request) = ProduceRequest::decode(frame.into(), 0, version) {
            for topic in request.topics() {
                prop_assert_eq!(topic.partitions().len(), topic.partitions().count());
            }
        }
    }

    #[test]
    fn responses_encode_as_the_peer_does(response in any_response(), version in 3i16..=13, correlation_id in any::<i32>()) {
        let mut frame = BytesMut::from(&b"earlier"[..]);
        response.ours(version).encode(correlation_id, version, &mut frame).unwrap();
        prop_assert_eq!(&frame[..7], b"earlier");
        prop_assert_eq!(frame.split_off(7).freeze(), peer_frame(&response.peer(version), correlation_id, version));
    }
}

/// What both sides' responses are made from.
#[derive(Debug, Clone)]
struct Response {
    throttle_time_ms: i32,
    topics: Vec<(String, uuid::Uuid, Vec<Partition>)>,
    endpoints: Vec<(i32, String, i32, Option<String>)>,
}

#[derive(Debug, Clone)]
struct Partition {
    index: i32,
    error_code: i16,
    offsets: (i64, i64, i64),
    record_errors: Vec<(i32, Option<String>)>,
    error_message: Option<String>,
    leader: Option<(i32, i32)>,
}

fn any_response() -> impl Strategy<Value = Response> {
    let partition = (
        any::<i32>(),
        any::<i16>(),
        any::<(i64, i64, i64)>(),
        vec((any::<i32>(), option::of(any_name())), 0..3),
        option::of(any_name()),
        option::of((0..i32::MAX, any::<i32>())),
    );
    let partition =
        partition.prop_map(|(index, error_code, offsets, record_errors, error_message, leader)| Partition {
            index,
            error_code,
            offsets,
            record_errors,
            error_message,
            leader,
        });
    let topics = vec((any_name(), any_uuid(), vec(partition, 0..4)), 0..4);
    let endpoints = vec((any::<i32>(), any_name(), any::<i32>(), option::of(any_name())), 0..3);
    (any::<i32>(), topics, endpoints).prop_map(|(throttle_time_ms, topics, endpoints)| Response {
        throttle_time_ms,
        topics,
        endpoints,
    })
}

impl Response {
    fn ours(&self, version: i16) -> ProduceResponse<'_> {
        let topics = self.topics.iter().map(|(name, id, partitions)| TopicProduceResponse {
            topic: if version >= 13 { TopicRef::Id(*id) } else { TopicRef::Name(name) },
            partitions: partitions.iter().map(Partition::ours).collect(),
        });
        let node_endpoints = self.endpoints.iter().map(|(node_id, host, port, rack)| NodeEndpoint {
            node_id: *node_id,
            host,
            port: *port,
            rack: rack.as_deref(),
        });
        ProduceResponse {
            topics: topics.collect(),
            throttle_time_ms: self.throttle_time_ms,
            node_endpoints: node_endpoints.collect(),
        }
    }

    fn peer(&self, version: i16) -> peer::ProduceResponse {
        let topics = self.topics.iter().map(|(name, id, partitions)| {
            let topic = peer::TopicProduceResponse::default().with_partition_responses(
                partitions.iter().map(|partition| partition.peer(version)).collect(),
            );
            if version >= 13 { topic.with_topic_id(*id) } else { topic.with_name(string(name).into()) }
        });
        let endpoints = self.endpoints.iter().map(|(node_id, host, port, rack)| {
            peer::NodeEndpoint::default()
                .with_node_id((*node_id).into())
                .with_host(string(host))
                .with_port(*port)
                .with_rack(rack.as_deref().map(string))
        });
        let response = peer::ProduceResponse::default()
            .with_responses(topics.collect())
            .with_throttle_time_ms(self.throttle_time_ms);
        if version >= 10 { response.with_node_endpoints(endpoints.collect()) } else { response }
    }
}

impl Partition {
    fn ours(&self) -> PartitionProduceResponse<'_> {
        let (base_offset, log_append_time_ms, log_start_offset) = self.offsets;
        let refusals = self.record_errors.iter();
        PartitionProduceResponse {
            index: self.index,
            error_code: self.error_code,
            base_offset,
            log_append_time_ms,
            log_start_offset,
            record_errors: refusals
                .map(|(batch_index, message)| RecordRefusal {
                    batch_index: *batch_index,
                    message: message.as_deref(),
                })
                .collect(),
            error_message: self.error_message.as_deref(),
            current_leader: self
                .leader
                .map(|(leader_id, leader_epoch)| CurrentLeader { leader_id, leader_epoch }),
        }
    }

    fn peer(&self, version: i16) -> peer::PartitionProduceResponse {
        let refusals = self.record_errors.iter().map(|(index, message)| {
            peer::BatchIndexAndErrorMessage::default()
                .with_batch_index(*index)
                .with_batch_index_error_message(message.as_deref().map(string))
        });
        let mut partition = peer::PartitionProduceResponse::default()
            .with_index(self.index)
            .with_error_code(self.error_code)
            .with_base_offset(self.offsets.0)
            .with_log_append_time_ms(self.offsets.1)
            .with_log_start_offset(self.offsets.2);
        if version >= 8 {
            partition = partition
                .with_record_errors(refusals.collect())
                .with_error_message(self.error_message.as_deref().map(string));
        }
        if let (Some((id, epoch)), 10..) = (self.leader, version) {
            let leader = peer::LeaderIdAndEpoch::default().with_leader_id(id.into()).with_leader_epoch(epoch);
            partition = partition.with_current_leader(leader);
        }
        partition
    }
}

/// Versions 0 to 2 are not in `kafka-protocol`: these bytes follow Kafka 3.2.0's schema.
#[test]
fn old_requests_have_no_transactional_id() {
    let mut body = BytesMut::new();
    body.put_i16(-1);
    body.put_i32(30_000);
    body.put_i32(1);
    body.put_i16(1);
    body.put_slice(b"t");
    body.put_i32(1);
    body.put_i32(7);
    body.put_i32(3);
    body.put_slice(b"abc");
    let body = body.freeze();
    for version in 0..3 {
        let request = ProduceRequest::decode(body.clone(), 0, version).unwrap();
        assert_eq!((request.transactional_id(), request.acks(), request.timeout_ms()), (None, -1, 30_000));
        let topics: Vec<_> = request.topics().collect();
        assert_eq!(topics[0].topic, TopicRef::Name("t"));
        let partitions: Vec<_> = topics[0].partitions().collect();
        let records = Some(Bytes::from_static(b"abc"));
        assert_eq!(partitions, [ProducePartition { index: 7, records }]);
        for cut in 0..body.len() {
            assert!(ProduceRequest::decode(body.slice(..cut), 0, version).is_err());
        }
    }
    assert!(ProduceRequest::decode(body.clone(), 0, -1).is_err());
    assert!(ProduceRequest::decode(body, 0, VERSION_MAX + 1).is_err());
}

#[test]
fn old_responses_lack_throttle_and_append_time() {
    let response = ProduceResponse {
        topics: vec![TopicProduceResponse {
            topic: TopicRef::Name("t"),
            partitions: vec![PartitionProduceResponse {
                log_append_time_ms: 11,
                ..PartitionProduceResponse::appended(7, 42, 3)
            }],
        }],
        throttle_time_ms: 5,
        node_endpoints: Vec::new(),
    };
    for version in 0..=2 {
        let mut body = BytesMut::new();
        body.put_i32(1);
        body.put_i16(1);
        body.put_slice(b"t");
        body.put_i32(1);
        body.put_i32(7);
        body.put_i16(0);
        body.put_i64(42);
        if version == 2 {
            body.put_i64(11);
        }
        if version >= 1 {
            body.put_i32(5);
        }
        let mut expected = BytesMut::new();
        expected.put_i32(body.len() as i32 + 4);
        expected.put_i32(99);
        expected.put_slice(&body);
        let mut frame = BytesMut::new();
        response.encode(99, version, &mut frame).unwrap();
        assert_eq!(frame, expected, "v{version}");
    }
}

#[test]
fn a_failed_encoding_leaves_the_buffer_alone() {
    let mut out = BytesMut::from(&b"kept"[..]);
    let named = TopicProduceResponse { topic: TopicRef::Name("t"), partitions: Vec::new() };
    let response = ProduceResponse { topics: vec![named], ..ProduceResponse::default() };
    assert!(response.encode(1, 13, &mut out).is_err());
    assert!(response.encode(1, VERSION_MAX + 1, &mut out).is_err());
    let long = "x".repeat(40_000);
    let named = TopicProduceResponse { topic: TopicRef::Name(&long), partitions: Vec::new() };
    let response = ProduceResponse { topics: vec![named], ..ProduceResponse::default() };
    assert!(response.encode(1, 8, &mut out).is_err());
    assert_eq!(&out[..], b"kept");
}

/// A count field alone must not make anything happen in proportion to it.
#[test]
fn counts_without_bytes_behind_them_are_refused() {
    for version in 0..=VERSION_MAX {
        let mut body = BytesMut::new();
        match version {
            0..=2 => {}
            3..=8 => body.put_i16(-1),
            _ => body.put_u8(0),
        }
        body.put_i16(1);
        body.put_i32(1);
        if version >= 9 {
            body.put_slice(&[0xff, 0xff, 0xff, 0xff, 0x07])
        } else {
            body.put_i32(i32::MAX)
        }
        assert!(ProduceRequest::decode(body.freeze(), 0, version).is_err(), "v{version}");
    }
}
