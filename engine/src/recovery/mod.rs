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
mod replacement;
mod seal;
mod writeback;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::error::{Corruption, StartError};
use crate::id::{PartitionId, TopicPartition};
use crate::log::{LogOptions, LogSeed};
use crate::reactor::Io;
use crate::volume::VolumeSeed;

pub(crate) use directory::CLEAN_MARK;
use directory::Directory;

/// What to recover, and for how many shards.
#[derive(Clone, Debug)]
pub struct RecoveryOptions {
    pub dirs: Vec<PathBuf>,
    /// Those of them that are known not to work, and why.
    pub failed_dirs: Vec<(PathBuf, String)>,
    pub shards: u16,
    pub options: Arc<LogOptions>,
    /// Memory for what is replayed and not yet written, bytes.
    pub memory_bytes_max: u64,
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

impl RecoveryReport {
    fn leave_out(&mut self, dir: &Path, what: &str) {
        tracing::error!("log directory {} is left out with its partitions: {what}", dir.display());
        self.failed_dirs.push((dir.to_path_buf(), what.to_owned()));
    }

    fn check_any_works(&self, working: usize) -> Result<(), StartError> {
        if working > 0 {
            return Ok(());
        }
        let what = |(dir, what): &(PathBuf, String)| format!("{}: {what}", dir.display());
        let what = self.failed_dirs.iter().map(what).collect::<Vec<_>>().join("; ");
        Err(StartError::Unsupported(format!("no log directory can be used: {what}")))
    }
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
    for (dir, what) in &options.failed_dirs {
        report.leave_out(dir, what);
    }
    let is_left_out = |dir: &&PathBuf| options.failed_dirs.iter().any(|(failed, _)| failed == *dir);
    for dir in options.dirs.iter().filter(|dir| !is_left_out(dir)) {
        match recover_one(io, dir, options, &mut report).await {
            Ok(directory) => directories.push(directory),
            Err(error) => report.leave_out(dir, &error.to_string()),
        }
    }
    report.check_any_works(directories.len())?;
    check_no_partition_is_twice(&directories)?;
    report.clean = directories.iter().all(|directory| directory.clean);
    let known = directories.iter().map(|directory| directory.leader_epoch).max().unwrap_or(-1);
    let leader_epoch = if report.clean { known.max(0) } else { known + 1 };
    let mut recovered = Recovered { volumes: Vec::new(), logs: Vec::new(), leader_epoch, report };
    for directory in directories {
        let dir = directory.path.clone();
        let (volume, logs) = match directory.seal(leader_epoch, options.shards).await {
            Ok(sealed) => sealed,
            Err(error) => {
                recovered.report.leave_out(&dir, &error.to_string());
                continue;
            }
        };
        for log in &logs {
            if let (Some(name), Some(corruption)) = (&log.name, &log.corruption) {
                recovered.report.refused.push((name.clone(), corruption.clone()));
            }
        }
        recovered.volumes.push(volume);
        recovered.logs.extend(logs);
    }
    recovered.report.check_any_works(recovered.volumes.len())?;
    recovered.report.partitions = recovered.logs.len();
    Ok(recovered)
}

/// A partition in two directories is two logs under one name, and it cannot be told which of them was promised.
fn check_no_partition_is_twice(directories: &[Directory]) -> Result<(), StartError> {
    let mut seen: HashMap<PartitionId, &Path> = HashMap::new();
    for (id, log) in directories.iter().flat_map(|directory| &directory.logs) {
        if let Some(other) = seen.insert(*id, log.directory()) {
            return Err(StartError::Unsupported(format!(
                "{} and {} are the same partition: move the one that is not wanted out of log.dirs",
                other.display(),
                log.directory().display()
            )));
        }
    }
    Ok(())
}

async fn recover_one(
    io: &Io,
    dir: &Path,
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
