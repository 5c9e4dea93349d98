//! ListOffsets by time: the first record at or after a timestamp, and the record with the greatest one.
//!
//! Segments and the time index narrow it down to one batch; only that batch is unpacked, to a bound.

use std::rc::Rc;

use bytes::Bytes;
use thalweg_protocol::batch::{BatchView, Codec, Records, TimestampType};

use super::read::{ColdSegment, joined};
use super::segment::Index;
use super::unpack::unpack;
use super::{Log, ReadRequest};
use crate::bounds::LOOKUP_RECORDS_PER_TURN;
use crate::error::ReadError;
use crate::format::time_index::{TimeIndexView, TimestampOffset};

/// A record by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub leader_epoch: i32,
}

impl Log {
    /// The first record with a timestamp at or after `timestamp_ms`, in offset order, below the high watermark.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn offset_for_timestamp(
        self: &Rc<Self>,
        timestamp_ms: i64,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        self.consistent(async || self.find_timestamp(timestamp_ms).await).await
    }

    async fn find_timestamp(
        self: &Rc<Self>,
        timestamp_ms: i64,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let mut offset = self.log_start();
        for base_offset in self.segment_bases() {
            let Some(max) = self.segment_max_timestamp(base_offset).await? else { continue };
            if max.timestamp >= timestamp_ms {
                offset = offset.max(self.time_hint(base_offset, timestamp_ms).await?);
                return self.scan_for(offset, timestamp_ms).await;
            }
        }
        Ok(None)
    }

    /// The record with the greatest timestamp (KIP-734); the first of them.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn max_timestamp(self: &Rc<Self>) -> Result<Option<TimestampedOffset>, ReadError> {
        self.consistent(async || self.find_max_timestamp().await).await
    }

    async fn find_max_timestamp(self: &Rc<Self>) -> Result<Option<TimestampedOffset>, ReadError> {
        let mut greatest: Option<TimestampOffset> = None;
        for base_offset in self.segment_bases() {
            if let Some(max) = self.segment_max_timestamp(base_offset).await?
                && greatest.is_none_or(|greatest| max.timestamp > greatest.timestamp)
            {
                greatest = Some(max);
            }
        }
        let Some(greatest) = greatest else { return Ok(None) };
        self.scan_for(greatest.offset.max(self.log_start()), greatest.timestamp).await
    }

    fn segment_bases(&self) -> Vec<i64> {
        self.state.borrow().segments.iter().map(|segment| segment.base_offset).collect()
    }

    /// The greatest timestamp of a segment; read from its time index the first time it is asked for.
    pub(super) async fn segment_max_timestamp(
        self: &Rc<Self>,
        base_offset: i64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let segment = loop {
            let (known, is_stored, is_incomplete) = {
                let mut state = self.state.borrow_mut();
                let Some(segment) = state.segment_mut(base_offset) else { return Ok(None) };
                let incomplete =
                    matches!(segment.index, Index::Memory { complete_from, .. } if complete_from > 0);
                (segment.max_timestamp, matches!(segment.index, Index::Files), incomplete)
            };
            let found = self.cold_segment(base_offset).filter(|segment| segment.base_offset == base_offset);
            let Some(segment) = found else { return Ok(known) };
            if is_incomplete {
                // Meanwhile the segment may roll and its index go to files: look again.
                self.complete_active_index(&segment).await?;
            } else if known.is_some() || !is_stored {
                return Ok(known);
            } else {
                break segment;
            }
        };
        let index = self.stored_index(&segment).await?;
        let max = TimeIndexView::new(base_offset, &index.time_index).last();
        if let Some(segment) = self.state.borrow_mut().segment_mut(base_offset) {
            segment.max_timestamp = max;
        }
        Ok(max)
    }

    /// An offset of the segment at or before the first record with the timestamp.
    async fn time_hint(self: &Rc<Self>, base_offset: i64, timestamp_ms: i64) -> Result<i64, ReadError> {
        let lookup = |times: &[u8]| {
            let view = TimeIndexView::new(base_offset, times);
            // The greatest entry strictly below: an entry says that all before it are at or below its time.
            let before = view.lookup(timestamp_ms.saturating_sub(1));
            if before.timestamp < timestamp_ms { before.offset.max(base_offset) } else { base_offset }
        };
        let in_memory = match self.state.borrow_mut().segment_mut(base_offset).map(|segment| &segment.index) {
            Some(Index::Memory { bytes, .. }) => Some(lookup(&bytes.time_index)),
            _ => None,
        };
        match (in_memory, self.cold_segment(base_offset)) {
            (Some(offset), _) => Ok(offset),
            (None, Some(segment)) => Ok(lookup(&self.stored_index(&segment).await?.time_index)),
            (None, None) => Ok(base_offset),
        }
    }

    /// Walks batches from the one that contains `offset` on until one reaches the timestamp, and looks into that.
    async fn scan_for(
        self: &Rc<Self>,
        offset: i64,
        timestamp_ms: i64,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let mut offset = offset;
        while offset < self.high_watermark() {
            let slice = self.read(ReadRequest { offset, max_bytes: 64 << 10, at_least_one: true }).await?;
            if slice.total_bytes == 0 {
                break;
            }
            let bytes = joined(slice.bytes);
            let mut at = 0;
            while at < bytes.len() {
                let view = BatchView::parse(&bytes[at..])
                    .map_err(|error| self.unreadable(offset, &error.to_string()))?;
                let end = at + view.total_bytes();
                if view.max_timestamp() >= timestamp_ms {
                    let batch = bytes.slice(at..end);
                    if let Some(found) = self.find_in_batch(batch, timestamp_ms).await? {
                        return Ok(Some(found));
                    }
                }
                offset = view.last_offset() + 1;
                at = end;
            }
            self.volume.io().yield_now().await;
        }
        Ok(None)
    }

    async fn find_in_batch(
        &self,
        batch: Bytes,
        timestamp_ms: i64,
    ) -> Result<Option<TimestampedOffset>, ReadError> {
        let fault = |what: &str| self.unreadable(-1, what);
        let view = BatchView::parse(&batch).map_err(|error| fault(&error.to_string()))?;
        let leader_epoch = view.leader_epoch();
        if view.timestamp_type() == TimestampType::LogAppendTime {
            let found = TimestampedOffset {
                offset: view.base_offset(),
                timestamp_ms: view.max_timestamp(),
                leader_epoch,
            };
            return Ok(Some(found));
        }
        let codec = view.codec().ok_or_else(|| fault("an unknown compression codec"))?;
        let unpacked = match codec {
            Codec::None => None,
            codec => Some(unpack(self.volume.io(), codec, view.body()).await.map_err(|what| fault(&what))?),
        };
        let body = unpacked.as_deref().unwrap_or(view.body());
        for (index, record) in Records::new(body, view.count()).enumerate() {
            if index % LOOKUP_RECORDS_PER_TURN == LOOKUP_RECORDS_PER_TURN - 1 {
                self.volume.io().yield_now().await;
            }
            let record = record.map_err(|error| fault(&error.to_string()))?;
            let record_ms = view.base_timestamp().saturating_add(record.timestamp_delta);
            if record_ms >= timestamp_ms {
                let offset = view.base_offset() + i64::from(record.offset_delta);
                return Ok(Some(TimestampedOffset { offset, timestamp_ms: record_ms, leader_epoch }));
            }
        }
        Ok(None)
    }

    fn unreadable(&self, offset: i64, what: &str) -> ReadError {
        let segment = ColdSegment {
            base_offset: 0,
            path: self.directory.clone(),
            valid: 0,
            content: self.content.get(),
        };
        self.damage(&segment, 0, offset, what)
    }
}
