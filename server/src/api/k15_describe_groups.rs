//! DescribeGroups (key 15), versions 0 to 6: state, protocol and members of groups.
//!
//! A group that does not exist is `Dead`, without an error up to version 5 and with GROUP_ID_NOT_FOUND in version 6. What
//! members said about themselves, and their assignments, are told while the group is stable. A group that is named twice is
//! described once.

use std::collections::HashSet;
use std::rc::Rc;

use kafka_protocol::messages::describe_groups_response::{
    DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use kafka_protocol::messages::{DescribeGroupsRequest, GroupId};
use kafka_protocol::protocol::StrBytes;

use super::k03_metadata::NO_OPERATIONS;
use super::shape::{Shape, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::group::{self, Described, DescribedMember, GroupError, Phase};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 15,
    name: "DescribeGroups",
    versions: (0, 6),
    flexible: 5,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[plain_array(&string()), fixed(1).since(3)];

/// READ, DELETE, DESCRIBE: without authorization, everything that can be done to a group (KIP-430).
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8;

/// First version in which a group that does not exist is an error.
const NOT_FOUND_FROM: i16 = 6;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let mut body: DescribeGroupsRequest = request.decode(SHAPE)?;
    let mut seen = HashSet::new();
    body.groups.retain(|group| seen.insert(group.clone()));
    let ids: Vec<_> = body.groups.iter().map(|group| group.0.clone()).collect();
    let described = group::describe(&shard, ids).await;
    let operations = if body.include_authorized_operations { GROUP_OPERATIONS } else { NO_OPERATIONS };
    let groups = body.groups.into_iter().zip(described);
    let groups = groups.map(|(id, described)| respond(id, described, operations, request.version));
    request.reply(&DescribeGroupsResponse::default().with_groups(groups.collect()))
}

fn respond(
    id: GroupId,
    described: Result<Option<Described>, GroupError>,
    operations: i32,
    version: i16,
) -> DescribedGroup {
    let group = DescribedGroup::default().with_group_id(id.clone()).with_authorized_operations(NO_OPERATIONS);
    let told = match described {
        Ok(Some(described)) => described,
        Ok(None) => {
            let dead = group.with_group_state(StrBytes::from_static_str(Phase::Dead.name()));
            if version < NOT_FOUND_FROM {
                return dead.with_authorized_operations(operations);
            }
            let message = format!("Group {} not found.", id.0);
            return dead
                .with_error_code(errors::of_group(GroupError::NotFound).code())
                .with_error_message(Some(StrBytes::from_string(message)));
        }
        Err(error) => return group.with_error_code(errors::of_group(error).code()),
    };
    group
        .with_group_state(StrBytes::from_static_str(told.phase.name()))
        .with_protocol_type(told.protocol_type)
        .with_protocol_data(told.protocol)
        .with_members(told.members.into_iter().map(|member| respond_member(member, version)).collect())
        .with_authorized_operations(operations)
}

fn respond_member(member: DescribedMember, version: i16) -> DescribedGroupMember {
    let response = DescribedGroupMember::default()
        .with_member_id(member.member_id)
        .with_client_id(member.client_id)
        .with_client_host(member.client_host)
        .with_member_metadata(member.metadata)
        .with_member_assignment(member.assignment);
    if version >= 4 { response.with_group_instance_id(member.instance_id) } else { response }
}

#[cfg(test)]
mod tests {
    use super::super::encode_reply;
    use super::*;

    #[test]
    fn every_version_can_be_encoded() {
        let text = StrBytes::from_static_str;
        let member = DescribedMember {
            member_id: text("m"),
            instance_id: Some(text("i")),
            client_id: text("c"),
            client_host: text("/127.0.0.1"),
            metadata: bytes::Bytes::new(),
            assignment: bytes::Bytes::new(),
        };
        let group = Described {
            phase: Phase::Stable,
            protocol_type: text("consumer"),
            protocol: text("range"),
            members: vec![member],
        };
        for version in API.versions.0..=API.versions.1 {
            let operations = if version >= 3 { GROUP_OPERATIONS } else { NO_OPERATIONS };
            for described in [Ok(Some(group.clone())), Ok(None), Err(GroupError::Loading)] {
                let told = respond(GroupId(text("g")), described, operations, version);
                let response = DescribeGroupsResponse::default().with_groups(vec![told]);
                assert!(encode_reply(1, false, &response, version).is_ok(), "version {version}");
            }
        }
    }
}
