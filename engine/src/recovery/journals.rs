//! Replaying journals onto the checkpoints.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use thalweg_protocol::batch::BatchView;
use uuid::Uuid;

use super::RecoveryReport;
use super::adopt::corruption;
use super::directory::Directory;
use crate::error::{AppendError, Corruption, IoFailure, StartError};
use crate::id::{PartitionId, ShardId};
use crate::io::{AlignedBuf, PAGE_BYTES};
use crate::journal::commit::{self, EntryHeader};
use crate::journal::scan::{FoundCommit, OpenedCommit, Scan};
use crate::journal::{JournalFileId, Lane};
use crate::log::Replayed;
use crate::reactor::Io;
use crate::volume::write_file;

/// A batch that starts above its log's end: another lane may hold what is missing, or it was torn.
struct Held {
    entry: EntryHeader,
    bytes: Bytes,
    path: std::path::PathBuf,
    position: u64,
    standing: Standing,
}

/// A sound commit that is to be replayed.
struct Found<'s> {
    scan: &'s Scan,
    found: &'s FoundCommit,
    bytes: Bytes,
    standing: Standing,
}

/// What damage to a commit would mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A later commit says that this one was durable, and all before it.
    Attested,
    /// It may have been in flight when the journal ended: what is damaged of it was torn, and nobody was told of it.
    Unattested,
}

impl Directory {
    /// Replays every journal found, whatever shards wrote them.
    pub async fn replay(&mut self, report: &mut RecoveryReport) -> Result<(), StartError> {
        let mut held = Vec::new();
        for ((lane, shard), files) in grouped(&self.journal_files) {
            let scan = Scan::of(&self.io, &self.path, &files, self.journal, self.generation).await?;
            self.replay_journal(shard, lane, &scan, &mut held, report).await?;
        }
        self.replay_held(held, report).await
    }

    async fn replay_journal(
        &mut self,
        shard: ShardId,
        lane: Lane,
        scan: &Scan,
        held: &mut Vec<Held>,
        report: &mut RecoveryReport,
    ) -> Result<(), StartError> {
        let needed = self.needed.get(&shard).map_or(1, |needed| needed[crate::storage::lane_index(lane)]);
        let attested = scan.attested();
        let mut expected = needed.max(1);
        let mut last: Option<&FoundCommit> = None;
        let io = self.io.clone();
        let mut commits = scan.sound_from(&io, needed);
        while let Some((found, bytes)) = commits.next().await? {
            let sequence = found.header.id.sequence;
            if let Some(what) = fault_of(found, expected, last) {
                let lost = lane == Lane::Durable && (expected <= attested || sequence == expected);
                if lost {
                    self.refuse_shard(shard, scan, found, &what);
                    return Ok(());
                }
                self.report_unfinished(scan, expected, last).await?;
                if lane == Lane::Cached {
                    self.report_cut(scan, found);
                    return Ok(());
                }
            }
            let standing = if sequence <= attested { Standing::Attested } else { Standing::Unattested };
            let at = Found { scan, found, bytes, standing };
            if !self.replay_commit(&at, lane, held, report).await? {
                return Ok(());
            }
            expected = sequence + 1;
            last = Some(found);
        }
        self.report_unfinished(scan, expected, last).await
    }

