//! Reading a directory's journals after a start: which commits are there, in which order, and where they end.
//!
//! Recycled files hold commits of earlier laps and generations anywhere, so every page is looked at. Commits are then
//! ordered by sequence. Each says up to which one all before it were durable when it was made: a damaged or missing one
//! among those is corruption; behind them it is a write that a crash interrupted, and nobody was told of it.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::commit::{self, CommitFault, CommitHeader, EntryHeader};
use super::file::{FIRST_COMMIT, JournalFileId};
use crate::bounds::{JOURNAL_AHEAD_BYTES, JOURNAL_PEEK_BYTES, JOURNAL_SCAN_BYTES, JOURNAL_SCANS_MAX};
use crate::error::IoFailure;
use crate::io::{AlignedBuf, OpenMode, PAGE_BYTES};
use crate::reactor::sync::Semaphore;
use crate::reactor::{File, Io, Task};

/// A commit found in a file.
#[derive(Clone, Debug)]
pub struct FoundCommit {
    pub file: usize,
    pub position: u64,
    pub header: CommitHeader,
    /// Why it cannot be used; None when header and table are sound.
    pub damage: Option<String>,
}

/// A journal file opened for reading.
#[derive(Clone)]
pub struct ScannedFile {
    pub id: JournalFileId,
    pub path: PathBuf,
    pub bytes: u64,
    file: File,
}

/// All commits of one generation in one journal (a shard's lane).
#[derive(Default)]
pub struct Scan {
    pub files: Vec<ScannedFile>,
    /// Sorted by sequence.
    pub commits: Vec<FoundCommit>,
    /// Pages with a commit's remains, of which not even the generation can be believed: file and position.
    ruins: Vec<(usize, u64)>,
    /// The newest generation of any commit seen.
    pub newest_generation: u64,
}

impl Scan {
    /// Looks through the files for commits of `generation`.
    ///
    /// # Errors
    /// When a file cannot be read at all: then nothing is known of what it held.
    pub async fn of(
        io: &Io,
        dir: &Path,
        ids: &[JournalFileId],
        journal: Uuid,
        generation: u64,
    ) -> Result<Scan, IoFailure> {
        let mut scan = Scan::default();
        // A file is read front to back; several side by side keep the disk busy.
        let (slots, spawner) = (Semaphore::new(JOURNAL_SCANS_MAX), io);
        let looks: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(index, id)| {
                let (io, path, id, slots) = (io.clone(), dir.join(id.file_name()), *id, slots.clone());
                let look = async move {
                    let _slot = slots.acquire(1).await;
                    let file = ScannedFile::open(&io, path, id).await?;
                    let looked = file.commits(index, journal).await?;
                    Ok::<_, IoFailure>((file, looked))
                };
                spawner.spawn("journal scan", look)
            })
            .collect();
        for look in looks {
            let (file, (found, ruins)) = look.await?;
            scan.ruins.extend(ruins);
            let others =
                found.iter().filter(|it| it.damage.is_some() && it.header.id.generation != generation);
            scan.ruins.extend(others.map(|it| (it.file, it.position)));
            let newest = found.iter().map(|found| found.header.id.generation).max();
            scan.newest_generation = scan.newest_generation.max(newest.unwrap_or(0));
            scan.commits.extend(found.into_iter().filter(|found| found.header.id.generation == generation));
            scan.files.push(file);
        }
        scan.commits.sort_by_key(|found| found.header.id);
        Ok(scan)
    }

    /// A commit's bytes: header, table and payload.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn bytes_of(&self, found: &FoundCommit) -> Result<Bytes, IoFailure> {
        self.files[found.file].read(found.position, padded_len(found)).await
    }

    /// The sound commits from sequence `needed` on, in order, with their bytes.
    pub fn sound_from<'s>(&'s self, io: &'s Io, needed: u64) -> SoundCommits<'s> {
        let from = self.commits.partition_point(|found| found.header.id.sequence < needed);
        SoundCommits { scan: self, io, next: from, coming: VecDeque::new(), coming_bytes: 0 }
    }

    /// Highest sequence that a sound commit says was durable, with all before it.
    pub fn attested(&self) -> u64 {
        let sound = self.commits.iter().filter(|found| found.damage.is_none());
        sound.map(|found| found.header.attests).max().unwrap_or(0)
    }

    /// Damaged commits of which something may have been acknowledged: their sequence is `expected` or above, or they lie
    /// where the commit after `last` would be, whatever their damaged header says.
    pub fn damaged_behind<'s>(
        &'s self,
        expected: u64,
        last: Option<&'s FoundCommit>,
    ) -> impl Iterator<Item = (&'s FoundCommit, &'s str)> {
        self.commits.iter().filter_map(move |found| {
            let behind = found.header.id.sequence >= expected || follows(last, found.file, found.position);
            found.damage.as_deref().filter(|_| behind).map(|damage| (found, damage))
        })
    }

    /// A ruin where the next commit after `last` would be: in a durable journal it may have been acknowledged. A ruin
    /// further on is of an earlier lap.
    pub fn ruin_behind(&self, last: Option<&FoundCommit>) -> Option<(&Path, u64)> {
        let (file, position) = self.ruins.iter().find(|(file, position)| follows(last, *file, *position))?;
        Some((self.files[*file].path.as_path(), *position))
    }

    /// The bytes of a ruin, as far as they can be its own: at most as many as one read takes.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn bytes_of_ruin(&self, path: &Path, position: u64) -> Result<Bytes, IoFailure> {
        let Some(file) = self.files.iter().find(|file| file.path == path) else {
            return Ok(Bytes::new());
        };
        let left = usize::try_from(file.bytes - position).unwrap_or(usize::MAX);
        file.read(position, left.min(JOURNAL_SCAN_BYTES)).await
    }

    /// The file that a commit is in.
    pub fn path_of(&self, found: &FoundCommit) -> &Path {
        &self.files[found.file].path
    }
}

