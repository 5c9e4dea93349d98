//! Reading a directory's journals after a start: which commits are there, in which order, and where they end.
//!
//! Recycled files hold commits of earlier laps and generations anywhere, so every page is looked at. Commits are then
//! ordered by sequence. Each says up to which one all before it were durable when it was made: a damaged or missing one
//! among those is corruption; behind them it is a write that a crash interrupted, and nobody was told of it.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::commit::{self, CommitFault, CommitHeader, EntryHeader};
use super::file::{FIRST_COMMIT, JournalFileId};
use crate::bounds::JOURNAL_SCAN_BYTES;
use crate::error::IoFailure;
use crate::io::{AlignedBuf, OpenMode, PAGE_BYTES};
use crate::reactor::{File, Io};

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
        for id in ids {
            let path = dir.join(id.file_name());
            let failed = |action, error| IoFailure::new(action, &path, error);
            let file = io.open(&path, OpenMode::Direct).await.map_err(|e| failed("open", e))?;
            let bytes = file.len().map_err(|e| failed("stat", e))?;
            let scanned = ScannedFile { id: *id, path, bytes, file };
            let found = scanned.commits(scan.files.len(), journal, &mut scan.ruins).await?;
            let others =
                found.iter().filter(|it| it.damage.is_some() && it.header.id.generation != generation);
            scan.ruins.extend(others.map(|it| (it.file, it.position)));
            let newest = found.iter().map(|found| found.header.id.generation).max();
            scan.newest_generation = scan.newest_generation.max(newest.unwrap_or(0));
            scan.commits.extend(found.into_iter().filter(|found| found.header.id.generation == generation));
            scan.files.push(scanned);
        }
        scan.commits.sort_by_key(|found| found.header.id);
        Ok(scan)
    }

    /// A commit's bytes: header, table and payload.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn bytes_of(&self, found: &FoundCommit) -> Result<AlignedBuf, IoFailure> {
        let file = &self.files[found.file];
        let len = usize::try_from(found.header.padded_bytes()).unwrap_or(0);
        file.read(found.position, len).await
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
    pub async fn bytes_of_ruin(&self, path: &Path, position: u64) -> Result<AlignedBuf, IoFailure> {
        let Some(file) = self.files.iter().find(|file| file.path == path) else {
            return Ok(AlignedBuf::zeroed(0));
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

impl ScannedFile {
    async fn read(&self, position: u64, len: usize) -> Result<AlignedBuf, IoFailure> {
        let (read, buf) = self.file.read_at(AlignedBuf::zeroed(len), len, position).await;
        read.map_err(|error| IoFailure::new("read", &self.path, error))?;
        Ok(buf)
    }

    async fn commits(
        &self,
        index: usize,
        journal: Uuid,
        ruins: &mut Vec<(usize, u64)>,
    ) -> Result<Vec<FoundCommit>, IoFailure> {
        let mut found = Vec::new();
        let mut position = FIRST_COMMIT;
        let mut window = Window { start: 0, buf: AlignedBuf::zeroed(PAGE_BYTES) };
        while position + PAGE_BYTES as u64 <= self.bytes {
            let page = window.page(self, position).await?;
            let available = self.bytes - position;
            let Ok(header) = commit::decode_header(page, journal, available) else {
                if commit::is_ruin(page, journal) {
                    ruins.push((index, position));
                }
                position += PAGE_BYTES as u64;
                continue;
            };
            let damage = self.damage(&header, position).await?;
            let sound = damage.is_none();
            found.push(FoundCommit { file: index, position, header, damage });
            // What a damaged header says of its length is not believed.
            position += if sound { header.padded_bytes() } else { PAGE_BYTES as u64 };
        }
        Ok(found)
    }

    async fn damage(&self, header: &CommitHeader, position: u64) -> Result<Option<String>, IoFailure> {
        let bytes = self.read(position, header.table_end().next_multiple_of(PAGE_BYTES)).await?;
        Ok(match commit::decode_table(header, &bytes) {
            Ok(_) => None,
            Err(CommitFault::Damaged(what)) => Some(what),
            Err(CommitFault::Absent) => Some("no commit".to_string()),
        })
    }
}

/// A stretch of a file in memory, read forward.
struct Window {
    start: u64,
    buf: AlignedBuf,
}

impl Window {
    async fn page(&mut self, file: &ScannedFile, position: u64) -> Result<&[u8], IoFailure> {
        let here = self.start..self.start + self.buf.len() as u64;
        if self.start == 0 || !here.contains(&position) {
            let left = usize::try_from(file.bytes - position).unwrap_or(usize::MAX);
            self.buf = file.read(position, left.min(JOURNAL_SCAN_BYTES)).await?;
            self.start = position;
        }
        let at = usize::try_from(position - self.start).unwrap_or(0);
        Ok(&self.buf[at..at + PAGE_BYTES])
    }
}
