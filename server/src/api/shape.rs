//! Walks a request's bytes along its shape before `kafka-protocol` decodes it.
//!
//! That crate reserves memory for as many elements as an array's count claims; a count from the wire must never size
//! an allocation. The walk proves that every element is there, so the counts that the decoder will read are bounded by
//! the bytes received. Shapes follow Kafka's message definitions (`clients/src/main/resources/common/message`).
//! The elements of a request are bounded in all, since a small one may take much memory decoded, and more in its answer.
//! It deliberately does not look at values: that is the decoder's and the handler's work.

use thalweg_protocol::wire::{Reader, WireError};

use super::RequestError;
use crate::bounds::REQUEST_ELEMENTS_MAX;

/// The fields of a message or of an array's element, in wire order.
pub type Shape = [Field];

/// One field and the versions that have it.
pub struct Field {
    first: i16,
    last: i16,
    kind: Kind,
}

/// What a field occupies.
enum Kind {
    Fixed(usize),
    Str,
    Bytes,
    /// A struct that may be null.
    Optional(&'static Shape),
    Array(&'static Shape),
    /// An array of a plain type: its elements have no tagged fields of their own.
    Plain(&'static Field),
}

/// A field of `bytes` bytes: int8 1, bool 1, int16 2, int32 4, int64 8, uuid 16.
pub const fn fixed(bytes: usize) -> Field {
    Field { first: 0, last: i16::MAX, kind: Kind::Fixed(bytes) }
}

/// A string, nullable or not; compact in a flexible version.
pub const fn string() -> Field {
    Field { first: 0, last: i16::MAX, kind: Kind::Str }
}

/// Bytes, nullable or not; compact in a flexible version.
pub const fn bytes() -> Field {
    Field { first: 0, last: i16::MAX, kind: Kind::Bytes }
}

/// A struct that may be null: a byte below 0 where it is.
pub const fn optional(fields: &'static Shape) -> Field {
    Field { first: 0, last: i16::MAX, kind: Kind::Optional(fields) }
}

/// An array of structs, nullable or not; compact in a flexible version, and each element then ends in tagged fields.
pub const fn array(element: &'static Shape) -> Field {
    Field { first: 0, last: i16::MAX, kind: Kind::Array(element) }
}

/// An array of int32, string or another plain type.
pub const fn plain_array(element: &'static Field) -> Field {
    Field { first: 0, last: i16::MAX, kind: Kind::Plain(element) }
}

impl Field {
    /// Present from version `first` on.
    pub const fn since(self, first: i16) -> Field {
        Field { first, last: self.last, kind: self.kind }
    }

    /// Present up to version `last`.
    pub const fn until(self, last: i16) -> Field {
        Field { first: self.first, last, kind: self.kind }
    }
}

/// Why a body is not decoded.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("more than {REQUEST_ELEMENTS_MAX} elements in all its arrays")]
    Elements,
}

/// A walk along a body.
struct Walk<'a> {
    reader: Reader<'a>,
    version: i16,
    /// Elements that may still come.
    elements_left: usize,
}

/// Proves that `body` holds every element that its array counts announce, and no more than [`REQUEST_ELEMENTS_MAX`].
///
/// # Errors
/// [`RequestError::Malformed`] naming what was short, or too much. Bytes after the last field are let through, as Kafka does.
pub fn check(shape: &Shape, body: &[u8], version: i16, flexible: bool) -> Result<(), RequestError> {
    let mut walk = Walk { reader: Reader::new(body, flexible), version, elements_left: REQUEST_ELEMENTS_MAX };
    walk.fields(shape).map_err(|fault| RequestError::Malformed(fault.to_string()))
}

impl Walk<'_> {
    fn fields(&mut self, shape: &Shape) -> Result<(), Fault> {
        let version = self.version;
        for field in shape.iter().filter(|field| field.first <= version && version <= field.last) {
            self.field(field)?;
        }
        Ok(self.reader.skip_tags()?)
    }

