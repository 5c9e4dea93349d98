//! What is in a directory: checkpoints, journals, partitions.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use uuid::Uuid;

use super::RecoveryOptions;
use super::writeback::Writeback;
use crate::bounds::CHECKPOINT_BYTES_MAX;
use crate::checkpoint::{self, Checkpoint, PartitionCheckpoint};
use crate::error::{Corruption, IoFailure, StartError};
use crate::format::names::{DirectoryStage, FileStage, PartitionDirectory, SegmentFile, SegmentFileKind};
use crate::format::partition_metadata;
use crate::id::{PartitionId, ShardId, TopicPartition};
use crate::io::DirEntry;
use crate::journal::JournalFileId;
use crate::log::{ColdCache, Log, LogPosition, LogSeed, SegmentSeed, TailCache, purge};
use crate::reactor::Io;
use crate::volume::{FailedMark, Volume, VolumeSeed, read_file, read_file_within, replace_file};

/// Kafka's mark of a clean stop: an empty file.
pub(crate) const CLEAN_MARK: &str = ".kafka_cleanshutdown";

/// In a partition's directory: it was refused, and stays so until the operator removes this file.
pub(super) const REFUSED_MARK: &str = "thalweg.refused";

/// A directory being recovered.
pub(super) struct Directory {
    pub io: Io,
    pub path: PathBuf,
    pub options: Rc<RecoveryOptions>,
    pub journal: Uuid,
    pub generation: u64,
    /// Shards of the generation being recovered.
    pub shards: u16,
    /// The highest epoch seen.
    pub leader_epoch: i32,
    /// Nothing has to be replayed.
    pub clean: bool,
    pub journal_files: Vec<JournalFileId>,
    /// Lowest needed sequences by shard.
    pub needed: HashMap<ShardId, [u64; 2]>,
    pub volume: Rc<Volume>,
    pub logs: HashMap<PartitionId, Rc<Log>>,
    /// Partitions that are refused, with what is known of them.
    pub refused: HashMap<PartitionId, Corruption>,
    /// Those of them that an earlier start refused: the evidence is kept already.
    pub refused_before: HashSet<PartitionId>,
    pub stale_names: Vec<String>,
    /// The segments that each partition's directory had at the start.
    pub found: HashMap<PartitionId, Vec<SegmentSeed>>,
    /// A checkpoint is damaged: what seems left over may be all that there is.
    pub distrusted: bool,
    /// Partitions that no checkpoint of ours knows, after an unclean stop: the journal comes first.
    unexplained: Vec<PartitionId>,
    pub writeback: Writeback,
    cold: Rc<ColdCache>,
    tails: Rc<TailCache>,
}

/// The checkpoints of a directory, put together.
struct Checkpoints {
    base: Option<Checkpoint>,
    partitions: HashMap<PartitionId, PartitionCheckpoint>,
    needed: HashMap<ShardId, [u64; 2]>,
    /// Shards whose running checkpoint is damaged: their segments are looked through instead.
    damaged: Vec<ShardId>,
    base_damaged: bool,
    clean: bool,
    leader_epoch: i32,
}

impl Directory {
    /// Reads checkpoints and partitions.
    pub async fn read(io: &Io, path: &Path, options: Rc<RecoveryOptions>) -> Result<Directory, StartError> {
        let entries = list(io, path)?;
        let journal_files: Vec<_> =
            entries.iter().filter_map(|entry| JournalFileId::parse(&entry.name)).collect();
        let checkpoints = Checkpoints::read(io, path, &entries).await?;
        let (journal, generation) = checkpoints.identity(io, path, &journal_files).await?;
        let had_clean_mark = entries.iter().any(|entry| entry.name == CLEAN_MARK);
        let seed = VolumeSeed {
            dir: path.to_path_buf(),
            journal,
            generation,
            journal_files: Vec::new(),
            has_failed: FailedMark::default(),
        };
        let cold = ColdCache::new(io, 16 << 20, crate::bounds::RECOVERY_READS_MAX);
        let partitions = entries.iter().filter(|entry| entry.is_dir).count();
        let memory_bytes = usize::try_from(options.memory_bytes_max).unwrap_or(usize::MAX);
        let tails = TailCache::shared_by(partitions, memory_bytes);
        let mut directory = Directory {
            io: io.clone(),
            path: path.to_path_buf(),
            journal,
            generation,
            shards: checkpoints.base.as_ref().map_or(options.shards, |base| base.shards),
            options,
            leader_epoch: checkpoints.leader_epoch,
            // A directory that never was Thalweg's is as clean as Kafka left it.
            clean: checkpoints.clean || (checkpoints.is_absent() && journal_files.is_empty()),
            journal_files,
            needed: checkpoints.needed.clone(),
            volume: Volume::for_recovery(io, seed),
            logs: HashMap::new(),
            refused: HashMap::new(),
            refused_before: HashSet::new(),
            stale_names: stale_names(&entries),
            found: HashMap::new(),
            distrusted: checkpoints.base_damaged || !checkpoints.damaged.is_empty(),
            unexplained: Vec::new(),
            cold,
            writeback: Writeback::new(io, Rc::clone(&tails)),
            tails,
        };
        directory.find_partitions(&entries, &checkpoints, had_clean_mark).await?;
        Ok(directory)
    }