/// Whether the commit after `last` may begin at `position` of `file`.
fn follows(last: Option<&FoundCommit>, file: usize, position: u64) -> bool {
    let behind =
        last.is_some_and(|last| last.file == file && last.position + last.header.padded_bytes() == position);
    let opens_another = position == FIRST_COMMIT && last.is_none_or(|last| last.file != file);
    behind || opens_another
}

/// A commit's table and payloads, checked.
pub struct OpenedCommit {
    pub entries: Vec<(EntryHeader, std::ops::Range<usize>)>,
}

impl OpenedCommit {
    /// # Errors
    /// When header or table are damaged. Payloads are checked one by one by the caller, who can refuse just one.
    pub fn decode(header: &CommitHeader, bytes: &[u8]) -> Result<OpenedCommit, CommitFault> {
        let table = commit::decode_table(header, bytes)?;
        let mut at = header.table_end();
        let entries = table.into_iter().map(|entry| {
            let start = at;
            at += entry.payload_bytes as usize;
            (entry, start..at)
        });
        Ok(OpenedCommit { entries: entries.collect() })
    }
}

/// Commits with their bytes, read ahead: what the next ones hold is on its way while one is looked at.
pub struct SoundCommits<'s> {
    scan: &'s Scan,
    io: &'s Io,
    /// Index of the first commit that is not being read yet.
    next: usize,
    coming: VecDeque<(&'s FoundCommit, Task<Result<Bytes, IoFailure>>)>,
    coming_bytes: usize,
}

impl<'s> SoundCommits<'s> {
    /// # Errors
    /// When the next commit cannot be read.
    pub async fn next(&mut self) -> Result<Option<(&'s FoundCommit, Bytes)>, IoFailure> {
        self.read_ahead();
        let Some((found, reading)) = self.coming.pop_front() else { return Ok(None) };
        let bytes = reading.await?;
        self.coming_bytes -= padded_len(found);
        Ok(Some((found, bytes)))
    }

