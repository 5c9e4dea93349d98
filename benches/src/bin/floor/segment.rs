//! The same batches once more, as segments: full chunks, written directly and in order of the log.
//!
//! Space is allocated ahead in steps, the next segment is made while the current one fills, and old ones go after a
//! checkpoint. Nothing of that holds up an append, unless all chunks wait for the disk.

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use slab::Slab;
use thalweg_benches::report;
use thalweg_engine::io::AlignedBuf;

use crate::ring::{Finished, Purpose, Ring, Source};

const CHUNK_BYTES: usize = 1 << 20;
/// Holds two groups, so that the journal does not wait for the segments' own pace.
const CHUNKS: usize = 10;
const WRITES_MAX: usize = 4;
/// Space is allocated in steps of this; segments are multiples of it.
pub const ALLOCATE_BYTES: u64 = 64 << 20;
/// A further step is allocated when less than this is left.
const ALLOCATED_AHEAD_MIN: u64 = 32 << 20;
/// Whole segments that are kept behind the current one.
const RETIRED_KEPT: usize = 1;

const _: () = assert!(ALLOCATE_BYTES.is_multiple_of(CHUNK_BYTES as u64));

struct SegmentFile {
    path: CString,
    file: Option<File>,
    /// Where the next chunk goes.
    position: u64,
    allocated: u64,
    is_allocating: bool,
    /// Its name is durable, so it may be written.
    is_ready: bool,
    writes: usize,
    /// Completed writes are not synced yet.
    is_dirty: bool,
}

/// A chunk with its place in the stream of all bytes appended.
struct Chunk {
    buffer: AlignedBuf,
    start: u64,
    /// The file that it is being written to.
    file: usize,
}

pub struct Segments {
    dir: PathBuf,
    dir_file: File,
    segment_bytes: u64,
    chunks: Vec<Chunk>,
    /// Number of the first chunk among the registered buffers.
    first_number: u16,
    free: Vec<usize>,
    /// The chunk being filled, and the bytes in it.
    filling: Option<(usize, usize)>,
    full: VecDeque<usize>,
    writing: Vec<usize>,
    appended: u64,
    files: Slab<SegmentFile>,
    made: u64,
    current: Option<usize>,
    next: Option<usize>,
    retired: VecDeque<usize>,
}

