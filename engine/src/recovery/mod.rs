//! From whatever a directory holds to logs that can be served.
//!
//! Order: checkpoints, partitions, journals; then everything that was accepted is made durable in segments, a new base
//! checkpoint opens the next generation, and only then the old journals may be written again. A crash in between is
//! an ordinary crash: until the new base is there, the old files say what they said.
//!
//! Runs on one reactor before the shards start. It knows nothing of topics' configuration or of requests.

mod adopt;
mod directory;
mod journals;
mod seal;

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Corruption, StartError};
use crate::id::TopicPartition;
use crate::log::{LogOptions, LogSeed};
use crate::reactor::Io;
use crate::volume::VolumeSeed;

pub(crate) use directory::CLEAN_MARK;
use directory::Directory;

/// What to recover, and for how many shards.
#[derive(Clone, Debug)]
pub struct RecoveryOptions {
    pub dirs: Vec<PathBuf>,
    pub shards: u16,
    pub options: Arc<LogOptions>,
}

/// What recovery did, for the start's summary.
#[derive(Clone, Debug, Default)]
pub struct RecoveryReport {
    /// Nothing had to be recovered.
    pub clean: bool,
    pub partitions: usize,
    pub replayed_batches: u64,
    pub replayed_bytes: u64,
    /// Journal batches of partitions that no longer exist.
    pub dropped_batches: u64,
    /// Partitions that are not served, and why.
    pub refused: Vec<(TopicPartition, Corruption)>,
    /// Directories that could not be used, and why.
    pub failed_dirs: Vec<(PathBuf, String)>,
}

/// A recovered server: plain data for the shards to start from.
#[derive(Clone, Debug)]
pub struct Recovered {
    pub volumes: Vec<VolumeSeed>,
    pub logs: Vec<LogSeed>,
    /// Stamped on this run's appends.
    pub leader_epoch: i32,
    pub report: RecoveryReport,
}

/// Recovers all directories.
///
/// # Errors
/// When no directory can be used. One that fails is reported and left out.
pub async fn recover(io: &Io, options: &RecoveryOptions) -> Result<Recovered, StartError> {
    let mut report = RecoveryReport { clean: true, ..RecoveryReport::default() };
    let mut directories = Vec::new();
    for dir in &options.dirs {
        match recover_one(io, dir, options, &mut report).await {
            Ok(directory) => directories.push(directory),
            Err(error) => {
                tracing::error!("log directory {} is left out: {error}", dir.display());
                report.failed_dirs.push((dir.clone(), error.to_string()));
            }
        }
    }
    if directories.is_empty() {
        let what = report.failed_dirs.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>().join("; ");
        return Err(StartError::Unsupported(format!("no log directory can be used: {what}")));
    }
    report.clean = directories.iter().all(|directory| directory.clean);
    let known = directories.iter().map(|directory| directory.leader_epoch).max().unwrap_or(-1);
    let leader_epoch = if report.clean { known.max(0) } else { known + 1 };
    let mut recovered = Recovered { volumes: Vec::new(), logs: Vec::new(), leader_epoch, report };
    for directory in directories {
        let (volume, logs) = directory.seal(leader_epoch, options.shards).await?;
        for log in &logs {
            if let (Some(name), Some(corruption)) = (&log.name, &log.corruption) {
                recovered.report.refused.push((name.clone(), corruption.clone()));
            }
        }
        recovered.volumes.push(volume);
        recovered.logs.extend(logs);
    }
    recovered.report.partitions = recovered.logs.len();
    Ok(recovered)
}

async fn recover_one(
    io: &Io,
    dir: &std::path::Path,
    options: &RecoveryOptions,
    report: &mut RecoveryReport,
) -> Result<Directory, StartError> {
    let mut directory = Directory::read(io, dir, Rc::new(options.clone())).await?;
    if !directory.clean {
        directory.replay(report).await?;
        directory.adopt_unexplained().await?;
    }
    directory.settle().await?;
    Ok(directory)
}
