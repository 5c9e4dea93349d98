//! Bytes as a segment, as its producer snapshot and as its index of transactions, shown by every decoder of `dump-log`.
//!
//! The bytes are tried as they are; as the records of a batch whose header is right, compressed by each codec or not; and as a
//! key and value of the coordinators' topics and of the metadata topic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_cli::dump_log::exercise;
use thalweg_protocol::batch::BatchBuilder;

fuzz_target!(|bytes: &[u8]| {
    exercise(bytes);
    let (key, value) = bytes.split_at(bytes.first().map_or(0, |&at| usize::from(at).min(bytes.len())));
    let mut batch = BatchBuilder::new().record(1, Some(key), Some(value)).record(2, None, Some(bytes)).build();
    exercise(&batch);
    // The same bytes as a body of each codec: what they unpack to is malformed, or nothing.
    for codec in 1..5 {
        batch.truncate(61);
        batch.extend_from_slice(bytes);
        let length = i32::try_from(batch.len() - 12).unwrap_or(i32::MAX);
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[22] = codec;
        exercise(&batch);
    }
});
