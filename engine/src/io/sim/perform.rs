//! Effects: what an operation does to the disk when its time has come, and how it ends.

use std::io;

use nix::errno::Errno;

use super::directory::InodeId;
use super::disk::Disk;
use super::options::SimOptions;
use super::prng::Prng;
use super::submit::{Handle, InFlight, Target};
use super::world::{CrashPoint, World};
use crate::io::{Buffer, Completion, FileId, Op, OpenMode, Outcome, PAGE_BYTES};

impl World {
    /// Some sectors of a write in flight reach the file early.
    pub(super) fn land(&mut self, key: u64) {
        let Some(flight) = self.in_flight.get(&key) else { return };
        let keep = self.prng.pick(&[0.1, 0.5, 0.9]);
        land_part(&mut self.disk, flight, keep, &mut self.prng);
    }

    /// Ends an operation: its effect, its completion.
    pub(super) fn complete(&mut self, key: u64) {
        let Some(mut flight) = self.in_flight.remove(&key) else { return };
        self.dequeue_stream_op(key, &flight.op);
        let result = match flight.verdict {
            Some(errno) => {
                self.fail(&flight, errno);
                Err(errno.into())
            }
            None => self.perform(&mut flight),
        };
        self.finish(flight, result);
    }

    /// Hands the result to the driver, and the descriptor back.
    pub(super) fn finish(&mut self, flight: InFlight, result: io::Result<Outcome>) {
        if let Target::File(handle) = &flight.target {
            self.disk.release(handle.inode);
        }
        self.note(format_args!("d{} {:?}", flight.driver, Shown(&flight.op, &result)));
        if flight.is_sync() && result.is_ok() {
            self.syncs_done += 1;
            self.reach(CrashPoint::SyncDone(self.syncs_done));
        }
        if self.dead {
            return;
        }
        let buffer = match flight.op {
            Op::Read { buf, .. } => Buffer::Aligned(buf),
            Op::Recv { buf, .. } => Buffer::Stream(buf),
            _ => Buffer::None,
        };
        self.drivers[flight.driver].ready.push(Completion { id: flight.id, result, buffer });
    }

    /// What a failing operation does before it fails.
    fn fail(&mut self, flight: &InFlight, errno: Errno) {
        match (&flight.op, &flight.target) {
            (Op::Write { .. }, Target::File(_)) if !matches!(errno, Errno::EINVAL | Errno::EBADF) => {
                let keep = self.prng.pick(&[0.0, 0.5, 1.0]);
                land_part(&mut self.disk, flight, keep, &mut self.prng);
            }
            (Op::Sync { .. }, Target::File(handle)) => {
                let prng = &mut self.prng;
                self.disk.change(handle.inode, |file| file.fail_sync(flight.mark, prng));
            }
            (Op::CloseFile { .. }, Target::File(handle)) => self.close(flight.driver, handle.inode),
            (Op::Recv { socket, .. } | Op::Send { socket, .. }, _)
                if !matches!(errno, Errno::ECANCELED | Errno::EBADF | Errno::EBUSY) =>
            {
                self.reset_connection(socket.0);
            }
            _ => (),
        }
    }

    fn close(&mut self, driver: usize, inode: InodeId) {
        self.disk.release(inode);
        self.descriptor_closed(self.drivers[driver].process);
    }

    /// Does what the operation asks for.
    fn perform(&mut self, flight: &mut InFlight) -> io::Result<Outcome> {
        let done = Ok(Outcome::Done);
        match (&mut flight.op, &flight.target) {
            (Op::Open { path, mode }, _) => {
                let (path, mode) = (path.clone(), *mode);
                return self.open(flight.driver, path, mode);
            }
            (Op::CloseFile { .. }, Target::File(handle)) => self.close(flight.driver, handle.inode),
            (Op::Read { offset, len, buf, .. }, Target::File(handle)) => {
                let count = self.read(handle, *offset, &mut buf[..*len]);
                return Ok(Outcome::Count(count));
            }
            (Op::Write { .. }, Target::File(_)) => return self.write(flight),
            (Op::Sync { .. }, Target::File(handle)) if !self.options.lie_about_sync => {
                self.disk.change(handle.inode, |file| file.sync(flight.mark));
            }
            (Op::SyncDir { .. }, Target::Dir(dir)) if !self.options.lie_about_sync => {
                self.disk.names_mut().sync(*dir, flight.mark);
            }
            (Op::Allocate { offset, len, extend, .. }, Target::File(handle)) => {
                if !self.disk.has_room(handle.inode, *offset, *len) {
                    return Err(Errno::ENOSPC.into());
                }
                self.disk.change(handle.inode, |file| file.allocate(*offset, *len, *extend));
            }
            (Op::Truncate { len, .. }, Target::File(handle)) => {
                self.disk.change(handle.inode, |file| file.truncate(*len));
            }
            (Op::Rename { from, to }, _) => self.disk.rename(from, to)?,
            (Op::Unlink { path }, _) => self.disk.unlink(path)?,
            (Op::MakeDir { path }, _) => self.disk.names_mut().make_dir(path)?,
            (Op::RemoveDir { path }, _) => self.disk.names_mut().remove_dir(path)?,
            // The connection was closed when this was submitted; a sync may be a lie.
            _ => (),
        }
        done
    }

