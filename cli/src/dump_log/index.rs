//! Offset indexes, held against the log: at each entry's position a batch must begin that ends with the entry's offset.

use std::io::Write;
use std::path::Path;

use thalweg_engine::format::index::{ENTRY_BYTES, OffsetIndexView, OffsetPosition};

use super::index_file::IndexFile;
use super::source::Source;
use super::{DumpError, Findings, Settings, corrupt};

pub fn dump(
    path: &Path,
    settings: &Settings,
    findings: &mut Findings,
    out: &mut dyn Write,
) -> Result<(), DumpError> {
    let file = IndexFile::open(path)?;
    let IndexFile { base, bytes, log, log_path } = &file;
    if bytes.len() < ENTRY_BYTES {
        return Ok(writeln!(out, "{} is empty.", path.display())?);
    }
    let view = OffsetIndexView::new(*base, bytes);
    if settings.sanity_only {
        sanity(path, *base, bytes)?;
        return Ok(writeln!(out, "{} passed sanity check.", path.display())?);
    }
    let segment = file.segment();
    for entry in entries(&view, *base) {
        let end = u64::from(entry.position).saturating_add(settings.message_bytes_max);
        if u64::from(entry.position) > log.len() {
            return Err(corrupt(format!(
                "java.lang.IllegalArgumentException: Slice from position {} exceeds end position of {}",
                entry.position,
                log_path.display()
            )));
        }
        let batch = segment.batch_at(entry.position.into(), end)?;
        let batch = batch.ok_or_else(|| {
            corrupt("java.util.NoSuchElementException: no whole batch at an indexed position")
        })?;
        let found = batch.last_offset()?;
        if found != entry.offset {
            let file = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
            findings.index.entry(file).or_default().push((entry.offset, found));
        }
        if !settings.verify_only {
            writeln!(out, "offset: {} position: {}", entry.offset, entry.position)?;
        }
    }
    Ok(())
}

/// All entries up to the first but one that is all zeros. A file of zeros alone shows its first, as Kafka's tool does.
fn entries(view: &OffsetIndexView<'_>, base: i64) -> Vec<OffsetPosition> {
    let entries: Vec<OffsetPosition> = view.iter().collect();
    if entries.is_empty() { vec![OffsetPosition { offset: base, position: 0 }] } else { entries }
}

/// The check of a broker that starts: whole entries, and a last offset that is not below the first.
fn sanity(path: &Path, base: i64, bytes: &[u8]) -> Result<(), DumpError> {
    if !bytes.len().is_multiple_of(ENTRY_BYTES) {
        return Err(corrupt(format!(
            "org.apache.kafka.common.errors.CorruptIndexException: Index file {} is corrupt, found {} bytes which is \
             neither positive nor a multiple of {ENTRY_BYTES}.",
            path.display(),
            bytes.len()
        )));
    }
    let last = bytes.len() / ENTRY_BYTES - 1;
    let last =
        OffsetIndexView::new(base, &bytes[last * ENTRY_BYTES..]).entry(0).map_or(base, |entry| entry.offset);
    if last < base {
        return Err(corrupt(format!(
            "kafka.log.CorruptIndexException: Corrupt index found, index file ({}) has non-zero size but the last offset \
             is {last} which is less than the base offset {base}.",
            path.display()
        )));
    }
    Ok(())
}
