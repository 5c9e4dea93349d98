//! An operation in flight: the memory that the kernel may touch until it has finished, and how it is described to it.
//!
//! Everything that an entry points to lives on the heap and is owned by the [`InFlight`] of that entry, which moves
//! freely meanwhile.

use std::ffi::CString;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use io_uring::types::{Fd, FsyncFlags};
use io_uring::{opcode, squeue};
use nix::libc;

use crate::bounds::{SEND_BUFFERS_MAX, TRANSFER_BYTES_MAX};
use crate::io::{AlignedBuf, Buffer, FileId, OpenMode, Outcome, SocketId};

const HERE: Fd = Fd(libc::AT_FDCWD);
const FILE_MODE: libc::mode_t = 0o644;
const DIRECTORY_MODE: libc::mode_t = 0o755;

/// What the kernel may read or write until the operation has finished.
pub(super) enum InFlight {
    Open {
        path: CString,
        mode: OpenMode,
        direct: bool,
    },
    Path {
        _from: CString,
        _to: Option<CString>,
    },
    OpenDirectory {
        _path: CString,
    },
    SyncDirectory {
        directory: i32,
    },
    Read {
        buf: AlignedBuf,
    },
    Write {
        _data: Bytes,
    },
    Accept {
        listener: i32,
        peer: Box<Peer>,
    },
    Recv {
        buf: BytesMut,
    },
    Send {
        _data: Vec<Bytes>,
        message: Option<Box<Message>>,
    },
    /// Nothing but numbers.
    Plain,
}

/// Where the kernel puts the address of an accepted connection.
pub(super) struct Peer {
    address: libc::sockaddr_storage,
    len: libc::socklen_t,
}

/// A gathering send.
pub(super) struct Message {
    header: libc::msghdr,
    parts: [libc::iovec; SEND_BUFFERS_MAX],
}

/// What becomes of an operation when its entry has finished.
pub(super) enum Step {
    Done(io::Result<Outcome>, Buffer),
    /// Another entry follows under the same id.
    Next(InFlight, squeue::Entry),
}

pub(super) fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn transfer(len: usize) -> u32 {
    len.min(TRANSFER_BYTES_MAX) as u32
}

pub(super) fn open(path: CString, mode: OpenMode, direct: bool) -> (InFlight, squeue::Entry) {
    let flags = match mode {
        OpenMode::Direct => libc::O_RDWR | libc::O_DIRECT,
        OpenMode::DirectCreate => libc::O_RDWR | libc::O_DIRECT | libc::O_CREAT | libc::O_TRUNC,
        OpenMode::Buffered => libc::O_RDONLY,
        OpenMode::BufferedCreate => libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC,
    };
    let flags = if direct { flags } else { flags & !libc::O_DIRECT };
    let entry =
        opcode::OpenAt::new(HERE, path.as_ptr()).flags(flags | libc::O_CLOEXEC).mode(FILE_MODE).build();
    (InFlight::Open { path, mode, direct }, entry)
}

pub(super) fn open_directory(path: CString) -> (InFlight, squeue::Entry) {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    let entry = opcode::OpenAt::new(HERE, path.as_ptr()).flags(flags).build();
    (InFlight::OpenDirectory { _path: path }, entry)
}

pub(super) fn rename(from: CString, to: CString) -> (InFlight, squeue::Entry) {
    let entry = opcode::RenameAt::new(HERE, from.as_ptr(), HERE, to.as_ptr()).build();
    (InFlight::Path { _from: from, _to: Some(to) }, entry)
}

pub(super) fn unlink(path: CString, flags: i32) -> (InFlight, squeue::Entry) {
    let entry = opcode::UnlinkAt::new(HERE, path.as_ptr()).flags(flags).build();
    (InFlight::Path { _from: path, _to: None }, entry)
}

pub(super) fn make_dir(path: CString) -> (InFlight, squeue::Entry) {
    let entry = opcode::MkDirAt::new(HERE, path.as_ptr()).mode(DIRECTORY_MODE).build();
    (InFlight::Path { _from: path, _to: None }, entry)
}