    /// Applies one commit, as far as it is sound. False: the journal ends before it.
    async fn replay_commit(
        &mut self,
        commit: &Found<'_>,
        lane: Lane,
        held: &mut Vec<Held>,
        report: &mut RecoveryReport,
    ) -> Result<bool, StartError> {
        let Found { scan, found, bytes, standing } = commit;
        let opened = match OpenedCommit::decode(&found.header, bytes) {
            Ok(opened) => opened,
            Err(fault) => panic!("a commit that was sound when it was found: {fault:?}"),
        };
        let check = |(entry, range): &(EntryHeader, std::ops::Range<usize>)| {
            commit::check_payload(entry, &bytes[range.clone()]).err()
        };
        let faults: Vec<Option<String>> = opened.entries.iter().map(check).collect();
        let may_be_torn = *standing == Standing::Unattested || lane == Lane::Cached;
        if let (Some(what), true) = (faults.iter().flatten().next(), may_be_torn) {
            self.save_torn(scan, found, bytes, what).await?;
            if lane == Lane::Cached {
                return Ok(false);
            }
        }
        for ((entry, range), fault) in opened.entries.iter().zip(faults) {
            let position = found.position + range.start as u64;
            let at = (scan.path_of(found), position);
            match fault {
                Some(_) if may_be_torn => (),
                Some(what) => {
                    self.refuse(entry.partition, corruption(at.0, position, entry.base_offset, what));
                }
                None => {
                    self.replay_batch(entry, &bytes[range.clone()], at, *standing, held, report).await?;
                }
            }
        }
        self.writeback.bound_memory(self.logs.values()).await?;
        Ok(true)
    }

    async fn replay_batch(
        &mut self,
        entry: &EntryHeader,
        bytes: &[u8],
        at: (&Path, u64),
        standing: Standing,
        held: &mut Vec<Held>,
        report: &mut RecoveryReport,
    ) -> Result<(), StartError> {
        let Some(log) = self.logs.get(&entry.partition).cloned() else {
            report.dropped_batches += 1;
            return Ok(());
        };
        if self.refused.contains_key(&entry.partition) {
            return Ok(());
        }
        let Ok(view) = BatchView::parse(bytes) else { panic!("a payload that was just checked") };
        match log.replay(&view).await.map_err(start_error)? {
            Replayed::Appended { sealed } => {
                report.replayed_batches += 1;
                report.replayed_bytes += bytes.len() as u64;
                if sealed {
                    self.writeback.write_full_chunks(log).await?;
                }
            }
            Replayed::Known => (),
            Replayed::Gap { .. } => held.push(Held {
                entry: *entry,
                bytes: Bytes::copy_from_slice(bytes),
                path: at.0.to_path_buf(),
                position: at.1,
                standing,
            }),
        }
        Ok(())
    }

    /// Batches that came before what they follow on. What still does not fit proves that something is missing, unless
    /// the batch may have been in flight together with what it follows on: then it goes the same way.
    async fn replay_held(
        &mut self,
        mut held: Vec<Held>,
        report: &mut RecoveryReport,
    ) -> Result<(), StartError> {
        held.sort_by_key(|held| (held.entry.partition, held.entry.base_offset));
        for batch in held {
            let mut gap = Vec::new();
            let at = (batch.path.as_path(), batch.position);
            self.replay_batch(&batch.entry, &batch.bytes, at, batch.standing, &mut gap, report).await?;
            if gap.is_empty() {
                continue;
            }
            if batch.standing == Standing::Unattested {
                tracing::warn!(
                    "{}: a batch at byte {} is cut: it follows on what was not finished",
                    batch.path.display(),
                    batch.position
                );
            } else {
                let end = self.logs.get(&batch.entry.partition).map_or(0, |log| log.end());
                let what =
                    format!("the log ends at {end} and this batch starts at {}", batch.entry.base_offset);
                let found = corruption(&batch.path, batch.position, batch.entry.base_offset, what);
                self.refuse(batch.entry.partition, found);
            }
        }
        Ok(())
    }

    /// Where the commit after `last` would be, its remains may lie: no telling a torn write from one that was
    /// acknowledged and damaged later, so they are kept and reported.
    async fn report_unfinished(
        &self,
        scan: &Scan,
        expected: u64,
        last: Option<&FoundCommit>,
    ) -> Result<(), StartError> {
        let mut kept = false;
        for (found, damage) in scan.damaged_behind(expected, last) {
            let bytes = scan.bytes_of(found).await?;
            self.save_torn(scan, found, &bytes, damage).await?;
            kept = true;
        }
        if kept {
            return Ok(());
        }
        let Some((path, position)) = scan.ruin_behind(last) else { return Ok(()) };
        let bytes = scan.bytes_of_ruin(path, position).await?;
        let name = format!("byte-{position}");
        Ok(self.keep_torn(path, position, &name, &bytes, "a damaged commit header").await?)
    }

