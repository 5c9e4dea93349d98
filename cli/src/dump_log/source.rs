//! Bytes by position: a file, or memory in tests and fuzzing.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::DumpError;

/// Something with bytes.
pub trait Source {
    fn len(&self) -> u64;

    /// `length` bytes at `position`, which must lie within [`Source::len`].
    ///
    /// # Errors
    /// When they cannot be read, or a file has become shorter meanwhile.
    fn read(&self, position: u64, length: usize) -> Result<Vec<u8>, DumpError>;
}

/// A file as long as it was when it was opened.
#[derive(Debug)]
pub struct File {
    file: std::fs::File,
    path: PathBuf,
    bytes: u64,
}

impl File {
    /// # Errors
    /// Names the file.
    pub fn open(path: &Path) -> Result<File, DumpError> {
        let failed = |source| DumpError::File { path: path.to_path_buf(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        Ok(File { file, path: path.to_path_buf(), bytes })
    }

    /// All bytes of a small file.
    ///
    /// # Errors
    /// Names the file, also when it is larger than any of its kind.
    pub fn read_all(path: &Path, bytes_max: u64) -> Result<Vec<u8>, DumpError> {
        let file = File::open(path)?;
        if file.bytes > bytes_max {
            return Err(super::corrupt(format!(
                "{} is larger than any file of its kind: {} bytes",
                path.display(),
                file.bytes
            )));
        }
        file.read(0, usize::try_from(file.bytes).unwrap_or(usize::MAX))
    }
}

impl Source for File {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn read(&self, position: u64, length: usize) -> Result<Vec<u8>, DumpError> {
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, position);
        read.map(|()| bytes).map_err(|source| DumpError::File { path: self.path.clone(), source })
    }
}

impl Source for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read(&self, position: u64, length: usize) -> Result<Vec<u8>, DumpError> {
        let start = usize::try_from(position).unwrap_or(usize::MAX);
        match self.get(start..start.saturating_add(length)) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => Err(super::corrupt("the bytes end")),
        }
    }
}
