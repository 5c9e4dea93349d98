//! Consumer groups: which there are, what they look like, their deletion.

use std::collections::BTreeMap;

use bytes::Buf;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, DeleteGroupsRequest, DescribeGroupsRequest, GroupId, ListGroupsRequest,
    OffsetDeleteRequest,
};
use kafka_protocol::protocol::Decodable;

use super::{Place, by_topic, str_bytes, topic_name};
use crate::client::{Client, ClientError, KafkaError, Target};

/// A group as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    pub id: String,
    pub state: String,
}

/// A member and what it has.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: String,
    pub instance: Option<String>,
    pub client: String,
    pub host: String,
    pub assignment: Vec<Place>,
}

/// A group as a description shows it.
#[derive(Debug, Clone)]
pub struct Group {
    pub id: String,
    pub state: String,
    pub strategy: String,
    pub members: Vec<Member>,
}

/// The consumer groups of all brokers, in the order in which the brokers name them. `states` filters, unless empty.
///
/// # Errors
/// When a broker does not answer, or cannot filter.
pub fn list(client: &mut Client, states: &[&str]) -> Result<Vec<Listed>, ClientError> {
    let brokers: Vec<i32> = client.nodes()?.iter().map(|node| node.id).collect();
    let mut listed: Vec<Listed> = Vec::new();
    for broker in brokers {
        let request = |_| {
            ListGroupsRequest::default()
                .with_states_filter(states.iter().map(|state| str_bytes(state)).collect())
        };
        let answer =
            client.call_checked(&Target::Broker(broker), request, |answer| refusal(answer.error_code))?;
        for group in answer.groups {
            // An empty type is a group that only ever committed.
            let consumers = ["consumer", ""].contains(&group.protocol_type.as_str());
            if consumers && listed.iter().all(|other| *other.id != **group.group_id) {
                listed.push(Listed { id: group.group_id.to_string(), state: group.group_state.to_string() });
            }
        }
    }
    Ok(listed)
}

/// # Errors
/// The coordinator's refusal. A group that does not exist is described as `Dead`.
pub fn describe(client: &mut Client, group: &str) -> Result<Group, ClientError> {
    let request = |_| DescribeGroupsRequest::default().with_groups(vec![GroupId(str_bytes(group))]);
    let answer = client.call_checked(&Target::Group(group.to_owned()), request, |answer| {
        answer.groups.first().map_or(Ok(()), missing_is_no_error)
    });
    match answer?.groups.first() {
        Some(described) => decoded(described),
        None => Ok(Group {
            id: group.to_owned(),
            state: "Dead".to_owned(),
            strategy: String::new(),
            members: vec![],
        }),
    }
}

/// From version 6 on a group that is not there is an error, before it was in state Dead without one.
fn missing_is_no_error(group: &DescribedGroup) -> Result<(), ClientError> {
    if group.group_state.as_str() == "Dead" { Ok(()) } else { refusal(group.error_code) }
}

fn decoded(group: &DescribedGroup) -> Result<Group, ClientError> {
    let consumers = ["consumer", ""].contains(&group.protocol_type.as_str());
    if !consumers {
        let (id, kind) = (group.group_id.to_string(), &group.protocol_type);
        return Err(ClientError::Unusable(format!("GroupId {id} is not a consumer group ({kind}).")));
    }
    let members: Result<Vec<Member>, ClientError> = group.members.iter().map(member).collect();
    Ok(Group {
        id: group.group_id.to_string(),
        state: group.group_state.to_string(),
        strategy: group.protocol_data.to_string(),
        members: members?,
    })
}

fn member(member: &DescribedGroupMember) -> Result<Member, ClientError> {
    Ok(Member {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.as_ref().map(|instance| instance.to_string()),
        client: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assignment: assignment(member)?,
    })
}

/// The assignment is the clients' own format (`ConsumerProtocolAssignment`), which brokers pass on unread.
fn assignment(member: &DescribedGroupMember) -> Result<Vec<Place>, ClientError> {
    let mut bytes = member.member_assignment.clone();
    if bytes.len() < 2 {
        return Ok(Vec::new());
    }
    let version = bytes.get_i16().clamp(0, 3);
    let decoded = ConsumerProtocolAssignment::decode(&mut bytes, version).map_err(|error| {
        ClientError::Unusable(format!(
            "The assignment of member {} cannot be read: {error}",
            member.member_id.as_str()
        ))
    })?;
    let topics = decoded.assigned_partitions.iter();
    Ok(topics
        .flat_map(|topic| topic.partitions.iter().map(|partition| Place::new(&topic.topic, *partition)))
        .collect())
}

/// # Errors
/// The coordinator's refusal.
pub fn delete(client: &mut Client, group: &str) -> Result<(), ClientError> {
    let request = |_| DeleteGroupsRequest::default().with_groups_names(vec![GroupId(str_bytes(group))]);
    client.call_checked(&Target::Group(group.to_owned()), request, |answer| {
        answer.results.first().map_or(Ok(()), |result| refusal(result.error_code))
    })?;
    Ok(())
}

/// Deletes committed offsets; what became of each partition.
///
/// # Errors
/// The coordinator's refusal of the whole.
pub fn delete_offsets(
    client: &mut Client,
    group: &str,
    places: &[Place],
) -> Result<BTreeMap<Place, Option<KafkaError>>, ClientError> {
    let topics = by_topic(places).into_iter().map(|(topic, partitions)| {
        let asked = partitions
            .into_iter()
            .map(|index| OffsetDeleteRequestPartition::default().with_partition_index(index));
        OffsetDeleteRequestTopic::default().with_name(topic_name(topic)).with_partitions(asked.collect())
    });
    let topics: Vec<OffsetDeleteRequestTopic> = topics.collect();
    let request = |_| {
        OffsetDeleteRequest::default().with_group_id(GroupId(str_bytes(group))).with_topics(topics.clone())
    };
    let answer = client
        .call_checked(&Target::Group(group.to_owned()), request, |answer| refusal(answer.error_code))?;
    let mut results = BTreeMap::new();
    for topic in &answer.topics {
        for partition in &topic.partitions {
            let place = Place::new(&topic.name, partition.partition_index);
            results.insert(place, KafkaError::of(partition.error_code, None));
        }
    }
    Ok(results)
}

fn refusal(code: i16) -> Result<(), ClientError> {
    KafkaError::of(code, None).map_or(Ok(()), |error| Err(ClientError::Refused(error)))
}
