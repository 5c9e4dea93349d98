//! AlterConfigs (key 33), versions 0 to 2: all settings of a topic or of this broker at once; what a request does not name is
//! unset.
//!
//! Older clients use it; IncrementalAlterConfigs came in its place. Durable and in force as there.

use std::rc::Rc;

use kafka_protocol::messages::alter_configs_request::{AlterConfigsRequest, AlterConfigsResource};
use kafka_protocol::messages::alter_configs_response::{AlterConfigsResourceResponse, AlterConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::config_resource::{Refusal, each_once, resource};
use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::metadata::{self, Alteration, ConfigEdit, EditKind};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 33,
    name: "AlterConfigs",
    versions: (0, 2),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const CONFIG: &Shape = &[string(), string()];
const RESOURCE: &Shape = &[fixed(1), string(), array(CONFIG)];
pub const SHAPE: &Shape = &[array(RESOURCE), fixed(1)];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: AlterConfigsRequest = request.decode(SHAPE)?;
    let broker = shard.metadata.image().broker.id;
    let (mut alterations, mut refusals) = (Vec::new(), Vec::new());
    let named = asked.resources.iter().map(|resource| (resource.resource_type, &*resource.resource_name));
    for (resource, once) in asked.resources.iter().zip(each_once(named)) {
        let planned = once.and_then(|()| alteration(resource, broker));
        refusals.push(planned.map(|planned| alterations.push(planned)).err());
    }
    let mut answers = metadata::alter_configs(&shard, alterations, asked.validate_only).await.into_iter();
    let responses = asked.resources.iter().zip(refusals).map(|(resource, refusal)| {
        let answered = || answers.next()?.err().map(|error| (error.code(), error.to_string()));
        response(resource, refusal.or_else(answered))
    });
    request.reply(&AlterConfigsResponse::default().with_responses(responses.collect()))
}

fn alteration(asked: &AlterConfigsResource, broker: i32) -> Result<Alteration, Refusal> {
    let resource = resource(asked.resource_type, &asked.resource_name, broker)?;
    let edit = |config: &kafka_protocol::messages::alter_configs_request::AlterableConfig| ConfigEdit {
        name: config.name.to_string(),
        kind: EditKind::Set,
        value: config.value.as_ref().map(ToString::to_string),
    };
    Ok(Alteration { resource, edits: asked.configs.iter().map(edit).collect(), replaces: true })
}

fn response(asked: &AlterConfigsResource, refusal: Option<Refusal>) -> AlterConfigsResourceResponse {
    let response = AlterConfigsResourceResponse::default()
        .with_resource_type(asked.resource_type)
        .with_resource_name(asked.resource_name.clone());
    match refusal {
        None => response.with_error_message(None),
        Some((error, message)) => {
            response.with_error_code(error.code()).with_error_message(Some(StrBytes::from_string(message)))
        }
    }
}
