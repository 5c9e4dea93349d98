//! Memory that a shard's connections hold in requests, and who may take more of it.
//!
//! Two thresholds: above the first, connections stop receiving large requests; above twice that, all do. So somebody
//! who parks half-sent large requests cannot keep small ones out. A connection that holds everything there is always
//! goes on: one request of `socket.request.max.bytes` passes whatever the budget. Owned by one shard; the charge
//! follows what has really been reserved, never what a length field claims.

use std::cell::Cell;
use std::rc::Rc;

use thalweg_engine::reactor::sync::{Notified, Notify};

use crate::bounds::LARGE_REQUEST_BYTES;

/// The account of one shard.
pub struct RequestBudget {
    used_bytes: Cell<usize>,
    limit_bytes: usize,
    freed: Notify,
}

/// What one connection holds; given back when dropped.
pub struct Charge {
    budget: Rc<RequestBudget>,
    bytes: usize,
}

impl RequestBudget {
    pub fn new(limit_bytes: usize) -> Rc<RequestBudget> {
        Rc::new(RequestBudget { used_bytes: Cell::new(0), limit_bytes, freed: Notify::new() })
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
        Charge { budget: Rc::clone(budget), bytes: 0 }
    }

    /// Sets what the connection holds now.
    pub fn set(&mut self, bytes: usize) {
        let used = self.budget.used_bytes.get() - self.bytes + bytes;
        let frees = bytes < self.bytes && self.budget.used_bytes.get() >= self.budget.limit_bytes;
        self.budget.used_bytes.set(used);
        self.bytes = bytes;
        if frees {
            self.budget.freed.notify_all();
        }
    }

    /// Whether the connection may receive more.
    pub fn may_grow(&self) -> bool {
        let used = self.budget.used_bytes.get();
        let limit = if self.bytes > LARGE_REQUEST_BYTES {
            self.budget.limit_bytes
        } else {
            self.budget.limit_bytes.saturating_mul(2)
        };
        used < limit || used == self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parked_large_requests_do_not_keep_small_ones_out() {
        let budget = RequestBudget::new(1 << 20);
        let mut parked = Charge::new(&budget);
        parked.set(1 << 20);
        assert!(parked.may_grow(), "the only holder always goes on");
        let mut small = Charge::new(&budget);
        small.set(100);
        assert!(small.may_grow() && !parked.may_grow());
        small.set(1 << 20);
        assert!(!small.may_grow());
        drop(parked);
        assert!(small.may_grow());
        drop(small);
        assert_eq!(budget.used_bytes(), 0);
    }
}
