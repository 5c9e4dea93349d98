//! Appends the fields of a message to a buffer.

use crate::varint;
use bytes::{BufMut, BytesMut};
use uuid::Uuid;

/// Why a message could not be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A string, array or frame longer than its length field can say.
    #[error("{length} bytes or elements do not fit their length field")]
    TooLong { length: usize },
    /// A message version that this codec does not know.
    #[error("version {version} is not known")]
    Version { version: i16 },
    /// A topic given by name where the version wants an id, or the other way round.
    #[error("version {version} does not name topics this way")]
    TopicKind { version: i16 },
}

/// Appends to a buffer in flexible or classic mode.
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut BytesMut,
    flexible: bool,
}

impl<'b> Writer<'b> {
    pub fn new(out: &'b mut BytesMut, flexible: bool) -> Writer<'b> {
        Writer { out, flexible }
    }

    pub fn is_flexible(&self) -> bool {
        self.flexible
    }

    /// Bytes in the buffer, those from before this writer included.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    pub fn i8(&mut self, value: i8) {
        self.out.put_i8(value);
    }

    pub fn i16(&mut self, value: i16) {
        self.out.put_i16(value);
    }

    pub fn i32(&mut self, value: i32) {
        self.out.put_i32(value);
    }

    pub fn i64(&mut self, value: i64) {
        self.out.put_i64(value);
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.out.put_slice(value.as_bytes());
    }

    pub fn unsigned_varint(&mut self, value: u32) {
        varint::put_unsigned(self.out, value);
    }

    pub fn string(&mut self, value: &str) -> Result<(), EncodeError> {
        self.nullable_string(Some(value))
    }

    pub fn nullable_string(&mut self, value: Option<&str>) -> Result<(), EncodeError> {
        let length = value.map(str::len);
        if self.flexible {
            self.compact_length(length)?;
        } else {
            self.i16(classic_length(length, i16::MAX as usize)? as i16);
        }
        self.out.put_slice(value.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// Length of a bytes field whose content the caller sends by other means; `None` is null.
    pub fn bytes_length(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        self.count(length)
    }

    /// Count of an array; `None` is null.
    pub fn count(&mut self, count: Option<usize>) -> Result<(), EncodeError> {
        if self.flexible {
            return self.compact_length(count);
        }
        self.i32(classic_length(count, i32::MAX as usize)?);
        Ok(())
    }

    /// Ends a structure that has no tagged fields; nothing in classic mode.
    pub fn no_tags(&mut self) {
        self.tag_count(0);
    }

    /// Says how many tagged fields follow; nothing in classic mode.
    pub fn tag_count(&mut self, fields: u32) {
        if self.flexible {
            self.unsigned_varint(fields);
        }
    }

    /// Writes one tagged field, whose content `write` appends.
    pub fn tag(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut content = BytesMut::new();
        write(&mut Writer::new(&mut content, true))?;
        self.unsigned_varint(tag);
        self.unsigned_varint(narrow(content.len())?);
        self.out.put_slice(&content);
        Ok(())
    }

    fn compact_length(&mut self, length: Option<usize>) -> Result<(), EncodeError> {
        let raw = match length {
            None => 0,
            // Kafka reads lengths as signed 32-bit.
            Some(length) => narrow(length)? + 1,
        };
        self.unsigned_varint(raw);
        Ok(())
    }
}

/// The signed length, -1 for null.
fn classic_length(length: Option<usize>, max: usize) -> Result<i32, EncodeError> {
    match length {
        None => Ok(-1),
        Some(length) if length <= max => Ok(length as i32),
        Some(length) => Err(EncodeError::TooLong { length }),
    }
}

fn narrow(length: usize) -> Result<u32, EncodeError> {
    if length < i32::MAX as usize { Ok(length as u32) } else { Err(EncodeError::TooLong { length }) }
}
