//! The contract between the reactor and the world: submit an operation, reap its completion.
//!
//! Rules every driver keeps:
//! - Exactly one completion per submitted operation, also after `cancel` and also on error; a buffer that was moved
//!   into the operation comes back with it.
//! - Completions may come in any order. Two writes in flight to overlapping bytes may land in any order.
//! - A completed `Write` with `durable: true`, or a completed `Sync` after a completed `Write`, is on stable storage.
//!   A created, renamed or removed name is durable only after a `SyncDir` of its directory.
//! - A driver belongs to one thread; only its [`Doorbell`] may be used from others.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::AlignedBuf;

/// Names one operation in flight; chosen by the reactor: a dense slab index (low 32 bits), which a driver may use to
/// index storage of its own, and above it a generation of 31 bits. The highest bit is the driver's, for operations
/// that it starts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OpId(pub u64);

impl OpId {
    /// Generations count modulo this.
    pub const GENERATIONS: u32 = 1 << 31;

    /// The id of slot `index` in its life number `generation` (below [`OpId::GENERATIONS`]).
    pub fn new(index: u32, generation: u32) -> OpId {
        debug_assert!(generation < OpId::GENERATIONS);
        OpId((u64::from(generation) << 32) | u64::from(index))
    }

    /// The slab index.
    pub fn index(self) -> usize {
        (self.0 & 0xffff_ffff) as usize
    }
}

/// An open file of one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId(pub i32);

/// A connected stream socket. Valid on every driver of the process, so that a connection can move between shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId(pub i32);

/// A listening socket of one driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub i32);

/// Nanoseconds on a clock that never goes back and has no meaning across runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Time from `earlier` to self; zero if `earlier` is later.
    pub fn since(self, earlier: Monotonic) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `delay` after self.
    pub fn after(self, delay: std::time::Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// How a file is opened. Every file is opened read-write, close-on-exec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Existing file, O_DIRECT: offsets, lengths and buffers are whole pages.
    Direct,
    /// Create (or truncate an existing one to nothing), O_DIRECT.
    DirectCreate,
    /// Existing file through the page cache, read-only; for small cold files.
    Buffered,
    /// Create or truncate through the page cache; for small cold files (they go to a kernel worker, never the shard).
    BufferedCreate,
}

/// One operation. Ranges are in bytes.
#[derive(Debug)]
pub enum Op {
    /// Completes with [`Outcome::File`].
    Open {
        path: PathBuf,
        mode: OpenMode,
    },
    /// Completes with [`Outcome::Done`]; the file id is dead at submission.
    CloseFile {
        file: FileId,
    },
    /// Reads up to `len` bytes (<= buf.len()) into the front of `buf`; completes with [`Outcome::Count`], 0 at end.
    Read {
        file: FileId,
        offset: u64,
        len: usize,
        buf: AlignedBuf,
    },
    /// Writes a prefix of `data`; completes with [`Outcome::Count`]. `durable` adds O_DSYNC to this write.
    Write {
        file: FileId,
        offset: u64,
        data: Bytes,
        durable: bool,
    },
    /// fdatasync.
    Sync {
        file: FileId,
    },
    /// fallocate without changing the file's visible contents; extends its size with zeros when `extend`.
    Allocate {
        file: FileId,
        offset: u64,
        len: u64,
        extend: bool,
    },
    /// ftruncate.
    Truncate {
        file: FileId,
        len: u64,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Unlink {
        path: PathBuf,
    },
    MakeDir {
        path: PathBuf,
    },
    RemoveDir {
        path: PathBuf,
    },
    /// fsync of a directory: names created, renamed or removed in it are durable afterwards.
    SyncDir {
        path: PathBuf,
    },
    /// Completes with [`Outcome::Accepted`].
    Accept {
        listener: ListenerId,
    },
    /// Appends up to `max` bytes to `buf` (within its spare capacity, which the caller reserved);
    /// completes with [`Outcome::Count`], 0 when the peer has closed.
    Recv {
        socket: SocketId,
        buf: BytesMut,
        max: usize,
    },
    /// Sends a prefix of the concatenation of `data`; completes with [`Outcome::Count`]. `more`: more follows at once.
    Send {
        socket: SocketId,
        data: Vec<Bytes>,
        more: bool,
    },
    /// Closes both directions and the descriptor. Operations still in flight on it complete with an error or 0.
    CloseSocket {
        socket: SocketId,
    },
}

/// What a successful operation returned.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    Done,
    Count(usize),
    File(FileId),
    Accepted(SocketId, SocketAddr),
}

