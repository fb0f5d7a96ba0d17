//! A clock for demonstrations.

use std::time::Instant;

use fitbridge_core::ports::Clock;
use jiff::{SignedDuration, Timestamp};

/// A clock that runs faster than the machine's, for demonstrations.
#[derive(Debug, Clone, Copy)]
pub struct ScaledClock {
    begun: Instant,
    start: Timestamp,
    factor: u32,
}

impl ScaledClock {
    /// Shows `start` now, and runs `factor` times as fast as the machine.
    pub fn starting(start: Timestamp, factor: u32) -> Self {
        Self { begun: Instant::now(), start, factor }
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.begun.elapsed() * self.factor).unwrap_or(SignedDuration::MAX);
        self.start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_starts_where_it_is_told_and_never_goes_back() {
        let start: Timestamp = "2025-06-01T08:00:00Z".parse().unwrap();
        let clock = ScaledClock::starting(start, 1000);
        let (first, second) = (clock.now(), clock.now());
        assert!(start <= first && first <= second);
        assert_eq!(ScaledClock::starting(start, 0).now(), start);
        assert_eq!(ScaledClock::starting(Timestamp::MAX, u32::MAX).now(), Timestamp::MAX);
    }
}
