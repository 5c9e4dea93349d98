//! What indexes of both kinds begin with: the bytes of the file, and the log that they are held against.

use std::path::{Path, PathBuf};

use super::batch::Segment;
use super::source::File;
use super::{DumpError, base_offset, sibling};
use crate::bounds::INDEX_BYTES_MAX;

pub struct IndexFile {
    /// The first offset of the segment.
    pub base: i64,
    pub bytes: Vec<u8>,
    pub log: File,
    pub log_path: PathBuf,
}

impl IndexFile {
    /// # Errors
    /// When the name begins with no offset, or the index or its log cannot be read.
    pub fn open(path: &Path) -> Result<IndexFile, DumpError> {
        let base = base_offset(path)?;
        let log_path = sibling(path, "log");
        let log = File::open(&log_path)?;
        Ok(IndexFile { base, bytes: File::read_all(path, INDEX_BYTES_MAX)?, log, log_path })
    }

    pub fn segment(&self) -> Segment<'_> {
        Segment::new(&self.log, &self.log_path)
    }
}
