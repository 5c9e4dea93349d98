//! Indexes of aborted transactions: entries of 34 bytes, a version and four numbers.

use std::io::Write;
use std::path::Path;

use thalweg_protocol::wire::{Reader, WireError};

use super::source::File;
use super::{DumpError, corrupt};
use crate::bounds::INDEX_BYTES_MAX;

const ENTRY_BYTES: usize = 34;

pub fn dump(path: &Path, out: &mut dyn Write) -> Result<(), DumpError> {
    let bytes = File::read_all(path, INDEX_BYTES_MAX)?;
    for entry in bytes.chunks(ENTRY_BYTES) {
        let line = line(entry).map_err(|error| {
            corrupt(format!("org.apache.kafka.common.KafkaException: Failed to read from the transaction index {}: {error}", path.display()))
        })?;
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn line(entry: &[u8]) -> Result<String, WireError> {
    let mut reader = Reader::new(entry, false);
    Ok(format!(
        "version: {} producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
        reader.i16()?,
        reader.i64()?,
        reader.i64()?,
        reader.i64()?,
        reader.i64()?
    ))
}

/// For fuzzing.
pub fn exercise(bytes: &[u8]) {
    for entry in bytes.chunks(ENTRY_BYTES) {
        drop(line(entry));
    }
}
