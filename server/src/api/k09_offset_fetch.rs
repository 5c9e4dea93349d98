//! OffsetFetch (key 9), versions 0 to 9: what groups have committed.
//!
//! One group up to version 7, several from version 8 on; a group or partition that is named twice is answered once. No topics (null, from version 2 on) are all topics. What was never
//! committed is offset -1, without an error. There are no transactions, so nothing is ever unstable and `require_stable`
//! changes nothing. Member id and epoch of version 9 belong to groups of KIP-848; a classic group does not look at them.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::shape::{Shape, array, fixed, plain_array, string};
use super::{Api, Reply, Request, RequestError};
use crate::errors;
use crate::group::{self, Fetched, GroupError};
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 9,
    name: "OffsetFetch",
    versions: (0, 9),
    flexible: 6,
    overlaps: false,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

const TOPIC: &Shape = &[string(), plain_array(&fixed(4))];
const GROUP: &Shape = &[string(), string().since(9), fixed(4).since(9), array(TOPIC)];
pub const SHAPE: &Shape =
    &[string().until(7), array(TOPIC).until(7), array(GROUP).since(8), fixed(1).since(7)];

/// First version that asks for several groups.
const BATCHED_FROM: i16 = 8;
/// First version with an error for the group as a whole.
const GROUP_ERROR_FROM: i16 = 2;
/// Versions 0 and 1 are alike, and `kafka-protocol` begins with 1.
const ENCODED_FROM: i16 = 1;

type Result1 = Result<Vec<Fetched>, GroupError>;

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let version = request.version.max(ENCODED_FROM);
    let body: OffsetFetchRequest = request.decode_as(SHAPE, version)?;
    let response = match version {
        BATCHED_FROM.. => several(&shard, body).await,
        _ => single(&shard, body, request.version).await,
    };
    request.reply_as(&response, version, API.is_flexible(version))
}

async fn several(shard: &Rc<ServerShard>, body: OffsetFetchRequest) -> OffsetFetchResponse {
    let mut seen = HashSet::new();
    let (mut ids, mut questions) = (Vec::new(), Vec::new());
    for group in body.groups.into_iter().filter(|group| seen.insert(group.group_id.clone())) {
        let topics = group.topics.map(|topics| {
            wanted(topics.iter().map(|topic| (&topic.name, topic.partition_indexes.as_slice())))
        });
        questions.push((group.group_id.0.clone(), topics));
        ids.push(group.group_id);
    }
    let fetched = group::fetch_several(shard, questions).await;
    let groups = ids.into_iter().zip(fetched).map(|(id, fetched)| described_group(id, fetched));
    OffsetFetchResponse::default().with_groups(groups.collect())
}

fn described_group(group: GroupId, fetched: Result1) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(group);
    let fetched = match fetched {
        Ok(fetched) => fetched,
        Err(error) => return response.with_error_code(errors::of_group(error).code()),
    };
    let topics = by_topic(fetched).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|told| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(told.index)
                .with_committed_offset(told.offset)
                .with_committed_leader_epoch(told.leader_epoch)
                .with_metadata(Some(told.metadata))
        });
        OffsetFetchResponseTopics::default().with_name(TopicName(name)).with_partitions(partitions.collect())
    });
    response.with_topics(topics.collect())
}

async fn single(shard: &Rc<ServerShard>, body: OffsetFetchRequest, version: i16) -> OffsetFetchResponse {
    let asked = body.topics.as_deref().map(wanted_single);
    let fetched = group::fetch(shard, body.group_id.0, asked).await;
    let code = errors::group_code(fetched.as_ref().err().copied());
    let per_partition = if version < GROUP_ERROR_FROM { code } else { errors::NONE };
    let fetched = match fetched {
        Ok(fetched) => fetched,
        // Without an error of the group, each partition has it.
        Err(_) if version < GROUP_ERROR_FROM => {
            let all = body.topics.as_deref().map(wanted_single).unwrap_or_default();
            all.into_iter().map(|(topic, index)| (topic, index, None)).collect()
        }
        Err(_) => Vec::new(),
    };
    let topics = by_topic(fetched).into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|told| {
            OffsetFetchResponsePartition::default()
                .with_partition_index(told.index)
                .with_committed_offset(told.offset)
                .with_committed_leader_epoch(if version >= 5 { told.leader_epoch } else { -1 })
                .with_metadata(Some(told.metadata))
                .with_error_code(per_partition)
        });
        OffsetFetchResponseTopic::default().with_name(TopicName(name)).with_partitions(partitions.collect())
    });
    let response = OffsetFetchResponse::default().with_topics(topics.collect());
    if version >= GROUP_ERROR_FROM { response.with_error_code(code) } else { response }
}

