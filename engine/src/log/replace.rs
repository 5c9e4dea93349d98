//! Putting a compacted segment in the place of those that it was made from.
//!
//! The order is what makes a crash harmless. The new files are whole and synced as `.cleaned`; renamed to `.swap`, the
//! log last, and the directory synced, they are decided on: from then on recovery finishes what is begun. The segments
//! after the first are renamed away and the indexes put in place, and that is synced too before the last rename puts
//! the new log over the first one's. So every start finds all of the old segments or the new one.
//!
//! Readers wait meanwhile, and those that were on their way read again (`Log::consistent`).

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::retention::unlink_all;
use super::segment::{FileKind, Phase};
use super::{Log, Segment, Status};
use crate::error::{Corruption, IoFailure};
use crate::format::names::FileStage;
use crate::format::segment_index::IndexBytes;
use crate::format::time_index::TimestampOffset;
use crate::reactor::File;
use crate::volume::write_synced;

/// A compacted segment, synced as `.log.cleaned`.
pub(crate) struct CleanedSegment {
    pub base_offset: i64,
    pub bytes: u64,
    pub index: IndexBytes,
    pub max_timestamp: Option<TimestampOffset>,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Replacement {
    Done,
    /// Segments that it was made from were deleted meanwhile: it is of no use.
    Stale,
}

/// The files of a segment, the log last.
const INDEXES: [FileKind; 2] = [FileKind::Index, FileKind::TimeIndex];

impl Log {
    /// Creates the file that a compacted segment is written to. None when the log is gone.
    ///
    /// # Errors
    /// When it cannot be created.
    pub(crate) async fn create_cleaned(&self, base_offset: i64) -> Result<Option<File>, IoFailure> {
        // Against a removal: a directory of the same name may be another partition's afterwards.
        let _one = self.materialising.acquire(1).await;
        if self.is_removed() {
            return Ok(None);
        }
        let path = staged(&FileKind::Log.path(&self.directory, base_offset), FileStage::Cleaned);
        let created = self.volume.io().open(&path, crate::io::OpenMode::DirectCreate).await;
        created.map(Some).map_err(|error| IoFailure::new("create", &path, error))
    }

    /// Removes what is left of a compaction that was given up.
    pub(crate) async fn discard_cleaned(&self, base_offset: i64) {
        let _one = self.materialising.acquire(1).await;
        if self.is_removed() {
            return;
        }
        let kinds = [FileKind::Index, FileKind::TimeIndex, FileKind::Log];
        let paths = kinds.map(|kind| staged(&kind.path(&self.directory, base_offset), FileStage::Cleaned));
        unlink_all(self.volume.io(), paths.into()).await;
    }

    /// Replaces the closed segments at `group`, which follow one another, by `cleaned`. Durable when it returns.
    ///
    /// # Errors
    /// The failed step. Before the first rename nothing has changed; after it the log's files are not read until a start
    /// has finished what is begun, or dropped it.
    pub(crate) async fn replace_segments(
        self: &Rc<Self>,
        group: &[i64],
        cleaned: CleanedSegment,
    ) -> Result<Replacement, IoFailure> {
        let one = self.materialising.acquire(1).await;
        let _index = self.indexing.acquire(1).await;
        // Before anything is written by path: another partition may have the directory's name by now.
        if !self.holds_group(group) {
            return Ok(Replacement::Stale);
        }
        self.write_indexes(&cleaned).await?;
        if !self.holds_group(group) {
            return Ok(Replacement::Stale);
        }
        // From here on no segment is dropped, either.
        self.replacing.set(true);
        self.content.set(self.cold.new_key());
        let outcome = self.swap_files(group, cleaned.base_offset).await;
        match &outcome {
            Ok(_) => self.swap_state(group, &cleaned),
            Err(failure) => self.note_half_replaced(failure),
        }
        self.replaced.notify_all();
        let deleted = outcome?;
        drop(one);
        let log = Rc::clone(self);
        let delay = Duration::from_millis(self.options().file_delete_delay_ms);
        let removal = async move {
            log.volume.io().sleep(delay).await;
            if !log.is_removed() {
                unlink_all(log.volume.io(), deleted).await;
            }
        };
        self.volume.io().spawn("segment deletion", removal).detach();
        Ok(Replacement::Done)
    }

