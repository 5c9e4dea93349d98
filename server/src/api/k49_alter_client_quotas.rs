//! AlterClientQuotas (key 49), versions 0 and 1: quotas are not enforced here, so none is taken (KIP-546).
//!
//! What Kafka would take is INVALID_REQUEST with a sentence that says so; removing a quota, which is not there, goes well.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::alter_client_quotas_request::{AlterClientQuotasRequest, EntryData as Asked};
use kafka_protocol::messages::alter_client_quotas_response::{
    AlterClientQuotasResponse, EntityData, EntryData,
};
use kafka_protocol::protocol::StrBytes;

use super::k48_describe_client_quotas::ENTITY_TYPES;
use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 49,
    name: "AlterClientQuotas",
    versions: (0, 1),
    flexible: 1,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const ENTITY: &Shape = &[string(), string()];
const OP: &Shape = &[string(), fixed(8), fixed(1)];
const ENTRY: &Shape = &[array(ENTITY), array(OP)];
pub const SHAPE: &Shape = &[array(ENTRY), fixed(1)];

const KEYS: &[&str] = &[
    "producer_byte_rate",
    "consumer_byte_rate",
    "request_percentage",
    "controller_mutation_rate",
    "connection_creation_rate",
];

async fn handle(_shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: AlterClientQuotasRequest = request.decode(SHAPE)?;
    let entries = asked.entries.into_iter().map(answer).collect();
    request.reply(&AlterClientQuotasResponse::default().with_entries(entries))
}

fn answer(asked: Asked) -> EntryData {
    let refusal = refusal(&asked);
    let entity = asked.entity.into_iter().map(|entity| {
        EntityData::default().with_entity_type(entity.entity_type).with_entity_name(entity.entity_name)
    });
    let entry = EntryData::default().with_entity(entity.collect());
    match refusal {
        None => entry.with_error_message(None),
        Some(message) => entry
            .with_error_code(ResponseError::InvalidRequest.code())
            .with_error_message(Some(StrBytes::from_string(message))),
    }
}

fn refusal(asked: &Asked) -> Option<String> {
    let stranger = asked.entity.iter().find(|entity| !ENTITY_TYPES.contains(&entity.entity_type.as_str()));
    if let Some(stranger) = stranger {
        return Some(format!("Unhandled client quota entity type: {}", stranger.entity_type.as_str()));
    }
    if asked.entity.is_empty() {
        return Some("Invalid empty client quota entity".to_owned());
    }
    if let Some(op) = asked.ops.iter().find(|op| !KEYS.contains(&op.key.as_str())) {
        return Some(format!("Invalid configuration key {}", op.key.as_str()));
    }
    let sets = asked.ops.iter().any(|op| !op.remove);
    sets.then(|| "Client quotas are not enforced by this server, so none is kept.".to_owned())
}
