//! Offsets: those of a partition's log, by time or by its ends, and those that a group has committed.

use std::collections::BTreeMap;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{
    BrokerId, GroupId, ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest,
};

use super::leader::leaders;
use super::{Place, by_topic, str_bytes, topic_name};
use crate::client::{Client, ClientError, KafkaError, Target};

/// The end of the log: the offset that the next record will have.
pub const LATEST: i64 = -1;
/// The log's start.
pub const EARLIEST: i64 = -2;

/// An offset, or why there is none.
pub type Found = Result<i64, KafkaError>;

/// The offset of each partition for a time in milliseconds, or one of the constants above; -1 if no record is so late.
/// Each leader is asked once for all its partitions.
///
/// # Errors
/// When nobody answers in time. What is wrong with a single partition stands at that partition.
pub fn at(client: &mut Client, places: &[(Place, i64)]) -> Result<BTreeMap<Place, Found>, ClientError> {
    client.retry(|client| {
        let found = at_once(client, places)?;
        // A leader that is moving or not elected yet will be there in a moment; an unknown partition will not.
        let moving = found.values().find_map(|found| match found {
            Err(error)
                if error.code.is_retriable() && error.code != ResponseError::UnknownTopicOrPartition =>
            {
                Some(error.clone())
            }
            _ => None,
        });
        moving.map_or(Ok(found), |error| Err(ClientError::Refused(error)))
    })
}

fn at_once(client: &mut Client, places: &[(Place, i64)]) -> Result<BTreeMap<Place, Found>, ClientError> {
    let times: BTreeMap<&Place, i64> = places.iter().map(|(place, time)| (place, *time)).collect();
    let asked: Vec<Place> = times.keys().map(|place| (*place).clone()).collect();
    let (leaders, unled) = leaders(client, &asked)?;
    let mut found: BTreeMap<Place, Found> =
        unled.into_iter().map(|(place, error)| (place, Err(error))).collect();
    for (leader, asked) in leaders {
        let topics = request_topics(&asked, &times);
        let request =
            |_| ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(topics.clone());
        let answer = client.call(&Target::Broker(leader), request)?;
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let error = KafkaError::of(partition.error_code, None);
                let place = Place::new(&topic.name, partition.partition_index);
                found.insert(place, error.map_or(Ok(partition.offset), Err));
            }
        }
    }
    Ok(found)
}

fn request_topics(asked: &[Place], times: &BTreeMap<&Place, i64>) -> Vec<ListOffsetsTopic> {
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for place in asked {
        let partition = ListOffsetsPartition::default()
            .with_partition_index(place.partition)
            .with_current_leader_epoch(-1)
            .with_timestamp(times[place]);
        topics.entry(&place.topic).or_default().push(partition);
    }
    topics
        .into_iter()
        .map(|(topic, partitions)| {
            ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(partitions)
        })
        .collect()
}

/// All offsets that a group has committed.
///
/// # Errors
/// The coordinator's refusal.
pub fn committed(client: &mut Client, group: &str) -> Result<BTreeMap<Place, i64>, ClientError> {
    let id = GroupId(str_bytes(group));
    let request = |version| match version {
        8.. => {
            let group = OffsetFetchRequestGroup::default().with_group_id(id.clone()).with_topics(None);
            OffsetFetchRequest::default().with_groups(vec![group])
        }
        _ => OffsetFetchRequest::default().with_group_id(id.clone()).with_topics(None),
    };
    let answer = client.call_checked(&Target::Group(group.to_owned()), request, |answer| {
        let code = answer.groups.first().map_or(answer.error_code, |group| group.error_code);
        KafkaError::of(code, None).map_or(Ok(()), |error| Err(ClientError::Refused(error)))
    })?;
    let mut offsets = BTreeMap::new();
    let mut insert = |topic: &str, partition: i32, offset: i64| {
        if offset >= 0 {
            offsets.insert(Place::new(topic, partition), offset);
        }
    };
    for topic in answer.groups.iter().flat_map(|group| &group.topics) {
        for one in &topic.partitions {
            insert(&topic.name, one.partition_index, one.committed_offset);
        }
    }
    for topic in &answer.topics {
        for one in &topic.partitions {
            insert(&topic.name, one.partition_index, one.committed_offset);
        }
    }
    Ok(offsets)
}

/// Commits offsets for a group without members.
///
/// # Errors
/// The coordinator's first refusal.
pub fn commit(client: &mut Client, group: &str, offsets: &BTreeMap<Place, i64>) -> Result<(), ClientError> {
    if offsets.is_empty() {
        return Ok(());
    }
    let places: Vec<Place> = offsets.keys().cloned().collect();
    let topics: Vec<OffsetCommitRequestTopic> = by_topic(&places)
        .into_iter()
        .map(|(topic, partitions)| {
            let committed = partitions.into_iter().map(|index| {
                OffsetCommitRequestPartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(offsets[&Place::new(topic, index)])
                    .with_committed_leader_epoch(-1)
                    .with_committed_metadata(Some(str_bytes("")))
            });
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(topic))
                .with_partitions(committed.collect())
        })
        .collect();
    let request = |_| {
        OffsetCommitRequest::default()
            .with_group_id(GroupId(str_bytes(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(topics.clone())
    };
    client.call_checked(&Target::Group(group.to_owned()), request, |answer| {
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let refused = partitions.find_map(|partition| KafkaError::of(partition.error_code, None));
        refused.map_or(Ok(()), |error| Err(ClientError::Refused(error)))
    })?;
    Ok(())
}
