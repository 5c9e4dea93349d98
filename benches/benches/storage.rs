//! What the engine adds to a batch: the journal's commit around it, and the index that finds it again.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use thalweg_engine::format::index::{OffsetIndexAppender, OffsetIndexView, OffsetPosition};
use thalweg_engine::id::PartitionId;
use thalweg_engine::io::{AlignedBuf, PAGE_BYTES};
use thalweg_engine::journal::commit::{self, CommitId, Entry, Follows};
use thalweg_protocol::batch::{BatchBuilder, stamp};
use uuid::Uuid;

/// `(name, batches in the commit, bytes of a record's value)`: the groups that the workloads of the targets form.
const COMMITS: [(&str, i32, usize); 4] =
    [("64x1KiB", 64, 1 << 10), ("16x16KiB", 16, 16 << 10), ("4x64KiB", 4, 64 << 10), ("4x1MiB", 4, 1 << 20)];

fn entries(count: i32, value_bytes: usize) -> Vec<Entry> {
    let value = vec![0x5a; value_bytes];
    let entry = |index| {
        let mut bytes = BatchBuilder::new().record(1, None, Some(&value)).build();
        stamp(&mut bytes, 42, 1);
        Entry { partition: PartitionId { topic: Uuid::from_u128(7), index }, bytes: Bytes::from(bytes) }
    };
    (0..count).map(entry).collect()
}

fn journal_commit(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commit_encode");
    let journal = Uuid::from_u128(99);
    for (name, count, value_bytes) in COMMITS {
        let entries = entries(count, value_bytes);
        let payload: usize = entries.iter().map(|entry| entry.bytes.len()).sum();
        let padded = commit::used_bytes(entries.len(), payload).next_multiple_of(PAGE_BYTES);
        let mut target = AlignedBuf::zeroed(padded);
        group.throughput(Throughput::Bytes(payload as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &entries, |bench, entries| {
            let id = CommitId { generation: 3, sequence: 8 };
            let follows = Follows { id, previous_crc: 11, attests: 7 };
            bench.iter(|| commit::encode(&mut target, journal, black_box(follows), black_box(entries)));
        });
    }
    group.finish();
}

/// An index as a full segment has it, with an entry about every 4 KiB of the log.
fn index(entries: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut appender = OffsetIndexAppender::new(0, entries as usize * 8);
    for n in 1..=entries {
        let entry = OffsetPosition { offset: i64::from(n) * 5, position: n * 4200 };
        assert!(appender.append(entry, &mut bytes).is_ok(), "the benchmark's own index is refused");
    }
    bytes
}

fn index_search(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("index_lookup");
    for entries in [1_000_u32, 250_000] {
        let bytes = index(entries);
        group.bench_with_input(BenchmarkId::new("opened", entries), &bytes, |bench, bytes| {
            let view = OffsetIndexView::new(0, bytes);
            let mut target = 0;
            bench.iter(|| {
                // Steps that visit the whole index, without a pattern that a predictor learns.
                target = (target + 2_654_435_761) % (i64::from(entries) * 5);
                view.lookup(black_box(target))
            });
        });
        group.bench_with_input(BenchmarkId::new("with_open", entries), &bytes, |bench, bytes| {
            bench.iter(|| OffsetIndexView::new(0, black_box(bytes)).lookup(black_box(2_500)));
        });
    }
    group.finish();
}

criterion_group!(benches, journal_commit, index_search);
criterion_main!(benches);
