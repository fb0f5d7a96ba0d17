//! What kinds of documents there are, and where each lies.

use jiff::{
    Timestamp,
    civil::{Date, DateTime},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    domain::{
        Activity, ActivityId, Connection, ConnectionId, Contact, ContentId, Delivery, Event, Habits, Notice, NoticeId,
        OwnerId, RemoteId, RideId, Shard, Story, User, UserId, story,
    },
    ports::{Key, Scope},
};

/// A document that lies in the ledger under a key of its own kind.
pub trait Document: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// The schema this code writes. Another one in a record is refused, never guessed at.
    const SCHEMA: u16 = 1;

    /// Where this document lies.
    fn key(&self) -> Key;

    /// What the change from `before` means to people; committed with it.
    fn story(&self, _before: &Self) -> Story {
        Story::default()
    }
}

fn user_key(user: &UserId, path: String) -> Key {
    Key { scope: Scope::User(user.clone()), path }
}

impl Document for User {
    fn key(&self) -> Key {
        Key::user(&self.user)
    }
}

impl Document for Connection {
    fn key(&self) -> Key {
        Key::connection(&self.user, &self.id)
    }

    fn story(&self, before: &Self) -> Story {
        story::of_connection(Some(before), self)
    }
}

impl Document for Activity {
    fn key(&self) -> Key {
        Key::activity(&self.user, &self.id)
    }

    fn story(&self, before: &Self) -> Story {
        story::of_activity(before, self)
    }
}

impl Document for Delivery {
    fn key(&self) -> Key {
        Key::delivery(&self.user, &self.sink, &self.content)
    }

    fn story(&self, before: &Self) -> Story {
        story::of_delivery(before, self)
    }
}

impl Document for Contact {
    fn key(&self) -> Key {
        Key::contact(&self.user)
    }
}

impl Document for Habits {
    fn key(&self) -> Key {
        Key::habits(&self.user, &self.connection)
    }
}

impl Document for Notice {
    fn key(&self) -> Key {
        Key::notice(&self.user, &self.cause.id())
    }
}

impl Document for Event {
    fn key(&self) -> Key {
        user_key(&self.user, self.path())
    }
}

/// Which activity holds a file: one per user and SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentOwner {
    /// Whose.
    pub user: UserId,
    /// Which file.
    pub content: ContentId,
    /// The activity that brought it first.
    pub activity: ActivityId,
}

impl Document for ContentOwner {
    fn key(&self) -> Key {
        Key::content(&self.user, &self.content)
    }
}

/// Rides that were at a sink before the first delivery, of one month of local time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineMonth {
    /// Whose.
    pub user: UserId,
    /// At which sink.
    pub sink: ConnectionId,
    /// The month, as `2026-01`; with a part number where a month has very many: `2026-01.2`.
    pub month: String,
    /// The rides that came by a route that makes other files.
    pub rides: Vec<BaselineRide>,
}

/// One ride of a [`BaselineMonth`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineRide {
    /// What the sink calls it.
    pub remote_id: RemoteId,
    /// Start on the wall clock.
    pub local_start: DateTime,
    /// The route.
    pub route: String,
    /// Elapsed time, s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_s: Option<f64>,
    /// Distance, m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance_m: Option<f64>,
}

impl Document for BaselineMonth {
    fn key(&self) -> Key {
        user_key(&self.user, format!("baseline/{}/{}", self.sink, self.month))
    }
}

/// Which rides began on a day (UTC): where rides like a new one are looked for. Everybody who records a ride
/// writes its day, so that of two like rides that come at once, one sees the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Whose.
    pub user: UserId,
    /// The day, UTC.
    pub day: Date,
    /// The rides, in the order they came.
    pub rides: Vec<DayRide>,
}

/// One ride of a [`Day`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRide {
    /// Which.
    pub activity: ActivityId,
    /// When it began.
    pub start: Timestamp,
}

impl Document for Day {
    fn key(&self) -> Key {
        Key::day(&self.user, self.day)
    }
}

/// Rides that a reconcile saw upstream; kept until it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenRides {
    /// Whose.
    pub user: UserId,
    /// At which source.
    pub source: ConnectionId,
    /// Which part of the list: how often it was begun again, and the first page of the part.
    pub part: String,
    /// The rides.
    pub rides: Vec<RideId>,
}

impl Document for SeenRides {
    fn key(&self) -> Key {
        user_key(&self.user, format!("{}{}", Key::seen_prefix(&self.source), self.part))
    }
}

/// How far a shard's ticks are. Claimed, then done: at most two small writes a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Which shard.
    pub shard: Shard,
    /// The last minute (since 1970) that is wholly handed over.
    pub done_minute: i64,
    /// Who handed the polls of that minute over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_by: Option<OwnerId>,
    /// The minute a tick is at work on, who, and until when nobody else takes it.
    pub claimed: Option<CursorClaim>,
    /// Minutes were done that are still to come: a clock was wrong, and what waits in the shard waits for the times of
    /// that clock. Until those are mended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewound: bool,
}

