//! The request header, and which messages have the flexible form.

use crate::wire::{Reader, WireError};

/// Per API key, the first version whose request is flexible; `None`: no version is, or the key is unknown.
///
/// Source: `flexibleVersions` in Kafka's message schemas, 3.2.0 for keys 4 to 7, 4.1 for the others. A header's form must
/// be known even for versions that are not supported, to answer them with the right correlation id.
const fn flexible_from(api_key: i16) -> Option<i16> {
    Some(match api_key {
        0 | 3 => 9,
        1 => 12,
        2 | 6 | 9 | 11 => 6,
        4 | 12 | 13 | 14 | 20 | 23 | 32 => 4,
        5 | 21 | 22 => 2,
        7 | 10 | 16 | 18 | 24 | 25 | 26 | 28 => 3,
        8 => 8,
        15 | 19 => 5,
        27 | 44 | 48 | 49 | 53 | 54 => 1,
        29..=31 | 33..=43 => 2,
        45 | 46 | 50..=52 | 55..=92 => 0,
        _ => return None,
    })
}

/// Whether a request of this version has the flexible header and body.
pub const fn request_is_flexible(api_key: i16, api_version: i16) -> bool {
    match flexible_from(api_key) {
        Some(first) => api_version >= first,
        None => false,
    }
}

/// Whether the response to a request of this version has a header with tagged fields.
///
/// ApiVersions never has: a client must be able to read it before it knows the broker's versions (KIP-511).
pub const fn response_header_is_flexible(api_key: i16, api_version: i16) -> bool {
    const API_VERSIONS: i16 = 18;
    api_key != API_VERSIONS && request_is_flexible(api_key, api_version)
}

/// The fields at fixed places, which every request has whatever its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestPeek {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
}

impl RequestPeek {
    /// Reads the first eight bytes of a frame, without its size field.
    pub fn parse(frame: &[u8]) -> Result<RequestPeek, WireError> {
        let mut reader = Reader::new(frame, false);
        Ok(RequestPeek { api_key: reader.i16()?, api_version: reader.i16()?, correlation_id: reader.i32()? })
    }
}

/// A request's header; `body_at` is where its body begins in the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<&'a str>,
    /// Byte position of the body from the start of the frame.
    pub body_at: usize,
}

impl<'a> RequestHeader<'a> {
    /// Parses the header of a frame without its size field. Unknown tagged fields are skipped.
    pub fn parse(frame: &'a [u8]) -> Result<RequestHeader<'a>, WireError> {
        let RequestPeek { api_key, api_version, correlation_id } = RequestPeek::parse(frame)?;
        let mut reader = Reader::at(frame, super::HEADER_BYTES_MIN, false);
        let client_id = if has_client_id(api_key, api_version) {
            // Never in the compact form, so that a broker can read it before it judges the version.
            reader.nullable_string()?
        } else {
            None
        };
        reader.set_flexible(request_is_flexible(api_key, api_version));
        reader.skip_tags()?;
        let body_at = reader.position();
        Ok(RequestHeader { api_key, api_version, correlation_id, client_id, body_at })
    }
}

/// ControlledShutdown v0 alone has the oldest header.
const fn has_client_id(api_key: i16, api_version: i16) -> bool {
    const CONTROLLED_SHUTDOWN: i16 = 7;
    !(api_key == CONTROLLED_SHUTDOWN && api_version == 0)
}
