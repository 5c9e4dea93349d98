//! Whether two sets of repeats differ: a ratio with its confidence interval, and a verdict that holds over many
//! metrics.
//!
//! Performance figures vary by factors rather than by amounts, so logarithms are compared: Welch's t-test, which does
//! not suppose that both sides vary alike. Many metrics of many points are judged in one comparison; Holm's procedure
//! keeps the chance that *any* of them is a false alarm at the level. Each repeat must be a run of its own: samples
//! inside one run hang together and would pretend to far more knowledge than there is.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The chance that a comparison of like with like finds any difference.
pub const LEVEL: f64 = 0.05;
/// Differences below this are of no interest to anyone, however certain.
pub const SMALLEST: f64 = 0.01;

#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub name: String,
    /// Geometric means.
    pub a: f64,
    pub b: f64,
    /// b / a, and its 95 % confidence interval; infinite with a single repeat.
    pub ratio: f64,
    pub low: f64,
    pub high: f64,
    pub p: f64,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Higher,
    Lower,
    WithinNoise,
    /// A single repeat on a side: nothing is known of its spread.
    TooFewRepeats,
}

/// A metric on both sides. `grain` is the step in which its values come (1 us for latencies), 0 for none.
#[derive(Debug, Clone)]
pub struct Metric {
    pub name: String,
    pub a: Vec<f64>,
    pub b: Vec<f64>,
    pub grain: f64,
}

struct Side {
    n: f64,
    mean: f64,
    variance: f64,
}

impl Side {
    /// Of logarithms. Rounding to the grain adds its own variance (a twelfth of the step squared), so that values that
    /// happen to be equal are not taken for exact.
    fn of(values: &[f64], grain: f64) -> Self {
        let logs: Vec<f64> = values.iter().map(|v| v.max(1e-12).ln()).collect();
        let n = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / n;
        let spread = logs.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let step = grain / mean.exp();
        Self { n, mean, variance: spread + step * step / 12.0 + 1e-9 }
    }
}

/// Judges all metrics of one comparison together.
pub fn judge(metrics: &[Metric]) -> Vec<Difference> {
    let mut out: Vec<Difference> =
        metrics.iter().filter(|m| !m.a.is_empty() && !m.b.is_empty()).map(test).collect();
    // Holm: the smallest p must pass LEVEL / m, the next LEVEL / (m - 1), ...; the first that fails ends it.
    let mut ranked: Vec<usize> =
        (0..out.len()).filter(|i| out[*i].verdict != Verdict::TooFewRepeats).collect();
    ranked.sort_by(|x, y| out[*x].p.total_cmp(&out[*y].p));
    let count = ranked.len();
    for (rank, index) in ranked.into_iter().enumerate() {
        let d = &mut out[index];
        if d.p > LEVEL / (count - rank) as f64 {
            break;
        }
        if (d.ratio - 1.0).abs() >= SMALLEST {
            d.verdict = if d.ratio > 1.0 { Verdict::Higher } else { Verdict::Lower };
        }
    }
    out
}

