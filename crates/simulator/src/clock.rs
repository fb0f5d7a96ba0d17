//! The simulator's own clock: real time, moved and stretched at will.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// A clock that all simulated services share.
///
/// It starts at real time and runs at real speed. Expiry of tokens, processing delays, code lifetimes,
/// webhook tolerance and rate windows are measured on it; delays of answers (`slow`) are real time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Mutex<Base>>);

#[derive(Clone, Copy, Debug)]
struct Base {
    real: Timestamp,
    shown: Timestamp,
    speed: f64,
}

impl Base {
    fn at(&self, real: Timestamp) -> Timestamp {
        let elapsed = real.duration_since(self.real);
        let stretched = if self.speed == 1.0 {
            elapsed
        } else {
            SignedDuration::try_from_secs_f64(elapsed.as_secs_f64() * self.speed).unwrap_or(SignedDuration::MAX)
        };
        self.shown.checked_add(stretched).unwrap_or(Timestamp::MAX)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that shows real time.
    #[must_use]
    pub fn new() -> Self {
        let real = system_now();
        Self(Arc::new(Mutex::new(Base { real, shown: real, speed: 1.0 })))
    }

    /// The time it is inside the simulation.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.base().at(system_now())
    }

    /// Jumps to `to`; the speed stays.
    pub fn set(&self, to: Timestamp) {
        self.rebase(|_, base| base.shown = to);
    }

    /// Jumps by `by` (backwards when negative), clamped to the range of a timestamp.
    pub fn advance(&self, by: SignedDuration) {
        self.rebase(|now, base| {
            base.shown = now.checked_add(by).unwrap_or(if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX });
        });
    }

    /// Simulated seconds per real second from now on; 0 freezes the clock. Not finite or negative: 1.
    pub fn set_speed(&self, speed: f64) {
        self.rebase(|now, base| {
            base.shown = now;
            base.speed = if speed.is_finite() && speed >= 0.0 { speed } else { 1.0 };
        });
    }

    /// Simulated seconds per real second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.base().speed
    }

    fn base(&self) -> Base {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rebase(&self, change: impl FnOnce(Timestamp, &mut Base)) {
        let mut base = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let real = system_now();
        let now = base.at(real);
        base.real = real;
        base.shown = now;
        change(now, &mut base);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the simulated world has a clock of its own, and this is where it starts from"
)]
fn system_now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_clock_moves_only_when_told() {
        let clock = Clock::new();
        clock.set_speed(0.0);
        let start: Timestamp = "2026-06-01T10:00:00Z".parse().expect("a timestamp");
        clock.set(start);
        assert_eq!(clock.now(), start);
        clock.advance(SignedDuration::from_hours(49));
        assert_eq!(clock.now().to_string(), "2026-06-03T11:00:00Z");
        clock.advance(SignedDuration::from_hours(-1));
        assert_eq!(clock.now().to_string(), "2026-06-03T10:00:00Z");
    }

    #[test]
    fn a_stretched_clock_keeps_the_time_it_showed() {
        let clock = Clock::new();
        let before = clock.now();
        clock.set_speed(1000.0);
        assert!(clock.now() >= before);
        clock.set_speed(f64::NAN);
        assert!((clock.speed() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn an_absurd_jump_is_clamped() {
        let clock = Clock::new();
        clock.set_speed(0.0);
        clock.advance(SignedDuration::MAX);
        assert_eq!(clock.now(), Timestamp::MAX);
    }
}
