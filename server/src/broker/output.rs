//! Log lines on standard output, in the shape of Kafka's: `[2026-11-22 18:39:03,123] INFO message (target)`.
//!
//! `RUST_LOG` filters as everywhere in Rust; without it `info`. A level that a client sets ([`loggers`]) takes its place.

use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::loggers;

/// Starts writing. Called once; later calls do nothing.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stdout().is_terminal())
        .event_format(Line)
        .with_filter_reloading();
    let handle = lines.reload_handle();
    loggers::attach(Box::new(move |filter| {
        if let Err(error) = handle.reload(filter) {
            tracing::warn!(%error, "The levels of the loggers could not be changed");
        }
    }));
    // Fails only if there is a subscriber already, as in a test.
    drop(lines.try_init());
}

struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        write!(out, "[{}] {} ", Stamp(now), event.metadata().level())?;
        ctx.format_fields(out.by_ref(), event)?;
        writeln!(out, " ({})", event.metadata().target())
    }
}

/// Time since 1970 as `2026-11-22 18:39:03,123`, UTC.
struct Stamp(Duration);

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let millis = self.0.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02},{millis:03}")
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar (years that begin in March, in eras of 400).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_as_kafkas() {
        let shown = |seconds, millis: u32| Stamp(Duration::new(seconds, millis * 1_000_000)).to_string();
        assert_eq!(shown(0, 0), "1970-01-01 00:00:00,000");
        assert_eq!(shown(1_795_372_743, 123), "2026-11-22 18:39:03,123");
        assert_eq!(shown(951_782_399, 999), "2000-02-28 23:59:59,999");
        assert_eq!(shown(951_782_400, 0), "2000-02-29 00:00:00,000");
    }
}
