//! A first-in first-out list of waiting futures, from which any can leave in constant time.

use std::task::Waker;

use slab::Slab;

/// One waiting future, and what it waits for.
struct Waiter<T> {
    wants: T,
    /// None once it was chosen; it then is in no list, and its entry stays until its future looks.
    waker: Option<Waker>,
    previous: Option<usize>,
    next: Option<usize>,
}

pub(super) struct Waiters<T> {
    entries: Slab<Waiter<T>>,
    first: Option<usize>,
    last: Option<usize>,
}

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Waiters { entries: Slab::new(), first: None, last: None }
    }
}

impl<T: Copy> Waiters<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Takes a place at the end.
    pub(super) fn join(&mut self, wants: T, waker: Waker) -> usize {
        let waiter = Waiter { wants, waker: Some(waker), previous: self.last, next: None };
        let key = self.entries.insert(waiter);
        match self.last.replace(key) {
            Some(last) => self.entries[last].next = Some(key),
            None => self.first = Some(key),
        }
        key
    }

    /// What the first one waits for.
    pub(super) fn first_wants(&self) -> Option<T> {
        self.first.map(|key| self.entries[key].wants)
    }

    /// Takes the first one out of the list, and returns its waker.
    pub(super) fn choose_first(&mut self) -> Option<Waker> {
        let key = self.first?;
        self.unlink(key);
        self.entries[key].waker.take()
    }

    /// Whether this one was chosen; if not, `waker` is the one to wake.
    pub(super) fn was_chosen(&mut self, key: usize, waker: &Waker) -> bool {
        match &mut self.entries[key].waker {
            Some(known) => {
                known.clone_from(waker);
                false
            }
            None => true,
        }
    }

    /// Forgets a future. Returns whether it had been chosen.
    pub(super) fn leave(&mut self, key: usize) -> bool {
        if self.entries[key].waker.is_some() {
            self.unlink(key);
        }
        self.entries.remove(key).waker.is_none()
    }

    fn unlink(&mut self, key: usize) {
        let Waiter { previous, next, .. } = self.entries[key];
        match previous {
            Some(previous) => self.entries[previous].next = next,
            None => self.first = next,
        }
        match next {
            Some(next) => self.entries[next].previous = previous,
            None => self.last = previous,
        }
    }
}
