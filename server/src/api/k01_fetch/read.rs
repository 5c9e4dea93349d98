//! Looking at partitions and reading them, on the shards where they live.
//!
//! A probe is a look at a log's bounds and costs no I/O; only partitions that have something beyond the fetch offset
//! are read. Bytes are leased in request order: a pass gives each partition what it may use until the response is full,
//! all shards read at the same time, and what a partition did not use goes to those behind it in the next pass.

use std::rc::Rc;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use thalweg_engine::id::{PartitionId, ShardId};
use thalweg_engine::log::{Log, ReadRequest};
use thalweg_protocol::fetch::EpochEndOffset;

use super::entry::{Entry, Place};
use crate::errors;
use crate::scatter::{join_all, scatter};
use crate::shard::ServerShard;

/// Bounds of a log when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub high_watermark: i64,
    pub log_start: i64,
    /// There is something committed at the fetch offset.
    pub readable: bool,
    /// The client's log and ours part here: it must truncate before it can go on (KIP-595).
    pub diverging: Option<EpochEndOffset>,
}

/// What is known of one entry.
#[derive(Debug, Clone)]
pub struct Found {
    pub bounds: Result<Bounds, ResponseError>,
    pub records: Vec<Bytes>,
}

impl Found {
    pub fn error(&self) -> Option<ResponseError> {
        self.bounds.as_ref().err().copied()
    }

    pub fn is_readable(&self) -> bool {
        self.bounds.as_ref().is_ok_and(|bounds| bounds.readable)
    }

    /// There is a diverging epoch to tell, which does not wait for records.
    pub fn is_diverging(&self) -> bool {
        self.bounds.as_ref().is_ok_and(|bounds| bounds.diverging.is_some())
    }

    pub fn record_bytes(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }
}

/// A question that crosses shards.
#[derive(Debug, Clone, Copy)]
struct Look {
    partition: PartitionId,
    fetch_offset: i64,
    current_leader_epoch: i32,
    last_fetched_epoch: i32,
}

/// Looks at every entry that has a place.
pub async fn probe_all(shard: &Rc<ServerShard>, entries: &[Entry], places: &[Place]) -> Vec<Found> {
    let looks = entries.iter().zip(places).filter_map(|(entry, place)| {
        let partition = place.ok()?;
        let look = Look {
            partition,
            fetch_offset: entry.fetch_offset,
            current_leader_epoch: entry.current_leader_epoch,
            last_fetched_epoch: entry.last_fetched_epoch,
        };
        Some((shard.home(partition), look))
    });
    let mut answers = scatter(shard, looks.collect(), look_all).await.into_iter();
    let mut probed = |place: &Place| match place {
        Err(error) => Err(*error),
        Ok(_) => answers.next().flatten().unwrap_or(Err(ResponseError::NotLeaderOrFollower)),
    };
    places.iter().map(|place| Found { bounds: probed(place), records: Vec::new() }).collect()
}

async fn look_all(shard: Rc<ServerShard>, looks: Vec<Look>) -> Vec<Result<Bounds, ResponseError>> {
    looks.iter().map(|look| self::look(&shard, look)).collect()
}

fn look(shard: &ServerShard, look: &Look) -> Result<Bounds, ResponseError> {
    let log = shard.storage.log(look.partition).ok_or(ResponseError::KafkaStorageError)?;
    if let Some(corruption) = log.corruption() {
        return Err(errors::of_read(&corruption.into()));
    }
    errors::check_leader_epoch(look.current_leader_epoch, log.leader_epoch())?;
    let diverging = diverging(&log, look);
    let (high_watermark, log_start) = (log.high_watermark(), log.log_start());
    // Kafka lets a reader wait between the high watermark and the end of the log.
    let in_range = (log_start..=log.end()).contains(&look.fetch_offset);
    if diverging.is_none() && !in_range {
        return Err(ResponseError::OffsetOutOfRange);
    }
    let readable = diverging.is_none() && look.fetch_offset < high_watermark;
    Ok(Bounds { high_watermark, log_start, readable, diverging })
}

fn diverging(log: &Log, look: &Look) -> Option<EpochEndOffset> {
    if look.last_fetched_epoch < 0 {
        return None;
    }
    let end = log.epoch_end(look.last_fetched_epoch);
    let parts = end.epoch < look.last_fetched_epoch || end.end_offset < look.fetch_offset;
    parts.then_some(EpochEndOffset { epoch: end.epoch, end_offset: end.end_offset })
}

/// A read that crosses shards.
struct Read {
    partition: PartitionId,
    request: ReadRequest,
}

