//! JoinGroup (key 11), versions 0 to 9: a member joins a group, and is answered when the rebalance is through.
//!
//! Version 0 has no rebalance timeout: the session's counts. From version 4 on a dynamic member is first told its id
//! (MEMBER_ID_REQUIRED, KIP-394); static members (KIP-345) from version 5; from version 9 a static leader may be told to leave the
//! assignment as it is (KIP-814). The reason (version 8) is logged.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, bytes, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::bounds::{CLIENT_TEXT_BYTES_MAX, LOGGED_BYTES_MAX};
use crate::errors;
use crate::group::{self, GroupError, Join, Joined, JoinedMember};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 11,
    name: "JoinGroup",
    versions: (0, 9),
    flexible: 6,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const PROTOCOL: &Shape = &[string(), bytes()];
pub const SHAPE: &Shape = &[
    string(),
    fixed(4),
    fixed(4).since(1),
    string(),
    string().since(5),
    string(),
    array(PROTOCOL),
    string().since(8),
];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body: JoinGroupRequest = request.decode(SHAPE)?;
    if too_long(&body) {
        return request.reply(&refused(ResponseError::InvalidRequest, request.version));
    }
    if let Some(reason) = &body.reason {
        let shown: String = reason.chars().take(LOGGED_BYTES_MAX).collect();
        tracing::debug!(group = %body.group_id.0, member = %body.member_id, "joins: {shown}");
    }
    let (group, join) = (body.group_id.0.clone(), join(&shard, &request, body));
    let joined = group::join(&shard, group, join, &request.client.gone).await;
    request.reply(&respond(joined, request.version))
}

/// Whether a text would not fit into the record of the group.
fn too_long(body: &JoinGroupRequest) -> bool {
    let too_long = |text: &StrBytes| text.len() > CLIENT_TEXT_BYTES_MAX;
    too_long(&body.protocol_type)
        || body.group_instance_id.as_ref().is_some_and(too_long)
        || body.protocols.iter().any(|protocol| too_long(&protocol.name))
}

fn join(shard: &ServerShard, request: &Request, body: JoinGroupRequest) -> Join {
    let is_dynamic = body.group_instance_id.is_none();
    let rebalance_timeout_ms =
        if request.version == 0 { body.session_timeout_ms } else { body.rebalance_timeout_ms };
    let fresh = u128::from(shard.io.random()) << 64 | u128::from(shard.io.random());
    Join {
        member_id: body.member_id,
        instance_id: body.group_instance_id,
        client_id: client_id(request),
        client_host: StrBytes::from_string(format!("/{}", request.client.peer.ip())),
        session_timeout_ms: body.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: body.protocol_type,
        protocols: body.protocols.into_iter().map(|protocol| (protocol.name, protocol.metadata)).collect(),
        requires_member_id: request.version >= 4 && is_dynamic,
        can_skip_assignment: request.version >= 9,
        fresh: uuid::Builder::from_random_bytes(fresh.to_be_bytes()).into_uuid(),
    }
}

/// The client's id, shortened where it would not fit into the record of the group: it is only shown.
fn client_id(request: &Request) -> StrBytes {
    let id = StrBytes::from_utf8(request.client_id.clone()).unwrap_or_default();
    if id.len() <= CLIENT_TEXT_BYTES_MAX {
        return id;
    }
    StrBytes::from_string(id.chars().take(CLIENT_TEXT_BYTES_MAX / 4).collect())
}

fn respond(joined: Joined, version: i16) -> JoinGroupResponse {
    let member = |member: JoinedMember| {
        let response = JoinGroupResponseMember::default()
            .with_member_id(member.member_id)
            .with_metadata(member.metadata);
        if version >= 5 { response.with_group_instance_id(member.instance_id) } else { response }
    };
    let response = JoinGroupResponse::default()
        .with_error_code(errors::group_code(joined.error))
        .with_generation_id(joined.generation)
        .with_protocol_name(protocol_name(joined.protocol, version))
        .with_leader(joined.leader)
        .with_member_id(joined.member_id)
        .with_members(joined.members.into_iter().map(member).collect());
    let response = if version >= 7 { response.with_protocol_type(joined.protocol_type) } else { response };
    if version >= 9 { response.with_skip_assignment(joined.skip_assignment) } else { response }
}

/// Null is a name from version 7 on.
fn protocol_name(name: Option<StrBytes>, version: i16) -> Option<StrBytes> {
    if version >= 7 { name } else { Some(name.unwrap_or_default()) }
}

fn refused(error: ResponseError, version: i16) -> JoinGroupResponse {
    let joined = Joined::refused(StrBytes::new(), GroupError::NotAvailable);
    respond(joined, version).with_error_code(error.code())
}

#[cfg(test)]
mod tests {
    use super::super::encode_reply;
    use super::*;

    #[test]
    fn every_version_can_be_encoded() {
        let text = StrBytes::from_static_str;
        let member = JoinedMember {
            member_id: text("m"),
            instance_id: Some(text("i")),
            metadata: bytes::Bytes::from_static(b"x"),
        };
        let joined = Joined {
            error: None,
            member_id: text("m"),
            generation: 1,
            protocol_type: Some(text("consumer")),
            protocol: Some(text("range")),
            leader: text("m"),
            skip_assignment: true,
            members: vec![member],
        };
        for version in API.versions.0..=API.versions.1 {
            assert!(encode_reply(1, false, &respond(joined.clone(), version), version).is_ok(), "{version}");
            let refused = Joined::refused(text("m"), GroupError::UnknownMember);
            assert!(encode_reply(1, false, &respond(refused, version), version).is_ok(), "{version}");
        }
    }
}
