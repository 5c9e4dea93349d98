//! What a simulated world is like: its seed, its disk, its delays, its limits.

use std::time::Duration;

use super::prng::Prng;

/// A range of durations to draw from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay {
    pub shortest: Duration,
    pub longest: Duration,
}

impl Delay {
    /// Durations between these two, in microseconds.
    pub const fn micros(shortest: u64, longest: u64) -> Delay {
        Delay { shortest: Duration::from_micros(shortest), longest: Duration::from_micros(longest) }
    }

    pub(super) fn draw(self, prng: &mut Prng) -> Duration {
        Duration::from_nanos(prng.between(self.shortest.as_nanos() as u64, self.longest.as_nanos() as u64))
    }
}

/// What to do when the code under test breaks the rules of the seam.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnViolation {
    /// Panic at the call, so that the backtrace shows who it was.
    Panic,
    /// Remember it for `SimWorld::violations`.
    Record,
}

/// A rule of the seam that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimViolation {
    /// Two writes in flight touch one page: the older image may win.
    OverlappingWrites { path: String, offset: u64, len: u64 },
    /// An operation on a file, socket or listener that was closed or never opened.
    UseAfterClose { op: String },
    /// Two receives, or two sends, in flight on one socket: their bytes have no order.
    ConcurrentStreamOps { op: String },
    /// Direct I/O whose offset, length or memory is not whole pages. It also fails with EINVAL.
    Unaligned { path: String, offset: u64, len: u64 },
}

/// The settings of a world. Everything random in it comes from `seed`.
#[derive(Clone, Debug)]
pub struct SimOptions {
    pub seed: u64,
    /// Size of the disk in bytes; ENOSPC past it.
    pub disk_bytes: u64,
    /// Most files and sockets open at a time in one process; EMFILE past it.
    pub open_files_max: usize,
    /// Wall clock at virtual time zero, milliseconds since the Unix epoch.
    pub epoch_ms: i64,
    pub read_delay: Delay,
    pub write_delay: Delay,
    pub sync_delay: Delay,
    /// Opening, allocating, renaming and so on.
    pub metadata_delay: Delay,
    /// One way between a client and the server, and from readiness to a socket operation's completion.
    pub network_delay: Delay,
    /// Probability that an operation takes `slow_factor` times as long as drawn.
    pub slow: f64,
    pub slow_factor: u32,
    /// Probability that a file read or write transfers fewer bytes than it could.
    pub short_file_io: f64,
    /// Probability that a send or receive transfers fewer bytes than it could.
    pub short_socket_io: f64,
    /// Probability that a socket operation resets its connection instead.
    pub connection_drop: f64,
    /// Probability that part of a write in flight reaches the file well before the rest.
    pub early_landing: f64,
    /// A power loss may leave a mixture of old and new bytes inside one 512-byte sector.
    pub tear_within_sectors: bool,
    /// Canary: syncs and durable writes are acknowledged but not done. A crash test must fail with it.
    pub lie_about_sync: bool,
    /// Keep a readable log of events (the trace hash is always kept).
    pub keep_trace: bool,
    pub on_violation: OnViolation,
}

impl SimOptions {
    /// An ordinary machine: a fast local disk with room, a quick network, rare slow operations and short transfers.
    pub fn new(seed: u64) -> SimOptions {
        SimOptions {
            seed,
            disk_bytes: 1 << 40,
            open_files_max: 65_536,
            epoch_ms: 1_700_000_000_000,
            read_delay: Delay::micros(20, 300),
            write_delay: Delay::micros(20, 500),
            sync_delay: Delay::micros(100, 3_000),
            metadata_delay: Delay::micros(10, 500),
            network_delay: Delay::micros(10, 200),
            slow: 0.01,
            slow_factor: 30,
            short_file_io: 0.01,
            short_socket_io: 0.2,
            connection_drop: 0.0,
            early_landing: 0.3,
            tear_within_sectors: false,
            lie_about_sync: false,
            keep_trace: false,
            on_violation: OnViolation::Panic,
        }
    }

    /// A machine whose character is drawn from the seed as well: calm or slow, whole or short transfers, orderly or
    /// not. For runs over many seeds, so that they differ in more than their dice. It injects no errors.
    pub fn varied(seed: u64) -> SimOptions {
        let mut prng = Prng::new(!seed);
        let slowest = prng.pick(&[100, 500, 5_000, 50_000]);
        SimOptions {
            write_delay: Delay::micros(1, prng.pick(&[50, 500, slowest])),
            sync_delay: Delay::micros(1, prng.pick(&[100, 3_000, slowest])),
            read_delay: Delay::micros(1, prng.pick(&[100, 1_000])),
            network_delay: Delay::micros(1, prng.pick(&[20, 200, 20_000])),
            slow: prng.pick(&[0.0, 0.01, 0.1]),
            short_file_io: prng.pick(&[0.0, 0.01, 0.3]),
            short_socket_io: prng.pick(&[0.0, 0.2, 0.7]),
            early_landing: prng.pick(&[0.0, 0.3, 1.0]),
            ..SimOptions::new(seed)
        }
    }
}
