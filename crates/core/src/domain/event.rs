//! What happened to a rider's things: written once, never changed, dropped after a time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ActivityId, ConnectionId, ContentId, EventTag, How, RemoteId, Service, UserId, ids::short_digest};
use crate::Failure;

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// A place was connected, or connected again.
    Connected {
        /// Which.
        connection: ConnectionId,
        /// What the rider calls it.
        name: String,
    },
    /// A place was disconnected.
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// What the rider called it.
        name: String,
    },
    /// A connection needs the rider.
    Paused {
        /// Which.
        connection: ConnectionId,
        /// Why.
        failure: Failure,
    },
    /// It works again.
    Resumed {
        /// Which.
        connection: ConnectionId,
    },
    /// Rules or settings of a connection were changed.
    RulesChanged {
        /// Which.
        connection: ConnectionId,
    },
    /// A file reached a sink.
    Delivered {
        /// The ride.
        activity: ActivityId,
        /// The sink.
        sink: ConnectionId,
        /// The file.
        content: ContentId,
        /// Put there now, or there before.
        how: How,
        /// What the sink calls it, where it says.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remote_id: Option<RemoteId>,
    },
    /// A ride or a delivery was given up, or rejected.
    Failed {
        /// The ride.
        activity: ActivityId,
        /// The sink, where it is a delivery.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sink: Option<ConnectionId>,
        /// Why.
        failure: Failure,
    },
    /// A ride was forgotten.
    Forgotten {
        /// Which.
        activity: ActivityId,
    },
    /// The rider said that rides are one.
    Linked {
        /// The one that is sent.
        activity: ActivityId,
        /// Those that it stands for.
        others: Vec<ActivityId>,
    },
    /// The rider took a ride out of its group.
    Split {
        /// Which.
        activity: ActivityId,
    },
    /// The rider had a ride sent again.
    Resynced {
        /// Which.
        activity: ActivityId,
        /// Where to; empty for all that want it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sinks: Vec<ConnectionId>,
    },
    /// How the rider is told was changed.
    ContactChanged {
        /// Which way; `None` for quiet hours.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        via: Option<Service>,
        /// Whether it is set now.
        on: bool,
    },
    /// Everything about the rider was written into a file.
    Exported {
        /// Records.
        records: u64,
        /// Original files.
        files: u64,
    },
    /// What the rider, or an operator on the rider's behalf, did otherwise.
    Act {
        /// Who: `rider` or `admin`.
        by: String,
        /// What, in one word.
        act: String,
        /// To what; never a secret.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        detail: String,
    },
}

impl EventKind {
    /// The event's name, as it is stored.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Disconnected { .. } => "disconnected",
            Self::Paused { .. } => "paused",
            Self::Resumed { .. } => "resumed",
            Self::RulesChanged { .. } => "rules_changed",
            Self::Delivered { .. } => "delivered",
            Self::Failed { .. } => "failed",
            Self::Forgotten { .. } => "forgotten",
            Self::Linked { .. } => "linked",
            Self::Split { .. } => "split",
            Self::Resynced { .. } => "resynced",
            Self::ContactChanged { .. } => "contact_changed",
            Self::Exported { .. } => "exported",
            Self::Act { .. } => "act",
        }
    }
}

/// The record of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Whose.
    pub user: UserId,
    /// When.
    pub at: Timestamp,
    /// Tells events of one moment apart.
    pub tag: EventTag,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event; `attempt` tells repeats of the same one in the same moment apart.
    pub fn new(user: &UserId, at: Timestamp, kind: EventKind, attempt: usize) -> Self {
        let text = format!("{kind:?}/{attempt}");
        Self { user: user.clone(), at, tag: EventTag::from_any(&short_digest(text.as_bytes())), kind }
    }

    /// Where events of a moment begin among all of a rider's; later ones stand behind earlier ones.
    pub fn path_at(at: Timestamp) -> String {
        format!("event/{:013}", at.as_millisecond().max(0))
    }

    /// Its path among the rider's records.
    pub fn path(&self) -> String {
        format!("{}-{}", Self::path_at(self.at), self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_lie_in_the_order_of_their_time_and_survive_a_round_trip() {
        let user = UserId::new("me").unwrap();
        let kind = EventKind::Exported { records: 3, files: 1 };
        let event = |at: &str, attempt| Event::new(&user, at.parse().unwrap(), kind.clone(), attempt);
        let (early, late) = (event("1999-12-31T23:59:59.999Z", 0), event("2026-01-01T00:00:00Z", 0));
        assert!(early.path() < late.path() && early.path() >= Event::path_at(early.at));
        assert_ne!(late.path(), event("2026-01-01T00:00:00Z", 1).path());
        let text = serde_json::to_string(&late).unwrap();
        assert!(text.contains(&format!("\"event\":\"{}\"", late.kind.name())), "{text}");
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), late);
    }
}
