//! The one I/O seam: everything the engine and the server do to the outside world goes through [`Driver`].
//!
//! `UringDriver` is the real one; `SimDriver` is deterministic, with virtual time and a disk that forgets what was
//! not synced. Code above this module reaches clock, random numbers, files and sockets only through the seam, so
//! that one u64 seed replays a whole run.

mod buf;
mod driver;
mod probe;
pub mod sim;
mod slab;
mod stream;
mod uring;

pub use buf::{AlignedBuf, PAGE_BYTES, SharedRegion, release_recycled};
pub use driver::{
    Buffer, Completion, DirEntry, Doorbell, Driver, FileId, ListenOptions, ListenerId, Monotonic, Op, OpId,
    OpenMode, Outcome, Park, SocketId,
};
pub use probe::{Capabilities, Probe, StartError};
pub use uring::UringDriver;
