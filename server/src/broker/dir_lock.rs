//! One server per log directory: a lock on its `.lock` file for as long as the process lives.
//!
//! It is a record lock over the whole file (`fcntl(F_OFD_SETLK)`, Linux 3.15), because that is what Java's `FileLock` takes:
//! so a running Kafka and this server keep each other out too. The kernel lets go of it when the process dies.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

const FILE_NAME: &str = ".lock";

/// A directory's lock; dropping it lets another server in.
#[derive(Debug)]
pub struct DirLock(#[expect(dead_code, reason = "held, not read")] File);

/// Why the directories are not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "log directory {} is in use by another server (Thalweg or Kafka): stop that one, or choose another log.dirs", dir.display()
    )]
    Taken { dir: PathBuf },
    #[error("{} cannot be locked: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

/// Locks a directory.
///
/// # Errors
/// [`LockError`].
pub fn lock(dir: &Path) -> Result<DirLock, LockError> {
    let path = dir.join(FILE_NAME);
    let failed = |source| LockError::Io { path: path.clone(), source };
    let file =
        File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file())) {
        Ok(_) => Ok(DirLock(file)),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(LockError::Taken { dir: dir.to_owned() }),
        Err(errno) => Err(failed(errno.into())),
    }
}

fn whole_file() -> libc::flock {
    // A length of 0 reaches to the end, wherever that is. The process id must be 0 for this kind of lock.
    libc::flock { l_type: WRITE, l_whence: START, l_start: 0, l_len: 0, l_pid: 0 }
}

const WRITE: libc::c_short = libc::F_WRLCK as libc::c_short;
const START: libc::c_short = libc::SEEK_SET as libc::c_short;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once_and_let_go_again() {
        let root = tempfile::tempdir().unwrap();
        let held = lock(root.path()).unwrap();
        let refused = lock(root.path()).unwrap_err().to_string();
        assert!(
            refused.contains("in use") && refused.contains(&root.path().display().to_string()),
            "{refused}"
        );
        drop(held);
        assert!(lock(root.path()).is_ok());
    }
}
