//! What an append does to a batch on its way: CRC-32C, validation, stamping.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use thalweg_protocol::batch::{BatchBuilder, ProduceLimits, TimestampBounds, stamp, validate_produced};

const SIZES: [(&str, usize); 3] = [("1KiB", 1 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20)];
const RECORD_BYTES: usize = 1 << 10;
const NOW_MS: i64 = 1_700_000_000_000;

/// A batch of about `bytes`, of records of 1 KiB with random-looking values.
fn batch(bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    let value: Vec<u8> =
        (0..RECORD_BYTES as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for record in 0..(bytes / RECORD_BYTES).max(1) {
        builder.push(NOW_MS + record as i64, None, Some(&value), &[]);
    }
    builder.build()
}

fn crc(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("crc32c");
    for (name, bytes) in SIZES {
        let data = vec![0x5a; bytes];
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &data, |bench, data| {
            bench.iter(|| crc32c::crc32c(black_box(data)));
        });
    }
    group.finish();
}

fn validate(criterion: &mut Criterion) {
    let timestamps = Some(TimestampBounds::around(NOW_MS, i64::MAX));
    let limits = ProduceLimits { message_bytes_max: 2 << 20, zstd: true, timestamps };
    let mut group = criterion.benchmark_group("validate_produced");
    for (name, bytes) in SIZES {
        let batch = batch(bytes);
        assert!(validate_produced(&batch, &limits).is_ok(), "the benchmark's own batch is refused");
        group.throughput(Throughput::Bytes(batch.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &batch, |bench, batch| {
            bench.iter(|| validate_produced(black_box(batch), black_box(&limits)).is_ok());
        });
    }
    group.finish();
}

fn stamping(criterion: &mut Criterion) {
    let mut batch = batch(1 << 10);
    criterion.bench_function("stamp", |bench| {
        // Stamping again is the same work: the fields are overwritten.
        bench.iter(|| stamp(black_box(&mut batch), black_box(123_456_789), black_box(7)));
    });
}

criterion_group!(benches, crc, validate, stamping);
criterion_main!(benches);