/// A tick at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CursorClaim {
    /// Who.
    pub owner: OwnerId,
    /// The end of its claim.
    pub until: Timestamp,
}

impl Document for Cursor {
    fn key(&self) -> Key {
        Key { scope: Scope::System, path: format!("cursor/{:05}", self.shard.0) }
    }
}

/// What is left of a rider who is gone: that it happened, and how much it was. No personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// SHA-256 of the rider's id, in hex.
    pub digest: String,
    /// When the deletion began.
    pub begun_at: Timestamp,
    /// When it was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
    /// Records that were deleted.
    pub records: u64,
    /// Files that were deleted.
    pub files: u64,
    /// Connections and channels whose secrets were forgotten.
    pub secrets: u64,
}

impl Receipt {
    /// A deletion that begins.
    pub fn new(digest: String, now: Timestamp) -> Self {
        Self { digest, begun_at: now, done_at: None, records: 0, files: 0, secrets: 0 }
    }

    /// What stands for a rider in a receipt.
    pub fn digest_of(user: &UserId) -> String {
        ContentId::of(user.as_str().as_bytes()).to_string()
    }
}

impl Document for Receipt {
    fn key(&self) -> Key {
        Key::receipt(&self.digest)
    }
}

/// Whether a provider is left alone, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// The provider: service and realm.
    pub provider: String,
    /// No call before this moment.
    pub open_until: Timestamp,
    /// Since when the provider has not answered.
    pub since: Timestamp,
    /// When it opened last; refusals from before are forgotten.
    pub opened_at: Timestamp,
    /// When the provider answered again: the breaker is closed, and the record tells of the last incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Timestamp>,
    /// How often it opened in a row.
    pub strikes: u32,
    /// Why.
    pub failure: crate::Failure,
}

impl Document for Breaker {
    fn key(&self) -> Key {
        Key::breaker(&self.provider)
    }
}

/// That there is such a rider: a row of the operator's list. Written once when the rider comes, and deleted
/// when the rider is removed; nothing that happens in between touches it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Who.
    pub user: UserId,
    /// Since when.
    pub since: Timestamp,
}

impl Document for Listed {
    fn key(&self) -> Key {
        Key::listed(&self.user)
    }
}

/// The operator's stop: as long as it is there, no provider is asked anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Since when.
    pub since: Timestamp,
    /// Why, in the operator's words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Document for Halt {
    fn key(&self) -> Key {
        Key::halt()
    }
}

impl Key {
    /// Of a row of the operator's list.
    pub fn listed(user: &UserId) -> Self {
        Self { scope: Scope::System, path: format!("rider/{user}") }
    }

    /// Of the operator's stop.
    pub fn halt() -> Self {
        Self { scope: Scope::System, path: "halt".into() }
    }

    /// Of a user's record.
    pub fn user(user: &UserId) -> Self {
        user_key(user, "user".into())
    }

    /// Of a connection's record.
    pub fn connection(user: &UserId, connection: &ConnectionId) -> Self {
        user_key(user, format!("connection/{connection}"))
    }

    /// Of what is learned of a source's rides.
    pub fn habits(user: &UserId, connection: &ConnectionId) -> Self {
        user_key(user, format!("habits/{connection}"))
    }

    /// Of an activity's record.
    pub fn activity(user: &UserId, activity: &ActivityId) -> Self {
        user_key(user, format!("activity/{activity}"))
    }

    /// Of the record of who holds a file.
    pub fn content(user: &UserId, content: &ContentId) -> Self {
        user_key(user, format!("content/{content}"))
    }

    /// Of a delivery's record.
    pub fn delivery(user: &UserId, sink: &ConnectionId, content: &ContentId) -> Self {
        user_key(user, format!("delivery/{sink}/{content}"))
    }

    /// Of a month of a sink's baseline.
    pub fn baseline(user: &UserId, sink: &ConnectionId, month: &str) -> Self {
        user_key(user, format!("baseline/{sink}/{month}"))
    }

    /// Of how a rider is told.
    pub fn contact(user: &UserId) -> Self {
        user_key(user, "contact".into())
    }

    /// Of a notice.
    pub fn notice(user: &UserId, notice: &NoticeId) -> Self {
        user_key(user, format!("notice/{notice}"))
    }

    /// Of the rides of a day.
    pub fn day(user: &UserId, day: Date) -> Self {
        user_key(user, format!("day/{day}"))
    }

    /// The start of the paths of what a reconcile saw at a source.
    pub fn seen_prefix(source: &ConnectionId) -> String {
        format!("seen/{source}/")
    }

    /// Of a provider's breaker.
    pub fn breaker(provider: &str) -> Self {
        Self { scope: Scope::System, path: format!("breaker/{provider}") }
    }

    /// Of the receipt of a rider who is gone, by the digest of the id.
    pub fn receipt(digest: &str) -> Self {
        Self { scope: Scope::System, path: format!("receipt/{digest}") }
    }

    /// Of a shard's cursor.
    pub fn cursor(shard: Shard) -> Self {
        Self { scope: Scope::System, path: format!("cursor/{:05}", shard.0) }
    }
}
