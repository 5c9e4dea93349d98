//! What every tool begins with: `--bootstrap-server` and `--command-config`.

use std::path::Path;

use crate::client::{Client, Settings};
use crate::failure::Failure;
use crate::options::Parsed;

/// A client for the options that all tools share.
///
/// # Errors
/// When an address or a property is none, or the file of properties cannot be read.
pub fn connect(options: &Parsed) -> Result<Client, Failure> {
    let settings = settings(options)?;
    Ok(Client::new(options.value("bootstrap-server")?.unwrap_or_default(), settings)?)
}

/// The settings in `--command-config`, or the defaults.
///
/// # Errors
/// When a property is none, or the file cannot be read.
pub fn settings(options: &Parsed) -> Result<Settings, Failure> {
    match options.value("command-config")? {
        Some(path) => Settings::load(Path::new(path)).map_err(|error| Failure::message(error.to_string())),
        None => Ok(Settings::default()),
    }
}
