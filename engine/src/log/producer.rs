//! Idempotent producers' state of one partition: which sequence comes next, and which batches were seen last.
//!
//! Rules as in KIP-98 and Kafka's `ProducerStateManager`: a producer's first batch may start anywhere only at
//! sequence 0 of a new epoch (an unknown producer is accepted at any sequence, as Kafka does since KIP-360); the next
//! must follow on; one of the last five repeated exactly is a duplicate and gets the original's offsets.
//! State that was unused for `producer.id.expiration.ms` is dropped, and the number of producers is bounded.

use std::collections::{HashMap, VecDeque};

use crate::bounds::{PRODUCER_BATCHES_MAX, PRODUCERS_PER_PARTITION_MAX};
use crate::error::Rejection;

/// One batch that a producer wrote here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducedBatch {
    pub base_sequence: i32,
    pub last_sequence: i32,
    pub base_offset: i64,
    pub last_offset: i64,
    /// Max timestamp of the batch, ms.
    pub timestamp_ms: i64,
}

/// What is known of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    pub producer_id: i64,
    pub epoch: i16,
    /// Oldest first, at most `PRODUCER_BATCHES_MAX`.
    pub batches: VecDeque<ProducedBatch>,
    /// Broker time of the last append, ms; expiry counts from it.
    pub used_ms: i64,
}

/// The producer fields of a batch to be appended.
#[derive(Clone, Copy, Debug)]
pub struct ProducerClaim {
    pub producer_id: i64,
    pub epoch: i16,
    pub base_sequence: i32,
    pub last_sequence: i32,
}

impl ProducerClaim {
    /// The claim as it lies in the log.
    pub fn batch(&self, base_offset: i64, last_offset: i64, timestamp_ms: i64) -> ProducedBatch {
        let (base_sequence, last_sequence) = (self.base_sequence, self.last_sequence);
        ProducedBatch { base_sequence, last_sequence, base_offset, last_offset, timestamp_ms }
    }
}

/// What the state says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    New,
    Duplicate(ProducedBatch),
}

/// The producers of a partition.
#[derive(Clone, Debug, Default)]
pub struct Producers {
    entries: HashMap<i64, ProducerEntry>,
}

impl Producers {
    pub fn from_entries(entries: impl IntoIterator<Item = ProducerEntry>) -> Producers {
        Producers { entries: entries.into_iter().map(|entry| (entry.producer_id, entry)).collect() }
    }

    /// In order of producer id.
    pub fn entries(&self) -> Vec<&ProducerEntry> {
        let mut entries: Vec<_> = self.entries.values().collect();
        entries.sort_by_key(|entry| entry.producer_id);
        entries
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Judges a batch; changes nothing.
    ///
    /// # Errors
    /// An older epoch, or a sequence that does not follow on.
    pub fn check(&self, claim: &ProducerClaim) -> Result<Verdict, Rejection> {
        let ProducerClaim { producer_id, epoch, base_sequence, .. } = *claim;
        let Some(entry) = self.entries.get(&producer_id) else { return Ok(Verdict::New) };
        if epoch < entry.epoch {
            return Err(Rejection::InvalidProducerEpoch { producer_id, current: entry.epoch, got: epoch });
        }
        if epoch > entry.epoch {
            return match base_sequence {
                0 => Ok(Verdict::New),
                got => Err(Rejection::OutOfOrderSequence { producer_id, expected: 0, got }),
            };
        }
        let same = |batch: &&ProducedBatch| {
            batch.base_sequence == base_sequence && batch.last_sequence == claim.last_sequence
        };
        if let Some(batch) = entry.batches.iter().find(same) {
            return Ok(Verdict::Duplicate(*batch));
        }
        let expected = entry.batches.back().map_or(0, |last| next_sequence(last.last_sequence));
        if base_sequence == expected {
            Ok(Verdict::New)
        } else {
            Err(Rejection::OutOfOrderSequence { producer_id, expected, got: base_sequence })
        }
    }

    /// Takes note of an appended batch.
    pub fn record(&mut self, claim: &ProducerClaim, batch: ProducedBatch, now_ms: i64) {
        if !self.entries.contains_key(&claim.producer_id) && self.entries.len() >= PRODUCERS_PER_PARTITION_MAX
        {
            self.drop_least_recent();
        }
        let entry = self.entries.entry(claim.producer_id).or_insert_with(|| ProducerEntry {
            producer_id: claim.producer_id,
            epoch: claim.epoch,
            batches: VecDeque::new(),
            used_ms: now_ms,
        });
        if claim.epoch != entry.epoch {
            entry.epoch = claim.epoch;
            entry.batches.clear();
        }
        if entry.batches.len() == PRODUCER_BATCHES_MAX {
            entry.batches.pop_front();
        }
        entry.batches.push_back(batch);
        entry.used_ms = now_ms;
    }

    /// Forgets batches at or above `end`, and producers that are left with none: the log was cut there. A producer
    /// that is not known may continue at any sequence, so nobody is refused for it.
    pub fn trim_above(&mut self, end: i64) {
        self.entries.retain(|_, entry| {
            entry.batches.retain(|batch| batch.last_offset < end);
            !entry.batches.is_empty()
        });
    }

    /// Drops what was unused for `expiration_ms`.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: u64) {
        let expiration_ms = i64::try_from(expiration_ms).unwrap_or(i64::MAX);
        self.entries.retain(|_, entry| now_ms.saturating_sub(entry.used_ms) < expiration_ms);
    }

