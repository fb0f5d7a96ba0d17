//! Trouble that is tried again by itself, and of which people hear only when it lasts.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Failure;

/// Since when something fails again and again. Written with the first failure, and once more when the rider is
/// told; what fails in between changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failing {
    /// The first failure.
    pub since: Timestamp,
    /// What it was. The rider is told under its code, and of the recovery too.
    pub failure: Failure,
    /// It lasted so long that the rider was to be told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
}

impl Failing {
    /// The first failure.
    pub fn new(failure: &Failure, now: Timestamp) -> Self {
        Self { since: now, failure: failure.clone(), told: false }
    }

    /// It fails, for the first time where `before` knows of none; whoever is told is told after `tell_after`.
    pub fn again(before: Option<&Self>, failure: &Failure, now: Timestamp, tell_after: SignedDuration) -> Self {
        // A clock that was ahead wrote what is still to come.
        let known = before.filter(|known| known.since <= now).cloned();
        let known = known.unwrap_or_else(|| Self::new(failure, now));
        let told = known.told || now.duration_since(known.since) >= tell_after;
        Self { told, ..known }
    }

    /// The failure that the rider was told of.
    pub fn told(of: Option<&Self>) -> Option<&Failure> {
        of.filter(|failing| failing.told).map(|failing| &failing.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn it_is_told_once_it_has_lasted_and_under_its_first_code() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let hours = SignedDuration::from_hours;
        let first = Failing::again(None, &Code::SinkAway.into(), at("2026-01-01T00:00:00Z"), hours(6));
        assert_eq!(Failing::told(Some(&first)), None);
        let later = Failing::again(Some(&first), &Code::SinkTimeout.into(), at("2026-01-01T05:59:59Z"), hours(6));
        assert_eq!(later, first, "nothing to write");
        let told = Failing::again(Some(&later), &Code::SinkTimeout.into(), at("2026-01-01T06:00:00Z"), hours(6));
        assert_eq!(Failing::told(Some(&told)).map(|failure| failure.code), Some(Code::SinkAway));
        let ahead = Failing::again(Some(&told), &Code::SinkTimeout.into(), at("2025-01-01T00:00:00Z"), hours(6));
        assert_eq!((ahead.failure.code, ahead.told), (Code::SinkTimeout, false), "a clock was wrong");
    }
}
