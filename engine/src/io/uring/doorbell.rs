//! The doorbell of a ring: an eventfd that the ring always reads, written only when the ring may be parked.
//!
//! The owner first says that it parks and then looks whether it was rung; a ringer first says that it rings and then
//! looks whether the owner parks. One of the two sees the other, so no ring is lost and an awake ring costs no call.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::io::Doorbell;

pub(super) struct RingDoorbell {
    rung: AtomicBool,
    parked: AtomicBool,
    event: EventFd,
}

impl RingDoorbell {
    pub(super) fn new() -> io::Result<RingDoorbell> {
        // Not O_NONBLOCK: the ring would give up at once instead of waiting.
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC)?;
        Ok(RingDoorbell { rung: AtomicBool::new(false), parked: AtomicBool::new(false), event })
    }

    /// What the ring reads (8 bytes).
    pub(super) fn descriptor(&self) -> RawFd {
        self.event.as_raw_fd()
    }

    /// Announces that the owner parks. Returns false if it must not, because it was rung.
    pub(super) fn park(&self) -> bool {
        self.parked.store(true, Ordering::SeqCst);
        let rung = self.rung.swap(false, Ordering::SeqCst);
        if rung {
            self.parked.store(false, Ordering::SeqCst);
        }
        !rung
    }

    /// Whether it was rung while the owner was awake.
    pub(super) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Relaxed)
    }

    /// The owner is awake again, whatever woke it.
    pub(super) fn unpark(&self) {
        self.parked.store(false, Ordering::SeqCst);
        self.rung.store(false, Ordering::SeqCst);
    }
}

impl Doorbell for RingDoorbell {
    fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        if !self.parked.swap(false, Ordering::SeqCst) {
            return;
        }
        // One write per park: the counter cannot come near its limit, where the write would block.
        while self.event.write(1) == Err(Errno::EINTR) {}
    }
}
