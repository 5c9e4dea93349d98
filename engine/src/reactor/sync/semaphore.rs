//! A bounded budget that tasks draw from, in order.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::waiters::Waiters;

/// A number of permits. Who asks first is served first: a large request is not overtaken by small ones.
/// Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Semaphore {
    state: Rc<RefCell<State>>,
}

struct State {
    capacity: usize,
    available: usize,
    waiting: Waiters<usize>,
}

impl Semaphore {
    pub fn new(permits: usize) -> Semaphore {
        Semaphore {
            state: Rc::new(RefCell::new(State {
                capacity: permits,
                available: permits,
                waiting: Waiters::default(),
            })),
        }
    }

    /// Waits for `permits`, which come back when the [`OwnedPermit`] is dropped.
    ///
    /// # Panics
    /// If there are fewer than `permits` in all: they could never be had.
    pub fn acquire(&self, permits: usize) -> Acquire {
        assert!(permits <= self.state.borrow().capacity, "more permits are asked for than there are");
        Acquire { state: Rc::clone(&self.state), permits, key: None, done: false }
    }

    /// Takes `permits` if they are there and nobody waits.
    pub fn try_acquire(&self, permits: usize) -> Option<OwnedPermit> {
        let taken = self.state.borrow_mut().take(permits);
        taken.then(|| OwnedPermit { state: Rc::clone(&self.state), permits })
    }

    /// Whether anybody waits for permits.
    pub fn is_awaited(&self) -> bool {
        !self.state.borrow().waiting.is_empty()
    }

    /// Permits that nobody holds.
    pub fn available(&self) -> usize {
        self.state.borrow().available
    }
}

impl State {
    fn take(&mut self, permits: usize) -> bool {
        let enough = self.waiting.is_empty() && permits <= self.available;
        if enough {
            self.available -= permits;
        }
        enough
    }

    /// Chooses the first waiter if its wish can be met, and takes its permits out.
    fn serve_first(&mut self) -> Option<Waker> {
        let wanted = self.waiting.first_wants()?;
        if wanted > self.available {
            return None;
        }
        self.available -= wanted;
        self.waiting.choose_first()
    }
}

fn give_back(state: &RefCell<State>, permits: usize) {
    state.borrow_mut().available += permits;
    serve(state);
}

fn serve(state: &RefCell<State>) {
    loop {
        let next = state.borrow_mut().serve_first();
        match next {
            Some(waker) => waker.wake(),
            None => return,
        }
    }
}

/// Permits that are held; dropping it returns them.
pub struct OwnedPermit {
    state: Rc<RefCell<State>>,
    permits: usize,
}

impl OwnedPermit {
    /// How many it holds.
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// Returns all but `kept` permits now.
    pub fn shrink_to(&mut self, kept: usize) {
        let returned = self.permits.saturating_sub(kept);
        self.permits -= returned;
        give_back(&self.state, returned);
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        give_back(&self.state, self.permits);
    }
}

/// See [`Semaphore::acquire`].
pub struct Acquire {
    state: Rc<RefCell<State>>,
    permits: usize,
    key: Option<usize>,
    done: bool,
}

impl Future for Acquire {
    type Output = OwnedPermit;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<OwnedPermit> {
        assert!(!self.done, "polled after it was ready");
        let this = &mut *self;
        let mut state = this.state.borrow_mut();
        let ready = match this.key {
            Some(key) => state.waiting.was_chosen(key, cx.waker()),
            None => state.take(this.permits),
        };
        if !ready {
            if this.key.is_none() {
                this.key = Some(state.waiting.join(this.permits, cx.waker().clone()));
            }
            return Poll::Pending;
        }
        if let Some(key) = this.key.take() {
            state.waiting.leave(key);
        }
        this.done = true;
        Poll::Ready(OwnedPermit { state: Rc::clone(&this.state), permits: this.permits })
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let chosen = self.state.borrow_mut().waiting.leave(key);
        if chosen {
            give_back(&self.state, self.permits);
        } else {
            // Those behind a large wish may be served now.
            serve(&self.state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(acquire: &mut Acquire) -> Option<OwnedPermit> {
        match Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Some(permit),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_large_wish_is_not_overtaken() {
        let semaphore = Semaphore::new(3);
        let held = semaphore.try_acquire(2).unwrap();
        let (mut large, mut small) = (semaphore.acquire(3), semaphore.acquire(1));
        assert!(poll(&mut large).is_none() && poll(&mut small).is_none());
        assert!(semaphore.try_acquire(1).is_none());
        drop(held);
        assert!(poll(&mut small).is_none());
        let permit = poll(&mut large).unwrap();
        assert_eq!((permit.permits(), semaphore.available()), (3, 0));
        drop(permit);
        assert!(poll(&mut small).is_some());
    }

    #[test]
    fn dropped_futures_give_their_place_and_their_permits_back() {
        let semaphore = Semaphore::new(2);
        let held = semaphore.try_acquire(1).unwrap();
        let (mut large, mut small) = (semaphore.acquire(2), semaphore.acquire(1));
        assert!(poll(&mut large).is_none() && poll(&mut small).is_none());
        drop(large);
        let got = poll(&mut small).unwrap();
        let mut chosen = semaphore.acquire(1);
        assert!(poll(&mut chosen).is_none());
        drop(got);
        drop(chosen);
        drop(held);
        assert_eq!(semaphore.available(), 2);
    }

    #[test]
    fn part_of_a_permit_can_be_returned() {
        let semaphore = Semaphore::new(4);
        let mut permit = semaphore.try_acquire(4).unwrap();
        permit.shrink_to(1);
        assert_eq!(semaphore.available(), 3);
        drop(permit);
        assert_eq!(semaphore.available(), 4);
    }
}
