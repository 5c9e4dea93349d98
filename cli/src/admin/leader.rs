//! Which broker leads which partition.

use std::collections::{BTreeMap, HashMap, HashSet};

use kafka_protocol::error::ResponseError;

use super::Place;
use crate::client::{Client, ClientError, KafkaError};

/// The partitions of each leader.
pub type Led = BTreeMap<i32, Vec<Place>>;
/// The partitions that nobody leads, and why.
pub type Unled = Vec<(Place, KafkaError)>;

/// Sorts partitions by their leaders.
///
/// # Errors
/// When nobody answers in time.
pub fn leaders(client: &mut Client, places: &[Place]) -> Result<(Led, Unled), ClientError> {
    let mut names: Vec<String> = places.iter().map(|place| place.topic.clone()).collect();
    names.sort();
    names.dedup();
    let (mut known, mut topics) = (HashMap::new(), HashSet::new());
    if !names.is_empty() {
        for topic in &client.describe_topics(Some(&names))?.topics {
            let name = topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default();
            for partition in &topic.partitions {
                known.insert(Place::new(&name, partition.partition_index), partition.leader_id.0);
            }
            if topic.error_code == 0 {
                topics.insert(name);
            }
        }
    }
    let (mut led, mut unled) = (Led::new(), Unled::new());
    for place in places {
        let missing = match known.get(place) {
            Some(leader) if *leader >= 0 => {
                led.entry(*leader).or_default().push(place.clone());
                continue;
            }
            // A partition that a topic does not have is one without a leader: so Kafka's client takes it.
            None if !topics.contains(&place.topic) => ResponseError::UnknownTopicOrPartition,
            _ => ResponseError::LeaderNotAvailable,
        };
        unled.extend(KafkaError::of(missing.code(), None).map(|error| (place.clone(), error)));
    }
    Ok((led, unled))
}
