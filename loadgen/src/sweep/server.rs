//! The broker that a sweep starts and stops itself: any program that takes `FILE --override key=value...`, as
//! `thalweg-server` and Kafka's start script do. Its data directory is new at each start and gone after it, so that no
//! point measures what another left behind.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster::Cluster;
use crate::wire;

const START_DEADLINE: Duration = Duration::from_secs(90);
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How to start it.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    pub config: PathBuf,
    pub cpus: Vec<usize>,
    pub settings: BTreeMap<String, String>,
    pub data: PathBuf,
    pub log: PathBuf,
}

pub struct Server {
    child: Child,
    pub bootstrap: String,
    /// What it was started with, for reports.
    pub command: Vec<String>,
    launch: Launch,
}

impl Server {
    /// Starts it and waits until it answers.
    pub fn start(launch: Launch) -> Result<Self, String> {
        let failed = |e: &dyn std::fmt::Display| format!("cannot start {}: {e}", launch.program.display());
        clear(&launch.data).map_err(|e| failed(&e))?;
        let bootstrap = free_address().map_err(|e| failed(&e))?;
        let mut settings = launch.settings.clone();
        settings.insert("listeners".into(), format!("PLAINTEXT://{bootstrap}"));
        settings.insert("log.dirs".into(), launch.data.display().to_string());
        let mut arguments = vec![launch.config.display().to_string()];
        arguments.extend(settings.iter().flat_map(|(k, v)| ["--override".to_string(), format!("{k}={v}")]));
        let child = spawn(&launch, &arguments).map_err(|e| failed(&e))?;
        let mut command = vec![launch.program.display().to_string()];
        command.extend(arguments);
        let mut server = Self { child, bootstrap, command, launch };
        server.await_answer()?;
        Ok(server)
    }

    /// Whether it has not ended by itself.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn await_answer(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_DEADLINE;
        let log = self.launch.log.display().to_string();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the server ended while it started ({status}); its log is {log}"));
            }
            if Cluster::new(&self.bootstrap).check_versions(&[wire::METADATA]).is_ok() {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.discard();
                return Err(format!("the server does not answer after {START_DEADLINE:?}; its log is {log}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGTERM, and its data removed. An error if it did not end in good order.
    pub fn stop(mut self) -> Result<(), String> {
        let log = self.launch.log.display().to_string();
        // One that ended by itself is told apart by its status below.
        let _gone = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        let deadline = Instant::now() + STOP_DEADLINE;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() || status.code() == Some(143) => return Ok(()),
                Ok(Some(status)) => return Err(format!("the server ended with {status}; its log is {log}")),
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(e) => return Err(format!("waiting for the server: {e}")),
            }
        }
        Err(format!("the server did not stop within {STOP_DEADLINE:?} and was killed; its log is {log}"))
    }

    fn discard(&mut self) {
        // It may have ended already, which is what is wanted.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            self.discard();
        }
        if let Err(e) = clear(&self.launch.data) {
            eprintln!("{} could not be removed: {e}", self.launch.data.display());
        }
    }
}

fn clear(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn free_address() -> io::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Affinity is inherited: a thread of its own takes the server's CPUs and starts it. In a process group of its own, so
/// that Ctrl-C reaches this program alone, which then ends the server in order.
fn spawn(launch: &Launch, arguments: &[String]) -> io::Result<Child> {
    let log = File::options().create(true).append(true).open(&launch.log)?;
    let errors = log.try_clone()?;
    let mut command = Command::new(&launch.program);
    command.args(arguments).process_group(0);
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    let cpus = launch.cpus.clone();
    std::thread::scope(|scope| {
        let starter = scope.spawn(move || {
            if !cpus.is_empty() {
                let mut set = nix::sched::CpuSet::new();
                cpus.iter().try_for_each(|cpu| set.set(*cpu))?;
                nix::sched::sched_setaffinity(Pid::from_raw(0), &set).map_err(|e| {
                    io::Error::other(format!("--server-cpus: {e}; give CPUs of this machine"))
                })?;
            }
            command.spawn()
        });
        starter.join().unwrap_or_else(|_panic| Err(io::Error::other("the starting thread panicked")))
    })
}
