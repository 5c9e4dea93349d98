//! Responses, decoded at the versions that [`super`] names. Input is the frame after its length prefix.

use super::WireError;
use super::decode::Decoder;

/// Splits off the correlation id that every response starts with (header v0).
pub fn correlation(frame: &[u8]) -> Result<(i32, Decoder<'_>), WireError> {
    let mut d = Decoder::new(frame);
    Ok((d.i32("correlation id")?, d))
}

/// `(api key, lowest, highest version)`.
pub type VersionRange = (i16, i16, i16);

/// The error code, and the versions of everything the broker serves.
pub fn api_versions(d: &mut Decoder<'_>) -> Result<(i16, Vec<VersionRange>), WireError> {
    let error = d.i16("error")?;
    let mut out = Vec::new();
    for _ in 0..d.count("api keys")? {
        out.push((d.i16("api key")?, d.i16("min version")?, d.i16("max version")?));
    }
    Ok((error, out))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    pub node: i32,
    pub host: String,
    pub port: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionMeta {
    pub error: i16,
    pub index: i32,
    pub leader: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMeta {
    pub error: i16,
    pub name: String,
    pub partitions: Vec<PartitionMeta>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    pub brokers: Vec<Broker>,
    pub controller: i32,
    pub topics: Vec<TopicMeta>,
}

pub fn metadata(d: &mut Decoder<'_>) -> Result<Metadata, WireError> {
    d.i32("throttle")?;
    let mut out = Metadata::default();
    for _ in 0..d.count("brokers")? {
        let (node, host, port) = (d.i32("node")?, d.string("host")?.to_string(), d.i32("port")?);
        d.nullable_string("rack")?;
        out.brokers.push(Broker { node, host, port });
    }
    d.nullable_string("cluster id")?;
    out.controller = d.i32("controller")?;
    for _ in 0..d.count("topics")? {
        out.topics.push(topic(d)?);
    }
    Ok(out)
}

fn topic(d: &mut Decoder<'_>) -> Result<TopicMeta, WireError> {
    let (error, name) = (d.i16("topic error")?, d.string("topic name")?.to_string());
    d.bool("is internal")?;
    let mut partitions = Vec::new();
    for _ in 0..d.count("partitions")? {
        let (error, index) = (d.i16("partition error")?, d.i32("partition index")?);
        let leader = d.i32("leader")?;
        d.i32("leader epoch")?;
        for list in ["replicas", "isr", "offline replicas"] {
            for _ in 0..d.count(list)? {
                d.i32(list)?;
            }
        }
        partitions.push(PartitionMeta { error, index, leader });
    }
    Ok(TopicMeta { error, name, partitions })
}

/// `(topic, error, the broker's words)` of each topic asked for.
pub fn create_topics(d: &mut Decoder<'_>) -> Result<Vec<(String, i16, String)>, WireError> {
    d.i32("throttle")?;
    let mut out = Vec::new();
    for _ in 0..d.count("topics")? {
        let (name, error) = (d.string("topic name")?.to_string(), d.i16("topic error")?);
        out.push((name, error, d.nullable_string("error message")?.unwrap_or("").to_string()));
    }
    Ok(out)
}

/// `(topic, error)` of each.
pub fn delete_topics(d: &mut Decoder<'_>) -> Result<Vec<(String, i16)>, WireError> {
    d.i32("throttle")?;
    let mut out = Vec::new();
    for _ in 0..d.count("topics")? {
        out.push((d.string("topic name")?.to_string(), d.i16("topic error")?));
    }
    Ok(out)
}

/// `(error, producer id, epoch)`.
pub fn init_producer_id(d: &mut Decoder<'_>) -> Result<(i16, i64, i16), WireError> {
    d.i32("throttle")?;
    Ok((d.i16("error")?, d.i64("producer id")?, d.i16("producer epoch")?))
}

/// Calls `each(topic, partition, error, offset)`.
pub fn list_offsets(d: &mut Decoder<'_>, mut each: impl FnMut(&str, i32, i16, i64)) -> Result<(), WireError> {
    d.i32("throttle")?;
    for _ in 0..d.count("topics")? {
        let name = d.string("topic name")?;
        for _ in 0..d.count("partitions")? {
            let (index, error) = (d.i32("partition index")?, d.i16("partition error")?);
            d.i64("timestamp")?;
            let offset = d.i64("offset")?;
            d.i32("leader epoch")?;
            each(name, index, error, offset);
        }
    }
    Ok(())
}

/// The answer to a Produce of one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceAck {
    pub partition: i32,
    pub error: i16,
    pub base_offset: i64,
}

pub fn produce(d: &mut Decoder<'_>) -> Result<ProduceAck, WireError> {
    let topics = d.count("topics")?;
    if topics != 1 {
        return Err(WireError::Invalid { field: "produce topics", value: topics as i64 });
    }
    d.string("topic name")?;
    let partitions = d.count("partitions")?;
    if partitions != 1 {
        return Err(WireError::Invalid { field: "produce partitions", value: partitions as i64 });
    }
    let (partition, error) = (d.i32("partition index")?, d.i16("partition error")?);
    Ok(ProduceAck { partition, error, base_offset: d.i64("base offset")? })
}

/// One partition of a Fetch response; `records` is still encoded.
#[derive(Debug, Clone, Copy)]
pub struct Fetched<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub error: i16,
    pub high_watermark: i64,
    pub records: &'a [u8],
}

/// Top-level outcome of a Fetch: `(error, session id)`.
pub fn fetch<'a>(
    d: &mut Decoder<'a>,
    mut each: impl FnMut(Fetched<'a>) -> Result<(), WireError>,
) -> Result<(i16, i32), WireError> {
    d.i32("throttle")?;
    let (error, session) = (d.i16("error")?, d.i32("session id")?);
    for _ in 0..d.count("topics")? {
        let topic = d.string("topic name")?;
        for _ in 0..d.count("partitions")? {
            let (partition, error) = (d.i32("partition index")?, d.i16("partition error")?);
            let high_watermark = d.i64("high watermark")?;
            d.i64("last stable offset")?;
            d.i64("log start offset")?;
            for _ in 0..d.count("aborted transactions")? {
                d.i64("producer id")?;
                d.i64("first offset")?;
            }
            d.i32("preferred read replica")?;
            let records = d.bytes("records")?;
            each(Fetched { topic, partition, error, high_watermark, records })?;
        }
    }
    Ok((error, session))
}
