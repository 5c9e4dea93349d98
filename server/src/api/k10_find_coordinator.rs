//! FindCoordinator (key 10), versions 0 to 6: this broker, for every group and transactional id.
//!
//! Version 4 and above ask for several keys at once. Share groups (key type 2, from version 6) do not exist here:
//! INVALID_REQUEST, as from a Kafka without them. The node's address is that of the listener the client came through.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
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

const SHAPE: &Shape = &[string().until(3), fixed(1).since(1), plain_array(&string()).since(4)];

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let body: FindCoordinatorRequest = request.decode(SHAPE)?;
    let image = shard.metadata.image();
    let found = match body.key_type {
        GROUP | TRANSACTION => Ok(this_broker(&image, request.client.listener)),
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

fn this_broker(image: &MetadataImage, listener: usize) -> Node {
    let endpoint = image.broker.endpoints.get(listener);
    Node {
        id: image.broker.id,
        host: endpoint.map_or_else(StrBytes::new, |endpoint| StrBytes::from_string(endpoint.host.clone())),
        port: endpoint.map_or(-1, |endpoint| i32::from(endpoint.port)),
    }
}

fn coordinator(key: StrBytes, found: &Result<Node, ResponseError>) -> Coordinator {
    let coordinator = Coordinator::default().with_key(key);
    match found {
        Ok(node) => coordinator
            .with_node_id(BrokerId(node.id))
            .with_host(node.host.clone())
            .with_port(node.port)
            .with_error_message(None),
        Err(error) => coordinator
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str("unknown coordinator type"))),
    }
}

fn single(found: &Result<Node, ResponseError>) -> FindCoordinatorResponse {
    match found {
        Ok(node) => FindCoordinatorResponse::default()
            .with_node_id(BrokerId(node.id))
            .with_host(node.host.clone())
            .with_port(node.port)
            .with_error_message(None),
        Err(error) => FindCoordinatorResponse::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str("unknown coordinator type"))),
    }
}

#[cfg(test)]
mod tests {
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
}
