//! Time and chance that a test decides.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use jiff::{SignedDuration, Timestamp};

use crate::ports::{Clock, Entropy};

/// A clock that stands until it is moved. Clones show the same time; its resolution is one millisecond.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows this moment.
    pub fn at(moment: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(moment.as_millisecond())))
    }

    /// Moves it to a moment, forwards or back.
    pub fn set(&self, moment: Timestamp) {
        self.0.store(moment.as_millisecond(), Ordering::SeqCst);
    }

    /// Moves it on, and says what it shows then.
    pub fn advance(&self, by: SignedDuration) -> Timestamp {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.set(to_timestamp(self.0.load(Ordering::SeqCst).saturating_add(by)));
        self.now()
    }
}

impl Default for ManualClock {
    /// Shows 2025-06-01T08:00:00Z, a Sunday in the riding season.
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(1_748_764_800_000)))
    }
}

fn to_timestamp(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        to_timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// The same "random" number each time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FixedEntropy(pub f64);

impl Entropy for FixedEntropy {
    fn fraction(&self) -> f64 {
        self.0
    }
}

/// Numbers that follow from a seed (`SplitMix64`). Clones draw from the same sequence.
#[derive(Debug, Clone)]
pub struct SeededEntropy(Arc<AtomicU64>);

impl SeededEntropy {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// The next 64 bits.
    pub fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Entropy for SeededEntropy {
    fn fraction(&self) -> f64 {
        // 53 bits fill a double's mantissa, so the quotient stays below 1.
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_moves_only_when_told() {
        let clock = ManualClock::default();
        let other = clock.clone();
        assert_eq!(clock.now().to_string(), "2025-06-01T08:00:00Z");
        assert_eq!(clock.advance(SignedDuration::from_mins(5)).to_string(), "2025-06-01T08:05:00Z");
        other.set(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn a_seed_gives_one_sequence_of_fractions() {
        let draw = |seed| {
            let entropy = SeededEntropy::new(seed);
            std::iter::repeat_with(|| entropy.fraction()).take(500).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(3).iter().all(|fraction| (0.0..1.0).contains(fraction)));
    }
}
