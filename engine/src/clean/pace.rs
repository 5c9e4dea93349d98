//! How fast a shard cleans: in slices, with a pause after each that is longer while the shard takes batches.

use std::rc::Rc;
use std::time::Duration;

use crate::bounds::{CLEAN_BUSY_SHARE, CLEAN_PAUSE_MAX};
use crate::io::Monotonic;
use crate::volume::Volume;

/// See the module.
pub(super) struct Pace {
    volume: Rc<Volume>,
    bytes_per_second: Option<f64>,
    slice_began: Monotonic,
    /// Journal position at the end of the last slice: it moves when something was appended.
    appended: u64,
    /// Bytes moved ahead of what the bound allows, as time.
    debt: Duration,
}

impl Pace {
    pub fn new(volume: &Rc<Volume>, bytes_per_second: Option<f64>) -> Pace {
        Pace {
            volume: Rc::clone(volume),
            bytes_per_second,
            slice_began: volume.io().now(),
            appended: appended(volume),
            debt: Duration::ZERO,
        }
    }

    /// A slice of work on `bytes` bytes is done.
    pub async fn slice(&mut self, bytes: usize) {
        let io = self.volume.io().clone();
        let worked = io.now().since(self.slice_began);
        let is_busy = appended(&self.volume) != self.appended;
        if let Some(rate) = self.bytes_per_second {
            self.debt += Duration::from_secs_f64((bytes as f64 / rate.max(1.0)).min(3_600.0));
        }
        let share = if is_busy { worked * CLEAN_BUSY_SHARE } else { Duration::ZERO };
        let pause = share.min(CLEAN_PAUSE_MAX).max(self.debt);
        if pause.is_zero() {
            io.yield_now().await;
        } else {
            let from = io.now();
            io.sleep(pause).await;
            self.debt = self.debt.saturating_sub(io.now().since(from));
        }
        self.appended = appended(&self.volume);
        self.slice_began = io.now();
    }
}

fn appended(volume: &Rc<Volume>) -> u64 {
    volume.journals().map(|journal| journal.next_sequence()).sum()
}
