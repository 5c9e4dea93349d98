//! Memory that may cross the seam: page-aligned regions that the disk reads into and writes from.
//!
//! Two shapes: [`AlignedBuf`] has one owner and is the destination of a direct read; [`SharedRegion`] is filled from
//! its front by one shard while its filled part is already read by sends, segment writes and other shards. This file
//! and the drivers hold the engine's `unsafe`; everything above sees `Bytes`.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;

use super::slab::{Home, Pool, REGION_BYTES_MAX};

/// Alignment and granularity of direct I/O, bytes. A multiple of every logical block size in use (512, 4096).
pub const PAGE_BYTES: usize = 4096;

thread_local! {
    static POOL: Arc<Pool> = Pool::new();
}

/// Has this thread's next memory brought ahead of need; see [`Pool::keep_ahead`].
pub(super) fn keep_ahead() {
    POOL.with(|pool| pool.keep_ahead());
}

/// Gives memory that this thread keeps for reuse back to the kernel; an idle shard calls it.
pub fn release_recycled() {
    POOL.with(|pool| pool.release_idle());
}

/// Initialised memory whose address and size are multiples of [`PAGE_BYTES`].
struct Region {
    start: NonNull<u8>,
    bytes: usize,
    /// Where it goes back to; the heap if nowhere.
    home: Option<Home>,
}

// SAFETY: a Region is plain memory with a unique owner; who may touch which bytes is decided by its wrappers below.
unsafe impl Send for Region {}
// SAFETY: as above; shared access goes only through `SharedRegion`, which never hands out unfilled bytes.
unsafe impl Sync for Region {}

impl Region {
    fn layout(bytes: usize) -> Layout {
        match Layout::from_size_align(bytes, PAGE_BYTES) {
            Ok(layout) => layout,
            Err(error) => panic!("region of {bytes} bytes: {error}"),
        }
    }

    fn zeroed(bytes: usize) -> Region {
        let bytes = bytes.max(1).next_multiple_of(PAGE_BYTES);
        let layout = Region::layout(bytes);
        // SAFETY: the layout has a non-zero size.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        Region { start, bytes, home: None }
    }

    /// As `zeroed`, but rounded up to a power of two and with whatever an earlier user of the memory left in it.
    fn recycled(bytes: usize) -> Region {
        let bytes = bytes.max(PAGE_BYTES).next_power_of_two();
        if bytes > REGION_BYTES_MAX {
            return Region::zeroed(bytes);
        }
        match POOL.with(|pool| pool.take(bytes)) {
            Some((start, home)) => Region { start, bytes, home: Some(home) },
            None => Region::zeroed(bytes),
        }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.home.is_some() {
            return;
        }
        // SAFETY: allocated in `zeroed` with this very layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), Region::layout(self.bytes)) }
    }
}

/// A page-aligned buffer with one owner. Its length is its capacity: always a multiple of [`PAGE_BYTES`].
pub struct AlignedBuf {
    region: Region,
}

impl AlignedBuf {
    /// A zeroed buffer of at least `bytes`, rounded up to whole pages.
    pub fn zeroed(bytes: usize) -> AlignedBuf {
        AlignedBuf { region: Region::zeroed(bytes) }
    }

    /// At least `bytes`, rounded up to a power of two, with unspecified contents: for buffers that are filled anyway.
    pub fn recycled(bytes: usize) -> AlignedBuf {
        AlignedBuf { region: Region::recycled(bytes) }
    }

    /// Copies `bytes` to `at` past this core's caches, for memory that only the device reads next. The lines of a buffer
    /// that was written to disk before sit in the caches of whoever moved them there (in a virtual machine, another
    /// core): a store that first reads its line waits for that, one that replaces it does not.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn stream(&mut self, at: usize, bytes: &[u8]) {
        super::stream::copy(&mut self[at..at + bytes.len()], bytes);
    }

    /// Turns the buffer into shared read-only bytes without copying; the memory is freed with the last slice.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl std::ops::Deref for AlignedBuf {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the region is initialised over its whole length and owned by self.
        unsafe { std::slice::from_raw_parts(self.region.start.as_ptr(), self.region.bytes) }
    }
}

impl std::ops::DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.region.start.as_ptr(), self.region.bytes) }
    }
}

impl AsRef<[u8]> for AlignedBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuf({} bytes)", self.len())
    }
}

/// A page-aligned region filled from the front by its one writer, and readable up to what was filled.
///
/// Bytes below `filled()` never change again, so views of them may live on any shard for as long as they like.
pub struct SharedRegion {
    region: Arc<Region>,
    filled: Cell<usize>,
}

struct FilledView {
    region: Arc<Region>,
    start: usize,
    end: usize,
}

impl AsRef<[u8]> for FilledView {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: start <= end <= filled when the view was made; filled bytes are never written again.
        unsafe {
            std::slice::from_raw_parts(self.region.start.as_ptr().add(self.start), self.end - self.start)
        }
    }
}

impl SharedRegion {
    /// An empty region of at least `bytes`, rounded up to a power of two.
    pub fn with_capacity(bytes: usize) -> SharedRegion {
        SharedRegion { region: Arc::new(Region::recycled(bytes)), filled: Cell::new(0) }
    }

    /// Bytes that were filled so far.
    pub fn filled(&self) -> usize {
        self.filled.get()
    }

    /// Bytes the region can hold.
    pub fn capacity(&self) -> usize {
        self.region.bytes
    }

    /// Appends `bytes` after letting `patch` change them in place, and returns where they start.
    ///
    /// # Panics
    /// If they do not fit: the caller rolls to a new region first.
    pub fn append(&self, bytes: &[u8], patch: impl FnOnce(&mut [u8])) -> usize {
        let start = self.filled.get();
        assert!(bytes.len() <= self.capacity() - start, "append past the end of a region");
        // SAFETY: [start, start + len) lies in the region and above `filled`, where no view can reach; SharedRegion
        // is not Sync (Cell), so there is one writer.
        let target =
            unsafe { std::slice::from_raw_parts_mut(self.region.start.as_ptr().add(start), bytes.len()) };
        target.copy_from_slice(bytes);
        patch(target);
        self.filled.set(start + bytes.len());
        start
    }

    /// A shared view of `[start, end)`, without a copy.
    ///
    /// # Panics
    /// If the range is not within the filled part.
    pub fn view(&self, start: usize, end: usize) -> Bytes {
        assert!(start <= end && end <= self.filled(), "view of unfilled bytes");
        Bytes::from_owner(FilledView { region: Arc::clone(&self.region), start, end })
    }

    /// The filled bytes, borrowed.
    pub fn filled_bytes(&self) -> &[u8] {
        // SAFETY: filled bytes are initialised and never written again.
        unsafe { std::slice::from_raw_parts(self.region.start.as_ptr(), self.filled()) }
    }
}

impl std::fmt::Debug for SharedRegion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedRegion({} of {} bytes)", self.filled(), self.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_outlive_the_region_and_later_appends() {
        let region = SharedRegion::with_capacity(10);
        assert_eq!(region.capacity(), PAGE_BYTES);
        region.append(b"abc", |bytes| bytes[0] = b'x');
        let view = region.view(0, 3);
        assert_eq!(region.append(b"def", |_| ()), 3);
        drop(region);
        assert_eq!(&view[..], b"xbc");
        assert_eq!(view.as_ptr() as usize % PAGE_BYTES, 0);
    }

    #[test]
    #[should_panic(expected = "unfilled")]
    fn a_view_of_unfilled_bytes_is_refused() {
        SharedRegion::with_capacity(10).view(0, 1);
    }
}
