//! DescribeConfigs (key 32), versions 0 to 4: the configuration of topics, of this broker, and of what it logs.
//!
//! Sources and synonyms since version 1 (KIP-226), types and documentation since version 3 (KIP-569). An empty broker name
//! asks for what was set for all brokers. A resource that is asked for twice is answered once, with all keys that were asked
//! for; no keys are all keys.

use std::collections::HashMap;
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::{DescribeConfigsRequest, DescribeConfigsResource};
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::protocol::StrBytes;

use super::config_resource::{BROKER, BROKER_LOGGER, Refusal, TOPIC};
use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError, oldest};
use crate::broker::loggers;
use crate::config::{
    ConfigSource, Described, Synonym, describe_broker, describe_cluster_default, describe_topic,
};
use crate::metadata::check_topic_name;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 32,
    name: "DescribeConfigs",
    versions: (0, 4),
    flexible: 4,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const RESOURCE: &Shape = &[fixed(1), string(), plain_array(&string())];
pub const SHAPE: &Shape = &[array(RESOURCE), fixed(1).since(1), fixed(1).since(3)];

/// What version 0 lacks at its end: `include_synonyms`.
const NO_SYNONYMS: &[u8] = &[0];

/// The oldest version of the codec.
const OLDEST: i16 = 1;

/// First version with types and documentation.
const KINDS_FROM: i16 = 3;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: DescribeConfigsRequest = match request.version {
        0 => request.decode_extended(SHAPE, OLDEST, NO_SYNONYMS)?,
        _ => request.decode(SHAPE)?,
    };
    let documented = asked.include_documentation && request.version >= KINDS_FROM;
    let shown = Shown {
        synonyms: asked.include_synonyms,
        documentation: documented,
        kinds: request.version >= KINDS_FROM,
    };
    let answer = |resource: &DescribeConfigsResource| result(resource, describe(&shard, resource), &shown);
    let results = merged(asked.resources).iter().map(answer).collect();
    let response = DescribeConfigsResponse::default().with_results(results);
    match request.version {
        0 => reply_in_version_0(&request, &response),
        _ => request.reply(&response),
    }
}

/// Version 0 knows defaults, and no other sources.
fn reply_in_version_0(request: &Request, response: &DescribeConfigsResponse) -> Result<Reply, RequestError> {
    oldest::reply(request, |body| {
        body.i32(response.throttle_time_ms);
        body.count(Some(response.results.len()))?;
        for result in &response.results {
            body.i16(result.error_code);
            body.nullable_string(result.error_message.as_deref())?;
            body.i8(result.resource_type);
            body.string(&result.resource_name)?;
            body.count(Some(result.configs.len()))?;
            for config in &result.configs {
                body.string(&config.name)?;
                body.nullable_string(config.value.as_deref())?;
                body.i8(i8::from(config.read_only));
                body.i8(i8::from(config.config_source == ConfigSource::Default.code()));
                body.i8(i8::from(config.is_sensitive));
            }
        }
        Ok(())
    })
}

/// One entry per resource, in the order of their first ones.
fn merged(resources: Vec<DescribeConfigsResource>) -> Vec<DescribeConfigsResource> {
    let mut places: HashMap<(i8, String), usize> = HashMap::new();
    let mut merged: Vec<DescribeConfigsResource> = Vec::new();
    for mut resource in resources {
        resource.configuration_keys = resource.configuration_keys.filter(|keys| !keys.is_empty());
        let place = *places.entry(identity(&resource)).or_insert(merged.len());
        match merged.get_mut(place) {
            None => merged.push(resource),
            Some(first) => match (&mut first.configuration_keys, resource.configuration_keys) {
                (Some(keys), Some(more)) => keys.extend(more),
                (keys, _) => *keys = None,
            },
        }
    }
    merged
}

/// A broker is its id, in whatever spelling: each description of it is long.
fn identity(resource: &DescribeConfigsResource) -> (i8, String) {
    let name = resource.resource_name.as_str();
    let id = match resource.resource_type {
        BROKER | BROKER_LOGGER => name.parse::<i32>().ok(),
        _ => None,
    };
    (resource.resource_type, id.map_or_else(|| name.to_owned(), |id| id.to_string()))
}

/// What the client wants to see, and its version can carry.
struct Shown {
    synonyms: bool,
    documentation: bool,
    kinds: bool,
}

