//! When records are due, and waiting for that moment.
//!
//! A schedule is fixed before the run and never bends to what the broker does: that is what makes the loop open. The
//! wait is a timerfd (high-resolution kernel timer) that the ring reads; it ends a little early, then
//! a spin that yields to the other connections of the worker.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio_uring::fs::File;

use crate::clock::Clock;

/// How long before the due time a wait turns from sleeping to spinning.
const SPIN_NS: u64 = 40_000;

/// Due time of each record of one producer.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    start_ns: u64,
    interval_ns: f64,
}

impl Schedule {
    /// `share`: position of this producer among `of` producers, which start evenly spread over one interval.
    pub fn new(start_ns: u64, records_per_second: f64, share: usize, of: usize) -> Self {
        let interval_ns = 1e9 / records_per_second;
        let offset = interval_ns * share as f64 / of as f64;
        Self { start_ns: start_ns + offset as u64, interval_ns }
    }

    pub fn at(&self, record: u64) -> u64 {
        self.start_ns + (record as f64 * self.interval_ns) as u64
    }

    pub fn interval_ns(&self) -> f64 {
        self.interval_ns
    }

    /// Number of records due at or before `now`.
    pub fn due(&self, now: u64) -> u64 {
        let Some(elapsed) = now.checked_sub(self.start_ns) else { return 0 };
        let mut n = (elapsed as f64 / self.interval_ns) as u64;
        while self.at(n) <= now {
            n += 1;
        }
        while n > 0 && self.at(n - 1) > now {
            n -= 1;
        }
        n
    }
}

/// Sleeps to a point in time within some microseconds. One per producer.
#[derive(Debug)]
pub struct Alarm {
    clock: Clock,
    timer: TimerFd,
    /// The same timer, as the ring reads it.
    expiry: File,
    /// Lent to each read.
    count: Vec<u8>,
    /// Nanoseconds the worker spent spinning, which its CPU figure leaves out.
    spun_ns: Rc<Cell<u64>>,
}

impl Alarm {
    pub fn new(clock: Clock, spun_ns: Rc<Cell<u64>>) -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
        let expiry = File::from_std(timer.as_fd().try_clone_to_owned()?.into());
        Ok(Self { clock, timer, expiry, count: vec![0; 8], spun_ns })
    }

    pub async fn until(&mut self, due_ns: u64) -> io::Result<()> {
        let ahead = due_ns.saturating_sub(self.clock.now());
        if ahead > SPIN_NS {
            self.sleep(ahead - SPIN_NS).await?;
        }
        loop {
            let before = self.clock.now();
            if before >= due_ns {
                return Ok(());
            }
            tokio::task::yield_now().await;
            self.spun_ns.set(self.spun_ns.get() + (self.clock.now() - before));
        }
    }

    async fn sleep(&mut self, ns: u64) -> io::Result<()> {
        let wait = Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(ns)));
        self.timer.set(wait, TimerSetTimeFlags::empty())?;
        let (result, count) = self.expiry.read_at(std::mem::take(&mut self.count), 0).await;
        self.count = count;
        result.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_counts_the_records_whose_time_has_come() {
        let s = Schedule::new(1000, 1e6, 0, 1);
        assert_eq!(s.due(999), 0);
        assert_eq!(s.due(1000), 1);
        assert_eq!(s.due(1999), 1);
        assert_eq!(s.due(2000), 2);
        let odd = Schedule::new(0, 333_333.0, 1, 3);
        for n in 1..5000 {
            assert_eq!(odd.due(odd.at(n)), n + 1);
            assert_eq!(odd.due(odd.at(n) - 1), n);
        }
    }
}
