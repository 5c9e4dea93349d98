//! Memory of a shard's buffers: slabs of 2 MiB, each cut into regions of one size while any of them is in use.
//!
//! Fresh memory is the dearest thing on the way of a request: the kernel zeroes it page by page, and under a hypervisor
//! the first touch of a page may wait for the host. So what was used once is used again, whatever its size was, and a
//! busy shard's next slabs are mapped and touched before they are needed, by a thread that runs only when its core has
//! nothing else to do. A slab's memory goes back to the kernel when its shard rests.
//!
//! Regions return to the pool they came from, from whatever thread drops them last.

mod arena;
mod keeper;

use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arena::Mapping;
use keeper::Keeper;

use super::PAGE_BYTES;
use crate::bounds::{SLABS_AHEAD, SLABS_KEPT_MAX};

/// Bytes of a slab, and its alignment: one huge page of x86-64 and aarch64.
pub(super) const SLAB_BYTES: usize = 2 << 20;
/// Largest region that is cut from a slab.
pub(super) const REGION_BYTES_MAX: usize = SLAB_BYTES;
/// Region sizes: powers of two from a page up.
const CLASSES: usize = REGION_BYTES_MAX.ilog2() as usize - PAGE_BYTES.ilog2() as usize + 1;

/// The slabs of one shard's thread.
pub(super) struct Pool {
    state: Mutex<State>,
    /// Brings slabs ahead of need. Without it they come as they are needed: in simulations, where nothing may depend on
    /// another thread, and if the thread cannot be started.
    keeper: OnceLock<Option<Keeper>>,
}

#[derive(Default)]
struct State {
    slabs: Vec<Slab>,
    /// Slots of `slabs` that hold nothing.
    vacant: Vec<usize>,
    /// Per class, the slabs in use that have a free region; the last one is taken from.
    partial: [Vec<usize>; CLASSES],
    /// Slabs that nothing uses any more, their pages touched.
    idle: Vec<Mapping>,
}

struct Slab {
    mapping: Option<Mapping>,
    class: usize,
    /// Regions that are free, by index.
    free: Vec<u16>,
}

/// A region of a pool: where it starts, and what gives it back.
pub(super) struct Home {
    pool: Arc<Pool>,
    slab: usize,
    index: u16,
}

impl Pool {
    pub(super) fn new() -> Arc<Pool> {
        Arc::new(Pool { state: Mutex::default(), keeper: OnceLock::new() })
    }

    /// From now on slabs are brought ahead of need, by a thread that runs where this one may.
    pub(super) fn keep_ahead(&self) {
        self.keeper.get_or_init(Keeper::start);
    }

    fn keeper(&self) -> Option<&Keeper> {
        self.keeper.get()?.as_ref()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves the lists as they are: at worst a slab is not used again.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A region of `bytes`, a power of two from [`PAGE_BYTES`] to [`REGION_BYTES_MAX`], with unspecified contents. None
    /// when the kernel gives no more memory.
    pub(super) fn take(self: &Arc<Pool>, bytes: usize) -> Option<(NonNull<u8>, Home)> {
        let class = class_of(bytes);
        let mut state = self.state();
        let slab = match state.partial[class].last() {
            Some(slab) => *slab,
            None => {
                let memory = state.idle.pop().or_else(|| self.keeper()?.take()).or_else(Mapping::new)?;
                state.open(class, memory)
            }
        };
        let (start, index) = state.cut(slab);
        if let Some(keeper) = self.keeper() {
            keeper.ask(SLABS_AHEAD.saturating_sub(state.idle.len()));
        }
        Some((start, Home { pool: Arc::clone(self), slab, index }))
    }

    /// Gives the memory of idle slabs back to the kernel.
    pub(super) fn release_idle(&self) {
        let idle = std::mem::take(&mut self.state().idle);
        drop(idle);
        drop(self.keeper().map(Keeper::withdraw));
    }

    fn put(&self, slab: usize, index: u16) {
        let unused = self.state().put(slab, index);
        // Emptied, if it is not kept, without holding up the others.
        drop(unused);
    }
}

impl State {
    /// Cuts a slab into regions of `class`.
    fn open(&mut self, class: usize, mapping: Mapping) -> usize {
        // Handed out from the front.
        let free = (0..(SLAB_BYTES / bytes_of(class)) as u16).rev().collect();
        let slab = Slab { mapping: Some(mapping), class, free };
        let at = match self.vacant.pop() {
            Some(at) => {
                self.slabs[at] = slab;
                at
            }
            None => {
                self.slabs.push(slab);
                self.slabs.len() - 1
            }
        };
        self.partial[class].push(at);
        at
    }

