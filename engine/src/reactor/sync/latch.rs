//! Shutting down: a latch that closes once, and a group whose members are waited for.

use std::cell::Cell;
use std::rc::Rc;

use super::notify::Notify;

/// Set once, stays set. Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub struct Latch {
    set: Rc<Cell<bool>>,
    changed: Notify,
}

impl Latch {
    pub fn new() -> Latch {
        Latch::default()
    }

    pub fn set(&self) {
        if !self.set.replace(true) {
            self.changed.notify_all();
        }
    }

    pub fn is_set(&self) -> bool {
        self.set.get()
    }

    /// Ready once it is set, at once if it is.
    pub async fn wait(&self) {
        let changed = self.changed.notified();
        if !self.is_set() {
            changed.await;
        }
    }
}

/// Counts members that have not finished. Cheap to clone; clones are one.
#[derive(Clone, Default)]
pub struct WaitGroup {
    members: Rc<Cell<usize>>,
    left: Notify,
}

/// A member of a [`WaitGroup`], as long as it lives.
pub struct WaitGuard {
    group: WaitGroup,
}

impl WaitGroup {
    pub fn new() -> WaitGroup {
        WaitGroup::default()
    }

    /// Joins; dropping the guard leaves.
    pub fn enter(&self) -> WaitGuard {
        self.members.set(self.members.get() + 1);
        WaitGuard { group: self.clone() }
    }

    /// How many have not left.
    pub fn members(&self) -> usize {
        self.members.get()
    }

    /// Ready when nobody is in the group, at once if nobody is.
    pub async fn wait(&self) {
        while self.members() > 0 {
            self.left.notified().await;
        }
    }
}

impl Drop for WaitGuard {
    fn drop(&mut self) {
        let members = self.group.members.get() - 1;
        self.group.members.set(members);
        if members == 0 {
            self.group.left.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn everyone_passes_a_set_latch() {
        let latch = Latch::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut early = pin!(latch.wait());
        assert!(early.as_mut().poll(&mut cx).is_pending());
        latch.set();
        latch.set();
        assert!(early.poll(&mut cx).is_ready());
        assert!(pin!(latch.wait()).poll(&mut cx).is_ready());
    }

    #[test]
    fn a_group_is_waited_for_until_its_last_member_left() {
        let group = WaitGroup::new();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(group.wait()).poll(&mut cx).is_ready());
        let (one, two) = (group.enter(), group.enter());
        let mut wait = pin!(group.wait());
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        drop(one);
        assert!(wait.as_mut().poll(&mut cx).is_pending());
        drop(two);
        assert!(wait.poll(&mut cx).is_ready());
    }
}
