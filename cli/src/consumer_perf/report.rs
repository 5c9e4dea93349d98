//! The lines of the consumer's performance test.

use std::io::{self, Write};
use std::time::Duration;

use jiff::Zoned;

use crate::calendar::LocalTime;
use crate::failure::Failure;
use crate::options::Parsed;
use crate::record_client::number::fixed;

const COLUMNS: &str = "data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, fetch.time.ms, \
                       fetch.MB.sec, fetch.nMsg.sec";

/// What has been read.
#[derive(Debug, Default, Clone, Copy)]
pub struct Progress {
    pub records: u64,
    pub bytes: u64,
}

impl Progress {
    fn megabytes(self) -> f64 {
        self.bytes as f64 / (1024.0 * 1024.0)
    }

    fn since(self, before: Progress) -> Progress {
        Progress { records: self.records - before.records, bytes: self.bytes - before.bytes }
    }
}

/// How and how often is reported.
#[derive(Debug)]
pub struct Reporter {
    detailed: bool,
    header: bool,
    date_format: String,
    pub interval: Duration,
}

impl Reporter {
    /// # Errors
    /// For an interval or a date format that makes no sense.
    pub fn new(options: &Parsed) -> Result<Reporter, Failure> {
        let illegal = |why: String| Failure::message(format!("java.lang.IllegalArgumentException: {why}"));
        let interval = options.number::<i32>("reporting-interval")?.unwrap_or(0);
        let interval = u64::try_from(interval).ok().filter(|&interval| interval > 0);
        let interval =
            interval.ok_or_else(|| illegal("Reporting interval must be greater than 0.".to_owned()))?;
        let date_format = options.value("date-format")?.unwrap_or_default().to_owned();
        LocalTime::now().format(&date_format).map_err(|error| illegal(error.to_string()))?;
        Ok(Reporter {
            detailed: options.has("show-detailed-stats"),
            header: !options.has("hide-header"),
            date_format,
            interval: Duration::from_millis(interval),
        })
    }

    /// # Errors
    /// Those of the output.
    pub fn header(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.header {
            let times = if self.detailed { "time, threadId" } else { "start.time, end.time" };
            writeln!(out, "{times}, {COLUMNS}")?;
        }
        Ok(())
    }

    fn date(&self, time: &Zoned) -> String {
        LocalTime::of(time.clone()).format(&self.date_format).unwrap_or_default()
    }

    /// The line of one interval, if they are asked for.
    ///
    /// # Errors
    /// Those of the output.
    pub fn progress(
        &self,
        read: Progress,
        before: Progress,
        elapsed: Duration,
        joined: Duration,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if !self.detailed {
            return Ok(());
        }
        let part = read.since(before);
        let (elapsed_ms, joined_ms) = (millis(elapsed), millis(joined));
        let fetch_ms = elapsed_ms - joined_ms;
        let rate = |amount: f64| if fetch_ms <= 0.0 { 0.0 } else { 1000.0 * amount / fetch_ms };
        writeln!(
            out,
            "{}, 0, {}, {}, {}, {}, {joined_ms}, {fetch_ms}, {}, {}",
            self.date(&Zoned::now()),
            fixed(read.megabytes(), 4),
            fixed(1000.0 * part.megabytes() / elapsed_ms, 4),
            read.records,
            fixed(part.records as f64 / elapsed_ms * 1000.0, 4),
            fixed(rate(part.megabytes()), 4),
            fixed(rate(part.records as f64), 4)
        )?;
        out.flush()
    }

    /// The line at the end, if there were none in between.
    ///
    /// # Errors
    /// Those of the output.
    pub fn total(
        &self,
        begun: &Zoned,
        elapsed: Duration,
        joined: Duration,
        read: Progress,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        if self.detailed {
            return Ok(());
        }
        let (elapsed_ms, joined_ms) = (millis(elapsed), millis(joined));
        let fetch_ms = elapsed_ms - joined_ms;
        let per_second = |amount: f64, ms: f64| fixed(amount / (ms / 1000.0), 4);
        writeln!(
            out,
            "{}, {}, {}, {}, {}, {}, {joined_ms}, {fetch_ms}, {}, {}",
            self.date(begun),
            self.date(&Zoned::now()),
            fixed(read.megabytes(), 4),
            per_second(read.megabytes(), elapsed_ms),
            read.records,
            per_second(read.records as f64, elapsed_ms),
            per_second(read.megabytes(), fetch_ms),
            per_second(read.records as f64, fetch_ms)
        )?;
        Ok(())
    }
}

/// Whole milliseconds, as Java counts them.
fn millis(duration: Duration) -> f64 {
    duration.as_millis() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_kafkas_columns() {
        let reporter = |detailed| Reporter {
            detailed,
            header: true,
            date_format: "'T'".to_owned(),
            interval: Duration::from_secs(1),
        };
        let read = Progress { records: 200, bytes: 2 << 20 };
        let (second, half) = (Duration::from_secs(1), Duration::from_millis(500));
        let mut out = Vec::new();
        reporter(false).total(&Zoned::now(), second, half, read, &mut out).unwrap();
        assert_eq!(out, b"T, T, 2.0000, 2.0000, 200, 200.0000, 500, 500, 4.0000, 400.0000\n");
        let mut out = Vec::new();
        reporter(true)
            .progress(read, Progress { records: 100, bytes: 1 << 20 }, second, half, &mut out)
            .unwrap();
        assert_eq!(out, b"T, 0, 2.0000, 1.0000, 200, 100.0000, 500, 500, 2.0000, 200.0000\n");
    }
}
