//! Serving reads: from the tail's chunks without a copy, from segments through the cold cache.
//!
//! Only whole batches leave, the first one being the batch that contains the offset asked for. What comes from a
//! segment is checked on the way, header against neighbours and every byte against its CRC: a damaged medium is
//! reported with file, position and offset, and never served.

use std::path::PathBuf;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use thalweg_protocol::batch::{ATTRIBUTES_AT, HEADER_BYTES};

use super::cold::ColdSource;
use super::header::BatchHeader;
use super::segment::{FileKind, Phase};
use super::{Log, LogState};
use crate::bounds::{BATCH_BYTES_MAX, COLD_CHUNK_BYTES};
use crate::error::{Corruption, ReadError};

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct ReadRequest {
    pub offset: i64,
    /// Bytes that the slices may add up to.
    pub max_bytes: usize,
    /// Return the first batch whole even if it is larger (KIP-74).
    pub at_least_one: bool,
}

/// Whole batches, starting with the one that contains the offset asked for; empty at the end of the log.
#[derive(Clone, Debug, Default)]
pub struct LogSlice {
    pub bytes: Vec<Bytes>,
    pub total_bytes: usize,
    pub high_watermark: i64,
    pub log_start: i64,
    /// Offset after the last batch in it.
    pub next_offset: i64,
    /// It came from a segment, not from the tail in memory.
    pub cold: bool,
}

/// A segment, as far as it can be read from its file.
#[derive(Clone, Debug)]
pub(super) struct ColdSegment {
    pub base_offset: i64,
    pub path: PathBuf,
    pub valid: u64,
    /// What the files held when this was looked up: see `Log::content`.
    pub content: u64,
}

pub(super) const OFFSETS_GO_BACK: &str = "its offsets lie below those of the batch before it";

/// The header of a batch in a segment, with where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub position: u64,
    pub total: usize,
    pub base_offset: i64,
    pub last_offset: i64,
    pub max_timestamp: i64,
    crc: u32,
}

