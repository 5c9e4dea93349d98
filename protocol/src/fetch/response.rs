//! Encodes a Fetch response as pieces: encoded bytes, with the payloads between them.

use super::{API_KEY, FLEXIBLE_FROM, TOPIC_IDS_FROM, VERSION_MAX};
use crate::frame::{begin_response, end_response, response_header_is_flexible};
use crate::topic::{CurrentLeader, NodeEndpoint, TopicRef};
use crate::wire::{EncodeError, Writer};
use bytes::{Bytes, BytesMut};

/// Records to send for one partition, of which only the length matters here.
pub trait Payload {
    /// Exactly the bytes that will be sent.
    fn payload_bytes(&self) -> usize;
}

impl Payload for Bytes {
    fn payload_bytes(&self) -> usize {
        self.len()
    }
}

impl Payload for Vec<Bytes> {
    fn payload_bytes(&self) -> usize {
        self.iter().map(Bytes::len).sum()
    }
}

/// A Fetch response of any version; fields that a version lacks are left out.
#[derive(Debug, Clone)]
pub struct FetchResponse<'a, P> {
    pub throttle_time_ms: i32,
    /// Kafka error code of the request as a whole, from v7; 0 for none.
    pub error_code: i16,
    /// 0 for no session.
    pub session_id: i32,
    pub topics: Vec<TopicFetchResponse<'a, P>>,
    pub node_endpoints: Vec<NodeEndpoint<'a>>,
}

/// Results of one topic, named as the request named it.
#[derive(Debug, Clone)]
pub struct TopicFetchResponse<'a, P> {
    pub topic: TopicRef<'a>,
    pub partitions: Vec<PartitionFetchResponse<P>>,
}

/// Result of one partition.
#[derive(Debug, Clone)]
pub struct PartitionFetchResponse<P> {
    pub index: i32,
    /// Kafka error code, 0 for none.
    pub error_code: i16,
    /// -1 with an error.
    pub high_watermark: i64,
    /// -1 with an error.
    pub last_stable_offset: i64,
    /// -1 with an error.
    pub log_start_offset: i64,
    /// For followers, from v12.
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Where to fetch instead, from v12.
    pub current_leader: Option<CurrentLeader>,
    /// For replicas of the metadata log, from v12.
    pub snapshot_id: Option<SnapshotId>,
    /// `None` (null) for readers of uncommitted records.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// -1: this one.
    pub preferred_read_replica: i32,
    /// `None` is null; Kafka sends empty records where there are none.
    pub records: Option<P>,
}

/// End of a leader epoch where the logs part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub epoch: i32,
    pub end_offset: i64,
}

/// A snapshot to fetch first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

/// An aborted transaction in the fetched range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

/// Part of an encoded response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<P> {
    Encoded(Bytes),
    /// As the caller gave it; never of length 0.
    Payload(P),
}

/// An encoded response: to be sent piece after piece.
#[derive(Debug, Clone)]
pub struct EncodedFetch<P> {
    pub pieces: Vec<Piece<P>>,
    /// Bytes of all pieces, size field included.
    pub total_bytes: usize,
}

impl EncodedFetch<Vec<Bytes>> {
    /// The pieces as one list of slices, for a vectored send.
    pub fn into_slices(self) -> Vec<Bytes> {
        let mut slices = Vec::new();
        for piece in self.pieces {
            match piece {
                Piece::Encoded(bytes) => slices.push(bytes),
                Piece::Payload(payload) => slices.extend(payload),
            }
        }
        slices
    }
}

impl<P> PartitionFetchResponse<P> {
    /// A partition that cannot be fetched from; Kafka sends -1 for all offsets then.
    pub fn refused(index: i32, error_code: i16) -> Self {
        PartitionFetchResponse {
            index,
            error_code,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: None,
        }
    }
}

impl<P: Payload> FetchResponse<'_, P> {
    /// Encodes the frame, size field and header included, around the payloads.
    pub fn encode(self, correlation_id: i32, version: i16) -> Result<EncodedFetch<P>, EncodeError> {
        if !(0..=VERSION_MAX).contains(&version) {
            return Err(EncodeError::Version { version });
        }
        let mut encoder = Encoder { out: BytesMut::new(), version, payload_bytes: 0, payloads: Vec::new() };
        begin_response(&mut encoder.out, correlation_id, response_header_is_flexible(API_KEY, version));
        encoder.body(self)?;
        end_response(&mut encoder.out, 0, encoder.payload_bytes)?;
        Ok(encoder.finish())
    }
}

