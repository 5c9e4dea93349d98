//! Waiting for each other within one shard: nothing here may leave its thread, and nothing here blocks it.
//!
//! Dropping any of the futures at any moment is safe: a place in a queue is given up, and what was already handed to
//! a dropped future goes to the next one.

mod latch;
mod notify;
mod oneshot;
mod semaphore;
mod waiters;

pub use latch::{Latch, WaitGroup, WaitGuard};
pub use notify::{Notified, Notify};
pub use oneshot::{OneshotReceiver, OneshotSender, SenderGone, oneshot};
pub use semaphore::{Acquire, OwnedPermit, Semaphore};
