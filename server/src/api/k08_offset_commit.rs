//! OffsetCommit (key 8), versions 0 to 9: positions of a group, stored when the answer leaves.
//!
//! All partitions of a request are stored together. Version 0 (which Kafka keeps in ZooKeeper) is stored like the others; a
//! commit time is taken from version 1, an expiry from versions 2 to 4. Taken apart without a copy, since consumers send
//! little else. Commits of one connection may overlap: they reach the log in their order all the same.

use std::rc::Rc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::protocol::StrBytes;
use thalweg_protocol::wire::{Reader, WireError};

use super::{Api, Reply, Request, RequestError};
use crate::bounds::{COLD_REQUEST_BYTES_MAX, REQUEST_ELEMENTS_MAX};
use crate::errors;
use crate::group::{self, Commit, CommittedOffset, GroupError, Identity, STRING_BYTES_MAX};
use crate::metadata::MetadataImage;
use crate::shard::ServerShard;

pub const API: Api = Api {
    key: 8,
    name: "OffsetCommit",
    versions: (0, 9),
    flexible: 8,
    overlaps: true,
    handle: |shard, request| Box::pin(handle(shard, request)),
};

/// First version in which a group that does not exist has an error of its own.
const NOT_FOUND_FROM: i16 = 9;
/// Versions 0 to 2 are answered alike, and `kafka-protocol` begins with 2.
const ENCODED_FROM: i16 = 2;

/// A request, with its texts as slices of the frame.
#[derive(Debug, PartialEq, Eq)]
pub struct CommitRequest<'a> {
    group: &'a str,
    generation: i32,
    member_id: &'a str,
    instance_id: Option<&'a str>,
    /// Milliseconds for which the offsets are kept; -1: as the broker keeps them.
    retention_ms: i64,
    topics: Vec<(&'a str, Vec<CommitPartition<'a>>)>,
}

#[derive(Debug, PartialEq, Eq)]
struct CommitPartition<'a> {
    index: i32,
    offset: i64,
    leader_epoch: i32,
    /// Milliseconds since the epoch; -1: now.
    commit_ms: i64,
    metadata: Option<&'a str>,
}

