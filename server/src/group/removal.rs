//! The removal of offsets, or of a whole group: its tombstones may take several entries, and it is done when all are stored.

use std::cell::Cell;
use std::rc::Rc;

use kafka_protocol::protocol::StrBytes;

use super::action::StoreError;
use super::home::{Done, Effect, Entry, Home, Slot};
use crate::bounds::GROUP_BATCH_BYTES;
use crate::shard::ServerShard;

/// What goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Offsets,
    /// `recorded`: the group has a record of its own.
    WholeGroup {
        recorded: bool,
    },
}

/// What all entries of one removal share.
pub(super) struct Removal {
    pub slot: Rc<Slot>,
    pub extent: Extent,
    outcome: Outcome,
    done: Cell<Option<Done>>,
}

/// How several stores end together.
struct Outcome {
    left: Cell<usize>,
    failed: Cell<Option<StoreError>>,
}

impl Outcome {
    fn new(stores: usize) -> Outcome {
        Outcome { left: Cell::new(stores), failed: Cell::new(None) }
    }

    /// One has ended. How all have, once this was the last: the first error counts.
    fn settle(&self, result: Result<(), StoreError>) -> Option<Result<(), StoreError>> {
        self.failed.set(self.failed.get().or(result.err()));
        self.left.set(self.left.get() - 1);
        (self.left.get() == 0).then(|| self.failed.get().map_or(Ok(()), Err))
    }
}

impl Removal {
    /// One entry is stored, or could not be. How the removal has ended, once it was the last.
    pub fn settle(&self, result: Result<(), StoreError>) -> Option<Result<(), StoreError>> {
        self.outcome.settle(result)
    }

    /// Tells whoever asked for it.
    pub fn tell(&self, result: Result<(), StoreError>) {
        if let Some(done) = self.done.take() {
            done.send(result);
        }
    }
}

/// Writes the tombstones.
pub(super) fn remove(
    shard: &Rc<ServerShard>,
    home: &Rc<Home>,
    slot: &Rc<Slot>,
    offsets: &[(StrBytes, i32)],
    extent: Extent,
    done: Option<Done>,
) {
    let chunks = chunks(&slot.name, offsets, extent, home.entry_bytes_max().min(GROUP_BATCH_BYTES));
    let removal = Rc::new(Removal {
        slot: Rc::clone(slot),
        extent,
        outcome: Outcome::new(chunks.len()),
        done: Cell::new(done),
    });
    for Chunk { entry, offsets } in chunks {
        let effect = Effect::Forgotten { offsets, removal: Rc::clone(&removal) };
        if entry.is_empty() {
            super::coordinator::settle(shard, home, effect, Ok(()));
        } else {
            home.write(shard, &entry, effect);
        }
    }
}

/// Tombstones that are stored together, and the offsets that they are of.
#[derive(Default)]
struct Chunk {
    entry: Entry,
    offsets: Vec<(StrBytes, i32)>,
}

/// At least one, each of at most `bytes_max` unless it is a single tombstone. That of the group itself is the last.
fn chunks(group: &str, offsets: &[(StrBytes, i32)], extent: Extent, bytes_max: usize) -> Vec<Chunk> {
    let mut full = Vec::new();
    let mut chunk = Chunk::default();
    let mut add = |chunk: &mut Chunk, tombstone: &dyn Fn(&mut Entry)| {
        tombstone(&mut chunk.entry);
        if chunk.entry.batch_bytes() > bytes_max && chunk.entry.len() > 1 {
            chunk.entry.pop();
            full.push(std::mem::take(chunk));
            tombstone(&mut chunk.entry);
        }
    };
    for (topic, index) in offsets {
        add(&mut chunk, &|entry| entry.offset_gone(group, topic, *index));
        chunk.offsets.push((topic.clone(), *index));
    }
    if extent == (Extent::WholeGroup { recorded: true }) {
        add(&mut chunk, &|entry| entry.group_gone(group));
    }
    full.push(chunk);
    full
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_has_failed_if_any_part_of_it_has() {
        let outcome = Outcome::new(3);
        assert_eq!(outcome.settle(Ok(())), None);
        assert_eq!(outcome.settle(Err(StoreError::TooLarge)), None);
        assert_eq!(outcome.settle(Ok(())), Some(Err(StoreError::TooLarge)));
        assert_eq!(Outcome::new(1).settle(Ok(())), Some(Ok(())));
    }

    #[test]
    fn tombstones_are_cut_by_their_bytes_and_none_is_lost() {
        let topic = StrBytes::from_string("t".repeat(200));
        let offsets: Vec<_> = (0..500).map(|index| (topic.clone(), index)).collect();
        let recorded = Extent::WholeGroup { recorded: true };
        for bytes_max in [1, 300, 5_000, 1 << 20] {
            let chunks = chunks("g", &offsets, recorded, bytes_max);
            let fits = |chunk: &Chunk| chunk.entry.batch_bytes() <= bytes_max || chunk.entry.len() == 1;
            assert!(chunks.iter().all(fits), "{bytes_max}");
            assert_eq!(chunks.iter().map(|chunk| chunk.entry.len()).sum::<usize>(), 501);
            let forgotten: Vec<_> = chunks.into_iter().flat_map(|chunk| chunk.offsets).collect();
            assert_eq!(forgotten, offsets);
        }
        assert_eq!(chunks("g", &[], Extent::Offsets, 1 << 20).len(), 1, "somebody waits for it");
    }
}
