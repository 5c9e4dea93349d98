//! The ring: entries are known by what they are for and an index; the memory they point to is the caller's promise.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;

use io_uring::{IoUring, opcode, squeue, types};
use nix::libc;
use thalweg_engine::io::AlignedBuf;

const ENTRIES: u32 = 1024;
const COMPLETIONS: u32 = 8192;
/// IORING_RECVSEND_POLL_FIRST: do not try to receive before the socket says that it has something.
const POLL_FIRST: u16 = 1;

/// What an entry is for; the index beside it says of which connection, buffer or file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    Accept,
    Receive,
    Send,
    Commit,
    SegmentWrite,
    SegmentOpen,
    SegmentAllocate,
    SegmentSync,
    DirectorySync,
    SegmentUnlink,
    CheckpointWrite,
}

impl Purpose {
    const ALL: [Purpose; 11] = [
        Purpose::Accept,
        Purpose::Receive,
        Purpose::Send,
        Purpose::Commit,
        Purpose::SegmentWrite,
        Purpose::SegmentOpen,
        Purpose::SegmentAllocate,
        Purpose::SegmentSync,
        Purpose::DirectorySync,
        Purpose::SegmentUnlink,
        Purpose::CheckpointWrite,
    ];
}

/// One entry that the kernel has finished.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    pub purpose: Purpose,
    pub index: usize,
    result: i32,
}

impl Finished {
    /// # Errors
    /// As the system call that the entry stands for.
    pub fn result(&self) -> io::Result<i32> {
        if self.result < 0 { Err(io::Error::from_raw_os_error(-self.result)) } else { Ok(self.result) }
    }

    /// For writes of pages: all or an error.
    ///
    /// # Errors
    /// As write(2), and `WriteZero` for a part.
    pub fn wrote(&self, bytes: usize) -> io::Result<()> {
        let count = self.result()?;
        if count as usize == bytes {
            return Ok(());
        }
        let text = format!("{:?}: {count} of {bytes} bytes written", self.purpose);
        Err(io::Error::new(io::ErrorKind::WriteZero, text))
    }
}

/// A buffer that the disk writes from.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    pub start: *const u8,
    pub bytes: usize,
    /// Its number among the registered buffers.
    pub number: u16,
}

pub struct Ring {
    uring: IoUring,
    backlog: VecDeque<squeue::Entry>,
    has_registered: bool,
}

