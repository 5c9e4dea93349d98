//! Time indexes, held against the log: the batch that ends with an entry's offset must hold its timestamp.

use std::io::Write;
use std::path::Path;

use thalweg_engine::format::index::OffsetIndexView;
use thalweg_engine::format::time_index::{ENTRY_BYTES, TimeIndexView, TimestampOffset};

use super::batch::{Batch, Segment, View};
use super::index_file::IndexFile;
use super::source::{File, Source};
use super::{DumpError, Findings, Settings, corrupt, record, sibling};
use crate::bounds::INDEX_BYTES_MAX;

const NO_TIMESTAMP: i64 = -1;

pub fn dump(
    path: &Path,
    settings: &Settings,
    findings: &mut Findings,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    let file = IndexFile::open(path)?;
    let IndexFile { base, bytes, log, .. } = &file;
    let view = TimeIndexView::new(*base, bytes);
    if settings.sanity_only {
        sanity(path, *base, bytes)?;
        return Ok(writeln!(out, "{} passed sanity check.", path.display())?);
    }
    let offsets = match File::read_all(&sibling(path, "index"), INDEX_BYTES_MAX) {
        Ok(offsets) => offsets,
        Err(DumpError::File { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let checker = Checker { segment: file.segment(), offsets: OffsetIndexView::new(*base, &offsets), log };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut before = NO_TIMESTAMP;
    for entry in entries(&view, *base, bytes) {
        checker.check(entry, before, &absolute, findings)?;
        if !settings.verify_only {
            writeln!(out, "timestamp: {} offset: {}", entry.timestamp, entry.offset)?;
        }
        before = entry.timestamp;
    }
    Ok(())
}

/// Kafka's tool shows the first entry of a file that holds only zeros.
fn entries(view: &TimeIndexView<'_>, base: i64, bytes: &[u8]) -> Vec<TimestampOffset> {
    let entries: Vec<TimestampOffset> = view.iter().collect();
    if entries.is_empty() && bytes.len() >= ENTRY_BYTES {
        return vec![TimestampOffset { timestamp: 0, offset: base }];
    }
    entries
}

struct Checker<'a> {
    segment: Segment<'a>,
    offsets: OffsetIndexView<'a>,
    log: &'a File,
}

impl Checker<'_> {
    fn check(
        &self,
        entry: TimestampOffset,
        before: i64,
        file: &Path,
        findings: &mut Findings,
    ) -> Result<(), DumpError> {
        let Some((batch, last_offset)) = self.find(entry.offset)? else {
            findings.time_missing.entry(file.to_path_buf()).or_default().push((entry.offset, -1));
            return Ok(());
        };
        if last_offset != entry.offset {
            findings.time_missing.entry(file.to_path_buf()).or_default().push((entry.offset, last_offset));
            return Ok(());
        }
        let greatest = greatest_timestamp(&batch)?;
        if greatest != entry.timestamp {
            findings.time_mismatch.entry(file.to_path_buf()).or_default().push((entry.timestamp, greatest));
        }
        if before >= entry.timestamp {
            findings.time_order.entry(file.to_path_buf()).or_default().push((entry.timestamp, before));
        }
        Ok(())
    }

    /// The first batch that ends with `offset` or behind it.
    fn find(&self, offset: i64) -> Result<Option<(Batch, i64)>, DumpError> {
        let mut position = u64::from(self.offsets.lookup(offset).position);
        while let Some(batch) = self.segment.batch_at(position, self.log.len())? {
            let last_offset = batch.last_offset()?;
            if last_offset >= offset {
                return Ok(Some((batch, last_offset)));
            }
            position += batch.bytes.len() as u64;
        }
        Ok(None)
    }
}

fn greatest_timestamp(batch: &Batch) -> Result<i64, DumpError> {
    let mut greatest = NO_TIMESTAMP;
    match batch.view()? {
        View::V2(view) => {
            let body = record::body(&view)?;
            for record in thalweg_protocol::batch::Records::new(&body, view.count()) {
                let record = record.map_err(|error| {
                    corrupt(format!("org.apache.kafka.common.InvalidRecordException: {error}"))
                })?;
                greatest = greatest.max(record::timestamp(&view, &record));
            }
        }
        View::Legacy(message) => {
            greatest = message.timestamp;
            if let Some(unpacked) = message.unpacked()? {
                let inside = message.inside(&unpacked)?;
                greatest = inside.iter().map(|message| message.timestamp).max().unwrap_or(NO_TIMESTAMP);
            }
        }
    }
    Ok(greatest)
}

/// The check of a broker that starts: whole entries, and a last one that is below the first in nothing.
fn sanity(path: &Path, base: i64, bytes: &[u8]) -> Result<(), DumpError> {
    let broken = |why: String| {
        Err(corrupt(format!(
            "kafka.log.CorruptIndexException: Corrupt time index found, time index file ({}) {why}",
            path.display()
        )))
    };
    if !bytes.len().is_multiple_of(ENTRY_BYTES) {
        return broken(format!(
            "is {} bytes which is neither positive nor a multiple of {ENTRY_BYTES}.",
            bytes.len()
        ));
    }
    let entry = |n: usize| {
        let at = n * ENTRY_BYTES;
        let timestamp =
            bytes.get(at..at + 8).and_then(|field| field.try_into().ok()).map_or(0, i64::from_be_bytes);
        let relative =
            bytes.get(at + 8..at + 12).and_then(|field| field.try_into().ok()).map_or(0, i32::from_be_bytes);
        (timestamp, base.wrapping_add(relative.into()))
    };
    let entries = bytes.len() / ENTRY_BYTES;
    if entries == 0 {
        return Ok(());
    }
    let ((first_timestamp, _), (last_timestamp, last_offset)) = (entry(0), entry(entries - 1));
    if last_timestamp < first_timestamp {
        return broken(format!(
            "has non-zero size but the last timestamp is {last_timestamp} which is less than the first timestamp {first_timestamp}"
        ));
    }
    if last_offset < base {
        return broken(format!(
            "has non-zero size but the last offset is {last_offset} which is less than the first offset {base}"
        ));
    }
    Ok(())
}