/// What a read brought.
struct Brought {
    records: Vec<Bytes>,
    high_watermark: i64,
    log_start: i64,
}

/// Reads the readable entries, in request order, until `bytes_max` is used up.
pub async fn read_all(
    shard: &Rc<ServerShard>,
    entries: &[Entry],
    places: &[Place],
    bytes_max: usize,
    found: &mut [Found],
) {
    let mut waiting: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_readable()).collect();
    let mut left = bytes_max;
    let mut any = false;
    while !waiting.is_empty() && (left > 0 || !any) {
        let leased = lease(entries, &waiting, left, any);
        let reads = leased.iter().filter_map(|(at, request)| {
            let partition = places[*at].ok()?;
            Some((shard.home(partition), Read { partition, request: *request }))
        });
        let brought = scatter(shard, reads.collect(), bring_all).await;
        for ((at, _), brought) in leased.iter().zip(brought) {
            let brought = brought.unwrap_or(Err(ResponseError::NotLeaderOrFollower));
            settle(&mut found[*at], brought);
            let bytes = found[*at].record_bytes();
            any |= bytes > 0;
            left = left.saturating_sub(bytes);
        }
        waiting.drain(..leased.len());
    }
}

/// What the entries in `waiting` may read now: as many from the front as `left` has bytes for.
fn lease(entries: &[Entry], waiting: &[usize], mut left: usize, any: bool) -> Vec<(usize, ReadRequest)> {
    let mut leased = Vec::new();
    for at in waiting {
        let entry = &entries[*at];
        let at_least_one = !any && leased.is_empty();
        if left == 0 && !at_least_one {
            break;
        }
        let max_bytes = entry.bytes_max.min(left);
        left -= max_bytes;
        leased.push((*at, ReadRequest { offset: entry.fetch_offset, max_bytes, at_least_one }));
    }
    leased
}

fn settle(found: &mut Found, brought: Result<Brought, ResponseError>) {
    match brought {
        Ok(Brought { records, high_watermark, log_start }) => {
            found.records = records;
            if let Ok(bounds) = &mut found.bounds {
                (bounds.high_watermark, bounds.log_start) = (high_watermark, log_start);
            }
        }
        Err(error) => found.bounds = Err(error),
    }
}

async fn bring_all(shard: Rc<ServerShard>, reads: Vec<Read>) -> Vec<Result<Brought, ResponseError>> {
    join_all(reads.into_iter().map(|read| bring(Rc::clone(&shard), read)).collect()).await
}

async fn bring(shard: Rc<ServerShard>, read: Read) -> Result<Brought, ResponseError> {
    let log = shard.storage.log(read.partition).ok_or(ResponseError::KafkaStorageError)?;
    match log.read(read.request).await {
        Ok(slice) => Ok(Brought {
            records: slice.bytes,
            high_watermark: slice.high_watermark,
            log_start: slice.log_start,
        }),
        Err(error) => {
            tracing::warn!(partition = %log.name(), offset = read.request.offset, "fetch: {error}");
            Err(errors::of_read(&error))
        }
    }
}

/// The home of a place, for those who wait there.
pub fn home(shard: &ServerShard, place: &Place) -> Option<(ShardId, PartitionId)> {
    let partition = place.ok()?;
    Some((shard.home(partition), partition))
}

#[cfg(test)]
mod tests {
    use super::super::entry::TopicKey;
    use super::*;

    fn entry(bytes_max: usize) -> Entry {
        Entry {
            topic: TopicKey::Name("t".into()),
            index: 0,
            fetch_offset: 0,
            bytes_max,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    #[test]
    fn leases_go_in_request_order_and_the_first_gets_a_whole_batch() {
        let entries = [entry(100), entry(100), entry(100)];
        let leased = lease(&entries, &[0, 1, 2], 150, false);
        let plain: Vec<_> =
            leased.iter().map(|(at, request)| (*at, request.max_bytes, request.at_least_one)).collect();
        assert_eq!(plain, [(0, 100, true), (1, 50, false)]);
        let later = lease(&entries, &[2], 30, true);
        assert_eq!((later[0].0, later[0].1.max_bytes, later[0].1.at_least_one), (2, 30, false));
    }

    #[test]
    fn a_client_that_allows_no_bytes_still_gets_one_batch() {
        let entries = [entry(0), entry(0)];
        let leased = lease(&entries, &[0, 1], 0, false);
        assert_eq!(leased.len(), 1);
        assert!(leased[0].1.at_least_one);
        assert!(lease(&entries, &[1], 0, true).is_empty());
    }
}
