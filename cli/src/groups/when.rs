//! Times as `--to-datetime` and `--by-duration` take them.

use jiff::{Span, SpanRelativeTo, Timestamp, Unit, civil};

use super::Failure;

/// Milliseconds of `YYYY-MM-DDTHH:mm:SS.sss`, in UTC unless `Z`, `+hh`, `+hhmm` or `+hh:mm` follows.
///
/// # Errors
/// When it is no such time.
pub fn datetime(text: &str) -> Result<i64, Failure> {
    let Some((_, time)) = text.split_once('T') else {
        return Err(Failure::message(
            "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format",
        ));
    };
    let unparseable = || Failure::message(format!("Unparseable date: \"{text}\""));
    let zoned = time.contains(['+', '-', 'Z']);
    let split = if zoned { text.rfind(['+', '-', 'Z']).ok_or_else(unparseable)? } else { text.len() };
    let (local, zone) = text.split_at(split);
    // Java wants the milliseconds to be there.
    let local: Option<civil::DateTime> = local.contains('.').then(|| local.parse().ok()).flatten();
    let minutes = zone_minutes(zone);
    let (local, minutes) = local.zip(minutes).ok_or_else(unparseable)?;
    let utc = local.to_zoned(jiff::tz::TimeZone::UTC).ok().ok_or_else(unparseable)?;
    Ok(utc.timestamp().as_millisecond() - minutes * 60_000)
}

fn zone_minutes(zone: &str) -> Option<i64> {
    if zone.is_empty() || zone == "Z" {
        return Some(0);
    }
    let (sign, digits) = zone.split_at(1);
    let digits = digits.replace(':', "");
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let hours: i64 = digits[..2].parse().ok()?;
    let minutes: i64 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    let total = hours * 60 + minutes;
    Some(if sign == "-" { -total } else { total })
}

/// Milliseconds of the time that is a duration `PnDTnHnMnS` ago.
///
/// # Errors
/// When it is no such duration; years, months and weeks have no fixed length and are none.
pub fn before_now(text: &str) -> Result<i64, Failure> {
    let unparseable = || Failure::message("Text cannot be parsed to a Duration");
    let span: Span =
        text.parse().ok().filter(|_| text.contains('P') || text.contains('p')).ok_or_else(unparseable)?;
    if span.get_years() != 0 || span.get_months() != 0 || span.get_weeks() != 0 {
        return Err(unparseable());
    }
    let millis = span
        .total((Unit::Millisecond, SpanRelativeTo::days_are_24_hours()))
        .map_err(|error| Failure::message(format!("Text cannot be parsed to a Duration: {error}")))?;
    Ok(Timestamp::now().as_millisecond() - millis as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_zone_or_is_in_utc() {
        let noon = 1_600_000_003_000;
        for text in [
            "2020-09-13T12:26:43.000",
            "2020-09-13T12:26:43.000Z",
            "2020-09-13T14:26:43.000+02:00",
            "2020-09-13T14:26:43.000+02",
            "2020-09-13T07:26:43.000-0500",
        ] {
            assert_eq!(datetime(text).unwrap(), noon, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert!(datetime("2020-09-13").unwrap_err().text().contains("'T'"));
        for text in
            ["2020-09-13Tsoon", "2020-13-13T12:26:43.000", "2020-09-13T12:26:43", "2020-09-13T12:26:43.0+2"]
        {
            assert!(datetime(text).unwrap_err().text().starts_with("Unparseable"), "{text}");
        }
    }

    #[test]
    fn a_duration_is_counted_back_from_now() {
        let ago = Timestamp::now().as_millisecond() - before_now("P1DT2H3M4S").unwrap();
        assert!((93_784_000..93_794_000).contains(&ago), "{ago}");
        assert!(before_now("P1M").is_err() && before_now("soon").is_err() && before_now("1h").is_err());
    }
}
