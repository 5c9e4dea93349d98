//! More partitions for a topic: checked against the image as Kafka checks, and put into records.
//!
//! Order and wording follow `ZkAdminManager.createPartitions` of Kafka 3.2.0. Pure: nothing is written here.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use thalweg_engine::format::metadata_record::MetadataRecord;

use super::controller::ChangeError;
use super::creation;
use super::image::{MetadataImage, Partition, Topic};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    pub topic: String,
    /// Partitions that there are afterwards.
    pub count: i32,
    /// Brokers of each new partition; None to let the server choose.
    pub assignments: Option<Vec<Vec<i32>>>,
}

/// Why a topic got no partitions: for the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpansionError {
    #[error("The topic '{0}' does not exist.")]
    NoTopic(String),
    #[error(
        "The number of partitions of the internal topic {0} cannot be changed: each key has its partition by a hash over them"
    )]
    Internal(String),
    #[error("Topic currently has {there} partitions, which is higher than the requested {asked}.")]
    Fewer { there: usize, asked: i32 },
    #[error("Topic already has {0} partitions.")]
    Same(usize),
    #[error("{0}")]
    Assignment(String),
    #[error("Excessively large number of partitions per request.")]
    TooMany,
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl ExpansionError {
    /// Kafka's code.
    pub fn code(&self) -> ResponseError {
        match self {
            ExpansionError::NoTopic(_) => ResponseError::UnknownTopicOrPartition,
            ExpansionError::Internal(_) => ResponseError::InvalidRequest,
            ExpansionError::Fewer { .. } | ExpansionError::Same(_) => ResponseError::InvalidPartitions,
            ExpansionError::Assignment(_) => ResponseError::InvalidReplicaAssignment,
            ExpansionError::TooMany => ResponseError::PolicyViolation,
            ExpansionError::Change(error) => error.code(),
        }
    }
}

/// The topic with its new partitions, which have no logs yet. `room` is how many the request may still ask for.
///
/// # Errors
/// What Kafka would say.
pub(super) fn plan(
    expansion: &Expansion,
    image: &MetadataImage,
    room: usize,
) -> Result<Topic, ExpansionError> {
    let topic =
        image.topic(&expansion.topic).ok_or_else(|| ExpansionError::NoTopic(expansion.topic.clone()))?;
    if topic.is_internal() {
        return Err(ExpansionError::Internal(topic.name.clone()));
    }
    let there = topic.partitions.len();
    let asked = usize::try_from(expansion.count).unwrap_or(0);
    let more = match asked.checked_sub(there) {
        None => return Err(ExpansionError::Fewer { there, asked: expansion.count }),
        Some(0) => return Err(ExpansionError::Same(there)),
        Some(more) => more,
    };
    if let Some(assignments) = &expansion.assignments {
        check_assignments(assignments, there, more, image.broker.id)?;
    }
    if more > room {
        return Err(ExpansionError::TooMany);
    }
    let mut partitions = topic.partitions.clone();
    partitions.resize(asked, Partition { leader_epoch: None });
    Ok(Topic { partitions, ..(**topic).clone() })
}

fn check_assignments(
    assignments: &[Vec<i32>],
    first: usize,
    more: usize,
    broker: i32,
) -> Result<(), ExpansionError> {
    let list =
        |ids: &mut dyn Iterator<Item = i32>| ids.map(|id| id.to_string()).collect::<Vec<_>>().join(", ");
    let refuse = |message: String| Err(ExpansionError::Assignment(message));
    let unknown: BTreeSet<i32> = assignments.iter().flatten().copied().filter(|id| *id != broker).collect();
    if !unknown.is_empty() {
        return refuse(format!(
            "Unknown broker(s) in replica assignment: {}.",
            list(&mut unknown.into_iter())
        ));
    }
    if assignments.len() != more {
        return refuse(format!(
            "Increasing the number of partitions by {more} but {} assignments provided.",
            assignments.len()
        ));
    }
    for (replicas, partition) in assignments.iter().zip(first..) {
        match replicas.len() {
            0 => return refuse(format!("Cannot have replication factor of 0 for partition id {partition}.")),
            1 => {}
            _ => {
                let brokers = list(&mut replicas.iter().copied());
                return refuse(format!(
                    "Duplicate brokers not allowed in replica assignment: {brokers} for partition id {partition}."
                ));
            }
        }
    }
    Ok(())
}

