//! One ride of one rider, from the moment it is seen upstream to its archived file.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ActivityId, ConnectionId, ContentId, Link, Ride, RideId, UserId, ids::short_digest};
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

/// Digits of a ride's number in the id of its activity: as many as the largest has, so that ids sort as numbers do.
const CLOUD_DIGITS: usize = 20;

impl Origin {
    /// The activity that stands for a ride of a source.
    pub fn cloud_id(connection: &ConnectionId, ride_id: RideId) -> ActivityId {
        ActivityId::from_any(&format!("{connection}-{:0CLOUD_DIGITS$}", ride_id.0))
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

impl ActivityId {
    /// The number a rider knows the ride by ([`Activity::rider_id`]), as far as the id tells it.
    pub fn rider_id(&self) -> &str {
        let number = self.as_str().rsplit('-').next().unwrap_or_default();
        match number.len() == CLOUD_DIGITS && number.bytes().all(|b| b.is_ascii_digit()) {
            true => number.trim_start_matches('0'),
            false => self.as_str(),
        }
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
    /// Seen upstream, from before the source was connected: its turn comes, newest first.
    Backlog,
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
    Forgotten {
        /// The file it had, which stays in the archive unless it is erased.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<ContentId>,
        /// The file is still to be erased.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        erase: bool,
    },
}

impl ActivityState {
    /// The state's name as it is shown and counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::Discovered => "discovered",
            Self::Resolved { .. } => "resolved",
            Self::Unavailable { .. } => "unavailable",
            Self::Fetched { .. } => "fetched",
            Self::Duplicate { .. } => "duplicate",
            Self::Filtered { .. } => "filtered",
            Self::Rejected { .. } => "rejected",
            Self::DeadLetter { .. } => "dead_letter",
            Self::Forgotten { .. } => "forgotten",
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

    /// The code under which it was told that the ride was given up, if it was.
    pub fn given_up_as(&self) -> Option<Code> {
        match self {
            Self::DeadLetter { .. } => Some(Code::AttemptsUsedUp),
            Self::Rejected { failure } => Some(failure.code),
            _ => None,
        }
    }

    /// The file it is about, once that is known.
    pub fn content(&self) -> Option<ContentId> {
        match self {
            Self::Fetched { content, .. } | Self::Duplicate { content, .. } => Some(*content),
            Self::Forgotten { file, .. } => *file,
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
    /// What it is linked to: it is archived and shown, but not sent by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// The rides that are linked to this one; at most [`MOST_TOGETHER`](super::link::MOST_TOGETHER) with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linked: Vec<ActivityId>,
    /// Rides that the rider said are others, however alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<ActivityId>,
    /// Once it has its file again, it is to be sent again, although it was sent before: to these sinks, or to
    /// all where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resync: Option<Vec<ConnectionId>>,
    /// The only sinks that get it: it was left out or forgotten until the rider asked for it there. Empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_to: Vec<ConnectionId>,
    /// Files it had before, when it had to be fetched again; newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<ContentId>,
    /// It was given up before, under this code, and begun anew: its file's arrival is a recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<Code>,
    /// Tries that failed or are under way; counted when a stage is claimed, so that one whose worker dies
    /// counts, and given back when it succeeds.
    pub attempts: u32,
    /// When it was first seen here.
    pub first_seen_at: Timestamp,
    /// When it was taken off the backlog, if it ever stood there: lags count from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
    /// When the record last changed.
    pub updated_at: Timestamp,
}

/// Earlier files of a ride that are remembered.
const MOST_EARLIER: usize = 8;

impl Activity {
    /// A ride of which nothing has been done yet.
    pub fn new(user: UserId, id: ActivityId, origin: Origin, ride: Ride, now: Timestamp) -> Self {
        Self {
            user,
            id,
            origin,
            ride,
            state: ActivityState::Discovered,
            link: None,
            linked: Vec::new(),
            apart: Vec::new(),
            resync: None,
            only_to: Vec::new(),
            earlier: Vec::new(),
            given_up: None,
            attempts: 0,
            first_seen_at: now,
            taken_at: None,
            updated_at: now,
        }
    }

    /// Takes the rider's word that it is to be sent to these sinks, or to all where none is named. What was not wanted
    /// anywhere before is wanted nowhere else now.
    pub fn wanted_at(&mut self, sinks: &[ConnectionId]) {
        let was_left_out = matches!(self.state, ActivityState::Filtered { .. } | ActivityState::Forgotten { .. });
        if sinks.is_empty() {
            self.only_to.clear();
        } else if was_left_out || !self.only_to.is_empty() {
            self.only_to.extend(sinks.iter().filter(|sink| !self.only_to.contains(sink)).cloned().collect::<Vec<_>>());
        }
    }

    /// Begins anew with finding its file; the one it had is remembered.
    pub fn begin_anew(&mut self, now: Timestamp) {
        self.remember_file();
        self.given_up = self.state.given_up_as().or(self.given_up);
        (self.state, self.attempts, self.updated_at) = (ActivityState::Discovered, 0, now);
    }

    /// Remembers the file it has now, for when it has another one or none.
    pub fn remember_file(&mut self) {
        if let Some(content) = self.state.content() {
            // The last one is the one it had last.
            self.earlier.retain(|earlier| *earlier != content);
            self.earlier.push(content);
            let surplus = self.earlier.len().saturating_sub(MOST_EARLIER);
            self.earlier.drain(..surplus);
        }
    }

    /// Every file it has or had: deliveries of any of them are this ride's.
    pub fn files(&self) -> impl Iterator<Item = ContentId> {
        let now = self.state.content();
        self.earlier.iter().copied().filter(move |file| Some(*file) != now).chain(now)
    }

    /// Since when it could have been fetched: when it was seen upstream, or taken off the backlog. `None` for what
    /// came from no cloud, or had a file before.
    pub fn discovered_at(&self) -> Option<Timestamp> {
        let is_first = self.source().is_some() && self.earlier.is_empty();
        is_first.then(|| self.taken_at.unwrap_or(self.first_seen_at))
    }

    /// Whether the rider said that these two are different rides.
    pub fn is_apart_from(&self, other: &Self) -> bool {
        self.apart.contains(&other.id) || other.apart.contains(&self.id)
    }

    /// The ride that stands for its group: itself, where it is not linked.
    pub fn primary(&self) -> &ActivityId {
        self.link.as_ref().map_or(&self.id, |link| &link.to)
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_number_that_a_rider_knows() {
        let source = ConnectionId::from_any("igpsport-global-1204001");
        assert_eq!(Origin::cloud_id(&source, RideId(31_827_705)).rider_id(), "31827705");
        let file = Origin::file_id(&ContentId::of(b"a ride"));
        assert_eq!(file.rider_id(), file.as_str());
    }
}