pub(super) fn read(file: FileId, offset: u64, len: usize, mut buf: AlignedBuf) -> (InFlight, squeue::Entry) {
    let len = transfer(len.min(buf.len()));
    let entry = opcode::Read::new(Fd(file.0), buf.as_mut_ptr(), len).offset(offset).build();
    (InFlight::Read { buf }, entry)
}

pub(super) fn write(file: FileId, offset: u64, data: Bytes, durable: bool) -> (InFlight, squeue::Entry) {
    let flags = if durable { libc::RWF_DSYNC } else { 0 };
    let entry =
        opcode::Write::new(Fd(file.0), data.as_ptr(), transfer(data.len())).offset(offset).rw_flags(flags);
    (InFlight::Write { _data: data }, entry.build())
}

pub(super) fn sync(file: FileId) -> (InFlight, squeue::Entry) {
    (InFlight::Plain, opcode::Fsync::new(Fd(file.0)).flags(FsyncFlags::DATASYNC).build())
}

pub(super) fn allocate(file: FileId, offset: u64, len: u64, extend: bool) -> (InFlight, squeue::Entry) {
    let mode = if extend { 0 } else { libc::FALLOC_FL_KEEP_SIZE };
    (InFlight::Plain, opcode::Fallocate::new(Fd(file.0), len).offset(offset).mode(mode).build())
}

pub(super) fn truncate(file: FileId, len: u64) -> (InFlight, squeue::Entry) {
    (InFlight::Plain, opcode::Ftruncate::new(Fd(file.0), len).build())
}

pub(super) fn close(descriptor: i32) -> (InFlight, squeue::Entry) {
    (InFlight::Plain, opcode::Close::new(Fd(descriptor)).build())
}

pub(super) fn accept(listener: i32) -> (InFlight, squeue::Entry) {
    // SAFETY: all zeros is a valid sockaddr_storage.
    let address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut peer = Box::new(Peer { address, len: size_of::<libc::sockaddr_storage>() as libc::socklen_t });
    let address = (&raw mut peer.address).cast();
    let entry = opcode::Accept::new(Fd(listener), address, &raw mut peer.len).flags(libc::SOCK_CLOEXEC);
    (InFlight::Accept { listener, peer }, entry.build())
}

pub(super) fn recv(socket: SocketId, mut buf: BytesMut, max: usize) -> (InFlight, squeue::Entry) {
    let spare = buf.spare_capacity_mut();
    let len = transfer(spare.len().min(max));
    let entry = opcode::Recv::new(Fd(socket.0), spare.as_mut_ptr().cast(), len).build();
    (InFlight::Recv { buf }, entry)
}

/// `spare` keeps headers of finished sends for the next ones.
#[expect(clippy::vec_box, reason = "a header must not move while the kernel may read it")]
pub(super) fn send(
    socket: SocketId,
    data: Vec<Bytes>,
    more: bool,
    spare: &mut Vec<Box<Message>>,
) -> (InFlight, squeue::Entry) {
    let truncated = data.len() > SEND_BUFFERS_MAX;
    // MSG_WAITALL: the kernel itself goes on after a short send (Linux 5.19; before, the caller does).
    let more = if more || truncated { libc::MSG_MORE } else { 0 };
    let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | more;
    if let [one] = data.as_slice() {
        let entry = opcode::Send::new(Fd(socket.0), one.as_ptr(), transfer(one.len())).flags(flags).build();
        return (InFlight::Send { _data: data, message: None }, entry);
    }
    let mut message = spare.pop().unwrap_or_else(Message::empty);
    message.point_to(&data);
    let entry = opcode::SendMsg::new(Fd(socket.0), &raw const message.header).flags(flags as u32).build();
    (InFlight::Send { _data: data, message: Some(message) }, entry)
}

impl Message {
    fn empty() -> Box<Message> {
        const NOTHING: libc::iovec = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        // SAFETY: all zeros is a valid msghdr: no address, no parts, no control data.
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        Box::new(Message { header, parts: [NOTHING; SEND_BUFFERS_MAX] })
    }

