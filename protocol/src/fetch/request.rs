//! Decodes a Fetch request in place.

use super::{FLEXIBLE_FROM, TOPIC_IDS_FROM, VERSION_MAX};
use crate::topic::TopicRef;
use crate::wire::{Element, Items, Reader, WireError};
use bytes::Bytes;
use uuid::Uuid;

/// A checked Fetch request, which holds on to its frame.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    frame: Bytes,
    version: i16,
    /// Tag 0 from v12; clients leave it out.
    cluster_id: Option<Bytes>,
    /// -1 for a consumer, whichever field the version carries it in.
    pub replica: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    /// `i32::MAX` before v3.
    pub max_bytes: i32,
    /// 0 reads uncommitted, 1 reads committed; anything else is as the client sent it.
    pub isolation_level: i8,
    /// 0 for no session.
    pub session_id: i32,
    /// -1 for no session (also before v7), 0 to open one.
    pub session_epoch: i32,
    topics: Place,
    forgotten: Place,
    rack_id: Option<Bytes>,
}

/// Who fetches (KIP-903).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaState {
    /// Broker id of a follower; -1 for a consumer.
    pub replica_id: i32,
    /// -1 when unknown.
    pub replica_epoch: i64,
}

/// Where a checked array lies in the frame.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    at: usize,
    count: usize,
}

impl Place {
    fn of<'a, T: Element<'a>>(items: &Items<'a, T>) -> Place {
        Place { at: items.position(), count: items.len() }
    }
}

impl FetchRequest {
    /// Decodes the body that begins at `body_at` of `frame` (see `RequestHeader`). Bytes behind the body are ignored,
    /// as Kafka does.
    pub fn decode(frame: Bytes, body_at: usize, version: i16) -> Result<FetchRequest, WireError> {
        if !(0..=VERSION_MAX).contains(&version) {
            return Err(WireError::Version { version });
        }
        let mut reader = Reader::at(&frame, body_at, version >= FLEXIBLE_FROM);
        let replica_id = if version <= 14 { reader.i32()? } else { -1 };
        let mut request = FetchRequest {
            frame: Bytes::new(),
            version,
            cluster_id: None,
            replica: ReplicaState { replica_id, replica_epoch: -1 },
            max_wait_ms: reader.i32()?,
            min_bytes: reader.i32()?,
            max_bytes: if version >= 3 { reader.i32()? } else { i32::MAX },
            isolation_level: if version >= 4 { reader.i8()? } else { 0 },
            session_id: if version >= 7 { reader.i32()? } else { 0 },
            session_epoch: if version >= 7 { reader.i32()? } else { -1 },
            topics: Place::of(&Items::<FetchTopic<'_>>::read(&mut reader, version)?),
            forgotten: Place::default(),
            rack_id: None,
        };
        request.read_rest(&frame, &mut reader)?;
        request.frame = frame;
        Ok(request)
    }

    /// What follows the topics.
    fn read_rest<'a>(&mut self, frame: &'a Bytes, reader: &mut Reader<'a>) -> Result<(), WireError> {
        let version = self.version;
        if version >= 7 {
            self.forgotten = Place::of(&Items::<ForgottenTopic<'_>>::read(reader, version)?);
        }
        if version >= 11 {
            self.rack_id = Some(frame.slice_ref(reader.string()?.as_bytes()));
        }
        reader.tags(|tag, field| {
            match tag {
                0 => {
                    self.cluster_id = field.nullable_string()?.map(|id| frame.slice_ref(id.as_bytes()));
                }
                1 if version >= 15 => self.replica = ReplicaState::read(field)?,
                _ => {}
            }
            Ok(())
        })
    }

    pub fn version(&self) -> i16 {
        self.version
    }

    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_ref().and_then(|id| std::str::from_utf8(id).ok())
    }

    /// Empty when the client has none.
    pub fn rack_id(&self) -> &str {
        self.rack_id.as_ref().and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default()
    }

    /// The topics in the client's order, which is the order to fill the response in (KIP-74).
    pub fn topics(&self) -> Items<'_, FetchTopic<'_>> {
        self.items(self.topics)
    }

    /// Partitions to drop from the session.
    pub fn forgotten(&self) -> Items<'_, ForgottenTopic<'_>> {
        self.items(self.forgotten)
    }

    fn items<'a, T: Element<'a>>(&'a self, place: Place) -> Items<'a, T> {
        let reader = Reader::at(&self.frame, place.at, self.version >= FLEXIBLE_FROM);
        Items::checked(reader, place.count, self.version)
    }
}

impl ReplicaState {
    fn read(reader: &mut Reader<'_>) -> Result<ReplicaState, WireError> {
        let state = ReplicaState { replica_id: reader.i32()?, replica_epoch: reader.i64()? };
        reader.skip_tags()?;
        Ok(state)
    }
}

/// One topic to fetch from.
#[derive(Debug, Clone)]
pub struct FetchTopic<'a> {
    pub topic: TopicRef<'a>,
    /// In the client's order; indexes may repeat.
    pub partitions: Items<'a, FetchPartition>,
}

impl<'a> Element<'a> for FetchTopic<'a> {
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<FetchTopic<'a>, WireError> {
        let topic = TopicRef::read(reader, version >= TOPIC_IDS_FROM)?;
        let partitions = Items::read(reader, version)?;
        reader.skip_tags()?;
        Ok(FetchTopic { topic, partitions })
    }
}

/// One partition to fetch from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchPartition {
    pub index: i32,
    /// -1 when unknown, and before v9.
    pub current_leader_epoch: i32,
    pub fetch_offset: i64,
    /// -1 when unknown, and before v12.
    pub last_fetched_epoch: i32,
    /// A follower's; -1 from consumers, and before v5.
    pub log_start_offset: i64,
    /// Limit of this partition; the first non-empty batch may exceed it (KIP-74).
    pub max_bytes: i32,
    /// A follower's; nil before v17.
    pub replica_directory_id: Uuid,
    /// The follower's high watermark; `i64::MAX` when not given, and before v18.
    pub high_watermark: i64,
}

impl<'a> Element<'a> for FetchPartition {
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<FetchPartition, WireError> {
        let mut partition = FetchPartition {
            index: reader.i32()?,
            current_leader_epoch: if version >= 9 { reader.i32()? } else { -1 },
            fetch_offset: reader.i64()?,
            last_fetched_epoch: if version >= 12 { reader.i32()? } else { -1 },
            log_start_offset: if version >= 5 { reader.i64()? } else { -1 },
            max_bytes: reader.i32()?,
            replica_directory_id: Uuid::nil(),
            high_watermark: i64::MAX,
        };
        reader.tags(|tag, field| {
            match tag {
                0 if version >= 17 => partition.replica_directory_id = field.uuid()?,
                1 if version >= 18 => partition.high_watermark = field.i64()?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(partition)
    }
}

/// Partitions of one topic that leave the session.
#[derive(Debug, Clone)]
pub struct ForgottenTopic<'a> {
    pub topic: TopicRef<'a>,
    pub partitions: Items<'a, i32>,
}

impl<'a> Element<'a> for ForgottenTopic<'a> {
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<ForgottenTopic<'a>, WireError> {
        let topic = TopicRef::read(reader, version >= TOPIC_IDS_FROM)?;
        let partitions = Items::read(reader, version)?;
        reader.skip_tags()?;
        Ok(ForgottenTopic { topic, partitions })
    }
}
