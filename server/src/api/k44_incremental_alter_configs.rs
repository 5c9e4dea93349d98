//! IncrementalAlterConfigs (key 44), versions 0 and 1: single settings of topics and of this broker (KIP-339).
//!
//! All valid resources of a request become durable together, and are in force on every shard when the answer leaves.
//! Which keys of a broker can be changed: `config/dynamic.rs`. The levels of its loggers are in force at once and gone with the
//! process, as in Kafka.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, IncrementalAlterConfigsRequest,
};
use kafka_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::config_resource::{BROKER_LOGGER, Refusal, each_once, own_id, resource};
use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::broker::loggers::{self, LoggerError};
use crate::metadata::{self, Alteration, ConfigEdit, EditKind};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 44,
    name: "IncrementalAlterConfigs",
    versions: (0, 1),
    flexible: 1,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const CONFIG: &Shape = &[string(), fixed(1), string()];
const RESOURCE: &Shape = &[fixed(1), string(), array(CONFIG)];
pub const SHAPE: &Shape = &[array(RESOURCE), fixed(1)];

// Operations, as the protocol numbers them.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: IncrementalAlterConfigsRequest = request.decode(SHAPE)?;
    let broker = shard.metadata.image().broker.id;
    let (mut alterations, mut outcomes) = (Vec::new(), Vec::new());
    let named = asked.resources.iter().map(|resource| (resource.resource_type, &*resource.resource_name));
    for (resource, once) in asked.resources.iter().zip(each_once(named)) {
        let planned = once.and_then(|()| match resource.resource_type {
            BROKER_LOGGER => alter_loggers(resource, broker, asked.validate_only).map(|()| Outcome::Done),
            _ => {
                alterations.push(alteration(resource, broker)?);
                Ok(Outcome::Planned)
            }
        });
        outcomes.push(planned.unwrap_or_else(Outcome::Refused));
    }
    let mut answers = metadata::alter_configs(&shard, alterations, asked.validate_only).await.into_iter();
    let responses = asked.resources.iter().zip(outcomes).map(|(resource, outcome)| {
        let refusal = match outcome {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::Done => None,
            Outcome::Planned => {
                answers.next().and_then(Result::err).map(|error| (error.code(), error.to_string()))
            }
        };
        response(resource, refusal)
    });
    request.reply(&IncrementalAlterConfigsResponse::default().with_responses(responses.collect()))
}

/// What has become of a resource before the controller is asked.
enum Outcome {
    Planned,
    Done,
    Refused(Refusal),
}

/// Sets the levels of loggers, all of a request's or none.
fn alter_loggers(asked: &AlterConfigsResource, broker: i32, validate_only: bool) -> Result<(), Refusal> {
    let edits = edits(asked)?;
    metadata::check_edits(&edits).map_err(|error| (error.code(), error.to_string()))?;
    own_id(&asked.resource_name, broker)?;
    for (logger, level) in logger_levels(&edits)?.into_iter().filter(|_| !validate_only) {
        loggers::set(logger, level).map_err(|error| (ResponseError::InvalidConfig, error.to_string()))?;
    }
    Ok(())
}

fn logger_levels(edits: &[ConfigEdit]) -> Result<Vec<(&str, Option<&str>)>, Refusal> {
    let invalid = |message: String| (ResponseError::InvalidRequest, message);
    let mut levels = Vec::with_capacity(edits.len());
    for ConfigEdit { name, kind, value } in edits {
        let level = match kind {
            EditKind::Set => Some(value.as_deref().unwrap_or_default()),
            EditKind::Delete => None,
            EditKind::Append | EditKind::Subtract => {
                let verb = if *kind == EditKind::Append { "APPEND" } else { "SUBTRACT" };
                let message = format!("{verb} operation is not allowed for the BROKER_LOGGER resource");
                return Err(invalid(message));
            }
        };
        loggers::check(name, level).map_err(|error| match error {
            LoggerError::Root => invalid(error.to_string()),
            error => (ResponseError::InvalidConfig, error.to_string()),
        })?;
        levels.push((name.as_str(), level));
    }
    Ok(levels)
}

fn alteration(asked: &AlterConfigsResource, broker: i32) -> Result<Alteration, Refusal> {
    let resource = resource(asked.resource_type, &asked.resource_name, broker)?;
    Ok(Alteration { resource, edits: edits(asked)?, replaces: false })
}

fn edits(asked: &AlterConfigsResource) -> Result<Vec<ConfigEdit>, Refusal> {
    let mut edits = Vec::with_capacity(asked.configs.len());
    for config in &asked.configs {
        let kind = match config.config_operation {
            SET => EditKind::Set,
            DELETE => EditKind::Delete,
            APPEND => EditKind::Append,
            SUBTRACT => EditKind::Subtract,
            other => {
                return Err((
                    ResponseError::InvalidRequest,
                    format!("Unknown config operation type {other}"),
                ));
            }
        };
        let value = config.value.as_ref().map(ToString::to_string);
        edits.push(ConfigEdit { name: config.name.to_string(), kind, value });
    }
    Ok(edits)
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

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;

    use super::*;

    #[test]
    fn loggers_are_refused_as_other_resources_are() {
        let edit = |name: &'static str, operation, value: Option<&'static str>| {
            AlterableConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_config_operation(operation)
                .with_value(value.map(StrBytes::from_static_str))
        };
        let said = |configs: Vec<AlterableConfig>| {
            let asked = AlterConfigsResource::default()
                .with_resource_type(BROKER_LOGGER)
                .with_resource_name(StrBytes::from_static_str("7"))
                .with_configs(configs);
            alter_loggers(&asked, 7, true).unwrap_err()
        };
        let invalid = |text: &str| (ResponseError::InvalidRequest, text.to_owned());
        let twice = vec![edit("root", SET, Some("INFO")), edit("root", SET, Some("DEBUG"))];
        assert_eq!(said(twice), invalid("Error due to duplicate config keys"));
        assert_eq!(said(vec![edit("root", SET, None)]), invalid("Null value not supported for : root"));
        assert_eq!(said(vec![edit("root", 9, Some("INFO"))]), invalid("Unknown config operation type 9"));
        let appended = invalid("APPEND operation is not allowed for the BROKER_LOGGER resource");
        assert_eq!(said(vec![edit("root", APPEND, Some("INFO"))]), appended);
    }
}
