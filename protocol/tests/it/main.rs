//! The codec against the `kafka-protocol` crate: what one side writes, the other reads, byte for byte.

#![allow(clippy::unwrap_used, reason = "a failed encoding by the peer is a failed test")]

mod batch;
mod fetch;
mod header;
mod produce;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A response frame as `kafka-protocol` encodes it.
fn peer_frame<R: Encodable + HeaderVersion>(response: &R, correlation_id: i32, version: i16) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    response.encode(&mut frame, version).unwrap();
    let size = (frame.len() - 4) as i32;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame.freeze()
}

/// A body as `kafka-protocol` encodes it, behind `junk` bytes that stand for a header.
fn peer_body<R: Encodable>(request: &R, junk: usize, version: i16) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_bytes(0xee, junk);
    request.encode(&mut frame, version).unwrap();
    frame.freeze()
}

fn string(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

fn any_bytes() -> impl Strategy<Value = Bytes> {
    // Past 127 so that compact lengths take a second byte.
    proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z.]{0,12}", "[a-zé]{120,140}"]
}

fn any_uuid() -> impl Strategy<Value = Uuid> {
    any::<u128>().prop_map(Uuid::from_u128)
}

/// Tagged fields that nobody has defined yet.
fn any_tags() -> impl Strategy<Value = BTreeMap<i32, Bytes>> {
    proptest::collection::btree_map(100..1000, any_bytes(), 0..3)
}
