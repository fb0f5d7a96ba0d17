//! Times and bounds. What an operator may turn is in here, with the reason for each default.

use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::UserId,
    ports::{Entropy, PollClass},
};

/// Times and bounds of an engine.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How many shards the users are spread over.
    pub shards: u16,
    /// How long a claim holds. Longer than any single step takes (a slow 32 MiB file, a slow upload).
    pub lease: SignedDuration,
    /// How long a tick has its shard for itself. Longer than a tick takes; what a tick that died was to poll
    /// waits for so long.
    pub tick_lease: SignedDuration,
    /// The rider who has this program's command line; notices tell all others to ask whoever runs it.
    pub rider_at_hand: Option<UserId>,
    /// Whether calls to sources are made here. Where not, rides that need one are left due, for a process
    /// that may.
    pub calls_source: bool,
    /// The operator's floor: no source is polled oftener than this class. Every 5 minutes until iGPSport's
    /// tolerance is known.
    pub poll_class: PollClass,
    /// Whether each source has a class of its own, learned from its rider's rides; else all have the floor's.
    pub adaptive: bool,
    /// How long a wish for rides now, or a ride that was found, keeps a source in the fastest class.
    pub hot_for: SignedDuration,
    /// A tick that finds more minutes than this not done polls every source once, at once: a laptop that was
    /// opened is to know what came meanwhile. `None` where many riders share a provider.
    pub catch_up_after: Option<SignedDuration>,
    /// Waits between attempts to resolve or fetch a ride. Afterwards it is a dead letter. About five days
    /// in all: iGPSport has taken a day to process a ride.
    pub ride_backoff: Vec<SignedDuration>,
    /// Waits between attempts to deliver: the schedule of Standard Webhooks, about three days in all.
    pub delivery_backoff: Vec<SignedDuration>,
    /// A refusal before the token's end pauses only when it is repeated this much later.
    pub refusal_gap: SignedDuration,
    /// A list that looks unchanged is walked anyway when the last walk is this old. The nightly reconcile does
    /// so sooner; this is for sources where none comes to its end.
    pub rewalk_after: SignedDuration,
    /// Pages of a list that one poll reads at most, and for how long it goes on reading: a list that is longer
    /// goes on a minute later. Bounded, so that one rider's years end neither a tick nor the turn of the others.
    pub walk_pages: u32,
    /// See [`Policy::walk_pages`].
    pub walk_for: SignedDuration,
    /// Rides that are handed over at once when a walk finds them; more than that in one walk go on the backlog
    /// too, so that a rider who uploads years at once delays nobody.
    pub new_at_once: usize,
    /// Rides of a backlog that are under way at a time, for each source; and deliveries, for each sink that
    /// gets the archive. A new ride has at most so many of its own rider's before it.
    pub backfill_window: usize,
    /// Calls that a step of a backfill makes at a time.
    pub backfill_calls: usize,
    /// Calls to the source that all backfills of a shard together make in a minute; `None` is no limit. A share
    /// of the rate that is allowed ([`Policy::backfill_share`]): the rest is for polls and new rides.
    pub backfill_per_minute: Option<f64>,
    /// Pages of a list that a step of a reconcile reads; they come out of the share of backfills.
    pub reconcile_pages: usize,
    /// Whether sources are reconciled each night.
    pub nightly: bool,
    /// How long a step is waited with while what was taken before is not through.
    pub backfill_gap: SignedDuration,
    /// How long a provider is left alone when its breaker opens; doubled with each strike, at most an hour.
    pub breaker_wait: SignedDuration,
    /// This many connections refused together, and no other answered, is the provider and not the riders.
    pub incident_connections: usize,
    /// How long a refusal counts towards an incident.
    pub incident_window: SignedDuration,
    /// Failed calls in a row after which the breaker opens.
    pub breaker_failures: u32,
    /// Most references that a sweep of a shard hands over. To other workers fewer: less the shard's share of those that
    /// are on their way already.
    pub in_flight: usize,
    /// Waits between attempts to tell a notice; afterwards it is left undelivered.
    pub notice_backoff: Vec<SignedDuration>,
    /// How long a notice waits for more of the same, so that an outage makes one and not hundreds.
    pub notice_gather: SignedDuration,
    /// A provider that is away for longer than this is told to its riders.
    pub outage_notice_after: SignedDuration,
    /// How long events are kept for the audit.
    pub keep_events: SignedDuration,
    /// Signs in again this long before the token's end.
    pub login_ahead: SignedDuration,
    /// A mistake that is planted.
    #[cfg(feature = "planted-bugs")]
    pub planted: Option<super::Bug>,
}

