//! Batches of a segment, one after the other, of every message format.

use std::path::Path;

use thalweg_protocol::batch::{BatchError, BatchView, Codec, MAGIC, MAGIC_AT, PEEK_BYTES, TimestampType};

use super::legacy::Message;
use super::source::Source;
use super::{DumpError, corrupt};

/// Bytes of the offset and size before every batch.
const OVERHEAD: u64 = 12;
/// The least that the size field says, in any format: that of an empty message of format 0.
const SIZE_MIN: i32 = 14;

/// A segment's bytes.
pub struct Segment<'a> {
    source: &'a dyn Source,
    path: &'a Path,
}

/// One batch with its bytes.
pub struct Batch {
    pub bytes: Vec<u8>,
}

impl<'a> Segment<'a> {
    pub fn new(source: &'a dyn Source, path: &'a Path) -> Segment<'a> {
        Segment { source, path }
    }

    /// The batch that begins at `position`; none where the bytes before `end` are too few for it.
    ///
    /// # Errors
    /// When what stands there is no batch.
    pub fn batch_at(&self, position: u64, end: u64) -> Result<Option<Batch>, DumpError> {
        let end = end.min(self.source.len());
        if position.saturating_add(PEEK_BYTES as u64) > end {
            return Ok(None);
        }
        let head = self.source.read(position, PEEK_BYTES)?;
        let size = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        if size < SIZE_MIN {
            return Err(self.too_small(position, size, head.iter().all(|&byte| byte == 0)));
        }
        let total = OVERHEAD + u64::try_from(size).unwrap_or(0);
        if position.saturating_add(total) > end {
            return Ok(None);
        }
        let length = usize::try_from(total).unwrap_or(usize::MAX);
        self.source.read(position, length).map(|bytes| Some(Batch { bytes }))
    }

    fn too_small(&self, position: u64, size: i32, blank: bool) -> DumpError {
        let why = if blank {
            format!(
                " (from byte {position} on there are zeros: space that was allocated ahead of the batches, which a clean \
                 stop of the broker cuts off)"
            )
        } else {
            String::new()
        };
        corrupt(format!(
            "org.apache.kafka.common.errors.CorruptRecordException: Found record size {size} smaller than minimum record \
             overhead ({SIZE_MIN}) in file {}.{why}",
            self.path.display()
        ))
    }
}

/// A batch by its format.
pub enum View<'a> {
    V2(BatchView<'a>),
    Legacy(Message<'a>),
}

impl Batch {
    /// # Errors
    /// When it is too short for its format, or the format is unknown.
    pub fn view(&self) -> Result<View<'_>, DumpError> {
        let magic = self.bytes.get(MAGIC_AT).map_or(-1, |&byte| byte as i8);
        if (0..MAGIC).contains(&magic) {
            return Message::parse(&self.bytes).map(View::Legacy);
        }
        match BatchView::parse(&self.bytes) {
            Ok(view) => Ok(View::V2(view)),
            Err(error) => Err(self.unreadable(&error)),
        }
    }

    fn unreadable(&self, error: &BatchError) -> DumpError {
        corrupt(format!("org.apache.kafka.common.errors.CorruptRecordException: {error}"))
    }

    /// The line that Kafka's tool prints for a batch at `position`.
    ///
    /// # Errors
    /// As [`Batch::view`].
    pub fn describe(&self, position: u64) -> Result<String, DumpError> {
        Ok(match self.view()? {
            View::V2(batch) => describe(&batch, position),
            View::Legacy(message) => message.describe(position),
        })
    }

    /// The last offset that the header names.
    ///
    /// # Errors
    /// As [`Batch::view`].
    pub fn last_offset(&self) -> Result<i64, DumpError> {
        Ok(match self.view()? {
            View::V2(batch) => batch.base_offset().wrapping_add(i64::from(batch.last_offset_delta())),
            View::Legacy(message) => message.offset,
        })
    }
}

