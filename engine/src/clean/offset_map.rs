//! Which offset is the last of every key, in bounded memory.
//!
//! Keys are known by a keyed 128-bit hash alone, so an entry has a fixed size. Two keys with one hash would cost a
//! record; the hash's secret is drawn for every pass, so nobody can look for such a pair. A map that is full says so,
//! and the pass ends at the record before; the next one goes on from there.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

/// The two halves of the hash, and the offset plus one: 0 marks a free slot.
type Slot = [u64; 3];

/// Bytes of one entry.
pub const ENTRY_BYTES: u64 = size_of::<Slot>() as u64;

/// See the module.
pub struct OffsetMap {
    secret: (u64, u64),
    slots: Vec<Slot>,
    mask: usize,
    len: usize,
    len_max: usize,
    /// Records up to this offset were seen; -1 before the first.
    latest: i64,
}

impl OffsetMap {
    /// A map for `keys` keys, or as many as fit `bytes_max` bytes (one at least).
    pub fn new(keys: u64, bytes_max: u64, load_factor: f64, secret: (u64, u64)) -> OffsetMap {
        let slots_max = floor_power_of_two((bytes_max / ENTRY_BYTES).max(2));
        let load_factor = load_factor.clamp(0.1, 0.95);
        let wanted = (keys as f64 / load_factor).ceil() as u64 + 1;
        let slots = wanted.clamp(2, slots_max).next_power_of_two().min(slots_max);
        let slots = usize::try_from(slots).unwrap_or(usize::MAX / 2 + 1);
        let len_max = ((slots as f64 * load_factor) as usize).clamp(1, slots - 1);
        OffsetMap { secret, slots: vec![[0; 3]; slots], mask: slots - 1, len: 0, len_max, latest: -1 }
    }

    /// Takes note of a record. False: the map is full, and the record was not taken.
    pub fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash(key);
        let at = self.place(hash);
        let known = self.slots[at][2] != 0;
        if !known && self.len == self.len_max {
            return false;
        }
        self.len += usize::from(!known);
        self.slots[at] = [hash.0, hash.1, offset.unsigned_abs() + 1];
        self.latest = self.latest.max(offset);
        true
    }

    /// Records up to `offset` were seen, whether with a key or not.
    pub fn note(&mut self, offset: i64) {
        self.latest = self.latest.max(offset);
    }

    /// The last offset of the key among the records seen.
    pub fn get(&self, key: &[u8]) -> Option<i64> {
        let [_, _, offset] = self.slots[self.place(self.hash(key))];
        offset.checked_sub(1).and_then(|offset| i64::try_from(offset).ok())
    }

    /// The last offset that was seen.
    pub fn latest(&self) -> i64 {
        self.latest
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> u64 {
        self.slots.len() as u64 * ENTRY_BYTES
    }

    /// The slot with the hash, or the free one where it would be. There always is one: the map is never full.
    fn place(&self, hash: (u64, u64)) -> usize {
        let mut at = hash.0 as usize & self.mask;
        loop {
            let [first, second, offset] = self.slots[at];
            if offset == 0 || (first, second) == hash {
                return at;
            }
            at = (at + 1) & self.mask;
        }
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        let mut hasher = SipHasher24::new_with_keys(self.secret.0, self.secret.1);
        hasher.write(key);
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }
}

fn floor_power_of_two(value: u64) -> u64 {
    1 << (63 - value.max(1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_offset_of_a_key_stays() {
        let mut map = OffsetMap::new(1_000, 1 << 20, 0.9, (1, 2));
        for offset in 0..3_000_i64 {
            assert!(map.put(&(offset % 1_000).to_le_bytes(), offset));
        }
        assert!((0..1_000_i64).all(|key| map.get(&key.to_le_bytes()) == Some(2_000 + key)));
        assert_eq!((map.get(b"other"), map.latest()), (None, 2_999));
    }

    #[test]
    fn a_full_map_takes_known_keys_only() {
        let mut map = OffsetMap::new(1_000_000, 64 * ENTRY_BYTES, 0.5, (1, 2));
        assert_eq!(map.memory_bytes(), 64 * ENTRY_BYTES);
        let taken = (0..100_u64).take_while(|key| map.put(&key.to_le_bytes(), *key as i64)).count();
        assert_eq!(taken, 32);
        assert!(!map.put(b"new", 50) && map.put(&3_u64.to_le_bytes(), 60));
        assert_eq!((map.get(&3_u64.to_le_bytes()), map.latest()), (Some(60), 60));
    }

    #[test]
    fn a_small_log_takes_a_small_map() {
        assert!(OffsetMap::new(10, 128 << 20, 0.9, (1, 2)).memory_bytes() <= 16 * ENTRY_BYTES);
    }
}
