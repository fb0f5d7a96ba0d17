//! Seeded randomness: the same seed gives the same faults and the same identifiers.

use sha2::{Digest as _, Sha256};

/// A small generator (`SplitMix64`), enough to roll dice for faults.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        let bits = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

/// 64 hex digits that depend on the seed and the words only.
pub(crate) fn digest(seed: u64, words: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    for word in words {
        hash.update(word.len().to_le_bytes());
        hash.update(word.as_bytes());
    }
    hex::encode(hash.finalize())
}

/// A number that depends on the seed and the words only.
pub(crate) fn number(seed: u64, words: &[&str]) -> u64 {
    u64::from_str_radix(&digest(seed, words)[..16], 16).unwrap_or(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dice_are_fair_enough_and_repeat_with_the_seed() {
        let mut one = Rng::new(7);
        let mut two = Rng::new(7);
        let hits = (0..10_000)
            .filter(|_| {
                let roll = one.unit();
                assert!((roll - two.unit()).abs() < f64::EPSILON);
                roll < 0.1
            })
            .count();
        assert!((900..1100).contains(&hits), "{hits} of 10000 at 10 %");
    }

    #[test]
    fn words_do_not_run_together() {
        assert_ne!(digest(1, &["ab", "c"]), digest(1, &["a", "bc"]));
        assert_eq!(number(1, &["a"]), number(1, &["a"]));
    }
}
