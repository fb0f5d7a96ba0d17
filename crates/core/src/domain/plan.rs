//! Why a source is polled as often as it is, and until when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a source's class follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// The rider asked for rides now: `sync`, the extension.
    Woken,
    /// A ride was just found, and others of its outing may follow.
    Found,
    /// Too few rides are known to learn from: it is polled through the day.
    New,
    /// Rides tend to appear about now, or tend not to.
    Learned,
    /// There was no ride for a long time.
    Dormant,
    /// The operator wants one interval for everybody.
    Fixed,
}

impl Because {
    /// Its name, as in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Woken => "woken",
            Self::Found => "found",
            Self::New => "new",
            Self::Learned => "learned",
            Self::Dormant => "dormant",
            Self::Fixed => "fixed",
        }
    }
}

/// A source's place in the plan, and how long it holds; the class itself is the record's place in the plan index.
/// Written when that changes, a few times a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Why.
    pub because: Because,
    /// Since when.
    pub since: Timestamp,
    /// Until when there is nothing to decide.
    pub until: Timestamp,
}
