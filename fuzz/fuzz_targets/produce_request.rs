//! A Produce body of any version: decoding never panics, and what decodes can be walked, cut and answered.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use thalweg_protocol::produce::*;

fuzz_target!(|data: &[u8]| {
    let Some((&version, body)) = data.split_first() else { return };
    let version = i16::from(version % 16);
    let frame = Bytes::copy_from_slice(body);
    let Ok(request) = ProduceRequest::decode(frame.clone(), 0, version) else { return };
    let (mut topics, mut record_bytes) = (Vec::new(), 0);
    for topic in request.topics() {
        let mut partitions = Vec::new();
        for partition in topic.partitions() {
            record_bytes += partition.records.as_ref().map_or(0, Bytes::len);
            partitions.push(PartitionProduceResponse::appended(partition.index, 1, 0));
        }
        assert_eq!(partitions.len(), topic.partitions().len());
        topics.push(TopicProduceResponse { topic: topic.topic, partitions });
    }
    assert_eq!(topics.len(), request.topic_count());
    // Slices of one frame that do not overlap.
    assert!(record_bytes <= frame.len());
    let mut out = BytesMut::new();
    let response = ProduceResponse { topics, ..ProduceResponse::default() };
    response.encode(1, version, &mut out).expect("names that were decoded can be encoded");
    assert_eq!(out.len() - 4, u32::from_be_bytes([out[0], out[1], out[2], out[3]]) as usize);
});
