//! LeaveGroup (key 13), versions 0 to 5: one member up to version 2, several from version 3 on (KIP-345).
//!
//! An administrator removes a static member by its instance id alone. The reason (version 5) is logged.

use std::rc::Rc;

use kafka_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kafka_protocol::messages::leave_group_response::{LeaveGroupResponse, MemberResponse};

use super::shape::{Shape, array, string};
use super::{Api, Reply, Request, RequestError};
use crate::bounds::LOGGED_BYTES_MAX;
use crate::errors;
use crate::group::{self, GroupError, Identity};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 13,
    name: "LeaveGroup",
    versions: (0, 5),
    flexible: 4,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const MEMBER: &Shape = &[string(), string(), string().since(5)];
pub const SHAPE: &Shape = &[string(), string().until(2), array(MEMBER).since(3)];

/// First version that names several members.
const BATCHED_FROM: i16 = 3;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body: LeaveGroupRequest = request.decode(SHAPE)?;
    let members = match request.version {
        BATCHED_FROM.. => body.members,
        _ => vec![MemberIdentity::default().with_member_id(body.member_id)],
    };
    for member in &members {
        let reason: String =
            member.reason.as_deref().unwrap_or_default().chars().take(LOGGED_BYTES_MAX).collect();
        tracing::debug!(group = %body.group_id.0, member = %member.member_id, "leaves: {reason}");
    }
    let leaving = members.iter().map(|member| Identity {
        member_id: member.member_id.clone(),
        instance_id: member.group_instance_id.clone(),
        generation: -1,
    });
    let left = group::leave(&shard, body.group_id.0, leaving.collect()).await;
    request.reply(&respond(members, left, request.version))
}

fn respond(
    members: Vec<MemberIdentity>,
    left: Result<Vec<Result<(), GroupError>>, GroupError>,
    version: i16,
) -> LeaveGroupResponse {
    let response = LeaveGroupResponse::default();
    let left = match left {
        Ok(left) => left,
        Err(error) => return response.with_error_code(errors::of_group(error).code()),
    };
    if version < BATCHED_FROM {
        let error = left.first().and_then(|result| result.err());
        return response.with_error_code(errors::group_code(error));
    }
    let answered = members.into_iter().zip(left).map(|(member, result)| {
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(errors::group_code(result.err()))
    });
    response.with_members(answered.collect())
}

#[cfg(test)]
mod tests {
    use super::super::encode_reply;
    use super::*;

    #[test]
    fn one_member_has_its_error_at_the_top_and_several_have_their_own() {
        let members = vec![MemberIdentity::default()];
        let unknown = || Ok(vec![Err(GroupError::UnknownMember)]);
        let code = errors::group_code(Some(GroupError::UnknownMember));
        let single = respond(members.clone(), unknown(), 2);
        assert_eq!((single.error_code, single.members.len()), (code, 0));
        let several = respond(members.clone(), unknown(), 3);
        assert_eq!((several.error_code, several.members[0].error_code), (0, code));
        for version in API.versions.0..=API.versions.1 {
            assert!(encode_reply(1, false, &respond(members.clone(), unknown(), version), version).is_ok());
        }
    }
}
