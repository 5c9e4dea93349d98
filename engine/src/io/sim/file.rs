//! One file: what the process sees, what is on stable storage, and the effects between the two.
//!
//! `live` is the page cache's view. `stable` plus every pinned effect is what a power loss must leave; every other
//! pending effect may survive wholly, by sectors, or not at all. Changes of the size survive as a prefix of their
//! order (one inode, one metadata journal), and data written after a lost shrink is lost with it, because it would
//! have gone to blocks that nobody points to.

use std::collections::VecDeque;

use bytes::Bytes;

use super::image::{Extents, SparseImage};
use super::prng::Prng;

/// The unit that a disk writes as a whole.
pub(super) const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug)]
enum Change {
    Data { offset: u64, data: Bytes },
    Size { len: u64, shrinks: bool },
}

#[derive(Clone, Debug)]
struct Effect {
    seq: u64,
    /// Survives a power loss.
    pinned: bool,
    change: Change,
}

#[derive(Clone, Debug, Default)]
pub(super) struct SimFile {
    live: SparseImage,
    stable: SparseImage,
    pending: VecDeque<Effect>,
    extents: Extents,
    next_seq: u64,
}

/// How a power loss treats the unsynced data of one file.
#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    /// Each write wholly, with this probability.
    Writes(f64),
    /// Each sector, with this probability.
    Sectors(f64),
}

impl SimFile {
    /// A file whose contents are on stable storage.
    pub(super) fn stable_from(image: SparseImage) -> SimFile {
        let mut extents = Extents::default();
        extents.add(0, image.len());
        SimFile { live: image.clone(), stable: image, extents, ..SimFile::default() }
    }

    pub(super) fn len(&self) -> u64 {
        self.live.len()
    }

    pub(super) fn read(&self, offset: u64, target: &mut [u8]) -> usize {
        self.live.read(offset, target)
    }

    /// Pages of disk space it holds.
    pub(super) fn pages(&self) -> u64 {
        self.extents.pages()
    }

    /// Pages of disk space it would need in addition for this range.
    pub(super) fn missing_pages(&self, offset: u64, len: u64) -> u64 {
        self.extents.missing(offset, len)
    }

    /// What a sync that starts now has to make durable: everything before this mark.
    pub(super) fn mark(&self) -> u64 {
        self.next_seq
    }

    fn push(&mut self, pinned: bool, change: Change) {
        self.pending.push_back(Effect { seq: self.next_seq, pinned, change });
        self.next_seq += 1;
    }

    /// A completed write. With `durable`, its bytes and the size that reaches them survive from now on.
    pub(super) fn write(&mut self, offset: u64, data: Bytes, durable: bool) {
        let end = offset + data.len() as u64;
        self.extents.add(offset, data.len() as u64);
        self.live.write(offset, &data);
        if durable {
            self.forget_covered(offset, end);
        }
        self.push(durable, Change::Data { offset, data });
        if end > self.live.len() {
            self.live.set_len(end);
            self.push(durable, Change::Size { len: end, shrinks: false });
        }
        if durable {
            self.pin_size_for(end);
            self.fold();
        }
    }

    /// Drops unsynced data that a durable write covers: whether it survived could not be seen.
    fn forget_covered(&mut self, start: u64, end: u64) {
        self.pending.retain(|effect| match &effect.change {
            Change::Data { offset, data } if !effect.pinned => {
                *offset < start || offset + data.len() as u64 > end
            }
            _ => true,
        });
    }

    /// Pins the pending size changes if bytes up to `end` could not be reached, or would sit on blocks that a lost
    /// shrink takes away, without them.
    fn pin_size_for(&mut self, end: u64) {
        let mut sizes: Vec<(bool, u64, bool)> = Vec::new();
        for effect in &self.pending {
            if let Change::Size { len, shrinks } = effect.change {
                sizes.push((effect.pinned, len, shrinks));
            }
        }
        let last_pinned = sizes.iter().rposition(|size| size.0);
        let pinned_len = last_pinned.map_or(self.stable.len(), |at| sizes[at].1);
        let open = &sizes[last_pinned.map_or(0, |at| at + 1)..];
        let needed = pinned_len < end || open.iter().any(|size| size.2);
        let bound = if needed { u64::MAX } else { self.last_pinned_size().map_or(0, |seq| seq + 1) };
        for effect in self.pending.iter_mut().filter(|effect| effect.seq < bound) {
            effect.pinned |= matches!(effect.change, Change::Size { .. });
        }
    }

