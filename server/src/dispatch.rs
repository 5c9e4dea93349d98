//! From a frame to a running handler: header, API, version.
//!
//! An API or version that is not answered ends the connection, as Kafka does, with a line that names who sent what. The
//! exception is ApiVersions of a version above ours: it gets a version 0 body that tells the client which to use
//! (KIP-511), and the connection stays.

use std::rc::Rc;

use bytes::Bytes;
use thalweg_protocol::frame::{HEADER_BYTES_MIN, RequestHeader, RequestPeek};
use thalweg_protocol::wire::{Reader, WireError};

use crate::api::{self, Api, Client, HandlerFuture, Request, k18_api_versions};
use crate::bounds::LOGGED_BYTES_MAX;
use crate::shard::ServerShard;

/// Why a frame ends its connection.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error("malformed request header: {0}")]
    Header(#[from] WireError),
    #[error("{name} version {version} is not supported, only {first} to {last} (client id {client_id:?})")]
    Version { name: &'static str, version: i16, first: i16, last: i16, client_id: String },
    #[error("API key {key} (version {version}) is not supported (client id {client_id:?})")]
    Api { key: i16, version: i16, client_id: String },
}

/// Which API a frame is for, as far as its first bytes say: what the connection needs to know before it may start it.
///
/// # Errors
/// If the API is not answered in that version; ApiVersions always is.
pub fn api_of(frame: &[u8]) -> Result<&'static Api, DispatchError> {
    let peek = RequestPeek::parse(frame)?;
    let Some(api) = api::find(peek.api_key) else {
        let (key, version) = (peek.api_key, peek.api_version);
        return Err(DispatchError::Api { key, version, client_id: client_id_of(frame) });
    };
    if api.answers(peek.api_version) || api.key == k18_api_versions::API.key {
        return Ok(api);
    }
    let (first, last) = api.versions;
    let (name, version) = (api.name, peek.api_version);
    Err(DispatchError::Version { name, version, first, last, client_id: client_id_of(frame) })
}

/// Makes the future that answers `frame`; it does nothing before it is polled.
///
/// # Errors
/// As [`api_of`], and if the header is malformed.
pub fn start(
    shard: &Rc<ServerShard>,
    client: &Rc<Client>,
    api: &'static Api,
    frame: Bytes,
) -> Result<HandlerFuture, DispatchError> {
    let peek = RequestPeek::parse(&frame)?;
    if !api.answers(peek.api_version) {
        // The header of an unknown version cannot be trusted beyond its fixed fields, and is not needed.
        return Ok(k18_api_versions::fallback(peek.correlation_id));
    }
    let header = RequestHeader::parse(&frame)?;
    let request = Request {
        api,
        version: header.api_version,
        correlation_id: header.correlation_id,
        client_id: header.client_id.map_or_else(Bytes::new, |id| frame.slice_ref(id.as_bytes())),
        body_at: header.body_at,
        frame,
        client: Rc::clone(client),
        received: shard.io.now(),
    };
    Ok((api.handle)(Rc::clone(shard), request))
}

/// The client id for a log line, shortened; empty where the header cannot be read.
fn client_id_of(frame: &[u8]) -> String {
    client_id(frame).chars().take(LOGGED_BYTES_MAX).collect()
}

fn client_id(frame: &[u8]) -> &str {
    // At its place whatever the API: what follows it cannot be read without knowing the API.
    Reader::at(frame, HEADER_BYTES_MIN, false).nullable_string().ok().flatten().unwrap_or_default()
}

/// Notes who sent `frame`, for the log line of a request that turns out to be damaged. Clients keep their id, so this
/// compares and does not copy.
pub fn note_client_id(noted: &mut String, frame: &[u8]) {
    let id = client_id(frame);
    let id = id.char_indices().nth(LOGGED_BYTES_MAX).map_or(id, |(end, _)| &id[..end]);
    if noted != id {
        id.clone_into(noted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(key: i16, version: i16) -> Vec<u8> {
        [&key.to_be_bytes()[..], &version.to_be_bytes(), &7i32.to_be_bytes(), &[0, 2, b'm', b'e', 0, 0]]
            .concat()
    }

    #[test]
    fn only_what_is_answered_is_dispatched() {
        assert_eq!(api_of(&frame(0, 9)).unwrap().name, "Produce");
        let unknown = api_of(&frame(999, 0)).err().unwrap().to_string();
        assert!(unknown.contains("999") && unknown.contains("\"me\""), "{unknown}");
        let newer = api_of(&frame(2, 99)).err().unwrap().to_string();
        assert!(newer.contains("ListOffsets version 99"), "{newer}");
        assert!(api_of(&frame(0, -1)).is_err());
        assert!(api_of(&[0, 0]).is_err());
    }

    #[test]
    fn the_client_id_that_is_noted_is_the_latest_and_bounded() {
        let mut noted = String::new();
        note_client_id(&mut noted, &frame(0, 9));
        assert_eq!(noted, "me");
        let long = [&frame(0, 9)[..8], &1000i16.to_be_bytes(), "\u{e9}".repeat(500).as_bytes()].concat();
        note_client_id(&mut noted, &long);
        assert_eq!(noted.chars().count(), LOGGED_BYTES_MAX);
        note_client_id(&mut noted, &[0, 0]);
        assert_eq!(noted, "");
    }

    #[test]
    fn api_versions_is_answered_in_any_version() {
        for version in [-1, 0, 4, 5, i16::MAX] {
            assert_eq!(api_of(&frame(18, version)).unwrap().name, "ApiVersions");
        }
    }
}
