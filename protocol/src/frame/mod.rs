//! From a byte stream to requests, and from responses to frames.
//!
//! ```text
//! frame:  size i32 | header | body            size counts what follows it
//! header: api key i16 | api version i16 | correlation id i32 | client id nullable string | tags (flexible)
//! ```
//! Source: Kafka protocol guide, "Requests"; KIP-482 for the flexible header.
//!
//! Invariants: a size is judged before a byte of its frame is waited for; nothing is allocated by it.
//!
//! Deliberately absent: which APIs and versions are supported. Any key and version parses as far as its header.

mod header;
mod response;
mod splitter;

pub use header::{RequestHeader, RequestPeek, request_is_flexible, response_header_is_flexible};
pub use response::append_response;
pub(crate) use response::{begin_response, end_response};
pub use splitter::{FrameError, FrameSplitter, HEADER_BYTES_MIN, SIZE_BYTES, Split};
