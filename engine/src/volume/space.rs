//! The disk's room. What is acknowledged must fit when it is written to its segment: appends are refused while less
//! than a reserve is free, or after a segment write found the disk full.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use crate::bounds::{DISK_RESERVE_BYTES, DISK_SPACE_EVERY_MS};
use crate::error::AppendError;
use crate::io::Monotonic;
use crate::reactor::Io;

/// See the module.
pub struct DiskRoom {
    io: Io,
    dir: PathBuf,
    free_bytes: Cell<u64>,
    total_bytes: Cell<u64>,
    looked: Cell<Option<Monotonic>>,
    /// Bytes acknowledged and not yet in segments.
    unwritten_bytes: Cell<u64>,
    /// A segment write met ENOSPC and has not succeeded since.
    full: Cell<bool>,
}

impl DiskRoom {
    pub fn new(io: &Io, dir: &Path) -> DiskRoom {
        DiskRoom {
            io: io.clone(),
            dir: dir.to_path_buf(),
            free_bytes: Cell::new(0),
            total_bytes: Cell::new(0),
            looked: Cell::new(None),
            unwritten_bytes: Cell::new(0),
            full: Cell::new(false),
        }
    }

    /// # Errors
    /// [`AppendError::NoSpace`].
    pub fn check(&self) -> Result<(), AppendError> {
        self.look();
        let reserve_bytes = self.reserve_bytes();
        let free_bytes = self.free_bytes.get().saturating_sub(self.unwritten_bytes.get());
        if self.full.get() || free_bytes < reserve_bytes {
            return Err(AppendError::NoSpace { dir: self.dir.clone(), free_bytes, reserve_bytes });
        }
        Ok(())
    }

    /// Whether `bytes` more would leave the reserve alone.
    pub fn has_beside_reserve(&self, bytes: u64) -> bool {
        self.check().is_ok() && self.free_bytes.get().saturating_sub(bytes) >= self.reserve_bytes()
    }

    /// A small disk keeps a smaller reserve.
    fn reserve_bytes(&self) -> u64 {
        DISK_RESERVE_BYTES.min(self.total_bytes.get() / 50)
    }

    fn look(&self) {
        let now = self.io.now();
        let fresh = |at: Monotonic| now.since(at).as_millis() < u128::from(DISK_SPACE_EVERY_MS);
        if self.looked.get().is_some_and(fresh) {
            return;
        }
        self.looked.set(Some(now));
        match self.io.driver().disk_space(&self.dir) {
            Ok((free, total)) => {
                self.free_bytes.set(free);
                self.total_bytes.set(total);
            }
            Err(error) => tracing::warn!("free space of {} is not known: {error}", self.dir.display()),
        }
    }

    /// `bytes` were appended.
    pub fn appended(&self, bytes: u64) {
        self.unwritten_bytes.set(self.unwritten_bytes.get() + bytes);
    }

    /// `bytes` were written to segments, or dropped with their log.
    pub fn written(&self, bytes: u64) {
        self.unwritten_bytes.set(self.unwritten_bytes.get().saturating_sub(bytes));
    }

    /// A segment write or allocation met a full disk, or went through again.
    pub fn set_full(&self, full: bool) {
        if self.full.replace(full) != full {
            self.looked.set(None);
            if full {
                tracing::error!(
                    "{} is full: appends are refused until there is room; nothing acknowledged is lost",
                    self.dir.display()
                );
            } else {
                tracing::info!("{} has room again", self.dir.display());
            }
        }
    }

    pub fn unwritten_bytes(&self) -> u64 {
        self.unwritten_bytes.get()
    }
}