    fn open(&mut self, driver: usize, path: std::path::PathBuf, mode: OpenMode) -> io::Result<Outcome> {
        let process = self.drivers[driver].process;
        self.descriptor_opened(process)?;
        let create = matches!(mode, OpenMode::DirectCreate | OpenMode::BufferedCreate);
        let inode = match self.disk.open(&path, create) {
            Ok(inode) => inode,
            Err(error) => {
                self.descriptor_closed(process);
                return Err(error);
            }
        };
        let id = self.fresh_id();
        self.drivers[driver].files.insert(id, Handle { inode, mode, path });
        Ok(Outcome::File(FileId(id)))
    }

    fn read(&mut self, handle: &Handle, offset: u64, target: &mut [u8]) -> usize {
        let len = shortened(target.len(), handle, &self.options, &mut self.prng);
        self.disk.file(handle.inode).read(offset, &mut target[..len])
    }

    fn write(&mut self, flight: &InFlight) -> io::Result<Outcome> {
        let (Op::Write { offset, data, durable, .. }, Target::File(handle)) = (&flight.op, &flight.target)
        else {
            unreachable!("called for writes");
        };
        let wanted = shortened(data.len(), handle, &self.options, &mut self.prng);
        let len = fitting(&self.disk, handle.inode, *offset, wanted);
        if len == 0 && !data.is_empty() {
            return Err(Errno::ENOSPC.into());
        }
        let durable = *durable && !self.options.lie_about_sync;
        self.disk.write(handle.inode, *offset, data.slice(..len), durable);
        Ok(Outcome::Count(len))
    }

    /// The machine stops: each operation in flight may have happened, partly happened, or not.
    pub(super) fn settle_in_flight(&mut self) {
        let mut flights: Vec<InFlight> = std::mem::take(&mut self.in_flight).into_values().collect();
        self.prng.shuffle(&mut flights);
        for mut flight in flights {
            let is_open = matches!(flight.op, Op::Open { .. });
            if flight.verdict.is_some() || (is_open && self.prng.chance(0.5)) {
                continue;
            }
            if matches!(flight.op, Op::Write { .. }) && self.prng.chance(0.7) {
                let keep = self.prng.pick(&[0.0, 0.5, 1.0]);
                land_part(&mut self.disk, &flight, keep, &mut self.prng);
            } else if self.prng.chance(0.5) {
                // How it would have ended interests nobody any more.
                drop(self.perform(&mut flight));
            }
        }
    }
}

/// Lets a part of a write's sectors reach the file, as far as there is room.
fn land_part(disk: &mut Disk, flight: &InFlight, keep: f64, prng: &mut Prng) {
    let (Op::Write { offset, data, .. }, Target::File(handle)) = (&flight.op, &flight.target) else { return };
    let len = fitting(disk, handle.inode, *offset, data.len());
    disk.change(handle.inode, |file| file.land_some(*offset, &data.slice(..len), keep, prng));
}

/// How many of `len` bytes at `offset` fit on the disk, up to a page boundary if not all.
fn fitting(disk: &Disk, inode: InodeId, offset: u64, len: usize) -> usize {
    if disk.has_room(inode, offset, len as u64) {
        return len;
    }
    let first = PAGE_BYTES - (offset % PAGE_BYTES as u64) as usize;
    let boundaries = (0..).map(|page| first + page * PAGE_BYTES).take_while(|end| *end < len);
    boundaries.take_while(|end| disk.has_room(inode, offset, *end as u64)).last().unwrap_or(0)
}

/// Sometimes less than `len`: whole pages for a direct file, at least something.
fn shortened(len: usize, handle: &Handle, options: &SimOptions, prng: &mut Prng) -> usize {
    let unit = if handle.is_direct() { PAGE_BYTES } else { 1 };
    if len <= unit || !prng.chance(options.short_file_io) {
        return len;
    }
    prng.between(1, (len / unit - 1) as u64) as usize * unit
}

/// An operation's end, for the trace.
struct Shown<'a>(&'a Op, &'a io::Result<Outcome>);

impl std::fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ended: ", super::fault::OpKind::of(self.0))?;
        match self.1 {
            Ok(outcome) => write!(f, "{outcome:?}"),
            Err(error) => write!(f, "{:?}", error.raw_os_error().map(Errno::from_raw)),
        }
    }
}
