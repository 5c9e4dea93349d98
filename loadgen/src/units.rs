//! Human units on the command line: sizes (`64KiB`, `50MB`), durations (`30s`, `5ms`), rates (`100000/s`, `50MB/s`,
//! `max`) and CPU lists (`0,2-3`). Every refusal says what would have been accepted.

use std::time::Duration;

fn split_number(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let number = text[..end].replace('_', "");
    let value = number.parse::<f64>().map_err(|_e| format!("`{text}` does not start with a number"))?;
    Ok((value, text[end..].trim()))
}

/// Bytes. `k`, `M`, `G` (with or without `B`) are powers of 1000; `KiB`, `MiB`, `GiB` of 1024.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (value, unit) =
        split_number(text).map_err(|e| format!("{e}; write a size such as 1024, 64KiB or 1MB"))?;
    let factor = match unit {
        "" | "B" => 1.0,
        "k" | "K" | "kB" | "KB" => 1e3,
        "M" | "MB" => 1e6,
        "G" | "GB" => 1e9,
        "KiB" | "Ki" => 1024.0,
        "MiB" | "Mi" => 1048576.0,
        "GiB" | "Gi" => 1073741824.0,
        _ => return Err(format!("unknown size unit `{unit}`; use B, KB, MB, GB, KiB, MiB or GiB")),
    };
    Ok((value * factor).round() as u64)
}

/// A duration; the unit is required, so that nobody mistakes seconds for milliseconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (value, unit) =
        split_number(text).map_err(|e| format!("{e}; write a duration such as 30s or 5ms"))?;
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "" if value == 0.0 => 0.0,
        _ => return Err(format!("unknown time unit `{unit}`; use us, ms, s, m or h, as in 30s")),
    };
    Duration::try_from_secs_f64(value * seconds).map_err(|e| format!("`{text}`: {e}"))
}

/// How fast producers send, over all of them together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// Closed loop: as fast as the in-flight limit lets them.
    Max,
    /// Open loop, in records per second.
    Records(f64),
    /// Open loop, in bytes of record value per second.
    Bytes(f64),
}

impl Rate {
    /// Records per second, or `None` for [`Rate::Max`].
    pub fn records_per_second(self, record_bytes: usize) -> Option<f64> {
        match self {
            Rate::Max => None,
            Rate::Records(r) => Some(r),
            Rate::Bytes(b) => Some(b / record_bytes as f64),
        }
    }
}

pub fn rate(text: &str) -> Result<Rate, String> {
    const HELP: &str = "write max, 100000/s (records) or 50MB/s (bytes)";
    if text == "max" {
        return Ok(Rate::Max);
    }
    let per_second = text.strip_suffix("/s").ok_or_else(|| format!("`{text}` is no rate; {HELP}"))?;
    let (value, unit) = split_number(per_second).map_err(|e| format!("{e}; {HELP}"))?;
    let rate = match unit {
        "" => Rate::Records(value),
        "k" => Rate::Records(value * 1e3),
        "M" => Rate::Records(value * 1e6),
        _ => Rate::Bytes(bytes(per_second).map_err(|e| format!("{e}; {HELP}"))? as f64),
    };
    if value > 0.0 { Ok(rate) } else { Err(format!("a rate must be above 0; {HELP}")) }
}

/// CPU numbers from a list such as `0,2-3`.
pub fn cpus(text: &str) -> Result<Vec<usize>, String> {
    let bad = || format!("`{text}` is no CPU list; write it as 0 or 0,2-3");
    let mut out = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let from: usize = from.trim().parse().map_err(|_e| bad())?;
        let to: usize = to.trim().parse().map_err(|_e| bad())?;
        if from > to || to >= 1024 {
            return Err(bad());
        }
        out.extend(from..=to);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_durations_and_rates_take_units() {
        assert_eq!(bytes("64KiB"), Ok(65536));
        assert_eq!(bytes("1.5MB"), Ok(1_500_000));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(rate("50MB/s"), Ok(Rate::Bytes(5e7)));
        assert_eq!(rate("100_000/s"), Ok(Rate::Records(1e5)));
        assert_eq!(rate("2k/s"), Ok(Rate::Records(2e3)));
        assert_eq!(cpus("0,2-3"), Ok(vec![0, 2, 3]));
    }

    #[test]
    fn refusals_name_the_fix() {
        assert!(duration("30").is_err_and(|e| e.contains("30s")));
        assert!(bytes("12parsecs").is_err_and(|e| e.contains("KiB")));
        assert!(rate("fast").is_err_and(|e| e.contains("max")));
        assert!(rate("0/s").is_err_and(|e| e.contains("above 0")));
        assert!(cpus("3-1").is_err());
    }
}