    fn holds_group(&self, group: &[i64]) -> bool {
        let state = self.state.borrow();
        let from = state.segments.partition_point(|segment| Some(&segment.base_offset) < group.first());
        let held = state.segments.iter().skip(from).take(group.len());
        let sound = held.filter(|segment| segment.phase == Phase::Closed).map(|segment| segment.base_offset);
        matches!(state.status, Status::Open) && sound.eq(group.iter().copied())
    }

    async fn write_indexes(&self, cleaned: &CleanedSegment) -> Result<(), IoFailure> {
        let io = self.volume.io();
        for (kind, content) in
            INDEXES.into_iter().zip([&cleaned.index.offset_index, &cleaned.index.time_index])
        {
            let path = staged(&kind.path(&self.directory, cleaned.base_offset), FileStage::Cleaned);
            write_synced(io, &path, Bytes::copy_from_slice(content)).await?;
        }
        Ok(())
    }

    /// When it returns, the new segment is decided on.
    async fn decide_on(&self, base_offset: i64) -> Result<(), IoFailure> {
        for kind in INDEXES.into_iter().chain([FileKind::Log]) {
            let live = kind.path(&self.directory, base_offset);
            self.rename(&staged(&live, FileStage::Cleaned), &staged(&live, FileStage::Swap)).await?;
        }
        self.sync_directory().await
    }

    /// Returns the files of the segments after the first, renamed to be deleted.
    async fn swap_files(&self, group: &[i64], base_offset: i64) -> Result<Vec<PathBuf>, IoFailure> {
        self.decide_on(base_offset).await?;
        let mut deleted = Vec::new();
        for base in &group[1..] {
            for kind in FileKind::ALL {
                let live = kind.path(&self.directory, *base);
                let away = staged(&live, FileStage::Deleted);
                match self.rename(&live, &away).await {
                    Ok(()) => deleted.push(away),
                    Err(failure) if failure.source.kind() == std::io::ErrorKind::NotFound => (),
                    Err(failure) => return Err(failure),
                }
            }
        }
        for kind in INDEXES {
            let live = kind.path(&self.directory, base_offset);
            self.rename(&staged(&live, FileStage::Swap), &live).await?;
        }
        self.sync_directory().await?;
        let live = FileKind::Log.path(&self.directory, base_offset);
        self.rename(&staged(&live, FileStage::Swap), &live).await?;
        self.sync_directory().await?;
        Ok(deleted)
    }

    fn swap_state(&self, group: &[i64], cleaned: &CleanedSegment) {
        let mut state = self.state.borrow_mut();
        let from = state.segments.partition_point(|segment| segment.base_offset < cleaned.base_offset);
        let mut segment = Segment::found(cleaned.base_offset, cleaned.bytes);
        segment.max_timestamp = cleaned.max_timestamp;
        state.segments.splice(from..from + group.len(), [segment]);
        for base in group {
            state.unsynced.remove(base);
        }
        drop(state);
        for base in group {
            self.volume.files.forget(&FileKind::Log.path(&self.directory, *base));
        }
        self.cold.forget(self.content.get(), None);
        self.content.set(self.cold.new_key());
        self.replacing.set(false);
    }

    /// What its files hold is not known to this process any more. Appends go on; nothing is read from the files, or
    /// dropped, until a start has finished what was begun.
    fn note_half_replaced(&self, failure: &IoFailure) {
        tracing::error!(
            "{}: {failure}, while compacted segments were put in place; its older records cannot be read until the \
             next start, which finishes it",
            self.name
        );
        self.half_replaced.replace(Some(Corruption {
            path: failure.path.clone(),
            position: 0,
            offset: -1,
            what: format!("{failure}, while compacted segments were put in place; restart the server"),
        }));
    }

    async fn rename(&self, from: &Path, to: &Path) -> Result<(), IoFailure> {
        self.volume.io().rename(from, to).await.map_err(|error| IoFailure::new("rename", from, error))
    }

    async fn sync_directory(&self) -> Result<(), IoFailure> {
        let synced = self.volume.io().sync_dir(&self.directory).await;
        synced.map_err(|error| IoFailure::new("sync", &self.directory, error))
    }
}

/// The name of a live file in another stage of its life.
pub(crate) fn staged(live: &Path, stage: FileStage) -> PathBuf {
    let mut name = live.as_os_str().to_owned();
    name.push(stage.suffix());
    PathBuf::from(name)
}