    fn read_ahead(&mut self) {
        while self.coming.is_empty() || self.coming_bytes < JOURNAL_AHEAD_BYTES {
            let Some(found) = self.scan.commits.get(self.next) else { return };
            self.next += 1;
            if found.damage.is_some() {
                continue;
            }
            let (file, position, len) =
                (self.scan.files[found.file].clone(), found.position, padded_len(found));
            let reading = async move { file.read(position, len).await };
            self.coming.push_back((found, self.io.spawn("journal read", reading)));
            self.coming_bytes += len;
        }
    }
}

fn padded_len(found: &FoundCommit) -> usize {
    usize::try_from(found.header.padded_bytes()).unwrap_or(0)
}

/// What a look through one file found: commits, and places of ruins.
type Looked = (Vec<FoundCommit>, Vec<(usize, u64)>);

impl ScannedFile {
    async fn open(io: &Io, path: PathBuf, id: JournalFileId) -> Result<ScannedFile, IoFailure> {
        let failed = |action, error| IoFailure::new(action, &path, error);
        let file = io.open(&path, OpenMode::Direct).await.map_err(|error| failed("open", error))?;
        let bytes = file.len().map_err(|error| failed("stat", error))?;
        Ok(ScannedFile { id, path, bytes, file })
    }

    /// `len` bytes; zeros where the file has less.
    async fn read(&self, position: u64, len: usize) -> Result<Bytes, IoFailure> {
        let (read, mut buf) = self.file.read_at(AlignedBuf::recycled(len), len, position).await;
        let read = read.map_err(|error| IoFailure::new("read", &self.path, error))?;
        buf[read..len].fill(0);
        Ok(buf.freeze().slice(..len))
    }

    async fn commits(&self, index: usize, journal: Uuid) -> Result<Looked, IoFailure> {
        let (mut found, mut ruins) = (Vec::new(), Vec::new());
        let mut position = FIRST_COMMIT;
        let mut window = Window { start: 0, bytes: Bytes::new() };
        while position + PAGE_BYTES as u64 <= self.bytes {
            let page = window.bytes(self, position, PAGE_BYTES).await?;
            let available = self.bytes - position;
            let Ok(header) = commit::decode_header(page, journal, available) else {
                if commit::is_ruin(page, journal) {
                    ruins.push((index, position));
                }
                position += PAGE_BYTES as u64;
                continue;
            };
            let table = window.bytes(self, position, header.table_end()).await?;
            let damage = damage(&header, table);
            let sound = damage.is_none();
            found.push(FoundCommit { file: index, position, header, damage });
            // What a damaged header says of its length is not believed.
            position += if sound { header.padded_bytes() } else { PAGE_BYTES as u64 };
        }
        Ok((found, ruins))
    }
}

fn damage(header: &CommitHeader, bytes: &[u8]) -> Option<String> {
    match commit::decode_table(header, bytes) {
        Ok(_) => None,
        Err(CommitFault::Damaged(what)) => Some(what),
        Err(CommitFault::Absent) => Some("no commit".to_string()),
    }
}

/// A stretch of a file in memory, read forward. What is read at a time grows while page after page is looked at, and is little behind
/// a jump over payload, which is none of a scan's business.
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    /// `len` bytes from a page boundary on; the file has them.
    async fn bytes(&mut self, file: &ScannedFile, position: u64, len: usize) -> Result<&[u8], IoFailure> {
        let end = position + len as u64;
        let held_to = self.start + self.bytes.len() as u64;
        if position < self.start || end > held_to {
            let left = usize::try_from(file.bytes - position).unwrap_or(usize::MAX);
            let jumped = position > held_to;
            let more = if jumped { JOURNAL_PEEK_BYTES } else { 2 * self.bytes.len() };
            let wanted =
                len.next_multiple_of(PAGE_BYTES).max(more.clamp(JOURNAL_PEEK_BYTES, JOURNAL_SCAN_BYTES));
            self.bytes = Bytes::new();
            self.bytes = file.read(position, left.min(wanted)).await?;
            self.start = position;
        }
        let at = usize::try_from(position - self.start).unwrap_or(0);
        Ok(&self.bytes[at..at + len])
    }
}