    fn last_pinned_size(&self) -> Option<u64> {
        let is_pinned_size = |effect: &&Effect| effect.pinned && matches!(effect.change, Change::Size { .. });
        self.pending.iter().rev().find(is_pinned_size).map(|effect| effect.seq)
    }

    /// Sectors of a write in flight that reach the file before the rest does, if ever: any subset.
    pub(super) fn land_some(&mut self, offset: u64, data: &Bytes, keep: f64, prng: &mut Prng) {
        for start in (0..data.len()).step_by(SECTOR_BYTES) {
            if prng.chance(keep) {
                let end = (start + SECTOR_BYTES).min(data.len());
                self.write(offset + start as u64, data.slice(start..end), false);
            }
        }
    }

    pub(super) fn truncate(&mut self, len: u64) {
        let shrinks = len < self.live.len();
        self.live.set_len(len);
        if shrinks {
            self.extents.cut(len);
        }
        self.push(false, Change::Size { len, shrinks });
    }

    /// Gives the range disk space, and grows the size to cover it when `extend`.
    pub(super) fn allocate(&mut self, offset: u64, len: u64, extend: bool) {
        self.extents.add(offset, len);
        if extend && offset + len > self.live.len() {
            self.live.set_len(offset + len);
            self.push(false, Change::Size { len: offset + len, shrinks: false });
        }
    }

    /// Everything before `mark` survives from now on.
    pub(super) fn sync(&mut self, mark: u64) {
        for effect in self.pending.iter_mut().filter(|effect| effect.seq < mark) {
            effect.pinned = true;
        }
        self.fold();
    }

    /// A sync failed: any data that it should have written may have been dropped for good, also for later syncs,
    /// while reads still see it, or no longer do (the cache marks a page clean after a failed write-back).
    pub(super) fn fail_sync(&mut self, mark: u64, prng: &mut Prng) {
        let keep = prng.pick(&[0.0, 0.5, 0.9]);
        self.pending.retain(|effect| {
            let dropped = !effect.pinned && effect.seq < mark && matches!(effect.change, Change::Data { .. });
            !dropped || prng.chance(keep)
        });
        if prng.chance(0.5) {
            let mut seen = self.stable.clone();
            self.pending.iter().for_each(|effect| effect.change.apply(&mut seen));
            seen.set_len(self.live.len());
            seen.trim();
            self.live = seen;
        }
    }

    /// Moves effects that must survive into the stable image as far as their order allows.
    fn fold(&mut self) {
        while let Some(effect) = self.pending.pop_front_if(|effect| effect.pinned) {
            effect.change.apply(&mut self.stable);
        }
    }

    /// What is on stable storage if nothing unsynced survives.
    pub(super) fn stable_image(&self) -> SparseImage {
        let mut image = self.stable.clone();
        self.pending.iter().filter(|effect| effect.pinned).for_each(|effect| effect.change.apply(&mut image));
        image.trim();
        image
    }

    /// Flips bits of a byte, in the cache and on stable storage; false past the end.
    pub(super) fn corrupt(&mut self, offset: u64, bits: u8) -> bool {
        let mut byte = [0];
        let there = self.live.read(offset, &mut byte) == 1;
        if there {
            self.live.write(offset, &[byte[0] ^ bits]);
            if self.stable.read(offset, &mut byte) == 1 {
                self.stable.write(offset, &[byte[0] ^ bits]);
            }
        }
        there
    }

