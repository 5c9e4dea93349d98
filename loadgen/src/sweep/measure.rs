//! One measurement of a sweep: `run` as a child process, so that its CPU is its own and its command can be repeated.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::observer::Interrupts;

/// What a measurement ended with.
pub enum Outcome {
    Measured(Box<Value>),
    Interrupted,
    /// A sentence for the user.
    Failed(String),
}

/// A measurement to make.
pub struct Measurement<'a> {
    pub options: Vec<String>,
    /// Where the child leaves its document.
    pub json: PathBuf,
    pub log: &'a Path,
}

const POLL: Duration = Duration::from_millis(100);

impl Measurement<'_> {
    pub fn command(&self) -> Vec<String> {
        let mut out = vec!["run".to_string()];
        out.extend(self.options.iter().cloned());
        out.extend(["--json".to_string(), self.json.display().to_string()]);
        out
    }

    /// Runs it; `tick` is called about ten times a second.
    pub fn run(&self, interrupts: &Interrupts, mut tick: impl FnMut()) -> io::Result<Outcome> {
        remove(&self.json)?;
        let mut child = self.spawn()?;
        let mut interrupted = false;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if interrupts.wait(POLL)? {
                interrupted = true;
                // The child drains and ends by itself; one that has ended needs no signal.
                let _ended = kill(Pid::from_raw(child.id() as i32), Signal::SIGINT);
            }
            tick();
        };
        if interrupted {
            remove(&self.json)?;
            return Ok(Outcome::Interrupted);
        }
        if !status.success() {
            return Ok(Outcome::Failed(format!("{status}: {}", last_words(self.log))));
        }
        let document: Value = serde_json::from_slice(&fs::read(&self.json)?)?;
        remove(&self.json)?;
        Ok(Outcome::Measured(Box::new(document)))
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = File::options().create(true).append(true).open(self.log)?;
        let mut command = Command::new(std::env::current_exe()?);
        // A process group of its own: Ctrl-C reaches it through this program alone.
        command.args(self.command()).process_group(0).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log).spawn()
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().filter(|l| !l.trim().is_empty()).take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}
