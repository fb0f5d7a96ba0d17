//! How fresh what is known of a source is. Derived, since an idle poll writes nothing: from its place in the plan,
//! the shard's last done minute, and what is known to have failed.

use jiff::{SignedDuration, Timestamp};

use super::outlook::{last_turn, next_turn, outlook, slot_of, within};
use crate::{
    Code, Failure,
    domain::{Because, Connection, ConnectionState, Habits},
    engine::{Engine, EngineError},
    ports::{Key, PlanSlot, PollClass},
    store::{Cursor, Stored},
};

/// When a source was looked at and will be, and why so often.
#[derive(Debug, Clone, PartialEq)]
pub struct Freshness {
    /// How often it is polled now.
    pub class: PollClass,
    /// Why.
    pub because: Because,
    /// When that is decided again: with the first poll after it.
    pub until: Option<Timestamp>,
    /// The last poll that succeeded: the last turn before its polls began to fail, if they do. `None` where there was
    /// none yet.
    pub last_polled_at: Option<Timestamp>,
    /// The next poll, while ticks come; `None` where none will be made.
    pub next_poll_at: Option<Timestamp>,
    /// The last minute whose polls were handed over; where it is long ago, nothing ticks.
    pub last_tick_at: Option<Timestamp>,
    /// The warm stretch now or next, in UTC.
    pub window: Option<(Timestamp, Timestamp)>,
    /// The same on the rider's wall clock, as `16:20–19:40`.
    pub window_text: Option<String>,
    /// How many of the last rides appeared at those hours of a day, of how many.
    pub within: (usize, usize),
    /// What keeps it from being read now, and since when; `None` while all is well, or where it is paused.
    pub failing: Option<(Timestamp, Failure)>,
}

impl Engine {
    /// How fresh what is known of a source is; `None` for what is no source, or is removed. Two small reads.
    pub async fn freshness(&self, stored: &Stored<Connection>) -> Result<Option<Freshness>, EngineError> {
        let connection = &stored.doc;
        let (Some(source), Some(place)) = (connection.source(), stored.plan) else { return Ok(None) };
        self.load_breakers().await?;
        let now = self.now();
        let cursor = self.store.read::<Cursor>(&Key::cursor(place.shard)).await?;
        let last_tick_at = cursor.and_then(|cursor| Timestamp::from_second(cursor.doc.done_minute * 60).ok());
        let habits = self.store.read::<Habits>(&Key::habits(&connection.user, &connection.id)).await?;
        let habits = habits.map(|habits| habits.doc);
        let breaker = self.breaker_now(&connection.account, now);
        let incident = self.last_incident(&connection.account);

        // What is known to have failed since when.
        let paused = match &connection.state {
            ConnectionState::Paused { since, .. } => Some(*since),
            _ => None,
        };
        let refused = source.refusals.as_ref().map(|refusals| refusals.first_at);
        let away = breaker.as_ref().map(|breaker| breaker.since);
        let noted = source.failing.as_ref().map(|failing| failing.since);
        let failing = match (paused, &breaker, refused, &source.failing) {
            (None, Some(breaker), _, _) => Some((breaker.since, breaker.failure.clone())),
            (None, None, Some(at), _) => Some((at, Code::TokenRefused.into())),
            (None, None, None, Some(failing)) => Some((failing.since, failing.failure.clone())),
            _ => None,
        };
        let failing_since = [paused, refused, away, noted].into_iter().flatten().min();
        let next_poll_at = match (paused, &breaker) {
            (Some(_), _) => None,
            (None, Some(breaker)) => Some(next_turn(place.class, place.slot, breaker.open_until)),
            // The turn of this minute may still come.
            (None, None) => {
                let is_done = last_tick_at.is_some_and(|tick| tick.as_second() >= now.as_second().div_euclid(60) * 60);
                let from = if is_done { now } else { now - SignedDuration::from_mins(1) };
                Some(next_turn(place.class, place.slot, from))
            }
        };
        let cold = slot_of(connection.user.as_str(), connection.id.as_str(), PollClass::Cold);
        let turn = next_turn(PollClass::Cold, cold, now);
        let ahead = outlook(habits.as_ref(), connection.connected_at, now, turn);
        let window = ahead.window.filter(|_| self.is_adaptive());
        let because = match (self.is_adaptive(), source.planned) {
            (false, _) => Because::Fixed,
            // Its first poll has not come yet.
            (true, None) => Because::New,
            (true, Some(planned)) => planned.because,
        };
        Ok(Some(Freshness {
            class: place.class,
            because,
            until: source.planned.map(|planned| planned.until),
            last_polled_at: last_polled(stored, place, last_tick_at, failing_since, incident),
            next_poll_at,
            last_tick_at,
            window: window
                .zip(habits.as_ref())
                .map(|(window, habits)| (habits.utc(window.from), habits.utc(window.to))),
            window_text: window
                .filter(|_| habits.is_some())
                .map(|window| format!("{}–{}", window.from.strftime("%H:%M"), window.to.strftime("%H:%M"))),
            within: window.zip(habits.as_ref()).map_or((0, 0), |(window, habits)| within(habits, &window)),
            failing,
        }))
    }
}

/// The last poll before the failures, and not in the provider's last incident: a turn of its class since it has that,
/// the poll that gave it that class, or the last turn of its cold minute, which every class has in common.
fn last_polled(
    stored: &Stored<Connection>,
    place: PlanSlot,
    last_tick_at: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    incident: Option<(Timestamp, Timestamp)>,
) -> Option<Timestamp> {
    let connection = &stored.doc;
    let source = connection.source()?;
    let succeeded = |at: &Timestamp| {
        failing_since.is_none_or(|failed| *at < failed)
            && incident.is_none_or(|(since, closed)| *at < since || *at >= closed)
            && *at >= connection.connected_at
    };
    let moment_before = |at: Timestamp| at - SignedDuration::from_secs(1);
    let until = last_tick_at.map(|tick| failing_since.map_or(tick, |failed| tick.min(moment_before(failed))));
    let until = until.or(failing_since.map(moment_before));
    let before_incident = until.zip(incident).map(|(until, (since, _))| until.min(moment_before(since)));
    let decided_at = source.planned.map(|planned| planned.since);
    let cold = slot_of(connection.user.as_str(), connection.id.as_str(), PollClass::Cold);
    let turns = [until, before_incident].into_iter().flatten().flat_map(|until| {
        // Before the present class there was another, of which nothing is known but the cold minute.
        let turn = last_turn(place.class, place.slot, until);
        let turn = Some(turn).filter(|turn| decided_at.is_none_or(|decided| *turn >= decided));
        turn.into_iter().chain([last_turn(PollClass::Cold, cold, until)])
    });
    let decided = source.planned.filter(|planned| planned.because != Because::Woken).map(|planned| planned.since);
    let walked = source.mark.as_ref().map(|mark| mark.walked_at);
    turns.chain(decided).chain(walked).filter(succeeded).max()
}
