//! A rider's connections: where rides come from and where they go.

use std::str::FromStr;

use jiff::{Timestamp, civil::Date, tz::Offset};
use serde::{Deserialize, Serialize};

use super::{
    Activity, ActivityId, Backfill, ConnectionId, ContentId, Failing, Planned, Reconcile, RemoteAccount, Report,
    RideId, Rules, UserId,
};
use crate::{Code, Failure};

/// A rider. The record's version is what writers check who depend on the set of connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Who.
    pub user: UserId,
    /// Connections that are not removed, oldest first.
    pub connections: Vec<ConnectionId>,
    /// When the rider was first seen here.
    pub created_at: Timestamp,
    /// Since when the operator has the rider paused: all connections rest, and none is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// Since when the rider is removed. The record stays, so that one who comes back is sent nothing twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
}

impl User {
    /// A rider who has nothing yet.
    pub fn new(user: UserId, created_at: Timestamp) -> Self {
        Self { user, connections: Vec::new(), created_at, paused_at: None, removed_at: None }
    }

    /// The rider's state as it is shown: `active`, `paused`, `removed`.
    pub fn phase(&self) -> &'static str {
        match (self.removed_at, self.paused_at) {
            (Some(_), _) => "removed",
            (None, Some(_)) => "paused",
            (None, None) => "active",
        }
    }
}

/// How far back a connection reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// Every ride.
    #[default]
    All,
    /// Only rides from the moment of connecting.
    None,
    /// Rides of that local date and later.
    Since(Date),
}

impl History {
    /// The history that reaches back to that local date too, or to the first ride.
    #[must_use]
    pub fn widened(self, since: Option<Date>) -> Self {
        match (self, since) {
            (Self::All, _) | (_, None) => Self::All,
            (Self::None, Some(since)) => Self::Since(since),
            (Self::Since(old), Some(since)) => Self::Since(old.min(since)),
        }
    }
}

impl FromStr for History {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::None),
            date => date
                .parse()
                .map(Self::Since)
                .map_err(|_| format!("{date:?} is neither `all`, `none` nor a date such as 2026-01-31")),
        }
    }
}

/// Whether a connection works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ConnectionState {
    /// It works, as far as is known.
    Active,
    /// It needs the rider; no call is made for it.
    Paused {
        /// Why.
        reason: Failure,
        /// Since when.
        since: Timestamp,
    },
    /// The rider disconnected it. The record stays, so that connecting again sends nothing twice.
    Removed {
        /// Since when.
        since: Timestamp,
    },
}

/// What a completed walk over the source's list leaves: the list is unchanged while both are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkMark {
    /// Rows in the whole list, as the source counts them.
    pub total_rows: u64,
    /// Digest of the ids on page 1, in their order.
    pub digest: String,
    /// When the walk was completed.
    pub walked_at: Timestamp,
}

/// A walk that ended before the list did: the source failed, or it was enough for one poll. While the list stays as
/// it was, the next poll goes on there: a list of a hundred pages would never be read to the end in one go by a
/// source that fails now and then, or in the time that one poll has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenWalk {
    /// The list as it was when the walk began.
    pub mark: WalkMark,
    /// The page to go on with; everything before was recorded.
    pub page: u32,
    /// Rides that it had found and not put on the backlog.
    pub found: usize,
    /// Nothing before was recorded: not one of its rides was known, and some should be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unrecognised: bool,
    /// Rows before that page that could not be decoded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<RowProblem>,
}

/// A row of the source's list that could not be decoded. The rest of the list is not lost for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowProblem {
    /// Digest of the row's text, which stands for its id.
    pub digest: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Refusals of a token that has not ended yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// The first one.
    pub first_at: Timestamp,
    /// How many.
    pub count: u32,
}

/// Written before the one login of a token's life, so that a crash in between cannot lead to a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginIntent {
    /// The end of the token that the login is to replace.
    pub for_token_ending: Timestamp,
    /// When it was written.
    pub at: Timestamp,
}

/// How far a source has been read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceProgress {
    /// The last completed walk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<WalkMark>,
    /// A walk since then that is to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_walk: Option<Box<BrokenWalk>>,
    /// When the token ends, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ends_at: Option<Timestamp>,
    /// Refusals since the last success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusals: Option<Refusals>,
    /// Polls fail, and are made again by the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// The login of this token's life, once begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_intent: Option<LoginIntent>,
    /// Whether the login itself is sealed in the vault.
    #[serde(default)]
    pub stay_signed_in: bool,
    /// Rows that could not be decoded in the last walk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<RowProblem>,
    /// The highest ride id there was when it was connected; tells same-day rides apart for `history none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_at_connect: Option<RideId>,
    /// Rides that wait for the token are to be put back to work, from this one on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// The end of the token that the rider was warned of: once per token's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned_of: Option<Timestamp>,
    /// The end of the provider's incident after which this paused token was tried (or the last failure, where it was
    /// tried before the end): once for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed_for: Option<Timestamp>,
    /// The backfill, once there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Box<Backfill>>,
    /// The reconcile that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconcile: Option<Box<Reconcile>>,
    /// What the last reconcile found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<Report>>,
    /// Minutes that the rider's wall clock is ahead of UTC, as far as is known from the rides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_minutes: Option<i16>,
    /// Why it is polled as often as it is, and until when; `None` until the first poll has decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<Planned>,
}

