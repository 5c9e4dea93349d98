//! SyncGroup (key 14), versions 0 to 5: the leader hands in the assignments, and every member is answered with its own.
//!
//! From version 5 on protocol type and name are required (KIP-559): INCONSISTENT_GROUP_PROTOCOL without them.

use std::rc::Rc;

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::shape::{Shape, array, bytes, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::group::{self, GroupError, Identity, Sync, Synced};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 14,
    name: "SyncGroup",
    versions: (0, 5),
    flexible: 4,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const ASSIGNMENT: &Shape = &[string(), bytes()];
pub const SHAPE: &Shape = &[
    string(),
    fixed(4),
    string(),
    string().since(3),
    string().since(5),
    string().since(5),
    array(ASSIGNMENT),
];

/// First version that must say which protocol it speaks.
const PROTOCOL_FROM: i16 = 5;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body: SyncGroupRequest = request.decode(SHAPE)?;
    let nameless = body.protocol_type.is_none() || body.protocol_name.is_none();
    let synced = match request.version >= PROTOCOL_FROM && nameless {
        true => Synced::refused(GroupError::InconsistentProtocol),
        false => synced(&shard, &request, body).await,
    };
    request.reply(&respond(synced, request.version))
}

async fn synced(shard: &Rc<ServerShard>, request: &Request, body: SyncGroupRequest) -> Synced {
    let sync = Sync {
        member: Identity {
            member_id: body.member_id,
            instance_id: body.group_instance_id,
            generation: body.generation_id,
        },
        protocol_type: body.protocol_type,
        protocol: body.protocol_name,
        assignments: body.assignments.into_iter().map(|given| (given.member_id, given.assignment)).collect(),
    };
    group::sync(shard, body.group_id.0, sync, &request.client.gone).await
}

fn respond(synced: Synced, version: i16) -> SyncGroupResponse {
    let response = SyncGroupResponse::default()
        .with_error_code(errors::group_code(synced.error))
        .with_assignment(synced.assignment);
    if version < PROTOCOL_FROM {
        return response;
    }
    response.with_protocol_type(synced.protocol_type).with_protocol_name(synced.protocol)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::protocol::StrBytes;

    use super::super::encode_reply;
    use super::*;

    #[test]
    fn every_version_can_be_encoded() {
        let synced = Synced {
            error: None,
            protocol_type: Some(StrBytes::from_static_str("consumer")),
            protocol: Some(StrBytes::from_static_str("range")),
            assignment: bytes::Bytes::from_static(b"x"),
        };
        for version in API.versions.0..=API.versions.1 {
            assert!(encode_reply(1, false, &respond(synced.clone(), version), version).is_ok(), "{version}");
        }
    }
}
