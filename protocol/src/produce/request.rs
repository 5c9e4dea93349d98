//! Decodes a Produce request in place.

use super::{FLEXIBLE_FROM, TOPIC_IDS_FROM, VERSION_MAX};
use crate::topic::TopicRef;
use crate::wire::{Element, Items, Reader, WireError};
use bytes::Bytes;

/// A checked Produce request, which holds on to its frame.
#[derive(Debug, Clone)]
pub struct ProduceRequest {
    frame: Bytes,
    version: i16,
    transactional_id: Option<Bytes>,
    acks: i16,
    timeout_ms: i32,
    topics_at: usize,
    topic_count: usize,
}

impl ProduceRequest {
    /// Decodes the body that begins at `body_at` of `frame` (see `RequestHeader`). Bytes behind the body are ignored,
    /// as Kafka does.
    pub fn decode(frame: Bytes, body_at: usize, version: i16) -> Result<ProduceRequest, WireError> {
        if !(0..=VERSION_MAX).contains(&version) {
            return Err(WireError::Version { version });
        }
        let mut reader = Reader::at(&frame, body_at, version >= FLEXIBLE_FROM);
        let transactional_id = if version >= 3 { reader.nullable_string()? } else { None };
        let transactional_id = transactional_id.map(|id| frame.slice_ref(id.as_bytes()));
        let acks = reader.i16()?;
        let timeout_ms = reader.i32()?;
        let topics = Items::<RawTopic<'_>>::read(&mut reader, version)?;
        reader.skip_tags()?;
        let (topics_at, topic_count) = (topics.position(), topics.len());
        Ok(ProduceRequest { transactional_id, acks, timeout_ms, topics_at, topic_count, version, frame })
    }

    pub fn version(&self) -> i16 {
        self.version
    }

    /// Null for a producer without transactions.
    pub fn transactional_id(&self) -> Option<&str> {
        // Decoding has seen that this is UTF-8.
        self.transactional_id.as_ref().and_then(|id| std::str::from_utf8(id).ok())
    }

    /// 0, 1 or -1; anything else is as the client sent it.
    pub fn acks(&self) -> i16 {
        self.acks
    }

    pub fn timeout_ms(&self) -> i32 {
        self.timeout_ms
    }

    pub fn topic_count(&self) -> usize {
        self.topic_count
    }

    /// The topics in the client's order; names may repeat.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = ProduceTopic<'_>> {
        let reader = Reader::at(&self.frame, self.topics_at, self.version >= FLEXIBLE_FROM);
        let topics = Items::<RawTopic<'_>>::checked(reader, self.topic_count, self.version);
        topics.map(|RawTopic { topic, partitions }| ProduceTopic { topic, partitions, frame: &self.frame })
    }
}

/// One topic of a request.
#[derive(Debug, Clone)]
pub struct ProduceTopic<'a> {
    pub topic: TopicRef<'a>,
    partitions: Items<'a, RawPartition<'a>>,
    frame: &'a Bytes,
}

impl<'a> ProduceTopic<'a> {
    /// The partitions in the client's order; indexes may repeat.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = ProducePartition> + use<'a> {
        let frame = self.frame;
        self.partitions.clone().map(|RawPartition { index, records }| ProducePartition {
            index,
            records: records.map(|records| frame.slice_ref(records)),
        })
    }
}

/// What a client produces to one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducePartition {
    pub index: i32,
    /// A slice of the request's frame, not looked into.
    pub records: Option<Bytes>,
}

#[derive(Debug, Clone)]
struct RawTopic<'a> {
    topic: TopicRef<'a>,
    partitions: Items<'a, RawPartition<'a>>,
}

impl<'a> Element<'a> for RawTopic<'a> {
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<RawTopic<'a>, WireError> {
        let topic = TopicRef::read(reader, version >= TOPIC_IDS_FROM)?;
        let partitions = Items::read(reader, version)?;
        reader.skip_tags()?;
        Ok(RawTopic { topic, partitions })
    }
}

#[derive(Debug, Clone)]
struct RawPartition<'a> {
    index: i32,
    records: Option<&'a [u8]>,
}

impl<'a> Element<'a> for RawPartition<'a> {
    fn read(reader: &mut Reader<'a>, _version: i16) -> Result<RawPartition<'a>, WireError> {
        let partition = RawPartition { index: reader.i32()?, records: reader.nullable_bytes()? };
        reader.skip_tags()?;
        Ok(partition)
    }
}