    fn drop_least_recent(&mut self) {
        let oldest = self.entries.values().min_by_key(|entry| (entry.used_ms, entry.producer_id));
        if let Some(producer_id) = oldest.map(|entry| entry.producer_id) {
            self.entries.remove(&producer_id);
        }
    }
}

/// Sequences wrap from `i32::MAX` to 0.
fn next_sequence(last: i32) -> i32 {
    if last == i32::MAX { 0 } else { last + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(epoch: i16, base: i32, count: i32) -> ProducerClaim {
        ProducerClaim { producer_id: 7, epoch, base_sequence: base, last_sequence: base + (count - 1) }
    }

    fn with(batches: &[(i32, i32)]) -> Producers {
        let mut producers = Producers::default();
        let mut offset = 0;
        for (base, count) in batches {
            let claim = claim(0, *base, *count);
            assert_eq!(producers.check(&claim), Ok(Verdict::New));
            let batch = ProducedBatch {
                base_sequence: *base,
                last_sequence: base + (count - 1),
                base_offset: offset,
                last_offset: offset + i64::from(count - 1),
                timestamp_ms: 5,
            };
            producers.record(&claim, batch, 100);
            offset += i64::from(*count);
        }
        producers
    }

    #[test]
    fn a_repeated_batch_is_a_duplicate_with_the_first_ones_offsets() {
        let producers = with(&[(0, 3), (3, 2)]);
        let Ok(Verdict::Duplicate(batch)) = producers.check(&claim(0, 0, 3)) else { panic!() };
        assert_eq!((batch.base_offset, batch.last_offset), (0, 2));
    }

    #[test]
    fn only_the_last_five_batches_are_remembered() {
        let producers = with(&[(0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
        assert!(matches!(producers.check(&claim(0, 0, 1)), Err(Rejection::OutOfOrderSequence { .. })));
        assert!(matches!(producers.check(&claim(0, 1, 1)), Ok(Verdict::Duplicate(_))));
    }

    #[test]
    fn a_gap_is_refused_and_so_is_an_old_epoch() {
        let mut producers = with(&[(0, 3)]);
        let gap = producers.check(&claim(0, 4, 1));
        assert_eq!(gap, Err(Rejection::OutOfOrderSequence { producer_id: 7, expected: 3, got: 4 }));
        assert!(producers.check(&claim(1, 3, 1)).is_err(), "a new epoch starts at 0");
        assert_eq!(producers.check(&claim(1, 0, 1)), Ok(Verdict::New));
        let batch = ProducedBatch {
            base_sequence: 0,
            last_sequence: 0,
            base_offset: 3,
            last_offset: 3,
            timestamp_ms: 5,
        };
        producers.record(&claim(1, 0, 1), batch, 100);
        assert!(matches!(producers.check(&claim(0, 3, 1)), Err(Rejection::InvalidProducerEpoch { .. })));
    }

    #[test]
    fn sequences_wrap() {
        let producers = with(&[(i32::MAX - 1, 2)]);
        assert_eq!(producers.check(&claim(0, 0, 1)), Ok(Verdict::New));
    }

    #[test]
    fn unused_state_expires() {
        let mut producers = with(&[(0, 1)]);
        producers.expire(150, 51);
        assert!(!producers.is_empty());
        producers.expire(150, 50);
        assert!(producers.is_empty());
    }
}
