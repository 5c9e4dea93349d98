//! What this machine lacks, said before the first shard starts: one sentence each, with the setting that mends it and
//! what is used instead.
//!
//! Buffers are not registered with the ring, so the limit on locked memory does not matter here.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use io_uring::{IoUring, Probe as RingProbe, opcode};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::uring::RingMode;
use super::{AlignedBuf, PAGE_BYTES};

/// Asks the kernel, the limits and the file systems.
pub struct Probe;

/// What there is.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// The ring truncates files itself (Linux 6.9); else a truncation is a short blocking call.
    pub ring_truncates: bool,
    /// The limit on open files, after raising it as far as allowed.
    pub open_files_max: u64,
    /// A sentence for each thing that is missing and was replaced; to be logged once.
    pub notes: Vec<String>,
    /// Directories that cannot be written to, and why.
    pub failed_dirs: Vec<(PathBuf, String)>,
}

/// Why the engine cannot start on this machine. The text names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "io_uring is switched off on this machine (kernel.io_uring_disabled = {0}): run `sysctl kernel.io_uring_disabled=0`"
    )]
    SwitchedOff(u32),
    #[error(
        "io_uring is forbidden to this process, most likely by a container's seccomp profile: allow io_uring_setup, \
         io_uring_enter and io_uring_register in it (docker: --security-opt seccomp=FILE)"
    )]
    Forbidden,
    #[error("this kernel has no io_uring: Linux 5.19 or newer with CONFIG_IO_URING is needed, this is {0}")]
    NoRing(String),
    #[error("this kernel's io_uring lacks {missing}: Linux 5.19 or newer is needed, this is {release}")]
    TooOld { missing: String, release: String },
    #[error(
        "the kernel refused memory for a ring ({0}): raise the limit on locked memory (`ulimit -l`, LimitMEMLOCK=) or \
         free some memory"
    )]
    NoMemory(io::Error),
    #[error("a ring could not be made: {0}")]
    Ring(io::Error),
}

/// Operations that the driver cannot do without.
const NEEDED: [(u8, &str); 15] = [
    (opcode::Read::CODE, "READ"),
    (opcode::Write::CODE, "WRITE"),
    (opcode::Fsync::CODE, "FSYNC"),
    (opcode::Fallocate::CODE, "FALLOCATE"),
    (opcode::OpenAt::CODE, "OPENAT"),
    (opcode::Close::CODE, "CLOSE"),
    (opcode::RenameAt::CODE, "RENAMEAT"),
    (opcode::UnlinkAt::CODE, "UNLINKAT"),
    (opcode::MkDirAt::CODE, "MKDIRAT"),
    (opcode::Accept::CODE, "ACCEPT"),
    (opcode::Recv::CODE, "RECV"),
    (opcode::Send::CODE, "SEND"),
    (opcode::SendMsg::CODE, "SENDMSG"),
    (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
    (opcode::Nop::CODE, "NOP"),
];

impl Probe {
    /// Probes the machine, for an engine whose data lies in `dirs`, and raises the limit on open files.
    ///
    /// # Errors
    /// If the engine cannot run here. A directory that cannot be written to is no such reason.
    pub fn run(dirs: &[impl AsRef<Path>]) -> Result<Capabilities, StartError> {
        let mut notes = Vec::new();
        let ring_truncates = probe_ring(&mut notes)?;
        let open_files_max = raise_open_files(&mut notes);
        let mut failed_dirs = Vec::new();
        for dir in dirs.iter().map(AsRef::as_ref) {
            if let Err(error) = probe_direct(dir, &mut notes) {
                failed_dirs.push((dir.to_path_buf(), error.to_string()));
            }
        }
        Ok(Capabilities { ring_truncates, open_files_max, notes, failed_dirs })
    }
}

/// Returns whether the ring can truncate.
fn probe_ring(notes: &mut Vec<String>) -> Result<bool, StartError> {
    let (ring, mode) = RingMode::best(8, 16).map_err(|error| explain_refusal(error, io_uring_disabled()))?;
    if mode != RingMode::Deferred {
        notes.push(format!(
            "Linux {} cannot defer completions to the shard's own thread (6.1 can): they interrupt it instead, which costs some speed",
            release()
        ));
    }
    check_features(&ring)?;
    let mut probe = RingProbe::new();
    ring.submitter().register_probe(&mut probe).map_err(StartError::Ring)?;
    if let Some((_, missing)) = NEEDED.iter().find(|(code, _)| !probe.is_supported(*code)) {
        return Err(StartError::TooOld { missing: format!("the operation {missing}"), release: release() });
    }
    let ring_truncates = probe.is_supported(opcode::Ftruncate::CODE);
    if !ring_truncates {
        notes.push(format!(
            "Linux {} cannot truncate through io_uring (6.9 can): a short blocking call is used",
            release()
        ));
    }
    Ok(ring_truncates)
}

fn check_features(ring: &IoUring) -> Result<(), StartError> {
    let features = ring.params();
    let missing = match () {
        () if !features.is_feature_nodrop() => "completions that are never dropped (NODROP)",
        () if !features.is_feature_fast_poll() => "waiting for sockets without threads (FAST_POLL)",
        () if !features.is_feature_ext_arg() => "waiting with a time limit (EXT_ARG)",
        () => return Ok(()),
    };
    Err(StartError::TooOld { missing: missing.into(), release: release() })
}

/// `disabled`: the value of kernel.io_uring_disabled, if there is one.
fn explain_refusal(error: io::Error, disabled: Option<u32>) -> StartError {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => match disabled {
            Some(value) if value > 0 => StartError::SwitchedOff(value),
            _ => StartError::Forbidden,
        },
        Some(libc::ENOSYS) => StartError::NoRing(release()),
        Some(libc::ENOMEM) => StartError::NoMemory(error),
        Some(libc::EINVAL) => {
            StartError::TooOld { missing: "a flag of its setup".into(), release: release() }
        }
        _ => StartError::Ring(error),
    }
}

