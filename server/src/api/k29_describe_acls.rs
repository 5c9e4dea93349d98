//! DescribeAcls (key 29), versions 0 to 3: there is no authorizer, so SECURITY_DISABLED, as on a Kafka broker without one.
//!
//! Version 0 has no pattern type; its answer, which has no ACLs, is that of version 1.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::DescribeAclsResponse;
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 29,
    name: "DescribeAcls",
    versions: (0, 3),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[fixed(1), string(), fixed(1).since(1), string(), string(), fixed(1), fixed(1)];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    request.checked_body(SHAPE)?;
    let response = DescribeAclsResponse::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(StrBytes::from_static_str("No Authorizer is configured on the broker")));
    request.reply_as(&response, request.version.max(1), API.is_flexible(request.version))
}
