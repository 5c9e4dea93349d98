//! The options that all baselines share.

use std::io;
use std::path::PathBuf;

use clap::{ArgAction, Args};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Journals are cut into whole pre-write steps, and a quarter holds a whole group.
const JOURNAL_BYTES_STEP: u64 = 1 << 20;
const JOURNAL_BYTES_MIN: u64 = 32 << 20;

/// Where to listen and what to write.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Port on 127.0.0.1; 0 picks one. The address is printed
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Directory for the journal (and segments); existing files of a former run are overwritten
    #[arg(long)]
    pub dir: PathBuf,
    /// Size of the journal, which is written round and round
    #[arg(long, default_value_t = 256 << 20, value_parser = journal_bytes)]
    pub journal_bytes: u64,
    /// CPU to run on
    #[arg(long)]
    pub cpu: Option<usize>,
    /// Acknowledge when on stable storage (O_DSYNC); false: when the device has taken it
    #[arg(long, default_value_t = true, action = ArgAction::Set)]
    pub durable: bool,
    /// Check each batch's CRC-32C, as a broker must
    #[arg(long, default_value_t = false, action = ArgAction::Set)]
    pub crc: bool,
}

fn journal_bytes(text: &str) -> Result<u64, String> {
    let bytes: u64 = text.parse().map_err(|error| format!("{error}; give bytes"))?;
    if bytes < JOURNAL_BYTES_MIN || !bytes.is_multiple_of(JOURNAL_BYTES_STEP) {
        return Err(format!("a multiple of {JOURNAL_BYTES_STEP}, at least {JOURNAL_BYTES_MIN}"));
    }
    Ok(bytes)
}

impl Options {
    /// Pins the calling thread, and the threads (also the kernel's) that it starts from now on.
    ///
    /// # Errors
    /// As sched_setaffinity(2).
    pub fn pin(&self) -> io::Result<()> {
        let Some(cpu) = self.cpu else { return Ok(()) };
        let mut set = CpuSet::new();
        set.set(cpu)?;
        Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
    }
}
