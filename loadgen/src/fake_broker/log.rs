//! Stored batches of one partition, and the faults that a script injects into them.

use std::collections::HashMap;

use super::answer::Produce;
use crate::batch::CRC_FROM;

/// A lie that `--verify` must find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// Number of the Produce request that it strikes.
    pub at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FaultKind {
    /// Acknowledged, never stored.
    Lose,
    /// Stored twice.
    Duplicate,
    /// Two neighbours change places.
    Reorder,
    /// One bit flipped.
    Corrupt,
    /// One bit flipped, and the batch CRC made to fit.
    CorruptWithCrc,
    /// Stored in the next partition.
    Misplace,
}

impl Fault {
    pub const fn new(kind: FaultKind, at: u64) -> Self {
        Self { kind, at }
    }

    pub(super) fn partition_for(&self, number: u64, asked: i32, partitions: i32) -> i32 {
        match self.kind {
            FaultKind::Misplace if number == self.at => (asked + 1) % partitions,
            _ => asked,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Log {
    pub end: i64,
    /// `(base offset, bytes)` in order of offsets.
    pub batches: Vec<(i64, Vec<u8>)>,
    /// (producer id, base sequence) -> base offset, for answering duplicates as Kafka does.
    sequences: HashMap<(i64, i32), i64>,
}

impl Log {
    /// Returns the base offset to acknowledge.
    pub fn append(&mut self, p: &Produce<'_>, batch: &[u8], fault: Option<Fault>, number: u64) -> i64 {
        if p.producer_id >= 0
            && let Some(&offset) = self.sequences.get(&(p.producer_id, p.base_sequence))
        {
            return offset;
        }
        let base = self.end;
        self.end += i64::from(p.count);
        if p.producer_id >= 0 {
            self.sequences.insert((p.producer_id, p.base_sequence), base);
        }
        if batch.is_empty() {
            return base;
        }
        let mut bytes = batch.to_vec();
        let strikes = fault.filter(|f| f.at == number).map(|f| f.kind);
        match strikes {
            Some(FaultKind::Lose) => return base,
            Some(FaultKind::Corrupt | FaultKind::CorruptWithCrc) => damage(&mut bytes, strikes),
            _ => {}
        }
        self.store(base, bytes.clone());
        if strikes == Some(FaultKind::Duplicate) {
            self.store(self.end, bytes);
            self.end += i64::from(p.count);
        }
        if let Some(f) = fault
            && f.kind == FaultKind::Reorder
            && f.at + 1 == number
        {
            self.swap_last_two();
        }
        base
    }

    fn store(&mut self, base: i64, mut bytes: Vec<u8>) {
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        self.batches.push((base, bytes));
    }

    /// Batches of one size change places; their offsets stay where they were.
    fn swap_last_two(&mut self) {
        let n = self.batches.len();
        if n < 2 {
            return;
        }
        let (first, second) = (self.batches[n - 2].0, self.batches[n - 1].0);
        self.batches.swap(n - 2, n - 1);
        for (at, base) in [(n - 2, first), (n - 1, second)] {
            self.batches[at].0 = base;
            self.batches[at].1[..8].copy_from_slice(&base.to_be_bytes());
        }
    }

    /// Whole batches from the one that holds `offset`, up to about `max` bytes but at least one.
    pub fn read(&self, offset: i64, max: usize, out: &mut Vec<u8>) {
        let from = self.batches.partition_point(|b| b.0 <= offset).saturating_sub(1);
        let start = out.len();
        for (_, bytes) in self.batches.iter().skip(from) {
            if out.len() > start && out.len() - start + bytes.len() > max {
                break;
            }
            out.extend_from_slice(bytes);
        }
    }
}

fn damage(bytes: &mut [u8], kind: Option<FaultKind>) {
    let at = bytes.len() - 20;
    bytes[at] ^= 0x04;
    if kind == Some(FaultKind::CorruptWithCrc) {
        let crc = crc32c::crc32c(&bytes[CRC_FROM..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}
