//! Writing Kafka's primitive types, and the frame and header around a request.

use super::Api;

/// The `client.id` that brokers see in their logs and quotas.
pub const CLIENT_ID: &str = "thalweg-loadgen";

/// Builds one length-prefixed request.
#[derive(Debug)]
pub struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    /// Starts a request with header v1; the length prefix is filled by [`Encoder::finish`].
    pub fn request(api: Api, correlation: i32) -> Self {
        let mut e = Self { bytes: Vec::with_capacity(256) };
        e.i32(0);
        e.i16(api.key);
        e.i16(api.version);
        e.i32(correlation);
        e.string(CLIENT_ID);
        e
    }

    pub fn i8(&mut self, v: i8) {
        self.bytes.push(v as u8);
    }

    pub fn i16(&mut self, v: i16) {
        self.bytes.extend_from_slice(&v.to_be_bytes());
    }

    pub fn i32(&mut self, v: i32) {
        self.bytes.extend_from_slice(&v.to_be_bytes());
    }

    pub fn i64(&mut self, v: i64) {
        self.bytes.extend_from_slice(&v.to_be_bytes());
    }

    /// Array length. Callers build arrays far below `i32::MAX` elements.
    pub fn count(&mut self, n: usize) {
        self.i32(i32::try_from(n).unwrap_or(i32::MAX));
    }

    /// A string; names longer than `i16::MAX` are refused when options are parsed.
    pub fn string(&mut self, s: &str) {
        self.i16(i16::try_from(s.len()).unwrap_or(i16::MAX));
        self.bytes.extend_from_slice(s.as_bytes());
    }

    pub fn null_string(&mut self) {
        self.i16(-1);
    }

    /// Bytes that follow without being in this buffer (a record batch sent after it) count into the frame length.
    pub fn finish_with_tail(mut self, tail: usize) -> Vec<u8> {
        let length = i32::try_from(self.bytes.len() - 4 + tail).unwrap_or(i32::MAX);
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.bytes
    }

    pub fn finish(self) -> Vec<u8> {
        self.finish_with_tail(0)
    }
}
