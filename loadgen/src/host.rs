//! What the machine did meanwhile: CPU of processes, busy time of all cores, and what machine it is.

use std::fs;

use nix::unistd::Pid;

/// CPU nanoseconds that a process has used in all its threads, ended ones and kernel workers of its rings included
/// (the process CPU-time clock, clock_getcpuclockid(3)). `None` if there is no such process.
pub fn process_cpu_ns(pid: i32) -> Option<u64> {
    let time = nix::time::clock_getcpuclockid(Pid::from_raw(pid)).ok()?.now().ok()?;
    Some(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// Resident memory of a process in bytes.
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

/// Busy clock ticks of each core since boot: everything but idle and waiting for I/O (proc_stat(5)).
pub fn busy_ticks() -> Vec<u64> {
    let Ok(stat) = fs::read_to_string("/proc/stat") else { return Vec::new() };
    let cores = stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu "));
    cores
        .map(|line| {
            let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|t| t.parse().ok()).collect();
            // user nice system idle iowait irq softirq steal; guest time is part of user.
            ticks.iter().enumerate().filter(|(i, _)| *i < 8 && *i != 3 && *i != 4).map(|(_, t)| t).sum()
        })
        .collect()
}

/// Clock ticks of /proc/stat per second.
pub fn ticks_per_second() -> u64 {
    match nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK) {
        Ok(Some(hz)) if hz > 0 => hz as u64,
        _ => 100,
    }
}

/// CPU readings at one moment.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    pub own_cpu_ns: u64,
    pub server_cpu_ns: Option<u64>,
    pub busy_ticks: Vec<u64>,
}

impl Reading {
    pub fn take(server: Option<i32>) -> Self {
        Self {
            own_cpu_ns: process_cpu_ns(std::process::id() as i32).unwrap_or(0),
            server_cpu_ns: server.and_then(process_cpu_ns),
            busy_ticks: busy_ticks(),
        }
    }
}

/// Identity of this machine, for reports.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Host {
    pub name: String,
    pub kernel: String,
    pub cpu: String,
    pub cores: usize,
    pub memory_bytes: u64,
}

impl Host {
    pub fn read() -> Self {
        let uts = nix::sys::utsname::uname().ok();
        let text = |f: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
            uts.as_ref().map_or_else(|| "unknown".into(), |u| f(u).to_string_lossy().into_owned())
        };
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split(": ").nth(1));
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let total = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"));
        Self {
            name: text(|u| u.nodename()),
            kernel: format!("{} {}", text(|u| u.sysname()), text(|u| u.release())),
            cpu: model.unwrap_or("unknown").to_string(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: total.and_then(|t| t.trim().parse::<u64>().ok()).unwrap_or(0) * 1024,
        }
    }
}
