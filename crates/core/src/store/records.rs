//! What kinds of documents there are, and where each lies.

use jiff::{Timestamp, civil::DateTime};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    domain::{
        Activity, ActivityId, Connection, ConnectionId, ContentId, Delivery, OwnerId, RemoteId, Shard, User, UserId,
    },
    ports::{Key, Scope},
};

/// A document that lies in the ledger under a key of its own kind.
pub trait Document: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// The schema this code writes. Another one in a record is refused, never guessed at.
    const SCHEMA: u16 = 1;

    /// Where this document lies.
    fn key(&self) -> Key;
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
}

impl Document for Activity {
    fn key(&self) -> Key {
        Key::activity(&self.user, &self.id)
    }
}

impl Document for Delivery {
    fn key(&self) -> Key {
        Key::delivery(&self.user, &self.sink, &self.content)
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

/// How far a shard's ticks are. Claimed, then done: at most two small writes a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Which shard.
    pub shard: Shard,
    /// The last minute (since 1970) that is wholly handed over.
    pub done_minute: i64,
    /// The minute a tick is at work on, who, and until when nobody else takes it.
    pub claimed: Option<CursorClaim>,
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

/// Whether a provider is left alone, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// The provider: service and realm.
    pub provider: String,
    /// No call before this moment.
    pub open_until: Timestamp,
    /// When it opened last; refusals from before are forgotten.
    pub opened_at: Timestamp,
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

impl Key {
    /// Of a user's record.
    pub fn user(user: &UserId) -> Self {
        user_key(user, "user".into())
    }

    /// Of a connection's record.
    pub fn connection(user: &UserId, connection: &ConnectionId) -> Self {
        user_key(user, format!("connection/{connection}"))
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

    /// Of a provider's breaker.
    pub fn breaker(provider: &str) -> Self {
        Self { scope: Scope::System, path: format!("breaker/{provider}") }
    }

    /// Of a shard's cursor.
    pub fn cursor(shard: Shard) -> Self {
        Self { scope: Scope::System, path: format!("cursor/{:05}", shard.0) }
    }
}
