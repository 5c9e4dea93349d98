//! CreateDelegationToken (key 38), versions 0 to 3: there are no delegation tokens.
//!
//! Every connection is plain and anonymous, and Kafka gives nobody tokens on such a one: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED.
//! Version 0 is version 1, byte for byte.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::CreateDelegationTokenResponse;

use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 38,
    name: "CreateDelegationToken",
    versions: (0, 3),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const RENEWER: &Shape = &[string(), string()];
pub const SHAPE: &Shape = &[string().since(3), string().since(3), array(RENEWER), fixed(8)];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    request.checked_body(SHAPE)?;
    let error = ResponseError::DelegationTokenRequestNotAllowed;
    let response = CreateDelegationTokenResponse::default().with_error_code(error.code());
    request.reply_as(&response, request.version.max(1), API.is_flexible(request.version))
}
