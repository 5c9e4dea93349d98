//! What a crash left of a compaction: a replacement of segments that was decided on is finished, anything before that
//! is dropped. The same for a directory of Kafka's, whose cleaner names its files alike.

use std::path::Path;

use super::adopt::SegmentScan;
use super::directory::{Directory, list};
use crate::error::IoFailure;
use crate::format::names::{FileStage, SegmentFile, SegmentFileKind};
use crate::io::DirEntry;
use crate::log::LogSeed;

impl Directory {
    /// Settles a partition's files and lists them anew.
    pub(super) async fn settle_replacements(
        &self,
        path: &Path,
        files: Vec<DirEntry>,
    ) -> Result<Vec<DirEntry>, IoFailure> {
        let staged: Vec<(SegmentFile, u64)> = files
            .iter()
            .filter_map(|file| Some((SegmentFile::parse(&file.name)?, file.len)))
            .filter(|(file, _)| file.stage != FileStage::Live)
            .collect();
        if staged.is_empty() {
            return Ok(files);
        }
        let of = |stage| staged.iter().filter(move |(file, _)| file.stage == stage);
        // One that is not whole says that what it belongs to was not decided on.
        let undecided = of(FileStage::Cleaned).map(|(file, _)| file.base_offset).min().unwrap_or(i64::MAX);
        for (file, bytes) in of(FileStage::Swap).filter(|(file, _)| file.kind == SegmentFileKind::Log) {
            if file.base_offset < undecided {
                self.finish_replacement(path, &files, file.base_offset, *bytes).await?;
            }
        }
        for (file, _) in of(FileStage::Cleaned).chain(of(FileStage::Swap)).chain(of(FileStage::Deleted)) {
            self.unlink(&path.join(file.file_name())).await?;
        }
        self.sync_partition(path).await?;
        list(&self.io, path)
    }

    /// The order is that of `Log::replace_segments`, so that a crash in here is one there.
    async fn finish_replacement(
        &self,
        path: &Path,
        files: &[DirEntry],
        base_offset: i64,
        bytes: u64,
    ) -> Result<(), IoFailure> {
        let swap = |kind| SegmentFile { base_offset, kind, stage: FileStage::Swap };
        let log = path.join(swap(SegmentFileKind::Log).file_name());
        let Some(end) = self.end_of_replacement(&log, base_offset, bytes).await? else {
            tracing::error!("{} is damaged and not used; the segments that it replaces stay", log.display());
            let mut aside = log.clone().into_os_string();
            aside.push(".torn");
            return self.rename(&log, Path::new(&aside)).await;
        };
        tracing::info!("{}: finishing the replacement of segments {base_offset} to {end}", path.display());
        for file in files.iter().filter_map(|file| SegmentFile::parse(&file.name)) {
            let replaced =
                file.stage == FileStage::Live && base_offset < file.base_offset && file.base_offset < end;
            if replaced {
                self.unlink(&path.join(file.file_name())).await?;
            }
        }
        for kind in [SegmentFileKind::OffsetIndex, SegmentFileKind::TimeIndex] {
            let is_there = files.iter().any(|file| SegmentFile::parse(&file.name) == Some(swap(kind)));
            let live = path.join(SegmentFile::live(base_offset, kind).file_name());
            if is_there {
                self.rename(&path.join(swap(kind).file_name()), &live).await?;
            }
        }
        self.sync_partition(path).await?;
        let live = path.join(SegmentFile::live(base_offset, SegmentFileKind::Log).file_name());
        self.rename(&log, &live).await
    }

    /// Offset after the last batch of a new segment; None when it is not whole.
    async fn end_of_replacement(
        &self,
        log: &Path,
        base_offset: i64,
        bytes: u64,
    ) -> Result<Option<i64>, IoFailure> {
        let mut scanned = LogSeed { end_offset: base_offset, ..LogSeed::default() };
        let mut scan = SegmentScan::open_at(&self.io, log, bytes).await?;
        scan.run(&mut scanned).await?;
        Ok((scan.position == bytes).then_some(scanned.end_offset))
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<(), IoFailure> {
        self.io.rename(from, to).await.map_err(|error| IoFailure::new("rename", from, error))
    }

    async fn sync_partition(&self, path: &Path) -> Result<(), IoFailure> {
        self.io.sync_dir(path).await.map_err(|error| IoFailure::new("sync", path, error))
    }
}