impl<'a> CommitRequest<'a> {
    /// Takes a body apart. No count sizes an allocation before its elements are there.
    ///
    /// # Errors
    /// What is malformed.
    pub fn decode(body: &'a [u8], version: i16) -> Result<CommitRequest<'a>, RequestError> {
        if body.len() > COLD_REQUEST_BYTES_MAX {
            return Err(RequestError::Malformed(format!("{} bytes of commits", body.len())));
        }
        let mut reader = Reader::new(body, API.is_flexible(version));
        let malformed = |error: WireError| RequestError::Malformed(error.to_string());
        let request = CommitRequest::read(&mut reader, version).map_err(malformed)?;
        let elements: usize = request.topics.iter().map(|(_, partitions)| 1 + partitions.len()).sum();
        if elements > REQUEST_ELEMENTS_MAX {
            return Err(RequestError::Malformed(format!("{elements} partitions in one OffsetCommit")));
        }
        Ok(request)
    }

    fn read(reader: &mut Reader<'a>, version: i16) -> Result<CommitRequest<'a>, WireError> {
        let group = reader.string()?;
        let (generation, member_id) = if version >= 1 { (reader.i32()?, reader.string()?) } else { (-1, "") };
        let instance_id = if version >= 7 { reader.nullable_string()? } else { None };
        let retention_ms = if (2..=4).contains(&version) { reader.i64()? } else { -1 };
        let mut topics = Vec::new();
        for _ in 0..reader.count()? {
            let name = reader.string()?;
            let mut partitions = Vec::new();
            for _ in 0..reader.count()? {
                partitions.push(CommitPartition {
                    index: reader.i32()?,
                    offset: reader.i64()?,
                    leader_epoch: if version >= 6 { reader.i32()? } else { -1 },
                    commit_ms: if version == 1 { reader.i64()? } else { -1 },
                    metadata: reader.nullable_string()?,
                });
                reader.skip_tags()?;
            }
            reader.skip_tags()?;
            topics.push((name, partitions));
        }
        reader.skip_tags()?;
        Ok(CommitRequest { group, generation, member_id, instance_id, retention_ms, topics })
    }
}

async fn handle(shard: Rc<ServerShard>, request: Request) -> Result<Reply, RequestError> {
    let frame = request.frame.clone();
    let body = frame.get(request.body_at..).unwrap_or_default();
    let asked = CommitRequest::decode(body, request.version)?;
    let text = |text: &str| slice(&request, text);
    let (mut codes, commits) = plan(&shard, &asked, &text);
    if !codes.contains(&None) {
        return respond(&request, &asked, &codes, &text);
    }
    let who = Identity {
        member_id: text(asked.member_id),
        instance_id: asked.instance_id.map(text),
        generation: asked.generation,
    };
    let outcome = group::commit(&shard, text(asked.group), who, commits).await;
    let code = outcome.err().map_or(errors::NONE, |error| code_of(error, request.version));
    for planned in &mut codes {
        // What is too large, or unknown, says so only if the group takes commits at all.
        let refused = code != errors::NONE && *planned != Some(ResponseError::UnknownTopicOrPartition.code());
        if refused || planned.is_none() {
            *planned = Some(code);
        }
    }
    respond(&request, &asked, &codes, &text)
}

fn slice(request: &Request, text: &str) -> StrBytes {
    let bytes = request.frame.slice_ref(text.as_bytes());
    // It was a str a moment ago.
    StrBytes::from_utf8(bytes).unwrap_or_default()
}

fn code_of(error: GroupError, version: i16) -> i16 {
    let code = match error {
        GroupError::NotFound if version < NOT_FOUND_FROM => ResponseError::IllegalGeneration,
        GroupError::RecordTooLarge => ResponseError::InvalidCommitOffsetSize,
        error => errors::of_group(error),
    };
    code.code()
}

/// The code of each partition, in the request's order, where it is decided already; and the commits of the others.
fn plan(
    shard: &ServerShard,
    asked: &CommitRequest<'_>,
    text: &dyn Fn(&str) -> StrBytes,
) -> (Vec<Option<i16>>, Vec<Commit>) {
    let (image, now_ms) = (shard.metadata.image(), shard.io.wall_clock_ms());
    let expire_ms = (asked.retention_ms != -1).then(|| now_ms.saturating_add(asked.retention_ms));
    let metadata_max = shard.config.groups.offset_metadata_max;
    let (mut codes, mut commits) = (Vec::new(), Vec::new());
    for (name, partitions) in &asked.topics {
        for partition in partitions {
            let refusal = refusal(&image, name, partition, metadata_max);
            codes.push(refusal.map(|refusal| refusal.code()));
            if refusal.is_none() {
                commits.push((text(name), partition.index, committed(partition, now_ms, expire_ms)));
            }
        }
    }
    (codes, commits)
}

fn refusal(
    image: &MetadataImage,
    topic: &str,
    partition: &CommitPartition<'_>,
    metadata_max: usize,
) -> Option<ResponseError> {
    let metadata = partition.metadata.unwrap_or_default();
    if image.partition(topic, partition.index).is_none() {
        return Some(ResponseError::UnknownTopicOrPartition);
    }
    // Kafka counts what Java counts as the length of a string.
    let too_large = metadata.len() > metadata_max && metadata.encode_utf16().count() > metadata_max;
    (too_large || metadata.len() > STRING_BYTES_MAX).then_some(ResponseError::OffsetMetadataTooLarge)
}

fn committed(partition: &CommitPartition<'_>, now_ms: i64, expire_ms: Option<i64>) -> CommittedOffset {
    let metadata = partition.metadata.unwrap_or_default();
    CommittedOffset {
        offset: partition.offset,
        leader_epoch: partition.leader_epoch,
        // A copy: it is kept for long, and the frame is not to be.
        metadata: if metadata.is_empty() {
            StrBytes::new()
        } else {
            StrBytes::from_string(metadata.to_owned())
        },
        commit_ms: if partition.commit_ms == -1 { now_ms } else { partition.commit_ms },
        expire_ms,
    }
}

fn respond(
    request: &Request,
    asked: &CommitRequest<'_>,
    codes: &[Option<i16>],
    text: &dyn Fn(&str) -> StrBytes,
) -> Result<Reply, RequestError> {
    let mut codes = codes.iter();
    let topics = asked.topics.iter().map(|(name, partitions)| {
        let answered = partitions.iter().zip(codes.by_ref()).map(|(partition, code)| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.index)
                .with_error_code(code.unwrap_or(errors::NONE))
        });
        OffsetCommitResponseTopic::default()
            .with_partitions(answered.collect())
            .with_name(TopicName(text(name)))
    });
    let response = OffsetCommitResponse::default().with_topics(topics.collect());
    let version = request.version.max(ENCODED_FROM);
    request.reply_as(&response, version, API.is_flexible(version))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::OffsetCommitRequest;
    use kafka_protocol::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    use kafka_protocol::protocol::Encodable;

