//! Cursor over the fields of a message.

use crate::varint::{self, VarintError};
use uuid::Uuid;

/// Why bytes are not the message they are taken for. `position` counts bytes from the start of the reader's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The input ends inside a field.
    #[error("byte {position}: {needed} bytes are needed, {left} are left")]
    Truncated { position: usize, needed: usize, left: usize },
    /// A length or count below its null marker, or a null where none is allowed.
    #[error("byte {position}: length {length} is not allowed")]
    Length { position: usize, length: i64 },
    /// An array count beyond the bytes that are left.
    #[error("byte {position}: {count} elements cannot be in {left} bytes")]
    Count { position: usize, count: usize, left: usize },
    /// A malformed unsigned varint.
    #[error("byte {position}: {source}")]
    Varint { position: usize, source: VarintError },
    /// A string that is not UTF-8.
    #[error("byte {position}: string is not UTF-8")]
    Utf8 { position: usize },
    /// A message version that this codec does not know.
    #[error("version {version} is not known")]
    Version { version: i16 },
}

/// Cursor over a message; cheap to clone, and a clone re-reads from the same place.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    input: &'a [u8],
    position: usize,
    flexible: bool,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `input`, in flexible or classic mode.
    pub fn new(input: &'a [u8], flexible: bool) -> Reader<'a> {
        Reader { input, position: 0, flexible }
    }

    /// A reader that continues at `position`; past the end is the same as at the end.
    pub fn at(input: &'a [u8], position: usize, flexible: bool) -> Reader<'a> {
        Reader { input, position: position.min(input.len()), flexible }
    }

    /// Switches mode from here on.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes not read yet.
    pub fn left(&self) -> usize {
        self.input.len() - self.position
    }

    pub fn i8(&mut self) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// One byte; anything but 0 is true.
    pub fn bool(&mut self) -> Result<bool, WireError> {
        Ok(self.i8()? != 0)
    }

    pub fn uuid(&mut self) -> Result<Uuid, WireError> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    pub fn unsigned_varint(&mut self) -> Result<u32, WireError> {
        let position = self.position;
        match varint::read_unsigned(&self.input[position..]) {
            Ok((value, used)) => {
                self.position += used;
                Ok(value)
            }
            Err(source) => Err(WireError::Varint { position, source }),
        }
    }

    /// A string that may not be null.
    pub fn string(&mut self) -> Result<&'a str, WireError> {
        let position = self.position;
        self.nullable_string()?.ok_or(WireError::Length { position, length: -1 })
    }

    pub fn nullable_string(&mut self) -> Result<Option<&'a str>, WireError> {
        let start = self.position;
        let length = match self.flexible {
            true => self.compact_length()?,
            false => classic_length(start, i64::from(self.i16()?))?,
        };
        let Some(length) = length else { return Ok(None) };
        let position = self.position;
        match std::str::from_utf8(self.take(length)?) {
            Ok(string) => Ok(Some(string)),
            Err(_) => Err(WireError::Utf8 { position }),
        }
    }

    /// Bytes that may not be null.
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let position = self.position;
        self.nullable_bytes()?.ok_or(WireError::Length { position, length: -1 })
    }

    pub fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, WireError> {
        let start = self.position;
        let length = match self.flexible {
            true => self.compact_length()?,
            false => classic_length(start, i64::from(self.i32()?))?,
        };
        length.map(|length| self.take(length)).transpose()
    }

    /// Count of an array that may not be null, never more than the bytes that are left.
    pub fn count(&mut self) -> Result<usize, WireError> {
        let position = self.position;
        self.nullable_count()?.ok_or(WireError::Length { position, length: -1 })
    }

    /// Count of an array, never more than the bytes that are left.
    pub fn nullable_count(&mut self) -> Result<Option<usize>, WireError> {
        let position = self.position;
        let count = match self.flexible {
            true => self.compact_length()?,
            false => classic_length(position, i64::from(self.i32()?))?,
        };
        match count {
            Some(count) if count > self.left() => {
                Err(WireError::Count { position, count, left: self.left() })
            }
            count => Ok(count),
        }
    }

    /// Skips the tagged fields that end a structure in flexible mode; nothing in classic mode.
    pub fn skip_tags(&mut self) -> Result<(), WireError> {
        self.tags(|_, _| Ok(()))
    }

    /// Hands every tagged field to `visit`, which reads those it knows from a reader of just that field.
    pub fn tags(
        &mut self,
        mut visit: impl FnMut(u32, &mut Reader<'a>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        if !self.flexible {
            return Ok(());
        }
        let fields = self.unsigned_varint()?;
        for _ in 0..fields {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let position = self.position;
            self.take(size)?;
            let input = &self.input[..self.position];
            visit(tag, &mut Reader { input, position, flexible: true })?;
        }
        Ok(())
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let rest = &self.input[self.position..];
        let truncated = WireError::Truncated { position: self.position, needed: length, left: rest.len() };
        let taken = rest.get(..length).ok_or(truncated)?;
        self.position += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut value = [0; N];
        value.copy_from_slice(self.take(N)?);
        Ok(value)
    }

    /// Length plus one, where 0 is null.
    fn compact_length(&mut self) -> Result<Option<usize>, WireError> {
        Ok((self.unsigned_varint()? as usize).checked_sub(1))
    }
}

/// A signed length, where -1 is null.
fn classic_length(position: usize, length: i64) -> Result<Option<usize>, WireError> {
    match usize::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 => Ok(None),
        Err(_) => Err(WireError::Length { position, length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_bounded_by_the_bytes_left() {
        let mut classic = Reader::new(&[0x7f, 0xff, 0xff, 0xff, 1, 2], false);
        assert_eq!(classic.count(), Err(WireError::Count { position: 0, count: i32::MAX as usize, left: 2 }));
        let mut compact = Reader::new(&[4, 1, 2], true);
        assert_eq!(compact.count(), Err(WireError::Count { position: 0, count: 3, left: 2 }));
        assert_eq!(Reader::new(&[3, 1, 2], true).count(), Ok(2));
    }

    #[test]
    fn null_is_told_from_empty_and_from_nonsense() {
        assert_eq!(Reader::new(&[0xff, 0xff], false).nullable_string(), Ok(None));
        assert_eq!(Reader::new(&[0, 0], false).nullable_string(), Ok(Some("")));
        let nonsense = Err(WireError::Length { position: 0, length: -2 });
        assert_eq!(Reader::new(&[0xff, 0xfe], false).nullable_string(), nonsense);
        assert_eq!(Reader::new(&[0], true).nullable_bytes(), Ok(None));
        assert_eq!(Reader::new(&[1], true).nullable_bytes(), Ok(Some(&[][..])));
        assert_eq!(Reader::new(&[0], true).string(), Err(WireError::Length { position: 0, length: -1 }));
    }

    #[test]
    fn a_tag_cannot_reach_past_its_field() {
        // One field, tag 7, two bytes, then a byte that belongs to nobody.
        let input = [1, 7, 2, 0xaa, 0xbb, 0xcc];
        let mut reader = Reader::new(&input, true);
        let mut seen = Vec::new();
        let read = reader.tags(|tag, field| {
            seen.push((tag, field.left(), field.i32().is_err()));
            Ok(())
        });
        assert_eq!((read, seen), (Ok(()), vec![(7, 2, true)]));
        assert_eq!(reader.left(), 1);
        assert!(Reader::new(&input[..4], true).skip_tags().is_err());
    }
}
