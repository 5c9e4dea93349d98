//! Keeping a rate of messages as Kafka's `ThroughputThrottler` does: whoever is ahead sleeps, in steps worth sleeping.

use std::time::{Duration, Instant};

/// The least that is worth a sleep.
const SLEEP_MIN: Duration = Duration::from_millis(2);

/// A rate in messages a second: below zero is unbounded, zero sends one and then waits for a signal.
#[derive(Debug)]
pub struct Throttle {
    target: i64,
    started: Instant,
    deficit: Duration,
}

impl Throttle {
    pub fn new(target: i64) -> Throttle {
        Throttle { target, started: Instant::now(), deficit: Duration::ZERO }
    }

    /// How long to pause after `sent` messages; none if the rate is not exceeded.
    pub fn pause(&mut self, sent: u64) -> Option<Duration> {
        let elapsed = self.started.elapsed();
        let target = u64::try_from(self.target).ok()?;
        if elapsed.is_zero() || sent as f64 / elapsed.as_secs_f64() <= target as f64 {
            return None;
        }
        if target == 0 {
            return Some(Duration::MAX);
        }
        self.deficit += Duration::from_secs(1) / u32::try_from(target).unwrap_or(u32::MAX);
        (self.deficit >= SLEEP_MIN).then(|| std::mem::take(&mut self.deficit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_add_up_to_the_rate() {
        let mut throttle = Throttle::new(1000);
        std::thread::sleep(Duration::from_millis(1));
        let pauses: Duration = (1000..1100).filter_map(|sent| throttle.pause(sent)).sum();
        assert_eq!(pauses, Duration::from_millis(100));
        assert_eq!(Throttle::new(-1).pause(1_000_000), None);
    }
}
