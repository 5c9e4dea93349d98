//! The log: a group that fills while the one before is written, and behind both the segments.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use thalweg_benches::group::{GROUP_BYTES, Group, Pages};
use thalweg_benches::options::Options;
use thalweg_benches::wire::Produce;
use thalweg_benches::{journal, report};
use thalweg_engine::io::AlignedBuf;

use crate::checkpoint::Checkpoint;
use crate::ring::{Finished, Purpose, Ring, Source};
use crate::segment::Segments;

const GROUPS: u16 = 2;
const CHECKPOINT_NUMBER: u16 = GROUPS;
const FIRST_CHUNK_NUMBER: u16 = GROUPS + 1;

/// A group's memory, with its number among the registered buffers.
struct Numbered {
    buffer: AlignedBuf,
    number: u16,
}

impl Pages for Numbered {
    fn pages(&mut self) -> &mut [u8] {
        &mut self.buffer
    }
}

/// A group in flight.
struct Flying {
    buffer: Numbered,
    bytes: usize,
    members: Vec<usize>,
}

struct Materialised {
    segments: Segments,
    checkpoint: Checkpoint,
}

pub struct Log {
    journal: File,
    cursor: journal::Cursor,
    durable: bool,
    checks_crc: bool,
    sequence: u64,
    end_offset: i64,
    /// None only while a group is being sealed.
    filling: Option<Group<Numbered>>,
    /// Connections whose batches are in `filling`, one each per batch.
    members: Vec<usize>,
    spare: Option<Numbered>,
    flying: Option<Flying>,
    materialised: Option<Materialised>,
}

impl Log {
    /// Without `segment_bytes` there is only the journal.
    ///
    /// # Errors
    /// As open(2) and write(2) of the files in `options.dir`.
    pub fn new(
        ring: &mut Ring,
        options: &Options,
        path: &Path,
        segment_bytes: Option<u64>,
    ) -> io::Result<Log> {
        let numbered = |number| Numbered { buffer: AlignedBuf::zeroed(GROUP_BYTES), number };
        let (first, second) = (numbered(0), numbered(1));
        let materialised = match segment_bytes {
            Some(segment_bytes) => Some(Materialised {
                segments: Segments::new(&options.dir, segment_bytes, FIRST_CHUNK_NUMBER)?,
                checkpoint: Checkpoint::new(&options.dir, options.journal_bytes, CHECKPOINT_NUMBER)?,
            }),
            None => None,
        };
        let mut buffers = vec![&first.buffer, &second.buffer];
        if let Some(Materialised { segments, checkpoint }) = &materialised {
            buffers.push(checkpoint.buffer());
            buffers.extend(segments.buffers());
        }
        // SAFETY: all are owned by this log, which lives as long as the process.
        unsafe { ring.register(&buffers) };
        Ok(Log {
            // The flag is with each write, so that the same descriptor serves both ways.
            journal: journal::open(path, false)?,
            cursor: journal::Cursor::new(options.journal_bytes),
            durable: options.durable,
            checks_crc: options.crc,
            sequence: 0,
            end_offset: 0,
            filling: Some(Group::new(first)),
            members: Vec::new(),
            spare: Some(second),
            flying: None,
            materialised,
        })
    }

    /// Offset of the next record.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Takes a batch of connection `member` and gives its base offset; `None` without room.
    ///
    /// # Errors
    /// A wrong CRC, where that is looked at.
    pub fn append(&mut self, produce: &Produce<'_>, member: usize) -> io::Result<Option<i64>> {
        let bytes = produce.batch.len();
        let Some(filling) = self.filling.as_mut().filter(|filling| filling.takes(bytes)) else {
            return Ok(None);
        };
        if self.materialised.as_ref().is_some_and(|behind| !behind.segments.has_room(bytes)) {
            return Ok(None);
        }
        if self.checks_crc && !produce.crc_ok() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a batch with a wrong CRC"));
        }
        let base_offset = self.end_offset;
        self.end_offset += i64::from(produce.records.max(0));
        filling.push(base_offset, produce.batch);
        if let Some(behind) = &mut self.materialised {
            behind.segments.append(produce.batch);
        }
        self.members.push(member);
        report::BATCHES.add(1);
        Ok(Some(base_offset))
    }

    /// At the end of a turn: starts a commit of what has come, and the segments' and checkpoint's work.
    ///
    /// # Errors
    /// As [`Segments::pump`].
    pub fn pump(&mut self, ring: &mut Ring) -> io::Result<()> {
        self.commit(ring);
        if let Some(Materialised { segments, checkpoint }) = &mut self.materialised {
            segments.pump(ring)?;
            checkpoint.pump(ring, segments);
        }
        Ok(())
    }

    fn commit(&mut self, ring: &mut Ring) {
        let Some(bytes) = self.filling.as_ref().filter(|group| !group.is_empty()).map(Group::padded_bytes)
        else {
            return;
        };
        if self.flying.is_some() {
            return;
        }
        if let Some(Materialised { segments, checkpoint }) = &mut self.materialised {
            let position = self.cursor.next(bytes);
            if !checkpoint.admits(position, bytes) {
                report::JOURNAL_STALLS.add(1);
                return;
            }
            checkpoint.enter(position, bytes, segments.appended());
        }
        let (Some(full), Some(spare)) = (self.filling.take(), self.spare.take()) else {
            unreachable!("two groups, and none is in flight")
        };
        self.filling = Some(Group::new(spare));
        self.sequence += 1;
        let (buffer, bytes) = full.seal(self.sequence);
        let position = self.cursor.take(bytes);
        let source = Source { start: buffer.buffer.as_ptr(), bytes, number: buffer.number };
        let file = self.journal.as_raw_fd();
        // SAFETY: the buffer's memory is on the heap, and stays in `flying` untouched until the write has finished.
        unsafe { ring.write(Purpose::Commit, 0, file, source, position, self.durable) };
        self.flying = Some(Flying { buffer, bytes, members: std::mem::take(&mut self.members) });
    }

    /// The commit in flight is done: the connections whose batches it holds, one each per batch.
    ///
    /// # Errors
    /// Of the write: after one nothing more can be promised.
    pub fn committed(&mut self, finished: Finished) -> io::Result<Vec<usize>> {
        let Some(Flying { buffer, bytes, members }) = self.flying.take() else {
            unreachable!("a commit finished that was never started")
        };
        finished.wrote(bytes)?;
        self.spare = Some(buffer);
        report::COMMITS.add(1);
        report::JOURNAL_BYTES.add(bytes as u64);
        Ok(members)
    }

    /// Takes note of any other finished entry of the files.
    ///
    /// # Errors
    /// As [`Segments::finish`] and [`Checkpoint::finish`].
    pub fn finish(&mut self, ring: &mut Ring, finished: Finished) -> io::Result<()> {
        let Some(Materialised { segments, checkpoint }) = &mut self.materialised else {
            unreachable!("{finished:?} without segments")
        };
        match finished.purpose {
            Purpose::SegmentSync | Purpose::CheckpointWrite => checkpoint.finish(ring, segments, finished),
            _ => segments.finish(ring, finished),
        }
    }
}
