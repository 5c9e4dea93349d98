//! Virtual time and the queue of what is due.
//!
//! Monotonic time moves only when the world takes the next event or deadline; the wall clock is a base plus
//! virtual time plus scripted steps, so it may jump while monotonic time never goes back.

use std::collections::BTreeMap;
use std::time::Duration;

use super::prng::Prng;
use crate::io::Monotonic;

/// What happens when its time has come. Operations and connections are named by their keys in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Part of a write in flight reaches the file.
    Land(u64),
    /// The operation takes its effect and completes.
    Complete(u64),
    /// Something may have changed for this connection or listener: look at its waiting operations.
    Socket(i32),
}

#[derive(Debug)]
pub(super) struct Clock {
    now: u64,
    epoch_ms: i64,
    step_ms: i64,
    /// Ordered by time; equal times by a random number, so that no order between them can be relied on.
    queue: BTreeMap<(u64, u64, u64), Event>,
    next: u64,
}

impl Clock {
    pub(super) fn new(now: Monotonic, epoch_ms: i64) -> Clock {
        Clock { now: now.0, epoch_ms, step_ms: 0, queue: BTreeMap::new(), next: 0 }
    }

    pub(super) fn now(&self) -> Monotonic {
        Monotonic(self.now)
    }

    pub(super) fn wall_ms(&self) -> i64 {
        self.epoch_ms + (self.now / 1_000_000) as i64 + self.step_ms
    }

    /// Moves the wall clock, forwards or back, without touching monotonic time.
    pub(super) fn step_wall(&mut self, delta_ms: i64) {
        self.step_ms += delta_ms;
    }

    pub(super) fn schedule(&mut self, delay: Duration, event: Event, prng: &mut Prng) {
        let at = self.now().after(delay).0;
        self.queue.insert((at, prng.bits(), self.next), event);
        self.next += 1;
    }

    /// When the next event is due.
    pub(super) fn next_due(&self) -> Option<Monotonic> {
        self.queue.keys().next().map(|key| Monotonic(key.0))
    }

    /// The next event that is due by now.
    pub(super) fn take_due(&mut self) -> Option<Event> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= self.now).then(|| entry.remove())
    }

    /// Moves monotonic time forward to `to`; never back.
    pub(super) fn advance(&mut self, to: Monotonic) {
        self.now = self.now.max(to.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_time_order_and_the_wall_clock_steps_alone() {
        let (mut clock, mut prng) = (Clock::new(Monotonic(5), 1_000), Prng::new(1));
        clock.schedule(Duration::from_millis(2), Event::Complete(2), &mut prng);
        clock.schedule(Duration::from_millis(1), Event::Complete(1), &mut prng);
        assert_eq!(clock.take_due(), None);
        let due = clock.next_due().unwrap();
        assert_eq!(due, Monotonic(1_000_005));
        clock.advance(due);
        assert_eq!(clock.take_due(), Some(Event::Complete(1)));
        assert_eq!(clock.take_due(), None);
        clock.advance(Monotonic(0));
        clock.step_wall(-500);
        assert_eq!((clock.now(), clock.wall_ms()), (due, 501));
    }
}
