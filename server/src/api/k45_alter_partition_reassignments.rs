//! AlterPartitionReassignments (key 45), versions 0 and 1: with one broker, a partition can only be where it is.
//!
//! Its present place is accepted and nothing is moved; everything else is refused as Kafka 3.2.0 refuses it.

use std::collections::HashSet;
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_partition_reassignments_response::{
    AlterPartitionReassignmentsResponse, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::metadata::MetadataImage;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 45,
    name: "AlterPartitionReassignments",
    versions: (0, 1),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const PARTITION: &Shape = &[fixed(4), plain_array(&fixed(4))];
const TOPIC: &Shape = &[string(), array(PARTITION)];
pub const SHAPE: &Shape = &[fixed(4), fixed(1).since(1), array(TOPIC)];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: AlterPartitionReassignmentsRequest = request.decode(SHAPE)?;
    let image = shard.metadata.image();
    let topic = |topic: ReassignableTopic| {
        let partitions = topic.partitions.iter().map(|partition| answer(&image, &topic.name, partition));
        let partitions = partitions.collect();
        ReassignableTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    };
    let response = AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(asked.allow_replication_factor_change)
        .with_error_message(Some(StrBytes::from_static_str("")))
        .with_responses(asked.topics.into_iter().map(topic).collect());
    request.reply(&response)
}

fn answer(
    image: &MetadataImage,
    topic: &str,
    asked: &ReassignablePartition,
) -> ReassignablePartitionResponse {
    let response = ReassignablePartitionResponse::default().with_partition_index(asked.partition_index);
    match reassign(image, topic, asked.partition_index, asked.replicas.as_deref()) {
        Ok(()) => response.with_error_message(None),
        Err((error, message)) => {
            response.with_error_code(error.code()).with_error_message(Some(StrBytes::from_string(message)))
        }
    }
}

fn reassign(
    image: &MetadataImage,
    topic: &str,
    index: i32,
    replicas: Option<&[BrokerId]>,
) -> Result<(), (ResponseError, String)> {
    let Some(replicas) = replicas else {
        let message = "No partition reassignment is in progress.".to_owned();
        return Err((ResponseError::NoReassignmentInProgress, message));
    };
    check_replicas(replicas, image.broker.id)
        .map_err(|message| (ResponseError::InvalidReplicaAssignment, message))?;
    match image.partition(topic, index) {
        Some(_) => Ok(()),
        None => Err((ResponseError::UnknownTopicOrPartition, "The partition does not exist.".to_owned())),
    }
}

/// Whether `replicas` are this broker and nothing else.
fn check_replicas(replicas: &[BrokerId], broker: i32) -> Result<(), String> {
    // Kafka's sentences show the list as Scala prints it.
    let shown = replicas.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(", ");
    let distinct: HashSet<i32> = replicas.iter().map(|id| id.0).collect();
    match replicas {
        [] => Err("Empty replica list specified in partition reassignment.".to_owned()),
        _ if distinct.len() < replicas.len() => {
            Err(format!("Duplicate replica ids in partition reassignment replica list: ArrayBuffer({shown})"))
        }
        _ if replicas.iter().any(|id| id.0 < 0) => {
            Err(format!("Invalid broker id in replica list: ArrayBuffer({shown})"))
        }
        [one] if one.0 == broker => Ok(()),
        _ => Err(format!(
            "Replica assignment has brokers that are not alive. Replica list: ArrayBuffer({shown}), live broker list: \
             Set({broker})"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_those_of_kafka() {
        let said = |ids: &[i32]| {
            let ids: Vec<BrokerId> = ids.iter().copied().map(BrokerId).collect();
            check_replicas(&ids, 0).err().unwrap_or_default()
        };
        assert_eq!(said(&[0]), "");
        assert_eq!(said(&[]), "Empty replica list specified in partition reassignment.");
        assert_eq!(
            said(&[0, 0]),
            "Duplicate replica ids in partition reassignment replica list: ArrayBuffer(0, 0)"
        );
        assert_eq!(said(&[-1]), "Invalid broker id in replica list: ArrayBuffer(-1)");
        assert_eq!(
            said(&[7]),
            "Replica assignment has brokers that are not alive. Replica list: ArrayBuffer(7), live broker list: Set(0)"
        );
    }

    /// A list that fills a request was compared with itself, element by element, for seconds on the thread of a shard.
    #[test]
    fn the_longest_list_is_checked_at_once() {
        let longest = (0..100_000).map(BrokerId).collect::<Vec<_>>();
        let started = std::time::Instant::now();
        assert!(check_replicas(&longest, 0).unwrap_err().starts_with("Replica assignment has brokers"));
        assert!(started.elapsed().as_secs() < 1);
    }
}
