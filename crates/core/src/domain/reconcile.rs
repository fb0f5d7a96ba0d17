//! Looking whether what is here agrees with what is upstream and at the sinks.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ActivityId, ConnectionId, RowProblem, WalkMark};

/// Notes that a report keeps.
pub const MOST_NOTES: usize = 20;

/// What a reconcile has come to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Found {
    /// Rides upstream.
    pub seen: u64,
    /// Rides upstream that were not known here; they were put to work.
    pub late: u64,
    /// Rides and deliveries that nobody was at work on although something was to be done: put back to work. Also
    /// files that the archive had lost: they are fetched again.
    pub repaired: u64,
    /// Rides that are known here and are no longer upstream. Nothing is deleted for that.
    pub gone: u64,
    /// Deliveries that were done and are no longer at their sink. They are not sent again by themselves.
    pub missing: u64,
    /// Particulars, for people; the first [`MOST_NOTES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Found {
    /// Adds a particular, while there is room.
    pub fn note(&mut self, note: impl Into<String>) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(note.into());
        }
    }
}

/// What the last reconcile of a source found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it began.
    pub begun_at: Timestamp,
    /// When it ended.
    pub at: Timestamp,
    /// Whether somebody asked for it; else it was the nightly one.
    #[serde(default)]
    pub asked: bool,
    /// What it found.
    #[serde(flatten)]
    pub found: Found,
}

/// Where a reconcile is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum ReconcilePlace {
    /// Reading the source's list, from this page on.
    List {
        /// The next page, from 1.
        page: u32,
        /// How the list looked when it was begun; none before page 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mark: Option<WalkMark>,
        /// How often it was begun again because the list changed meanwhile.
        #[serde(default)]
        again: u32,
        /// Whether rides of this account were recognised on the pages before; `false` where only unknown ones were,
        /// which were not recorded. None before page 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recognised: Option<bool>,
    },
    /// Looking at the rider's rides, from behind this one on.
    Rides {
        /// The last that is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<ActivityId>,
    },
    /// Listing what is at the sinks, from behind this one on.
    Sinks {
        /// The last that is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<ConnectionId>,
    },
    /// Everything was looked at: what waits is woken, what was kept on the way is deleted.
    End,
}

/// A reconcile that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconcile {
    /// When it began.
    pub begun_at: Timestamp,
    /// Whether somebody asked for it.
    #[serde(default)]
    pub asked: bool,
    /// How far it is.
    pub place: ReconcilePlace,
    /// Whether the list stood still, so that what was not seen is not there.
    #[serde(default)]
    pub is_whole: bool,
    /// Whether rides wait that nobody is at work on.
    #[serde(default)]
    pub wake_source: bool,
    /// Sinks with deliveries that are lacking or that nobody is at work on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wake_sinks: Vec<ConnectionId>,
    /// Minutes that the rider's wall clock is ahead of UTC, as the newest ride says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_minutes: Option<i16>,
    /// Rows that could not be decoded, so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<RowProblem>,
    /// What was found so far.
    pub found: Found,
}

impl Reconcile {
    /// One that begins now.
    pub fn new(now: Timestamp, asked: bool) -> Self {
        Self {
            begun_at: now,
            asked,
            place: ReconcilePlace::List { page: 1, mark: None, again: 0, recognised: None },
            is_whole: false,
            wake_source: false,
            wake_sinks: Vec::new(),
            offset_minutes: None,
            problems: Vec::new(),
            found: Found::default(),
        }
    }

    /// Whether its next step is for the process that calls sources. That one alone deletes records, too.
    pub fn is_for_poller(&self) -> bool {
        matches!(self.place, ReconcilePlace::List { .. } | ReconcilePlace::End)
    }
}
