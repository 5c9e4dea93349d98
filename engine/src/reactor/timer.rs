//! Timers of one reactor: a future that is ready at a moment of the driver's clock.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::turn::Io;
use crate::io::Monotonic;

/// The time of [`Io::timeout`] was over first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time limit was reached")]
pub struct Elapsed;

/// When a timer fires; timers of the same moment fire in the order they were set.
type TimerKey = (Monotonic, u64);

#[derive(Default)]
pub(super) struct Timers {
    state: RefCell<TimerState>,
}

#[derive(Default)]
struct TimerState {
    waiting: BTreeMap<TimerKey, Waker>,
    set: u64,
}

impl Timers {
    fn set(&self, deadline: Monotonic, waker: Waker) -> TimerKey {
        let mut state = self.state.borrow_mut();
        state.set += 1;
        let key = (deadline, state.set);
        state.waiting.insert(key, waker);
        key
    }

    /// Replaces the waker of a timer; sets it again if it has fired too early for its owner.
    fn renew(&self, key: TimerKey, waker: &Waker) {
        match self.state.borrow_mut().waiting.entry(key) {
            std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().clone_from(waker),
            std::collections::btree_map::Entry::Vacant(gone) => drop(gone.insert(waker.clone())),
        }
    }

    fn clear(&self, key: TimerKey) {
        let waker = self.state.borrow_mut().waiting.remove(&key);
        drop(waker);
    }

    pub(super) fn next(&self) -> Option<Monotonic> {
        self.state.borrow().waiting.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Wakes whatever is due, and returns how many were.
    pub(super) fn fire(&self, now: Monotonic) -> usize {
        let mut fired = 0;
        while let Some(waker) = self.pop_due(now) {
            waker.wake();
            fired += 1;
        }
        fired
    }

    fn pop_due(&self, now: Monotonic) -> Option<Waker> {
        let mut state = self.state.borrow_mut();
        let first = state.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// Ready at its deadline. See [`Io::sleep`].
pub struct Sleep {
    io: Io,
    deadline: Monotonic,
    key: Option<TimerKey>,
}

impl Sleep {
    pub(super) fn new(io: Io, deadline: Monotonic) -> Sleep {
        Sleep { io, deadline, key: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.io.now() >= self.deadline {
            if let Some(key) = self.key.take() {
                self.io.timers().clear(key);
            }
            return Poll::Ready(());
        }
        match self.key {
            Some(key) => self.io.timers().renew(key, cx.waker()),
            None => self.key = Some(self.io.timers().set(self.deadline, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.io.timers().clear(key);
        }
    }
}
