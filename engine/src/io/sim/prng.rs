//! The one source of chance in a simulation: xoshiro256** seeded through splitmix64.
//!
//! Owned by the world. Whoever needs a stream that does not shift when others draw more forks its own. Not for
//! secrets.

/// A deterministic random number generator.
#[derive(Clone, Debug)]
pub struct Prng {
    state: [u64; 4],
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Prng {
    /// The generator of this seed. Neighbouring seeds give unrelated streams.
    pub fn new(seed: u64) -> Prng {
        let mut mixer = seed;
        Prng { state: std::array::from_fn(|_| splitmix(&mut mixer)) }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number in `[0, bound)`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.bits()) * u128::from(bound);
        (product >> 64) as u64
    }

    /// A number in `[low, high]`; `low` when they are crossed.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True with this probability (0 never, 1 always).
    pub fn chance(&mut self, probability: f64) -> bool {
        let unit = (self.bits() >> 11) as f64 / (1u64 << 53) as f64;
        unit < probability
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// Puts `items` into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.between(0, last as u64) as usize);
        }
    }

    /// An independent stream.
    pub fn fork(&mut self) -> Prng {
        Prng::new(self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_fixes_the_stream_and_bounds_hold() {
        let (mut one, mut same, mut other) = (Prng::new(7), Prng::new(7), Prng::new(8));
        let (first, again): (Vec<u64>, Vec<u64>) = (0..100).map(|_| (one.bits(), same.bits())).unzip();
        assert_eq!(first, again);
        assert_ne!(first, (0..100).map(|_| other.bits()).collect::<Vec<_>>());
        assert!((0..1000).all(|_| one.below(3) < 3 && (5..=6).contains(&one.between(5, 6))));
        assert_eq!(one.below(0), 0);
        assert!(!one.chance(0.0) && one.chance(1.0));
        let hits = (0..10_000).filter(|_| one.chance(0.25)).count();
        assert!((2200..2800).contains(&hits), "{hits}");
    }
}
