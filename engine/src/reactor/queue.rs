//! The run queue, which wakers of any thread push to, and the gate that decides whether a push must ring the doorbell.
//!
//! No push is lost: the owner first announces that it is about to park and then looks at the queue; a pusher first
//! pushes and then looks for the announcement. One of the two sees the other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use async_task::Runnable;

use super::task::TaskName;
use crate::io::Doorbell;

thread_local! {
    static THREAD_MARK: u8 = const { 0 };
}

/// A number that differs between the threads alive at one time.
pub(super) fn thread_mark() -> usize {
    THREAD_MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

/// Wakes one reactor from other threads, and only when it may be parked.
pub(super) struct Gate {
    parked: AtomicBool,
    doorbell: Arc<dyn Doorbell>,
}

impl Gate {
    pub(super) fn new(doorbell: Arc<dyn Doorbell>) -> Gate {
        Gate { parked: AtomicBool::new(false), doorbell }
    }

    /// Called after the message is visible in its queue.
    pub(super) fn knock(&self) {
        fence(Ordering::SeqCst);
        if self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::AcqRel) {
            self.doorbell.ring();
        }
    }

    /// Called by the owner before its last look at the queues.
    pub(super) fn announce_park(&self) {
        self.parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(super) fn awake(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }
}

/// Tasks that are ready to run, oldest first.
pub(super) struct RunQueue {
    ready: Mutex<VecDeque<Runnable<TaskName>>>,
    /// The future of `block_on` was woken.
    root_woken: AtomicBool,
    owner: usize,
    gate: Arc<Gate>,
}

impl RunQueue {
    pub(super) fn new(gate: Arc<Gate>) -> RunQueue {
        RunQueue {
            ready: Mutex::new(VecDeque::with_capacity(64)),
            root_woken: AtomicBool::new(false),
            owner: thread_mark(),
            gate,
        }
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<Runnable<TaskName>>> {
        // A panic while the lock is held is impossible: only pushes and swaps happen under it.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, task: Runnable<TaskName>) {
        self.ready().push_back(task);
        self.knock_if_foreign();
    }

    fn knock_if_foreign(&self) {
        if thread_mark() != self.owner {
            self.gate.knock();
        }
    }

    /// Moves everything that is ready behind what is left in `batch`.
    pub(super) fn take(&self, batch: &mut VecDeque<Runnable<TaskName>>) {
        let mut ready = self.ready();
        if batch.is_empty() {
            std::mem::swap(&mut *ready, batch);
        } else {
            batch.append(&mut ready);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready().is_empty() && !self.root_woken.load(Ordering::Acquire)
    }

    pub(super) fn take_root_woken(&self) -> bool {
        self.root_woken.swap(false, Ordering::AcqRel)
    }
}

/// The waker of the future that `block_on` drives.
pub(super) struct Root(pub(super) Arc<RunQueue>);

impl Wake for Root {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.root_woken.store(true, Ordering::Release);
        self.0.knock_if_foreign();
    }
}
