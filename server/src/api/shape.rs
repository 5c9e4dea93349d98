//! Walks a request's bytes along its shape before `kafka-protocol` decodes it.
//!
//! That crate reserves memory for as many elements as an array's count claims; a count from the wire must never size
//! an allocation. The walk proves that every element is there, so the counts that the decoder will read are bounded by
//! the bytes received. Shapes follow Kafka's message definitions (`clients/src/main/resources/common/message`).
//! It deliberately does not look at values: that is the decoder's and the handler's work.

use thalweg_protocol::wire::{Reader, WireError};

use super::RequestError;

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

/// Proves that `body` holds every element that its array counts announce.
///
/// # Errors
/// [`RequestError::Malformed`] naming what was short. Bytes after the last field are let through, as Kafka does.
pub fn check(shape: &Shape, body: &[u8], version: i16, flexible: bool) -> Result<(), RequestError> {
    let mut reader = Reader::new(body, flexible);
    fields(shape, &mut reader, version).map_err(|short| RequestError::Malformed(short.to_string()))
}

fn fields(shape: &Shape, reader: &mut Reader<'_>, version: i16) -> Result<(), WireError> {
    for field in shape.iter().filter(|field| field.first <= version && version <= field.last) {
        self::field(field, reader, version)?;
    }
    reader.skip_tags()
}

fn field(field: &Field, reader: &mut Reader<'_>, version: i16) -> Result<(), WireError> {
    match field.kind {
        Kind::Fixed(bytes) => reader.take(bytes).map(drop),
        Kind::Str => reader.nullable_string().map(drop),
        Kind::Array(element) => elements(reader, |reader| fields(element, reader, version)),
        Kind::Plain(element) => elements(reader, |reader| self::field(element, reader, version)),
    }
}

/// The reader refuses a count beyond the bytes that are left.
fn elements(
    reader: &mut Reader<'_>,
    mut element: impl FnMut(&mut Reader<'_>) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let count = reader.nullable_count()?.unwrap_or(0);
    (0..count).try_for_each(|_| element(reader))
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
    fn every_prefix_of_a_request_is_refused_without_a_panic() {
        let flexible = [&[0, 0, 0, 1][..], &[0], &[2, 2, b'a', 2], &[7; 16], &[0, 0, 0]].concat();
        for end in 0..flexible.len() {
            assert!(check(LIST_OFFSETS, &flexible[..end], 6, true).is_err(), "{end} bytes passed");
        }
    }
}
