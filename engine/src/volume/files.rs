//! Open segment files, bounded: a log's file is opened when it is needed and closed when others are needed more.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::bounds::OPEN_SEGMENTS_MAX;
use crate::error::IoFailure;
use crate::io::OpenMode;
use crate::reactor::{File, Io};

struct Opened {
    file: File,
    used: u64,
}

/// A cache of descriptors by path. A file handed out stays open for as long as its user keeps it.
pub struct SegmentFiles {
    io: Io,
    opened: RefCell<HashMap<PathBuf, Opened>>,
    clock: std::cell::Cell<u64>,
    /// How often something was forgotten: an open that began before may name a file that is gone since.
    forgets: std::cell::Cell<u64>,
}

impl SegmentFiles {
    pub fn new(io: &Io) -> SegmentFiles {
        SegmentFiles {
            io: io.clone(),
            opened: RefCell::default(),
            clock: std::cell::Cell::new(0),
            forgets: std::cell::Cell::new(0),
        }
    }

    /// The file at `path`, opened for direct I/O.
    ///
    /// # Errors
    /// As open(2), with the path.
    pub async fn open(&self, path: &Path) -> Result<File, IoFailure> {
        if let Some(file) = self.lookup(path) {
            return Ok(file);
        }
        let forgets = self.forgets.get();
        let opened = self.io.open(path, OpenMode::Direct).await;
        let file = opened.map_err(|error| IoFailure::new("open", path, error))?;
        if forgets == self.forgets.get() {
            self.keep(path, &file);
        }
        Ok(file)
    }

    /// Creates the file at `path`, replacing what is there.
    ///
    /// # Errors
    /// As open(2), with the path.
    pub async fn create(&self, path: &Path) -> Result<File, IoFailure> {
        let created = self.io.open(path, OpenMode::DirectCreate).await;
        let file = created.map_err(|error| IoFailure::new("create", path, error))?;
        self.keep(path, &file);
        Ok(file)
    }

    fn lookup(&self, path: &Path) -> Option<File> {
        let mut opened = self.opened.borrow_mut();
        let entry = opened.get_mut(path)?;
        entry.used = self.tick();
        Some(entry.file.clone())
    }

    fn keep(&self, path: &Path, file: &File) {
        let mut opened = self.opened.borrow_mut();
        if opened.len() >= OPEN_SEGMENTS_MAX {
            let oldest = opened.iter().min_by_key(|(_, entry)| entry.used).map(|(path, _)| path.clone());
            if let Some(path) = oldest {
                opened.remove(&path);
            }
        }
        opened.insert(path.to_path_buf(), Opened { file: file.clone(), used: self.tick() });
    }

    fn tick(&self) -> u64 {
        self.clock.set(self.clock.get() + 1);
        self.clock.get()
    }

    /// Forgets the files below a directory, or one file: it was renamed or removed.
    pub fn forget(&self, path: &Path) {
        self.forgets.set(self.forgets.get() + 1);
        self.opened.borrow_mut().retain(|opened, _| !opened.starts_with(path));
    }
}
