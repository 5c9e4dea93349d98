//! DeleteAcls (key 31), versions 0 to 3: there is no authorizer, so SECURITY_DISABLED, as on a Kafka broker without one.
//!
//! Version 0 has no pattern type; its answer, which has no ACLs, is that of version 1.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};
use kafka_protocol::protocol::StrBytes;
use thalweg_protocol::wire::Reader;

use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 31,
    name: "DeleteAcls",
    versions: (0, 3),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const FILTER: &Shape = &[fixed(1), string(), fixed(1).since(1), string(), string(), fixed(1), fixed(1)];
pub const SHAPE: &Shape = &[array(FILTER)];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body = request.checked_body(SHAPE)?;
    let is_flexible = API.is_flexible(request.version);
    let count = Reader::new(&body, is_flexible).nullable_count()?.unwrap_or(0);
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(ResponseError::SecurityDisabled.code())
        .with_error_message(Some(StrBytes::from_static_str("No Authorizer is configured.")));
    let response = DeleteAclsResponse::default().with_filter_results(vec![refused; count]);
    request.reply_as(&response, request.version.max(1), is_flexible)
}
