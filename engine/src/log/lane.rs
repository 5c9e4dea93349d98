//! Which journal a log's batches go to, and the change from one to the other while it runs.
//!
//! Lanes commit independently, and after a power loss the cached one may have lost any part of its end. So a log
//! changes over only when a durable checkpoint has everything that it appended: then nothing of the lane left behind
//! is needed, and what is appended next follows on from segments that survive. Until the change to `disk` is through,
//! appends wait for it; an acknowledgement after that means stable storage.

use std::rc::Rc;
use std::sync::Arc;

use super::{Durability, Log, LogOptions, LogState};
use crate::error::AppendError;
use crate::journal::{Journal, Lane};

/// The durability that the options ask for. `flush.messages` and `flush.ms` below their defaults only strengthen it:
/// a topic that has either is `Disk`.
pub(super) fn effective(options: &LogOptions) -> Durability {
    let flushed = options.flush_messages != u64::MAX || options.flush_ms != u64::MAX;
    if flushed { Durability::Disk } else { options.durability }
}

impl LogOptions {
    /// The journal that batches go to.
    pub(crate) fn lane(&self) -> Lane {
        if effective(self) == Durability::Disk { Lane::Durable } else { Lane::Cached }
    }
}

impl Log {
    /// Replaces the options: the next append goes by them. What is already written stays as it is, and what a segment
    /// was begun with (`index.interval.bytes`, `segment.index.bytes`, `segment.jitter.ms`) counts from the next one on.
    ///
    /// After a change to `durability=disk` appends first wait until everything before them is on stable storage. See
    /// [`settle_options`](Self::settle_options).
    pub fn set_options(&self, options: Arc<LogOptions>) {
        let mut state = self.state.borrow_mut();
        let stronger = options.lane() == Lane::Durable && state.lane == Lane::Cached;
        self.lane_stale.set(stronger && !state.is_drained());
        state.options = options;
    }

    /// Brings into force what the options ask for and running appends hold up. When it returns, every acknowledgement
    /// still to come promises what `durability` says.
    ///
    /// # Errors
    /// When what was appended before cannot be made durable: appends get the same error until it can. A change to a
    /// weaker durability has none: its acknowledgements promise more than they have to.
    pub async fn settle_options(self: &Rc<Self>) -> Result<(), AppendError> {
        let wanted = self.options().lane();
        self.volume.open_lane(wanted).await;
        if self.state.borrow().lane == wanted {
            return Ok(());
        }
        let _turn = self.placing.acquire(1).await;
        match self.change_lane().await {
            Err(error) if wanted == Lane::Cached => {
                tracing::info!("{}: it stays as durable as durability=disk for now: {error}", self.name);
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Waits until the other lane may be used. The caller has the turn to place: nothing is appended meanwhile.
    pub(super) async fn change_lane(self: &Rc<Self>) -> Result<(), AppendError> {
        loop {
            self.check_appendable()?;
            let end = {
                let state = self.state.borrow();
                if state.is_drained() || state.lane == state.options.lane() {
                    break;
                }
                state.end
            };
            self.wait_committed(end - 1).await?;
            self.volume.try_checkpointed().await?;
        }
        self.lane_stale.set(false);
        Ok(())
    }

    /// The journal of the next append.
    pub(super) fn choose_journal(&self, state: &mut LogState) -> Rc<Journal> {
        let wanted = state.options.lane();
        if state.lane != wanted && state.is_drained() {
            state.lane = wanted;
        }
        let journal = self.volume.journal(state.lane);
        state.lane = journal.lane();
        journal
    }
}

impl LogState {
    /// A durable checkpoint has everything that was appended: no journal is needed for it.
    fn is_drained(&self) -> bool {
        self.checkpointed.offset >= self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flush_settings_only_strengthen() {
        let os = LogOptions { durability: Durability::Os, ..LogOptions::default() };
        assert_eq!(effective(&os), Durability::Os);
        assert_eq!(effective(&LogOptions { flush_ms: 1000, ..os.clone() }), Durability::Disk);
        assert_eq!(effective(&LogOptions { flush_messages: 1, ..os }), Durability::Disk);
    }
}
