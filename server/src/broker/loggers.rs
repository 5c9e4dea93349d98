//! How much is logged, by logger, while the server runs (Kafka's BROKER_LOGGER resource, KIP-412).
//!
//! A logger is a crate of this server, `root` is all the others and what a crate's own level does not say. Levels are
//! Kafka's; FATAL shows errors, there being nothing above them. As in Kafka, what is set is gone with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_subscriber::EnvFilter;

pub const ROOT: &str = "root";

/// Loggers other than `root`: the targets that this server's lines name.
const CRATES: &[&str] = &["thalweg_engine", "thalweg_protocol", "thalweg_server"];

/// Kafka's levels in the order in which its sentence names them, and what each is here.
const LEVELS: &[(&str, &str)] = &[
    ("TRACE", "trace"),
    ("ERROR", "error"),
    ("INFO", "info"),
    ("FATAL", "error"),
    ("DEBUG", "debug"),
    ("WARN", "warn"),
];

/// Why a level was not set. The texts are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoggerError {
    #[error("Logger {0} does not exist!")]
    Unknown(String),
    #[error(
        "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid log levels are \
         TRACE, ERROR, INFO, FATAL, DEBUG, WARN"
    )]
    Level { logger: String, level: String },
    #[error("Removing the log level of the root logger is not allowed")]
    Root,
}

/// Puts another filter in place of the one that decides what is written.
type Reload = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// The levels that were set, by logger, and the way to the filter.
struct Loggers {
    set: Mutex<BTreeMap<&'static str, &'static str>>,
    reload: OnceLock<Reload>,
}

static LOGGERS: Loggers = Loggers { set: Mutex::new(BTreeMap::new()), reload: OnceLock::new() };

/// Once, when lines begin to be written.
pub(super) fn attach(reload: Reload) {
    drop(LOGGERS.reload.set(reload));
}

/// Every logger and its level in force.
pub fn levels() -> Vec<(&'static str, &'static str)> {
    let set = LOGGERS.set.lock().unwrap_or_else(PoisonError::into_inner);
    all().map(|logger| (logger, level_of(&set, logger))).collect()
}

/// Sets the level of a logger; None gives it the root's again.
///
/// # Errors
/// [`LoggerError`].
pub fn set(logger: &str, level: Option<&str>) -> Result<(), LoggerError> {
    let (logger, level) = check(logger, level)?;
    let mut set = LOGGERS.set.lock().unwrap_or_else(PoisonError::into_inner);
    match level {
        Some(level) => drop(set.insert(logger, level)),
        None => drop(set.remove(logger)),
    }
    if let Some(reload) = LOGGERS.reload.get() {
        reload(EnvFilter::new(directives(&set)));
    }
    Ok(())
}

/// Whether [`set`] would take it; the names as they are known here.
///
/// # Errors
/// [`LoggerError`].
pub fn check(logger: &str, level: Option<&str>) -> Result<(&'static str, Option<&'static str>), LoggerError> {
    let known = all().find(|known| *known == logger);
    let known = known.ok_or_else(|| LoggerError::Unknown(logger.to_owned()))?;
    let Some(level) = level else {
        return if known == ROOT { Err(LoggerError::Root) } else { Ok((known, None)) };
    };
    match LEVELS.iter().find(|(name, _)| *name == level) {
        Some((name, _)) => Ok((known, Some(name))),
        None => Err(LoggerError::Level { logger: logger.to_owned(), level: level.to_owned() }),
    }
}

fn all() -> impl Iterator<Item = &'static str> {
    std::iter::once(ROOT).chain(CRATES.iter().copied())
}

fn level_of(set: &BTreeMap<&'static str, &'static str>, logger: &str) -> &'static str {
    set.get(logger).or_else(|| set.get(ROOT)).copied().unwrap_or("INFO")
}

/// The filter that the levels add up to, in the syntax of `RUST_LOG`.
fn directives(set: &BTreeMap<&'static str, &'static str>) -> String {
    let here = |level: &str| LEVELS.iter().find(|(name, _)| *name == level).map_or("info", |(_, here)| *here);
    let crates = set.iter().filter(|(logger, _)| **logger != ROOT);
    let crates = crates.map(|(logger, level)| format!("{logger}={}", here(level)));
    std::iter::once(here(level_of(set, ROOT)).to_owned()).chain(crates).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_those_of_kafka() {
        let said = |logger, level| check(logger, level).unwrap_err().to_string();
        assert_eq!(said("nope.x", Some("DEBUG")), "Logger nope.x does not exist!");
        assert_eq!(said(ROOT, None), "Removing the log level of the root logger is not allowed");
        assert_eq!(
            said("thalweg_server", Some("LOUD")),
            "Cannot set the log level of thalweg_server to LOUD as it is not a supported log level. Valid log levels \
             are TRACE, ERROR, INFO, FATAL, DEBUG, WARN"
        );
    }

    #[test]
    fn a_crate_without_a_level_has_the_roots() {
        let set = BTreeMap::from([(ROOT, "WARN"), ("thalweg_engine", "FATAL")]);
        assert_eq!(level_of(&set, "thalweg_server"), "WARN");
        assert_eq!(directives(&set), "warn,thalweg_engine=error");
        assert_eq!(directives(&BTreeMap::new()), "info");
    }
}