    fn field(&mut self, field: &Field) -> Result<(), Fault> {
        match field.kind {
            Kind::Fixed(bytes) => Ok(self.reader.take(bytes).map(drop)?),
            Kind::Str => Ok(self.reader.nullable_string().map(drop)?),
            Kind::Bytes => Ok(self.reader.nullable_bytes().map(drop)?),
            Kind::Optional(fields) => match self.reader.i8()? {
                ..0 => Ok(()),
                _ => self.fields(fields),
            },
            Kind::Array(element) => self.elements(|walk| walk.fields(element)),
            Kind::Plain(element) => self.elements(|walk| walk.field(element)),
        }
    }

    /// The reader refuses a count beyond the bytes that are left.
    fn elements(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let count = self.reader.nullable_count()?.unwrap_or(0);
        self.elements_left = self.elements_left.checked_sub(count).ok_or(Fault::Elements)?;
        (0..count).try_for_each(|_| element(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTITION: &Shape = &[fixed(4), fixed(4).since(4), fixed(8)];
    const LIST_OFFSETS: &Shape = &[fixed(4), fixed(1).since(2), array(&[string(), array(PARTITION)])];

    #[test]
    fn whole_requests_pass_in_both_encodings() {
        let old = [&[0, 0, 0, 1][..], &[0], &[0, 0, 0, 1, 0, 1, b'a', 0, 0, 0, 1], &[7; 12]].concat();
        assert!(check(LIST_OFFSETS, &old, 2, false).is_ok());
        let flexible = [&[0, 0, 0, 1][..], &[0], &[2, 2, b'a', 2], &[7; 16], &[0, 0, 0]].concat();
        assert!(check(LIST_OFFSETS, &flexible, 6, true).is_ok());
        assert!(check(LIST_OFFSETS, &flexible[..flexible.len() - 1], 6, true).is_err());
    }

    #[test]
    fn a_count_with_nothing_behind_it_is_refused_before_the_decoder_sees_it() {
        let claims = [&[0, 0, 0, 1][..], &[0], &[0x7f, 0xff, 0xff, 0xff, 0, 0]].concat();
        assert!(matches!(
            check(LIST_OFFSETS, &claims, 2, false),
            Err(RequestError::Malformed(what)) if what.contains("2147483647 elements")
        ));
        let varint = [&[0, 0, 0, 1][..], &[0], &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]].concat();
        assert!(check(LIST_OFFSETS, &varint, 6, true).is_err());
        let endless = [&[0, 0, 0, 1][..], &[0], &[0xff; 9]].concat();
        assert!(check(LIST_OFFSETS, &endless, 6, true).is_err());
    }

    #[test]
    fn elements_are_bounded_over_all_arrays_of_a_request() {
        const LISTS: &Shape = &[array(&[plain_array(&fixed(1))])];
        let half = REQUEST_ELEMENTS_MAX / 2;
        let list =
            |count: usize| [&i32::try_from(count).unwrap().to_be_bytes()[..], &vec![0; count]].concat();
        let lists = |counts: [usize; 2]| [&[0, 0, 0, 2][..], &list(counts[0]), &list(counts[1])].concat();
        assert!(check(LISTS, &lists([half, half - 2]), 0, false).is_ok());
        assert!(matches!(
            check(LISTS, &lists([half, half - 1]), 0, false),
            Err(RequestError::Malformed(what)) if what.contains("elements")
        ));
    }

    #[test]
    fn every_prefix_of_a_request_is_refused_without_a_panic() {
        let flexible = [&[0, 0, 0, 1][..], &[0], &[2, 2, b'a', 2], &[7; 16], &[0, 0, 0]].concat();
        for end in 0..flexible.len() {
            assert!(check(LIST_OFFSETS, &flexible[..end], 6, true).is_err(), "{end} bytes passed");
        }
    }
}
