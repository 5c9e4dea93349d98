//! Taking a log from its segments alone: written by Kafka, or by us when a checkpoint is lost.
//!
//! Batches are believed as far as each one's CRC holds and offsets go up. What follows the last good batch is zeros of
//! a preallocation, or it is cut and kept beside the segment as `*.torn`.

use std::path::Path;

use thalweg_protocol::batch::BatchView;

use super::directory::Directory;
use crate::bounds::{BATCH_BYTES_MAX, JOURNAL_SCAN_BYTES};
use crate::checkpoint::PartitionCheckpoint;
use crate::error::{Corruption, IoFailure};
use crate::format::offset_checkpoint::{CLEANER_FILE_NAME, LOG_START_FILE_NAME, RECOVERY_POINT_FILE_NAME};
use crate::format::{epoch_checkpoint, offset_checkpoint, snapshot};
use crate::io::{AlignedBuf, OpenMode, PAGE_BYTES};
use crate::log::{
    BatchHeader, EpochHistory, EpochStart, FileKind, LogPosition, LogSeed, ProducedBatch, ProducerEntry,
    Producers, SegmentSeed,
};
use crate::reactor::{File, Io};
use crate::volume::read_file;

impl Directory {
    /// A partition without a checkpoint of ours. With Kafka's mark of a clean stop the sizes of its files are
    /// believed and only the end of the last one is looked for; without it the last segment is proven whole.
    pub(super) async fn adopt(
        &self,
        seed: &mut LogSeed,
        on_disk: &[SegmentSeed],
        marked: bool,
    ) -> Result<(), IoFailure> {
        let Some(last) = on_disk.last() else { return Ok(()) };
        seed.epochs = self.stored_epochs(&seed.directory).await?;
        let stored_start =
            self.stored_offset(seed, LOG_START_FILE_NAME, "logs start at their first segment").await?;
        seed.log_start = stored_start.unwrap_or(0).max(on_disk[0].base_offset);
        let cleaned = self.stored_offset(seed, CLEANER_FILE_NAME, "compaction starts over").await?;
        seed.cleaned = cleaned.unwrap_or(0).min(last.base_offset);
        seed.producers = self.stored_producers(&seed.directory, last.base_offset).await?;
        let start = LogPosition { segment: last.base_offset, position: 0, offset: last.base_offset };
        self.scan_on(seed, on_disk, start, true).await?;
        if marked {
            let end = self.stored_producers(&seed.directory, seed.end_offset).await?;
            if !end.is_empty() {
                seed.producers = end;
            }
        }
        Ok(())
    }

    /// Whether Kafka has served the partition since our clean stop and rolled its log. What was our last segment may then
    /// be compacted, merged or deleted, and our checkpoint says nothing of the log any more. Kafka's own checkpoint has
    /// to confirm it: a segment that just went missing is damage.
    pub(super) async fn kafka_rolled_on(
        &self,
        seed: &LogSeed,
        stored: &PartitionCheckpoint,
        on_disk: &[SegmentSeed],
    ) -> Result<bool, IoFailure> {
        if on_disk.last().is_none_or(|last| last.base_offset <= stored.synced.segment) {
            return Ok(false);
        }
        let flushed = self.stored_offset(seed, RECOVERY_POINT_FILE_NAME, "our checkpoint counts").await?;
        Ok(flushed.is_some_and(|flushed| flushed >= stored.synced.offset))
    }

    /// Takes everything from `from` on that the segments prove. `cut`: the rest is not ours to keep, because no
    /// journal follows that could explain it.
    pub(super) async fn scan_on(
        &self,
        seed: &mut LogSeed,
        on_disk: &[SegmentSeed],
        from: LogPosition,
        cut: bool,
    ) -> Result<(), IoFailure> {
        seed.segments =
            on_disk.iter().copied().filter(|segment| segment.base_offset < from.segment).collect();
        seed.end_offset = from.offset;
        seed.active_base = from.segment;
        for segment in on_disk.iter().filter(|segment| segment.base_offset >= from.segment) {
            if segment.base_offset > seed.end_offset && segment.base_offset != from.segment {
                break;
            }
            let start = if segment.base_offset == from.segment { from.position } else { 0 };
            let mut scan = SegmentScan::open(&self.io, seed, segment, start).await?;
            scan.run(seed).await?;
            seed.segments.push(SegmentSeed { base_offset: segment.base_offset, bytes: scan.position });
            seed.active_base = segment.base_offset;
            if scan.position < segment.bytes && !scan.rest_is_blank().await? {
                if cut {
                    scan.save_torn(&self.io).await?;
                }
                break;
            }
        }
        Ok(())
    }

