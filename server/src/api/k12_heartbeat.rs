//! Heartbeat (key 12), versions 0 to 4: a member is alive, and is told whether it has to join again.
//!
//! While the coordinator reads its groups back, a heartbeat is answered without an error, as Kafka does: there is nothing that the
//! member could do better.

use std::rc::Rc;

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::shape::{Shape, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::group::{self, Identity};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 12,
    name: "Heartbeat",
    versions: (0, 4),
    flexible: 4,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[string(), fixed(4), string(), string().since(3)];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body: HeartbeatRequest = request.decode(SHAPE)?;
    let who = Identity {
        member_id: body.member_id,
        instance_id: body.group_instance_id,
        generation: body.generation_id,
    };
    let alive = group::heartbeat(&shard, body.group_id.0, who).await;
    request.reply(&HeartbeatResponse::default().with_error_code(errors::group_code(alive.err())))
}