fn describe(batch: &BatchView<'_>, position: u64) -> String {
    let last_offset = batch.base_offset().wrapping_add(i64::from(batch.last_offset_delta()));
    let horizon = match batch.has_delete_horizon() {
        true => format!("OptionalLong[{}]", batch.base_timestamp()),
        false => "OptionalLong.empty".to_owned(),
    };
    format!(
        "baseOffset: {} lastOffset: {last_offset} count: {} baseSequence: {} lastSequence: {} producerId: {} \
         producerEpoch: {} partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {horizon} \
         position: {position} {}: {} size: {} magic: {} compresscodec: {} crc: {} isvalid: {}",
        batch.base_offset(),
        batch.count(),
        batch.base_sequence(),
        sequence(batch.base_sequence(), batch.last_offset_delta()),
        batch.producer_id(),
        batch.producer_epoch(),
        batch.leader_epoch(),
        batch.is_transactional(),
        batch.is_control(),
        timestamp_type(batch.timestamp_type()),
        batch.max_timestamp(),
        batch.total_bytes(),
        batch.magic(),
        codec_name(batch.codec()),
        batch.crc(),
        batch.crc_ok(),
    )
}

/// The sequence `delta` behind `base`, which wraps from the greatest to 0; -1 without one.
pub fn sequence(base: i32, delta: i32) -> i32 {
    if base < 0 {
        return base;
    }
    let sum = i64::from(base) + i64::from(delta);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(-1)
}

pub fn timestamp_type(kind: TimestampType) -> &'static str {
    match kind {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

pub fn codec_name(codec: Option<Codec>) -> &'static str {
    match codec {
        Some(Codec::None) => "none",
        Some(Codec::Gzip) => "gzip",
        Some(Codec::Snappy) => "snappy",
        Some(Codec::Lz4) => "lz4",
        Some(Codec::Zstd) => "zstd",
        None => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_protocol::batch::BatchBuilder;

    fn batches(bytes: &[u8]) -> Result<Vec<String>, String> {
        let segment = Segment::new(&bytes, Path::new("0.log"));
        let (mut position, mut lines) = (0, Vec::new());
        while let Some(batch) = segment.batch_at(position, u64::MAX).map_err(|error| error.to_string())? {
            lines.push(batch.describe(position).map_err(|error| error.to_string())?);
            position += batch.bytes.len() as u64;
        }
        Ok(lines)
    }

    #[test]
    fn a_batch_is_described_as_kafka_does() {
        let batch = BatchBuilder::new()
            .producer(9, 1, i32::MAX)
            .record(4, None, Some(b"v"))
            .record(5, None, None)
            .build();
        let crc = BatchView::parse(&batch).unwrap().crc();
        assert_eq!(
            batches(&batch).unwrap(),
            [format!(
                "baseOffset: 0 lastOffset: 1 count: 2 baseSequence: 2147483647 lastSequence: 0 producerId: 9 \
                 producerEpoch: 1 partitionLeaderEpoch: {} isTransactional: false isControl: false deleteHorizonMs: \
                 OptionalLong.empty position: 0 CreateTime: 5 size: {} magic: 2 compresscodec: none crc: {crc} isvalid: true",
                BatchView::parse(&batch).unwrap().leader_epoch(),
                batch.len()
            )]
        );
    }

    #[test]
    fn a_cut_batch_ends_the_segment_and_zeros_are_named() {
        let batch = BatchBuilder::new().record(4, None, Some(b"v")).build();
        assert_eq!(batches(&batch[..batch.len() - 1]), Ok(vec![]));
        let padded = [&batch[..], &[0; 64]].concat();
        let error = batches(&padded).unwrap_err();
        assert!(
            error.contains("Found record size 0 smaller than minimum record overhead (14) in file 0.log."),
            "{error}"
        );
        assert!(error.contains("allocated ahead"), "{error}");
    }
}
