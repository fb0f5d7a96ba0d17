//! How far a source's older rides have been fetched.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ActivityId;

/// Steps further apart than this were interrupted (a laptop slept, the token had ended): the pace is measured
/// anew.
const INTERRUPTED: SignedDuration = SignedDuration::from_mins(15);

/// Where a backfill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillPhase {
    /// Step by step, newest first.
    #[default]
    Running,
    /// The rider stopped it. What is on the backlog stays there until the rider lets it go on.
    Stopped,
    /// Every ride of the backlog was taken off it.
    Done,
}

/// Over which time how many rides were done; for estimates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Measured from here.
    pub from: Timestamp,
    /// How many were done then.
    pub done_then: u64,
    /// The last step.
    pub last: Timestamp,
}

/// The backfill of a source: rides that were there before it was connected, fetched little by little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfill {
    /// When it began.
    pub begun_at: Timestamp,
    /// How often it began again from the newest ride on.
    #[serde(default)]
    pub rounds: u32,
    /// Rides in it, done and to do.
    pub total: u64,
    /// Rides that were taken off the backlog.
    pub taken: u64,
    /// The last ride that was looked at; all newer ones are off the backlog. `None` at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ActivityId>,
    /// Rides that were taken off the backlog and are not through yet; a few at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moving: Vec<ActivityId>,
    /// Whether it goes on.
    #[serde(default)]
    pub phase: BackfillPhase,
    /// What estimates follow from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

impl Backfill {
    /// One that begins now with so many rides on the backlog.
    pub fn new(now: Timestamp, on_backlog: u64) -> Self {
        Self {
            begun_at: now,
            rounds: 0,
            total: on_backlog,
            taken: 0,
            after: None,
            moving: Vec::new(),
            phase: BackfillPhase::Running,
            pace: None,
        }
    }

    /// The same once more from the newest ride on, since so many rides are on the backlog now. One that the
    /// rider stopped stays stopped.
    pub fn again(&self, now: Timestamp, on_backlog: u64) -> Self {
        let over = self.phase == BackfillPhase::Done;
        let taken = if over { 0 } else { self.taken };
        Self {
            begun_at: if over { now } else { self.begun_at },
            rounds: self.rounds.wrapping_add(1),
            total: taken.saturating_add(on_backlog),
            taken,
            after: None,
            moving: self.moving.clone(),
            phase: if over { BackfillPhase::Running } else { self.phase },
            pace: self.pace.clone().filter(|_| !over),
        }
    }

    /// Whether a step is to follow.
    pub fn is_running(&self) -> bool {
        self.phase == BackfillPhase::Running
    }

    /// Rides that are through: delivered, or left to their own retries.
    pub fn done(&self) -> u64 {
        self.taken.saturating_sub(u64::try_from(self.moving.len()).unwrap_or(u64::MAX))
    }

    /// Notes a step for the estimate.
    pub fn measure(&mut self, now: Timestamp) {
        let done = self.done();
        match &mut self.pace {
            Some(pace) if now.duration_since(pace.last) <= INTERRUPTED => pace.last = now,
            pace => *pace = Some(Pace { from: now, done_then: done, last: now }),
        }
    }

    /// How long the rest takes if it goes on as it has; `None` until something was measured.
    pub fn left(&self) -> Option<SignedDuration> {
        let pace = self.pace.as_ref()?;
        let done = self.done().checked_sub(pace.done_then).filter(|done| *done > 0)?;
        let took = pace.last.duration_since(pace.from);
        if took <= SignedDuration::ZERO {
            return None;
        }
        let left = self.total.saturating_sub(self.done());
        let seconds = took.as_secs_f64() / done as f64 * left as f64;
        SignedDuration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    #[test]
    fn the_estimate_follows_from_the_pace_and_forgets_interruptions() {
        let mut backfill = Backfill::new(at(0), 1340);
        backfill.measure(at(0));
        assert_eq!(backfill.left(), None, "nothing was measured yet");
        backfill.taken = 120;
        backfill.measure(at(2));
        assert_eq!(backfill.left().unwrap().as_mins(), 20, "60 a minute, 1,220 left");
        backfill.measure(at(600));
        assert_eq!(backfill.left(), None, "a night's sleep says nothing about the pace");
        backfill.taken = 180;
        backfill.measure(at(601));
        assert_eq!(backfill.left().unwrap().as_mins(), 19);
    }

    #[test]
    fn beginning_again_keeps_what_was_done_and_what_the_rider_said() {
        let mut backfill = Backfill { taken: 50, ..Backfill::new(at(0), 80) };
        let again = backfill.again(at(5), 40);
        assert_eq!((again.total, again.taken, again.is_running()), (90, 50, true));
        backfill.phase = BackfillPhase::Stopped;
        assert_eq!(backfill.again(at(5), 40).phase, BackfillPhase::Stopped);
        backfill.phase = BackfillPhase::Done;
        let again = backfill.again(at(5), 40);
        assert_eq!((again.total, again.taken, again.phase), (40, 0, BackfillPhase::Running));
    }
}