impl Log {
    /// Reads from `offset` on what consumers may see.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(self: &Rc<Self>, request: ReadRequest) -> Result<LogSlice, ReadError> {
        self.check_readable()?;
        if let Some(slice) = self.read_tail(&request)? {
            return Ok(slice);
        }
        self.consistent(async || self.read_cold(&request).await).await
    }

    /// Reads from segment files, anew when they were replaced by compacted ones meanwhile.
    pub(super) async fn consistent<T>(
        &self,
        read: impl AsyncFn() -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        loop {
            while self.replacing.get() {
                if let Some(corruption) = &*self.half_replaced.borrow() {
                    return Err(corruption.clone().into());
                }
                self.replaced.notified().await;
            }
            self.check_readable()?;
            let content = self.content.get();
            let outcome = read().await;
            if content == self.content.get() {
                return outcome;
            }
        }
    }

    fn read_tail(&self, request: &ReadRequest) -> Result<Option<LogSlice>, ReadError> {
        let state = self.state.borrow();
        let (log_start, high_watermark) = (state.log_start, state.high_watermark);
        if request.offset < log_start || request.offset > high_watermark {
            return Err(ReadError::OutOfRange { log_start, high_watermark });
        }
        let mut slice =
            LogSlice { log_start, high_watermark, next_offset: request.offset, ..LogSlice::default() };
        if request.offset == high_watermark {
            return Ok(Some(slice));
        }
        let tail = state.tail.read(request.offset, high_watermark, request.max_bytes, request.at_least_one);
        let Some(slices) = tail else { return Ok(None) };
        for part in slices {
            slice.total_bytes += part.bytes.len();
            slice.next_offset = part.next_offset;
            slice.bytes.push(part.bytes);
        }
        Ok(Some(slice))
    }

    async fn read_cold(self: &Rc<Self>, request: &ReadRequest) -> Result<LogSlice, ReadError> {
        let mut offset = request.offset;
        loop {
            let Some(segment) = self.cold_segment(offset) else { return Err(ReadError::Removed) };
            let start = self.seek(&segment, offset).await?;
            if let Some(first) = start {
                return self.collect(&segment, first, request).await;
            }
            // Nothing at or above the offset in this segment: on to the next, or to the tail.
            let next = self
                .state
                .borrow()
                .segments
                .iter()
                .map(|s| s.base_offset)
                .find(|base| *base > segment.base_offset);
            match next {
                Some(base) => offset = offset.max(base),
                None => {
                    return Err(self.damage(
                        &segment,
                        segment.valid,
                        offset,
                        "no batch where the log has one",
                    ));
                }
            }
            let again = ReadRequest { offset, ..*request };
            if let Some(slice) = self.read_tail(&again)? {
                return Ok(slice);
            }
        }
    }

    /// The segment that would hold `offset`, as far as it is on disk.
    pub(super) fn cold_segment(&self, offset: i64) -> Option<ColdSegment> {
        let state = self.state.borrow();
        let after = state.segments.partition_point(|segment| segment.base_offset <= offset);
        let segment = state.segments.get(after.saturating_sub(1))?;
        Some(state.cold_view(self, segment.base_offset, segment.bytes))
    }

    /// Finds the first batch whose last offset is at or above `offset`. None: there is none in the segment.
    pub(super) async fn seek(
        self: &Rc<Self>,
        segment: &ColdSegment,
        offset: i64,
    ) -> Result<Option<Found>, ReadError> {
        let hint = self.position_hint(segment, offset).await?;
        let (mut position, mut end) = (hint, segment.base_offset);
        loop {
            match self.header_at(segment, position).await {
                Ok(Some(found)) if found.base_offset < end && hint == 0 => {
                    return Err(self.damage(segment, position, found.base_offset, OFFSETS_GO_BACK));
                }
                Ok(Some(found))
                    if found.last_offset >= offset
                        && found.base_offset >= end
                        && (position > hint || hint == 0 || found.base_offset <= offset) =>
                {
                    return Ok(Some(found));
                }
                Ok(Some(found)) if found.last_offset < offset && found.base_offset >= end => {
                    position += found.total as u64;
                    end = found.last_offset + 1;
                }
                // The index led astray: it is a hint. Look from the segment's start, and mend it.
                Ok(Some(_)) | Err(ReadError::Corrupt(_)) if hint > 0 => {
                    self.mend_index(segment).await;
                    return self.seek_from_start(segment, offset).await;
                }
                Ok(found) => return Ok(found),
                Err(error) => return Err(error),
            }
        }
    }

    async fn seek_from_start(
        self: &Rc<Self>,
        segment: &ColdSegment,
        offset: i64,
    ) -> Result<Option<Found>, ReadError> {
        let (mut position, mut end) = (0, segment.base_offset);
        while let Some(found) = self.header_at(segment, position).await? {
            if found.base_offset < end {
                return Err(self.damage(segment, position, found.base_offset, OFFSETS_GO_BACK));
            }
            if found.last_offset >= offset {
                return Ok(Some(found));
            }
            end = found.last_offset + 1;
            position += found.total as u64;
        }
        Ok(None)
    }

    /// The batch header at `position`; None at the end of the segment. Checks everything that can be told of a header
    /// without its body.
    pub(super) async fn header_at(
        self: &Rc<Self>,
        segment: &ColdSegment,
        position: u64,
    ) -> Result<Option<Found>, ReadError> {
        if position >= segment.valid {
            return Ok(None);
        }
        let left = usize::try_from(segment.valid - position).unwrap_or(usize::MAX);
        let header = self.bytes_at(segment, position, left.min(HEADER_BYTES)).await?;
        if header.iter().all(|byte| *byte == 0) && self.is_closed(segment.base_offset) {
            return Ok(None);
        }
        let fault = |what: String| self.damage(segment, position, -1, &what);
        let view = BatchHeader::decode(&header).map_err(fault)?;
        let base_offset = view.base_offset;
        if view.total_bytes > left || view.total_bytes > BATCH_BYTES_MAX {
            return Err(fault(format!("a batch of {} bytes where {left} are left", view.total_bytes)));
        }
        let offsets = segment.base_offset..self.cold_end(segment.base_offset);
        if !offsets.contains(&base_offset) || !offsets.contains(&view.last_offset) {
            return Err(fault(format!("offsets {base_offset} to {} among {offsets:?}", view.last_offset)));
        }
        let epoch = self.epoch_of(base_offset);
        if epoch >= 0 && view.leader_epoch != epoch {
            return Err(fault(format!("leader epoch {} where {epoch} wrote", view.leader_epoch)));
        }
        Ok(Some(Found {
            position,
            total: view.total_bytes,
            base_offset,
            last_offset: view.last_offset,
            max_timestamp: view.max_timestamp,
            crc: view.crc,
        }))
    }

    /// Whole batches from `first` on, within the request's bounds, to the end of what the segment's file has.
    async fn collect(
        self: &Rc<Self>,
        segment: &ColdSegment,
        first: Found,
        request: &ReadRequest,
    ) -> Result<LogSlice, ReadError> {
        let (log_start, high_watermark) = {
            let state = self.state.borrow();
            (state.log_start, state.high_watermark)
        };
        let mut slice = LogSlice {
            log_start,
            high_watermark,
            next_offset: request.offset,
            cold: true,
            ..LogSlice::default()
        };
        let mut next = Some(first);
        let mut end = first.position;
        while let Some(found) = next.filter(|found| found.last_offset < high_watermark) {
            let fits = slice.total_bytes + found.total <= request.max_bytes;
            let forced = request.at_least_one && slice.total_bytes == 0;
            if !fits && !forced {
                break;
            }
            let following = self.header_at(segment, found.position + found.total as u64).await;
            match self.checked_in_place(segment, &found, &following).await {
                Ok(_) => (),
                // The damage lies behind good batches: those are served, and the next read reports it.
                Err(_) if slice.total_bytes > 0 => break,
                Err(error) => return Err(error),
            }
            slice.total_bytes += found.total;
            slice.next_offset = found.last_offset + 1;
            end = found.position + found.total as u64;
            next = following.unwrap_or(None);
        }
        slice.bytes = self.parts(segment, first.position, slice.total_bytes).await?;
        self.cold.read_ahead(self.source(segment), end / COLD_CHUNK_BYTES as u64);
        Ok(slice)
    }

    /// Checks a batch's bytes against its CRC, and its offsets, which no CRC covers, against what follows it.
    async fn checked_in_place(
        self: &Rc<Self>,
        segment: &ColdSegment,
        found: &Found,
        following: &Result<Option<Found>, ReadError>,
    ) -> Result<(), ReadError> {
        self.checked_batch(segment, found).await?;
        match following {
            Ok(Some(next)) if next.base_offset <= found.last_offset => {
                Err(self.damage(segment, next.position, next.base_offset, OFFSETS_GO_BACK))
            }
            _ => Ok(()),
        }
    }

    /// A batch's bytes as slices of cold chunks, after checking them against its CRC.
    pub(super) async fn checked_batch(
        self: &Rc<Self>,
        segment: &ColdSegment,
        found: &Found,
    ) -> Result<Vec<Bytes>, ReadError> {
        let parts = self.parts(segment, found.position, found.total).await?;
        let mut skip = ATTRIBUTES_AT;
        let mut crc = 0;
        for part in &parts {
            let from = skip.min(part.len());
            skip -= from;
            crc = crc32c::crc32c_append(crc, &part[from..]);
        }
        if crc != found.crc {
            let what = format!("batch CRC {crc:#010x}, expected {:#010x}", found.crc);
            return Err(self.damage(segment, found.position, found.base_offset, &what));
        }
        Ok(parts)
    }

    /// `[position, position + len)` of the segment as slices of cold chunks.
    async fn parts(
        self: &Rc<Self>,
        segment: &ColdSegment,
        position: u64,
        len: usize,
    ) -> Result<Vec<Bytes>, ReadError> {
        let mut parts = Vec::with_capacity(1 + len / COLD_CHUNK_BYTES);
        let (mut at, mut left) = (position, len);
        while left > 0 {
            let index = at / COLD_CHUNK_BYTES as u64;
            let start = usize::try_from(at % COLD_CHUNK_BYTES as u64).unwrap_or(0);
            let chunk = self.cold.chunk(self.source(segment), index).await?;
            let end = (start + left).min(chunk.len());
            if end <= start {
                return Err(self.damage(segment, at, -1, "the segment ends within a batch"));
            }
            parts.push(chunk.slice(start..end));
            at += (end - start) as u64;
            left -= end - start;
        }
        Ok(parts)
    }

    async fn bytes_at(
        self: &Rc<Self>,
        segment: &ColdSegment,
        position: u64,
        len: usize,
    ) -> Result<Bytes, ReadError> {
        let mut parts = self.parts(segment, position, len).await?;
        if parts.len() == 1 {
            return Ok(parts.remove(0));
        }
        let mut joined = BytesMut::with_capacity(len);
        parts.iter().for_each(|part| joined.extend_from_slice(part));
        Ok(joined.freeze())
    }

    fn source<'a>(&'a self, segment: &'a ColdSegment) -> ColdSource<'a> {
        ColdSource {
            volume: &self.volume,
            path: &segment.path,
            log: segment.content,
            segment: segment.base_offset,
            valid: segment.valid,
        }
    }

    /// Offset after the last batch that a segment's file can have. Base offsets are under no CRC: one that reaches
    /// past this was changed.
    fn cold_end(&self, base_offset: i64) -> i64 {
        let state = self.state.borrow();
        let after = state.segments.partition_point(|segment| segment.base_offset <= base_offset);
        let next = state.segments.get(after).map_or(state.end, |segment| segment.base_offset);
        if state.written.segment == base_offset { next.min(state.written.offset) } else { next }
    }

    fn is_closed(&self, base_offset: i64) -> bool {
        self.state.borrow_mut().segment_mut(base_offset).is_some_and(|segment| segment.phase != Phase::Active)
    }

    pub(super) fn damage(&self, segment: &ColdSegment, position: u64, offset: i64, what: &str) -> ReadError {
        let corruption = Corruption { path: segment.path.clone(), position, offset, what: what.to_string() };
        // Of a file that was replaced meanwhile: it is read again.
        if segment.content == self.content.get() {
            tracing::error!("{}: {corruption}", self.name);
        }
        ReadError::Corrupt(corruption)
    }
}

/// Whole batch as one view, copying only if it spans chunks.
pub(super) fn joined(parts: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => {
            let mut joined = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            parts.iter().for_each(|part| joined.extend_from_slice(part));
            joined.freeze()
        }
    }
}

impl LogState {
    /// How much of a segment its file has: all of a closed one, up to `written` of the one being written.
    pub(super) fn cold_view(&self, log: &Log, base_offset: i64, bytes: u64) -> ColdSegment {
        let path = FileKind::Log.path(&log.directory, base_offset);
        let valid = match self.written.segment.cmp(&base_offset) {
            std::cmp::Ordering::Greater => bytes,
            std::cmp::Ordering::Equal => self.written.position,
            std::cmp::Ordering::Less => 0,
        };
        ColdSegment { base_offset, path, valid, content: log.content.get() }
    }
}
