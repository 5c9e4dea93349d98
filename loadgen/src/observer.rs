//! Whoever watches a run from the main thread: signals, keys, the progress line or the live screen, the Prometheus
//! export and the series over time. The workers know nothing of it.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::cli::RunOptions;
use crate::over_time::{Interval, Sampler};
use crate::plan::{Plan, Window};
use crate::progress::ProgressLine;
use crate::prometheus::Exporter;
use crate::screen::Screen;

const STEP_NS_MAX: u64 = 100_000_000;

/// SIGINT and SIGTERM as readable events; blocked in every thread started after this.
pub struct Interrupts {
    fd: SignalFd,
}

impl Interrupts {
    pub fn catch() -> io::Result<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGINT);
        set.add(Signal::SIGTERM);
        set.thread_block()?;
        Ok(Self { fd: SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)? })
    }

    /// Waits up to `timeout`; true if the user asked to stop.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
        match poll(&mut fds, timeout) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => Ok(false),
            Ok(_) => Ok(self.fd.read_signal()?.is_some()),
            Err(e) => Err(e.into()),
        }
    }
}

/// What the user sees meanwhile.
enum Display {
    Line(ProgressLine),
    Screen(Box<Screen>),
}

pub struct Observer<'a> {
    interrupts: Option<&'a Interrupts>,
    display: Display,
    exporter: Option<Exporter>,
    server: Option<i32>,
    next_draw_ns: u64,
    sampler: Option<Sampler>,
}

impl<'a> Observer<'a> {
    pub fn new(options: &RunOptions, interrupts: Option<&'a Interrupts>) -> io::Result<Self> {
        let display = match options.live {
            true => Display::Screen(Box::new(Screen::open(options)?)),
            false => Display::Line(ProgressLine::new()),
        };
        let exporter = options.prometheus.map(|at| Exporter::start(at, options.server_pid)).transpose()?;
        Ok(Self { interrupts, display, exporter, server: options.server_pid, next_draw_ns: 0, sampler: None })
    }

    /// A repeat begins: its clock and counters start at zero.
    pub fn begin(&mut self, plan: &Arc<Plan>) {
        self.next_draw_ns = 0;
        if let Some(exporter) = &self.exporter {
            exporter.watch(plan.clone());
        }
        match &mut self.display {
            Display::Line(line) => line.begin(),
            Display::Screen(screen) => screen.begin(),
        }
    }

    /// Readings over time begin with the window.
    pub fn open_window(&mut self, plan: &Plan, window: &Window) {
        let mut sampler = Sampler::new(window.start_ns, &plan.traffic, self.server);
        sampler.tick(plan);
        self.sampler = Some(sampler);
    }

    pub fn close_window(&mut self, plan: &Plan) -> Vec<Interval> {
        self.sampler.take().map_or(Vec::new(), |s| s.finish(plan))
    }

    /// Watches until `time`; true if the user asked to stop, which ends the window.
    pub fn until(&mut self, plan: &Plan, window: &Window, time: impl Fn() -> u64) -> io::Result<bool> {
        loop {
            let now = plan.clock.now();
            if now >= time() {
                return Ok(false);
            }
            let sample = self.sampler.as_ref().map_or(u64::MAX, Sampler::next_ns);
            let due = time().min(sample).min(self.next_draw_ns.max(now + 1));
            let step = due.saturating_sub(now).min(STEP_NS_MAX);
            if self.wait(Duration::from_nanos(step))? {
                window.cut(plan.clock.now());
                return Ok(true);
            }
            // poll counts in milliseconds: the last one is slept away.
            if step < 1_000_000 {
                std::thread::sleep(Duration::from_nanos(step));
            }
            self.look(plan)?;
        }
    }

    /// Takes a reading and draws, where either is due.
    pub fn look(&mut self, plan: &Plan) -> io::Result<()> {
        if let Some(sampler) = &mut self.sampler {
            sampler.tick(plan);
        }
        let now = plan.clock.now();
        if now < self.next_draw_ns {
            return Ok(());
        }
        let first = self.next_draw_ns == 0;
        match &mut self.display {
            Display::Line(line) => {
                self.next_draw_ns = now + 1_000_000_000;
                if !first {
                    line.draw(plan);
                }
                Ok(())
            }
            Display::Screen(screen) => {
                self.next_draw_ns = now + 250_000_000;
                screen.draw(plan)
            }
        }
    }

    /// Waits up to `timeout`; true if the user asked to stop.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<bool> {
        let asked = match &mut self.display {
            Display::Screen(screen) => screen.wait(timeout)?,
            Display::Line(_) => false,
        };
        let left = if matches!(self.display, Display::Screen(_)) { Duration::ZERO } else { timeout };
        match self.interrupts {
            Some(interrupts) => Ok(interrupts.wait(left)? || asked),
            None => {
                std::thread::sleep(left);
                Ok(asked)
            }
        }
    }

    pub fn finish(&mut self) {
        match &mut self.display {
            Display::Line(line) => line.finish(),
            Display::Screen(screen) => screen.close(),
        }
    }
}
