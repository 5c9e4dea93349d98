//! Requests, encoded at the versions that [`super`] names.

use super::encode::Encoder;
use super::{
    API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS, FETCH, INIT_PRODUCER_ID, LIST_OFFSETS, METADATA, PRODUCE,
};

pub fn api_versions(correlation: i32) -> Vec<u8> {
    Encoder::request(API_VERSIONS, correlation).finish()
}

/// Asks about the named topics only, and never lets the broker create them.
pub fn metadata(correlation: i32, topics: &[String]) -> Vec<u8> {
    let mut e = Encoder::request(METADATA, correlation);
    e.count(topics.len());
    topics.iter().for_each(|t| e.string(t));
    e.i8(0);
    e.finish()
}

/// A topic to create; replication factor 0 stands for the broker's default (KIP-464).
#[derive(Debug, Clone)]
pub struct NewTopic<'a> {
    pub name: &'a str,
    pub partitions: i32,
    pub replication: i16,
    pub configs: &'a [(String, String)],
}

pub fn create_topics(correlation: i32, topics: &[NewTopic<'_>], timeout_ms: i32) -> Vec<u8> {
    let mut e = Encoder::request(CREATE_TOPICS, correlation);
    e.count(topics.len());
    for t in topics {
        e.string(t.name);
        e.i32(t.partitions);
        e.i16(if t.replication == 0 { -1 } else { t.replication });
        e.count(0);
        e.count(t.configs.len());
        for (key, value) in t.configs {
            e.string(key);
            e.string(value);
        }
    }
    e.i32(timeout_ms);
    e.i8(0);
    e.finish()
}

pub fn delete_topics(correlation: i32, topics: &[String], timeout_ms: i32) -> Vec<u8> {
    let mut e = Encoder::request(DELETE_TOPICS, correlation);
    e.count(topics.len());
    topics.iter().for_each(|t| e.string(t));
    e.i32(timeout_ms);
    e.finish()
}

/// Non-transactional producer id.
pub fn init_producer_id(correlation: i32) -> Vec<u8> {
    let mut e = Encoder::request(INIT_PRODUCER_ID, correlation);
    e.null_string();
    e.i32(60_000);
    e.finish()
}

/// Which end of a log ListOffsets asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    Earliest,
    Latest,
}

/// One (topic, partitions) group per topic.
pub fn list_offsets(correlation: i32, topics: &[(&str, Vec<i32>)], spec: OffsetSpec) -> Vec<u8> {
    let timestamp = if spec == OffsetSpec::Latest { -1 } else { -2 };
    let mut e = Encoder::request(LIST_OFFSETS, correlation);
    e.i32(-1);
    e.i8(0);
    e.count(topics.len());
    for (name, partitions) in topics {
        e.string(name);
        e.count(partitions.len());
        for &p in partitions {
            e.i32(p);
            e.i32(-1);
            e.i64(timestamp);
        }
    }
    e.finish()
}

/// Everything of a Produce request before the record batch, for one batch to one partition.
#[derive(Debug, Clone, Copy)]
pub struct ProduceHead<'a> {
    pub acks: i16,
    pub timeout_ms: i32,
    pub topic: &'a str,
    pub partition: i32,
    pub batch_bytes: usize,
}

pub fn produce_head(correlation: i32, head: &ProduceHead<'_>) -> Vec<u8> {
    let mut e = Encoder::request(PRODUCE, correlation);
    e.null_string();
    e.i16(head.acks);
    e.i32(head.timeout_ms);
    e.count(1);
    e.string(head.topic);
    e.count(1);
    e.i32(head.partition);
    e.count(head.batch_bytes);
    e.finish_with_tail(head.batch_bytes)
}

/// Fetch session (KIP-227): id 0 with epoch 0 asks for a new one, epoch -1 does without.
#[derive(Debug, Clone, Copy)]
pub struct FetchHead {
    pub max_wait_ms: i32,
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
    pub session_id: i32,
    pub session_epoch: i32,
}

/// `topics` holds `(name, [(partition, fetch offset)])`.
pub fn fetch(correlation: i32, head: &FetchHead, topics: &[(&str, Vec<(i32, i64)>)]) -> Vec<u8> {
    let mut e = Encoder::request(FETCH, correlation);
    e.i32(-1);
    e.i32(head.max_wait_ms);
    e.i32(1);
    e.i32(head.max_bytes);
    e.i8(0);
    e.i32(head.session_id);
    e.i32(head.session_epoch);
    e.count(topics.len());
    for (name, partitions) in topics {
        e.string(name);
        e.count(partitions.len());
        for &(partition, offset) in partitions {
            e.i32(partition);
            e.i32(-1);
            e.i64(offset);
            e.i64(-1);
            e.i32(head.partition_max_bytes);
        }
    }
    e.count(0);
    e.string("");
    e.finish()
}
