//! Kafka's flexible encoding (KIP-482): compact strings and arrays, tagged fields, unsigned varints.

use super::{EncodeError, FORMAT};
use crate::format::Malformed;
use uuid::Uuid;

/// Kafka refuses longer strings in records.
const STRING_BYTES_MAX: usize = i16::MAX as usize;

/// Reads fields one after the other; every read fails rather than pass the end.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn expected(&self, what: impl Into<String>, found: impl Into<String>) -> Malformed {
        Malformed::byte(FORMAT, self.at, what, found)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let taken =
            taken.ok_or_else(|| self.expected(format!("{len} bytes"), format!("{}", self.remaining())))?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Malformed> {
        Ok(self.array::<1>()? != [0])
    }

    pub(super) fn i8(&mut self) -> Result<i8, Malformed> {
        self.array().map(i8::from_be_bytes)
    }

    pub(super) fn i16(&mut self) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn uuid(&mut self) -> Result<Uuid, Malformed> {
        self.array().map(Uuid::from_bytes)
    }

    pub(super) fn uvarint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value)
                    .map_err(|error| self.expected("a varint of 32 bits", error.to_string()));
            }
        }
        Err(self.expected("a varint of at most 5 bytes", "another byte"))
    }

    /// A length or count, stored plus one; `None` where 0 is stored.
    fn length(&mut self) -> Result<Option<usize>, Malformed> {
        let stored = self.uvarint()?;
        let length = stored.checked_sub(1).map(usize::try_from).transpose();
        length.map_err(|error| self.expected("a length", error.to_string()))
    }

    pub(super) fn optional_string(&mut self) -> Result<Option<String>, Malformed> {
        let Some(length) = self.length()? else { return Ok(None) };
        let at = self.at;
        let text = std::str::from_utf8(self.take(length)?);
        let text = text
            .map_err(|error| Malformed::byte(FORMAT, at + error.valid_up_to(), "UTF-8", error.to_string()))?;
        Ok(Some(text.to_owned()))
    }

    pub(super) fn string(&mut self) -> Result<String, Malformed> {
        self.optional_string()?.ok_or_else(|| self.expected("a string", "null"))
    }

    /// Elements by `element`, each of which takes at least `element_bytes_min` bytes: a count beyond that is refused before
    /// memory is reserved for it.
    pub(super) fn optional_vec<T>(
        &mut self,
        element_bytes_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<Vec<T>>, Malformed> {
        let Some(count) = self.length()? else { return Ok(None) };
        if count > self.remaining() / element_bytes_min.max(1) {
            let room = format!("{} bytes for {count} elements", self.remaining());
            return Err(self.expected("an array that fits", room));
        }
        (0..count).map(|_| element(self)).collect::<Result<_, _>>().map(Some)
    }

    pub(super) fn vec<T>(
        &mut self,
        element_bytes_min: usize,
        element: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        self.optional_vec(element_bytes_min, element)?.ok_or_else(|| self.expected("an array", "null"))
    }

    pub(super) fn i32s(&mut self) -> Result<Vec<i32>, Malformed> {
        self.vec(4, Self::i32)
    }

    pub(super) fn optional_i32s(&mut self) -> Result<Option<Vec<i32>>, Malformed> {
        self.optional_vec(4, Self::i32)
    }

    pub(super) fn uuids(&mut self) -> Result<Vec<Uuid>, Malformed> {
        self.vec(16, Self::uuid)
    }

    pub(super) fn optional_uuids(&mut self) -> Result<Option<Vec<Uuid>>, Malformed> {
        self.optional_vec(16, Self::uuid)
    }

    /// The tagged fields at the end of a structure. `known` reads the ones it knows, and says so; others are skipped.
    pub(super) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, Malformed>,
    ) -> Result<(), Malformed> {
        for _ in 0..self.uvarint()? {
            let (tag, size) = (self.uvarint()?, self.uvarint()?);
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            let start = self.at;
            self.take(size)?;
            let end = self.at;
            let mut field = Reader { bytes: self.bytes.get(..end).unwrap_or_default(), at: start };
            if known(tag, &mut field)? && field.remaining() > 0 {
                let found = format!("{} bytes more", field.remaining());
                return Err(field.expected(format!("the end of tagged field {tag}"), found));
            }
        }
        Ok(())
    }

    pub(super) fn no_tags(&mut self) -> Result<(), Malformed> {
        self.tags(|_, _| Ok(false))
    }
}

pub(super) fn put_uvarint(mut value: u32, out: &mut Vec<u8>) {
    while value > 0x7f {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// A length or count of something, stored plus one.
fn put_length(length: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let stored = u32::try_from(length).ok().and_then(|length| length.checked_add(1));
    put_uvarint(stored.ok_or(EncodeError::TooLong { length })?, out);
    Ok(())
}

pub(super) fn put_string(text: &str, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if text.len() > STRING_BYTES_MAX {
        return Err(EncodeError::TooLong { length: text.len() });
    }
    put_length(text.len(), out)?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

pub(super) fn put_optional_string(text: Option<&str>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match text {
        Some(text) => put_string(text, out),
        None => {
            put_uvarint(0, out);
            Ok(())
        }
    }
}

pub(super) fn put_vec<T>(
    elements: &[T],
    out: &mut Vec<u8>,
    mut element: impl FnMut(&T, &mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    put_length(elements.len(), out)?;
    elements.iter().try_for_each(|each| element(each, out))
}

pub(super) fn put_i32s(numbers: &[i32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_vec(numbers, out, |number, out| {
        out.extend_from_slice(&number.to_be_bytes());
        Ok(())
    })
}

pub(super) fn put_uuids(ids: &[Uuid], out: &mut Vec<u8>) -> Result<(), EncodeError> {
    put_vec(ids, out, |id, out| {
        out.extend_from_slice(id.as_bytes());
        Ok(())
    })
}

/// The tagged fields at the end of a structure, collected with ascending tags.
#[derive(Debug, Default)]
pub(super) struct Tags {
    count: u32,
    bytes: Vec<u8>,
}

impl Tags {
    /// Adds the field `tag`, which `write` writes.
    pub(super) fn add(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let mut field = Vec::new();
        write(&mut field)?;
        self.count += 1;
        put_uvarint(tag, &mut self.bytes);
        let size = u32::try_from(field.len()).ok().ok_or(EncodeError::TooLong { length: field.len() })?;
        put_uvarint(size, &mut self.bytes);
        self.bytes.append(&mut field);
        Ok(())
    }

    pub(super) fn add_i8(&mut self, tag: u32, value: i8) -> Result<(), EncodeError> {
        self.add(tag, |out| {
            out.extend_from_slice(&value.to_be_bytes());
            Ok(())
        })
    }

    pub(super) fn add_i32s(&mut self, tag: u32, numbers: Option<&[i32]>) -> Result<(), EncodeError> {
        numbers.map_or(Ok(()), |numbers| self.add(tag, |out| put_i32s(numbers, out)))
    }

    pub(super) fn add_uuids(&mut self, tag: u32, ids: Option<&[Uuid]>) -> Result<(), EncodeError> {
        ids.map_or(Ok(()), |ids| self.add(tag, |out| put_uuids(ids, out)))
    }

    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        put_uvarint(self.count, out);
        out.append(&mut self.bytes);
    }
}
