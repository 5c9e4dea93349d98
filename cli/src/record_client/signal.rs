//! Ctrl-C and its kin as something that a loop can look at, instead of something that ends it anywhere.
//!
//! The signals are blocked for the whole process before librdkafka starts its threads, and read from a descriptor. A JVM that
//! is ended by a signal leaves with 128 + its number after the shutdown hooks, and so do the tools.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::failure::Failure;

/// The signals that ask a tool to come to an end.
pub struct Signals {
    descriptor: SignalFd,
    seen: Option<u8>,
}

impl Signals {
    /// Takes over SIGINT, SIGTERM and SIGHUP; to be called before any thread is started.
    ///
    /// # Errors
    /// When the kernel gives no descriptor.
    pub fn watch() -> Result<Signals, Failure> {
        let mut signals = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signals.add(signal);
        }
        let descriptor = signals
            .thread_block()
            .and_then(|()| SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
            .map_err(|error| Failure::message(format!("thalweg: cannot watch for signals: {error}")))?;
        Ok(Signals { descriptor, seen: None })
    }

    /// The exit code of the signal that has come, if one has.
    pub fn exit_code(&mut self) -> Option<u8> {
        if self.seen.is_none()
            && let Ok(Some(signal)) = self.descriptor.read_signal()
        {
            self.seen = u8::try_from(128 + signal.ssi_signo).ok();
        }
        self.seen
    }

    /// Waits for another signal: the one that has come is being heeded.
    pub fn forget(&mut self) {
        self.seen = None;
    }

    /// Readable when a signal has come.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