impl Ring {
    pub fn new() -> io::Result<Ring> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun();
        builder.setup_cqsize(COMPLETIONS).dontfork();
        Ok(Ring { uring: builder.build(ENTRIES)?, backlog: VecDeque::new(), has_registered: false })
    }

    /// Registers the buffers, numbered in order; without the memory limit for it, writes go unregistered.
    ///
    /// # Safety
    /// The buffers live as long as the ring.
    pub unsafe fn register(&mut self, buffers: &[&AlignedBuf]) {
        let vectors: Vec<_> = buffers
            .iter()
            .map(|b| libc::iovec { iov_base: b.as_ptr().cast_mut().cast(), iov_len: b.len() })
            .collect();
        // SAFETY: the caller's promise; the vectors themselves are only read during the call.
        match unsafe { self.uring.submitter().register_buffers(&vectors) } {
            Ok(()) => self.has_registered = true,
            Err(error) => {
                eprintln!("buffers stay unregistered: {error}; raise the memlock limit (ulimit -l)")
            }
        }
    }

    /// # Safety
    /// What the entry points to stays valid, and is not changed by others, until it has finished.
    unsafe fn push(&mut self, purpose: Purpose, index: usize, entry: squeue::Entry) {
        let entry = entry.user_data((purpose as u64) << 32 | index as u64);
        // SAFETY: the caller's promise.
        if !self.backlog.is_empty() || unsafe { self.uring.submission().push(&entry) }.is_err() {
            self.backlog.push_back(entry);
        }
    }

    pub fn accept(&mut self, listener: RawFd) {
        let accept = opcode::Accept::new(types::Fd(listener), std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: no pointers.
        unsafe { self.push(Purpose::Accept, 0, accept.flags(libc::SOCK_CLOEXEC).build()) }
    }

    /// Receives into `room`. `lacks`: bytes that the frame under way still needs; they are waited for together.
    ///
    /// # Safety
    /// `room` stays where it is and untouched until the entry has finished.
    pub unsafe fn receive(&mut self, socket: RawFd, index: usize, room: &mut [u8], lacks: usize) {
        let (bytes, flags) = match lacks.min(room.len()) {
            0 => (room.len(), 0),
            lacks => (lacks, libc::MSG_WAITALL),
        };
        let receive = opcode::Recv::new(types::Fd(socket), room.as_mut_ptr(), bytes as u32).flags(flags);
        // Between requests nothing is there yet.
        let receive = if lacks == 0 { receive.ioprio(POLL_FIRST) } else { receive };
        // SAFETY: the caller's promise.
        unsafe { self.push(Purpose::Receive, index, receive.build()) }
    }

    /// # Safety
    /// `bytes` stay where they are and unchanged until the entry has finished.
    pub unsafe fn send(&mut self, socket: RawFd, index: usize, bytes: &[u8]) {
        let send = opcode::Send::new(types::Fd(socket), bytes.as_ptr(), bytes.len() as u32);
        // SAFETY: the caller's promise.
        unsafe { self.push(Purpose::Send, index, send.flags(libc::MSG_NOSIGNAL).build()) }
    }

    /// Writes whole pages to a file opened with O_DIRECT; with `durable` they are on stable storage when done.
    ///
    /// # Safety
    /// The source stays where it is until the entry has finished, and the bytes to be kept unchanged.
    pub unsafe fn write(
        &mut self,
        purpose: Purpose,
        index: usize,
        file: RawFd,
        source: Source,
        position: u64,
        durable: bool,
    ) {
        let (file, bytes) = (types::Fd(file), source.bytes as u32);
        let flags = if durable { libc::RWF_DSYNC } else { 0 };
        let entry = if self.has_registered {
            let write = opcode::WriteFixed::new(file, source.start, bytes, source.number);
            write.offset(position).rw_flags(flags).build()
        } else {
            opcode::Write::new(file, source.start, bytes).offset(position).rw_flags(flags).build()
        };
        // SAFETY: the caller's promise.
        unsafe { self.push(purpose, index, entry) }
    }

    /// # Safety
    /// `path` stays where it is until the entry has finished.
    pub unsafe fn create(&mut self, index: usize, path: &std::ffi::CStr) {
        let flags = libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | libc::O_DIRECT | libc::O_CLOEXEC;
        let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).flags(flags).mode(0o644);
        // SAFETY: the caller's promise.
        unsafe { self.push(Purpose::SegmentOpen, index, open.build()) }
    }

    /// # Safety
    /// `path` stays where it is until the entry has finished.
    pub unsafe fn unlink(&mut self, index: usize, path: &std::ffi::CStr) {
        let unlink = opcode::UnlinkAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr());
        // SAFETY: the caller's promise.
        unsafe { self.push(Purpose::SegmentUnlink, index, unlink.build()) }
    }

    pub fn allocate(&mut self, index: usize, file: RawFd, position: u64, bytes: u64) {
        let allocate = opcode::Fallocate::new(types::Fd(file), bytes).offset(position);
        // SAFETY: no pointers.
        unsafe { self.push(Purpose::SegmentAllocate, index, allocate.build()) }
    }

    /// fdatasync of a file.
    pub fn sync(&mut self, index: usize, file: RawFd) {
        let sync = opcode::Fsync::new(types::Fd(file)).flags(types::FsyncFlags::DATASYNC);
        // SAFETY: no pointers.
        unsafe { self.push(Purpose::SegmentSync, index, sync.build()) }
    }

    /// fsync of a directory.
    pub fn sync_directory(&mut self, index: usize, directory: RawFd) {
        // SAFETY: no pointers.
        unsafe { self.push(Purpose::DirectorySync, index, opcode::Fsync::new(types::Fd(directory)).build()) }
    }

    /// Submits what is queued, waits for at least one completion, and appends all there are to `finished`.
    ///
    /// # Errors
    /// As io_uring_enter(2).
    pub fn turn(&mut self, finished: &mut Vec<Finished>) -> io::Result<()> {
        while !self.backlog.is_empty() {
            self.enter(0)?;
            let mut queue = self.uring.submission();
            while let Some(entry) = self.backlog.front() {
                // SAFETY: promised when the entry was queued.
                if unsafe { queue.push(entry) }.is_err() {
                    break;
                }
                self.backlog.pop_front();
            }
        }
        self.enter(1)?;
        let completions = self.uring.completion();
        finished.extend(completions.filter_map(|entry| {
            let purpose = *Purpose::ALL.get((entry.user_data() >> 32) as usize)?;
            Some(Finished { purpose, index: entry.user_data() as u32 as usize, result: entry.result() })
        }));
        Ok(())
    }

    fn enter(&mut self, wait_for: usize) -> io::Result<()> {
        match self.uring.submitter().submit_and_wait(wait_for) {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purpose_is_found_by_its_number() {
        for (number, purpose) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(purpose as usize, number);
        }
    }
}
