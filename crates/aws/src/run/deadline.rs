//! When an invocation has to end.

use std::{future::Future, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, timeout_at};

/// What the end of an invocation takes: marking the tick, writing metrics, the answer.
const CLOSING: Duration = Duration::from_secs(4);
/// The part of it that is left for the answer itself, whatever the ledger does.
const ANSWER: Duration = Duration::from_secs(1);
/// The first page of a list and the next, or a few calls at a slow pace. A long list goes on in the next tick.
const OF_A_POLL: Duration = Duration::from_secs(15);
/// One page of a list, and what it writes.
const OF_A_PAGE: Duration = Duration::from_secs(8);
/// A slow file of 32 MiB, or a slow upload of one.
const OF_A_RECORD: Duration = Duration::from_secs(70);

/// Until when an invocation may begin things, and when it has to end what is not finished.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    begin_until: Instant,
    end: Instant,
    close: Instant,
}

impl Deadline {
    /// With so much time left, of which what is begun may need `reserve`. A function with little time uses
    /// at least half of it.
    pub fn new(left: Duration, reserve: Duration) -> Self {
        let now = Instant::now();
        let begin_until = now + left.saturating_sub(reserve).max(left / 2);
        let end = now + left.saturating_sub(CLOSING.min(left / 4));
        Self { begin_until, end, close: now + left.saturating_sub(ANSWER.min(left / 16)) }
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

    /// For how long something may be begun from now on.
    pub fn time_to_begin(&self) -> Duration {
        self.begin_until.saturating_duration_since(Instant::now())
    }

    /// When everything has to be finished.
    pub fn end(&self) -> Instant {
        self.end
    }

    /// When a walk over a list has to end with the page that it is at, by a clock that shows `now`.
    pub fn of_walks(&self, now: Timestamp) -> Timestamp {
        let left = self.end.saturating_duration_since(Instant::now()).saturating_sub(OF_A_PAGE);
        SignedDuration::try_from(left).ok().and_then(|left| now.checked_add(left).ok()).unwrap_or(now)
    }

    /// Waits for what closes an invocation, but not beyond its time: a ledger that hangs just then must not have the
    /// whole function killed. `None` when there was none left; what was not given back comes due again.
    pub async fn closing<T>(&self, what: &str, close: impl Future<Output = T>) -> Option<T> {
        let closed = timeout_at(self.close, close).await.ok();
        if closed.is_none() {
            tracing::warn!("no time was left {what}");
        }
        closed
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
        assert!(poller.may_begin() && is_about(poller.begin_until, 140) && is_about(poller.end(), 151), "{poller:?}");
        assert!(is_about(poller.close, 154), "{poller:?}");
        let sink = Deadline::of_sink(at(220_000), now);
        assert!(sink.may_begin() && is_about(sink.begin_until, 150) && is_about(sink.end(), 216), "{sink:?}");
        let short = Deadline::of_sink(at(100_000), now);
        assert!(is_about(short.begin_until, 50), "a short time is used by half: {short:?}");
        assert!(!Deadline::of_sink(at(0), now).may_begin(), "no time is left at all");
    }
    #[tokio::test]
    async fn closing_takes_no_longer_than_there_is_time() {
        let deadline = Deadline::new(Duration::from_millis(80), Duration::from_millis(20));
        assert_eq!(deadline.closing("for this", std::future::pending::<()>()).await, None);
        assert_eq!(deadline.closing("for that", async { 7 }).await, Some(7), "what takes no time is done all the same");
    }
}
