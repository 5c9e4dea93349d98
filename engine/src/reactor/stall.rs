//! The stall detector: what held the shard's thread for too long, and how often.
//!
//! Owned by one reactor. Time spent in a waiting driver turn does not count, nor does time in which the thread was ready
//! and the kernel ran something else: that is the machine's doing. Everything else counts, waiting for a page or a lock of
//! the kernel too.

use std::cell::Cell;
use std::time::Duration;

use crate::bounds::{CPU_WAIT_EVERY, STALL_FAIL, STALL_WARN};
use crate::io::{Driver, Monotonic};

/// What the detector has seen since the reactor started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stalls {
    /// The longest task poll or loop turn.
    pub longest: Duration,
    /// Which task it was (`turn` for a whole loop turn).
    pub longest_name: &'static str,
    /// Polls and turns over [`STALL_WARN`].
    pub over_warn: u64,
    /// Polls and turns over [`STALL_FAIL`].
    pub over_fail: u64,
}

#[derive(Default)]
pub(super) struct StallDetector {
    seen: Cell<Stalls>,
    /// When it was last asked how long the thread had waited for a CPU, and the answer.
    asked: Cell<(Monotonic, Duration)>,
}

impl StallDetector {
    /// A loop turn begins. Now and then looks how long the thread has waited for a CPU so far.
    #[inline]
    pub(super) fn begin_turn(&self, now: Monotonic, driver: &dyn Driver) {
        if now.since(self.asked.get().0) >= CPU_WAIT_EVERY {
            self.asked.set((now, driver.cpu_wait()));
        }
    }

    /// Judges one task poll, hook or loop turn.
    #[inline]
    pub(super) fn observe(&self, name: &'static str, took: Duration, driver: &dyn Driver) {
        if took > STALL_WARN {
            self.judge(name, took, driver.cpu_wait());
        }
    }

    #[cold]
    fn judge(&self, name: &'static str, took: Duration, cpu_wait: Duration) {
        let waited = cpu_wait.saturating_sub(self.asked.get().1);
        let held = took.saturating_sub(waited);
        if held <= STALL_WARN {
            return;
        }
        let mut seen = self.seen.get();
        seen.over_warn += 1;
        seen.over_fail += u64::from(held > STALL_FAIL);
        if held > seen.longest {
            seen.longest = held;
            seen.longest_name = name;
        }
        self.seen.set(seen);
        let (millis, waited_millis) = (held.as_millis(), waited.as_millis());
        tracing::warn!(name, millis, waited_millis, "the shard's thread was held too long");
    }

    pub(super) fn seen(&self) -> Stalls {
        self.seen.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_polls_count_and_the_longest_is_named() {
        let detector = StallDetector::default();
        detector.judge("short", STALL_WARN, Duration::ZERO);
        assert_eq!(detector.seen(), Stalls::default());
        detector.judge("long", STALL_FAIL + Duration::from_millis(1), Duration::ZERO);
        detector.judge("middle", STALL_WARN + Duration::from_millis(1), Duration::ZERO);
        let seen = detector.seen();
        assert_eq!((seen.over_warn, seen.over_fail, seen.longest_name), (2, 1, "long"));
    }

    #[test]
    fn waiting_for_a_cpu_is_not_held_against_a_task() {
        let detector = StallDetector::default();
        detector.asked.set((Monotonic(0), Duration::from_secs(7)));
        let waited = Duration::from_secs(7) + STALL_FAIL;
        detector.judge("preempted", STALL_FAIL + Duration::from_millis(1), waited);
        assert_eq!(detector.seen(), Stalls::default());
        detector.judge("both", 2 * STALL_FAIL + Duration::from_millis(1), waited);
        assert_eq!(
            (detector.seen().over_fail, detector.seen().longest),
            (1, STALL_FAIL + Duration::from_millis(1))
        );
    }
}
