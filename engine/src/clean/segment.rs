//! Segments as the cleaner reads and writes them: batch by batch, past the caches that readers share.

use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;
use thalweg_protocol::batch::{ATTRIBUTES_AT, BatchView, HEADER_BYTES};

use super::pace::Pace;
use super::pass::CleanError;
use crate::bounds::{BATCH_BYTES_MAX, CLEAN_SLICE_BYTES, CLEAN_WINDOW_BYTES};
use crate::error::{Corruption, IoFailure};
use crate::format::segment_index::{BatchSpan, IndexBytes, IndexLimits, SegmentIndexer};
use crate::io::{AlignedBuf, PAGE_BYTES};
use crate::log::{BatchHeader, CleanedSegment, FileKind, Log, SegmentInfo};
use crate::reactor::File;

/// Walks a closed segment's batches, every byte against its CRC, and what the CRC leaves out against the log.
pub(super) struct SegmentReader {
    log: Rc<Log>,
    file: File,
    path: PathBuf,
    segment: SegmentInfo,
    position: u64,
    /// End offset of the batches so far.
    end: i64,
    window: Bytes,
    window_start: u64,
}

impl SegmentReader {
    pub async fn open(log: &Rc<Log>, segment: SegmentInfo) -> Result<SegmentReader, CleanError> {
        let path = FileKind::Log.path(log.directory(), segment.base_offset);
        let file = log.volume().files.open(&path).await?;
        Ok(SegmentReader {
            log: Rc::clone(log),
            file,
            path,
            segment,
            position: 0,
            end: segment.base_offset,
            window: Bytes::new(),
            window_start: 0,
        })
    }

    /// The next batch; None at the end of the segment.
    pub async fn next(&mut self, pace: &mut Pace) -> Result<Option<Bytes>, CleanError> {
        let left = usize::try_from(self.segment.bytes - self.position).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let header = self.at_position(left.min(HEADER_BYTES)).await?;
        let header = BatchHeader::decode(&header).map_err(|what| self.damage(what))?;
        let total = header.total_bytes;
        if total > left.min(BATCH_BYTES_MAX) {
            return Err(self.damage(format!("a batch of {total} bytes, {left} are left")));
        }
        self.check_place(&header)?;
        self.end = header.last_offset + 1;
        let batch = self.at_position(total).await?;
        self.check_crc(&batch, pace).await?;
        self.position += total as u64;
        Ok(Some(batch))
    }

    /// Base offset and leader epoch are outside the CRC: one flipped bit in them, and the newest record of a key would
    /// pass for an old one.
    fn check_place(&self, header: &BatchHeader) -> Result<(), CleanError> {
        let BatchHeader { base_offset, last_offset, leader_epoch, .. } = *header;
        let places = self.end..self.segment.next_offset;
        if !places.contains(&base_offset) || !places.contains(&last_offset) {
            return Err(self.damage(format!("offsets {base_offset} to {last_offset} among {places:?}")));
        }
        let epoch = self.log.epoch_of(base_offset);
        if epoch >= 0 && leader_epoch != epoch {
            return Err(self.damage(format!("leader epoch {leader_epoch} where {epoch} wrote")));
        }
        Ok(())
    }

    async fn check_crc(&self, batch: &[u8], pace: &mut Pace) -> Result<(), CleanError> {
        let mut crc = 0;
        for slice in batch[ATTRIBUTES_AT..].chunks(4 * CLEAN_SLICE_BYTES) {
            if crc != 0 {
                pace.slice(0).await;
            }
            crc = crc32c::crc32c_append(crc, slice);
        }
        match BatchView::parse(batch) {
            Ok(view) if view.crc() == crc => Ok(()),
            Ok(view) => Err(self.damage(format!("batch CRC {crc:#010x}, expected {:#010x}", view.crc()))),
            Err(error) => Err(self.damage(error.to_string())),
        }
    }

    /// `len` bytes from `position` on.
    async fn at_position(&mut self, len: usize) -> Result<Bytes, CleanError> {
        let held = self.window_start..self.window_start + self.window.len() as u64;
        if self.position < held.start || self.position + len as u64 > held.end {
            self.load(len).await?;
        }
        let start = usize::try_from(self.position - self.window_start).unwrap_or(usize::MAX);
        if start + len > self.window.len() {
            return Err(self.damage("the file ends early".into()));
        }
        Ok(self.window.slice(start..start + len))
    }

