//! OffsetDelete (key 47), version 0: committed offsets of some partitions go (KIP-496).
//!
//! Of a group with members only offsets of topics can go that none of them is subscribed to (GROUP_SUBSCRIBED_TO_TOPIC), and
//! none at all if it is no consumer group (NON_EMPTY_GROUP). Stored when the answer leaves.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::OffsetDeleteRequest;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};

use super::shape::{Shape, array, fixed, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::group::{self, GroupError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 47,
    name: "OffsetDelete",
    versions: (0, 0),
    flexible: i16::MAX,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[string(), array(&[fixed(4)])];
pub const SHAPE: &Shape = &[string(), array(TOPIC)];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: OffsetDeleteRequest = request.decode(SHAPE)?;
    let (mut known, mut partitions) = (Vec::new(), Vec::new());
    {
        let image = shard.metadata.image();
        for topic in &asked.topics {
            for partition in &topic.partitions {
                let exists = image.partition(&topic.name, partition.partition_index).is_some();
                known.push(exists);
                if exists {
                    partitions.push((topic.name.0.clone(), partition.partition_index));
                }
            }
        }
    }
    match group::delete_offsets(&shard, asked.group_id.0.clone(), partitions).await {
        Ok(results) => request.reply(&respond(asked, &known, results)),
        Err(error) => {
            request.reply(&OffsetDeleteResponse::default().with_error_code(errors::of_group(error).code()))
        }
    }
}

fn respond(
    asked: OffsetDeleteRequest,
    known: &[bool],
    results: Vec<Result<(), GroupError>>,
) -> OffsetDeleteResponse {
    let (mut known, mut results) = (known.iter(), results.into_iter());
    let mut code = || match known.next() {
        Some(true) => errors::group_code(results.next().and_then(Result::err)),
        Some(false) | None => ResponseError::UnknownTopicOrPartition.code(),
    };
    let topics = asked.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code())
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions)
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
