//! Making what recovery accepted durable, and opening the next generation with it.

use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;

use super::directory::{Directory, REFUSED_MARK};
use crate::checkpoint::{self, Checkpoint};
use crate::error::{IoFailure, StartError};
use crate::id::PartitionId;
use crate::log::{FileKind, Log, LogSeed};
use crate::storage::{partition_checkpoint, reusable};
use crate::volume::{FailedMark, VolumeSeed, replace_file};

impl Directory {
    /// Writes and syncs everything that was replayed.
    pub async fn settle(&mut self) -> Result<(), StartError> {
        let served = |id: &PartitionId| !self.refused.contains_key(id);
        for (_, log) in self.logs.iter().filter(|(id, log)| served(id) && log.is_dirty()) {
            let log = Rc::clone(log);
            let work = async move {
                log.write_tail().await?;
                let reached = log.sync().await?;
                log.note_synced(reached);
                Ok(())
            };
            self.writeback.start(work).await?;
        }
        self.writeback.finish().await?;
        for (id, log) in self.logs.iter().filter(|(id, _)| served(id)) {
            self.remove_leftovers(*id, log).await?;
        }
        Ok(())
    }

    /// Segment files that are not part of the log: deleted ones, and unsynced ones whose content was replayed into
    /// others. A later start could not tell them from the log's own, so they go before the new base is written.
    async fn remove_leftovers(&self, id: PartitionId, log: &Log) -> Result<(), StartError> {
        let kept: Vec<i64> = log.to_seed().segments.iter().map(|segment| segment.base_offset).collect();
        let found = self.found.get(&id).into_iter().flatten().map(|segment| segment.base_offset);
        let mut removed = false;
        for base_offset in found.filter(|base| !kept.contains(base)) {
            for kind in [FileKind::Log, FileKind::Index, FileKind::TimeIndex] {
                let path = kind.path(log.directory(), base_offset);
                if self.distrusted && kind == FileKind::Log {
                    self.set_aside(&path).await?;
                } else {
                    self.unlink(&path).await?;
                }
                removed = true;
            }
        }
        if removed {
            let synced = self.io.sync_dir(log.directory()).await;
            synced.map_err(|error| IoFailure::new("sync", log.directory(), error))?;
        }
        Ok(())
    }

    /// Writes the base checkpoint of the next generation, clears away what it replaces, and hands over.
    pub async fn seal(
        self,
        leader_epoch: i32,
        shards: u16,
    ) -> Result<(VolumeSeed, Vec<LogSeed>), StartError> {
        let generation = self.generation + 1;
        let keep_old = self.refused.keys().any(|id| !self.refused_before.contains(id));
        let served = self.logs.iter().filter(|(id, _)| !self.refused.contains_key(id));
        let mut partitions: Vec<_> = served.map(|(_, log)| partition_checkpoint(log)).collect();
        partitions.sort_by_key(|partition| partition.id);
        let base = Checkpoint {
            journal: self.journal,
            generation,
            shards,
            leader_epoch,
            clean: false,
            needed: [0, 0],
            partitions,
        };
        if keep_old {
            self.mark_refused().await?;
        }
        let path = self.path.join(checkpoint::BASE_NAME);
        replace_file(&self.io, &path, Bytes::from(checkpoint::encode(&base))).await?;
        // Not before: until the base is durable, the others' batches are proven by the journals alone.
        if keep_old {
            self.keep_evidence().await?;
        }
        for name in &self.stale_names {
            self.remove(name).await?;
        }
        let (kept, dropped) = reusable(&self.journal_files, shards);
        for file in dropped {
            self.remove(&file.file_name()).await?;
        }
        self.io.sync_dir(&self.path).await.map_err(|error| IoFailure::new("sync", &self.path, error))?;
        let logs = self.seeds();
        let journal_files = if keep_old { Vec::new() } else { kept };
        let (dir, has_failed) = (self.path.clone(), FailedMark::default());
        Ok((VolumeSeed { dir, journal: self.journal, generation, journal_files, has_failed }, logs))
    }

    async fn mark_refused(&self) -> Result<(), StartError> {
        for (id, corruption) in self.refused.iter().filter(|(id, _)| !self.refused_before.contains(id)) {
            if let Some(log) = self.logs.get(id) {
                let mark = log.directory().join(REFUSED_MARK);
                replace_file(&self.io, &mark, Bytes::from(format!("{corruption}\n"))).await?;
            }
        }
        Ok(())
    }

    /// A refused partition's bytes may be in the journals only: they are kept under another name.
    async fn keep_evidence(&self) -> Result<(), StartError> {
        for file in &self.journal_files {
            let from = self.path.join(file.file_name());
            let to = self.path.join(format!("{}.{}.refused", file.file_name(), self.generation));
            tracing::warn!("{} is kept as {}", from.display(), to.display());
            self.io.rename(&from, &to).await.map_err(|error| IoFailure::new("rename", &from, error))?;
        }
        Ok(())
    }

    async fn remove(&self, name: &str) -> Result<(), IoFailure> {
        self.unlink(&self.path.join(name)).await
    }

    async fn set_aside(&self, path: &Path) -> Result<(), IoFailure> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".torn");
        tracing::warn!(
            "{} does not follow on; it is kept as {}",
            path.display(),
            Path::new(&beside).display()
        );
        self.io.rename(path, &beside).await.map_err(|error| IoFailure::new("rename", path, error))
    }

    pub(super) async fn unlink(&self, path: &Path) -> Result<(), IoFailure> {
        match self.io.unlink(path).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(IoFailure::new("remove", path, error))
            }
            _ => Ok(()),
        }
    }

    fn seeds(&self) -> Vec<LogSeed> {
        let mut seeds: Vec<LogSeed> = Vec::with_capacity(self.logs.len());
        for (id, log) in &self.logs {
            seeds.push(LogSeed { corruption: self.refused.get(id).cloned(), ..log.to_seed() });
        }
        seeds.sort_by_key(|seed| seed.id);
        seeds
    }
}
