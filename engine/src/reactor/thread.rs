//! Shard threads: named, pinned to one CPU.

use std::io;
use std::thread::JoinHandle;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The CPUs that this process may run on, ascending.
///
/// # Errors
/// As sched_getaffinity(2).
pub fn allowed_cpus() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).collect())
}

/// Starts a thread and pins it to `cpu`; with `None`, or where pinning is refused (a warning says so), it floats.
///
/// # Errors
/// As pthread_create(3).
pub fn spawn_shard<T: Send + 'static>(
    name: impl Into<String>,
    cpu: Option<usize>,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.into()).spawn(move || {
        if let Some(cpu) = cpu
            && let Err(error) = pin_to(cpu)
        {
            tracing::warn!(cpu, %error, "the shard's thread could not be pinned; it runs on any CPU");
        }
        run()
    })
}

fn pin_to(cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_thread_runs_on_its_cpu_alone() {
        let cpus = allowed_cpus().unwrap();
        let last = *cpus.last().unwrap();
        let seen = spawn_shard("shard-test", Some(last), || {
            (allowed_cpus(), std::thread::current().name().map(String::from))
        });
        let (pinned, name) = seen.unwrap().join().unwrap();
        assert_eq!(pinned.unwrap(), vec![last]);
        assert_eq!(name.as_deref(), Some("shard-test"));
    }
}
