//! Reads record batches (magic 2) out of fetched bytes. Views only: nothing is copied but what a codec unpacks.

use std::borrow::Cow;

use crate::batch::{BATCH_HEAD, CRC_FROM};
use crate::compress::Codec;
use crate::wire::WireError;
use crate::wire::decode::Decoder;

/// Whether the CRC of each batch is worth its CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    None,
    Crc,
}

/// A batch that cannot be what its producer wrote.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error("batch at offset {offset}: magic {magic}, expected 2")]
    Magic { offset: i64, magic: i8 },
    #[error("batch at offset {offset}: unknown codec in attributes {attributes}")]
    Codec { offset: i64, attributes: i16 },
    #[error("batch at offset {offset}: {source}")]
    Unpack { offset: i64, source: std::io::Error },
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// One batch as it lies in a Fetch response.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    pub base_offset: i64,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub count: i32,
    /// False if the CRC was checked and does not match the bytes.
    pub is_intact: bool,
    records: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    pub offset_delta: i64,
    pub value: &'a [u8],
}

/// Whole batches of `bytes` in order. A cut-off last one ends the iteration, as brokers may send such; an error ends
/// it too, after being returned.
pub fn batches(bytes: &[u8], checks: Checks) -> impl Iterator<Item = Result<BatchView<'_>, BatchError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let head = rest.first_chunk::<12>()?;
        let length = i32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        let Some(end) = usize::try_from(length).ok().map(|n| n + 12).filter(|&n| n >= BATCH_HEAD) else {
            rest = &[];
            return Some(Err(WireError::Invalid { field: "batch length", value: length.into() }.into()));
        };
        let batch = rest.get(..end)?;
        rest = &rest[end..];
        let view = view(batch, checks);
        if view.is_err() {
            rest = &[];
        }
        Some(view)
    })
}

fn view(batch: &[u8], checks: Checks) -> Result<BatchView<'_>, BatchError> {
    let mut d = Decoder::new(batch);
    let base_offset = d.i64("base offset")?;
    d.take(8, "batch length and leader epoch")?;
    let magic = d.i8("magic")?;
    if magic != 2 {
        return Err(BatchError::Magic { offset: base_offset, magic });
    }
    let crc = d.u32("crc")?;
    let is_intact = checks == Checks::None || crc32c::crc32c(&batch[CRC_FROM..]) == crc;
    let (attributes, last_offset_delta) = (d.i16("attributes")?, d.i32("last offset delta")?);
    d.take(8 + 8 + 8 + 2 + 4, "timestamps and producer")?;
    let count = d.i32("record count")?;
    Ok(BatchView {
        base_offset,
        attributes,
        last_offset_delta,
        count,
        is_intact,
        records: &batch[BATCH_HEAD..],
    })
}

impl<'a> BatchView<'a> {
    /// Offset after this batch, which is always beyond it, whatever its head says.
    pub fn next_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta.max(0)) + 1)
    }

    /// A transaction marker holds no producer's records.
    pub fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    /// The records, unpacked if a codec packed them.
    pub fn unpack(&self) -> Result<Records<'a>, BatchError> {
        let codec = Codec::from_attributes(self.attributes)
            .ok_or(BatchError::Codec { offset: self.base_offset, attributes: self.attributes })?;
        let bytes = match codec {
            Codec::None => Cow::Borrowed(self.records),
            _ => Cow::Owned(
                codec
                    .decompress(self.records)
                    .map_err(|source| BatchError::Unpack { offset: self.base_offset, source })?,
            ),
        };
        Ok(Records { bytes, count: self.count })
    }
}

/// Unpacked records of one batch.
#[derive(Debug)]
pub struct Records<'a> {
    bytes: Cow<'a, [u8]>,
    count: i32,
}

impl Records<'_> {
    /// As many records as the head counts, or an error in place of the first that does not parse.
    pub fn iter(&self) -> impl Iterator<Item = Result<RecordView<'_>, WireError>> {
        let mut d = Decoder::new(&self.bytes);
        let mut left = self.count.max(0);
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let record = record(&mut d);
            left = if record.is_ok() { left - 1 } else { 0 };
            Some(record)
        })
    }
}

fn field<'a>(d: &mut Decoder<'a>, name: &'static str) -> Result<&'a [u8], WireError> {
    match usize::try_from(d.varint(name)?) {
        Ok(n) => d.take(n, name),
        Err(_null) => Ok(&[]),
    }
}

fn record<'a>(d: &mut Decoder<'a>) -> Result<RecordView<'a>, WireError> {
    let mut body = Decoder::new(field(d, "record")?);
    body.i8("record attributes")?;
    body.varint("timestamp delta")?;
    let offset_delta = body.varint("offset delta")?;
    field(&mut body, "key")?;
    Ok(RecordView { offset_delta, value: field(&mut body, "value")? })
}
