//! `--search-max`: the highest rate that a broker sustains. A first run without a rate says what it takes at most; then
//! the range below is halved until it is narrow.
//!
//! A rate is sustained if p99, counted from when each record was due, stays under the bound, and if the backlog does
//! not grow: what was acknowledged keeps up with what was due.

use serde_json::{Value, json};

/// Share of the rate that must be acknowledged within the window. A backlog that grows takes more than this from it.
const KEEPING_UP: f64 = 0.98;
/// The search ends when the bounds are this close to each other.
const NARROW: f64 = 0.03;
const PROBES_MAX: u32 = 9;

/// Probes of one point, one after the other: ask [`Search::next`] for a rate, tell the result with [`Search::tell`].
#[derive(Debug)]
pub struct Search {
    p99_us_max: Option<f64>,
    /// Records per second that were sustained, and that were not.
    good: f64,
    bad: f64,
    best: Option<Value>,
    probes: Vec<Value>,
}

impl Search {
    /// `unbounded` is the result of a run without a rate.
    pub fn new(unbounded: &Value, p99_us_max: Option<f64>) -> Self {
        // A closed loop with few requests in flight can be slower than the broker is: look above it too.
        let top = unbounded["records_per_second"].as_f64().unwrap_or(0.0) * 1.5;
        Self { p99_us_max, good: 0.0, bad: top.max(1.0), best: None, probes: Vec::new() }
    }

    /// The next rate to try, in records per second; `None` when the answer is known.
    pub fn next(&self) -> Option<f64> {
        let open = self.probes.len() < PROBES_MAX as usize && (self.bad - self.good) / self.bad > NARROW;
        open.then_some(((self.good + self.bad) / 2.0).max(1.0).round())
    }

    pub fn tell(&mut self, rate: f64, document: Value) {
        let result = &document["result"];
        let held = self.is_sustained(rate, result);
        self.probes.push(json!({
            "rate": rate, "sustained": held, "records_per_second": result["records_per_second"],
            "p99_us": result["latencies"]["latency"]["p99"], "unsent_records": result["unsent_records"],
        }));
        if held {
            self.good = rate;
            self.best = Some(document);
        } else {
            self.bad = rate;
        }
    }

    fn is_sustained(&self, rate: f64, result: &Value) -> bool {
        let number = |v: &Value| v.as_f64().unwrap_or(f64::NAN);
        let p99 = number(&result["latencies"]["latency"]["p99"]);
        number(&result["records_per_second"]) >= rate * KEEPING_UP
            && number(&result["unsent_records"]) == 0.0
            && self.p99_us_max.is_none_or(|max| p99 <= max)
    }

    /// The document of the highest rate that was sustained, with all probes in it; an error if none was.
    pub fn finish(self) -> Result<Value, String> {
        let Some(mut best) = self.best else {
            return Err(format!("no rate down to {:.0} records/s was sustained", self.bad));
        };
        best["search"] = json!({
            "sustained_records_per_second": self.good, "failed_records_per_second": self.bad,
            "p99_us_max": self.p99_us_max, "probes": self.probes,
        });
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that takes `limit` and whose p99 explodes near it.
    fn simulated(rate: f64, limit: f64) -> Value {
        let acked = rate.min(limit);
        let p99 = if rate < limit { 200.0 / (1.0 - rate / limit) } else { 1e6 };
        json!({"result": {"records_per_second": acked, "unsent_records": if rate > limit { 1000 } else { 0 },
                          "latencies": {"latency": {"p99": p99}}}})
    }

    fn found(limit: f64, p99_us_max: Option<f64>) -> f64 {
        let mut search = Search::new(&simulated(f64::MAX, limit)["result"], p99_us_max);
        while let Some(rate) = search.next() {
            search.tell(rate, simulated(rate, limit));
        }
        let best = search.finish().unwrap();
        best["search"]["sustained_records_per_second"].as_f64().unwrap()
    }

    #[test]
    fn the_limit_of_a_broker_is_found_within_a_few_percent() {
        for limit in [1000.0, 123_456.0] {
            let rate = found(limit, None);
            assert!(rate <= limit * 1.02 && rate > limit * 0.95, "{rate} for {limit}");
        }
    }

    #[test]
    fn a_bound_on_p99_lowers_the_answer_to_where_it_is_met() {
        // 200 / (1 - x) <= 400 up to half of the limit.
        let rate = found(100_000.0, Some(400.0));
        assert!((45_000.0..=50_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_bound_that_nothing_meets_is_an_error() {
        let mut search = Search::new(&simulated(f64::MAX, 1000.0)["result"], Some(1.0));
        while let Some(rate) = search.next() {
            search.tell(rate, simulated(rate, 1000.0));
        }
        assert!(search.finish().is_err_and(|e| e.contains("sustained")));
    }
}