/// What was at a sink before the first delivery.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// Not listed yet.
    #[default]
    Unknown,
    /// Listed.
    Taken {
        /// When.
        at: Timestamp,
        /// How many rides were there by another route.
        elsewhere: u32,
    },
    /// The sink cannot be read, or the key may not.
    Unreadable,
}

/// How far a sink has been served.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SinkProgress {
    /// What was there before the first delivery.
    #[serde(default)]
    pub baseline: Baseline,
    /// Deliveries for what the archive holds are to be made, from this activity on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// What it is to get, and under which name.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Rules,
}

/// Where a long pass over a rider's rides goes on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Resume {
    /// The last ride that is done; `None` at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ActivityId>,
    /// Of a source: rides on the backlog that were passed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub on_backlog: u64,
    /// Of a sink: deliveries that were handed over and may not be through yet; a few at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moving: Vec<ContentId>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Which side of the bridge a connection is on, and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub enum Role {
    /// Rides come from it.
    Source(SourceProgress),
    /// Rides go to it.
    Sink(SinkProgress),
}

/// The record of a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Whose it is.
    pub user: UserId,
    /// Which it is; follows from the account.
    pub id: ConnectionId,
    /// What the rider calls it.
    pub name: String,
    /// The account it opens.
    pub account: RemoteAccount,
    /// How the service calls the account's owner, for people.
    pub label: String,
    /// Whether it works.
    #[serde(flatten)]
    pub state: ConnectionState,
    /// Source or sink.
    #[serde(flatten)]
    pub role: Role,
    /// How far back it reaches.
    pub history: History,
    /// Settings of the service; no secrets.
    #[serde(default)]
    pub settings: serde_json::Value,
    /// When it was connected, or connected again after a removal.
    pub connected_at: Timestamp,
    /// How often it was connected again. A failure of a call that was begun before does not pause it.
    #[serde(default)]
    pub renewals: u32,
}

impl Connection {
    /// The source's progress, if it is a source.
    pub fn source(&self) -> Option<&SourceProgress> {
        match &self.role {
            Role::Source(progress) => Some(progress),
            Role::Sink(_) => None,
        }
    }

    /// The sink's progress, if it is a sink.
    pub fn sink(&self) -> Option<&SinkProgress> {
        match &self.role {
            Role::Sink(progress) => Some(progress),
            Role::Source(_) => None,
        }
    }

    /// The backfill, if it is a source that ever had one.
    pub fn backfill(&self) -> Option<&Backfill> {
        self.source().and_then(|source| source.backfill.as_deref())
    }

    /// The reconcile that is under way, if one is.
    pub fn reconcile(&self) -> Option<&Reconcile> {
        self.source().and_then(|source| source.reconcile.as_deref())
    }

    /// Whether something goes on for it by itself: rides that wait to be woken, a backfill, or a reconcile.
    pub fn has_work(&self) -> bool {
        let resume = match &self.role {
            Role::Source(source) => source.resume.is_some(),
            Role::Sink(sink) => sink.resume.is_some(),
        };
        self.is_active() && (resume || self.reconcile().is_some() || self.backfill().is_some_and(Backfill::is_running))
    }

    /// Whether something goes on for it now that did not before.
    pub fn begins_work(&self, before: &Self) -> bool {
        let goes_on = |one: &Self| {
            let resume = match &one.role {
                Role::Source(source) => source.resume.is_some(),
                Role::Sink(sink) => sink.resume.is_some(),
            };
            [resume, one.reconcile().is_some(), one.backfill().is_some_and(Backfill::is_running)]
        };
        let begun = goes_on(self).into_iter().zip(goes_on(before)).any(|(now, before)| now && !before);
        self.has_work() && (begun || !before.has_work())
    }

    /// Whether calls may be made for it.
    pub fn is_active(&self) -> bool {
        self.state == ConnectionState::Active
    }

    /// Whether the rider disconnected it.
    pub fn is_removed(&self) -> bool {
        matches!(self.state, ConnectionState::Removed { .. })
    }