    fn report_cut(&self, scan: &Scan, found: &FoundCommit) {
        tracing::warn!(
            "{} is cut before byte {}: durability=os promises what is behind it only against the end of the process",
            scan.path_of(found).display(),
            found.position
        );
    }

    /// A commit that was durable is not there, or not as it was written. Which partitions it held is not known any more:
    /// none of the shard's can be shown to be whole.
    fn refuse_shard(&mut self, shard: ShardId, scan: &Scan, found: &FoundCommit, what: &str) {
        let damage = corruption(scan.path_of(found), found.position, -1, what.to_string());
        tracing::error!(
            "{damage}; the partitions of shard {} in {} are refused",
            shard.0,
            self.path.display()
        );
        let homed: Vec<PartitionId> =
            self.logs.keys().copied().filter(|id| id.home(self.shards) == shard).collect();
        for id in homed {
            self.refuse(id, damage.clone());
        }
    }

    fn refuse(&mut self, id: PartitionId, corruption: Corruption) {
        if let Some(log) = self.logs.get(&id) {
            tracing::error!("partition {} is refused: {corruption}", log.name());
            self.refused.entry(id).or_insert(corruption);
        }
    }

    async fn save_torn(
        &self,
        scan: &Scan,
        found: &FoundCommit,
        bytes: &[u8],
        what: &str,
    ) -> Result<(), IoFailure> {
        self.keep_torn(scan.path_of(found), found.position, &found.header.id.to_string(), bytes, what).await
    }

    async fn keep_torn(
        &self,
        path: &Path,
        position: u64,
        commit: &str,
        bytes: &[u8],
        what: &str,
    ) -> Result<(), IoFailure> {
        let beside = path.with_file_name(format!(
            "{}.{}.torn",
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            commit
        ));
        tracing::warn!(
            "{} is cut at byte {position}: {what}; the last commit was not finished, its bytes are kept in {}",
            path.display(),
            beside.display()
        );
        write_file(&self.io, &beside, Bytes::copy_from_slice(bytes)).await
    }
}

/// What is wrong with a sound commit where `expected` should be, behind `last`.
fn fault_of(found: &FoundCommit, expected: u64, last: Option<&FoundCommit>) -> Option<String> {
    if found.header.id.sequence != expected {
        return Some(format!("commit {} where {expected} comes next", found.header.id));
    }
    let last = last.filter(|last| last.header.id.sequence + 1 == expected)?;
    let broken = last.header.crc != found.header.previous_crc;
    broken.then(|| format!("commit {} does not follow on from the one before it", found.header.id))
}

fn start_error(error: AppendError) -> StartError {
    match error {
        AppendError::Io(failure) => StartError::Io(failure),
        other => StartError::Unsupported(other.to_string()),
    }
}

/// Durable journals first: a topic that changed to `os` has its earlier batches there.
fn grouped(files: &[JournalFileId]) -> BTreeMap<(Lane, ShardId), Vec<JournalFileId>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in files {
        groups.entry((file.lane, file.shard)).or_default().push(*file);
    }
    groups
}

/// The id and newest generation that the journals themselves name; None when there are none.
pub(super) async fn identity(
    io: &Io,
    dir: &Path,
    files: &[JournalFileId],
) -> Result<Option<(Uuid, u64)>, IoFailure> {
    let mut journal = None;
    for id in files {
        let path = dir.join(id.file_name());
        let opened = io.open(&path, crate::io::OpenMode::Direct).await;
        let file = opened.map_err(|error| IoFailure::new("open", &path, error))?;
        let (read, page) = file.read_at(AlignedBuf::zeroed(PAGE_BYTES), PAGE_BYTES, 0).await;
        read.map_err(|error| IoFailure::new("read", &path, error))?;
        journal = journal.or(crate::journal::file::decode_header(&page));
    }
    let Some(journal) = journal else { return Ok(None) };
    let scan = Scan::of(io, dir, files, journal, u64::MAX).await?;
    Ok(Some((journal, scan.newest_generation)))
}
