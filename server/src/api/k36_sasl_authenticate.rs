//! SaslAuthenticate (key 36), versions 0 to 2: every listener is plain, so nobody is authenticated.
//!
//! ILLEGAL_SASL_STATE, as on a Kafka listener without SASL.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslAuthenticateResponse};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, bytes};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 36,
    name: "SaslAuthenticate",
    versions: (0, 2),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[bytes()];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let _token: SaslAuthenticateRequest = request.decode(SHAPE)?;
    let message = "SaslAuthenticate request received after successful authentication";
    let response = SaslAuthenticateResponse::default()
        .with_error_code(ResponseError::IllegalSaslState.code())
        .with_error_message(Some(StrBytes::from_static_str(message)));
    request.reply(&response)
}
