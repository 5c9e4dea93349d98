//! What the machine did meanwhile: CPU of processes, busy time of all cores, and what machine it is.

use std::fs;
use std::path::Path;

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

/// What a program says to `--version`; empty if nothing useful.
pub fn version_of(program: &str) -> String {
    let said =
        std::process::Command::new(program).arg("--version").stdin(std::process::Stdio::null()).output();
    let text = said.ok().filter(|o| o.status.success()).map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("").trim().to_string()
}

/// Tells one build of a program from another: what it says to `--version`, its length and when it was written.
pub fn build_of(program: &Path) -> String {
    let written = |file: fs::Metadata| {
        let since = file.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(format!("{} bytes of {}.{:09}", file.len(), since.as_secs(), since.subsec_nanos()))
    };
    let file = fs::metadata(program).ok().and_then(written).unwrap_or_default();
    format!("{}, {file}", version_of(&program.display().to_string()))
}

/// The disk below a directory.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Disk {
    pub directory: String,
    pub mount: String,
    pub filesystem: String,
    pub device: String,
    pub model: String,
    pub size_bytes: u64,
    pub rotational: bool,
}

impl Disk {
    /// Of the deepest directory of `path` that exists; empty fields where the system does not say.
    pub fn of(path: &Path) -> Self {
        let there = path.ancestors().find_map(|p| fs::canonicalize(p).ok()).unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        // Fields of proc_pid_mountinfo(5): mount point is the fifth; type and source follow the lone hyphen.
        let parsed = mounts.lines().filter_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            let mount = left.split(' ').nth(4)?;
            let mut right = right.split(' ');
            Some((mount, right.next()?, right.next()?))
        });
        let found =
            parsed.filter(|(mount, ..)| there.starts_with(mount)).max_by_key(|(mount, ..)| mount.len());
        let (mount, filesystem, device) = found.unwrap_or_default();
        let name = device.trim_start_matches("/dev/");
        let block = |file: &str| {
            fs::read_to_string(format!("/sys/class/block/{name}/{file}"))
                .unwrap_or_default()
                .trim()
                .to_string()
        };
        Self {
            directory: path.display().to_string(),
            mount: mount.to_string(),
            filesystem: filesystem.to_string(),
            device: device.to_string(),
            model: block("device/model"),
            size_bytes: block("size").parse::<u64>().unwrap_or(0) * 512,
            rotational: block("queue/rotational") == "1",
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
    /// Below the current directory; a sweep names that of the broker's data as well.
    pub disk: Disk,
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
            disk: Disk::of(Path::new(".")),
            memory_bytes: total.and_then(|t| t.trim().parse::<u64>().ok()).unwrap_or(0) * 1024,
        }
    }
}
