//! The progress line: redrawn in place on a terminal, one line a second in a pipe. On stderr, so that stdout holds
//! the result alone.

use std::io::IsTerminal;
use std::sync::atomic::Ordering;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::over_time::Totals;
use crate::plan::Plan;

#[derive(Debug)]
pub struct ProgressLine {
    bar: Option<ProgressBar>,
    last: Totals,
}

impl ProgressLine {
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // A template without placeholders that could be wrong; the default style would serve as well.
            bar.set_style(
                ProgressStyle::with_template("{spinner} {msg}").unwrap_or(ProgressStyle::default_spinner()),
            );
            bar
        });
        Self { bar, last: Totals::default() }
    }

    /// The counters start anew.
    pub fn begin(&mut self) {
        self.last = Totals::default();
    }

    /// Draws the rates since the last call.
    pub fn draw(&mut self, plan: &Plan) {
        let now = Totals::read(plan, None);
        let seconds = now.at_ns.saturating_sub(self.last.at_ns) as f64 / 1e9;
        let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds.max(1e-9);
        let worst =
            plan.progress.iter().map(|p| p.latency_ns_max.swap(0, Ordering::Relaxed)).max().unwrap_or(0);
        let mut text = format!("{:>5.1}s {}", now.at_ns as f64 / 1e9, phase(plan, now.at_ns));
        if plan.traffic.producers > 0 {
            text += &format!(
                "  acked {:>9.0} rec/s {:>7.1} MB/s  max {:>8.1} ms",
                rate(now.acked_records, self.last.acked_records),
                rate(now.acked_batch_bytes, self.last.acked_batch_bytes) / 1e6,
                worst as f64 / 1e6
            );
        }
        if plan.traffic.consumers > 0 {
            text += &format!(
                "  read {:>9.0} rec/s {:>7.1} MB/s",
                rate(now.consumed_records, self.last.consumed_records),
                rate(now.consumed_bytes, self.last.consumed_bytes) / 1e6
            );
        }
        if now.errors > 0 {
            text += &format!("  refused {}", now.errors);
        }
        self.last = now;
        match &self.bar {
            Some(bar) => {
                bar.set_message(text);
                bar.tick();
            }
            None => eprintln!("{text}"),
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Default for ProgressLine {
    fn default() -> Self {
        Self::new()
    }
}

pub fn phase(plan: &Plan, now: u64) -> &'static str {
    match plan.window.get() {
        Some(w) if now < w.start_ns => "warm-up",
        Some(w) if now < w.end_ns() => "measure",
        Some(_) => "drain  ",
        None => "connect",
    }
}
