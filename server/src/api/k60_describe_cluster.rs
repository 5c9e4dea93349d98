//! DescribeCluster (key 60), versions 0 to 2: this broker, which is its own controller.
//!
//! From version 1 on a client may ask for the controllers instead (KIP-919); there is no controller listener here, so
//! that is UNSUPPORTED_ENDPOINT_TYPE.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest};
use kafka_protocol::protocol::StrBytes;

use super::k03_metadata::{CLUSTER_OPERATIONS, NO_OPERATIONS};
use super::shape::{Shape, fixed};
use super::{Api, Reply, Request, RequestError};
use crate::metadata::MetadataImage;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 60,
    name: "DescribeCluster",
    versions: (0, 2),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

pub const SHAPE: &Shape = &[fixed(1), fixed(1).since(1), fixed(1).since(2)];

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: DescribeClusterRequest = request.decode(SHAPE)?;
    let image = shard.metadata.image();
    let response = match asked.endpoint_type {
        BROKERS => cluster(&image, &asked, request.client.listener),
        CONTROLLERS => refused(ResponseError::UnsupportedEndpointType, "There is no controller listener."),
        _ => refused(ResponseError::InvalidRequest, "Unknown endpoint type."),
    };
    request.reply(&response)
}

fn cluster(
    image: &MetadataImage,
    asked: &DescribeClusterRequest,
    listener: usize,
) -> DescribeClusterResponse {
    let broker = &image.broker;
    let told = broker.endpoint(listener).map(|endpoint| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(broker.id))
            .with_host(StrBytes::from_string(endpoint.host.clone()))
            .with_port(i32::from(endpoint.port))
            .with_rack(broker.rack.clone().map(StrBytes::from_string))
    });
    let operations =
        if asked.include_cluster_authorized_operations { CLUSTER_OPERATIONS } else { NO_OPERATIONS };
    DescribeClusterResponse::default()
        .with_error_message(None)
        .with_cluster_id(StrBytes::from_string(broker.cluster_id.clone()))
        .with_controller_id(BrokerId(broker.id))
        .with_brokers(told.into_iter().collect())
        .with_cluster_authorized_operations(operations)
}

fn refused(error: ResponseError, message: &'static str) -> DescribeClusterResponse {
    DescribeClusterResponse::default()
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_static_str(message)))
        .with_controller_id(BrokerId(-1))
        .with_cluster_authorized_operations(NO_OPERATIONS)
}
