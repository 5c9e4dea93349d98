//! Submission: the checks that the kernel makes, the rules that the caller must keep, and when it will be done.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;

use super::clock::Event;
use super::directory::{DirId, InodeId};
use super::fault::{Hit, OpKind};
use super::options::{Delay, SimViolation};
use super::world::{CrashPoint, World};
use crate::io::{FileId, ListenerId, Monotonic, Op, OpId, OpenMode, PAGE_BYTES, SocketId};

/// An open file of one driver.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) inode: InodeId,
    pub(super) mode: OpenMode,
    pub(super) path: PathBuf,
}

impl Handle {
    pub(super) fn is_direct(&self) -> bool {
        matches!(self.mode, OpenMode::Direct | OpenMode::DirectCreate)
    }
}

/// What the operation works on, found when it was submitted.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// Its path or socket says it.
    Named,
    File(Handle),
    Dir(DirId),
}

/// An operation that has not completed.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) driver: usize,
    pub(super) id: OpId,
    pub(super) op: Op,
    pub(super) target: Target,
    /// For a sync: what came before it.
    pub(super) mark: u64,
    /// It fails with this, whatever else.
    pub(super) verdict: Option<Errno>,
    /// A socket operation does not look before.
    pub(super) not_before: Monotonic,
}

impl InFlight {
    pub(super) fn is_sync(&self) -> bool {
        matches!(self.op, Op::Sync { .. } | Op::SyncDir { .. } | Op::Write { durable: true, .. })
    }

    /// The pages of a write, as `[first, end)`, with its file.
    fn written_pages(&self) -> Option<(InodeId, u64, u64)> {
        let (Op::Write { offset, data, .. }, Target::File(handle)) = (&self.op, &self.target) else {
            return None;
        };
        let end = offset.saturating_add(data.len() as u64);
        Some((handle.inode, offset / PAGE_BYTES as u64, end.div_ceil(PAGE_BYTES as u64)))
    }
}

/// The file that an operation names by its descriptor.
fn file_of(op: &Op) -> Option<FileId> {
    match op {
        Op::CloseFile { file }
        | Op::Read { file, .. }
        | Op::Write { file, .. }
        | Op::Sync { file }
        | Op::Allocate { file, .. }
        | Op::Truncate { file, .. } => Some(*file),
        _ => None,
    }
}

fn path_of(op: &Op) -> Option<&Path> {
    match op {
        Op::Open { path, .. }
        | Op::Rename { from: path, .. }
        | Op::Unlink { path }
        | Op::MakeDir { path }
        | Op::RemoveDir { path }
        | Op::SyncDir { path } => Some(path),
        _ => None,
    }
}

impl World {
    pub(super) fn submit(&mut self, driver: usize, id: OpId, op: Op) {
        if self.dead {
            return;
        }
        let kind = OpKind::of(&op);
        let (target, mut verdict) = match self.find_target(driver, &op) {
            Ok(target) => (target, self.refuse(driver, &op)),
            Err(errno) => (Target::Named, Some(errno)),
        };
        let path = match &target {
            Target::File(handle) => Some(handle.path.clone()),
            _ => path_of(&op).map(Path::to_path_buf),
        };
        let mut delay = self.delay_of(kind);
        match self.faults.strike(kind, path.as_deref(), &mut self.prng) {
            // close(2) of a socket gives the descriptor back whatever it returns.
            Some(Hit::Error(errno)) if kind != OpKind::CloseSocket => verdict = verdict.or(Some(errno)),
            Some(Hit::Stall(time)) => delay += time,
            Some(Hit::Error(_)) | None => (),
        }
        let shown = path.as_deref().map(Path::display);
        self.trace.record(self.clock.now(), format_args!("d{driver} {kind:?} {shown:?} {}", Range(&op)));
        let mark = match &target {
            Target::File(handle) => self.disk.file(handle.inode).mark(),
            Target::Dir(_) => self.disk.names().mark(),
            Target::Named => 0,
        };
        let not_before = self.clock.now().after(delay);
        self.start(InFlight { driver, id, op, target, mark, verdict, not_before }, delay);
    }

    /// Puts the operation in flight and sets when it is looked at.
    fn start(&mut self, flight: InFlight, delay: Duration) {
        self.check_overlap(&flight);
        self.ops_issued += 1;
        let key = self.ops_issued;
        let is_sync = flight.is_sync();
        match &flight.target {
            Target::File(handle) => self.disk.hold(handle.inode),
            Target::Named | Target::Dir(_) => (),
        }
        let refused = flight.verdict.is_some();
        let waits_for_peer = if refused { None } else { self.enqueue_stream_op(key, &flight.op) };
        let event = waits_for_peer.unwrap_or(Event::Complete(key));
        if matches!(flight.op, Op::Write { .. }) && self.prng.chance(self.options.early_landing) {
            let early = delay.mul_f64(self.prng.below(1000) as f64 / 1000.0);
            self.clock.schedule(early, Event::Land(key), &mut self.prng);
        }
        self.clock.schedule(delay, event, &mut self.prng);
        self.in_flight.insert(key, flight);
        self.reach(CrashPoint::OpIssued(self.ops_issued));
        if is_sync {
            self.syncs_issued += 1;
            self.reach(CrashPoint::SyncIssued(self.syncs_issued));
        }
    }
}

/// Shows where in a file an operation works.
struct Range<'a>(&'a Op);

