//! A journal's pages: whatever they hold, decoding ends, and what decodes as a commit is whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thalweg_engine::journal::commit::{HEADER_BYTES, check_payload, decode_header, decode_table};
use uuid::Uuid;

const JOURNAL: Uuid = Uuid::from_u128(7);

fuzz_target!(|bytes: &[u8]| {
    walk(bytes);
    // The same with magic, id and checksum put right, so that the fuzzer gets behind them.
    let mut repaired = bytes.to_vec();
    if repaired.len() < HEADER_BYTES {
        return;
    }
    repaired[0..8].copy_from_slice(b"THWCOMIT");
    repaired[12..14].copy_from_slice(&1u16.to_le_bytes());
    repaired[16..32].copy_from_slice(JOURNAL.as_bytes());
    if let Ok(header) = decode_header(&repaired, JOURNAL, repaired.len() as u64)
        && let Some(covered) = repaired.get(12..header.table_end())
    {
        let crc = crc32c::crc32c(covered);
        repaired[8..12].copy_from_slice(&crc.to_le_bytes());
    }
    walk(&repaired);
});

fn walk(bytes: &[u8]) {
    let Ok(header) = decode_header(bytes, JOURNAL, bytes.len() as u64) else { return };
    assert!(header.used_bytes <= bytes.len() as u64);
    let Ok(table) = decode_table(&header, bytes) else { return };
    let mut at = header.table_end();
    for entry in &table {
        let payload = &bytes[at..at + entry.payload_bytes as usize];
        let _ = check_payload(entry, payload);
        at += payload.len();
    }
    assert_eq!(at as u64, header.used_bytes);
}
