//! Lines on stderr in the layout of Kafka's own `tools-log4j.properties`, which is what users of the tools read and grep.

use std::fmt::Display;
use std::io::Write;

use crate::calendar::LocalTime;

/// How bad it is. Kafka's tools show nothing below a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Warn,
    Error,
}

/// `[2022-05-03 10:11:12,345] WARN message (logger)`
pub fn write(level: Level, logger: &str, message: impl Display) {
    let level = match level {
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    let line = format!("[{}] {level} {message} ({logger})\n", stamp());
    // stderr may be closed, and then there is nobody left to tell.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// The same with what was caught on the next line.
pub fn write_caught(level: Level, logger: &str, message: impl Display, caught: impl Display) {
    write(level, logger, message);
    let _ = writeln!(std::io::stderr().lock(), "{caught}");
}

fn stamp() -> String {
    LocalTime::now().format("yyyy-MM-dd HH:mm:ss,SSS").unwrap_or_default()
}
