//! The proof: every acknowledged record is in its partition once, where its acknowledgement said, in order, byte for
//! byte. Pure: it compares what was acknowledged with what was seen, and reads neither network nor file.
//!
//! A record that was sent and never acknowledged may be there or not (its broker may have died between the two);
//! being there twice is as wrong as for any other.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::ledger::Acked;

/// Consecutive records of one producer, as a consumer found them; all their bytes were right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRange {
    /// Index of the partition that they were read from.
    pub partition: u32,
    pub offset: i64,
    pub run: u32,
    pub producer: u32,
    pub first_sequence: u64,
    pub count: u32,
}

/// Everything a consumer saw of proved records.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub ranges: Vec<SeenRange>,
    /// Records or batches whose bytes are wrong.
    pub corrupt: u64,
    /// Records that carry another partition's index.
    pub misplaced: u64,
    /// Records that no `--verify` run wrote.
    pub foreign: u64,
    pub examples: Vec<String>,
}

const EXAMPLES_MAX: usize = 10;

impl Seen {
    pub fn example(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text());
        }
    }

    pub fn merge(&mut self, other: Seen) {
        self.ranges.extend(other.ranges);
        self.corrupt += other.corrupt;
        self.misplaced += other.misplaced;
        self.foreign += other.foreign;
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES_MAX);
    }
}

/// The verdict, in records unless said otherwise.
#[derive(Debug, Default, Clone, serde::Serialize)]
pub struct Audit {
    pub acknowledged: u64,
    pub found: u64,
    pub lost: u64,
    pub duplicated: u64,
    pub reordered: u64,
    pub corrupt: u64,
    pub misplaced: u64,
    /// Acknowledged at one offset, found at another.
    pub moved: u64,
    /// Present though no acknowledgement arrived: allowed.
    pub unacknowledged_present: u64,
    pub foreign: u64,
    pub examples: Vec<String>,
}

impl Audit {
    pub fn is_clean(&self) -> bool {
        self.faults() == 0
    }

    pub fn faults(&self) -> u64 {
        self.lost + self.duplicated + self.reordered + self.corrupt + self.misplaced + self.moved
    }

    /// The verdict on both, each over records of its own.
    pub fn plus(mut self, other: &Audit) -> Audit {
        self.acknowledged += other.acknowledged;
        self.found += other.found;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.misplaced += other.misplaced;
        self.moved += other.moved;
        self.unacknowledged_present += other.unacknowledged_present;
        self.foreign += other.foreign;
        self.examples.extend(other.examples.iter().cloned());
        self.examples.truncate(EXAMPLES_MAX);
        self
    }

    fn example(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text());
        }
    }
}

/// Acknowledged ranges of one producer in one partition, with a mark for each record found.
#[derive(Default)]
struct Claims {
    /// First sequence -> (count, base offset, index of its first mark).
    ranges: BTreeMap<u64, (u32, i64, usize)>,
    marks: Vec<bool>,
    extras: HashSet<u64>,
    last: Option<u64>,
}

/// `acked` holds `(run, acknowledgement)`, `seen` may be in any order between partitions.
pub fn audit(acked: &[(u32, Acked)], mut seen: Seen) -> Audit {
    let mut out = Audit {
        corrupt: seen.corrupt,
        misplaced: seen.misplaced,
        foreign: seen.foreign,
        examples: std::mem::take(&mut seen.examples),
        ..Audit::default()
    };
    let mut claims = claims(acked, &mut out);
    // Partition indices are per run, and one partition is read through one index: order by offset within it.
    seen.ranges.sort_unstable_by_key(|r| (r.partition, r.offset));
    for range in &seen.ranges {
        let claim = claims.entry((range.run, range.producer, range.partition)).or_default();
        for i in 0..u64::from(range.count) {
            check(claim, range, range.first_sequence + i, range.offset + i as i64, &mut out);
        }
    }
    for ((run, producer, partition), claim) in &claims {
        count_lost(claim, &mut out, (*run, *producer, *partition));
    }
    out
}

type Claimant = (u32, u32, u32);

