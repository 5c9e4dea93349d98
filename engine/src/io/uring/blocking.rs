//! The calls that do not go through the ring: clocks, random bits, listening, listing, locking.

use std::fs::{File, TryLockError};
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::libc;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, getsockname, setsockopt, shutdown, socket,
    sockopt,
};
use nix::sys::statvfs::statvfs;
use nix::time::{ClockId, clock_gettime};

use crate::io::{DirEntry, FileId, ListenOptions, ListenerId, Monotonic};

/// CLOCK_MONOTONIC, the same on every thread.
pub(super) fn monotonic() -> Monotonic {
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(time) => Monotonic(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64),
        Err(error) => panic!("CLOCK_MONOTONIC: {error}"),
    }
}

/// The second number of /proc/PID/task/TID/schedstat: nanoseconds spent waiting on a run queue (proc(5), Linux 2.6.9).
pub(super) fn cpu_wait(schedstat: &File) -> Option<Duration> {
    let mut text = [0; 64];
    let length = schedstat.read_at(&mut text, 0).ok()?;
    let waited = std::str::from_utf8(&text[..length]).ok()?.split_ascii_whitespace().nth(1)?;
    waited.parse().ok().map(Duration::from_nanos)
}

pub(super) fn wall_clock_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}

/// Random bits of the kernel, fetched many at a time.
pub(super) struct Entropy {
    words: [u64; 32],
    left: usize,
}

impl Entropy {
    pub(super) fn new() -> Entropy {
        Entropy { words: [0; 32], left: 0 }
    }

    pub(super) fn next(&mut self) -> u64 {
        if self.left == 0 {
            self.fetch();
        }
        self.left -= 1;
        self.words[self.left]
    }

    fn fetch(&mut self) {
        let bytes = size_of_val(&self.words);
        loop {
            // SAFETY: the buffer is valid for that many bytes, and any bits are a u64.
            let got = unsafe { libc::getrandom(self.words.as_mut_ptr().cast(), bytes, 0) };
            // Up to 256 bytes come whole or not at all; only a signal before the pool is ready gives less.
            if got == bytes as isize {
                self.left = self.words.len();
                return;
            }
            let error = io::Error::last_os_error();
            assert!(got >= 0 || error.kind() == io::ErrorKind::Interrupted, "getrandom: {error}");
        }
    }
}

pub(super) fn listen(address: SocketAddr, options: ListenOptions) -> io::Result<(ListenerId, SocketAddr)> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let listener = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    configure(&listener, options)?;
    bind(listener.as_raw_fd(), &SockaddrStorage::from(address))?;
    // SAFETY: no pointers; the descriptor is open.
    let listening = unsafe { libc::listen(listener.as_raw_fd(), options.backlog) };
    if listening != 0 {
        return Err(io::Error::last_os_error());
    }
    let bound = bound_address(&listener)?;
    Ok((ListenerId(listener.into_raw_fd()), bound))
}

/// Accepted connections inherit all of these.
fn configure(listener: &OwnedFd, options: ListenOptions) -> io::Result<()> {
    setsockopt(listener, sockopt::ReuseAddr, &true)?;
    setsockopt(listener, sockopt::TcpNoDelay, &true)?;
    if let Some(bytes) = options.send_buffer_bytes {
        setsockopt(listener, sockopt::SndBuf, &bytes)?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        setsockopt(listener, sockopt::RcvBuf, &bytes)?;
    }
    Ok(())
}

fn bound_address(listener: &OwnedFd) -> io::Result<SocketAddr> {
    let bound: SockaddrStorage = getsockname(listener.as_raw_fd())?;
    let v4 = bound.as_sockaddr_in().map(|v4| SocketAddr::V4((*v4).into()));
    let v6 = bound.as_sockaddr_in6().map(|v6| SocketAddr::V6((*v6).into()));
    v4.or(v6).ok_or_else(|| io::Error::other("the listener has no internet address"))
}

/// Ends both directions of a socket or listener. One that is not connected any more needs no ending.
pub(super) fn shut_down(socket: i32) {
    let _ = shutdown(socket, nix::sys::socket::Shutdown::Both);
}

pub(super) fn close(descriptor: i32) {
    // SAFETY: the descriptor is owned by the driver's user, who has given it up.
    drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
}

/// The open file of a FileId, borrowed.
fn borrowed(file: FileId) -> ManuallyDrop<File> {
    // SAFETY: a FileId is an open descriptor until it is given to CloseFile; it is not closed here.
    ManuallyDrop::new(unsafe { File::from_raw_fd(file.0) })
}

pub(super) fn truncate(file: FileId, len: u64) -> io::Result<()> {
    borrowed(file).set_len(len)
}

pub(super) fn file_len(file: FileId) -> io::Result<u64> {
    // SAFETY: as in `borrowed`.
    let file = unsafe { BorrowedFd::borrow_raw(file.0) };
    Ok(nix::sys::stat::fstat(file)?.st_size as u64)
}

pub(super) fn list_dir(path: &Path) -> io::Result<Vec<DirEntry>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let is_dir = metadata.is_dir();
        let len = if is_dir { 0 } else { metadata.len() };
        entries.push(DirEntry { name: entry.file_name().to_string_lossy().into_owned(), is_dir, len });
    }
    entries.sort();
    Ok(entries)
}

/// None if another open file holds the lock.
pub(super) fn lock_file(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn disk_space(path: &Path) -> io::Result<(u64, u64)> {
    let space = statvfs(path)?;
    Ok((space.blocks_available() * space.fragment_size(), space.blocks() * space.fragment_size()))
}