    /// The file as a power loss leaves it. `tear`: a sector being written may itself come out mixed.
    pub(super) fn after_power_loss(self, tear: bool, prng: &mut Prng) -> SimFile {
        let fate = match prng.below(5) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            2 => Fate::Writes(prng.pick(&[0.1, 0.5, 0.9])),
            _ => Fate::Sectors(prng.pick(&[0.1, 0.5, 0.9, 0.99])),
        };
        let sizes_kept_before = self.choose_size_cut(prng);
        let mut image = self.stable;
        let mut shrink_lost = false;
        for Effect { seq, pinned, change } in self.pending {
            match change {
                Change::Size { .. } if pinned || seq < sizes_kept_before => change.apply(&mut image),
                Change::Size { shrinks, .. } => shrink_lost |= shrinks,
                Change::Data { .. } if pinned => change.apply(&mut image),
                Change::Data { .. } if shrink_lost => (),
                Change::Data { offset, data } => keep_some(&mut image, offset, &data, fate, tear, prng),
            }
        }
        image.trim();
        SimFile::stable_from(image)
    }

    /// Size changes before the returned mark survive.
    fn choose_size_cut(&self, prng: &mut Prng) -> u64 {
        let first_open = self.last_pinned_size().map_or(0, |seq| seq + 1);
        match prng.below(3) {
            0 => first_open,
            1 => self.next_seq,
            _ => prng.between(first_open, self.next_seq),
        }
    }
}

impl Change {
    fn apply(&self, image: &mut SparseImage) {
        match self {
            Change::Data { offset, data } => image.write(*offset, data),
            Change::Size { len, .. } => image.set_len(*len),
        }
    }
}

