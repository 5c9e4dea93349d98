//! Response bytes that are not sent yet: of one connection, and of its shard together.
//!
//! Responses pin the memory of the log's tail and cache, so the shard's sum decides how large the next Fetch response
//! may be.

use std::cell::Cell;
use std::rc::Rc;

/// One connection's share; given back when dropped.
pub struct Unsent {
    shard: Rc<Cell<usize>>,
    bytes: usize,
}

impl Unsent {
    /// `shard`: the sum over the shard's connections.
    pub fn new(shard: &Rc<Cell<usize>>) -> Unsent {
        Unsent { shard: Rc::clone(shard), bytes: 0 }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn add(&mut self, bytes: usize) {
        self.reset_to(self.bytes + bytes);
    }

    pub fn reset_to(&mut self, bytes: usize) {
        self.shard.set(self.shard.get() - self.bytes + bytes);
        self.bytes = bytes;
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.reset_to(0);
    }
}
