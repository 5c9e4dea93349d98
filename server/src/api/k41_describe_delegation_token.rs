//! DescribeDelegationToken (key 41), versions 0 to 3: there are no delegation tokens.
//!
//! Every connection is plain and anonymous, and Kafka gives nobody tokens on such a one: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED.
//! Version 0 is version 1, byte for byte.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::DescribeDelegationTokenResponse;

use super::shape::{Shape, array, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 41,
    name: "DescribeDelegationToken",
    versions: (0, 3),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const OWNER: &Shape = &[string(), string()];
pub const SHAPE: &Shape = &[array(OWNER)];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    request.checked_body(SHAPE)?;
    let error = ResponseError::DelegationTokenRequestNotAllowed;
    let response = DescribeDelegationTokenResponse::default().with_error_code(error.code());
    request.reply_as(&response, request.version.max(1), API.is_flexible(request.version))
}