    async fn load(&mut self, len: usize) -> Result<(), IoFailure> {
        self.window_start = self.position / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        let wanted = (len + PAGE_BYTES).max(CLEAN_WINDOW_BYTES).next_multiple_of(PAGE_BYTES);
        let (read, buf) = self.file.read_at(AlignedBuf::recycled(wanted), wanted, self.window_start).await;
        let read = read.map_err(|error| IoFailure::new("read", &self.path, error))?;
        self.window = buf.freeze().slice(..read);
        Ok(())
    }

    pub fn damage(&self, what: String) -> CleanError {
        CleanError::Uncleanable(Corruption {
            path: self.path.clone(),
            position: self.position,
            offset: -1,
            what,
        })
    }
}

/// Writes a compacted segment and its index.
pub(super) struct CleanedWriter {
    file: File,
    path: PathBuf,
    base_offset: i64,
    /// Bytes taken, and those of them that are written.
    bytes: u64,
    written: u64,
    pending: Vec<u8>,
    index: IndexBytes,
    indexer: SegmentIndexer,
}

impl CleanedWriter {
    /// None when the log is gone.
    pub async fn create(log: &Rc<Log>, base_offset: i64) -> Result<Option<CleanedWriter>, CleanError> {
        let Some(file) = log.create_cleaned(base_offset).await? else { return Ok(None) };
        let options = log.options();
        let limits = IndexLimits {
            interval_bytes: options.index_interval_bytes,
            index_bytes_max: usize::try_from(options.segment_index_bytes).unwrap_or(usize::MAX),
        };
        Ok(Some(CleanedWriter {
            file,
            path: FileKind::Log.path(log.directory(), base_offset),
            base_offset,
            bytes: 0,
            written: 0,
            pending: Vec::new(),
            index: IndexBytes::default(),
            indexer: SegmentIndexer::new(base_offset, limits),
        }))
    }

    /// Takes a batch, as it is to lie in the log.
    pub async fn push(&mut self, batch: &[u8]) -> Result<(), CleanError> {
        let Ok(view) = BatchView::parse(batch) else { panic!("a batch that was just read or made") };
        let position = u32::try_from(self.bytes).ok().filter(|at| i32::try_from(*at).is_ok());
        let Some(position) = position else {
            return Err(CleanError::TooLarge { base_offset: self.base_offset });
        };
        let last_offset = view.last_offset();
        let span = BatchSpan { last_offset, max_timestamp: view.max_timestamp(), position };
        // Full: later batches are found by scanning from the last entry.
        let _ = self.indexer.append(span, &mut self.index);
        self.pending.extend_from_slice(batch);
        self.bytes += batch.len() as u64;
        if self.pending.len() >= CLEAN_WINDOW_BYTES { self.write(false).await } else { Ok(()) }
    }

    /// Writes the whole pages that are pending, and with `all` the rest as well, padded with zeros.
    async fn write(&mut self, all: bool) -> Result<(), CleanError> {
        let len = self.pending.len();
        let take = if all { len } else { len / PAGE_BYTES * PAGE_BYTES };
        if take == 0 {
            return Ok(());
        }
        let mut pages = AlignedBuf::recycled(take.next_multiple_of(PAGE_BYTES));
        pages[..take].copy_from_slice(&self.pending[..take]);
        let padded = take.next_multiple_of(PAGE_BYTES);
        pages[take..padded].fill(0);
        let written = self.file.write_at(pages.freeze().slice(..padded), self.written, false).await;
        written.map_err(|error| IoFailure::new("write", &self.path, error))?;
        self.written += take as u64;
        self.pending.drain(..take);
        Ok(())
    }

    /// The segment at its true size, synced.
    pub async fn finish(mut self) -> Result<CleanedSegment, CleanError> {
        self.write(true).await?;
        let path = &self.path;
        self.file.truncate(self.bytes).await.map_err(|error| IoFailure::new("truncate", path, error))?;
        self.file.sync().await.map_err(|error| IoFailure::new("sync", path, error))?;
        let _ = self.indexer.finish(&mut self.index);
        Ok(CleanedSegment {
            base_offset: self.base_offset,
            bytes: self.bytes,
            max_timestamp: self.indexer.max_timestamp(),
            index: self.index,
        })
    }
}
