//! Producer snapshots: one line per producer.

use std::io::Write;
use std::path::Path;

use thalweg_engine::format::snapshot::{self, ABSENT, ProducerEntry};

use super::DumpError;
use super::source::File;
use crate::bounds::SNAPSHOT_BYTES_MAX;

/// A corrupt snapshot is told on stderr and is no failure, as with Kafka's tool.
pub fn dump(path: &Path, out: &mut dyn Write) -> Result<(), DumpError> {
    let bytes = File::read_all(path, SNAPSHOT_BYTES_MAX)?;
    match snapshot::decode(&bytes) {
        Ok(entries) => {
            for entry in &entries {
                writeln!(out, "{}", line(entry))?;
            }
        }
        Err(error) => {
            out.flush()?;
            eprintln!("{}: {error}", path.display());
        }
    }
    Ok(())
}

fn line(entry: &ProducerEntry) -> String {
    let transaction = match entry.current_txn_first_offset {
        ABSENT => "None".to_owned(),
        offset => format!("Some({offset})"),
    };
    let mut line = format!(
        "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {transaction} lastTimestamp: {} ",
        entry.producer_id, entry.producer_epoch, entry.coordinator_epoch, entry.timestamp
    );
    if entry.last_offset >= 0 {
        line.push_str(&format!(
            "firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
            first_sequence(entry),
            entry.last_sequence,
            entry.last_offset,
            entry.offset_delta,
            entry.timestamp
        ));
    }
    line
}

/// Sequences wrap from the greatest to 0.
fn first_sequence(entry: &ProducerEntry) -> i64 {
    let first = i64::from(entry.last_sequence) - i64::from(entry.offset_delta);
    if first < 0 { first + i64::from(i32::MAX) + 1 } else { first }
}

/// For fuzzing.
pub fn exercise(bytes: &[u8]) {
    for entry in snapshot::decode(bytes).unwrap_or_default() {
        line(&entry);
    }
}
