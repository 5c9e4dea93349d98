//! What a baseline counted, printed in one line on SIGTERM or SIGINT.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

/// A counter with one writing thread.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, n: u64) {
        self.0.store(self.get() + n, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

pub static BATCHES: Count = Count(AtomicU64::new(0));
pub static COMMITS: Count = Count(AtomicU64::new(0));
pub static JOURNAL_BYTES: Count = Count(AtomicU64::new(0));
pub static JOURNAL_WRAPS: Count = Count(AtomicU64::new(0));
pub static SEGMENT_BYTES: Count = Count(AtomicU64::new(0));
pub static SEGMENT_ROLLS: Count = Count(AtomicU64::new(0));
pub static CHECKPOINTS: Count = Count(AtomicU64::new(0));
/// Loop turns in which a commit waited for a checkpoint to free journal space.
pub static JOURNAL_STALLS: Count = Count(AtomicU64::new(0));
/// Tries of batches that found no room, in the group or in a segment's chunks.
pub static APPEND_STALLS: Count = Count(AtomicU64::new(0));

/// Blocks the signals in this thread (and those it starts later) and prints the counters when one comes.
///
/// # Errors
/// As pthread_sigmask(3) and pthread_create(3).
pub fn print_on_signal() -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block()?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let outcome = signals.wait();
        println!("{}", line());
        std::process::exit(i32::from(outcome.is_err()));
    })?;
    Ok(())
}

/// Tells a script that clients may come.
pub fn print_listening(address: SocketAddr) {
    println!("listening on {address}");
}

fn line() -> String {
    let (batches, commits) = (BATCHES.get(), COMMITS.get());
    format!(
        "batches={batches} commits={commits} batches_per_commit={:.1} journal_bytes={} journal_wraps={} \
         segment_bytes={} segment_rolls={} checkpoints={} journal_stalls={} append_stalls={}",
        batches as f64 / commits.max(1) as f64,
        JOURNAL_BYTES.get(),
        JOURNAL_WRAPS.get(),
        SEGMENT_BYTES.get(),
        SEGMENT_ROLLS.get(),
        CHECKPOINTS.get(),
        JOURNAL_STALLS.get(),
        APPEND_STALLS.get(),
    )
}
