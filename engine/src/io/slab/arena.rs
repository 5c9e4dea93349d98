//! Address space for slabs, one for the process.
//!
//! It is reserved in spans and never given back; a slab that nobody needs loses its pages, not its addresses. So no
//! slab's coming or going changes a mapping: that would need the process's lock on all of them, and wait for every
//! thread that has it, also for one that its core does not run.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::libc;

use super::{PAGE_BYTES, SLAB_BYTES};

/// Addresses reserved at a time, bytes. They cost nothing until they are used.
const SPAN_BYTES: usize = 1 << 30;

/// Slabs' addresses that nobody has.
static FREE: Mutex<Vec<Address>> = Mutex::new(Vec::new());

struct Address(NonNull<u8>);

// SAFETY: plain memory with one owner.
unsafe impl Send for Address {}

/// The memory of one slab: [`SLAB_BYTES`], aligned to as much. The kernel backs it, in a huge page if it has one, when
/// it is first used.
pub(super) struct Mapping(Address);

fn free() -> MutexGuard<'static, Vec<Address>> {
    // A panic while the lock is held leaves the list as it is: at worst addresses are not used again.
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mapping {
    /// None when the kernel gives no more addresses.
    pub(super) fn new() -> Option<Mapping> {
        let mut free = free();
        if free.is_empty() {
            // A limit on addresses (RLIMIT_AS, strict overcommit) may forbid a span and allow a slab.
            let (start, bytes) =
                [SPAN_BYTES, SLAB_BYTES].into_iter().find_map(|bytes| Some((reserve(bytes)?, bytes)))?;
            // Handed out from the front.
            let slabs = (0..bytes / SLAB_BYTES).rev();
            // SAFETY: the offsets lie within the span.
            free.extend(slabs.map(|slab| Address(unsafe { start.add(slab * SLAB_BYTES) })));
        }
        free.pop().map(Mapping)
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.0.0
    }

    /// Has the kernel back all of it with memory.
    pub(super) fn touch(&self) {
        for page in (0..SLAB_BYTES).step_by(PAGE_BYTES) {
            // By writing, not by advice (MADV_POPULATE_WRITE): a fault locks this span alone.
            // SAFETY: ours alone, and within it.
            unsafe { self.start().add(page).write_volatile(0) }
        }
    }

    /// Gives up ownership, to be taken back with [`from_address`](Self::from_address).
    pub(super) fn into_address(self) -> usize {
        ManuallyDrop::new(self).start().as_ptr().expose_provenance()
    }

    /// # Safety
    /// `address` came from [`into_address`](Self::into_address), and this is the only call for it.
    pub(super) unsafe fn from_address(address: usize) -> Option<Mapping> {
        NonNull::new(std::ptr::with_exposed_provenance_mut(address)).map(|start| Mapping(Address(start)))
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let start = self.start();
        // SAFETY: ours alone; no region of it is in use. Zeroes come back when it is next used.
        unsafe { libc::madvise(start.as_ptr().cast(), SLAB_BYTES, libc::MADV_DONTNEED) };
        free().push(Address(start));
    }
}

/// Addresses for `bytes`, aligned to slabs.
fn reserve(bytes: usize) -> Option<NonNull<u8>> {
    // A slab more, to find an aligned part in it; the rest goes back untouched.
    let wide = bytes + SLAB_BYTES;
    let (access, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
    // SAFETY: a new mapping anywhere touches nothing that exists.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), wide, access, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let head = start.align_offset(SLAB_BYTES);
    // SAFETY: both ends lie in the mapping just made, and nobody knows of them. The advice is a wish.
    unsafe {
        let aligned = start.byte_add(head);
        unmap(start, head);
        unmap(aligned.byte_add(bytes), SLAB_BYTES - head);
        libc::madvise(aligned, bytes, libc::MADV_HUGEPAGE);
        aligned.expose_provenance();
        NonNull::new(aligned.cast())
    }
}

/// # Safety
/// `[start, start + bytes)` is mapped and used by nobody.
unsafe fn unmap(start: *mut libc::c_void, bytes: usize) {
    if bytes > 0 {
        // SAFETY: as promised by the caller.
        let unmapped = unsafe { libc::munmap(start, bytes) };
        assert_eq!(unmapped, 0, "munmap of memory that is mapped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_empty_and_used_again() {
        // Other tests take slabs too: one of them may be quicker, but not every time.
        let again = (0..100).find_map(|_| {
            let mapping = Mapping::new().unwrap();
            let start = mapping.start();
            assert!(start.addr().get().is_multiple_of(SLAB_BYTES));
            mapping.touch();
            // SAFETY: within the mapping, which is ours.
            unsafe { start.add(SLAB_BYTES - 1).write(7) };
            let address = mapping.into_address();
            // SAFETY: from `into_address`, once.
            drop(unsafe { Mapping::from_address(address) });
            Mapping::new().filter(|mapping| mapping.start() == start)
        });
        let again = again.expect("the addresses are used again");
        // SAFETY: as above.
        assert_eq!(unsafe { again.start().add(SLAB_BYTES - 1).read() }, 0);
    }
}
