//! Timers of one reactor: a future that is ready at a moment of the driver's clock.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
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
    waiting: BTreeMap<TimerKey, Rc<Alarm>>,
    set: u64,
}

/// What a timer and its owner share, so that a look at it costs no look at the clock.
struct Alarm {
    fired: Cell<bool>,
    waker: RefCell<Waker>,
}

impl Alarm {
    fn ring(&self) {
        self.fired.set(true);
        let waker = std::mem::replace(&mut *self.waker.borrow_mut(), Waker::noop().clone());
        waker.wake();
    }

    fn renew(&self, waker: &Waker) {
        self.waker.borrow_mut().clone_from(waker);
    }
}

impl Timers {
    fn set(&self, deadline: Monotonic, waker: Waker) -> (TimerKey, Rc<Alarm>) {
        let alarm = Rc::new(Alarm { fired: Cell::new(false), waker: RefCell::new(waker) });
        let mut state = self.state.borrow_mut();
        state.set += 1;
        let key = (deadline, state.set);
        state.waiting.insert(key, Rc::clone(&alarm));
        (key, alarm)
    }

    fn clear(&self, key: TimerKey) {
        let alarm = self.state.borrow_mut().waiting.remove(&key);
        drop(alarm);
    }

    pub(super) fn next(&self) -> Option<Monotonic> {
        self.state.borrow().waiting.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Wakes whatever is due, and returns how many were.
    pub(super) fn fire(&self, now: Monotonic) -> usize {
        let mut fired = 0;
        while let Some(alarm) = self.pop_due(now) {
            alarm.ring();
            fired += 1;
        }
        fired
    }

    fn pop_due(&self, now: Monotonic) -> Option<Rc<Alarm>> {
        let mut state = self.state.borrow_mut();
        let first = state.waiting.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// Ready at its deadline. See [`Io::sleep`].
pub struct Sleep {
    io: Io,
    deadline: Monotonic,
    /// Set at the first poll that is too early.
    timer: Option<(TimerKey, Rc<Alarm>)>,
}

impl Sleep {
    pub(super) fn new(io: Io, deadline: Monotonic) -> Sleep {
        Sleep { io, deadline, timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &self.timer {
            Some((_, alarm)) if alarm.fired.get() => return Poll::Ready(()),
            Some((_, alarm)) => alarm.renew(cx.waker()),
            None if self.io.now() >= self.deadline => return Poll::Ready(()),
            None => self.timer = Some(self.io.timers().set(self.deadline, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((key, _)) = self.timer {
            self.io.timers().clear(key);
        }
    }
}