    async fn stored_epochs(&self, directory: &Path) -> Result<EpochHistory, IoFailure> {
        let path = directory.join(epoch_checkpoint::FILE_NAME);
        let Some(bytes) = read_file(&self.io, &path).await? else { return Ok(EpochHistory::default()) };
        match epoch_checkpoint::decode(&bytes) {
            Ok(starts) => {
                let start = |s: epoch_checkpoint::EpochStart| EpochStart {
                    epoch: s.epoch,
                    start_offset: s.start_offset,
                };
                Ok(EpochHistory::from_starts(starts.into_iter().map(start)))
            }
            Err(fault) => {
                tracing::warn!("{}: {fault}; the epochs are taken from the batches", path.display());
                Ok(EpochHistory::default())
            }
        }
    }

    /// What one of Kafka's checkpoints of the directory says of the log.
    async fn stored_offset(
        &self,
        seed: &LogSeed,
        file_name: &str,
        without: &str,
    ) -> Result<Option<i64>, IoFailure> {
        let path = self.path.join(file_name);
        let Some(bytes) = read_file(&self.io, &path).await? else { return Ok(None) };
        let Some(name) = &seed.name else { return Ok(None) };
        let offsets = match offset_checkpoint::decode(&bytes) {
            Ok(offsets) => offsets,
            Err(fault) => {
                tracing::warn!("{}: {fault}; {without}", path.display());
                return Ok(None);
            }
        };
        let mine =
            offsets.iter().find(|entry| entry.topic == name.topic && entry.partition == name.partition);
        Ok(mine.map(|entry| entry.offset))
    }

    /// The producers of `NNN.snapshot`; none when there is no such file or it is damaged.
    async fn stored_producers(&self, directory: &Path, offset: i64) -> Result<Producers, IoFailure> {
        let path = FileKind::Snapshot.path(directory, offset);
        let Some(bytes) = read_file(&self.io, &path).await? else { return Ok(Producers::default()) };
        match snapshot::decode(&bytes) {
            Ok(entries) => Ok(Producers::from_entries(entries.iter().filter_map(producer))),
            Err(fault) => {
                tracing::warn!("{}: {fault}; producers start anew", path.display());
                Ok(Producers::default())
            }
        }
    }
}

fn producer(stored: &snapshot::ProducerEntry) -> Option<ProducerEntry> {
    if stored.last_offset < 0 {
        return None;
    }
    let batch = ProducedBatch {
        base_sequence: stored.last_sequence.wrapping_sub(stored.offset_delta) & i32::MAX,
        last_sequence: stored.last_sequence,
        base_offset: stored.last_offset - i64::from(stored.offset_delta),
        last_offset: stored.last_offset,
        timestamp_ms: stored.timestamp,
    };
    let (producer_id, epoch) = (stored.producer_id, stored.producer_epoch);
    Some(ProducerEntry { producer_id, epoch, batches: [batch].into(), used_ms: stored.timestamp })
}

/// Walks one segment's batches, every byte against its CRC.
pub(super) struct SegmentScan {
    file: File,
    path: std::path::PathBuf,
    bytes: u64,
    /// End of the last good batch.
    pub position: u64,
    window: Vec<u8>,
    window_start: u64,
}

impl SegmentScan {
    async fn open(
        io: &Io,
        seed: &LogSeed,
        segment: &SegmentSeed,
        position: u64,
    ) -> Result<SegmentScan, IoFailure> {
        let path = FileKind::Log.path(&seed.directory, segment.base_offset);
        Ok(SegmentScan { position, ..SegmentScan::open_at(io, &path, segment.bytes).await? })
    }