    use super::*;

    fn encoded(version: i16) -> BytesMut {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(3)
            .with_committed_offset(42)
            .with_committed_metadata(Some(StrBytes::from_static_str("note")));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(StrBytes::from_static_str("t")))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(StrBytes::from_static_str("g").into())
            .with_generation_id_or_member_epoch(5)
            .with_member_id(StrBytes::from_static_str("m"))
            .with_topics(vec![topic]);
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        body
    }

    #[test]
    fn every_version_is_taken_apart_as_another_codec_put_it_together() {
        for version in ENCODED_FROM..=API.versions.1 {
            let body = encoded(version);
            let read = CommitRequest::decode(&body, version).unwrap();
            assert_eq!((read.group, read.generation, read.member_id), ("g", 5, "m"), "version {version}");
            assert_eq!((read.instance_id, read.retention_ms), (None, -1));
            let (topic, partitions) = &read.topics[0];
            assert_eq!((*topic, partitions.len()), ("t", 1));
            assert_eq!((partitions[0].index, partitions[0].offset), (3, 42));
            assert_eq!(partitions[0].metadata, Some("note"));
            for end in 0..body.len() {
                assert!(
                    CommitRequest::decode(&body[..end], version).is_err(),
                    "version {version}, {end} bytes"
                );
            }
        }
    }

    #[test]
    fn the_oldest_versions_have_no_member_and_then_a_commit_time() {
        let v0 = b"\0\x01g\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\0\0\0\0\0\0\x2a\0\x01n";
        let read = CommitRequest::decode(v0, 0).unwrap();
        assert_eq!(
            (read.generation, read.topics[0].1[0].offset, read.topics[0].1[0].commit_ms),
            (-1, 42, -1)
        );
        let v1 = b"\0\x01g\0\0\0\x05\0\x01m\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\0\0\0\0\0\0\x2a\0\0\0\0\0\0\0\x07\xff\xff";
        let read = CommitRequest::decode(v1, 1).unwrap();
        assert_eq!((read.generation, read.topics[0].1[0].commit_ms), (5, 7));
        assert_eq!(read.topics[0].1[0].metadata, None);
    }

    #[test]
    fn a_missing_group_has_its_own_code_in_the_last_version_only() {
        assert_eq!(code_of(GroupError::NotFound, 8), ResponseError::IllegalGeneration.code());
        assert_eq!(code_of(GroupError::NotFound, 9), ResponseError::GroupIdNotFound.code());
    }
}