fn keep_some(image: &mut SparseImage, offset: u64, data: &[u8], fate: Fate, tear: bool, prng: &mut Prng) {
    let keep = match fate {
        Fate::Lost => 0.0,
        Fate::Kept => 1.0,
        Fate::Writes(keep) => f64::from(u8::from(prng.chance(keep))),
        Fate::Sectors(keep) => keep,
    };
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let to_boundary = SECTOR_BYTES - (at % SECTOR_BYTES as u64) as usize;
        let (sector, later) = rest.split_at(rest.len().min(to_boundary));
        if prng.chance(keep) {
            image.write(at, sector);
        } else if tear && keep > 0.0 && prng.chance(0.2) {
            image.write(at, &sector[..prng.below(sector.len() as u64) as usize]);
        }
        at += sector.len() as u64;
        rest = later;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(byte: u8, len: usize) -> Bytes {
        Bytes::from(vec![byte; len])
    }

    fn outcomes(file: &SimFile) -> Vec<Vec<u8>> {
        (0..400)
            .map(|seed| file.clone().after_power_loss(false, &mut Prng::new(seed)).stable.to_vec())
            .collect()
    }

    #[test]
    fn synced_bytes_survive_and_later_ones_are_kept_lost_or_torn_by_sector() {
        let mut file = SimFile::default();
        file.write(0, bytes(1, 4096), false);
        file.sync(file.mark());
        file.write(0, bytes(2, 4096), false);
        let outcomes = outcomes(&file);
        assert!(outcomes.contains(&vec![1; 4096]) && outcomes.contains(&vec![2; 4096]));
        let torn = outcomes.iter().filter(|image| image.contains(&1) && image.contains(&2)).count();
        assert!(torn > 50, "{torn}");
        for image in &outcomes {
            assert_eq!(image.len(), 4096);
            assert!(image.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        }
    }

    #[test]
    fn unsynced_writes_survive_out_of_order() {
        let mut file = SimFile::default();
        file.truncate(8192);
        file.sync(file.mark());
        file.write(0, bytes(1, 4096), false);
        file.write(4096, bytes(2, 4096), false);
        let later_alone = outcomes(&file).iter().filter(|image| image[0] == 0 && image[8191] == 2).count();
        assert!(later_alone > 20, "{later_alone}");
    }

    #[test]
    fn a_durable_write_takes_its_size_along_but_not_its_neighbours() {
        let mut file = SimFile::default();
        file.write(0, bytes(1, 4096), false);
        file.write(4096, bytes(2, 4096), true);
        let outcomes = outcomes(&file);
        assert!(outcomes.iter().all(|image| image.len() == 8192 && image[4096..] == vec![2; 4096][..]));
        assert!(outcomes.iter().any(|image| image[0] == 0) && outcomes.iter().any(|image| image[0] == 1));
    }

    #[test]
    fn an_older_unsynced_write_never_covers_a_durable_one() {
        let mut file = SimFile::default();
        file.write(0, bytes(1, 8192), false);
        file.write(0, bytes(2, 4096), true);
        assert!(outcomes(&file).iter().all(|image| image[..4096] == vec![2; 4096][..]));
    }

    #[test]
    fn durable_writes_alone_leave_nothing_pending() {
        let (mut file, mut prng) = (SimFile::default(), Prng::new(1));
        for turn in 0..100 {
            let data = bytes(turn, 8192);
            file.land_some(u64::from(turn % 7) * 4096, &data, 0.5, &mut prng);
            file.write(u64::from(turn % 7) * 4096, data, true);
            assert!(file.pending.is_empty());
        }
        assert_eq!(file.stable.to_vec(), file.live.to_vec());
    }

    #[test]
    fn an_unsynced_size_is_lost_or_kept_and_reads_as_zeros() {
        let mut file = SimFile::default();
        file.write(0, bytes(1, 4096), false);
        file.sync(file.mark());
        file.allocate(4096, 4096, true);
        let lens: std::collections::BTreeSet<_> = outcomes(&file).iter().map(Vec::len).collect();
        assert_eq!(lens.into_iter().collect::<Vec<_>>(), [4096, 8192]);
        assert!(outcomes(&file).iter().all(|image| image[..4096] == [1; 4096]));
        assert!(outcomes(&file).iter().all(|image| image[4096..].iter().all(|byte| *byte == 0)));
    }

    #[test]
    fn a_lost_truncation_brings_the_old_bytes_back_without_the_new_ones() {
        let mut file = SimFile::default();
        file.write(0, bytes(1, 8192), false);
        file.sync(file.mark());
        file.truncate(0);
        file.write(0, bytes(2, 4096), false);
        let outcomes = outcomes(&file);
        assert!(outcomes.contains(&vec![1; 8192]) && outcomes.contains(&Vec::new()));
        assert!(outcomes.iter().all(|image| !(image.contains(&1) && image.contains(&2))));
        file.write(0, bytes(3, 4096), true);
        assert!(super::tests::outcomes(&file).iter().all(|image| image == &vec![3; 4096]));
    }

    #[test]
    fn a_sync_covers_only_what_was_complete_when_it_started() {
        let mut file = SimFile::default();
        file.write(0, bytes(1, 512), false);
        let mark = file.mark();
        file.write(512, bytes(2, 512), false);
        file.sync(mark);
        assert_eq!(file.stable_image().to_vec(), vec![1; 512]);
    }

    #[test]
    fn after_a_failed_sync_a_later_good_one_does_not_bring_dropped_data_back() {
        let lost = (0..100).filter(|seed| {
            let mut file = SimFile::default();
            file.write(0, bytes(1, 4096), false);
            file.fail_sync(file.mark(), &mut Prng::new(*seed));
            file.sync(file.mark());
            file.stable_image().to_vec() != vec![1; 4096]
        });
        assert!(lost.count() > 30);
    }

    #[test]
    fn sectors_tear_inside_only_when_asked_to() {
        let mut file = SimFile::default();
        file.write(0, bytes(1, 4096), false);
        file.sync(file.mark());
        file.write(0, bytes(2, 4096), false);
        let mixed = (0..400).filter(|seed| {
            let image = file.clone().after_power_loss(true, &mut Prng::new(*seed)).stable.to_vec();
            image.chunks(SECTOR_BYTES).any(|sector| sector.contains(&1) && sector.contains(&2))
        });
        assert!(mixed.count() > 20);
    }
}
