//! Reading requests and writing responses of the fake broker, at the versions that `run` speaks.

use std::time::{Duration, Instant};

use super::{Shared, locked};
use crate::wire::decode::Decoder;
use crate::wire::{self, WireError};

/// A Produce of one batch, as far as the fake broker cares.
#[derive(Debug)]
pub struct Produce<'a> {
    correlation: i32,
    pub acks: i16,
    pub topic: &'a str,
    pub partition: i32,
    pub count: i32,
    pub producer_id: i64,
    pub base_sequence: i32,
    /// Where the batch begins in the frame.
    pub batch_at: usize,
}

pub fn produce(frame: &[u8]) -> Result<Produce<'_>, WireError> {
    let mut d = Decoder::new(frame);
    d.i32("api key and version")?;
    let correlation = d.i32("correlation id")?;
    d.nullable_string("client id")?;
    d.nullable_string("transactional id")?;
    let acks = d.i16("acks")?;
    d.i32("timeout")?;
    d.i32("topics")?;
    let topic = d.string("topic")?;
    d.i32("partitions")?;
    let partition = d.i32("partition")?;
    d.i32("batch bytes")?;
    let batch_at = frame.len() - d.remaining();
    d.take(43, "batch head")?;
    let producer_id = d.i64("producer id")?;
    d.i16("producer epoch")?;
    let (base_sequence, count) = (d.i32("base sequence")?, d.i32("record count")?);
    Ok(Produce { correlation, acks, topic, partition, count, producer_id, base_sequence, batch_at })
}

/// A response frame under construction.
struct Reply(Vec<u8>);

impl Reply {
    fn new(correlation: i32) -> Self {
        let mut r = Self(vec![0; 4]);
        r.i32(correlation);
        r
    }

    fn i16(&mut self, v: i16) {
        self.0.extend_from_slice(&v.to_be_bytes());
    }

    fn i32(&mut self, v: i32) {
        self.0.extend_from_slice(&v.to_be_bytes());
    }

    fn i64(&mut self, v: i64) {
        self.0.extend_from_slice(&v.to_be_bytes());
    }

    fn string(&mut self, s: &str) {
        self.i16(s.len() as i16);
        self.0.extend_from_slice(s.as_bytes());
    }

    fn finish(mut self) -> Vec<u8> {
        let length = (self.0.len() - 4) as u32;
        self.0[..4].copy_from_slice(&length.to_be_bytes());
        self.0
    }
}

pub fn produced(p: &Produce<'_>, base_offset: i64) -> Vec<u8> {
    let mut r = Reply::new(p.correlation);
    r.i32(1);
    r.string(p.topic);
    r.i32(1);
    r.i32(p.partition);
    r.i16(0);
    r.i64(base_offset);
    r.i64(-1);
    r.i64(0);
    r.i32(0);
    r.finish()
}