fn claims(acked: &[(u32, Acked)], out: &mut Audit) -> HashMap<Claimant, Claims> {
    let mut claims: HashMap<Claimant, Claims> = HashMap::new();
    for (run, a) in acked {
        out.acknowledged += u64::from(a.count);
        let claim = claims.entry((*run, a.producer, a.partition)).or_default();
        let mark = claim.marks.len();
        claim.marks.resize(mark + a.count as usize, false);
        if claim.ranges.insert(a.first_sequence, (a.count, a.base_offset, mark)).is_some() {
            out.duplicated += u64::from(a.count);
            out.example(|| {
                format!("producer {} sequence {} was acknowledged twice", a.producer, a.first_sequence)
            });
        }
    }
    claims
}

fn check(claim: &mut Claims, range: &SeenRange, sequence: u64, offset: i64, out: &mut Audit) {
    let place = || {
        format!(
            "partition {} offset {offset}: producer {} sequence {sequence}",
            range.partition, range.producer
        )
    };
    let found = claim.ranges.range(..=sequence).next_back().map(|(&first, &r)| (first, r));
    let claimed = found.filter(|&(first, (count, ..))| sequence < first + u64::from(count));
    let again = match claimed {
        Some((first, (_, base, mark))) => {
            let within = sequence - first;
            let again = std::mem::replace(&mut claim.marks[mark + within as usize], true);
            if !again {
                out.found += 1;
            }
            if !again && base >= 0 && base + within as i64 != offset {
                out.moved += 1;
                out.example(|| format!("{}, acknowledged at offset {}", place(), base + within as i64));
            }
            again
        }
        None => {
            out.unacknowledged_present += 1;
            !claim.extras.insert(sequence)
        }
    };
    if again {
        out.duplicated += 1;
        out.example(|| format!("{} is there a second time", place()));
    } else if claim.last.is_some_and(|last| sequence < last) {
        out.reordered += 1;
        out.example(|| format!("{} after {}", place(), claim.last.unwrap_or_default()));
    }
    claim.last = claim.last.max(Some(sequence));
}

fn count_lost(claim: &Claims, out: &mut Audit, (_, producer, partition): Claimant) {
    for (&first, &(count, base, mark)) in &claim.ranges {
        let lost: Vec<usize> = (0..count as usize).filter(|i| !claim.marks[mark + i]).collect();
        if let Some(at) = lost.first() {
            out.lost += lost.len() as u64;
            let sequence = first + *at as u64;
            out.example(|| {
                format!(
                    "partition {partition} offset {}: producer {producer} sequence {sequence} is lost",
                    base + *at as i64
                )
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acked(first: u64, count: u32, offset: i64) -> (u32, Acked) {
        (1, Acked { producer: 0, partition: 0, first_sequence: first, count, base_offset: offset })
    }

    fn range(first: u64, count: u32, offset: i64) -> SeenRange {
        SeenRange { partition: 0, offset, run: 1, producer: 0, first_sequence: first, count }
    }

    fn verdict(acks: &[(u32, Acked)], ranges: &[SeenRange]) -> Audit {
        audit(acks, Seen { ranges: ranges.to_vec(), ..Seen::default() })
    }

    #[test]
    fn each_fault_has_its_own_name() {
        let acks = [acked(0, 5, 0), acked(5, 5, 5)];
        assert!(verdict(&acks, &[range(0, 5, 0), range(5, 5, 5)]).is_clean());
        assert_eq!(verdict(&acks, &[range(0, 5, 0)]).lost, 5);
        assert_eq!(verdict(&acks, &[range(0, 5, 0), range(5, 5, 5), range(5, 5, 10)]).duplicated, 5);
        assert_eq!(verdict(&acks, &[range(5, 5, 0), range(0, 5, 5)]).reordered, 5);
        assert_eq!(verdict(&acks, &[range(0, 5, 0), range(5, 5, 6)]).moved, 5);
        let extra = verdict(&acks, &[range(0, 5, 0), range(5, 5, 5), range(10, 2, 10)]);
        assert!(extra.is_clean() && extra.unacknowledged_present == 2);
        let twice = verdict(&acks, &[range(0, 5, 0), range(5, 5, 5), range(10, 1, 10), range(10, 1, 11)]);
        assert_eq!(twice.duplicated, 1);
    }
}
