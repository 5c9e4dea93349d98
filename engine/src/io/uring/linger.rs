//! How long an idle ring looks for completions before its thread goes to sleep.
//!
//! A thread that sleeps takes tens of microseconds to come back, most of all under a hypervisor, where an idle core is given
//! up and has to be asked for again: as long as the write that it waits for. So a ring that is about to wait first looks
//! for a while, but only as long as that has been worth it: the window grows when a sleep turns out to have been short,
//! and shrinks when it was long, as the guest's own halt polling does (Linux, Documentation/virt/guest-halt-polling.rst).
//! A shard with little to do sleeps.

use std::time::Duration;

use crate::io::Monotonic;

/// Where a window starts.
const WINDOW_MIN: Duration = Duration::from_micros(20);

/// A gap between two looks by which it shows that others want the core.
const PREEMPTED: Duration = Duration::from_micros(50);

/// Looks between two of the clock.
const LOOKS: usize = 16;

pub(super) struct Linger {
    window: Duration,
    window_max: Duration,
}

impl Linger {
    /// `window_max`: zero never lingers.
    pub(super) fn new(window_max: Duration) -> Linger {
        Linger { window: Duration::ZERO, window_max }
    }

    pub(super) fn is_worth_it(&self) -> bool {
        !self.window.is_zero()
    }

    /// Looks until `has_work`, or until the window or `deadline` has passed. Returns whether there is work.
    pub(super) fn look(
        &mut self,
        deadline: Option<Monotonic>,
        now: impl Fn() -> Monotonic,
        mut has_work: impl FnMut() -> bool,
    ) -> bool {
        let begun = now();
        let until = begun.after(self.window);
        let until = deadline.map_or(until, |deadline| deadline.min(until));
        let mut seen = begun;
        while seen < until {
            for _ in 0..LOOKS {
                if has_work() {
                    return true;
                }
                std::hint::spin_loop();
            }
            let before = std::mem::replace(&mut seen, now());
            if seen.since(before) >= PREEMPTED {
                self.window = Duration::ZERO;
                break;
            }
        }
        has_work()
    }

    /// It took so long from the beginning of the wait until there was work, with or without a look before it.
    pub(super) fn waited(&mut self, idle: Duration) {
        self.window = if idle > self.window_max {
            Some(self.window / 2).filter(|window| *window >= WINDOW_MIN).unwrap_or_default()
        } else if idle > self.window {
            (self.window * 2).max(WINDOW_MIN).min(self.window_max)
        } else {
            self.window
        };
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const MAX: Duration = Duration::from_micros(100);

    /// A clock that goes on by `step` nanoseconds with each look at it.
    fn clock(step: u64) -> impl Fn() -> Monotonic {
        let time = Cell::new(0);
        move || {
            time.set(time.get() + step);
            Monotonic(time.get())
        }
    }

    #[test]
    fn short_sleeps_open_the_window_and_long_ones_close_it() {
        let mut linger = Linger::new(MAX);
        assert!(!linger.is_worth_it());
        (0..4).for_each(|_| linger.waited(Duration::from_micros(90)));
        assert_eq!(linger.window, MAX);
        linger.waited(Duration::from_micros(60));
        assert_eq!(linger.window, MAX, "what the window covers changes nothing");
        (0..4).for_each(|_| linger.waited(Duration::from_millis(1)));
        assert!(!linger.is_worth_it());
        let mut off = Linger::new(Duration::ZERO);
        off.waited(Duration::from_nanos(1));
        assert!(!off.is_worth_it());
    }

    #[test]
    fn it_looks_until_there_is_work_the_window_or_the_deadline() {
        let mut linger = Linger { window: MAX, window_max: MAX };
        let mut looks = 0;
        assert!(linger.look(None, clock(1_000), || {
            looks += 1;
            looks == 40
        }));
        let counted = |linger: &mut Linger, deadline| {
            let mut looks = 0;
            assert!(!linger.look(deadline, clock(1_000), || {
                looks += 1;
                false
            }));
            looks / LOOKS
        };
        assert_eq!(counted(&mut linger, None), 100);
        assert_eq!(counted(&mut linger, Some(Monotonic(11_000))), 10);
    }

    #[test]
    fn a_core_that_others_want_is_given_up() {
        let mut linger = Linger { window: MAX, window_max: MAX };
        assert!(!linger.look(None, clock(60_000), || false));
        assert!(!linger.is_worth_it());
    }
}
