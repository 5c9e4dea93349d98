//! The oldest versions of a few APIs, which `kafka-protocol` has no more: their bodies by hand. None of them is flexible.

use bytes::BytesMut;
use kafka_protocol::protocol::Encodable;
use thalweg_protocol::wire::{EncodeError, Reader, WireError, Writer};

use super::{Reply, Request, RequestError, request};

/// Bytes of the throttle time that later versions begin with.
const THROTTLE_BYTES: usize = 4;

/// The answer to `request` whose body `write` writes.
///
/// # Errors
/// [`RequestError::Encode`] if a string or the whole is longer than the format allows.
pub fn reply(
    request: &Request,
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<Reply, RequestError> {
    let mut body = BytesMut::new();
    write(&mut Writer::new(&mut body, false)).map_err(|error| RequestError::Encode(error.to_string()))?;
    request::frame(request.correlation_id, &body)
}

/// Encodes `message` in `version`, less the throttle time that it begins with: the version before that had none.
///
/// # Errors
/// As any encoding.
pub fn reply_without_throttle<M: Encodable>(
    request: &Request,
    message: &M,
    version: i16,
) -> Result<Reply, RequestError> {
    let mut body = BytesMut::new();
    message.encode(&mut body, version).map_err(|error| RequestError::Encode(format!("{error:#}")))?;
    request::frame(request.correlation_id, &body[THROTTLE_BYTES.min(body.len())..])
}

/// Reads an array; null is empty. Its count has been checked against the bytes that are there.
///
/// # Errors
/// If it ends early.
pub fn elements<'a, T>(
    reader: &mut Reader<'a>,
    mut element: impl FnMut(&mut Reader<'a>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let count = reader.nullable_count()?.unwrap_or(0);
    (0..count).map(|_| element(reader)).collect()
}