    async fn find_partitions(
        &mut self,
        entries: &[DirEntry],
        checkpoints: &Checkpoints,
        marked: bool,
    ) -> Result<(), StartError> {
        for entry in entries.iter().filter(|entry| entry.is_dir) {
            let Some(parsed) = PartitionDirectory::parse(&entry.name) else {
                tracing::warn!(
                    "{} is no partition directory; it is left alone",
                    self.path.join(&entry.name).display()
                );
                continue;
            };
            let path = self.path.join(&entry.name);
            match parsed.stage {
                DirectoryStage::Live => self.find_partition(path, parsed, checkpoints, marked).await?,
                DirectoryStage::Delete(_) => {
                    let io = self.io.clone();
                    self.io.spawn("partition removal", async move { purge(&io, &path).await }).detach();
                }
                _ => tracing::warn!("{} is not served by this version", path.display()),
            }
        }
        Ok(())
    }

    async fn find_partition(
        &mut self,
        path: PathBuf,
        parsed: PartitionDirectory,
        checkpoints: &Checkpoints,
        marked: bool,
    ) -> Result<(), StartError> {
        let files = self.settle_replacements(&path, list(&self.io, &path)?).await?;
        let on_disk = segments_on_disk(&files);
        let Some(topic) = self.topic_id(&path, !on_disk.is_empty()).await? else { return Ok(()) };
        let id = PartitionId { topic, index: parsed.partition };
        let name = TopicPartition { topic: parsed.topic, partition: parsed.partition };
        let mut seed =
            LogSeed { id: Some(id), name: Some(name), directory: path.clone(), ..LogSeed::default() };
        let stored = checkpoints.partitions.get(&id);
        let distrusted = checkpoints.base_damaged || checkpoints.damaged.contains(&id.home(self.shards));
        let left_behind = match stored {
            Some(stored) if !distrusted && self.clean => {
                self.kafka_rolled_on(&seed, stored, &on_disk).await?
            }
            _ => false,
        };
        match stored {
            Some(_) if left_behind => self.adopt(&mut seed, &on_disk, marked).await?,
            Some(stored) if !distrusted => {
                self.seed_from(&mut seed, stored, &on_disk);
                let untouched = last_segment(&on_disk) == last_segment_of(stored);
                if self.clean && !untouched && seed.corruption.is_none() {
                    // Something else wrote here since the clean stop.
                    self.scan_on(&mut seed, &on_disk, stored.synced, true).await?;
                }
                seed.indexed = self.clean && untouched;
            }
            Some(stored) => {
                self.seed_from(&mut seed, stored, &on_disk);
                self.scan_on(&mut seed, &on_disk, stored.synced, false).await?;
            }
            // Created after the last checkpoint: the journal has all of it, and nothing of the segments is synced.
            None if checkpoints.base.is_some() && !self.clean => self.unexplained.push(id),
            // Kafka's.
            None => self.adopt(&mut seed, &on_disk, marked).await?,
        }
        if files.iter().any(|file| file.name == REFUSED_MARK) {
            seed.corruption = Some(self.reason_of_refusal(&path).await?);
            self.refused_before.insert(id);
        }
        self.leader_epoch = self.leader_epoch.max(seed.epochs.latest().unwrap_or(-1));
        self.found.insert(id, on_disk);
        self.open(seed);
        Ok(())
    }

    /// After the replay: a partition of which no journal knew anything is taken from its segments.
    pub async fn adopt_unexplained(&mut self) -> Result<(), StartError> {
        for id in std::mem::take(&mut self.unexplained) {
            let (Some(log), Some(on_disk)) = (self.logs.get(&id), self.found.get(&id)) else { continue };
            let Some(first) = on_disk.first().filter(|_| log.end() == 0 && !self.refused.contains_key(&id))
            else {
                continue;
            };
            let (mut seed, on_disk) = (log.to_seed(), on_disk.clone());
            let start = LogPosition { segment: first.base_offset, position: 0, offset: first.base_offset };
            seed.log_start = first.base_offset;
            self.scan_on(&mut seed, &on_disk, start, true).await?;
            self.open(seed);
        }
        let latest =
            self.logs.values().filter_map(|log| log.with_state(|state| state.epochs().latest())).max();
        self.leader_epoch = self.leader_epoch.max(latest.unwrap_or(-1));
        Ok(())
    }

