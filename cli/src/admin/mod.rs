//! What Kafka's admin client can ask, as functions over a [`Client`](crate::client::Client): one request each, sent to
//! whoever must answer it, tried again where Kafka's client would, its answer in plain types.

pub mod configs;
pub mod groups;
mod leader;
pub mod offsets;
pub mod quotas;
pub mod records;
pub mod topics;

use std::collections::BTreeMap;
use std::fmt;

use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;

pub(crate) fn str_bytes(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(str_bytes(name))
}

/// A partition of a topic. Shown as Kafka shows it, `topic-partition`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub topic: String,
    pub partition: i32,
}

impl Place {
    pub fn new(topic: &str, partition: i32) -> Place {
        Place { topic: topic.to_owned(), partition }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// The partitions by topic, as requests carry them.
pub(crate) fn by_topic(places: &[Place]) -> BTreeMap<&str, Vec<i32>> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for place in places {
        topics.entry(&place.topic).or_default().push(place.partition);
    }
    topics
}
