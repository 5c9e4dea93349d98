//! DescribeClientQuotas (key 48), versions 0 and 1: there are no quotas, so a filter that makes sense finds none (KIP-546).

use std::collections::HashSet;
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::DescribeClientQuotasResponse;
use kafka_protocol::messages::describe_client_quotas_request::{ComponentData, DescribeClientQuotasRequest};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 48,
    name: "DescribeClientQuotas",
    versions: (0, 1),
    flexible: 1,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const COMPONENT: &Shape = &[string(), fixed(1), string()];
pub const SHAPE: &Shape = &[array(COMPONENT), fixed(1)];

/// Who can have a quota.
pub const ENTITY_TYPES: &[&str] = &["user", "client-id", "ip"];
/// Match types: this one, the default, any.
const MATCH_TYPES: std::ops::RangeInclusive<i8> = 0..=2;

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: DescribeClientQuotasRequest = request.decode(SHAPE)?;
    let response = DescribeClientQuotasResponse::default();
    let response = match check(&asked.components) {
        Ok(()) => {
            response.with_error_message(Some(StrBytes::from_static_str(""))).with_entries(Some(Vec::new()))
        }
        Err((error, message)) => response
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)))
            .with_entries(None),
    };
    request.reply(&response)
}

fn check(components: &[ComponentData]) -> Result<(), (ResponseError, String)> {
    let mut seen = HashSet::new();
    for component in components {
        let kind = component.entity_type.as_str();
        let refuse = |message: String| Err((ResponseError::InvalidRequest, message));
        if kind.is_empty() {
            return refuse("Unexpected empty filter component entity type".to_owned());
        }
        if !ENTITY_TYPES.contains(&kind) {
            return Err((
                ResponseError::UnsupportedVersion,
                format!("Custom entity type '{kind}' not supported"),
            ));
        }
        if !seen.insert(kind) {
            return refuse(format!("Duplicate {kind} filter component entity type"));
        }
        if !MATCH_TYPES.contains(&component.match_type) {
            return refuse(format!("Unexpected match type: {}", component.match_type));
        }
    }
    Ok(())
}