impl Segments {
    /// `segment_bytes`: a multiple of [`ALLOCATE_BYTES`].
    ///
    /// # Errors
    /// As open(2) of the directory, and unlink(2) of a former run's segments.
    pub fn new(dir: &Path, segment_bytes: u64, first_number: u16) -> io::Result<Segments> {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                std::fs::remove_file(path)?;
            }
        }
        let chunk = |_| Chunk { buffer: AlignedBuf::zeroed(CHUNK_BYTES), start: 0, file: 0 };
        Ok(Segments {
            dir: dir.to_path_buf(),
            dir_file: File::open(dir)?,
            segment_bytes,
            chunks: (0..CHUNKS).map(chunk).collect(),
            first_number,
            free: (0..CHUNKS).collect(),
            filling: None,
            full: VecDeque::new(),
            writing: Vec::new(),
            appended: 0,
            files: Slab::new(),
            made: 0,
            current: None,
            next: None,
            retired: VecDeque::new(),
        })
    }

    /// The chunks' memory, to register from `first_number` on.
    pub fn buffers(&self) -> impl Iterator<Item = &AlignedBuf> {
        self.chunks.iter().map(|chunk| &chunk.buffer)
    }

    /// Bytes appended so far.
    pub fn appended(&self) -> u64 {
        self.appended
    }

    /// Everything below this is written, if not synced.
    pub fn written(&self) -> u64 {
        let waiting = self.full.iter().chain(&self.writing).map(|chunk| self.chunks[*chunk].start);
        let filled = self.filling.map_or(0, |(_, filled)| filled as u64);
        waiting.min().unwrap_or(self.appended - filled)
    }

    pub fn has_room(&self, bytes: usize) -> bool {
        let left = self.filling.map_or(0, |(_, filled)| CHUNK_BYTES - filled);
        bytes <= left + self.free.len() * CHUNK_BYTES
    }

    /// Copies bytes in.
    ///
    /// # Panics
    /// Without room: [`Segments::has_room`] says so before.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (chunk, filled) = self.filling.take().unwrap_or_else(|| self.next_chunk());
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - filled));
            self.chunks[chunk].buffer[filled..filled + now.len()].copy_from_slice(now);
            self.appended += now.len() as u64;
            match filled + now.len() {
                CHUNK_BYTES => self.full.push_back(chunk),
                filled => self.filling = Some((chunk, filled)),
            }
            bytes = later;
        }
    }

    fn next_chunk(&mut self) -> (usize, usize) {
        let Some(chunk) = self.free.pop() else { panic!("an append without room") };
        self.chunks[chunk].start = self.appended;
        (chunk, 0)
    }

    /// Starts whatever may be started: files, allocations, writes.
    ///
    /// # Errors
    /// A path with a zero byte in it.
    pub fn pump(&mut self, ring: &mut Ring) -> io::Result<()> {
        self.make_next(ring)?;
        self.allocate_ahead(ring);
        while self.writing.len() < WRITES_MAX && !self.full.is_empty() && self.roll() {
            let Some(current) = self.current else { break };
            let file = &mut self.files[current];
            let (Some(open), true) = (&file.file, file.position < file.allocated) else { break };
            let Some(chunk) = self.full.pop_front() else { break };
            let source = Source {
                start: self.chunks[chunk].buffer.as_ptr(),
                bytes: CHUNK_BYTES,
                number: self.first_number + chunk as u16,
            };
            // SAFETY: a chunk's memory lives as long as the floor, and is filled again only after this write.
            unsafe {
                ring.write(Purpose::SegmentWrite, chunk, open.as_raw_fd(), source, file.position, false)
            };
            file.position += CHUNK_BYTES as u64;
            file.writes += 1;
            self.chunks[chunk].file = current;
            self.writing.push(chunk);
        }
        Ok(())
    }

    fn make_next(&mut self, ring: &mut Ring) -> io::Result<()> {
        let half = |at: usize| self.files[at].position >= self.segment_bytes / 2;
        if self.next.is_some() || !self.current.is_none_or(half) {
            return Ok(());
        }
        let path = self.dir.join(format!("{:020}.log", self.made * self.segment_bytes));
        let path = CString::new(path.as_os_str().as_bytes())?;
        let next = self.files.insert(SegmentFile {
            path,
            file: None,
            position: 0,
            allocated: 0,
            is_allocating: false,
            is_ready: false,
            writes: 0,
            is_dirty: false,
        });
        self.made += 1;
        self.next = Some(next);
        // SAFETY: the path's bytes are on the heap and stay with the file, which is not dropped before it is open.
        unsafe { ring.create(next, &self.files[next].path) }
        Ok(())
    }

    fn allocate_ahead(&mut self, ring: &mut Ring) {
        let Some(current) = self.current else { return };
        let file = &self.files[current];
        if file.allocated < self.segment_bytes && file.allocated - file.position < ALLOCATED_AHEAD_MIN {
            self.allocate(ring, current);
        }
    }

    fn allocate(&mut self, ring: &mut Ring, index: usize) {
        let file = &mut self.files[index];
        if let (Some(open), false) = (&file.file, file.is_allocating) {
            file.is_allocating = true;
            ring.allocate(index, open.as_raw_fd(), file.allocated, ALLOCATE_BYTES);
        }
    }

    /// Moves on to the next segment where the current one is full; whether there is one to write to.
    fn roll(&mut self) -> bool {
        if self.current.is_some_and(|at| self.files[at].position < self.segment_bytes) {
            return true;
        }
        let Some(next) = self.next.filter(|next| self.files[*next].is_ready) else { return false };
        self.next = None;
        if let Some(full) = self.current.replace(next) {
            self.retired.push_back(full);
            report::SEGMENT_ROLLS.add(1);
        }
        true
    }

    /// Takes note of a finished entry of the segments.
    ///
    /// # Errors
    /// Of the write, allocation, open or sync: after one nothing more can be promised.
    pub fn finish(&mut self, ring: &mut Ring, finished: Finished) -> io::Result<()> {
        let index = finished.index;
        match finished.purpose {
            Purpose::SegmentWrite => self.wrote(finished)?,
            Purpose::SegmentOpen => {
                // SAFETY: a descriptor that an open just returned, known to nobody else.
                self.files[index].file = Some(unsafe { File::from_raw_fd(finished.result()?) });
                self.allocate(ring, index);
            }
            Purpose::SegmentAllocate => {
                finished.result()?;
                let file = &mut self.files[index];
                file.is_allocating = false;
                file.allocated += ALLOCATE_BYTES;
                if !file.is_ready {
                    ring.sync_directory(index, self.dir_file.as_raw_fd());
                }
            }
            Purpose::DirectorySync => {
                finished.result()?;
                self.files[index].is_ready = true;
            }
            Purpose::SegmentUnlink => {
                finished.result()?;
                self.files.remove(index);
            }
            other => unreachable!("{other:?} is not of the segments"),
        }
        Ok(())
    }

    fn wrote(&mut self, finished: Finished) -> io::Result<()> {
        finished.wrote(CHUNK_BYTES)?;
        let chunk = finished.index;
        self.writing.retain(|writing| *writing != chunk);
        self.free.push(chunk);
        let file = &mut self.files[self.chunks[chunk].file];
        file.writes -= 1;
        file.is_dirty = true;
        report::SEGMENT_BYTES.add(CHUNK_BYTES as u64);
        Ok(())
    }

    /// Starts an fdatasync of each file with unsynced writes; how many.
    pub fn sync(&mut self, ring: &mut Ring) -> usize {
        let dirty = self.files.iter_mut().filter(|(_, file)| file.is_dirty);
        let mut syncs = 0;
        for (index, file) in dirty {
            if let Some(open) = &file.file {
                file.is_dirty = false;
                ring.sync(index, open.as_raw_fd());
                syncs += 1;
            }
        }
        syncs
    }

    /// After a checkpoint: removes the oldest segments, those to be kept excepted.
    pub fn retire(&mut self, ring: &mut Ring) {
        while self.retired.len() > RETIRED_KEPT {
            let oldest = self.retired[0];
            let file = &mut self.files[oldest];
            if file.writes > 0 || file.is_dirty {
                return;
            }
            // Closed while it still has a name, so that its blocks are freed by the unlink, on a kernel worker.
            file.file = None;
            self.retired.pop_front();
            // SAFETY: the path's bytes are on the heap and stay with the file until the unlink has finished.
            unsafe { ring.unlink(oldest, &self.files[oldest].path) }
        }
    }
}
