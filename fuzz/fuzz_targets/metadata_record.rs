//! Bytes as a metadata record, also behind a right frame: what decodes survives a round trip in the lowest version for it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_engine::format::metadata_record::{EncodeError, MetadataRecord};

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (key, version, body) = input;
    round_trip(body);
    round_trip(&[&[1, key % 16, version % 4], body].concat());
});

fn round_trip(value: &[u8]) {
    let Ok(record) = MetadataRecord::decode(value) else { return };
    let mut again = Vec::new();
    match record.encode(&mut again) {
        Ok(()) => assert_eq!(MetadataRecord::decode(&again), Ok(record)),
        Err(error) => assert!(matches!(error, EncodeError::TooLong { .. }) && again.is_empty()),
    }
}
