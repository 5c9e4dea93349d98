//! Batches that can be told apart: each carries a number of its own in its first record.

use std::sync::OnceLock;

use bytes::Bytes;
use thalweg_engine::io::sim::Prng;
use thalweg_protocol::batch::{ATTRIBUTES_AT, BatchBuilder, BatchView, Records};

/// Largest value that `build` makes, bytes.
const VALUE_BYTES_MAX: usize = 300 << 10;

/// Names a batch among all of a test.
pub type BatchId = u64;

/// An idempotent producer's part of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Sequenced {
    pub producer_id: i64,
    pub base_sequence: i32,
}

fn noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| {
        let mut prng = Prng::new(42);
        (0..2 * VALUE_BYTES_MAX / 8).flat_map(|_| prng.bits().to_le_bytes()).collect()
    })
}

/// A batch of `records` records, the first with about `value_bytes` of incompressible value.
pub fn build(
    id: BatchId,
    records: usize,
    value_bytes: usize,
    time_ms: i64,
    sequenced: Option<Sequenced>,
) -> Bytes {
    let mut builder = BatchBuilder::new();
    if let Some(Sequenced { producer_id, base_sequence }) = sequenced {
        builder = builder.producer(producer_id, 0, base_sequence);
    }
    let from = (id as usize * 7919) % VALUE_BYTES_MAX;
    let mut value = id.to_le_bytes().to_vec();
    value.extend_from_slice(&noise()[from..from + value_bytes.min(VALUE_BYTES_MAX)]);
    builder.push(time_ms, None, Some(&value), &[]);
    for record in 1..records {
        builder.push(time_ms + record as i64, Some(b"k"), Some(&(record as u32).to_le_bytes()), &[]);
    }
    builder.build().into()
}

/// The number that `build` gave a batch.
///
/// # Panics
/// If these are not the bytes of one of its batches.
pub fn id_of(view: &BatchView<'_>) -> BatchId {
    let Some(Ok(first)) = Records::new(view.body(), view.count()).next() else { panic!("no record") };
    let value = first.value.unwrap();
    u64::from_le_bytes(value[..8].try_into().unwrap())
}

/// The part of a batch that the log must not change.
pub fn unstamped(batch: &[u8]) -> &[u8] {
    &batch[ATTRIBUTES_AT..]
}

/// How large the next batch is: mostly small, now and then far larger than a page, a chunk or a segment.
pub fn value_bytes(prng: &mut Prng) -> usize {
    let most = prng.pick(&[100, 100, 100, 1_000, 1_000, 5_000, 5_000, 20_000, 70_000, 300_000]);
    usize::try_from(prng.between(10, most)).unwrap()
}
