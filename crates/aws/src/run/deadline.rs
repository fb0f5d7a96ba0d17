//! When an invocation has to end.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// What the end of an invocation takes: marking the tick, writing metrics, the answer.
const CLOSING: Duration = Duration::from_secs(2);
/// The longest part of a list that a poll reads (`Policy::walk_for`), its last page, and what it writes.
const OF_A_POLL: Duration = Duration::from_secs(35);
/// A slow file of 32 MiB, or a slow upload of one.
const OF_A_RECORD: Duration = Duration::from_secs(70);

/// Until when an invocation may begin things, and when it has to end what is not finished.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    begin_until: Instant,
    end: Instant,
}

impl Deadline {
    /// With so much time left, of which what is begun may need `reserve`. A function with little time uses
    /// at least half of it.
    pub fn new(left: Duration, reserve: Duration) -> Self {
        let now = Instant::now();
        let begin_until = now + left.saturating_sub(reserve).max(left / 2);
        Self { begin_until, end: now + left.saturating_sub(CLOSING.min(left / 4)) }
    }

    /// The poller's, for an invocation that Lambda ends at `deadline_ms` (since 1970).
    pub fn of_poller(deadline_ms: u64, now: Timestamp) -> Self {
        Self::new(left(deadline_ms, now), OF_A_POLL)
    }

    /// The sink's, for an invocation that Lambda ends at `deadline_ms` (since 1970).
    pub fn of_sink(deadline_ms: u64, now: Timestamp) -> Self {
        Self::new(left(deadline_ms, now), OF_A_RECORD)
    }

    /// Whether there is time to begin something.
    pub fn may_begin(&self) -> bool {
        Instant::now() < self.begin_until
    }

    /// When everything has to be finished.
    pub fn end(&self) -> Instant {
        self.end
    }
}

fn left(deadline_ms: u64, now: Timestamp) -> Duration {
    let now = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Duration::from_millis(deadline_ms.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_begun_that_could_not_be_finished() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let at = |ms: u64| u64::try_from(now.as_millisecond()).unwrap() + ms;
        let is_about = |moment: Instant, seconds: u64| {
            let from_now = moment.saturating_duration_since(Instant::now());
            // The test itself takes a while, and may be held up.
            from_now <= Duration::from_secs(seconds)
                && from_now + Duration::from_secs(20) > Duration::from_secs(seconds)
        };
        let poller = Deadline::of_poller(at(155_000), now);
        assert!(poller.may_begin() && is_about(poller.begin_until, 120) && is_about(poller.end(), 153), "{poller:?}");
        let sink = Deadline::of_sink(at(220_000), now);
        assert!(sink.may_begin() && is_about(sink.begin_until, 150) && is_about(sink.end(), 218), "{sink:?}");
        let short = Deadline::of_sink(at(100_000), now);
        assert!(is_about(short.begin_until, 50), "a short time is used by half: {short:?}");
        assert!(!Deadline::of_sink(at(0), now).may_begin(), "no time is left at all");
    }
}