/// Any request but Produce.
pub fn answer(shared: &Shared, frame: &[u8]) -> Result<Vec<u8>, WireError> {
    let mut d = Decoder::new(frame);
    let key = d.i16("api key")?;
    d.i16("api version")?;
    let mut r = Reply::new(d.i32("correlation id")?);
    d.nullable_string("client id")?;
    match key {
        1 => fetch(shared, &mut d, &mut r)?,
        2 => list_offsets(shared, &mut d, &mut r)?,
        3 => metadata(shared, &mut d, &mut r)?,
        18 => api_versions(&mut r),
        19 => create_topics(&mut d, &mut r)?,
        20 => delete_topics(shared, &mut d, &mut r)?,
        22 => {
            r.i32(0);
            r.i16(0);
            r.i64(shared.producer_ids.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
            r.i16(0);
        }
        _ => return Err(WireError::Invalid { field: "api key", value: key.into() }),
    }
    Ok(r.finish())
}

fn api_versions(r: &mut Reply) {
    let apis = [
        wire::PRODUCE,
        wire::FETCH,
        wire::LIST_OFFSETS,
        wire::METADATA,
        wire::API_VERSIONS,
        wire::CREATE_TOPICS,
        wire::DELETE_TOPICS,
        wire::INIT_PRODUCER_ID,
    ];
    r.i16(0);
    r.i32(apis.len() as i32);
    for api in apis {
        r.i16(api.key);
        r.i16(api.version);
        r.i16(api.version);
    }
}

fn metadata(shared: &Shared, d: &mut Decoder<'_>, r: &mut Reply) -> Result<(), WireError> {
    r.i32(0);
    r.i32(1);
    r.i32(1);
    r.string(&shared.address.ip().to_string());
    r.i32(shared.address.port().into());
    r.i16(-1);
    r.i16(-1);
    r.i32(1);
    let topics = d.count("topics")?;
    r.i32(topics as i32);
    for _ in 0..topics {
        r.i16(0);
        r.string(d.string("topic")?);
        r.0.push(0);
        r.i32(shared.script.partitions as i32);
        for index in 0..shared.script.partitions as i32 {
            r.i16(0);
            r.i32(index);
            r.i32(1);
            r.i32(0);
            (0..3).for_each(|_| r.i32(0));
        }
    }
    Ok(())
}

fn create_topics(d: &mut Decoder<'_>, r: &mut Reply) -> Result<(), WireError> {
    r.i32(0);
    let topics = d.count("topics")?;
    r.i32(topics as i32);
    for _ in 0..topics {
        r.string(d.string("topic")?);
        d.i32("partitions")?;
        d.i16("replication")?;
        d.i32("assignments")?;
        for _ in 0..d.count("configs")? {
            d.string("key")?;
            d.nullable_string("value")?;
        }
        r.i16(0);
        r.i16(-1);
    }
    Ok(())
}

fn delete_topics(shared: &Shared, d: &mut Decoder<'_>, r: &mut Reply) -> Result<(), WireError> {
    r.i32(0);
    let topics = d.count("topics")?;
    r.i32(topics as i32);
    for _ in 0..topics {
        let name = d.string("topic")?;
        locked(&shared.logs).retain(|(topic, _), _| topic != name);
        r.string(name);
        r.i16(0);
    }
    Ok(())
}

fn list_offsets(shared: &Shared, d: &mut Decoder<'_>, r: &mut Reply) -> Result<(), WireError> {
    d.i32("replica")?;
    d.i8("isolation")?;
    r.i32(0);
    let topics = d.count("topics")?;
    r.i32(topics as i32);
    for _ in 0..topics {
        let topic = d.string("topic")?;
        r.string(topic);
        let partitions = d.count("partitions")?;
        r.i32(partitions as i32);
        for _ in 0..partitions {
            let index = d.i32("partition")?;
            d.i32("leader epoch")?;
            let is_latest = d.i64("timestamp")? == -1;
            let end = locked(&shared.log(topic, index)).end;
            r.i32(index);
            r.i16(0);
            r.i64(-1);
            r.i64(if is_latest { end } else { 0 });
            r.i32(0);
        }
    }
    Ok(())
}

/// Grants no session. Waits for data in steps of a millisecond, as long as the request allows.
fn fetch(shared: &Shared, d: &mut Decoder<'_>, r: &mut Reply) -> Result<(), WireError> {
    d.i32("replica")?;
    let deadline = Instant::now() + Duration::from_millis(d.i32("max wait")?.max(0) as u64);
    d.take(4 + 4 + 1 + 4 + 4, "limits and session")?;
    let start = r.0.len();
    let wanted = d.clone();
    loop {
        r.0.truncate(start);
        r.i32(0);
        r.i16(0);
        r.i32(0);
        if fetch_once(shared, &mut wanted.clone(), r)? || Instant::now() >= deadline {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn fetch_once(shared: &Shared, d: &mut Decoder<'_>, r: &mut Reply) -> Result<bool, WireError> {
    let mut found = false;
    let topics = d.count("topics")?;
    r.i32(topics as i32);
    for _ in 0..topics {
        let topic = d.string("topic")?;
        r.string(topic);
        let partitions = d.count("partitions")?;
        r.i32(partitions as i32);
        for _ in 0..partitions {
            let index = d.i32("partition")?;
            d.i32("leader epoch")?;
            let offset = d.i64("offset")?;
            d.i64("log start")?;
            let max = d.i32("max bytes")?.max(0) as usize;
            let log = shared.log(topic, index);
            let log = locked(&log);
            r.i32(index);
            r.i16(0);
            r.i64(log.end);
            r.i64(log.end);
            r.i64(0);
            r.i32(-1);
            r.i32(-1);
            let length_at = r.0.len();
            r.i32(0);
            if offset < log.end {
                log.read(offset, max, &mut r.0);
            }
            let length = r.0.len() - length_at - 4;
            r.0[length_at..length_at + 4].copy_from_slice(&(length as u32).to_be_bytes());
            found |= length > 0;
        }
    }
    Ok(found)
}
