//! One ride of one rider, from the moment it is seen upstream to its archived file.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ActivityId, ConnectionId, ContentId, Ride, RideId, UserId, ids::short_digest};
use crate::{Code, Failure};

/// Where a ride came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// Seen in the cloud through a source connection.
    Cloud {
        /// The connection.
        connection: ConnectionId,
        /// The ride's number there.
        ride_id: RideId,
    },
    /// Imported as a file.
    File {
        /// The file's name as given, without its folder.
        name: String,
    },
}

impl Origin {
    /// The activity that stands for a ride of a source.
    pub fn cloud_id(connection: &ConnectionId, ride_id: RideId) -> ActivityId {
        ActivityId::from_any(&format!("{connection}-{:020}", ride_id.0))
    }

    /// The service it came from, as sinks are told: `igpsport`, or `file`.
    pub fn service(&self) -> &'static str {
        match self {
            Self::Cloud { .. } => "igpsport",
            Self::File { .. } => "file",
        }
    }

    /// The activity that stands for an imported file.
    pub fn file_id(content: &ContentId) -> ActivityId {
        ActivityId::from_any(&format!("file-{}", short_digest(content.as_bytes())))
    }
}

/// Where the source said that a ride's file lies. Unauthenticated by nature, so it is not shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileLocation(pub String);

impl fmt::Debug for FileLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileLocation(…)")
    }
}

/// Whether a file is what a device writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "integrity", rename_all = "snake_case")]
pub enum Integrity {
    /// Structure and checksum are right.
    Intact,
    /// Broken, but a ride can be read from it; the same bytes came each time.
    Salvageable {
        /// What is wrong.
        code: Code,
    },
}

/// Which step of a ride has to be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Ask the source where the file lies.
    Resolve,
    /// Download the file.
    Fetch,
}

/// What has become of a ride.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ActivityState {
    /// Seen upstream; where its file lies is not known yet.
    Discovered,
    /// Where its file lies is known.
    Resolved {
        /// The location, as the source gave it.
        location: FileLocation,
    },
    /// A step failed in a way that may pass; it is tried again.
    Unavailable {
        /// Why.
        failure: Failure,
        /// Which step is tried again.
        stage: Stage,
        /// Not before this moment, because somebody asked so (Retry-After); `None` for our own backoff.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        asked_until: Option<Timestamp>,
        /// Where the file lies, when the next stage is to fetch it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<FileLocation>,
        /// The broken file that came last time; the same again is delivered, and flagged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        broken: Option<ContentId>,
    },
    /// Its file is in the archive; deliveries carry on from here.
    Fetched {
        /// The archived file.
        content: ContentId,
        /// Its size in bytes.
        size_bytes: u64,
        /// Whether it is whole.
        #[serde(flatten)]
        integrity: Integrity,
    },
    /// The same file came by another inlet before.
    Duplicate {
        /// The activity that holds it.
        of: ActivityId,
        /// The file.
        content: ContentId,
    },
    /// The rider does not want it.
    Filtered {
        /// The rule that says so.
        rule: Code,
    },
    /// It will not become a ride, for a reason that does not pass.
    Rejected {
        /// Why.
        failure: Failure,
    },
    /// It failed too often; only a redrive goes on.
    DeadLetter {
        /// The last failure.
        failure: Failure,
    },
    /// The rider wants it gone; it never comes back unless resynced.
    Forgotten,
}

impl ActivityState {
    /// The state's name as it is shown and counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Discovered => "discovered",
            Self::Resolved { .. } => "resolved",
            Self::Unavailable { .. } => "unavailable",
            Self::Fetched { .. } => "fetched",
            Self::Duplicate { .. } => "duplicate",
            Self::Filtered { .. } => "filtered",
            Self::Rejected { .. } => "rejected",
            Self::DeadLetter { .. } => "dead_letter",
            Self::Forgotten => "forgotten",
        }
    }

    /// What is to be done next, where anything is.
    pub fn stage(&self) -> Option<Stage> {
        match self {
            Self::Discovered => Some(Stage::Resolve),
            Self::Resolved { .. } => Some(Stage::Fetch),
            Self::Unavailable { stage, .. } => Some(*stage),
            _ => None,
        }
    }

    /// The failure that stands in it, if any.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Unavailable { failure, .. } | Self::Rejected { failure } | Self::DeadLetter { failure } => {
                Some(failure)
            }
            _ => None,
        }
    }

    /// The file it is about, once that is known.
    pub fn content(&self) -> Option<ContentId> {
        match self {
            Self::Fetched { content, .. } | Self::Duplicate { content, .. } => Some(*content),
            _ => None,
        }
    }
}

/// The record of a ride.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Whose it is.
    pub user: UserId,
    /// Which it is.
    pub id: ActivityId,
    /// Where it came from.
    pub origin: Origin,
    /// What is known of the ride.
    pub ride: Ride,
    /// What has become of it.
    #[serde(flatten)]
    pub state: ActivityState,
    /// Tries that failed or are under way; counted when a stage is claimed, so that one whose worker dies
    /// counts, and given back when it succeeds.
    pub attempts: u32,
    /// When it was first seen here.
    pub first_seen_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

impl Activity {
    /// The source connection it came through, if it came from a cloud.
    pub fn source(&self) -> Option<&ConnectionId> {
        match &self.origin {
            Origin::Cloud { connection, .. } => Some(connection),
            Origin::File { .. } => None,
        }
    }

    /// The number a rider knows it by: the cloud's ride id, else our own id.
    pub fn rider_id(&self) -> String {
        match &self.origin {
            Origin::Cloud { ride_id, .. } => ride_id.to_string(),
            Origin::File { .. } => self.id.to_string(),
        }
    }
}
