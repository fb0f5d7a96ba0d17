//! What an operator may turn, turned another way in each world: a bound that is the same everywhere hides
//! whatever goes wrong at another.

use fitbridge_core::{Policy, engine::Bug, ports::PollClass};
use jiff::SignedDuration;

use crate::clockwork::Clockwork;

/// A world's own times and bounds, each within what an operator could mean.
pub(crate) fn policy(clockwork: &Clockwork, bug: Option<Bug>) -> Policy {
    let usual = Policy::default();
    let one_of = |among: &[usize]| clockwork.pick(among).copied().unwrap_or(1);
    let minutes = |among: &[i64]| SignedDuration::from_mins(clockwork.pick(among).copied().unwrap_or(1));
    Policy {
        shards: clockwork.pick(&[1, 1, 1, 2, 3]).copied().unwrap_or(1),
        // Longer than the longest step of this world takes.
        lease: minutes(&[4, 5, 5, 5, 8, 15]),
        tick_lease: minutes(&[2, 2, 3, 5]),
        poll_class: clockwork.pick(&PollClass::ALL).copied().unwrap_or(usual.poll_class),
        adaptive: !clockwork.one_in(4),
        hot_for: minutes(&[5, 15, 60]),
        catch_up_after: clockwork.one_in(4).then(|| minutes(&[10, 60])),
        refusal_gap: minutes(&[1, 2, 2, 5]),
        rewalk_after: minutes(&[24 * 60, 72 * 60]),
        new_at_once: one_of(&[1, 2, 3, 7, 100]),
        backfill_window: one_of(&[1, 2, 3, 4, 5, 7, 20]),
        backfill_calls: one_of(&[1, 2, 2, 3, 4, 6]),
        backfill_per_minute: clockwork.pick(&[None, Some(60.0), Some(60.0), Some(10.0), Some(3.0)]).copied().flatten(),
        reconcile_pages: one_of(&[1, 1, 2, 10]),
        // What each night mends must not hide who broke it.
        nightly: clockwork.one_in(3),
        backfill_gap: SignedDuration::from_secs(clockwork.pick(&[1, 3, 3, 30, 120]).copied().unwrap_or(3)),
        breaker_wait: minutes(&[1, 5, 5, 15]),
        incident_connections: one_of(&[2, 3, 3, 5]),
        incident_window: minutes(&[5, 10, 20]),
        breaker_failures: clockwork.pick(&[2, 5, 5, 9]).copied().unwrap_or(5),
        in_flight: one_of(&[2, 4, 20, 500, 500, 500]),
        login_ahead: minutes(&[2, 5]),
        planted: bug,
        ..usual
    }
}