    /// Why it is paused, if it is.
    pub fn paused(&self) -> Option<&Failure> {
        match &self.state {
            ConnectionState::Paused { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The state's name as it is shown: `active`, `expiring` (the token ends within 48 h and the rider has to
    /// bring another), `paused`, `removed`. Expiring follows from the time, so no record has to be written
    /// for it.
    pub fn phase(&self, now: Timestamp) -> &'static str {
        match &self.state {
            ConnectionState::Paused { .. } => "paused",
            ConnectionState::Removed { .. } => "removed",
            ConnectionState::Active if self.expiring_from().is_some_and(|(from, _)| from <= now) => "expiring",
            ConnectionState::Active => "active",
        }
    }

    /// From when on the token ends soon, and when it ends; `None` where that is not known, or where signing in
    /// renews it without the rider.
    fn expiring_from(&self) -> Option<(Timestamp, Timestamp)> {
        const WARNING: jiff::SignedDuration = jiff::SignedDuration::from_hours(48);
        let source = self.source().filter(|source| !source.stay_signed_in)?;
        let end = source.token_ends_at?;
        Some((end.saturating_sub(WARNING).unwrap_or(end), end))
    }

    /// When the rider is to be warned, and of which end of the token; `None` once that was done.
    pub fn warning(&self) -> Option<(Timestamp, Timestamp)> {
        let due = self.expiring_from().filter(|_| self.is_active());
        due.filter(|(_, end)| self.source().and_then(|source| source.warned_of) != Some(*end))
    }

    /// Which rule keeps a listed ride of this source out, if one does. A row without a date is never kept
    /// out by a date.
    pub fn filters_listed(&self, ride_id: RideId, date: Option<Date>) -> Option<Code> {
        let too_old = match self.history {
            History::All => false,
            History::Since(since) => date.is_some_and(|date| date < since),
            History::None => {
                // Local dates run at most 14 h ahead of UTC, so a ride of the day before may be new.
                let connected = Offset::UTC.to_datetime(self.connected_at).date();
                let older = date.is_some_and(|date| connected.yesterday().is_ok_and(|day| date < day));
                let listed_then =
                    self.source().and_then(|source| source.newest_at_connect).is_some_and(|newest| ride_id <= newest);
                older || listed_then
            }
        };
        too_old.then_some(Code::BeforeConnect)
    }

    /// Whether this sink wants a ride: the rider does not keep it from there, and its history reaches back so far. A
    /// ride that may have been on the first day passes.
    pub fn wants(&self, activity: &Activity) -> bool {
        let is_for_it = activity.only_to.is_empty() || activity.only_to.contains(&self.id);
        let latest = activity.ride.local_dates().map(|(_, latest)| latest);
        is_for_it && self.wants_ride(activity.ride.start(), latest)
    }

    /// Whether its history reaches back to a ride that started then (UTC and local date).
    pub fn wants_ride(&self, start: Option<Timestamp>, date: Option<Date>) -> bool {
        match self.history {
            History::All => true,
            History::Since(since) => date.is_none_or(|date| date >= since),
            History::None => start.is_none_or(|start| start >= self.connected_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::domain::Service;

    fn source(history: History) -> Connection {
        let account =
            RemoteAccount { service: Service::new("igpsport").unwrap(), realm: "global".into(), account: "1".into() };
        Connection {
            user: UserId::new("me").unwrap(),
            id: account.connection_id(),
            name: "igpsport".into(),
            account,
            label: "Rider".into(),
            state: ConnectionState::Active,
            role: Role::Source(SourceProgress { newest_at_connect: Some(RideId(100)), ..SourceProgress::default() }),
            history,
            settings: serde_json::Value::Null,
            connected_at: "2026-05-10T12:00:00Z".parse().unwrap(),
            renewals: 0,
        }
    }

    #[test]
    fn history_none_keeps_out_what_was_there_and_lets_in_what_comes() {
        let connection = source(History::None);
        assert_eq!(connection.filters_listed(RideId(100), Some(date(2026, 5, 10))), Some(Code::BeforeConnect));
        assert_eq!(connection.filters_listed(RideId(101), Some(date(2026, 5, 10))), None);
        assert_eq!(connection.filters_listed(RideId(101), Some(date(2026, 5, 9))), None);
        assert_eq!(connection.filters_listed(RideId(101), Some(date(2026, 5, 8))), Some(Code::BeforeConnect));
        assert_eq!(connection.filters_listed(RideId(101), None), None);
    }

    #[test]
    fn history_since_is_inclusive() {
        let connection = source("2026-05-01".parse().unwrap());
        assert_eq!(connection.filters_listed(RideId(1), Some(date(2026, 5, 1))), None);
        assert_eq!(connection.filters_listed(RideId(1), Some(date(2026, 4, 30))), Some(Code::BeforeConnect));
        assert!("2026-13-01".parse::<History>().is_err());
    }

    #[test]
    fn expiring_follows_from_the_tokens_end() {
        let mut connection = source(History::All);
        let now = connection.connected_at;
        assert_eq!(connection.phase(now), "active");
        if let Role::Source(progress) = &mut connection.role {
            progress.token_ends_at = Some(now + jiff::SignedDuration::from_hours(48));
        }
        assert_eq!(connection.phase(now), "expiring");
        assert_eq!(connection.phase(now - jiff::SignedDuration::from_secs(1)), "active");
    }

    #[test]
    fn records_survive_a_round_trip() {
        for history in [History::All, History::None, History::Since(date(2026, 1, 2))] {
            let connection = source(history);
            let text = serde_json::to_string(&connection).unwrap();
            assert_eq!(serde_json::from_str::<Connection>(&text).unwrap(), connection, "{text}");
        }
    }
}
