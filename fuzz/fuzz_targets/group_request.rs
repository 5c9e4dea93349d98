//! Bodies of the requests about groups, in any version: nothing panics, and nothing is reserved for what is not there.
#![no_main]

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol::Decodable;
use libfuzzer_sys::fuzz_target;
use thalweg_server::api::k08_offset_commit::CommitRequest;
use thalweg_server::api::shape::{self, Shape};
use thalweg_server::api::*;

fuzz_target!(|data: &[u8]| {
    let [which, version, body @ ..] = data else { return };
    let version = i16::from(*version % 10);
    match which % 10 {
        0 => drop(CommitRequest::decode(body, version)),
        1 => decode::<OffsetFetchRequest>(&k09_offset_fetch::API, k09_offset_fetch::SHAPE, version, body),
        2 => decode::<JoinGroupRequest>(&k11_join_group::API, k11_join_group::SHAPE, version, body),
        3 => decode::<HeartbeatRequest>(&k12_heartbeat::API, k12_heartbeat::SHAPE, version, body),
        4 => decode::<LeaveGroupRequest>(&k13_leave_group::API, k13_leave_group::SHAPE, version, body),
        5 => decode::<SyncGroupRequest>(&k14_sync_group::API, k14_sync_group::SHAPE, version, body),
        6 => decode::<DescribeGroupsRequest>(&k15_describe_groups::API, k15_describe_groups::SHAPE, version, body),
        7 => decode::<ListGroupsRequest>(&k16_list_groups::API, k16_list_groups::SHAPE, version, body),
        8 => decode::<DeleteGroupsRequest>(&k42_delete_groups::API, k42_delete_groups::SHAPE, version, body),
        _ => decode::<OffsetDeleteRequest>(&k47_offset_delete::API, k47_offset_delete::SHAPE, version, body),
    }
});

/// As a handler does it: the decoder sees only what the walk along the shape let through.
fn decode<M: Decodable>(api: &Api, shape: &Shape, version: i16, body: &[u8]) {
    if api.answers(version) && shape::check(shape, body, version, api.is_flexible(version)).is_ok() {
        // OffsetFetch 0 is decoded as 1, which is the same.
        let version = if api.key == k09_offset_fetch::API.key { version.max(1) } else { version };
        drop(M::decode(&mut Bytes::copy_from_slice(body), version));
    }
}
