//! DeleteGroups (key 42), versions 0 to 2: groups without members go, with everything they committed.
//!
//! The removal is stored when the answer leaves. NON_EMPTY_GROUP while there are members, GROUP_ID_NOT_FOUND for none.

use std::rc::Rc;

use kafka_protocol::messages::DeleteGroupsRequest;
use kafka_protocol::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};

use super::shape::{Shape, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::group;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 42,
    name: "DeleteGroups",
    versions: (0, 2),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[plain_array(&string())];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let mut asked: DeleteGroupsRequest = request.decode(SHAPE)?;
    let mut seen = std::collections::HashSet::new();
    asked.groups_names.retain(|group| seen.insert(group.clone()));
    let ids = asked.groups_names.iter().map(|group| group.0.clone()).collect();
    let deleted = group::delete(&shard, ids).await;
    let results = asked.groups_names.into_iter().zip(deleted).map(|(group, result)| {
        DeletableGroupResult::default().with_group_id(group).with_error_code(errors::group_code(result.err()))
    });
    request.reply(&DeleteGroupsResponse::default().with_results(results.collect()))
}