impl std::fmt::Display for Range<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Op::Read { offset, len, .. } => write!(f, "{offset}+{len}"),
            Op::Write { offset, data, durable, .. } => write!(f, "{offset}+{} durable={durable}", data.len()),
            Op::Allocate { offset, len, .. } => write!(f, "{offset}+{len}"),
            Op::Truncate { len, .. } => write!(f, "to {len}"),
            Op::Rename { to, .. } => write!(f, "to {}", to.display()),
            Op::Recv { socket, .. } | Op::Send { socket, .. } | Op::CloseSocket { socket } => {
                write!(f, "socket {}", socket.0)
            }
            _ => Ok(()),
        }
    }
}

impl World {
    fn find_target(&mut self, driver: usize, op: &Op) -> Result<Target, Errno> {
        if let Some(file) = file_of(op) {
            let files = &mut self.drivers[driver].files;
            let closing = matches!(op, Op::CloseFile { .. });
            let handle = if closing { files.remove(&file.0) } else { files.get(&file.0).cloned() };
            return handle.map(Target::File).ok_or_else(|| self.used_after_close(op));
        }
        match op {
            Op::SyncDir { path } => self.disk.names().lookup_dir(path).map(Target::Dir).map_err(errno_of),
            Op::Recv { socket, .. } | Op::Send { socket, .. } | Op::CloseSocket { socket } => {
                self.find_socket(*socket, op)
            }
            Op::Accept { listener: ListenerId(id) } if !self.network.listeners.contains_key(id) => {
                Err(self.used_after_close(op))
            }
            _ => Ok(Target::Named),
        }
    }

    fn find_socket(&mut self, socket: SocketId, op: &Op) -> Result<Target, Errno> {
        let Some(connection) = self.network.connections.get(&socket.0).filter(|there| !there.server_closed)
        else {
            return Err(self.used_after_close(op));
        };
        let taken = match op {
            Op::Recv { .. } => connection.recv.is_some(),
            Op::Send { .. } => connection.send.is_some(),
            _ => false,
        };
        if taken {
            self.violate(SimViolation::ConcurrentStreamOps {
                op: format!("{:?} {socket:?}", OpKind::of(op)),
            });
            return Err(Errno::EBUSY);
        }
        Ok(Target::Named)
    }

    fn used_after_close(&mut self, op: &Op) -> Errno {
        let kind = OpKind::of(op);
        self.violate(SimViolation::UseAfterClose { op: format!("{kind:?} {:?} {}", file_of(op), Range(op)) });
        Errno::EBADF
    }

    /// The kernel's reasons to refuse an operation on a file at once.
    fn refuse(&mut self, driver: usize, op: &Op) -> Option<Errno> {
        let handle = file_of(op).and_then(|file| self.drivers[driver].files.get(&file.0)).cloned()?;
        let read_only = handle.mode == OpenMode::Buffered;
        let (offset, len, address) = match op {
            Op::Read { offset, len, buf, .. } if *len <= buf.len() => (*offset, *len, 0),
            Op::Read { .. } => return Some(Errno::EFAULT),
            Op::Write { .. } | Op::Truncate { .. } | Op::Allocate { .. } if read_only => {
                return Some(Errno::EBADF);
            }
            Op::Write { offset, data, .. } => (*offset, data.len(), data.as_ptr() as usize),
            Op::Allocate { len: 0, .. } => return Some(Errno::EINVAL),
            _ => return None,
        };
        let whole_pages = |value: usize| value.is_multiple_of(PAGE_BYTES);
        if offset.checked_add(len as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Some(Errno::EFBIG);
        }
        if handle.is_direct() && !(whole_pages(offset as usize) && whole_pages(len) && whole_pages(address)) {
            let path = handle.path.display().to_string();
            self.violate(SimViolation::Unaligned { path, offset, len: len as u64 });
            return Some(Errno::EINVAL);
        }
        None
    }

    fn check_overlap(&mut self, flight: &InFlight) {
        let Some((inode, first, end)) = flight.written_pages() else { return };
        let overlaps = |other: &InFlight| {
            other.written_pages().is_some_and(|(file, from, to)| file == inode && from < end && first < to)
        };
        if self.in_flight.values().any(overlaps)
            && let (Target::File(handle), Op::Write { offset, data, .. }) = (&flight.target, &flight.op)
        {
            let (path, offset, len) = (handle.path.display().to_string(), *offset, data.len() as u64);
            self.violate(SimViolation::OverlappingWrites { path, offset, len });
        }
    }

    pub(super) fn delay_of(&mut self, kind: OpKind) -> Duration {
        let options = &self.options;
        let range: Delay = match kind {
            OpKind::Read => options.read_delay,
            OpKind::Write => options.write_delay,
            OpKind::Sync | OpKind::SyncDir => options.sync_delay,
            kind if kind.is_socket() => options.network_delay,
            _ => options.metadata_delay,
        };
        let delay = range.draw(&mut self.prng);
        if self.prng.chance(self.options.slow) { delay * self.options.slow_factor } else { delay }
    }

    /// Asks a waiting socket operation to end. Operations on files end as they would have.
    pub(super) fn cancel(&mut self, driver: usize, id: OpId) {
        let is_it = |flight: &InFlight| flight.driver == driver && flight.id == id;
        let Some((&key, flight)) = self.in_flight.iter_mut().find(|entry| is_it(entry.1)) else { return };
        let waits = matches!(flight.op, Op::Accept { .. } | Op::Recv { .. } | Op::Send { .. });
        if !waits || flight.verdict.is_some() {
            return;
        }
        flight.verdict = Some(Errno::ECANCELED);
        let delay = self.delay_of(OpKind::Recv);
        self.clock.schedule(delay, Event::Complete(key), &mut self.prng);
    }
}

pub(super) fn errno_of(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
