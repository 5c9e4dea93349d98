//! Telling waiting tasks that something has changed.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::waiters::Waiters;

/// Wakes one or all of those who wait for a change. Cheap to clone; clones are one.
///
/// Make the [`Notified`] first, then look at the condition, then await: a `notify_all` after the making is seen. A
/// `notify_one` that finds nobody waiting is kept (once) for the next who waits.
#[derive(Clone, Default)]
pub struct Notify {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    /// Counts `notify_all`.
    generation: u64,
    kept: bool,
    waiting: Waiters<()>,
}

impl Notify {
    pub fn new() -> Notify {
        Notify::default()
    }

    /// Ready at the first notification after this call.
    pub fn notified(&self) -> Notified {
        let generation = self.state.borrow().generation;
        Notified { state: Rc::clone(&self.state), generation, key: None, done: false }
    }

    /// Wakes the one who has waited longest; with nobody waiting, the next one passes.
    pub fn notify_one(&self) {
        State::notify_one(&self.state);
    }

    /// Wakes everybody who waits now.
    pub fn notify_all(&self) {
        self.state.borrow_mut().generation += 1;
        while let Some(waker) = choose(&self.state) {
            waker.wake();
        }
    }
}

fn choose(state: &RefCell<State>) -> Option<Waker> {
    state.borrow_mut().waiting.choose_first()
}

impl State {
    fn notify_one(state: &RefCell<State>) {
        match choose(state) {
            Some(waker) => waker.wake(),
            None => state.borrow_mut().kept = true,
        }
    }
}

/// See [`Notify::notified`].
pub struct Notified {
    state: Rc<RefCell<State>>,
    generation: u64,
    key: Option<usize>,
    done: bool,
}

impl Future for Notified {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.done {
            return Poll::Ready(());
        }
        let this = &mut *self;
        let mut state = this.state.borrow_mut();
        let ready = match this.key {
            Some(key) => state.waiting.was_chosen(key, cx.waker()),
            None => state.generation != this.generation || std::mem::take(&mut state.kept),
        };
        if !ready {
            if this.key.is_none() {
                this.key = Some(state.waiting.join((), cx.waker().clone()));
            }
            return Poll::Pending;
        }
        if let Some(key) = this.key.take() {
            state.waiting.leave(key);
        }
        this.done = true;
        Poll::Ready(())
    }
}

impl Drop for Notified {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let (chosen, by_all) = {
            let mut state = self.state.borrow_mut();
            (state.waiting.leave(key), state.generation != self.generation)
        };
        if chosen && !by_all {
            State::notify_one(&self.state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(future: &mut (impl Future + Unpin)) -> bool {
        Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_notification_between_making_and_waiting_is_not_lost() {
        let notify = Notify::new();
        let mut early = notify.notified();
        notify.notify_all();
        let mut late = notify.notified();
        assert!(poll(&mut early));
        assert!(!poll(&mut late));
    }

    #[test]
    fn one_is_woken_in_order_and_one_is_kept_when_nobody_waits() {
        let notify = Notify::new();
        let (mut first, mut second) = (notify.notified(), notify.notified());
        assert!(!poll(&mut first) && !poll(&mut second));
        notify.notify_one();
        assert!(!poll(&mut second) && poll(&mut first));
        notify.notify_one();
        notify.notify_one();
        assert!(poll(&mut second) && poll(&mut notify.notified()) && !poll(&mut notify.notified()));
    }

    #[test]
    fn a_dropped_future_passes_its_notification_on() {
        let notify = Notify::new();
        let (mut first, mut second) = (notify.notified(), notify.notified());
        assert!(!poll(&mut first) && !poll(&mut second));
        notify.notify_one();
        drop(first);
        assert!(poll(&mut second));
        let mut third = notify.notified();
        assert!(!poll(&mut third));
        drop(third);
        assert!(notify.state.borrow().waiting.is_empty());
    }
}
