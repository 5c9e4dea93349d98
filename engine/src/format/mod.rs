//! Kafka's on-disk formats: bytes in, values out, and back.
//!
//! Everything here is pure: no file is opened, no clock read. Callers own the I/O and put the path to an error with
//! [`Malformed::in_file`]. The byte layouts are those that Apache Kafka 3.2.0 writes, held by tests against files that a
//! real broker wrote (`tests/fixtures/kafka-3.2.0`).
//!
//! Invariants: a decoder takes any bytes without panicking, and never reserves memory for a count that the bytes present
//! could not hold. An encoder writes exactly what Kafka would have written for the same values.
//!
//! What it does not do: record batches (the protocol crate), the journal (its own format), transaction indexes.

mod checkpoint;
pub mod epoch_checkpoint;
pub mod index;
pub mod meta_properties;
pub mod metadata_record;
pub mod names;
pub mod offset_checkpoint;
pub mod partition_metadata;
pub mod segment_index;
pub mod snapshot;
pub mod time_index;
pub mod topic_id;

use std::fmt;
use std::path::{Path, PathBuf};

/// Bytes that do not follow the format: which format, where, what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed {format} at {place}: expected {expected}, found {found}")]
pub struct Malformed {
    /// The format in words, for example `offset index`.
    pub format: &'static str,
    pub place: Place,
    pub expected: String,
    pub found: String,
}

/// Where in a file a format is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Byte position, from 0.
    Byte(usize),
    /// Line number of a text file, from 1.
    Line(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Byte(at) => write!(f, "byte {at}"),
            Place::Line(at) => write!(f, "line {at}"),
        }
    }
}

impl Malformed {
    pub(crate) fn byte(
        format: &'static str,
        at: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { format, place: Place::Byte(at), expected: expected.into(), found: found.into() }
    }

    pub(crate) fn line(
        format: &'static str,
        at: usize,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self { format, place: Place::Line(at), expected: expected.into(), found: found.into() }
    }

    /// The same error, with the file that it was found in.
    pub fn in_file(self, path: impl AsRef<Path>) -> MalformedFile {
        MalformedFile { path: path.as_ref().to_path_buf(), cause: self }
    }
}

/// [`Malformed`] content of a named file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct MalformedFile {
    pub path: PathBuf,
    #[source]
    pub cause: Malformed,
}

/// Why an entry cannot be appended to an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The index holds as many entries as `segment.index.bytes` allows: the segment must roll first.
    #[error("index is full with {entries} entries")]
    Full { entries: usize },
    /// Relative offsets are 31 bits: the segment must roll before this offset.
    #[error("offset {offset} is not within 2^31 - 1 of base offset {base_offset}")]
    OffsetOutOfRange { base_offset: i64, offset: i64 },
    /// Entries ascend; this one does not.
    #[error("entry {got} does not ascend over the last one, {last}")]
    NotAscending { last: i64, got: i64 },
    /// Positions are 31 bits.
    #[error("position {position} is beyond 2^31 - 1")]
    PositionOutOfRange { position: u32 },
}

/// The offset as an index stores it, relative to the segment's base offset.
fn relative_offset(base_offset: i64, offset: i64) -> Result<i32, AppendError> {
    offset
        .checked_sub(base_offset)
        .and_then(|relative| i32::try_from(relative).ok())
        .filter(|relative| *relative >= 0)
        .ok_or(AppendError::OffsetOutOfRange { base_offset, offset })
}

fn be_i32(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|chunk| i32::from_be_bytes(*chunk))
}

fn be_i64(bytes: &[u8], at: usize) -> Option<i64> {
    bytes.get(at..)?.first_chunk().map(|chunk| i64::from_be_bytes(*chunk))
}

/// The first of `0..len` for which `before` no longer holds; `before` must hold for a prefix to give a meaningful answer,
/// and any answer is within `0..=len`.
fn partition_point(len: usize, mut before: impl FnMut(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let mid = low + (high - low) / 2;
        if before(mid) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    low
}
