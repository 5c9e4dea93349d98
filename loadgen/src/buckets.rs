//! A coarse histogram that another thread may read while it grows: what the live view, the Prometheus export and the
//! series over time are made from.
//!
//! Buckets are log-linear, 32 to an octave of nanoseconds: a bucket's middle is within 1.6 % of every value in it.
//! Each worker writes its own with plain loads and stores, so an answer costs no locked instruction; a reader sums over
//! the workers and takes differences. The exact histograms of a run are those of [`crate::stats`], not these.

use std::sync::atomic::{AtomicU64, Ordering};

const SUB_BITS: u32 = 5;
const SUBS: u64 = 1 << SUB_BITS;
/// The highest bit of a value told apart: 2^41 ns to 2^42 ns are 37 to 73 minutes.
const TOP_BIT: u32 = 41;
pub const BUCKETS: usize = ((TOP_BIT - SUB_BITS + 2) as usize) << SUB_BITS;

/// The bucket of a duration in nanoseconds.
pub fn index(ns: u64) -> usize {
    if ns < SUBS {
        return ns as usize;
    }
    let top = 63 - ns.leading_zeros();
    if top > TOP_BIT {
        return BUCKETS - 1;
    }
    let octave = u64::from(top - SUB_BITS + 1);
    ((octave << SUB_BITS) + ((ns >> (top - SUB_BITS)) & (SUBS - 1))) as usize
}

/// The lowest nanosecond of a bucket; of [`BUCKETS`], where the last one ends.
pub fn low(index: usize) -> u64 {
    let (octave, sub) = (index as u64 >> SUB_BITS, index as u64 & (SUBS - 1));
    if octave == 0 { sub } else { (SUBS + sub) << (octave - 1) }
}

/// What stands for a bucket's values, in microseconds.
pub fn middle_us(index: usize) -> f64 {
    (low(index) + low(index + 1)) as f64 / 2000.0
}

/// Written by one worker, read by anyone.
#[derive(Debug)]
pub struct LiveHistogram(Box<[AtomicU64]>);

impl Default for LiveHistogram {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl LiveHistogram {
    /// Only the owning worker may call this: with two writers counts would be lost.
    pub fn add(&self, ns: u64, count: u64) {
        let bucket = &self.0[index(ns)];
        bucket.store(bucket.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }
}

/// Counts by bucket at one moment, or between two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts(Vec<u64>);

impl Default for Counts {
    fn default() -> Self {
        Self(vec![0; BUCKETS])
    }
}

impl Counts {
    pub fn sum<'a>(of: impl Iterator<Item = &'a LiveHistogram>) -> Self {
        let mut out = Self::default();
        for one in of {
            out.0.iter_mut().zip(&one.0).for_each(|(sum, n)| *sum += n.load(Ordering::Relaxed));
        }
        out
    }

    pub fn since(&self, earlier: &Counts) -> Self {
        Self(self.0.iter().zip(&earlier.0).map(|(now, then)| now.saturating_sub(*then)).collect())
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// `(bucket, count)` of the buckets that hold anything, ascending.
    pub fn sparse(&self) -> Vec<(usize, u64)> {
        self.0.iter().copied().enumerate().filter(|(_, n)| *n > 0).collect()
    }

    /// Microseconds; 0 when empty.
    pub fn percentile_us(&self, p: f64) -> f64 {
        percentile_us(&self.sparse(), p)
    }

    /// Samples at or below `ns`, as far as buckets tell.
    pub fn up_to(&self, ns: u64) -> u64 {
        self.0[..index(ns)].iter().sum()
    }
}

/// The percentile of sparse counts, in microseconds; 0 when there are none.
pub fn percentile_us(sparse: &[(usize, u64)], p: f64) -> f64 {
    let total: u64 = sparse.iter().map(|(_, n)| n).sum();
    let rank = ((total as f64 * p / 100.0).ceil() as u64).max(1);
    let mut seen = 0;
    for (bucket, count) in sparse {
        seen += count;
        if seen >= rank {
            return middle_us(*bucket);
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::SplitMix;

    #[test]
    fn every_value_lies_in_its_bucket_and_near_its_middle() {
        let mut random = SplitMix(7);
        for _ in 0..200_000 {
            let ns = random.next_u64() >> (22 + random.below(42));
            let at = index(ns);
            assert!(low(at) <= ns && ns < low(at + 1), "{ns} in bucket {at}");
            if ns > 64 {
                assert!((middle_us(at) * 1000.0 / ns as f64 - 1.0).abs() < 0.0162, "{ns}");
            }
        }
        assert_eq!(index(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_of_a_difference_are_those_of_what_came_between() {
        let live = LiveHistogram::default();
        live.add(1_000_000, 50);
        let before = Counts::sum([&live].into_iter());
        live.add(2_000_000, 99);
        live.add(500_000_000, 1);
        let between = Counts::sum([&live].into_iter()).since(&before);
        assert_eq!(between.total(), 100);
        assert!((between.percentile_us(50.0) / 2000.0 - 1.0).abs() < 0.016);
        assert!((between.percentile_us(100.0) / 500_000.0 - 1.0).abs() < 0.016);
        assert_eq!(between.up_to(100_000_000), 99);
        assert_eq!(Counts::default().percentile_us(99.0), 0.0);
    }
}
