//! When journal space may be written again: a quarter of the journal is free once a checkpoint behind it is durable.
//!
//! A checkpoint is: all bytes of the quarter in segments, those synced, and a page with the position written through to
//! stable storage, in two places in turn.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;
use thalweg_benches::report;
use thalweg_engine::io::{AlignedBuf, PAGE_BYTES};

use crate::ring::{Finished, Purpose, Ring, Source};
use crate::segment::Segments;

const QUARTERS: usize = 4;
const MAGIC: u64 = u64::from_le_bytes(*b"THWCHECK");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Idle,
    Syncing { left: usize },
    Writing,
}

/// A quarter that was left, and what must be in segments before it is free again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Left {
    quarter: usize,
    appended: u64,
}

/// Which parts of the journal may be written.
struct Quarters {
    quarter_bytes: u64,
    current: usize,
    is_busy: [bool; QUARTERS],
    /// Those that were left and are busy, oldest first.
    left: VecDeque<Left>,
}

impl Quarters {
    fn new(journal_bytes: u64) -> Quarters {
        let quarter_bytes = journal_bytes.div_ceil(QUARTERS as u64);
        Quarters { quarter_bytes, current: 0, is_busy: [false; QUARTERS], left: VecDeque::new() }
    }

    fn touched(&self, position: u64, bytes: usize) -> impl Iterator<Item = usize> + use<> {
        let quarter = |at: u64| (at / self.quarter_bytes) as usize;
        quarter(position)..=quarter(position + bytes as u64 - 1)
    }

    fn admit(&self, position: u64, bytes: usize) -> bool {
        self.touched(position, bytes).all(|quarter| quarter == self.current || !self.is_busy[quarter])
    }

    fn enter(&mut self, position: u64, bytes: usize, appended: u64) {
        for quarter in self.touched(position, bytes) {
            if quarter != self.current {
                self.is_busy[self.current] = true;
                self.left.push_back(Left { quarter: self.current, appended });
                self.current = quarter;
            }
        }
    }

    fn free_oldest(&mut self) {
        if let Some(left) = self.left.pop_front() {
            self.is_busy[left.quarter] = false;
        }
    }
}

pub struct Checkpoint {
    file: File,
    page: AlignedBuf,
    /// Number of the page among the registered buffers.
    number: u16,
    sequence: u64,
    quarters: Quarters,
    step: Step,
}

impl Checkpoint {
    /// # Errors
    /// As open(2), write(2) and fsync(2).
    pub fn new(dir: &Path, journal_bytes: u64, number: u16) -> io::Result<Checkpoint> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT);
        let file = options.open(dir.join("checkpoint"))?;
        let page = AlignedBuf::zeroed(PAGE_BYTES);
        for slot in 0..2 {
            std::os::unix::fs::FileExt::write_all_at(&file, &page, slot * PAGE_BYTES as u64)?;
        }
        file.sync_all()?;
        Ok(Checkpoint {
            file,
            page,
            number,
            sequence: 0,
            quarters: Quarters::new(journal_bytes),
            step: Step::Idle,
        })
    }

    pub fn buffer(&self) -> &AlignedBuf {
        &self.page
    }

    /// Whether the journal may be written there.
    pub fn admits(&self, position: u64, bytes: usize) -> bool {
        self.quarters.admit(position, bytes)
    }

    /// The journal is written there, and holds nothing beyond the first `appended` bytes of the log.
    pub fn enter(&mut self, position: u64, bytes: usize, appended: u64) {
        self.quarters.enter(position, bytes, appended);
    }

    /// Starts the next checkpoint when its bytes are in segments.
    pub fn pump(&mut self, ring: &mut Ring, segments: &mut Segments) {
        let is_due = self.quarters.left.front().is_some_and(|left| segments.written() >= left.appended);
        if self.step == Step::Idle && is_due {
            self.step = match segments.sync(ring) {
                0 => self.write(ring),
                left => Step::Syncing { left },
            };
        }
    }

    fn write(&mut self, ring: &mut Ring) -> Step {
        self.sequence += 1;
        let appended = self.quarters.left.front().map_or(0, |left| left.appended);
        for (slot, field) in self.page.chunks_exact_mut(8).zip([MAGIC, self.sequence, appended]) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&self.page[..24]);
        self.page[24..28].copy_from_slice(&crc.to_le_bytes());
        let source = Source { start: self.page.as_ptr(), bytes: PAGE_BYTES, number: self.number };
        let position = self.sequence % 2 * PAGE_BYTES as u64;
        // SAFETY: the page lives as long as the floor, and changes only with the next checkpoint.
        unsafe { ring.write(Purpose::CheckpointWrite, 0, self.file.as_raw_fd(), source, position, true) };
        Step::Writing
    }

    /// Takes note of a finished sync or write.
    ///
    /// # Errors
    /// Of the sync or write: after one nothing more can be promised.
    pub fn finish(&mut self, ring: &mut Ring, segments: &mut Segments, finished: Finished) -> io::Result<()> {
        match (self.step, finished.purpose) {
            (Step::Syncing { left: 1 }, Purpose::SegmentSync) => {
                finished.result()?;
                self.step = self.write(ring);
            }
            (Step::Syncing { left }, Purpose::SegmentSync) => {
                finished.result()?;
                self.step = Step::Syncing { left: left - 1 };
            }
            (Step::Writing, Purpose::CheckpointWrite) => {
                finished.wrote(PAGE_BYTES)?;
                self.quarters.free_oldest();
                self.step = Step::Idle;
                report::CHECKPOINTS.add(1);
                segments.retire(ring);
            }
            (step, purpose) => unreachable!("{purpose:?} in step {step:?}"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_written_again_only_after_its_checkpoint() {
        let mut quarters = Quarters::new(400);
        for (position, appended) in [(0, 90), (90, 180), (200, 280), (300, 380)] {
            assert!(quarters.admit(position, 90));
            quarters.enter(position, 90, appended);
        }
        assert_eq!(quarters.left[0], Left { quarter: 0, appended: 180 });
        assert!(!quarters.admit(0, 90), "the first quarter is not in a checkpoint yet");
        quarters.free_oldest();
        assert!(quarters.admit(0, 90));
        assert!(!quarters.admit(50, 90), "it reaches into the second, which is not");
    }

    #[test]
    fn a_write_over_a_border_leaves_the_quarter_before() {
        let mut quarters = Quarters::new(400);
        quarters.enter(50, 100, 100);
        assert_eq!((quarters.current, quarters.is_busy), (1, [true, false, false, false]));
    }
}
