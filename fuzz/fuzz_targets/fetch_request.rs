//! A Fetch body of any version: decoding never panics, and what decodes can be walked and answered.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use thalweg_protocol::fetch::*;

fuzz_target!(|data: &[u8]| {
    let Some((&version, body)) = data.split_first() else { return };
    let version = i16::from(version % 20);
    let Ok(request) = FetchRequest::decode(Bytes::copy_from_slice(body), 0, version) else { return };
    assert!(request.rack_id().len() + request.cluster_id().map_or(0, str::len) <= body.len());
    let mut topics = Vec::new();
    for topic in request.topics() {
        let expected = topic.partitions.len();
        let partitions: Vec<_> = topic.partitions.map(|partition| answer(partition, body)).collect();
        assert_eq!(partitions.len(), expected);
        topics.push(TopicFetchResponse { topic: topic.topic, partitions });
    }
    for topic in request.forgotten() {
        assert_eq!(topic.partitions.len(), topic.partitions.count());
    }
    let response = FetchResponse {
        throttle_time_ms: 0,
        error_code: 0,
        session_id: request.session_id,
        topics,
        node_endpoints: Vec::new(),
    };
    let encoded = response.encode(1, version).expect("names that were decoded can be encoded");
    let total_bytes = encoded.total_bytes;
    assert_eq!(encoded.into_slices().iter().map(Bytes::len).sum::<usize>(), total_bytes);
});

/// A few bytes of records for every partition, in two slices.
fn answer(partition: FetchPartition, body: &[u8]) -> PartitionFetchResponse<Vec<Bytes>> {
    let bytes = partition.max_bytes.clamp(0, 16) as usize;
    let slice = Bytes::copy_from_slice(&body[..bytes.min(body.len())]);
    PartitionFetchResponse {
        records: Some(vec![slice.clone(), slice]),
        ..PartitionFetchResponse::refused(partition.index, 0)
    }
}
