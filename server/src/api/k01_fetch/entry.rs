//! One partition that a fetch asks about, and where it lives.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use thalweg_engine::id::PartitionId;
use thalweg_protocol::TopicRef;
use thalweg_protocol::fetch::{FetchPartition, FetchRequest};
use uuid::Uuid;

use crate::metadata::MetadataImage;

/// A topic as the client names it, kept beyond its request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicKey {
    Name(Rc<str>),
    Id(Uuid),
}

impl TopicKey {
    pub fn of(topic: TopicRef<'_>) -> TopicKey {
        match topic {
            TopicRef::Name(name) => TopicKey::Name(Rc::from(name)),
            TopicRef::Id(id) => TopicKey::Id(id),
        }
    }

    /// As the response names it.
    pub fn as_ref(&self) -> TopicRef<'_> {
        match self {
            TopicKey::Name(name) => TopicRef::Name(name),
            TopicKey::Id(id) => TopicRef::Id(*id),
        }
    }
}

/// What is asked about one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub topic: TopicKey,
    pub index: i32,
    pub fetch_offset: i64,
    /// Bytes for this partition; 0 where the client said something negative.
    pub bytes_max: usize,
    /// -1: not known.
    pub current_leader_epoch: i32,
    /// -1: not known.
    pub last_fetched_epoch: i32,
}

impl Entry {
    fn new(topic: &TopicKey, asked: &FetchPartition) -> Entry {
        Entry {
            topic: topic.clone(),
            index: asked.index,
            fetch_offset: asked.fetch_offset,
            bytes_max: usize::try_from(asked.max_bytes).unwrap_or(0),
            current_leader_epoch: asked.current_leader_epoch,
            last_fetched_epoch: asked.last_fetched_epoch,
        }
    }
}

/// The partitions of a request, in its order.
pub fn entries(fetch: &FetchRequest) -> Vec<Entry> {
    let mut entries = Vec::with_capacity(fetch.topics().map(|topic| topic.partitions.len()).sum());
    for topic in fetch.topics() {
        let key = TopicKey::of(topic.topic);
        entries.extend(topic.partitions.map(|asked| Entry::new(&key, &asked)));
    }
    entries
}

/// Where an entry's partition is, or why there is none.
pub type Place = Result<PartitionId, ResponseError>;

/// Looks every entry up in the metadata.
pub fn resolve(image: &MetadataImage, entries: &[Entry]) -> Vec<Place> {
    entries.iter().map(|entry| place(image, entry)).collect()
}

fn place(image: &MetadataImage, entry: &Entry) -> Place {
    let topic = match &entry.topic {
        TopicKey::Name(name) => image.topic(name).ok_or(ResponseError::UnknownTopicOrPartition)?,
        TopicKey::Id(id) => image.topic_by_id(*id).ok_or(ResponseError::UnknownTopicId)?,
    };
    topic.partition(entry.index).ok_or(ResponseError::UnknownTopicOrPartition)
}
