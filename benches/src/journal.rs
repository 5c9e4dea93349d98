//! The journal file: pre-written once, then written round and round.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use thalweg_engine::io::AlignedBuf;

use crate::report;

const PREWRITE_BYTES: usize = 1 << 20;

/// Creates `journal` in `dir` with `bytes` (a multiple of 1 MiB) of written, durable zeros. Blocking, at start only.
///
/// # Errors
/// As open(2), write(2) and fsync(2), with the path.
pub fn prepare(dir: &Path, bytes: u64) -> io::Result<PathBuf> {
    let path = dir.join("journal");
    let written = write_zeros(dir, &path, bytes);
    written.map_err(|error| io::Error::new(error.kind(), format!("prepare {}: {error}", path.display())))?;
    Ok(path)
}

fn write_zeros(dir: &Path, path: &Path, bytes: u64) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT);
    let file = options.open(path)?;
    let zeros = AlignedBuf::zeroed(PREWRITE_BYTES);
    for position in (0..bytes).step_by(PREWRITE_BYTES) {
        file.write_all_at(&zeros, position)?;
    }
    file.sync_all()?;
    File::open(dir)?.sync_all()
}

/// The flags that a journal is opened with beside read and write.
pub fn open_flags(durable: bool) -> i32 {
    if durable { libc::O_DIRECT | libc::O_DSYNC } else { libc::O_DIRECT }
}

/// Opens a prepared journal for direct writes; with `durable` each is on stable storage when it is done.
///
/// # Errors
/// As open(2).
pub fn open(path: &Path, durable: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(open_flags(durable)).open(path)
}

/// Gives out places in the file; at its end it starts over.
#[derive(Debug)]
pub struct Cursor {
    bytes: u64,
    position: u64,
}

impl Cursor {
    pub fn new(bytes: u64) -> Cursor {
        Cursor { bytes, position: 0 }
    }

    /// Where the next `bytes` would go.
    pub fn next(&self, bytes: usize) -> u64 {
        if self.position + bytes as u64 <= self.bytes { self.position } else { 0 }
    }

    /// Takes the place that [`Cursor::next`] names.
    pub fn take(&mut self, bytes: usize) -> u64 {
        let at = self.next(bytes);
        if at < self.position {
            report::JOURNAL_WRAPS.add(1);
        }
        self.position = at + bytes as u64;
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_starts_over_where_a_write_would_not_fit() {
        let mut cursor = Cursor::new(100);
        assert_eq!((cursor.take(60), cursor.take(40)), (0, 60));
        assert_eq!((cursor.take(60), cursor.take(41), cursor.take(59)), (0, 0, 41));
    }
}