/// Encoded bytes of the whole response, and where the payloads go between them.
struct Encoder<P> {
    out: BytesMut,
    version: i16,
    payload_bytes: usize,
    payloads: Vec<(usize, P)>,
}

impl<P: Payload> Encoder<P> {
    fn writer(&mut self) -> Writer<'_> {
        Writer::new(&mut self.out, self.version >= FLEXIBLE_FROM)
    }

    fn body(&mut self, response: FetchResponse<'_, P>) -> Result<(), EncodeError> {
        let version = self.version;
        let mut out = self.writer();
        if version >= 1 {
            out.i32(response.throttle_time_ms);
        }
        if version >= 7 {
            out.i16(response.error_code);
            out.i32(response.session_id);
        }
        out.count(Some(response.topics.len()))?;
        for topic in response.topics {
            self.topic(topic)?;
        }
        NodeEndpoint::write_tags(&response.node_endpoints, &mut self.writer(), version >= 16)
    }

    fn topic(&mut self, topic: TopicFetchResponse<'_, P>) -> Result<(), EncodeError> {
        let version = self.version;
        let mut out = self.writer();
        topic.topic.write(&mut out, version >= TOPIC_IDS_FROM, version)?;
        out.count(Some(topic.partitions.len()))?;
        for partition in topic.partitions {
            self.partition(partition)?;
        }
        self.writer().no_tags();
        Ok(())
    }

    fn partition(&mut self, mut partition: PartitionFetchResponse<P>) -> Result<(), EncodeError> {
        let version = self.version;
        let mut out = self.writer();
        partition.write_head(&mut out, version)?;
        let records = partition.records.take();
        let length = records.as_ref().map(Payload::payload_bytes);
        out.bytes_length(length)?;
        if let (Some(records), Some(length @ 1..)) = (records, length) {
            self.payload_bytes += length;
            self.payloads.push((self.out.len(), records));
        }
        partition.write_tags(&mut self.writer())
    }

    fn finish(self) -> EncodedFetch<P> {
        let total_bytes = self.out.len() + self.payload_bytes;
        let encoded = self.out.freeze();
        let mut pieces = Vec::with_capacity(2 * self.payloads.len() + 1);
        let mut start = 0;
        for (at, payload) in self.payloads {
            pieces.push(Piece::Encoded(encoded.slice(start..at)));
            pieces.push(Piece::Payload(payload));
            start = at;
        }
        if start < encoded.len() {
            pieces.push(Piece::Encoded(encoded.slice(start..)));
        }
        EncodedFetch { pieces, total_bytes }
    }
}

impl<P> PartitionFetchResponse<P> {
    /// What precedes the records.
    fn write_head(&self, out: &mut Writer<'_>, version: i16) -> Result<(), EncodeError> {
        out.i32(self.index);
        out.i16(self.error_code);
        out.i64(self.high_watermark);
        if version >= 4 {
            out.i64(self.last_stable_offset);
        }
        if version >= 5 {
            out.i64(self.log_start_offset);
        }
        if version >= 4 {
            out.count(self.aborted_transactions.as_ref().map(Vec::len))?;
            for aborted in self.aborted_transactions.iter().flatten() {
                out.i64(aborted.producer_id);
                out.i64(aborted.first_offset);
                out.no_tags();
            }
        }
        if version >= 11 {
            out.i32(self.preferred_read_replica);
        }
        Ok(())
    }

    /// What follows the records; nothing before v12.
    fn write_tags(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        if !out.is_flexible() {
            return Ok(());
        }
        let fields =
            [self.diverging_epoch.is_some(), self.current_leader.is_some(), self.snapshot_id.is_some()];
        out.tag_count(fields.into_iter().map(u32::from).sum());
        if let Some(end) = self.diverging_epoch {
            out.tag(0, |out| {
                out.i32(end.epoch);
                out.i64(end.end_offset);
                out.no_tags();
                Ok(())
            })?;
        }
        if let Some(leader) = self.current_leader {
            out.tag(1, |out| leader.write(out))?;
        }
        if let Some(snapshot) = self.snapshot_id {
            out.tag(2, |out| {
                out.i64(snapshot.end_offset);
                out.i32(snapshot.epoch);
                out.no_tags();
                Ok(())
            })?;
        }
        Ok(())
    }
}