    fn point_to(&mut self, data: &[Bytes]) {
        let mut room = TRANSFER_BYTES_MAX;
        let mut count = 0;
        for (part, bytes) in self.parts.iter_mut().zip(data) {
            let len = bytes.len().min(room);
            room -= len;
            count += 1;
            *part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: len };
        }
        self.header.msg_iov = self.parts.as_mut_ptr();
        self.header.msg_iovlen = count;
    }
}

impl Peer {
    fn address(&self) -> SocketAddr {
        match i32::from(self.address.ss_family) {
            libc::AF_INET6 => {
                // SAFETY: the kernel says that it wrote a sockaddr_in6, which fits and is aligned in the storage.
                let v6 = unsafe { &*(&raw const self.address).cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                let port = u16::from_be(v6.sin6_port);
                SocketAddr::V6(SocketAddrV6::new(ip, port, v6.sin6_flowinfo, v6.sin6_scope_id))
            }
            libc::AF_INET => {
                // SAFETY: the kernel says that it wrote a sockaddr_in, which fits and is aligned in the storage.
                let v4 = unsafe { &*(&raw const self.address).cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)))
            }
            _ => SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
        }
    }
}

impl InFlight {
    /// The entry has finished with `result`, as the kernel reports it: a negative error number, or a count or
    /// descriptor.
    #[expect(clippy::vec_box, reason = "a header must not move while the kernel may read it")]
    pub(super) fn finish(self, result: i32, spare: &mut Vec<Box<Message>>) -> Step {
        let value = if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) };
        let count = |value: i32| Outcome::Count(value as usize);
        match self {
            InFlight::Open { path, mode, direct } => finish_open(value, path, mode, direct),
            InFlight::OpenDirectory { .. } => match value {
                Ok(directory) => {
                    let entry = opcode::Fsync::new(Fd(directory)).build();
                    Step::Next(InFlight::SyncDirectory { directory }, entry)
                }
                Err(error) => Step::Done(Err(error), Buffer::None),
            },
            InFlight::Path { .. } | InFlight::SyncDirectory { .. } | InFlight::Plain => {
                Step::Done(value.map(|_| Outcome::Done), Buffer::None)
            }
            InFlight::Read { buf } => Step::Done(value.map(count), Buffer::Aligned(buf)),
            InFlight::Write { .. } => Step::Done(value.map(count), Buffer::None),
            InFlight::Accept { peer, .. } => {
                let accepted = value.map(|socket| Outcome::Accepted(SocketId(socket), peer.address()));
                Step::Done(accepted, Buffer::None)
            }
            InFlight::Recv { mut buf } => {
                if let Ok(received) = value {
                    // SAFETY: the kernel wrote that many bytes into the spare capacity behind the length.
                    unsafe { buf.set_len(buf.len() + received as usize) };
                }
                Step::Done(value.map(count), Buffer::Stream(buf))
            }
            InFlight::Send { message, .. } => {
                spare.extend(message);
                Step::Done(value.map(count), Buffer::None)
            }
        }
    }

    /// The descriptor that this operation opened for itself.
    pub(super) fn own_descriptor(&self) -> Option<i32> {
        match self {
            InFlight::SyncDirectory { directory } => Some(*directory),
            _ => None,
        }
    }
}

fn finish_open(value: io::Result<i32>, path: CString, mode: OpenMode, direct: bool) -> Step {
    match value {
        Ok(file) => Step::Done(Ok(Outcome::File(FileId(file))), Buffer::None),
        // A file system without O_DIRECT refuses it so; the probe at start has told the operator.
        Err(error) if direct && error.raw_os_error() == Some(libc::EINVAL) && is_direct(mode) => {
            let (in_flight, entry) = open(path, mode, false);
            Step::Next(in_flight, entry)
        }
        Err(error) => Step::Done(Err(error), Buffer::None),
    }
}

fn is_direct(mode: OpenMode) -> bool {
    matches!(mode, OpenMode::Direct | OpenMode::DirectCreate)
}
