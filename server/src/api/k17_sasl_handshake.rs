//! SaslHandshake (key 17), versions 0 and 1: every listener is plain, so there is nothing to shake hands about.
//!
//! ILLEGAL_SASL_STATE, as on a Kafka listener without SASL.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{SaslHandshakeRequest, SaslHandshakeResponse};

use super::shape::{Shape, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 17,
    name: "SaslHandshake",
    versions: (0, 1),
    flexible: i16::MAX,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[string()];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let _mechanism: SaslHandshakeRequest = request.decode(SHAPE)?;
    let error = ResponseError::IllegalSaslState;
    request.reply(&SaslHandshakeResponse::default().with_error_code(error.code()))
}
