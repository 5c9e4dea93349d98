//! One pass over a log: learn the last offset of its dirty keys, then rewrite its segments without what is older.

use std::rc::Rc;

use bytes::Bytes;
use thalweg_protocol::batch::{BatchView, Codec, Records};

use super::CleanerOptions;
use super::filter::{Kept, Rules, Sieve, cleanable_codec, emptied};
use super::offset_map::OffsetMap;
use super::pace::Pace;
use super::range::Range;
use super::segment::{CleanedWriter, SegmentReader};
use crate::bounds::{BATCH_BYTES_MAX, CLEAN_SLICE_BYTES};
use crate::error::{Corruption, IoFailure, ReadError};
use crate::log::{Log, Replacement, SegmentInfo, pack, unpack};

/// Why a pass did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CleanError {
    #[error(transparent)]
    Io(#[from] IoFailure),
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log is left alone until a restart: what is in it cannot be judged.
    #[error("{0}; the log is not compacted until that is mended and the server restarted")]
    Uncleanable(Corruption),
    #[error("the segment at {base_offset} would become too large")]
    TooLarge { base_offset: i64 },
    #[error(
        "its segments need up to {bytes} bytes once more while they are rewritten, and the disk has no room for that"
    )]
    NoRoom { bytes: u64 },
    /// The log was removed or is not compacted any more, segments went, or the server stops.
    #[error("it was interrupted")]
    Interrupted,
}

/// What a pass did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cleaned {
    pub bytes_before: u64,
    pub bytes_after: u64,
}

/// Cleans `range`, as much of it as the map has room for.
///
/// # Errors
/// See [`CleanError`]; every segment is the old one or the new one.
pub(crate) async fn clean(
    log: &Rc<Log>,
    range: &Range,
    options: &CleanerOptions,
    map_bytes_max: u64,
    stopping: &dyn Fn() -> bool,
) -> Result<Cleaned, CleanError> {
    let io = log.volume().io().clone();
    let keys = (range.end - range.first_dirty).unsigned_abs();
    let secret = (io.random(), io.random());
    let mut map = OffsetMap::new(keys, map_bytes_max, options.load_factor, secret);
    let pace = Pace::new(log.volume(), options.io_bytes_per_second);
    let mut pass = Pass { log, pace, stopping, cleaned: Cleaned::default() };
    pass.survey(range, &mut map).await?;
    // Not what a batch says of itself: deltas of records are the client's.
    let end = (map.latest() + 1).min(range.end);
    let rules = Rules {
        map: &map,
        now_ms: io.wall_clock_ms(),
        delete_retention_ms: log.options().delete_retention_ms,
    };
    for group in range.groups(log, end) {
        pass.clean_group(&group, &rules).await?;
    }
    log.note_cleaned(end);
    Ok(pass.cleaned)
}

struct Pass<'a> {
    log: &'a Rc<Log>,
    pace: Pace,
    stopping: &'a dyn Fn() -> bool,
    cleaned: Cleaned,
}