fn test(m: &Metric) -> Difference {
    let (a, b) = (Side::of(&m.a, m.grain), Side::of(&m.b, m.grain));
    let shift = b.mean - a.mean;
    let mut out = Difference {
        name: m.name.clone(),
        a: a.mean.exp(),
        b: b.mean.exp(),
        ratio: shift.exp(),
        low: 0.0,
        high: f64::INFINITY,
        p: 1.0,
        verdict: Verdict::TooFewRepeats,
    };
    if a.n < 2.0 || b.n < 2.0 {
        return out;
    }
    out.verdict = Verdict::WithinNoise;
    let (va, vb) = (a.variance / a.n, b.variance / b.n);
    let error = (va + vb).sqrt();
    // Welch-Satterthwaite.
    let freedom = (va + vb).powi(2) / (va.powi(2) / (a.n - 1.0) + vb.powi(2) / (b.n - 1.0));
    if let Ok(t) = StudentsT::new(0.0, 1.0, freedom) {
        out.p = 2.0 * t.cdf(-(shift / error).abs());
        let reach = t.inverse_cdf(1.0 - LEVEL / 2.0) * error;
        (out.low, out.high) = ((shift - reach).exp(), (shift + reach).exp());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::SplitMix;

    /// Standard normal by the sum of twelve uniforms would have light tails; this is Box-Muller.
    fn normal(random: &mut SplitMix) -> f64 {
        let mut unit = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let (u, v) = (unit().max(1e-300), unit());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Repeats of a broker: metrics that move together with the machine's mood, each with its own noise, and now and
    /// then a repeat that a neighbour disturbed.
    fn repeats(random: &mut SplitMix, n: usize, factor: f64) -> Vec<Vec<f64>> {
        let noise = [0.02, 0.03, 0.06, 0.15, 0.04];
        let mut out = vec![Vec::new(); noise.len()];
        for _ in 0..n {
            let mood = 0.02 * normal(random);
            let disturbed = if random.below(12) == 0 { 0.1 } else { 0.0 };
            for (metric, noise) in noise.iter().enumerate() {
                out[metric].push(1000.0 * factor * (mood + disturbed + noise * normal(random)).exp());
            }
        }
        out
    }

    fn compared(random: &mut SplitMix, n: usize, factor: f64) -> Vec<Difference> {
        let metrics: Vec<Metric> = (0..4)
            .flat_map(|point| {
                let (a, b) = (repeats(random, n, 1.0), repeats(random, n, factor));
                let name = move |m| format!("point {point}, metric {m}");
                a.into_iter().zip(b).enumerate().map(move |(m, (a, b))| Metric {
                    name: name(m),
                    a,
                    b,
                    grain: 1.0,
                })
            })
            .collect();
        judge(&metrics)
    }

    fn is_found(all: &[Difference]) -> bool {
        all.iter().any(|d| matches!(d.verdict, Verdict::Higher | Verdict::Lower))
    }

    #[test]
    fn a_broker_compared_with_itself_differs_in_at_most_one_of_twenty_comparisons() {
        let mut random = SplitMix(20);
        for n in [2, 3, 5, 10] {
            let runs = 1000;
            let alarms = (0..runs).filter(|_| is_found(&compared(&mut random, n, 1.0))).count();
            // Three standard deviations of the count above one in twenty.
            assert!(alarms <= 50 + 21, "{alarms} false alarms in {runs} comparisons of {n} repeats");
        }
    }

    /// The canary of the test above: a test that never finds anything would pass it.
    #[test]
    fn a_difference_that_matters_is_found() {
        let mut random = SplitMix(21);
        let found = (0..200).filter(|_| is_found(&compared(&mut random, 5, 1.3))).count();
        assert!(found >= 190, "{found} of 200");
        // Without Holm's correction the alarms over twenty metrics would be far more than one in twenty.
        let naive = (0..200).filter(|_| compared(&mut random, 5, 1.0).iter().any(|d| d.p < LEVEL)).count();
        assert!(naive > 40, "{naive} of 200");
    }

    #[test]
    fn the_interval_holds_the_true_ratio_as_often_as_it_says() {
        let mut random = SplitMix(22);
        let all: Vec<Difference> = (0..400).flat_map(|_| compared(&mut random, 6, 1.1)).collect();
        let held = all.iter().filter(|d| d.low <= 1.1 && 1.1 <= d.high).count() as f64 / all.len() as f64;
        assert!((0.93..0.985).contains(&held), "{held}");
    }

    #[test]
    fn equal_values_in_whole_microseconds_are_no_certainty() {
        let metric = |b: f64| Metric { name: "p50".into(), a: vec![31.0; 3], b: vec![b; 3], grain: 1.0 };
        assert_eq!(judge(&[metric(31.0)])[0].verdict, Verdict::WithinNoise);
        assert_eq!(judge(&[metric(62.0)])[0].verdict, Verdict::Higher);
        let single = Metric { name: "x".into(), a: vec![1.0], b: vec![2.0, 2.1], grain: 0.0 };
        assert_eq!(judge(&[single])[0].verdict, Verdict::TooFewRepeats);
    }

    #[test]
    fn small_differences_are_left_alone_however_certain() {
        let exact = |centre: f64| (0..10).map(|i| centre + f64::from(i) * 0.01).collect::<Vec<_>>();
        let close = Metric { name: "x".into(), a: exact(1000.0), b: exact(1005.0), grain: 0.0 };
        assert_eq!(judge(&[close])[0].verdict, Verdict::WithinNoise);
    }
}
