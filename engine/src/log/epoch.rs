//! Which leader epoch wrote which offsets: the list that `leader-epoch-checkpoint` holds (KIP-101, KIP-279).

/// Offsets from `start_offset` on were written in `epoch`, until the next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochStart {
    pub epoch: i32,
    pub start_offset: i64,
}

/// The answer to OffsetForLeaderEpoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch known that is not above the one asked for; -1 when there is none.
    pub epoch: i32,
    /// Offset after the last record of that epoch; -1 when there is none.
    pub end_offset: i64,
}

/// Epochs rise, and so do their start offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochHistory {
    starts: Vec<EpochStart>,
}

impl EpochHistory {
    /// From stored entries; those out of order are left out, as a hint that is not believed.
    pub fn from_starts(starts: impl IntoIterator<Item = EpochStart>) -> EpochHistory {
        let mut history = EpochHistory::default();
        for start in starts {
            let follows = history
                .starts
                .last()
                .is_none_or(|last| start.epoch > last.epoch && start.start_offset >= last.start_offset);
            if follows {
                history.starts.push(start);
            }
        }
        history
    }

    pub fn starts(&self) -> &[EpochStart] {
        &self.starts
    }

    pub fn latest(&self) -> Option<i32> {
        self.starts.last().map(|start| start.epoch)
    }

    /// A batch with `epoch` was appended at `offset`.
    pub fn note(&mut self, epoch: i32, offset: i64) {
        if self.latest().is_some_and(|latest| epoch <= latest) {
            return;
        }
        // An epoch that wrote nothing leaves no entry.
        self.starts.retain(|start| start.start_offset < offset);
        self.starts.push(EpochStart { epoch, start_offset: offset });
    }

    /// The epoch that wrote `offset`; -1 when unknown.
    pub fn at(&self, offset: i64) -> i32 {
        let after = self.starts.partition_point(|start| start.start_offset <= offset);
        after.checked_sub(1).map_or(-1, |index| self.starts[index].epoch)
    }

    /// Where `epoch` ends in a log that ends at `log_end` and is now written in `current`.
    pub fn end_of(&self, epoch: i32, current: i32, log_end: i64) -> EpochEnd {
        if epoch == current {
            return EpochEnd { epoch, end_offset: log_end };
        }
        let after = self.starts.partition_point(|start| start.epoch <= epoch);
        let Some(index) = after.checked_sub(1) else { return EpochEnd { epoch: -1, end_offset: -1 } };
        if epoch > current {
            return EpochEnd { epoch: -1, end_offset: -1 };
        }
        let end_offset = self.starts.get(after).map_or(log_end, |next| next.start_offset);
        EpochEnd { epoch: self.starts[index].epoch, end_offset }
    }

    /// Forgets what started at or above `end`: the log was cut there.
    pub fn trim_above(&mut self, end: i64) {
        self.starts.retain(|start| start.start_offset < end);
    }

    /// Forgets epochs that ended at or before the log's new start, keeping the one that covers it.
    pub fn trim_below(&mut self, log_start: i64) {
        let covering = self.starts.partition_point(|start| start.start_offset <= log_start).saturating_sub(1);
        self.starts.drain(..covering);
        if let Some(first) = self.starts.first_mut() {
            first.start_offset = first.start_offset.max(log_start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> EpochHistory {
        let mut history = EpochHistory::default();
        for (epoch, offset) in [(0, 0), (2, 10), (2, 12), (5, 20)] {
            history.note(epoch, offset);
        }
        history
    }

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let history = history();
        assert_eq!(history.end_of(0, 5, 30), EpochEnd { epoch: 0, end_offset: 10 });
        assert_eq!(history.end_of(3, 5, 30), EpochEnd { epoch: 2, end_offset: 20 });
        assert_eq!(history.end_of(5, 5, 30), EpochEnd { epoch: 5, end_offset: 30 });
        assert_eq!(history.end_of(6, 5, 30), EpochEnd { epoch: -1, end_offset: -1 });
        assert_eq!(EpochHistory::default().end_of(0, 5, 0), EpochEnd { epoch: -1, end_offset: -1 });
    }

    #[test]
    fn every_offset_has_its_epoch() {
        let history = history();
        assert_eq!([0, 9, 10, 19, 20, 99].map(|offset| history.at(offset)), [0, 0, 2, 2, 5, 5]);
    }

    #[test]
    fn an_epoch_that_wrote_nothing_leaves_no_entry() {
        let mut history = history();
        history.note(6, 25);
        history.note(7, 25);
        assert_eq!(history.starts().last(), Some(&EpochStart { epoch: 7, start_offset: 25 }));
        assert_eq!(history.at(24), 5);
    }

    #[test]
    fn trimming_keeps_the_epoch_that_covers_the_start() {
        let mut history = history();
        history.trim_below(15);
        assert_eq!(history.starts()[0], EpochStart { epoch: 2, start_offset: 15 });
    }
}
