//! ListConfigResources (key 74), versions 0 and 1: whose configuration can be described (KIP-1142).
//!
//! Topics, this broker, and its loggers. Client metrics and groups have no configuration here. Version 0 lists client metrics
//! only, of which there are none.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ListConfigResourcesRequest;
use kafka_protocol::messages::list_config_resources_response::{ConfigResource, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;

use super::config_resource::{BROKER, BROKER_LOGGER, TOPIC};
use super::shape::{Shape, fixed, plain_array};
use super::{Api, Reply, Request, RequestError};
use crate::metadata::MetadataImage;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 74,
    name: "ListConfigResources",
    versions: (0, 1),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TYPE: super::shape::Field = fixed(1);
pub const SHAPE: &Shape = &[plain_array(&TYPE).since(1)];

const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: ListConfigResourcesRequest = request.decode(SHAPE)?;
    let all = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];
    let wanted = match request.version {
        0 => vec![CLIENT_METRICS],
        _ if asked.resource_types.is_empty() => all.to_vec(),
        _ => asked.resource_types,
    };
    let response = ListConfigResourcesResponse::default();
    if !wanted.iter().all(|kind| all.contains(kind)) {
        return request.reply(&response.with_error_code(ResponseError::UnsupportedVersion.code()));
    }
    let image = shard.metadata.image();
    let kinds = all.into_iter().filter(|kind| wanted.contains(kind));
    let resources = kinds.flat_map(|kind| names(&image, kind).map(move |name| entry(kind, name)));
    request.reply(&response.with_config_resources(resources.collect()))
}

fn names(image: &MetadataImage, kind: i8) -> Box<dyn Iterator<Item = String> + '_> {
    match kind {
        TOPIC => Box::new(image.topics().map(|topic| topic.name.clone())),
        BROKER | BROKER_LOGGER => Box::new(std::iter::once(image.broker.id.to_string())),
        _ => Box::new(std::iter::empty()),
    }
}

fn entry(kind: i8, name: String) -> ConfigResource {
    ConfigResource::default().with_resource_type(kind).with_resource_name(StrBytes::from_string(name))
}
