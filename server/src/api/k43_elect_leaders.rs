//! ElectLeaders (key 43), versions 0 to 2: there is one replica of each partition, and it leads.
//!
//! So nothing is ever elected: ELECTION_NOT_NEEDED, or for a partition whose log directory has failed, the error that says that
//! nobody can lead it. Asked about all partitions, a broker names only those that it elected leaders for: none.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::elect_leaders_request::{ElectLeadersRequest, TopicPartitions};
use kafka_protocol::messages::elect_leaders_response::{
    ElectLeadersResponse, PartitionResult, ReplicaElectionResult,
};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::metadata::MetadataImage;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 43,
    name: "ElectLeaders",
    versions: (0, 2),
    flexible: 2,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[string(), plain_array(&fixed(4))];
pub const SHAPE: &Shape = &[fixed(1).since(1), array(TOPIC), fixed(4)];

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

/// First version with a code for the whole request.
const CODE_FROM: i16 = 1;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: ElectLeadersRequest = request.decode(SHAPE)?;
    let image = shard.metadata.image();
    let unknown_kind = !matches!(asked.election_type, PREFERRED | UNCLEAN);
    let answer = |index: i32, topic: &str| match unknown_kind {
        true => (ResponseError::InvalidRequest, "Unknown election type."),
        false => elect(&image, topic, index, asked.election_type),
    };
    let topic = |topic: TopicPartitions| {
        let results = topic.partitions.iter().map(|index| {
            let (error, message) = answer(*index, &topic.topic);
            PartitionResult::default()
                .with_partition_id(*index)
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_static_str(message)))
        });
        let results = results.collect();
        ReplicaElectionResult::default().with_topic(topic.topic).with_partition_result(results)
    };
    let results = asked.topic_partitions.unwrap_or_default().into_iter().map(topic).collect();
    let mut response = ElectLeadersResponse::default().with_replica_election_results(results);
    if unknown_kind && request.version >= CODE_FROM {
        response.error_code = ResponseError::InvalidRequest.code();
    }
    request.reply(&response)
}

fn elect(image: &MetadataImage, topic: &str, index: i32, kind: i8) -> (ResponseError, &'static str) {
    let partitions = image.topic(topic).map(|topic| topic.partitions.as_slice()).unwrap_or_default();
    match usize::try_from(index).ok().and_then(|index| partitions.get(index)) {
        None => (ResponseError::UnknownTopicOrPartition, "The partition does not exist."),
        Some(partition) if partition.leader_epoch.is_some() => {
            (ResponseError::ElectionNotNeeded, "Leader election not needed for topic partition.")
        }
        Some(_) if kind == PREFERRED => {
            (ResponseError::PreferredLeaderNotAvailable, "The preferred leader was not available.")
        }
        Some(_) => (
            ResponseError::EligibleLeadersNotAvailable,
            "Eligible topic partition leaders are not available.",
        ),
    }
}
