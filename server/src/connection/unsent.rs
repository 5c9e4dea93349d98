//! Response bytes that are not sent yet: of one connection, and of its shard together.
//!
//! Responses pin the memory of the log's tail and cache. The shard's sum decides how large the next Fetch response may be;
//! at twice the budget the next one waits, because even its first batch may be large. Clients that do not take their
//! replies while the budget is spent lose their connections, so that the others do not wait for long.

use std::cell::Cell;
use std::rc::Rc;

use thalweg_engine::reactor::sync::Notify;

use crate::bounds::{SHARD_UNSENT_BYTES, SHARD_UNSENT_BYTES_MAX};

/// The account of one shard.
#[derive(Default)]
pub struct ReplyMemory {
    unsent_bytes: Cell<usize>,
    reserved_bytes: Cell<usize>,
    freed: Notify,
}

impl ReplyMemory {
    fn used_bytes(&self) -> usize {
        self.unsent_bytes.get() + self.reserved_bytes.get()
    }

    /// What may be used before responses get smaller, bytes.
    pub fn room(&self) -> usize {
        SHARD_UNSENT_BYTES.saturating_sub(self.used_bytes())
    }

    /// Whether clients that do not take their replies stand in the way of others.
    pub fn is_spent(&self) -> bool {
        self.room() == 0
    }

    /// Waits until another response may be built.
    pub async fn available(&self) {
        loop {
            let freed = self.freed.notified();
            if self.used_bytes() < SHARD_UNSENT_BYTES_MAX {
                return;
            }
            freed.await;
        }
    }

    /// Counts a response that is being built.
    pub fn reserve(self: &Rc<Self>, bytes: usize) -> Reservation {
        let mut reservation = Reservation { memory: Rc::clone(self), bytes: 0 };
        reservation.resize(bytes);
        reservation
    }

    fn change(&self, account: &Cell<usize>, from: usize, to: usize) {
        let was_full = self.used_bytes() >= SHARD_UNSENT_BYTES_MAX;
        account.set(account.get() - from + to);
        if was_full && to < from {
            self.freed.notify_all();
        }
    }
}

/// A response that is being built; given back when dropped.
pub struct Reservation {
    memory: Rc<ReplyMemory>,
    bytes: usize,
}

impl Reservation {
    /// What it really is.
    pub fn resize(&mut self, bytes: usize) {
        self.memory.change(&self.memory.reserved_bytes, self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.resize(0);
    }
}

/// One connection's share; given back when dropped.
pub struct Unsent {
    memory: Rc<ReplyMemory>,
    bytes: usize,
}

impl Unsent {
    /// `memory`: the account of the connection's shard.
    pub fn new(memory: &Rc<ReplyMemory>) -> Unsent {
        Unsent { memory: Rc::clone(memory), bytes: 0 }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn add(&mut self, bytes: usize) {
        self.reset_to(self.bytes + bytes);
    }

    /// `bytes` were taken by the client.
    pub fn subtract(&mut self, bytes: usize) {
        self.reset_to(self.bytes.saturating_sub(bytes));
    }

    pub fn reset_to(&mut self, bytes: usize) {
        self.memory.change(&self.memory.unsent_bytes, self.bytes, bytes);
        self.bytes = bytes;
    }

    /// Whether others wait for what this connection does not take.
    pub fn is_in_the_way(&self) -> bool {
        self.bytes > 0 && self.memory.is_spent()
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.reset_to(0);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn responses_shrink_then_wait_until_clients_take_theirs() {
        let memory = Rc::<ReplyMemory>::default();
        let (mut deaf, mut other) = (Unsent::new(&memory), Unsent::new(&memory));
        assert_eq!(memory.room(), SHARD_UNSENT_BYTES);
        deaf.add(SHARD_UNSENT_BYTES);
        assert!(memory.room() == 0 && deaf.is_in_the_way() && !other.is_in_the_way());
        let mut building = memory.reserve(1000);
        building.resize(SHARD_UNSENT_BYTES_MAX - SHARD_UNSENT_BYTES);
        let mut cx = Context::from_waker(Waker::noop());
        let mut available = pin!(memory.available());
        assert_eq!(available.as_mut().poll(&mut cx), Poll::Pending);
        other.add(building.bytes);
        drop(building);
        assert_eq!(available.as_mut().poll(&mut cx), Poll::Pending, "the same bytes under another name");
        deaf.subtract(10);
        assert_eq!(available.as_mut().poll(&mut cx), Poll::Ready(()));
        drop((deaf, other));
        assert_eq!(memory.used_bytes(), 0);
    }
}
