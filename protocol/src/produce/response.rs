//! Encodes a Produce response as a whole frame.

use super::{API_KEY, FLEXIBLE_FROM, TOPIC_IDS_FROM, VERSION_MAX};
use crate::frame::response_header_is_flexible;
use crate::topic::{CurrentLeader, NodeEndpoint, TopicRef};
use crate::wire::{EncodeError, Writer};
use bytes::BytesMut;

/// A Produce response of any version; fields that a version lacks are left out.
#[derive(Debug, Clone, Default)]
pub struct ProduceResponse<'a> {
    pub topics: Vec<TopicProduceResponse<'a>>,
    pub throttle_time_ms: i32,
    pub node_endpoints: Vec<NodeEndpoint<'a>>,
}

/// Results of one topic, named as the request named it.
#[derive(Debug, Clone)]
pub struct TopicProduceResponse<'a> {
    pub topic: TopicRef<'a>,
    pub partitions: Vec<PartitionProduceResponse<'a>>,
}

/// Result of one partition.
#[derive(Debug, Clone)]
pub struct PartitionProduceResponse<'a> {
    pub index: i32,
    /// Kafka error code, 0 for none.
    pub error_code: i16,
    /// Offset of the batch's first record; -1 with an error.
    pub base_offset: i64,
    /// ms since the epoch with log append time, else -1.
    pub log_append_time_ms: i64,
    /// -1 with an error.
    pub log_start_offset: i64,
    /// Records that made the batch fail.
    pub record_errors: Vec<RecordRefusal<'a>>,
    pub error_message: Option<&'a str>,
    /// Where to produce instead.
    pub current_leader: Option<CurrentLeader>,
}

/// A record that made its batch fail (KIP-467).
#[derive(Debug, Clone, Copy)]
pub struct RecordRefusal<'a> {
    /// Position of the record in its batch, from 0.
    pub batch_index: i32,
    pub message: Option<&'a str>,
}

impl<'a> PartitionProduceResponse<'a> {
    /// A refusal; Kafka sends -1 for all offsets and times then.
    pub fn refused(index: i32, error_code: i16, error_message: Option<&'a str>) -> Self {
        PartitionProduceResponse {
            index,
            error_code,
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message,
            current_leader: None,
        }
    }

    /// A batch that was appended with the producer's own timestamps.
    pub fn appended(index: i32, base_offset: i64, log_start_offset: i64) -> Self {
        PartitionProduceResponse { base_offset, log_start_offset, ..Self::refused(index, 0, None) }
    }

    fn write(&self, out: &mut Writer<'_>, version: i16) -> Result<(), EncodeError> {
        out.i32(self.index);
        out.i16(self.error_code);
        out.i64(self.base_offset);
        if version >= 2 {
            out.i64(self.log_append_time_ms);
        }
        if version >= 5 {
            out.i64(self.log_start_offset);
        }
        if version >= 8 {
            out.count(Some(self.record_errors.len()))?;
            self.record_errors.iter().try_for_each(|refusal| refusal.write(out))?;
            out.nullable_string(self.error_message)?;
        }
        match self.current_leader {
            Some(leader) if version >= 10 => {
                out.tag_count(1);
                out.tag(0, |out| leader.write(out))
            }
            _ => {
                out.no_tags();
                Ok(())
            }
        }
    }
}

impl RecordRefusal<'_> {
    fn write(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        out.i32(self.batch_index);
        out.nullable_string(self.message)?;
        out.no_tags();
        Ok(())
    }
}

impl ProduceResponse<'_> {
    /// Appends the frame, size field and header included, to `out`; on an error `out` is as before.
    pub fn encode(&self, correlation_id: i32, version: i16, out: &mut BytesMut) -> Result<(), EncodeError> {
        if !(0..=VERSION_MAX).contains(&version) {
            return Err(EncodeError::Version { version });
        }
        let flexible_header = response_header_is_flexible(API_KEY, version);
        crate::frame::append_response(out, correlation_id, flexible_header, |out| {
            self.write(&mut Writer::new(out, version >= FLEXIBLE_FROM), version)
        })
    }

    fn write(&self, out: &mut Writer<'_>, version: i16) -> Result<(), EncodeError> {
        out.count(Some(self.topics.len()))?;
        for topic in &self.topics {
            topic.topic.write(out, version >= TOPIC_IDS_FROM, version)?;
            out.count(Some(topic.partitions.len()))?;
            topic.partitions.iter().try_for_each(|partition| partition.write(out, version))?;
            out.no_tags();
        }
        if version >= 1 {
            out.i32(self.throttle_time_ms);
        }
        NodeEndpoint::write_tags(&self.node_endpoints, out, version >= 10)
    }
}