fn io_uring_disabled() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

fn release() -> String {
    match nix::sys::utsname::uname() {
        Ok(name) => name.release().to_string_lossy().into_owned(),
        Err(error) => format!("unknown ({error})"),
    }
}

/// Below this, descriptors for segments and connections run short soon.
const OPEN_FILES_COMFORTABLE: u64 = 10_000;

fn raise_open_files(notes: &mut Vec<String>) -> u64 {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => {
            notes.push(format!("the limit on open files cannot be read ({error}): 1024 is assumed"));
            return 1024;
        }
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            notes.push(format!(
                "the limit on open files could not be raised from {soft} to {hard} ({error}): {soft} is used"
            ));
            soft
        }
    };
    if limit < OPEN_FILES_COMFORTABLE {
        notes.push(format!(
            "only {limit} files may be open, connections included: raise the hard limit (`ulimit -Hn`, LimitNOFILE=); until then fewer clients are accepted"
        ));
    }
    limit
}

const PROBE_FILE: &str = ".thalweg-probe";

fn probe_direct(dir: &Path, notes: &mut Vec<String>) -> io::Result<()> {
    let path = dir.join(PROBE_FILE);
    let tried = write_direct(&path);
    let removed = std::fs::remove_file(&path);
    match tried {
        Ok(()) => removed,
        // A full disk can still be read from.
        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => removed,
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            notes.push(format!(
                "the file system of {} has no O_DIRECT: writes go through the page cache and are synced one by one, which is slower; use ext4 or XFS",
                dir.display()
            ));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn write_direct(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT).open(path)?;
    file.write_all_at(&AlignedBuf::zeroed(PAGE_BYTES), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_fit_or_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let found = Probe::run(&[dir.path()]).unwrap();
        assert!(found.open_files_max > 0 && found.failed_dirs.is_empty());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the probe leaves nothing behind");
    }

    #[test]
    fn refusals_name_their_remedy() {
        let refusal =
            |number, disabled| explain_refusal(io::Error::from_raw_os_error(number), disabled).to_string();
        assert!(refusal(libc::EPERM, Some(2)).contains("sysctl kernel.io_uring_disabled=0"));
        assert!(refusal(libc::EPERM, Some(0)).contains("seccomp"));
        assert!(refusal(libc::EPERM, None).contains("seccomp"));
        assert!(refusal(libc::ENOMEM, None).contains("ulimit -l"));
        assert!(refusal(libc::ENOSYS, None).contains("5.19"));
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let found = Probe::run(&["/nonexistent/thalweg"]).unwrap();
        let [(dir, _)] = &found.failed_dirs[..] else { panic!("{:?}", found.failed_dirs) };
        assert_eq!(dir, Path::new("/nonexistent/thalweg"));
    }
}
