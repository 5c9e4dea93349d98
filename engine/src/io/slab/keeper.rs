//! The thread that has a shard's next slabs backed with memory before they are needed, when its core has nothing else
//! to do.
//!
//! It may not run for seconds, whatever it is in the middle of. So nobody may wait for it: it takes no lock that a shard
//! takes, and slabs change hands by single atomic steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Thread, park};

use nix::libc;

use super::SLAB_BYTES;
use super::arena::Mapping;
use crate::bounds::SLABS_AHEAD;

/// Of a place that holds an address: the shard asks for this one to be touched.
const ASKED: usize = 1;
/// The keeper is at it: nobody else may have it.
const TOUCHED_NOW: usize = 2;

const _: () = assert!(SLAB_BYTES > ASKED | TOUCHED_NOW);

/// The slabs of one shard that are ready, or about to be.
#[derive(Default)]
pub(super) struct Ahead {
    /// Empty (0), or the address of a slab with what is to be done with it.
    places: [AtomicUsize; SLABS_AHEAD],
    closed: AtomicBool,
}

/// A shard's hold on its keeper; the thread ends when this is dropped.
pub(super) struct Keeper {
    ahead: Arc<Ahead>,
    thread: Thread,
}

impl Keeper {
    /// Starts the thread. None if there can be no more threads.
    pub(super) fn start() -> Option<Keeper> {
        let ahead = Arc::<Ahead>::default();
        let theirs = Arc::clone(&ahead);
        let builder = std::thread::Builder::new().name("memory".into());
        let handle = builder.spawn(move || {
            run_when_idle();
            while !theirs.closed.load(Ordering::Acquire) {
                theirs.touch_all();
                park();
            }
        });
        Some(Keeper { ahead, thread: handle.ok()?.thread().clone() })
    }

    /// Asks for slabs until as many as `wanted` are ready or about to be.
    pub(super) fn ask(&self, wanted: usize) {
        if self.ahead.ask(wanted) {
            self.thread.unpark();
        }
    }

    /// A slab with its pages touched, if one is ready.
    pub(super) fn take(&self) -> Option<Mapping> {
        self.ahead.take(0)
    }

    /// Takes back every slab but the one that is being touched.
    pub(super) fn withdraw(&self) -> Vec<Mapping> {
        std::iter::from_fn(|| self.ahead.take(0).or_else(|| self.ahead.take(ASKED))).collect()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ahead.closed.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Ahead {
    /// Whether anything new was asked for.
    fn ask(&self, wanted: usize) -> bool {
        let there = self.places.iter().filter(|place| place.load(Ordering::Relaxed) != 0).count();
        let empty = self.places.iter().filter(|place| place.load(Ordering::Relaxed) == 0);
        let mut asked = false;
        // Only the shard fills places: an empty one stays empty.
        for place in empty.take(wanted.saturating_sub(there)) {
            let Some(mapping) = Mapping::new() else { break };
            place.store(mapping.into_address() | ASKED, Ordering::Release);
            asked = true;
        }
        asked
    }

    /// Takes the slab of a place that has `mark` and no other.
    fn take(&self, mark: usize) -> Option<Mapping> {
        self.places.iter().find_map(|place| {
            let held = place.load(Ordering::Relaxed);
            if held == 0 || held & (ASKED | TOUCHED_NOW) != mark {
                return None;
            }
            place.compare_exchange(held, 0, Ordering::Acquire, Ordering::Relaxed).ok()?;
            // SAFETY: stored by `ask`, and taken out by the exchange just now.
            unsafe { Mapping::from_address(held & !(ASKED | TOUCHED_NOW)) }
        })
    }

    /// The keeper's work.
    fn touch_all(&self) {
        for place in &self.places {
            let held = place.load(Ordering::Relaxed);
            if held & ASKED == 0 {
                continue;
            }
            let address = held & !ASKED;
            let mine =
                place.compare_exchange(held, address | TOUCHED_NOW, Ordering::Acquire, Ordering::Relaxed);
            if mine.is_err() {
                continue;
            }
            // SAFETY: stored by `ask`; the mark keeps everybody else away from it.
            if let Some(mapping) = unsafe { Mapping::from_address(address) } {
                mapping.touch();
                place.store(mapping.into_address(), Ordering::Release);
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Neither the shard nor the keeper is there any more.
        for mark in [0, ASKED] {
            while let Some(mapping) = self.take(mark) {
                drop(mapping);
            }
        }
    }
}

/// Puts the calling thread behind every other one of its core.
fn run_when_idle() {
    let lowest = libc::sched_param { sched_priority: 0 };
    // SAFETY: the parameter is valid; 0 is the calling thread. Lowering one's own priority needs no privilege.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const lowest) };
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn only_what_was_touched_is_handed_out() {
        let ahead = Ahead::default();
        assert!(ahead.ask(SLABS_AHEAD));
        assert!(!ahead.ask(SLABS_AHEAD), "what was asked for counts");
        assert!(ahead.take(0).is_none());
        ahead.touch_all();
        let taken: Vec<_> = std::iter::from_fn(|| ahead.take(0)).collect();
        assert_eq!(taken.len(), SLABS_AHEAD);
        assert!(ahead.ask(1) && !ahead.ask(1));
    }

    #[test]
    fn what_is_being_touched_is_left_alone() {
        let ahead = Ahead::default();
        ahead.ask(1);
        let held = ahead.places[0].fetch_xor(ASKED | TOUCHED_NOW, Ordering::Relaxed);
        assert!(ahead.take(0).is_none() && ahead.take(ASKED).is_none());
        ahead.places[0].store(held, Ordering::Relaxed);
        assert!(ahead.take(ASKED).is_some());
    }

    #[test]
    fn the_thread_does_what_it_is_asked() {
        let keeper = Keeper::start().unwrap();
        keeper.ask(1);
        let deadline = Instant::now() + Duration::from_secs(30);
        while keeper.take().is_none() {
            assert!(Instant::now() < deadline, "no slab within 30 s");
            std::thread::sleep(Duration::from_millis(1));
        }
        keeper.ask(SLABS_AHEAD);
        drop(keeper.withdraw());
    }
}