/// What is asked for, each partition once.
fn wanted<'a>(topics: impl Iterator<Item = (&'a TopicName, &'a [i32])>) -> Vec<(StrBytes, i32)> {
    let mut seen = HashSet::new();
    let partitions =
        topics.flat_map(|(name, indexes)| indexes.iter().map(move |index| (name.0.clone(), *index)));
    partitions.filter(|partition| seen.insert(partition.clone())).collect()
}

fn wanted_single(topics: &[OffsetFetchRequestTopic]) -> Vec<(StrBytes, i32)> {
    wanted(topics.iter().map(|topic| (&topic.name, topic.partition_indexes.as_slice())))
}

/// What is told of one partition.
struct Told {
    index: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: StrBytes,
}

/// Partitions of one topic come together, whatever the order of the request.
fn by_topic(fetched: Vec<Fetched>) -> Vec<(StrBytes, Vec<Told>)> {
    let mut places: BTreeMap<StrBytes, usize> = BTreeMap::new();
    let mut topics: Vec<(StrBytes, Vec<Told>)> = Vec::new();
    for (topic, index, committed) in fetched {
        let place = *places.entry(topic.clone()).or_insert_with(|| {
            topics.push((topic, Vec::new()));
            topics.len() - 1
        });
        topics[place].1.push(match committed {
            Some(committed) => Told {
                index,
                offset: committed.offset,
                leader_epoch: committed.leader_epoch,
                metadata: committed.metadata,
            },
            None => Told { index, offset: -1, leader_epoch: -1, metadata: StrBytes::new() },
        });
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::super::encode_reply;
    use super::*;
    use crate::group::CommittedOffset;

    fn fetched() -> Vec<Fetched> {
        let committed = CommittedOffset {
            offset: 7,
            leader_epoch: 3,
            metadata: StrBytes::from_static_str("note"),
            commit_ms: 0,
            expire_ms: None,
        };
        let topic = StrBytes::from_static_str;
        vec![(topic("b"), 0, Some(committed)), (topic("a"), 1, None), (topic("b"), 2, None)]
    }

    #[test]
    fn partitions_are_gathered_by_topic_in_the_order_of_the_request() {
        let topics = by_topic(fetched());
        let told: Vec<_> = topics
            .iter()
            .map(|(name, told)| {
                (&**name, told.iter().map(|told| (told.index, told.offset)).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(told, [("b", vec![(0, 7), (2, -1)]), ("a", vec![(1, -1)])]);
    }

    #[test]
    fn a_partition_that_is_named_twice_is_asked_for_once() {
        let name = |name| TopicName(StrBytes::from_static_str(name));
        let topics = [(&name("a"), &[1, 0, 1][..]), (&name("b"), &[1]), (&name("a"), &[0, 2])];
        let wanted: Vec<_> =
            wanted(topics.into_iter()).into_iter().map(|(topic, index)| (topic.to_string(), index)).collect();
        let expected = [("a", 1), ("a", 0), ("b", 1), ("a", 2)];
        assert_eq!(wanted, expected.map(|(topic, index)| (topic.to_owned(), index)));
    }

    #[test]
    fn every_batched_version_can_be_encoded() {
        for version in BATCHED_FROM..=API.versions.1 {
            for answer in [Ok(fetched()), Err(GroupError::NotCoordinator)] {
                let group = described_group(GroupId(StrBytes::from_static_str("g")), answer);
                let response = OffsetFetchResponse::default().with_groups(vec![group]);
                assert!(encode_reply(1, true, &response, version).is_ok(), "version {version}");
            }
        }
    }
}
