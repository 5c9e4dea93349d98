//! FindCoordinator (key 10), versions 0 to 6: this broker, for every group and transactional id.
//!
//! Version 4 and above ask for several keys at once. Share groups (key type 2, from version 6) do not exist here:
//! INVALID_REQUEST, as from a Kafka without them. The node's address is that of the listener the client came through;
//! COORDINATOR_NOT_AVAILABLE if none is advertised for it. Who asks for a group first has the topic made that keeps groups
//! and offsets; Kafka answers COORDINATOR_NOT_AVAILABLE then, here it is there before the answer is. A key that is asked for twice is answered once.

use std::collections::HashSet;
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::group;
use crate::metadata::MetadataImage;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 10,
    name: "FindCoordinator",
    versions: (0, 6),
    flexible: 3,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[string().until(3), fixed(1).since(1), plain_array(&string()).since(4)];

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let mut body: FindCoordinatorRequest = request.decode(SHAPE)?;
    forget_repeated(&mut body);
    let found = match body.key_type {
        GROUP => match group::ensure_topic(&shard).await {
            Ok(()) => this_broker(&shard.metadata.image(), request.client.listener),
            Err(error) => Err(errors::of_group(error)),
        },
        TRANSACTION => this_broker(&shard.metadata.image(), request.client.listener),
        _ => Err(ResponseError::InvalidRequest),
    };
    let response = respond(body, &found, request.version);
    request.reply(&response)
}

fn respond(
    body: FindCoordinatorRequest,
    found: &Result<Node, ResponseError>,
    version: i16,
) -> FindCoordinatorResponse {
    if version < 4 {
        return single(found);
    }
    let coordinators = body.coordinator_keys.into_iter().map(|key| coordinator(key, found));
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

struct Node {
    id: i32,
    host: StrBytes,
    port: i32,
}

fn forget_repeated(body: &mut FindCoordinatorRequest) {
    let mut seen = HashSet::new();
    body.coordinator_keys.retain(|key| seen.insert(key.clone()));
}

fn this_broker(image: &MetadataImage, listener: usize) -> Result<Node, ResponseError> {
    let endpoint = image.broker.endpoint(listener).ok_or(ResponseError::CoordinatorNotAvailable)?;
    Ok(Node {
        id: image.broker.id,
        host: StrBytes::from_string(endpoint.host.clone()),
        port: i32::from(endpoint.port),
    })
}

/// What a refusal says besides its code.
fn reason(error: ResponseError) -> StrBytes {
    StrBytes::from_static_str(match error {
        ResponseError::CoordinatorNotAvailable => "this listener is not advertised",
        _ => "unknown coordinator type",
    })
}

fn coordinator(key: StrBytes, found: &Result<Node, ResponseError>) -> Coordinator {
    let coordinator = Coordinator::default().with_key(key);
    match found {
        Ok(node) => coordinator
            .with_node_id(BrokerId(node.id))
            .with_host(node.host.clone())
            .with_port(node.port)
            .with_error_message(Some(StrBytes::new())),
        Err(error) => coordinator
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(reason(*error))),
    }
}

fn single(found: &Result<Node, ResponseError>) -> FindCoordinatorResponse {
    match found {
        Ok(node) => FindCoordinatorResponse::default()
            .with_node_id(BrokerId(node.id))
            .with_host(node.host.clone())
            .with_port(node.port)
            // As Kafka has it.
            .with_error_message(Some(StrBytes::from_static_str("NONE"))),
        Err(error) => FindCoordinatorResponse::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(reason(*error))),
    }
}

#[cfg(test)]
mod tests {
    use crate::metadata::{BrokerInfo, Endpoint};

    use super::super::encode_reply;
    use super::*;

    #[test]
    fn every_version_can_be_encoded() {
        let node = Node { id: 1, host: StrBytes::from_static_str("h"), port: 9092 };
        for found in [Ok(node), Err(ResponseError::InvalidRequest)] {
            for version in API.versions.0..=API.versions.1 {
                let body = FindCoordinatorRequest::default().with_coordinator_keys(vec![StrBytes::new()]);
                let encoded = encode_reply(1, false, &respond(body, &found, version), version);
                assert!(encoded.is_ok(), "version {version}");
            }
        }
    }

    #[test]
    fn a_key_that_is_asked_for_twice_is_answered_once() {
        let keys = ["a", "b", "a"].map(StrBytes::from_static_str).to_vec();
        let mut body = FindCoordinatorRequest::default().with_coordinator_keys(keys);
        forget_repeated(&mut body);
        assert_eq!(body.coordinator_keys, ["a", "b"].map(StrBytes::from_static_str));
    }

    /// An empty host was told as an address.
    #[test]
    fn a_listener_that_is_not_advertised_has_no_coordinator() {
        let endpoint = |host: &str| Endpoint { host: host.into(), port: 9092 };
        let broker = BrokerInfo {
            id: 1,
            cluster_id: "c".into(),
            rack: None,
            endpoints: vec![endpoint("h"), endpoint("")],
        };
        let image = MetadataImage::new(
            broker,
            std::sync::Arc::new(crate::config::resolve(crate::config::Properties::default(), 1).unwrap().0),
        );
        assert_eq!(this_broker(&image, 0).ok().map(|node| node.port), Some(9092));
        assert_eq!(this_broker(&image, 1).err(), Some(ResponseError::CoordinatorNotAvailable));
    }
}
