//! ListPartitionReassignments (key 46), version 0: partitions never move, so none is on its way.

use std::rc::Rc;

use kafka_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 46,
    name: "ListPartitionReassignments",
    versions: (0, 0),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[string(), plain_array(&fixed(4))];
pub const SHAPE: &Shape = &[fixed(4), array(TOPIC)];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let _all_or_some: ListPartitionReassignmentsRequest = request.decode(SHAPE)?;
    let none = Some(StrBytes::from_static_str(""));
    request.reply(&ListPartitionReassignmentsResponse::default().with_error_message(none))
}
