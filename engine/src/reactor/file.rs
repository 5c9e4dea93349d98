//! Files: open, read, write, sync, and the names in directories.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::{Buf, Bytes};

use super::op::unexpected;
use super::turn::Io;
use crate::io::{AlignedBuf, Buffer, FileId, Op, OpenMode, Outcome, PAGE_BYTES};

/// An open file. Clones share it; the last one dropped closes it, in the background.
#[derive(Clone)]
pub struct File {
    open: Rc<OpenFile>,
}

struct OpenFile {
    io: Io,
    id: FileId,
    /// Transfers that go on after a short one start at a multiple of this: a page for direct I/O, a byte otherwise.
    unit: usize,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.io.submit_detached(Op::CloseFile { file: self.id });
    }
}

impl Io {
    /// Opens a file; see [`OpenMode`].
    ///
    /// # Errors
    /// As open(2).
    pub async fn open(&self, path: impl Into<PathBuf>, mode: OpenMode) -> io::Result<File> {
        let path = path.into();
        let direct = matches!(mode, OpenMode::Direct | OpenMode::DirectCreate);
        let unit = if direct { PAGE_BYTES } else { 1 };
        match self.submit(Op::Open { path, mode }).await.result? {
            Outcome::File(id) => Ok(File { open: Rc::new(OpenFile { io: self.clone(), id, unit }) }),
            other => Err(unexpected(other)),
        }
    }

    /// Renames; durable after [`Io::sync_dir`] of both directories.
    ///
    /// # Errors
    /// As rename(2).
    pub async fn rename(&self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> io::Result<()> {
        self.run(Op::Rename { from: from.into(), to: to.into() }).await
    }

    /// Removes a file's name; durable after [`Io::sync_dir`] of its directory.
    ///
    /// # Errors
    /// As unlink(2).
    pub async fn unlink(&self, path: impl Into<PathBuf>) -> io::Result<()> {
        self.run(Op::Unlink { path: path.into() }).await
    }

    /// Makes a directory; durable after [`Io::sync_dir`] of its parent.
    ///
    /// # Errors
    /// As mkdir(2).
    pub async fn make_dir(&self, path: impl Into<PathBuf>) -> io::Result<()> {
        self.run(Op::MakeDir { path: path.into() }).await
    }

    /// Removes an empty directory; durable after [`Io::sync_dir`] of its parent.
    ///
    /// # Errors
    /// As rmdir(2).
    pub async fn remove_dir(&self, path: impl Into<PathBuf>) -> io::Result<()> {
        self.run(Op::RemoveDir { path: path.into() }).await
    }

    /// Makes the names in a directory durable as they are now.
    ///
    /// # Errors
    /// As open(2) and fsync(2).
    pub async fn sync_dir(&self, path: impl Into<PathBuf>) -> io::Result<()> {
        self.run(Op::SyncDir { path: path.into() }).await
    }
}

impl File {
    /// The driver's name of the file, as long as a clone of self lives.
    pub fn id(&self) -> FileId {
        self.open.id
    }

    /// Reads `len` bytes (at most the buffer) from `offset` into the front of `buf`, fewer only at the end of the
    /// file. Directly opened files take whole pages.
    ///
    /// The buffer comes back, except if the future is dropped before.
    pub async fn read_at(&self, buf: AlignedBuf, len: usize, offset: u64) -> (io::Result<usize>, AlignedBuf) {
        assert!(len <= buf.len(), "read of {len} bytes into a buffer of {}", buf.len());
        let (first, mut buf) = self.read_once(buf, len, offset).await;
        let mut done = match first {
            Ok(done) if 0 < done && done < len => done,
            whole => return (whole, buf),
        };
        while done < len {
            // The end of the file or a short read: only another read can tell. A direct one starts on a page again.
            let from = done - done % self.open.unit;
            let rest = AlignedBuf::zeroed(len - from);
            let (more, rest) = self.read_once(rest, len - from, offset + from as u64).await;
            match more {
                Err(error) => return (Err(error), buf),
                Ok(count) if from + count <= done => break,
                Ok(count) => {
                    buf[from..from + count].copy_from_slice(&rest[..count]);
                    done = from + count;
                }
            }
        }
        (Ok(done), buf)
    }

    async fn read_once(&self, buf: AlignedBuf, len: usize, offset: u64) -> (io::Result<usize>, AlignedBuf) {
        if len == 0 {
            return (Ok(0), buf);
        }
        let completion = self.open.io.submit(Op::Read { file: self.open.id, offset, len, buf }).await;
        let Buffer::Aligned(buf) = completion.buffer else { panic!("the driver kept the buffer of a read") };
        (count(completion.result), buf)
    }

    /// Writes all of `data` at `offset`. With `durable` it is on stable storage when this returns. Directly opened
    /// files take whole pages. A failed write may have written a part.
    ///
    /// # Errors
    /// As write(2); `WriteZero` if the device stops taking bytes.
    pub async fn write_at(&self, mut data: Bytes, mut offset: u64, durable: bool) -> io::Result<()> {
        while !data.is_empty() {
            let rest = data.len();
            let file = self.open.id;
            let write = Op::Write { file, offset, data: data.clone(), durable };
            let written = count(self.open.io.submit(write).await.result)?;
            // What follows a short direct write starts on a page again.
            let kept = if written >= rest { rest } else { written - written % self.open.unit };
            if kept == 0 {
                return Err(io::Error::new(io::ErrorKind::WriteZero, "the file takes no more bytes"));
            }
            data.advance(kept);
            offset += kept as u64;
        }
        Ok(())
    }

    /// fdatasync: all completed writes are on stable storage when this returns.
    ///
    /// # Errors
    /// As fdatasync(2). After an error, what was not synced may be lost even if a later sync succeeds.
    pub async fn sync(&self) -> io::Result<()> {
        self.open.io.run(Op::Sync { file: self.open.id }).await
    }

    /// Reserves space for `[offset, offset + len)`; with `extend` the file's size grows over it, with zeros.
    ///
    /// # Errors
    /// As fallocate(2). A file system without it reserves nothing; the size grows all the same.
    pub async fn allocate(&self, offset: u64, len: u64, extend: bool) -> io::Result<()> {
        match self.open.io.run(Op::Allocate { file: self.open.id, offset, len, extend }).await {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                self.extend_to(offset + len, extend).await
            }
            outcome => outcome,
        }
    }

    async fn extend_to(&self, end: u64, extend: bool) -> io::Result<()> {
        if extend && self.len()? < end {
            return self.truncate(end).await;
        }
        Ok(())
    }

    /// Sets the file's size in bytes.
    ///
    /// # Errors
    /// As ftruncate(2).
    pub async fn truncate(&self, len: u64) -> io::Result<()> {
        self.open.io.run(Op::Truncate { file: self.open.id, len }).await
    }

    /// The file's size in bytes.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn len(&self) -> io::Result<u64> {
        self.open.io.driver().file_len(self.open.id)
    }

    /// Whether the file holds no byte.
    ///
    /// # Errors
    /// As fstat(2).
    pub fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }
}

pub(super) fn count(result: io::Result<Outcome>) -> io::Result<usize> {
    match result? {
        Outcome::Count(count) => Ok(count),
        other => Err(unexpected(other)),
    }
}
