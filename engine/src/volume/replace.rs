//! Small cold files: read whole, and replaced so that a reader after a crash sees the old content or the new.

use std::path::Path;

use bytes::Bytes;

use crate::error::IoFailure;
use crate::io::{AlignedBuf, OpenMode};
use crate::reactor::Io;

/// Largest small file that is read whole, bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Writes `content` beside the file and renames it over. Durable when it returns.
///
/// # Errors
/// The step that failed; the old content is still there.
pub async fn replace_file(io: &Io, path: &Path, content: Bytes) -> Result<(), IoFailure> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = Path::new(&beside);
    let file = create_with(io, beside, content).await?;
    file.sync().await.map_err(|error| IoFailure::new("sync", beside, error))?;
    io.rename(beside, path).await.map_err(|error| IoFailure::new("rename", beside, error))?;
    let parent = path.parent().unwrap_or(Path::new("."));
    io.sync_dir(parent).await.map_err(|error| IoFailure::new("sync", parent, error))
}

/// Writes a file without making it durable: for what can be made again.
///
/// # Errors
/// The step that failed.
pub async fn write_file(io: &Io, path: &Path, content: Bytes) -> Result<(), IoFailure> {
    create_with(io, path, content).await.map(drop)
}

/// Writes a file and makes its content durable; its name is once the directory is synced.
///
/// # Errors
/// The step that failed.
pub async fn write_synced(io: &Io, path: &Path, content: Bytes) -> Result<(), IoFailure> {
    let file = create_with(io, path, content).await?;
    file.sync().await.map_err(|error| IoFailure::new("sync", path, error))
}

async fn create_with(io: &Io, path: &Path, content: Bytes) -> Result<crate::reactor::File, IoFailure> {
    let created = io.open(path, OpenMode::BufferedCreate).await;
    let file = created.map_err(|error| IoFailure::new("create", path, error))?;
    file.write_at(content, 0, false).await.map_err(|error| IoFailure::new("write", path, error))?;
    Ok(file)
}

/// The content of a small file; None when it does not exist.
///
/// # Errors
/// As open(2) and read(2), or a file too large to be one of these.
pub async fn read_file(io: &Io, path: &Path) -> Result<Option<Vec<u8>>, IoFailure> {
    read_file_within(io, path, FILE_BYTES_MAX).await
}

/// As [`read_file`], with a bound of its own on the size, bytes.
///
/// # Errors
/// As [`read_file`].
pub async fn read_file_within(io: &Io, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, IoFailure> {
    let file = match io.open(path, OpenMode::Buffered).await {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(IoFailure::new("open", path, error)),
    };
    let bytes = file.len().map_err(|error| IoFailure::new("stat", path, error))?;
    if bytes > bytes_max {
        let error = std::io::Error::other(format!("{bytes} bytes are more than {bytes_max}"));
        return Err(IoFailure::new("read", path, error));
    }
    let len = usize::try_from(bytes).unwrap_or(0);
    if len == 0 {
        return Ok(Some(Vec::new()));
    }
    let (read, buf) = file.read_at(AlignedBuf::zeroed(len), len, 0).await;
    let read = read.map_err(|error| IoFailure::new("read", path, error))?;
    Ok(Some(buf[..read].to_vec()))
}