/// The records of the partitions of `topic` from `first` on.
pub(super) fn records(topic: &Topic, first: usize, broker: i32) -> Vec<MetadataRecord> {
    let new = topic.partition_ids().skip(first);
    new.map(|id| creation::partition_record(id.index, topic.id, broker).into()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::metadata::creation::TopicSpec;
    use crate::metadata::image::BrokerInfo;

    fn image() -> MetadataImage {
        let broker = BrokerInfo { id: 7, cluster_id: "c".into(), rack: None, endpoints: Vec::new() };
        let config = crate::config::resolve(crate::config::Properties::default(), 1).unwrap().0;
        let mut image = MetadataImage::new(broker, Arc::new(config));
        for (name, id) in [("t", 500), ("__consumer_offsets", 501)] {
            let spec = TopicSpec { partitions: 2, ..TopicSpec::with_defaults(name.to_owned()) };
            image.insert(Arc::new(
                creation::plan(&spec, uuid::Uuid::from_u128(id), &image, &Default::default()).unwrap(),
            ));
        }
        image
    }

    fn planned(count: i32, assignments: Option<&[&[i32]]>) -> Result<Topic, ExpansionError> {
        let assignments = assignments.map(|all| all.iter().map(|replicas| replicas.to_vec()).collect());
        plan(&Expansion { topic: "t".to_owned(), count, assignments }, &image(), 100)
    }

    #[test]
    fn partitions_are_added_behind_those_that_are_there() {
        let topic = planned(4, Some(&[&[7], &[7]])).unwrap();
        assert_eq!(topic.partitions.len(), 4);
        assert!(topic.partitions[3].leader_epoch.is_none());
        assert_eq!(records(&topic, 2, 7).len(), 2);
    }

    /// With another number of partitions every group had another home, and none of its members or offsets there.
    #[test]
    fn the_offsets_topic_keeps_its_partitions() {
        let more = Expansion { topic: "__consumer_offsets".to_owned(), count: 3, assignments: None };
        let refused = plan(&more, &image(), 100).unwrap_err();
        assert_eq!(refused, ExpansionError::Internal("__consumer_offsets".to_owned()));
        assert_eq!(refused.code(), ResponseError::InvalidRequest);
    }

    #[test]
    fn refusals_are_those_of_kafka() {
        let said =
            |count, assignments: Option<&[&[i32]]>| planned(count, assignments).unwrap_err().to_string();
        assert_eq!(said(1, None), "Topic currently has 2 partitions, which is higher than the requested 1.");
        assert_eq!(
            said(-3, None),
            "Topic currently has 2 partitions, which is higher than the requested -3."
        );
        assert_eq!(said(2, None), "Topic already has 2 partitions.");
        assert_eq!(
            said(4, Some(&[&[7]])),
            "Increasing the number of partitions by 2 but 1 assignments provided."
        );
        assert_eq!(said(3, Some(&[&[8]])), "Unknown broker(s) in replica assignment: 8.");
        assert_eq!(
            said(3, Some(&[&[7, 7]])),
            "Duplicate brokers not allowed in replica assignment: 7, 7 for partition id 2."
        );
        assert_eq!(said(3, Some(&[&[]])), "Cannot have replication factor of 0 for partition id 2.");
        assert_eq!(said(103, None), "Excessively large number of partitions per request.");
        let unknown = Expansion { topic: "u".to_owned(), count: 1, assignments: None };
        assert_eq!(plan(&unknown, &image(), 1).unwrap_err().to_string(), "The topic 'u' does not exist.");
    }
}
