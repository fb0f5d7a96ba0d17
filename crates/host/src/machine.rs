//! The machine's time and randomness. Nothing else in the project reads them.

use fitbridge_core::ports::{Clock, Entropy};
use jiff::Timestamp;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fraction(&self) -> f64 {
        let mut bytes = [0; 8];
        // Without randomness there is no jitter either; a constant is as good as any.
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            return 0.5;
        }
        // 53 bits fill a double's mantissa, so the quotient stays below 1.
        (u64::from_ne_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_time_and_chance_are_sensible() {
        assert!(SystemClock.now() > "2025-01-01T00:00:00Z".parse().unwrap());
        let draws: Vec<_> = (0..100).map(|_| SystemEntropy.fraction()).collect();
        assert!(draws.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        assert!(draws.iter().any(|fraction| *fraction != draws[0]));
    }
}
