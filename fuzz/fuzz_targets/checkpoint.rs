//! A checkpoint file: decoding takes any bytes, and what decodes survives a round trip.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_engine::checkpoint::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    let _ = decode(bytes);
    if bytes.len() < 12 {
        return;
    }
    let mut repaired = bytes.to_vec();
    repaired[0..8].copy_from_slice(b"THWCHKPT");
    let crc = crc32c::crc32c(&repaired[12..]);
    repaired[8..12].copy_from_slice(&crc.to_le_bytes());
    if let Ok(checkpoint) = decode(&repaired) {
        let again = decode(&encode(&checkpoint)).expect("what was encoded decodes");
        assert_eq!(again.partitions.len(), checkpoint.partitions.len());
        assert_eq!((again.generation, again.needed), (checkpoint.generation, checkpoint.needed));
    }
});