/// The exclusively owned buffer that was moved into the operation.
#[derive(Debug)]
pub enum Buffer {
    None,
    Aligned(AlignedBuf),
    Stream(BytesMut),
}

/// The end of one operation.
#[derive(Debug)]
pub struct Completion {
    pub id: OpId,
    pub result: io::Result<Outcome>,
    pub buffer: Buffer,
}

/// How long a turn may wait for a completion when none is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Park {
    /// Submit, reap what is there, return.
    Poll,
    /// Wait for a completion or the doorbell, at most until then.
    Until(Monotonic),
    /// Wait for a completion or the doorbell.
    Forever,
}

/// Wakes a parked driver from any thread. Ringing an awake driver makes its next park return at once.
pub trait Doorbell: Send + Sync {
    fn ring(&self);
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    pub name: String,
    pub is_dir: bool,
    /// Size in bytes of a file; 0 for a directory.
    pub len: u64,
}

/// Socket options of a listener and of the connections it accepts.
#[derive(Clone, Copy, Debug, Default)]
pub struct ListenOptions {
    /// SO_SNDBUF in bytes; None leaves the system's choice (Kafka's -1).
    pub send_buffer_bytes: Option<usize>,
    /// SO_RCVBUF in bytes; None leaves the system's choice (Kafka's -1).
    pub receive_buffer_bytes: Option<usize>,
    pub backlog: i32,
}

/// One thread's way to the outside world. See the module for the rules.
pub trait Driver {
    /// Starts an operation. Never blocks and never fails: an error is the operation's completion.
    fn submit(&self, id: OpId, op: Op);

    /// Asks for an early end of an operation in flight; it still completes (as cancelled, or as it would have).
    fn cancel(&self, id: OpId);

    /// Submits what is queued, waits as `park` allows, and appends what has completed to `completions`.
    ///
    /// # Errors
    /// Only when the driver itself is broken; the shard cannot go on.
    fn turn(&self, park: Park, completions: &mut Vec<Completion>) -> io::Result<()>;

    fn now(&self) -> Monotonic;

    /// How long this thread has been ready to run without getting a CPU, since it began. Zero where nobody knows.
    fn cpu_wait(&self) -> Duration {
        Duration::ZERO
    }

    /// Milliseconds since the Unix epoch, as record timestamps want them. May jump.
    fn wall_clock_ms(&self) -> i64;

    /// 64 random bits (from the seed in a simulation).
    fn random(&self) -> u64;

    fn doorbell(&self) -> Arc<dyn Doorbell>;

    /// Opens a listening TCP socket with SO_REUSEADDR. Blocking, at start only. Returns the bound address (port 0).
    ///
    /// # Errors
    /// As bind(2) and listen(2).
    fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<(ListenerId, SocketAddr)>;

    /// Closes a listener; an `Accept` in flight completes with an error.
    fn close_listener(&self, listener: ListenerId);

    /// Lists a directory, sorted by name. Blocking: for start and recovery only.
    ///
    /// # Errors
    /// As readdir(3).
    fn list_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Size of a file in bytes. Blocking, but answered from the inode.
    ///
    /// # Errors
    /// As fstat(2).
    fn file_len(&self, file: FileId) -> io::Result<u64>;

    /// Takes an exclusive advisory lock on the file at `path` (created if missing), held until the process ends.
    /// `Ok(false)`: another process (or another simulated one) holds it.
    ///
    /// # Errors
    /// As open(2).
    fn lock_file(&self, path: &Path) -> io::Result<bool>;

    /// Free and total bytes of the file system that holds `path`. Blocking but quick.
    ///
    /// # Errors
    /// As statvfs(3).
    fn disk_space(&self, path: &Path) -> io::Result<(u64, u64)>;
}