fn describe(shard: &ServerShard, resource: &DescribeConfigsResource) -> Result<Vec<Described>, Refusal> {
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC => {
            check_topic_name(name).map_err(|message| (ResponseError::InvalidTopicException, message))?;
            match shard.metadata.image().topic(name) {
                Some(topic) => Ok(describe_topic(&shard.metadata.image().config, &topic.config)),
                None => Err((ResponseError::UnknownTopicOrPartition, String::new())),
            }
        }
        BROKER if name.is_empty() => Ok(describe_cluster_default(&shard.metadata.image().config)),
        BROKER => {
            let id = shard.metadata.image().broker.id;
            match name.parse() {
                Ok(asked) if id == asked => Ok(describe_broker(&shard.metadata.image().config, id)),
                Ok(asked) => {
                    let asked: i32 = asked;
                    Err((
                        ResponseError::InvalidRequest,
                        format!("Unexpected broker id, expected {id} or empty string, but received {asked}"),
                    ))
                }
                Err(_not_a_number) => Err((
                    ResponseError::InvalidRequest,
                    format!("Broker id must be an integer, but it is: {name}"),
                )),
            }
        }
        BROKER_LOGGER => {
            let id = shard.metadata.image().broker.id;
            let refuse = |message| Err((ResponseError::InvalidRequest, message));
            match name.parse::<i32>() {
                Ok(asked) if asked == id => Ok(loggers::levels()
                    .into_iter()
                    .map(|(name, level)| Described::logger(name, level))
                    .collect()),
                Ok(asked) => refuse(format!("Unexpected broker id, expected {id} but received {asked}")),
                Err(_) if name.is_empty() => refuse("Broker id must not be empty".to_owned()),
                Err(_not_a_number) => refuse(format!("Broker id must be an integer, but it is: {name}")),
            }
        }
        other => Err((ResponseError::InvalidRequest, format!("Unsupported resource type: {other}"))),
    }
}

fn result(
    resource: &DescribeConfigsResource,
    described: Result<Vec<Described>, Refusal>,
    shown: &Shown,
) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    match described {
        Ok(keys) => {
            let wanted = |key: &Described| match &resource.configuration_keys {
                Some(names) => names.iter().any(|name| name.as_str() == key.name),
                None => true,
            };
            let configs = keys.into_iter().filter(wanted).map(|key| entry(key, shown)).collect();
            result.with_error_message(None).with_configs(configs)
        }
        Err((error, message)) => {
            result.with_error_code(error.code()).with_error_message(Some(StrBytes::from_string(message)))
        }
    }
}

fn entry(key: Described, shown: &Shown) -> DescribeConfigsResourceResult {
    let synonyms = if shown.synonyms { key.synonyms } else { Vec::new() };
    let entry = DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(key.name))
        .with_value(key.value.map(StrBytes::from_string))
        .with_read_only(key.read_only)
        .with_config_source(key.source.code())
        .with_is_sensitive(key.sensitive)
        .with_synonyms(synonyms.into_iter().map(synonym).collect());
    let documentation = key.documentation.filter(|_| shown.documentation);
    let entry = entry.with_documentation(documentation.map(StrBytes::from_static_str));
    if shown.kinds { entry.with_config_type(key.kind) } else { entry }
}

fn synonym(synonym: Synonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_string(synonym.name))
        .with_value(synonym.value.map(StrBytes::from_string))
        .with_source(synonym.source.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(name: &'static str, keys: Option<&[&'static str]>) -> DescribeConfigsResource {
        let keys = keys.map(|keys| keys.iter().map(|key| StrBytes::from_static_str(key)).collect());
        DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_static_str(name))
            .with_configuration_keys(keys)
    }

    #[test]
    fn a_resource_is_answered_once_with_all_keys_that_were_asked_for() {
        let asked = vec![
            resource("a", Some(&["x"])),
            resource("b", Some(&["x"])),
            resource("a", Some(&["y"])),
            resource("b", None),
            resource("b", Some(&["y"])),
        ];
        assert_eq!(merged(asked), [resource("a", Some(&["x", "y"])), resource("b", None)]);
    }

    /// `7`, `+7`, `07`, `007`... were a resource each: a request of 100,000 of them was answered with as many descriptions of
    /// the broker.
    #[test]
    fn a_broker_is_answered_once_in_whatever_spelling() {
        let broker = |name| resource(name, Some(&["x"])).with_resource_type(BROKER);
        let merged = merged(vec![broker("7"), broker("+7"), broker("007"), broker("8"), broker("")]);
        let names: Vec<_> = merged.iter().map(|resource| resource.resource_name.as_str()).collect();
        assert_eq!(names, ["7", "8", ""]);
    }

    #[test]
    fn no_keys_are_all_keys() {
        assert_eq!(merged(vec![resource("a", Some(&[]))]), [resource("a", None)]);
    }
}
