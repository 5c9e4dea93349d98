//! IncrementalAlterConfigs (key 44), versions 0 and 1: single settings of topics and of this broker (KIP-339).
//!
//! All valid resources of a request become durable together, and are in force on every shard when the answer leaves.
//! Which keys of a broker can be changed: `config/dynamic.rs`. The levels of its loggers are in force at once and gone with the
//! process, as in Kafka.

use std::collections::HashMap;
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, IncrementalAlterConfigsRequest,
};
use kafka_protocol::messages::incremental_alter_configs_response::{
    AlterConfigsResourceResponse, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::config_resource::{BROKER_LOGGER, Refusal, own_id, resource};
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
    let mut times: HashMap<(i8, &str), usize> = HashMap::new();
    for resource in &asked.resources {
        *times.entry((resource.resource_type, resource.resource_name.as_str())).or_default() += 1;
    }
    let (mut alterations, mut outcomes) = (Vec::new(), Vec::new());
    for resource in &asked.resources {
        let once = times[&(resource.resource_type, resource.resource_name.as_str())] == 1;
        outcomes.push(match resource.resource_type {
            _ if !once => Outcome::Refused(repeated()),
            BROKER_LOGGER => alter_loggers(resource, broker, asked.validate_only),
            _ => match alteration(resource, broker) {
                Ok(alteration) => {
                    alterations.push(alteration);
                    Outcome::Planned
                }
                Err(refusal) => Outcome::Refused(refusal),
            },
        });
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
fn alter_loggers(asked: &AlterConfigsResource, broker: i32, validate_only: bool) -> Outcome {
    let levels = own_id(&asked.resource_name, broker).and_then(|()| logger_levels(asked));
    let levels = match levels {
        Ok(levels) => levels,
        Err(refusal) => return Outcome::Refused(refusal),
    };
    for (logger, level) in levels.into_iter().filter(|_| !validate_only) {
        if let Err(error) = loggers::set(logger, level) {
            return Outcome::Refused((ResponseError::InvalidConfig, error.to_string()));
        }
    }
    Outcome::Done
}

fn logger_levels(asked: &AlterConfigsResource) -> Result<Vec<(&str, Option<&str>)>, Refusal> {
    let invalid = |message: String| (ResponseError::InvalidRequest, message);
    let mut levels = Vec::with_capacity(asked.configs.len());
    for config in &asked.configs {
        let level = match config.config_operation {
            SET => Some(config.value.as_deref().unwrap_or_default()),
            DELETE => None,
            operation => {
                let name = if operation == APPEND { "APPEND" } else { "SUBTRACT" };
                let message = format!("{name} operation is not allowed for the BROKER_LOGGER resource");
                return Err(invalid(message));
            }
        };
        loggers::check(&config.name, level).map_err(|error| match error {
            LoggerError::Root => invalid(error.to_string()),
            error => (ResponseError::InvalidConfig, error.to_string()),
        })?;
        levels.push((config.name.as_str(), level));
    }
    Ok(levels)
}

fn repeated() -> Refusal {
    (ResponseError::InvalidRequest, "Each resource must appear at most once.".to_owned())
}

fn alteration(asked: &AlterConfigsResource, broker: i32) -> Result<Alteration, Refusal> {
    let resource = resource(asked.resource_type, &asked.resource_name, broker)?;
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
    Ok(Alteration { resource, edits, replaces: false })
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
