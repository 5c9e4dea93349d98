//! A request as a handler sees it, and the reply as the connection sends it.

use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};
use thalweg_engine::io::Monotonic;
use thalweg_engine::reactor::sync::Latch;
use thalweg_protocol::wire::WireError;

use super::shape::Shape;
use super::{Api, shape};
use crate::bounds;

/// Who sent a request: shared by all requests of one connection.
pub struct Client {
    /// Unique among the connections of this process.
    pub connection_id: u64,
    pub peer: SocketAddr,
    /// The listener that accepted the connection: index into the configured listeners. Metadata answers with the
    /// addresses advertised for it.
    pub listener: usize,
    /// Set when the client has closed the connection or the server is about to: a long poll answers at once.
    pub gone: Latch,
}

/// One decoded request header with its body, which still is bytes.
pub struct Request {
    pub api: &'static Api,
    pub version: i16,
    pub correlation_id: i32,
    /// Empty when the client sent null. UTF-8.
    pub client_id: Bytes,
    /// The whole request without its size field. Shares the connection's receive buffer.
    pub frame: Bytes,
    /// Where the body begins in `frame`, behind the header.
    pub body_at: usize,
    pub client: Rc<Client>,
    pub received: Monotonic,
}

/// Why a connection is closed on account of one of its requests. Never sent: it becomes a log line.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The bytes are not a request of that API and version.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// A Produce with acks=0 failed: closing is the only way to tell the client.
    #[error("a produce with acks=0 failed: {0}")]
    Unanswerable(String),
    /// The answer could not be encoded; a defect of the server.
    #[error("cannot encode the answer: {0}")]
    Encode(String),
}

/// A complete response frame: length prefix, response header, body; in pieces so that record bytes are not copied.
#[derive(Debug, Default)]
pub struct Frame {
    pub pieces: Vec<Bytes>,
}

impl From<Bytes> for Frame {
    fn from(frame: Bytes) -> Frame {
        Frame { pieces: vec![frame] }
    }
}

impl Frame {
    /// Bytes on the wire.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }
}

/// What the connection does once a request has been handled.
#[derive(Debug)]
pub enum Reply {
    Frame(Frame),
    /// A Produce with acks=0 that went well.
    Silent,
}

impl Request {
    /// Decodes the body through `kafka-protocol`, after `shape` has bounded every array count by the bytes that are
    /// there: that crate reserves memory by the count it reads.
    ///
    /// # Errors
    /// [`RequestError::Malformed`]: the caller passes it on, the connection is closed.
    pub fn decode<M: Decodable>(&self, shape: &Shape) -> Result<M, RequestError> {
        self.decode_as(shape, self.version)
    }

    /// As [`decode`](Self::decode), with another version of the body: what the oldest versions of some APIs need, which that
    /// crate has no more, and which are the next one byte for byte.
    ///
    /// # Errors
    /// As `decode`.
    pub fn decode_as<M: Decodable>(&self, shape: &Shape, version: i16) -> Result<M, RequestError> {
        self.decode_extended(shape, version, &[])
    }

    /// As [`decode_as`](Self::decode_as), with `more` bytes behind the body: fields that the next version added at its end.
    ///
    /// # Errors
    /// As `decode`.
    pub fn decode_extended<M: Decodable>(
        &self,
        shape: &Shape,
        version: i16,
        more: &[u8],
    ) -> Result<M, RequestError> {
        let mut body = self.body()?;
        if !more.is_empty() {
            body = [&body, more].concat().into();
        }
        shape::check(shape, &body, version, self.api.is_flexible(version))?;
        M::decode(&mut body, version).map_err(|error| RequestError::Malformed(error.to_string()))
    }

    /// The body, once its shape has been checked, to be read by hand.
    ///
    /// # Errors
    /// As `decode`.
    pub fn checked_body(&self, shape: &Shape) -> Result<Bytes, RequestError> {
        let body = self.body()?;
        shape::check(shape, &body, self.version, self.api.is_flexible(self.version))?;
        Ok(body)
    }

    fn body(&self) -> Result<Bytes, RequestError> {
        let body = self.frame.slice(self.body_at.min(self.frame.len())..);
        if body.len() > bounds::COLD_REQUEST_BYTES_MAX {
            return Err(RequestError::Malformed(format!(
                "{} bytes for {}, at most {} are read",
                body.len(),
                self.api.name,
                bounds::COLD_REQUEST_BYTES_MAX
            )));
        }
        Ok(body)
    }

    /// Encodes `message` as the answer to this request, in the request's version.
    ///
    /// # Errors
    /// [`RequestError::Encode`] if a field is set that this version does not have.
    pub fn reply<M: Encodable>(&self, message: &M) -> Result<Reply, RequestError> {
        self.reply_as(message, self.version, self.api.is_flexible(self.version))
    }

    /// As [`reply`](Self::reply), with another version of the body, and with the flexible header or without: what
    /// ApiVersions needs (its response header never has tagged fields, KIP-511).
    ///
    /// # Errors
    /// As `reply`.
    pub fn reply_as<M: Encodable>(
        &self,
        message: &M,
        version: i16,
        flexible_header: bool,
    ) -> Result<Reply, RequestError> {
        encode_reply(self.correlation_id, flexible_header, message, version)
    }
}

/// Encodes a whole response frame.
///
/// # Errors
/// [`RequestError::Encode`] if a field is set that `version` does not have.
pub fn encode_reply<M: Encodable>(
    correlation_id: i32,
    flexible_header: bool,
    message: &M,
    version: i16,
) -> Result<Reply, RequestError> {
    let failed = |error| RequestError::Encode(format!("{error:#}"));
    let body_bytes = message.compute_size(version).map_err(failed)?;
    let mut frame = BytesMut::with_capacity(body_bytes + FRAME_HEAD_BYTES_MAX);
    frame.put_i32(0);
    frame.put_i32(correlation_id);
    if flexible_header {
        frame.put_u8(0);
    }
    message.encode(&mut frame, version).map_err(failed)?;
    let length = i32::try_from(frame.len() - 4).map_err(|error| RequestError::Encode(error.to_string()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(Reply::Frame(Frame::from(frame.freeze())))
}

/// A whole response frame around a body that is encoded already, with the header that has no tagged fields.
pub(super) fn frame(correlation_id: i32, body: &[u8]) -> Result<Reply, RequestError> {
    let length = i32::try_from(body.len() + 4).map_err(|error| RequestError::Encode(error.to_string()))?;
    let mut frame = BytesMut::with_capacity(body.len() + FRAME_HEAD_BYTES_MAX);
    frame.put_i32(length);
    frame.put_i32(correlation_id);
    frame.put_slice(body);
    Ok(Reply::Frame(Frame::from(frame.freeze())))
}

impl From<WireError> for RequestError {
    fn from(error: WireError) -> RequestError {
        RequestError::Malformed(error.to_string())
    }
}

/// Size field, correlation id, count of tagged fields.
const FRAME_HEAD_BYTES_MAX: usize = 9;