    pub(super) fn open(&mut self, seed: LogSeed) {
        let Some(id) = seed.id else { return };
        if let Some(corruption) = &seed.corruption {
            self.refused.insert(id, corruption.clone());
        }
        let options = std::sync::Arc::clone(&self.options.options);
        let log = Log::open(
            seed,
            Rc::clone(&self.volume),
            Rc::clone(&self.cold),
            Rc::clone(&self.tails),
            options,
            0,
        );
        self.logs.insert(id, log);
    }

    /// What the checkpoint says, held against the files.
    fn seed_from(&self, seed: &mut LogSeed, stored: &PartitionCheckpoint, on_disk: &[SegmentSeed]) {
        let synced = stored.synced;
        seed.end_offset = synced.offset;
        seed.active_base = synced.segment;
        seed.cleaned = stored.cleaned;
        seed.epochs = stored.epochs.clone();
        seed.epochs.trim_above(synced.offset);
        seed.producers = stored.producers();
        seed.producers.trim_above(synced.offset);
        // Segments wholly below the log start were deleted, as far as anybody was told.
        let first =
            on_disk.partition_point(|segment| segment.base_offset <= stored.log_start).saturating_sub(1);
        let closed = on_disk[first.min(on_disk.len())..].iter().copied();
        seed.segments = closed.filter(|segment| segment.base_offset < synced.segment).collect();
        let active = on_disk.iter().find(|segment| segment.base_offset == synced.segment);
        match active {
            Some(found) if found.bytes >= synced.position => {
                seed.segments.push(SegmentSeed { base_offset: synced.segment, bytes: synced.position });
            }
            None if synced.position == 0 => (),
            found => seed.corruption = Some(missing(seed, synced, found.map_or(0, |found| found.bytes))),
        }
        seed.log_start =
            stored.log_start.max(seed.segments.first().map_or(synced.segment, |first| first.base_offset));
    }

    async fn reason_of_refusal(&self, path: &Path) -> Result<Corruption, IoFailure> {
        let mark = path.join(REFUSED_MARK);
        let reason = read_file(&self.io, &mark).await?.unwrap_or_default();
        let what = format!(
            "refused by an earlier start: {}; remove this file to serve what its segments prove",
            String::from_utf8_lossy(&reason).trim()
        );
        Ok(Corruption { path: mark, position: 0, offset: -1, what })
    }

    /// The topic id from `partition.metadata`. None: an unfinished creation, which is cleared away.
    async fn topic_id(&self, path: &Path, has_data: bool) -> Result<Option<Uuid>, StartError> {
        let file = path.join(partition_metadata::FILE_NAME);
        match read_file(&self.io, &file).await? {
            Some(bytes) => match partition_metadata::decode(&bytes) {
                Ok(id) => Ok(Some(id)),
                Err(fault) => Err(StartError::Format { path: file, what: fault.to_string() }),
            },
            None if has_data => {
                // Written by a Kafka before 2.8, which had no topic ids.
                let id = Uuid::from_u64_pair(self.io.random(), self.io.random());
                replace_file(&self.io, &file, Bytes::from(partition_metadata::encode(id))).await?;
                Ok(Some(id))
            }
            None => {
                purge(&self.io, path).await;
                Ok(None)
            }
        }
    }
}

impl Checkpoints {
    async fn read(io: &Io, dir: &Path, entries: &[DirEntry]) -> Result<Checkpoints, IoFailure> {
        let mut all = Checkpoints {
            base: None,
            partitions: HashMap::new(),
            needed: HashMap::new(),
            damaged: Vec::new(),
            base_damaged: false,
            clean: false,
            leader_epoch: -1,
        };
        match read_checkpoint(io, &dir.join(checkpoint::BASE_NAME)).await? {
            Some(Ok(base)) => all.base = Some(base),
            Some(Err(())) => all.base_damaged = true,
            None => (),
        }
        let mut clean_shards = 0;
        for shard in running_shards(entries) {
            match read_checkpoint(io, &dir.join(checkpoint::running_name(shard))).await? {
                Some(Ok(running)) if all.continues(&running) => {
                    clean_shards += u16::from(running.clean);
                    all.leader_epoch = all.leader_epoch.max(running.leader_epoch);
                    all.needed.insert(ShardId(shard), running.needed);
                    all.partitions.extend(running.partitions.iter().map(|part| (part.id, part.clone())));
                    all.base.get_or_insert(Checkpoint { partitions: Vec::new(), ..running });
                }
                Some(Err(())) => all.damaged.push(ShardId(shard)),
                _ => (),
            }
        }
        if let Some(base) = &all.base {
            all.leader_epoch = all.leader_epoch.max(base.leader_epoch);
            all.clean = !all.base_damaged && clean_shards == base.shards;
            for part in &base.partitions {
                all.partitions.entry(part.id).or_insert_with(|| part.clone());
            }
        }
        Ok(all)
    }

