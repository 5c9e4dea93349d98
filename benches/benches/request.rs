//! From a stream's bytes to a Produce: frame split, header, body. Per request, whatever the batch holds.

use std::hint::black_box;

use bytes::{BufMut, BytesMut};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use thalweg_protocol::batch::BatchBuilder;
use thalweg_protocol::frame::{FrameSplitter, RequestHeader, Split};
use thalweg_protocol::produce::ProduceRequest;

const REQUEST_BYTES_MAX: usize = 100 << 20;
const SIZES: [(&str, usize); 2] = [("1KiB", 1 << 10), ("64KiB", 64 << 10)];

/// A Produce v7 frame, size field included, of one batch to one partition.
fn request(value_bytes: usize) -> BytesMut {
    let batch = BatchBuilder::new().record(1, None, Some(&vec![0x5a; value_bytes])).build();
    let mut body = BytesMut::new();
    body.put_i16(0);
    body.put_i16(7);
    body.put_i32(5);
    put_string(&mut body, "benchmark");
    body.put_i16(-1);
    body.put_i16(-1);
    body.put_i32(30_000);
    body.put_i32(1);
    put_string(&mut body, "topic-of-usual-length");
    body.put_i32(1);
    body.put_i32(0);
    body.put_i32(batch.len() as i32);
    body.put_slice(&batch);
    let mut frame = BytesMut::with_capacity(4 + body.len());
    frame.put_i32(body.len() as i32);
    frame.put_slice(&body);
    frame
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

/// Bytes of records that a stream's first request carries; `None` if there is no whole Produce.
fn records(stream: &mut BytesMut) -> Option<usize> {
    let split = FrameSplitter::new(REQUEST_BYTES_MAX).split(stream).ok()?;
    let Split::Frame(frame) = split else { return None };
    let header = RequestHeader::parse(&frame).ok()?;
    let (body_at, version) = (header.body_at, header.api_version);
    let request = ProduceRequest::decode(frame, body_at, version).ok()?;
    let partitions = request.topics().flat_map(|topic| topic.partitions());
    Some(partitions.filter_map(|partition| partition.records).map(|records| records.len()).sum())
}

fn split_and_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("produce_split_and_decode");
    for (name, bytes) in SIZES {
        let frame = request(bytes);
        assert!(
            records(&mut frame.clone()).is_some_and(|found| found > bytes),
            "the request does not decode"
        );
        group.bench_with_input(BenchmarkId::from_parameter(name), &frame, |bench, frame| {
            bench.iter_batched_ref(
                || frame.clone(),
                |stream| black_box(records(black_box(stream))),
                // Few enough to stay in the cache, as what was just received does.
                BatchSize::NumIterations(8),
            );
        });
    }
    group.finish();
}

criterion_group!(benches, split_and_decode);
criterion_main!(benches);
