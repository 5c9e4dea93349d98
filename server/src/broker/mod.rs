//! A broker's life: command line, configuration, identity, engine, listeners, and an orderly end.
//!
//! What it waits for and blocks on happens before the first shard runs, or on threads of its own. Exit codes are
//! Kafka's: 0 after an orderly end, 1 for everything else.

mod arguments;
mod dir_lock;
mod host_name;
mod identity;
pub mod loggers;
mod output;
mod serve;
mod signal;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use thalweg_engine::reactor::allowed_cpus;

pub use arguments::{Command, USAGE};
use dir_lock::DirLock;
pub use dir_lock::LockError;
pub use identity::{Identity, IdentityError};
pub use serve::{ServeError, serve};
pub use signal::StopRequest;

use crate::config::{BrokerConfig, ConfigError, Properties, PropertiesError, resolve};

/// Runs the program with these arguments (without its name) until it has ended.
pub fn main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let (file, overrides) = match Command::parse(arguments) {
        Ok(Command::Serve { file, overrides }) => (file, overrides),
        Ok(Command::Version) => {
            println!("{}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        Ok(Command::Help) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(mistake) => {
            eprint!("{mistake}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    output::start();
    match run(&file, &overrides) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("The server ends: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why the server did not start, or did not end in good order.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error(transparent)]
    Properties(#[from] PropertiesError),
    #[error("{file}: {source}")]
    Config { file: String, source: ConfigError },
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("log directory {} cannot be created: {source}; create it, or choose another in log.dirs", dir.display())]
    Directory { dir: PathBuf, source: std::io::Error },
    #[error("signals cannot be waited for: {0}")]
    Signals(std::io::Error),
    #[error("the processors that may be used cannot be found out: {0}")]
    Cores(std::io::Error),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

fn run(file: &Path, overrides: &[String]) -> Result<(), BrokerError> {
    let stop = signal::listen().map_err(BrokerError::Signals)?;
    let config = configure(file, overrides)?;
    // Until the end: the engine must have let go of every file before another server may come.
    let (dirs, _locks) = take_dirs(&config.log_dirs)?;
    let identity = identity::read(&config, &dirs)?;
    serve(config, identity, stop)?;
    Ok(())
}

/// The configuration of `file` and `overrides`, its warnings said.
fn configure(file: &Path, overrides: &[String]) -> Result<BrokerConfig, BrokerError> {
    let mut properties = Properties::load(file)?;
    for setting in overrides {
        properties.apply_override(setting)?;
    }
    let cores = allowed_cpus().map_err(BrokerError::Cores)?.len();
    let (config, warnings) = resolve(properties, cores)
        .map_err(|source| BrokerError::Config { file: file.display().to_string(), source })?;
    for warning in warnings {
        tracing::warn!("{}: {warning}", file.display());
    }
    Ok(config)
}

/// Creates and locks the log directories. One that fails is left out, as long as another one works.
///
/// # Errors
/// When one belongs to another server, or none can be used.
fn take_dirs(all: &[PathBuf]) -> Result<(Vec<PathBuf>, Vec<DirLock>), BrokerError> {
    let (mut dirs, mut locks, mut failed) = (Vec::new(), Vec::new(), None);
    for dir in all {
        match take_dir(dir) {
            Ok(lock) => {
                dirs.push(dir.clone());
                locks.push(lock);
            }
            Err(error @ BrokerError::Lock(LockError::Taken { .. })) => return Err(error),
            Err(error) => {
                tracing::error!("{error}; it is left out with its partitions");
                failed = Some(error);
            }
        }
    }
    match failed {
        Some(error) if dirs.is_empty() => Err(error),
        _ => Ok((dirs, locks)),
    }
}

fn take_dir(dir: &Path) -> Result<DirLock, BrokerError> {
    create_dir(dir)?;
    let lock = dir_lock::lock(dir)?;
    identity::check_readable(dir)?;
    Ok(lock)
}

/// Creates a log directory that is not there, so that it is there after a power loss too.
fn create_dir(dir: &Path) -> Result<(), BrokerError> {
    if dir.is_dir() {
        return Ok(());
    }
    tracing::info!("Log directory {} not found, creating it.", dir.display());
    let parents = dir
        .ancestors()
        .skip(1)
        .map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let existing = parents.clone().position(Path::is_dir).unwrap_or(0);
    let durably = || {
        std::fs::create_dir_all(dir)?;
        parents.take(existing + 1).try_for_each(|parent| File::open(parent)?.sync_all())
    };
    durably().map_err(|source| BrokerError::Directory { dir: dir.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_fails_is_left_out_unless_it_is_the_last() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let (good, bad) = (root.path().join("good"), root.path().join("file/bad"));
        let (dirs, locks) = take_dirs(&[bad.clone(), good.clone()]).unwrap();
        assert_eq!((&dirs[..], locks.len()), (&[good.clone()][..], 1));
        let taken = take_dirs(&[bad.clone(), good]).unwrap_err().to_string();
        assert!(taken.contains("in use by another server"), "{taken}");
        assert!(take_dirs(&[bad]).is_err());
    }

    #[test]
    fn a_missing_directory_is_created_with_its_parents() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b/c");
        create_dir(&dir).unwrap();
        create_dir(&dir).unwrap();
        assert!(dir.is_dir());
        std::fs::write(root.path().join("file"), "").unwrap();
        let refused = create_dir(&root.path().join("file/sub")).unwrap_err().to_string();
        assert!(refused.contains("file/sub"), "{refused}");
    }
}
