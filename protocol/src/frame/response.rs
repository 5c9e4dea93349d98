//! Frames a response: size, correlation id, and tagged fields in a flexible header.

use super::SIZE_BYTES;
use crate::wire::EncodeError;
use bytes::{BufMut, BytesMut};

/// Appends a response frame to `out`, whose body `write` appends; on an error `out` is as before.
///
/// `flexible_header`: see [`response_header_is_flexible`](super::response_header_is_flexible).
pub fn append_response(
    out: &mut BytesMut,
    correlation_id: i32,
    flexible_header: bool,
    write: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    begin_response(out, correlation_id, flexible_header);
    let written = write(out).and_then(|()| end_response(out, start, 0));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends a size field to fill in later, and the header.
pub(crate) fn begin_response(out: &mut BytesMut, correlation_id: i32, flexible_header: bool) {
    out.put_i32(0);
    out.put_i32(correlation_id);
    if flexible_header {
        out.put_u8(0);
    }
}

/// Fills in the size of the frame that begins at `start` and ends with `out`, and with `payload_bytes` sent beside it.
pub(crate) fn end_response(
    out: &mut BytesMut,
    start: usize,
    payload_bytes: usize,
) -> Result<(), EncodeError> {
    let length = out.len() - start - SIZE_BYTES + payload_bytes;
    let Ok(size) = i32::try_from(length) else { return Err(EncodeError::TooLong { length }) };
    out[start..start + SIZE_BYTES].copy_from_slice(&size.to_be_bytes());
    Ok(())
}
