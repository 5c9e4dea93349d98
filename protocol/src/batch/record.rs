//! Records inside an uncompressed (or decompressed) RecordBatch v2 body.
//!
//! ```text
//! length varint | attributes i8 | timestamp delta varlong | offset delta varint
//!   | key length varint, key | value length varint, value | header count varint
//!   | per header: key length varint, key, value length varint, value
//! ```
//! All varints are zigzag; a length of -1 is null, which header keys may not be. `length` counts what follows it.
//!
//! Invariants: one pass, no allocation, nothing outside the body is touched; a record uses its length exactly. After
//! the first error the iterator ends. Bytes left over behind the last record are an error too.

use super::layout::Codec;
use crate::varint::{self, VarintError};

/// Why records could not be decoded. `position` counts bytes from the start of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The body is compressed, or names an unknown codec.
    #[error("records are compressed ({codec:?})")]
    Compressed { codec: Option<Codec> },
    /// A varint that ends early or does not fit.
    #[error("record at byte {position}: {source}")]
    Varint { position: usize, source: VarintError },
    /// A length or count that is negative, or reaches past the record or the body.
    #[error("record at byte {position}: length or count {length} is out of bounds")]
    Length { position: usize, length: i64 },
    /// The fields end before the record's length does.
    #[error("record at byte {position}: {unused} bytes are left over")]
    Unused { position: usize, unused: usize },
    /// The header's count is negative, or the body holds more or less than that.
    #[error("batch says {count} records, {found} were found")]
    Count { count: i32, found: i32 },
}

/// One record; keys, values and headers are slices of the body.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Unused by Kafka so far.
    pub attributes: i8,
    /// ms to add to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// To add to the batch's base offset.
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: Headers<'a>,
}

/// One record header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by convention; not checked here.
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// The headers of a record, whose bounds have been checked already.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: usize,
}

/// Iterator over the records of a body.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    body: &'a [u8],
    position: usize,
    count: i32,
    found: i32,
    ended: bool,
}

impl<'a> Records<'a> {
    /// Records of `body`, uncompressed, of which the batch header says there are `count`.
    pub fn new(body: &'a [u8], count: i32) -> Records<'a> {
        Records { body, position: 0, count, found: 0, ended: false }
    }

    /// Byte of the body after the last record that was returned.
    pub fn position(&self) -> usize {
        self.position
    }

    fn step(&mut self) -> Result<Option<Record<'a>>, RecordError> {
        let rest = &self.body[self.position..];
        let expects_more = self.found < self.count;
        if rest.is_empty() == expects_more || self.count < 0 {
            return Err(RecordError::Count { count: self.count, found: self.found });
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let mut outer = Fields { rest, position: self.position };
        let record = outer.record()?;
        self.position = self.body.len() - outer.rest.len();
        self.found += 1;
        Ok(Some(record))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let step = self.step().transpose();
        self.ended = !matches!(step, Some(Ok(_)));
        step
    }
}

impl<'a> Headers<'a> {
    pub fn len(&self) -> usize {
        self.left
    }

    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut fields = Fields { rest: self.rest, position: 0 };
        let header = fields.header().ok()?;
        self.rest = fields.rest;
        Some(header)
    }
}

/// Cursor over the fields of one record; `position` is that record's start, for errors.
struct Fields<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Fields<'a> {
    fn record(&mut self) -> Result<Record<'a>, RecordError> {
        let length = self.varint()?;
        let bytes = self.take(length)?;
        let mut inner = Fields { rest: bytes, position: self.position };
        let record = Record {
            attributes: inner.take(1)?[0] as i8,
            timestamp_delta: inner.varlong()?,
            offset_delta: inner.varint()?,
            key: inner.nullable()?,
            value: inner.nullable()?,
            headers: inner.headers()?,
        };
        match inner.rest.len() {
            0 => Ok(record),
            unused => Err(RecordError::Unused { position: self.position, unused }),
        }
    }

    /// Walks the headers once to check them; a count is never trusted beyond the bytes that are there.
    fn headers(&mut self) -> Result<Headers<'a>, RecordError> {
        let count = self.varint()?;
        let out_of_bounds = RecordError::Length { position: self.position, length: i64::from(count) };
        // A header takes two bytes at least.
        let left = match usize::try_from(count) {
            Ok(left) if left <= self.rest.len() / 2 => left,
            _ => return Err(out_of_bounds),
        };
        let headers = Headers { rest: self.rest, left };
        for _ in 0..left {
            self.header()?;
        }
        Ok(headers)
    }

    fn header(&mut self) -> Result<Header<'a>, RecordError> {
        let key_length = self.varint()?;
        Ok(Header { key: self.take(key_length)?, value: self.nullable()? })
    }

    fn nullable(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        match self.varint()? {
            -1 => Ok(None),
            length => self.take(length).map(Some),
        }
    }

    fn take(&mut self, length: i32) -> Result<&'a [u8], RecordError> {
        let split = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length));
        let Some((taken, rest)) = split else {
            return Err(RecordError::Length { position: self.position, length: i64::from(length) });
        };
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<i32, RecordError> {
        let (value, used) = varint::read_zigzag(self.rest).map_err(|source| self.malformed(source))?;
        self.rest = &self.rest[used..];
        Ok(value)
    }

    fn varlong(&mut self) -> Result<i64, RecordError> {
        let (value, used) = varint::read_zigzag_long(self.rest).map_err(|source| self.malformed(source))?;
        self.rest = &self.rest[used..];
        Ok(value)
    }

    fn malformed(&self, source: VarintError) -> RecordError {
        RecordError::Varint { position: self.position, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// attributes, timestamp delta, offset delta, null key, null value, no headers.
    const FIELDS: [u8; 6] = [0, 0, 0, 1, 1, 0];

    fn first(body: &[u8]) -> Result<Record<'_>, RecordError> {
        Records::new(body, 1).next().unwrap()
    }

    #[test]
    fn a_record_uses_its_length_exactly() {
        let exact = [&[12][..], &FIELDS].concat();
        assert!(first(&exact).is_ok());
        let loose = [&[14][..], &FIELDS, &[0]].concat();
        assert_eq!(first(&loose).unwrap_err(), RecordError::Unused { position: 0, unused: 1 });
        let tight = [&[10][..], &FIELDS].concat();
        assert!(matches!(first(&tight), Err(RecordError::Varint { position: 0, .. })));
    }

    #[test]
    fn lengths_and_counts_stay_within_the_record() {
        let long = [&[14][..], &FIELDS[..3], &[40, 0xaa, 1, 0]].concat();
        assert_eq!(first(&long).unwrap_err(), RecordError::Length { position: 0, length: 20 });
        let headers = [&[12][..], &FIELDS[..5], &[8]].concat();
        assert_eq!(first(&headers).unwrap_err(), RecordError::Length { position: 0, length: 4 });
        let negative = [&[1][..], &FIELDS].concat();
        assert_eq!(first(&negative).unwrap_err(), RecordError::Length { position: 0, length: -1 });
    }
}