    fn continues(&self, running: &Checkpoint) -> bool {
        match &self.base {
            Some(base) => base.generation == running.generation && base.journal == running.journal,
            None => self.base_damaged,
        }
    }

    fn is_absent(&self) -> bool {
        self.base.is_none() && !self.base_damaged && self.damaged.is_empty()
    }

    /// The journals' id and generation; without a sound checkpoint, what the journals say themselves.
    async fn identity(
        &self,
        io: &Io,
        dir: &Path,
        files: &[JournalFileId],
    ) -> Result<(Uuid, u64), StartError> {
        if let Some(base) = &self.base {
            return Ok((base.journal, base.generation));
        }
        match super::journals::identity(io, dir, files).await? {
            Some(found) => Ok(found),
            None => Ok((Uuid::from_u64_pair(io.random(), io.random()), 0)),
        }
    }
}

/// `Some(Err(()))`: it is there and damaged, which was reported.
async fn read_checkpoint(io: &Io, path: &Path) -> Result<Option<Result<Checkpoint, ()>>, IoFailure> {
    let Some(bytes) = read_file_within(io, path, CHECKPOINT_BYTES_MAX).await? else { return Ok(None) };
    Ok(Some(checkpoint::decode(&bytes).map_err(|fault| {
        tracing::error!("{} is corrupt at {fault}; the segments are looked through instead", path.display());
    })))
}

fn running_shards(entries: &[DirEntry]) -> Vec<u16> {
    let shard = |entry: &DirEntry| {
        let number = entry.name.strip_prefix(checkpoint::BASE_NAME)?.strip_prefix('.')?.parse().ok()?;
        (checkpoint::running_name(number) == entry.name).then_some(number)
    };
    entries.iter().filter_map(shard).collect()
}

/// Names to remove once the new base is durable.
fn stale_names(entries: &[DirEntry]) -> Vec<String> {
    let mut names: Vec<String> = running_shards(entries).into_iter().map(checkpoint::running_name).collect();
    let others = entries.iter().filter(|entry| !entry.is_dir);
    let is_stale = |name: &str| {
        name == CLEAN_MARK || (name.starts_with(checkpoint::BASE_NAME) && name.ends_with(".tmp"))
    };
    names.extend(others.map(|entry| entry.name.clone()).filter(|name| is_stale(name)));
    names
}

pub(super) fn list(io: &Io, path: &Path) -> Result<Vec<DirEntry>, IoFailure> {
    io.driver().list_dir(path).map_err(|error| IoFailure::new("list", path, error))
}

/// The `.log` files of a partition by base offset, with their file sizes.
fn segments_on_disk(files: &[DirEntry]) -> Vec<SegmentSeed> {
    let segment = |entry: &DirEntry| {
        let file = SegmentFile::parse(&entry.name)?;
        let is_log = file.kind == SegmentFileKind::Log && file.stage == FileStage::Live;
        is_log.then_some(SegmentSeed { base_offset: file.base_offset, bytes: entry.len })
    };
    let mut segments: Vec<_> = files.iter().filter_map(segment).collect();
    segments.sort_by_key(|segment| segment.base_offset);
    segments
}

fn last_segment(on_disk: &[SegmentSeed]) -> Option<(i64, u64)> {
    on_disk.last().map(|last| (last.base_offset, last.bytes))
}

fn last_segment_of(stored: &PartitionCheckpoint) -> Option<(i64, u64)> {
    (stored.synced.position > 0).then_some((stored.synced.segment, stored.synced.position))
}

fn missing(seed: &LogSeed, synced: LogPosition, bytes: u64) -> Corruption {
    Corruption {
        path: crate::log::FileKind::Log.path(&seed.directory, synced.segment),
        position: bytes,
        offset: -1,
        what: format!("the file has {bytes} bytes, the checkpoint says {} were synced", synced.position),
    }
}
