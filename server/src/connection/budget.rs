//! Memory that a shard's connections hold in requests, and who may take more of it.
//!
//! Two thresholds: above the first, connections stop receiving large requests; above twice that, all do. So somebody
//! who parks half-sent large requests cannot keep small ones out. A connection that holds everything there is always
//! goes on: one request of `socket.request.max.bytes` passes whatever the budget. Owned by one shard; the charge
//! follows what has really been reserved, never what a length field claims.
//!
//! Half-sent large requests may fill the budget so that none of them can go on. The account knows since when each has
//! made no progress; the largest of those that stalled gives way first, and the others go on with what it frees.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use slab::Slab;
use thalweg_engine::io::Monotonic;
use thalweg_engine::reactor::sync::{Notified, Notify};

use crate::bounds::{LARGE_REQUEST_BYTES, STALLED_REQUEST_MAX};

/// The account of one shard.
pub struct RequestBudget {
    used_bytes: Cell<usize>,
    limit_bytes: usize,
    freed: Notify,
    holders: RefCell<Slab<Hold>>,
}

/// What one connection holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hold {
    pub bytes: usize,
    /// In the middle of receiving a large request: when its last bytes came.
    pub receiving_since: Option<Monotonic>,
}

/// One connection's entry in the account; what it holds is given back when dropped.
pub struct Charge {
    budget: Rc<RequestBudget>,
    key: usize,
    bytes: usize,
}

impl RequestBudget {
    pub fn new(limit_bytes: usize) -> Rc<RequestBudget> {
        Rc::new(RequestBudget {
            used_bytes: Cell::new(0),
            limit_bytes,
            freed: Notify::new(),
            holders: RefCell::default(),
        })
    }

    /// Bytes held by all connections of the shard.
    #[cfg(test)]
    fn used_bytes(&self) -> usize {
        self.used_bytes.get()
    }

    /// Whether large requests have to wait.
    pub fn is_spent(&self) -> bool {
        self.used_bytes.get() >= self.limit_bytes
    }

    /// Resolves when somebody gave back memory after this call. Look again then.
    pub fn freed(&self) -> Notified {
        self.freed.notified()
    }
}

impl Charge {
    pub fn new(budget: &Rc<RequestBudget>) -> Charge {
        let key = budget.holders.borrow_mut().insert(Hold::default());
        Charge { budget: Rc::clone(budget), key, bytes: 0 }
    }

    /// Sets what the connection holds now.
    pub fn set(&mut self, hold: Hold) {
        if let Some(holder) = self.budget.holders.borrow_mut().get_mut(self.key) {
            *holder = hold;
        }
        self.set_bytes(hold.bytes);
    }

    fn set_bytes(&mut self, bytes: usize) {
        let used = self.budget.used_bytes.get() - self.bytes + bytes;
        let frees = bytes < self.bytes && self.budget.used_bytes.get() >= self.budget.limit_bytes;
        self.budget.used_bytes.set(used);
        self.bytes = bytes;
        if frees {
            self.budget.freed.notify_all();
        }
    }

    /// Bytes that the connection may take on top of what it holds; 0 when it must wait.
    pub fn room(&self) -> usize {
        let (used, limit) = (self.budget.used_bytes.get(), self.budget.limit_bytes);
        if used == self.bytes {
            return usize::MAX;
        }
        let until_large = LARGE_REQUEST_BYTES.saturating_sub(self.bytes);
        let small = limit.saturating_mul(2).saturating_sub(used).min(until_large);
        limit.saturating_sub(used).max(small)
    }

    /// Whether the connection must give way: large requests wait for memory, its own has made no progress for
    /// [`STALLED_REQUEST_MAX`], and no larger one has been still for so long.
    pub fn must_give_way(&self, now: Monotonic) -> bool {
        let holders = self.budget.holders.borrow();
        let is_stalled =
            |hold: &Hold| hold.receiving_since.is_some_and(|since| now.since(since) >= STALLED_REQUEST_MAX);
        self.budget.is_spent()
            && holders.get(self.key).is_some_and(is_stalled)
            && !holders.iter().any(|(_, hold)| is_stalled(hold) && hold.bytes > self.bytes)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set_bytes(0);
        self.budget.holders.borrow_mut().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(bytes: usize) -> Hold {
        Hold { bytes, receiving_since: None }
    }

    #[test]
    fn parked_large_requests_do_not_keep_small_ones_out() {
        let budget = RequestBudget::new(1 << 20);
        let mut parked = Charge::new(&budget);
        parked.set(hold(1 << 20));
        assert_eq!(parked.room(), usize::MAX, "the only holder always goes on");
        let mut small = Charge::new(&budget);
        small.set(hold(100));
        assert_eq!((small.room(), parked.room()), (LARGE_REQUEST_BYTES - 100, 0));
        small.set(hold(1 << 20));
        assert_eq!(small.room(), 0);
        drop(parked);
        assert!(small.room() > 0);
        drop(small);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_large_request_grows_by_no_more_than_is_left() {
        let budget = RequestBudget::new(1 << 20);
        let (mut one, mut other) = (Charge::new(&budget), Charge::new(&budget));
        one.set(hold(700 << 10));
        other.set(hold(200 << 10));
        assert_eq!((one.room(), other.room()), (124 << 10, 124 << 10));
    }

    #[test]
    fn of_several_that_stalled_the_largest_gives_way_first() {
        let budget = RequestBudget::new(1 << 20);
        let receiving = |bytes, since| Hold { bytes, receiving_since: Some(Monotonic(since)) };
        let (mut large, mut larger) = (Charge::new(&budget), Charge::new(&budget));
        let (mut running, mut moving) = (Charge::new(&budget), Charge::new(&budget));
        large.set(receiving(300 << 10, 5));
        larger.set(receiving(400 << 10, 6));
        let now = Monotonic(10).after(STALLED_REQUEST_MAX);
        assert!(!larger.must_give_way(now), "there is memory");
        running.set(hold(1 << 20));
        moving.set(receiving(2 << 20, 11));
        let must = |charge: &Charge| charge.must_give_way(now);
        assert_eq!([&large, &larger, &running, &moving].map(must), [false, true, false, false]);
        drop(larger);
        assert!(must(&large));
        drop((running, moving));
        assert!(!must(&large));
    }
}
