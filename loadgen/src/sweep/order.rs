//! In which order the points of a sweep are measured.
//!
//! Every repeat goes over all points before the next one begins, each time in another order: what drifts (the disk's
//! state, the machine's temperature, a neighbour) then falls on all points alike. Points of the same broker settings
//! stay together within a repeat, since a change of them is a restart.

use std::collections::BTreeMap;

use super::scenario::Point;
use crate::payload::SplitMix;

/// `(repeat from 1, index of the point)`, the same for the same points and repeats.
pub fn order(points: &[Point], repeats: u32) -> Vec<(u32, usize)> {
    let mut out = Vec::new();
    for repeat in 1..=repeats {
        let mut random = SplitMix(u64::from(repeat) * 0x9E37_79B9);
        let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, point) in points.iter().enumerate() {
            groups.entry(point.server_settings()).or_default().push(index);
        }
        let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
        shuffle(&mut groups, &mut random);
        for mut group in groups {
            shuffle(&mut group, &mut random);
            out.extend(group.into_iter().map(|index| (repeat, index)));
        }
    }
    out
}

fn shuffle<T>(items: &mut [T], random: &mut SplitMix) {
    for i in (1..items.len()).rev() {
        items.swap(i, random.below(i as u64 + 1) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::scenario::Scenario;

    #[test]
    fn each_repeat_measures_every_point_once_and_restarts_little() {
        let text = "[[sweep]]\nmatrix.shards = [1, 2, 4]\nmatrix.partitions = [1, 16, 64, 256]";
        let points = Scenario::parse(text).unwrap().points().unwrap();
        let order = order(&points, 5);
        assert_eq!(order.len(), 60);
        let mut orders = std::collections::BTreeSet::new();
        for repeat in 1..=5 {
            let round: Vec<usize> = order.iter().filter(|o| o.0 == repeat).map(|o| o.1).collect();
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..12).collect::<Vec<_>>());
            let shards: Vec<_> = round.iter().map(|i| points[*i].settings["shards"].clone()).collect();
            assert_eq!(shards.windows(2).filter(|w| w[0] != w[1]).count(), 2, "{shards:?}");
            orders.insert(round);
        }
        assert!(orders.len() > 1, "every repeat has the same order");
    }
}
