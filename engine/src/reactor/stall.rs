//! The stall detector: what held the shard's thread for too long, and how often.
//!
//! Owned by one reactor. Time spent in a waiting driver turn does not count; everything else does.

use std::cell::Cell;
use std::time::Duration;

use crate::bounds::{STALL_FAIL, STALL_WARN};

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
}

impl StallDetector {
    /// Judges one task poll, hook or loop turn.
    #[inline]
    pub(super) fn observe(&self, name: &'static str, took: Duration) {
        if took > STALL_WARN {
            self.record(name, took);
        }
    }

    #[cold]
    fn record(&self, name: &'static str, took: Duration) {
        let mut seen = self.seen.get();
        seen.over_warn += 1;
        seen.over_fail += u64::from(took > STALL_FAIL);
        if took > seen.longest {
            seen.longest = took;
            seen.longest_name = name;
        }
        self.seen.set(seen);
        tracing::warn!(name, millis = took.as_millis(), "the shard's thread was held too long");
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
        detector.observe("short", STALL_WARN);
        assert_eq!(detector.seen(), Stalls::default());
        detector.observe("long", STALL_FAIL + Duration::from_millis(1));
        detector.observe("middle", STALL_WARN + Duration::from_millis(1));
        let seen = detector.seen();
        assert_eq!((seen.over_warn, seen.over_fail, seen.longest_name), (2, 1, "long"));
    }
}
