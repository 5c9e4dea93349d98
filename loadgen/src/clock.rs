//! One clock for a whole run: monotonic nanoseconds since its start, and their place in Unix time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Copied into every worker, so that times of different threads compare.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    start_unix_ns: i128,
}

impl Clock {
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { start: Instant::now(), start_unix_ns: unix.as_nanos() as i128 }
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    pub fn unix_us(&self, ns: u64) -> i64 {
        ((self.start_unix_ns + i128::from(ns)) / 1000) as i64
    }

    /// The inverse of [`Clock::unix_us`] down to its microsecond; negative before the start.
    pub fn from_unix_us(&self, us: i64) -> i64 {
        (i128::from(us) * 1000 - self.start_unix_ns) as i64
    }

    /// The instant `ns` after the start, for timers.
    pub fn instant(&self, ns: u64) -> Instant {
        self.start + Duration::from_nanos(ns)
    }
}