impl Default for Policy {
    fn default() -> Self {
        let minutes = SignedDuration::from_mins;
        let hours = SignedDuration::from_hours;
        Self {
            shards: 1,
            lease: minutes(5),
            tick_lease: minutes(2),
            rider_at_hand: None,
            calls_source: true,
            poll_class: PollClass::Warm,
            adaptive: true,
            hot_for: super::plan::HOT_FOR,
            catch_up_after: None,
            ride_backoff: vec![
                SignedDuration::from_secs(30),
                minutes(1),
                minutes(2),
                minutes(5),
                minutes(10),
                minutes(20),
                minutes(30),
                hours(1),
                hours(1),
                hours(2),
                hours(3),
                hours(6),
                hours(12),
                hours(24),
                hours(24),
                hours(48),
            ],
            delivery_backoff: vec![
                SignedDuration::from_secs(5),
                minutes(5),
                minutes(30),
                hours(2),
                hours(5),
                hours(10),
                hours(14),
                hours(20),
                hours(24),
            ],
            refusal_gap: minutes(2),
            rewalk_after: hours(72),
            walk_pages: 200,
            walk_for: SignedDuration::from_secs(20),
            new_at_once: 100,
            backfill_window: 20,
            backfill_calls: 2,
            backfill_per_minute: Some(60.0),
            reconcile_pages: 10,
            nightly: true,
            backfill_gap: SignedDuration::from_secs(3),
            breaker_wait: minutes(5),
            incident_connections: 3,
            incident_window: minutes(10),
            breaker_failures: 5,
            in_flight: 500,
            notice_backoff: vec![minutes(1), minutes(5), minutes(30), hours(2), hours(6), hours(12), hours(24)],
            notice_gather: minutes(1),
            outage_notice_after: hours(6),
            keep_events: hours(24 * 400),
            login_ahead: minutes(5),
            #[cfg(feature = "planted-bugs")]
            planted: None,
        }
    }
}

impl Policy {
    /// Calls a minute that backfills may make where so many a second are allowed in all: a fifth.
    pub fn backfill_share(requests_per_second: f64) -> f64 {
        requests_per_second * 60.0 / 5.0
    }

    /// When to try again after `attempts` attempts, or `None` when they are used up. A fifth either way is
    /// left to chance, so that what failed together does not come back together.
    pub(super) fn next_try(
        waits: &[SignedDuration],
        attempts: u32,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Option<Timestamp> {
        let index = usize::try_from(attempts.saturating_sub(1)).ok()?;
        let wait = waits.get(index)?.mul_f64(0.8 + 0.4 * entropy.fraction());
        Some(later(now, wait))
    }
}

/// A moment later than another; the end of time where there is none.
pub(super) fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// How far the clocks of several workers may be apart. A moment that lies further ahead than it can was
/// written by a clock that was wrong, and is not heeded.
pub(super) const SKEW: SignedDuration = SignedDuration::from_mins(10);

/// Whether a moment that was written down as past is still to come: a clock that was ahead wrote it.
pub(super) fn is_to_come(at: Timestamp, now: Timestamp) -> bool {
    at > later(now, SKEW)
}

/// The longest wait that a server may ask for.
pub(super) const LONGEST_ASKED: SignedDuration = SignedDuration::from_hours(24);

/// The same for a duration from outside, such as a wait that a server asked for; a day at most.
pub(super) fn later_asked(now: Timestamp, wait: std::time::Duration) -> Timestamp {
    later(now, SignedDuration::try_from(wait).unwrap_or(LONGEST_ASKED).min(LONGEST_ASKED))
}