impl Pass<'_> {
    async fn turn(&mut self, bytes: usize) -> Result<(), CleanError> {
        self.pace.slice(bytes).await;
        self.check()
    }

    /// Whether to go on: the log may have been removed, or been told not to be compacted any more.
    fn check(&self) -> Result<(), CleanError> {
        let goes_on = !(self.stopping)() && !self.log.is_removed() && self.log.options().compact;
        if goes_on { Ok(()) } else { Err(CleanError::Interrupted) }
    }

    /// Puts the keys of the dirty records into the map, until it is full.
    async fn survey(&mut self, range: &Range, map: &mut OffsetMap) -> Result<(), CleanError> {
        for segment in range.segments.iter().filter(|segment| segment.next_offset > range.first_dirty) {
            let mut reader = SegmentReader::open(self.log, *segment).await?;
            while let Some(batch) = reader.next(&mut self.pace).await? {
                let Ok(view) = BatchView::parse(&batch) else { panic!("a batch that was just checked") };
                if view.last_offset() < range.first_dirty {
                    continue;
                }
                let body = self.unpacked(&reader, &view).await?;
                if !self.survey_batch(&reader, &view, body.as_deref(), range.first_dirty, map).await? {
                    return Ok(());
                }
                map.note(view.last_offset());
            }
            map.note(segment.next_offset - 1);
        }
        Ok(())
    }

    /// False: the map is full.
    async fn survey_batch(
        &mut self,
        reader: &SegmentReader,
        view: &BatchView<'_>,
        body: Option<&[u8]>,
        first_dirty: i64,
        map: &mut OffsetMap,
    ) -> Result<bool, CleanError> {
        if view.is_control() {
            return Ok(true);
        }
        let mut records = Records::new(body.unwrap_or(view.body()), view.count());
        let mut turned = 0;
        while let Some(record) = records.next() {
            let record = record.map_err(|error| reader.damage(error.to_string()))?;
            let offset = view.base_offset() + i64::from(record.offset_delta);
            if offset >= first_dirty
                && let Some(key) = record.key
                && !map.put(key, offset)
            {
                return Ok(false);
            }
            if records.position() - turned >= CLEAN_SLICE_BYTES {
                self.turn(records.position() - turned).await?;
                turned = records.position();
            }
        }
        self.turn(records.position() - turned).await?;
        Ok(true)
    }

    /// The records of a compressed batch; None when they are not.
    async fn unpacked(
        &mut self,
        reader: &SegmentReader,
        view: &BatchView<'_>,
    ) -> Result<Option<Vec<u8>>, CleanError> {
        match cleanable_codec(view).map_err(|what| reader.damage(what))? {
            Codec::None => Ok(None),
            codec => {
                let unpacked = unpack(self.log.volume().io(), codec, view.body()).await;
                unpacked.map(Some).map_err(|what| reader.damage(what))
            }
        }
    }

    /// Rewrites some segments as one. What nothing is dropped from stays as it is.
    async fn clean_group(&mut self, group: &[SegmentInfo], rules: &Rules<'_>) -> Result<(), CleanError> {
        let Some(first) = group.first() else { return Ok(()) };
        let before: u64 = group.iter().map(|segment| segment.bytes).sum();
        if !self.log.volume().room.has_beside_reserve(before) {
            return Err(CleanError::NoRoom { bytes: before });
        }
        let Some(mut writer) = CleanedWriter::create(self.log, first.base_offset).await? else {
            return Err(CleanError::Interrupted);
        };
        let outcome = self.rewrite(group, rules, &mut writer).await;
        let outcome = match outcome {
            Ok(changed) if changed || group.len() > 1 => self.put_in_place(group, writer, before).await,
            Ok(_) => {
                self.log.discard_cleaned(first.base_offset).await;
                return Ok(());
            }
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.log.discard_cleaned(first.base_offset).await;
        }
        outcome
    }

    async fn put_in_place(
        &mut self,
        group: &[SegmentInfo],
        writer: CleanedWriter,
        before: u64,
    ) -> Result<(), CleanError> {
        let cleaned = writer.finish().await?;
        let after = cleaned.bytes;
        let bases: Vec<i64> = group.iter().map(|segment| segment.base_offset).collect();
        self.check()?;
        match self.log.replace_segments(&bases, cleaned).await? {
            Replacement::Done => {
                self.cleaned.bytes_before += before;
                self.cleaned.bytes_after += after;
                Ok(())
            }
            Replacement::Stale => Err(CleanError::Interrupted),
        }
    }

    /// Says whether anything was dropped or changed.
    async fn rewrite(
        &mut self,
        group: &[SegmentInfo],
        rules: &Rules<'_>,
        writer: &mut CleanedWriter,
    ) -> Result<bool, CleanError> {
        let last_of_producer = self.log.last_offsets_of_producers();
        let mut changed = false;
        for segment in group {
            let mut reader = SegmentReader::open(self.log, *segment).await?;
            while let Some(batch) = reader.next(&mut self.pace).await? {
                let Ok(view) = BatchView::parse(&batch) else { panic!("a batch that was just checked") };
                let keeps_sequence = last_of_producer.get(&view.producer_id()) == Some(&view.last_offset());
                let left = self.sift(&reader, &batch, &view, rules, keeps_sequence).await?;
                changed |= left.as_ref().is_none_or(|left| left.as_ptr() != batch.as_ptr());
                if let Some(left) = left {
                    writer.push(&left).await?;
                }
                self.turn(batch.len()).await?;
            }
        }
        Ok(changed)
    }

    /// What is left of a batch; None for nothing.
    async fn sift(
        &mut self,
        reader: &SegmentReader,
        batch: &Bytes,
        view: &BatchView<'_>,
        rules: &Rules<'_>,
        keeps_sequence: bool,
    ) -> Result<Option<Bytes>, CleanError> {
        if view.is_control() || view.base_offset() > rules.map.latest() {
            return Ok(Some(batch.clone()));
        }
        let body = self.unpacked(reader, view).await?;
        let mut sieve = Sieve::new(*view, body.as_deref().unwrap_or(view.body()));
        while sieve.step(rules, CLEAN_SLICE_BYTES).map_err(|error| reader.damage(error.to_string()))? {
            self.turn(CLEAN_SLICE_BYTES).await?;
        }
        let part = match sieve.finish(rules) {
            Kept::Whole => return Ok(Some(batch.clone())),
            Kept::Nothing if keeps_sequence && view.count() == 0 => return Ok(Some(batch.clone())),
            Kept::Nothing if keeps_sequence => return Ok(Some(emptied(view).into())),
            Kept::Nothing => return Ok(None),
            Kept::Part(part) => part,
        };
        let codec = view.codec().unwrap_or(Codec::None);
        let body =
            pack(self.log.volume().io(), codec, &part.body).await.map_err(|what| reader.damage(what))?;
        let left = part.seal(&body);
        // Packed worse than its producer did it, it could outgrow what a log takes: then it stays as it was.
        Ok(Some(if left.len() > BATCH_BYTES_MAX { batch.clone() } else { left.into() }))
    }
}