    pub async fn open_at(io: &Io, path: &Path, bytes: u64) -> Result<SegmentScan, IoFailure> {
        let opened = io.open(path, OpenMode::Direct).await;
        let file = opened.map_err(|error| IoFailure::new("open", path, error))?;
        let path = path.to_path_buf();
        Ok(SegmentScan { file, path, bytes, position: 0, window: Vec::new(), window_start: 0 })
    }

    pub async fn run(&mut self, seed: &mut LogSeed) -> Result<(), IoFailure> {
        while let Some(batch) = self.next_batch(seed.end_offset).await? {
            seed.end_offset = batch.last_offset() + 1;
            seed.epochs.note(batch.leader_epoch(), batch.base_offset());
            if let Some((claim, produced)) = crate::log::produced(&batch) {
                seed.producers.record(&claim, produced, batch.max_timestamp());
            }
            self.position += batch.total_bytes() as u64;
        }
        Ok(())
    }

    /// The batch at `position` if it is whole, sound, and at or above `end_offset` (compaction leaves gaps).
    async fn next_batch(&mut self, end_offset: i64) -> Result<Option<BatchView<'_>>, IoFailure> {
        let left = self.bytes - self.position;
        let header_bytes =
            usize::try_from(left).unwrap_or(usize::MAX).min(thalweg_protocol::batch::HEADER_BYTES);
        let Ok(header) = BatchHeader::decode(self.at_position(header_bytes).await?) else { return Ok(None) };
        if header.total_bytes as u64 > left
            || header.total_bytes > BATCH_BYTES_MAX
            || header.base_offset < end_offset
        {
            return Ok(None);
        }
        let bytes = self.at_position(header.total_bytes).await?;
        Ok(BatchView::parse(bytes).ok().filter(BatchView::crc_ok))
    }

    /// `len` bytes from `position` on.
    async fn at_position(&mut self, len: usize) -> Result<&[u8], IoFailure> {
        let start = self.position.saturating_sub(self.window_start);
        let held = self.position >= self.window_start && start + len as u64 <= self.window.len() as u64;
        if !held {
            self.window_start = self.position / PAGE_BYTES as u64 * PAGE_BYTES as u64;
            let wanted = (len + PAGE_BYTES).max(JOURNAL_SCAN_BYTES).next_multiple_of(PAGE_BYTES);
            let (read, buf) = self.file.read_at(AlignedBuf::zeroed(wanted), wanted, self.window_start).await;
            let read = read.map_err(|error| IoFailure::new("read", &self.path, error))?;
            self.window = buf[..read].to_vec();
        }
        let start = usize::try_from(self.position - self.window_start).unwrap_or(usize::MAX);
        Ok(self.window.get(start..start + len).unwrap_or(&[]))
    }

    async fn rest_is_blank(&mut self) -> Result<bool, IoFailure> {
        let resume = self.position;
        let mut blank = true;
        while blank && self.position < self.bytes {
            let len =
                usize::try_from(self.bytes - self.position).unwrap_or(usize::MAX).min(JOURNAL_SCAN_BYTES / 2);
            blank = self.at_position(len).await?.iter().all(|byte| *byte == 0);
            self.position += len as u64;
        }
        self.position = resume;
        Ok(blank)
    }

    /// Keeps what is cut off beside the segment.
    async fn save_torn(&mut self, io: &Io) -> Result<(), IoFailure> {
        let len = usize::try_from(self.bytes - self.position).unwrap_or(usize::MAX).min(BATCH_BYTES_MAX);
        let torn = bytes::Bytes::copy_from_slice(self.at_position(len).await?);
        let mut beside = self.path.clone().into_os_string();
        beside.push(".torn");
        tracing::warn!(
            "{} is cut at byte {}: what follows is no whole batch; its bytes are kept in {}",
            self.path.display(),
            self.position,
            Path::new(&beside).display()
        );
        crate::volume::write_file(io, Path::new(&beside), torn).await
    }
}

/// A corruption found while looking at a partition as a whole.
pub(super) fn corruption(path: &Path, position: u64, offset: i64, what: String) -> Corruption {
    Corruption { path: path.to_path_buf(), position, offset, what }
}
