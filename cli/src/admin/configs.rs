//! Configuration of topics, brokers and their loggers.

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use super::str_bytes;
use crate::client::{Client, ClientError, KafkaError, Target};

/// What has a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Topic(String),
    /// A broker by its id, or the defaults of all brokers.
    Broker(Option<i32>),
    BrokerLogger(i32),
}

impl Resource {
    fn kind(&self) -> i8 {
        match self {
            Resource::Topic(_) => 2,
            Resource::Broker(_) => 4,
            Resource::BrokerLogger(_) => 8,
        }
    }

    fn name(&self) -> String {
        match self {
            Resource::Topic(name) => name.clone(),
            Resource::Broker(id) => id.map(|id| id.to_string()).unwrap_or_default(),
            Resource::BrokerLogger(id) => id.to_string(),
        }
    }

    /// A broker's own configuration is known to that broker alone.
    fn target(&self) -> Target {
        match self {
            Resource::Broker(Some(id)) | Resource::BrokerLogger(id) => Target::Broker(*id),
            _ => Target::Any,
        }
    }
}

/// Where a value comes from, by the number of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source(pub i8);

impl Source {
    pub const TOPIC: Source = Source(1);
    pub const DYNAMIC_BROKER: Source = Source(2);
    pub const DYNAMIC_DEFAULT_BROKER: Source = Source(3);
    pub const DEFAULT: Source = Source(5);
    pub const DYNAMIC_BROKER_LOGGER: Source = Source(6);

    /// As Kafka's tools print it.
    pub fn name(self) -> &'static str {
        match self.0 {
            1 => "DYNAMIC_TOPIC_CONFIG",
            2 => "DYNAMIC_BROKER_CONFIG",
            3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            4 => "STATIC_BROKER_CONFIG",
            5 => "DEFAULT_CONFIG",
            6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
            _ => "UNKNOWN",
        }
    }
}

/// One value, where it comes from, and what else would hold.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    /// `None` if it is not set, or sensitive.
    pub value: Option<String>,
    pub sensitive: bool,
    pub source: Source,
    /// In the order in which they hold: source, name, value.
    pub synonyms: Vec<(Source, String, Option<String>)>,
}

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Set(String, String),
    Delete(String),
}

/// The configuration of one resource, with synonyms if `synonyms`.
///
/// # Errors
/// The broker's refusal.
pub fn describe(client: &mut Client, resource: &Resource, synonyms: bool) -> Result<Vec<Entry>, ClientError> {
    let mut described = describe_all(client, std::slice::from_ref(resource), synonyms)?;
    Ok(described.pop().unwrap_or_default())
}

/// The same for several resources of one kind, in one request; they must not be single brokers.
///
/// # Errors
/// The first refusal.
pub fn describe_all(
    client: &mut Client,
    resources: &[Resource],
    synonyms: bool,
) -> Result<Vec<Vec<Entry>>, ClientError> {
    let Some(first) = resources.first() else { return Ok(Vec::new()) };
    let asked: Vec<DescribeConfigsResource> = resources
        .iter()
        .map(|resource| {
            DescribeConfigsResource::default()
                .with_resource_type(resource.kind())
                .with_resource_name(str_bytes(&resource.name()))
                .with_configuration_keys(None)
        })
        .collect();
    let request =
        |_| DescribeConfigsRequest::default().with_resources(asked.clone()).with_include_synonyms(synonyms);
    let answer = client.call_checked(&first.target(), request, |answer| {
        let mut results = answer.results.iter();
        let refused = results.find_map(|one| KafkaError::of(one.error_code, one.error_message.as_deref()));
        refused.map_or(Ok(()), |error| Err(ClientError::Refused(error)))
    })?;
    // The answer may come in another order than the question.
    let of = |resource: &Resource| {
        let name = resource.name();
        let mut results = answer.results.iter();
        results.find(|one| *one.resource_name == *name).map(entries).unwrap_or_default()
    };
    Ok(resources.iter().map(of).collect())
}

fn entries(result: &DescribeConfigsResult) -> Vec<Entry> {
    let text =
        |value: &Option<kafka_protocol::protocol::StrBytes>| value.as_ref().map(|text| text.to_string());
    result
        .configs
        .iter()
        .map(|config| Entry {
            name: config.name.to_string(),
            value: text(&config.value),
            sensitive: config.is_sensitive,
            source: Source(config.config_source),
            synonyms: config
                .synonyms
                .iter()
                .map(|one| (Source(one.source), one.name.to_string(), text(&one.value)))
                .collect(),
        })
        .collect()
}

/// Changes single keys of a resource and leaves the others alone.
///
/// # Errors
/// The broker's refusal; nothing has changed then.
pub fn alter(client: &mut Client, resource: &Resource, changes: &[Change]) -> Result<(), ClientError> {
    let configs = changes.iter().map(|change| match change {
        Change::Set(name, value) => AlterableConfig::default()
            .with_name(str_bytes(name))
            .with_config_operation(0)
            .with_value(Some(str_bytes(value))),
        Change::Delete(name) => {
            AlterableConfig::default().with_name(str_bytes(name)).with_config_operation(1).with_value(None)
        }
    });
    let asked = AlterConfigsResource::default()
        .with_resource_type(resource.kind())
        .with_resource_name(str_bytes(&resource.name()))
        .with_configs(configs.collect());
    let request = |_| IncrementalAlterConfigsRequest::default().with_resources(vec![asked.clone()]);
    client.call_checked(&resource.target(), request, |answer| {
        let mut results = answer.responses.iter();
        let refused = results.find_map(|one| KafkaError::of(one.error_code, one.error_message.as_deref()));
        refused.map_or(Ok(()), |error| Err(ClientError::Refused(error)))
    })?;
    Ok(())
}
