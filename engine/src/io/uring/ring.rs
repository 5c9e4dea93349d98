//! The submission and completion queues: nothing is ever refused, and a turn is one `io_uring_enter`.
//!
//! What does not fit into the submission queue waits in memory, in order, and is submitted in the same turn.

use std::collections::VecDeque;
use std::io;

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, squeue};
use nix::libc;

use crate::bounds::{COMPLETION_ENTRIES, SUBMISSION_ENTRIES};
use crate::io::{Monotonic, Park};

pub(super) struct Ring {
    uring: IoUring,
    backlog: VecDeque<squeue::Entry>,
}

/// One finished entry: its user data and result.
pub(super) struct Finished {
    pub user_data: u64,
    pub result: i32,
}

/// How completions are delivered, from the best down; an older kernel refuses the first ones with EINVAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RingMode {
    /// Completion work runs only inside the owner's own enter (Linux 6.1).
    Deferred,
    /// Completion work does not interrupt the owner (Linux 5.19).
    Cooperative,
    /// As it comes.
    Plain,
}

impl RingMode {
    const ALL: [RingMode; 3] = [RingMode::Deferred, RingMode::Cooperative, RingMode::Plain];

    fn build(self, entries: u32, completions: u32) -> io::Result<IoUring> {
        let mut builder = IoUring::builder();
        builder.dontfork().setup_clamp().setup_cqsize(completions);
        match self {
            RingMode::Deferred => builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag(),
            RingMode::Cooperative => builder.setup_coop_taskrun().setup_taskrun_flag(),
            RingMode::Plain => &mut builder,
        };
        builder.build(entries)
    }

    /// A ring in the best mode that this kernel has.
    pub(crate) fn best(entries: u32, completions: u32) -> io::Result<(IoUring, RingMode)> {
        let mut refused = io::Error::from_raw_os_error(libc::EINVAL);
        for mode in RingMode::ALL {
            match mode.build(entries, completions) {
                Ok(uring) => return Ok((uring, mode)),
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = error,
                Err(error) => return Err(error),
            }
        }
        Err(refused)
    }
}

impl Ring {
    pub(super) fn new() -> io::Result<Ring> {
        let (uring, _) = RingMode::best(SUBMISSION_ENTRIES, COMPLETION_ENTRIES)?;
        Ok(Ring { uring, backlog: VecDeque::new() })
    }

    /// Lets this many calls that block run at a time (Linux 5.15); the kernel's own limit is four per CPU.
    pub(super) fn allow_workers(&self, workers: u32) -> io::Result<()> {
        self.uring.submitter().register_iowq_max_workers(&mut [workers, 0])
    }

    /// Queues an entry; the kernel sees it in the next [`Ring::enter`].
    ///
    /// # Safety
    /// The memory that the entry points to stays valid and untouched until the entry has finished.
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() {
            // SAFETY: as promised by the caller.
            let pushed = unsafe { self.uring.submission().push(&entry) };
            if pushed.is_ok() {
                return;
            }
        }
        self.backlog.push_back(entry);
    }

    /// Moves what waits in memory into the submission queue, as far as it fits. Returns whether some is left.
    fn refill(&mut self) -> bool {
        let mut queue = self.uring.submission();
        while let Some(entry) = self.backlog.front() {
            // SAFETY: promised by whoever queued the entry.
            if unsafe { queue.push(entry) }.is_err() {
                return true;
            }
            self.backlog.pop_front();
        }
        false
    }

    /// Submits everything that is queued, and waits as `park` allows for one entry to finish.
    pub(super) fn enter(&mut self, park: Park, now: impl Fn() -> Monotonic) -> io::Result<()> {
        while self.refill() {
            match self.call(Park::Poll, &now) {
                // The kernel has taken all it can; the owner reaps and comes back.
                Ok(()) if !self.uring.completion().is_empty() => return Ok(()),
                other => other?,
            }
        }
        self.call(park, &now)
    }

    fn call(&mut self, park: Park, now: impl Fn() -> Monotonic) -> io::Result<()> {
        if park == Park::Poll && self.is_quiet() {
            return Ok(());
        }
        let ready = !self.uring.completion().is_empty();
        let submitter = self.uring.submitter();
        let entered = match park {
            Park::Poll => submitter.submit(),
            _ if ready => submitter.submit(),
            Park::Forever => submitter.submit_and_wait(1),
            Park::Until(deadline) => {
                let timeout = Timespec::from(deadline.since(now()));
                submitter.submit_with_args(1, &SubmitArgs::new().timespec(&timeout))
            }
        };
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // A signal, the end of the wait, or a kernel that wants its completions reaped first: come back.
                Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN) => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Nothing to submit, and the kernel has nothing to do for us.
    fn is_quiet(&mut self) -> bool {
        let deferred = self.uring.params().is_setup_single_issuer();
        let queue = self.uring.submission();
        queue.is_empty() && deferred && !queue.taskrun() && !queue.cq_overflow()
    }

    /// Whether the next [`enter`](Self::enter) would find something finished. Only in [`RingMode::Plain`] is it in the
    /// queue by itself.
    pub(super) fn has_work(&mut self) -> bool {
        !self.uring.completion().is_empty() || self.uring.submission().taskrun()
    }

    pub(super) fn next_finished(&mut self) -> Option<Finished> {
        let entry = self.uring.completion().next()?;
        Some(Finished { user_data: entry.user_data(), result: entry.result() })
    }
}
