//! DescribeTopicPartitions (key 75), version 0: topics and their partitions, some at a time (KIP-966).
//!
//! Topics come in order of their names, from the cursor on; no names are all topics. One answer holds at most
//! [`DESCRIBED_PARTITIONS_MAX`] partitions, and says where to go on.

use std::collections::BTreeSet;
use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_request::DescribeTopicPartitionsRequest;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponse, DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::k03_metadata::{NO_OPERATIONS, TOPIC_OPERATIONS};
use super::shape::{Shape, array, fixed, optional, string};
use super::{Api, Reply, Request, RequestError};
use crate::bounds::DESCRIBED_PARTITIONS_MAX;
use crate::metadata::{MetadataImage, Partition, Topic, check_topic_name};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 75,
    name: "DescribeTopicPartitions",
    versions: (0, 0),
    flexible: 0,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[string()];
const CURSOR: &Shape = &[string(), fixed(4)];
pub const SHAPE: &Shape = &[array(TOPIC), fixed(4), optional(CURSOR)];

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let asked: DescribeTopicPartitionsRequest = request.decode(SHAPE)?;
    let image = shard.metadata.image();
    let from = asked.cursor.as_ref().map(|cursor| (cursor.topic_name.as_str(), cursor.partition_index));
    let first = from.map_or("", |(name, _)| name);
    let names: BTreeSet<&str> = match asked.topics.is_empty() {
        true => image.topics().map(|topic| topic.name.as_str()).collect(),
        false => asked.topics.iter().map(|topic| topic.name.as_str()).collect(),
    };
    let limit =
        usize::try_from(asked.response_partition_limit).unwrap_or(0).clamp(1, DESCRIBED_PARTITIONS_MAX);
    let mut page = Page { image: &image, left: limit, topics: Vec::new(), next: None };
    for name in names.range(first..) {
        let start = from.filter(|(at, _)| at == name).map_or(0, |(_, index)| index);
        if !page.add(name, usize::try_from(start).unwrap_or(0)) {
            break;
        }
    }
    let response = DescribeTopicPartitionsResponse::default().with_topics(page.topics);
    request.reply(&response.with_next_cursor(page.next))
}

/// An answer that grows until it is full.
struct Page<'a> {
    image: &'a MetadataImage,
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page<'_> {
    /// Adds the partitions of topic `name` from `start` on, as far as there is room. False when it is full.
    fn add(&mut self, name: &str, start: usize) -> bool {
        if self.left == 0 {
            self.next = Some(cursor(name, start));
            return false;
        }
        let Some(topic) = self.image.topic(name) else {
            self.left -= 1;
            self.topics.push(missing(name));
            return true;
        };
        let end = topic.partitions.len().min(start.saturating_add(self.left));
        let partitions = (0..).zip(&topic.partitions).take(end).skip(start);
        let described: Vec<_> = partitions
            .map(|(index, partition)| partition_of(self.image.broker.id, index, *partition))
            .collect();
        self.left -= described.len();
        self.topics.push(topic_of(topic, described));
        if end < topic.partitions.len() {
            self.next = Some(cursor(name, end));
            return false;
        }
        true
    }
}

fn cursor(name: &str, partition: usize) -> Cursor {
    Cursor::default()
        .with_topic_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_partition_index(i32::try_from(partition).unwrap_or(i32::MAX))
}

fn missing(name: &str) -> DescribeTopicPartitionsResponseTopic {
    let error = match check_topic_name(name) {
        Ok(()) => ResponseError::UnknownTopicOrPartition,
        Err(_illegal) => ResponseError::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn topic_of(
    topic: &Topic,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_is_internal(topic.is_internal())
        .with_partitions(partitions)
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn partition_of(broker: i32, index: i32, partition: Partition) -> DescribeTopicPartitionsResponsePartition {
    let described = DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_replica_nodes(vec![BrokerId(broker)])
        .with_isr_nodes(vec![BrokerId(broker)])
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()));
    match partition.leader_epoch {
        Some(epoch) => described.with_leader_id(BrokerId(broker)).with_leader_epoch(epoch),
        None => described
            .with_error_code(ResponseError::LeaderNotAvailable.code())
            .with_leader_id(BrokerId(-1))
            .with_leader_epoch(-1)
            .with_offline_replicas(vec![BrokerId(broker)]),
    }
}
