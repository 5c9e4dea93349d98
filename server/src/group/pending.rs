//! Member ids that a group gave out and that have not joined yet: whoever asks is told one before it may join (KIP-394).
//!
//! They count against the bounds of their group like members, as a client may ask for any number of them.

use std::collections::BTreeMap;

use kafka_protocol::protocol::StrBytes;
use thalweg_engine::io::Monotonic;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// When each is forgotten.
    due: BTreeMap<StrBytes, Monotonic>,
    bytes: usize,
}

impl Pending {
    pub fn len(&self) -> usize {
        self.due.len()
    }

    pub fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Bytes that they hold in memory, about.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn contains(&self, id: &[u8]) -> bool {
        self.due.contains_key(id)
    }

    pub fn insert(&mut self, id: StrBytes, due: Monotonic) {
        let bytes = held_bytes(&id);
        if self.due.insert(id, due).is_none() {
            self.bytes += bytes;
        }
    }

    /// Whether it was there.
    pub fn remove(&mut self, id: &[u8]) -> bool {
        let Some((id, _)) = self.due.remove_entry(id) else { return false };
        self.bytes -= held_bytes(&id);
        true
    }

    /// Forgets those whose time is up; whether there were any.
    pub fn expire(&mut self, now: Monotonic) -> bool {
        let before = self.due.len();
        self.due.retain(|id, due| {
            let stays = *due > now;
            self.bytes -= if stays { 0 } else { held_bytes(id) };
            stays
        });
        self.due.len() < before
    }

    pub fn earliest(&self) -> Option<Monotonic> {
        self.due.values().min().copied()
    }
}

fn held_bytes(id: &StrBytes) -> usize {
    FIXED_BYTES + id.len()
}

/// Of an id, however long it is.
const FIXED_BYTES: usize = 128;
