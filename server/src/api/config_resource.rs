//! What AlterConfigs and IncrementalAlterConfigs share: whose configuration a resource of the protocol is, and that a request
//! names it once.

use std::collections::HashMap;

use kafka_protocol::error::ResponseError;

use crate::metadata::ConfigResource;

pub const TOPIC: i8 = 2;
pub const BROKER: i8 = 4;
pub const BROKER_LOGGER: i8 = 8;

/// The code and sentence of a resource that nothing was done with.
pub type Refusal = (ResponseError, String);

/// The resource of `kind` and `name` where `broker` is this broker's id.
///
/// # Errors
/// As Kafka 3.2.0 refuses.
pub fn resource(kind: i8, name: &str, broker: i32) -> Result<ConfigResource, Refusal> {
    match kind {
        TOPIC if name.is_empty() => {
            Err((ResponseError::InvalidRequest, "Default topic resources are not allowed.".to_owned()))
        }
        TOPIC => Ok(ConfigResource::Topic(name.to_owned())),
        BROKER if name.is_empty() => Ok(ConfigResource::Cluster),
        BROKER => own_id(name, broker).map(|()| ConfigResource::Broker),
        other => Err((ResponseError::InvalidRequest, format!("Unknown resource type {other}"))),
    }
}

/// Of each resource of a request, whether it is the only one of its kind and name. None of those that are not is touched:
/// which of them counts could only be guessed.
pub fn each_once<'a>(resources: impl Iterator<Item = (i8, &'a str)> + Clone) -> Vec<Result<(), Refusal>> {
    let mut times: HashMap<(i8, &str), usize> = HashMap::new();
    for resource in resources.clone() {
        *times.entry(resource).or_default() += 1;
    }
    let repeated = || (ResponseError::InvalidRequest, "Each resource must appear at most once.".to_owned());
    resources.map(|resource| if times[&resource] == 1 { Ok(()) } else { Err(repeated()) }).collect()
}

/// Whether `name` is this broker.
///
/// # Errors
/// As Kafka 3.2.0 refuses.
pub fn own_id(name: &str, broker: i32) -> Result<(), Refusal> {
    let message = match name.parse::<i32>() {
        Ok(id) if id == broker => return Ok(()),
        Ok(id) => format!("Unexpected broker id, expected {broker}, but received {id}"),
        Err(_not_a_number) => format!("Node id must be an integer, but it is: {name}"),
    };
    Err((ResponseError::InvalidRequest, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_those_of_kafka() {
        let said = |kind, name: &str| resource(kind, name, 7).map_err(|(_, message)| message);
        assert_eq!(said(TOPIC, "t"), Ok(ConfigResource::Topic("t".into())));
        assert_eq!(said(BROKER, "7"), Ok(ConfigResource::Broker));
        assert_eq!(said(BROKER, ""), Ok(ConfigResource::Cluster));
        assert_eq!(said(BROKER, "8"), Err("Unexpected broker id, expected 7, but received 8".into()));
        assert_eq!(said(BROKER, "x"), Err("Node id must be an integer, but it is: x".into()));
        assert_eq!(said(3, ""), Err("Unknown resource type 3".into()));
    }

    #[test]
    fn what_appears_twice_is_refused_each_time() {
        let once = each_once([(TOPIC, "t"), (BROKER, "7"), (TOPIC, "t"), (BROKER_LOGGER, "7")].into_iter());
        assert_eq!(once.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false, true]);
        let (code, message) = once[2].clone().unwrap_err();
        assert_eq!(code, ResponseError::InvalidRequest);
        assert_eq!(message, "Each resource must appear at most once.");
    }
}