    fn cut(&mut self, at: usize) -> (NonNull<u8>, u16) {
        let slab = &mut self.slabs[at];
        let (Some(index), Some(mapping)) = (slab.free.pop(), &slab.mapping) else {
            unreachable!("a partial slab has a free region")
        };
        // SAFETY: the index is below the number of regions, so this lies within the mapping.
        let start = unsafe { mapping.start().add(usize::from(index) * bytes_of(slab.class)) };
        if slab.free.is_empty() {
            let partial = &mut self.partial[slab.class];
            partial.retain(|partial| *partial != at);
        }
        (start, index)
    }

    /// Takes a region back. Returns the slab's memory if it has become idle and is not kept.
    fn put(&mut self, at: usize, index: u16) -> Option<Mapping> {
        let slab = &mut self.slabs[at];
        if slab.free.is_empty() {
            self.partial[slab.class].push(at);
        }
        slab.free.push(index);
        if slab.free.len() < SLAB_BYTES / bytes_of(slab.class) {
            return None;
        }
        let partial = &mut self.partial[slab.class];
        partial.retain(|partial| *partial != at);
        self.vacant.push(at);
        slab.free = Vec::new();
        let mapping = slab.mapping.take()?;
        if self.idle.len() >= SLABS_KEPT_MAX {
            return Some(mapping);
        }
        self.idle.push(mapping);
        None
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.pool.put(self.slab, self.index);
    }
}

fn class_of(bytes: usize) -> usize {
    assert!(
        bytes.is_power_of_two() && (PAGE_BYTES..=REGION_BYTES_MAX).contains(&bytes),
        "no region has {bytes} bytes"
    );
    (bytes.ilog2() - PAGE_BYTES.ilog2()) as usize
}

fn bytes_of(class: usize) -> usize {
    PAGE_BYTES << class
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn slabs(pool: &Pool) -> usize {
        let state = pool.state();
        state.slabs.len() - state.vacant.len()
    }

    #[test]
    fn regions_of_a_size_share_slabs_and_do_not_overlap() {
        let pool = Pool::new();
        const BYTES: usize = SLAB_BYTES / 2;
        let mut taken: Vec<_> = (0..3).map(|_| pool.take(BYTES).unwrap()).collect();
        assert_eq!(slabs(&pool), 2);
        for (n, (start, _)) in (0..).zip(&taken) {
            assert!(start.as_ptr().addr().is_multiple_of(PAGE_BYTES));
            // SAFETY: the region is ours and has that many bytes.
            unsafe { start.as_ptr().write_bytes(n, BYTES) };
        }
        for (n, (start, _)) in (0..).zip(&taken) {
            // SAFETY: as above, and initialised.
            let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), BYTES) };
            assert!(bytes.iter().all(|byte| *byte == n));
        }
        taken.remove(1);
        taken.push(pool.take(BYTES).unwrap());
        assert_eq!(slabs(&pool), 2);
    }

    #[test]
    fn an_idle_slab_serves_another_size() {
        let pool = Pool::new();
        let pages: Vec<_> = (0..SLAB_BYTES / PAGE_BYTES).map(|_| pool.take(PAGE_BYTES).unwrap()).collect();
        let before = pages[0].0;
        assert_eq!((slabs(&pool), pool.state().idle.len()), (1, 0));
        drop(pages);
        assert_eq!((slabs(&pool), pool.state().idle.len()), (0, 1));
        let (again, _home) = pool.take(64 << 10).unwrap();
        assert_eq!(again, before);
        assert_eq!((slabs(&pool), pool.state().idle.len()), (1, 0));
    }

    #[test]
    fn a_region_dropped_by_another_thread_goes_home() {
        let pool = Pool::new();
        let (_, home) = pool.take(PAGE_BYTES).unwrap();
        std::thread::scope(|scope| scope.spawn(move || drop(home)).join()).unwrap();
        assert_eq!((slabs(&pool), pool.state().idle.len()), (0, 1));
        pool.release_idle();
        assert!(pool.state().idle.is_empty());
    }

    #[test]
    fn slabs_come_from_the_keeper_once_there_is_one() {
        let pool = Pool::new();
        pool.keep_ahead();
        let first = pool.take(REGION_BYTES_MAX).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let brought = loop {
            if let Some(mapping) = pool.keeper().unwrap().take() {
                break mapping;
            }
            assert!(Instant::now() < deadline, "no slab within 30 s");
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_ne!(brought.start(), first.0);
    }
}
