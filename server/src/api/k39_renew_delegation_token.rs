//! RenewDelegationToken (key 39), versions 0 to 2: there are no delegation tokens.
//!
//! Every connection is plain and anonymous, and Kafka gives nobody tokens on such a one: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED.
//! Version 0 is version 1, byte for byte.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::RenewDelegationTokenResponse;

use super::shape::{Shape, bytes, fixed};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 39,
    name: "RenewDelegationToken",
    versions: (0, 2),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[bytes(), fixed(8)];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    request.checked_body(SHAPE)?;
    let error = ResponseError::DelegationTokenRequestNotAllowed;
    let response = RenewDelegationTokenResponse::default().with_error_code(error.code());
    request.reply_as(&response, request.version.max(1), API.is_flexible(request.version))
}
