//! What was asked, on the wire, in order: the evidence of contract tests.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::igpsport::Region;

/// Which simulated host a request reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// iGPSport's API for the world outside China.
    IgpsportGlobal,
    /// iGPSport's API for mainland China.
    IgpsportChina,
    /// The object store that holds the FIT files of both regions.
    Files,
    /// Intervals.icu.
    Intervals,
    /// A receiver of signed webhooks.
    Webhook,
    /// A host nobody may ever reach; redirects to "private" addresses lead here.
    Trap,
    /// The simulator's own control listener (never journalled).
    Control,
}

impl Role {
    /// Every role, in the order of their ports.
    pub const ALL: [Self; 7] = [
        Self::IgpsportGlobal,
        Self::IgpsportChina,
        Self::Files,
        Self::Intervals,
        Self::Webhook,
        Self::Trap,
        Self::Control,
    ];

    /// The role of a region's API host.
    #[must_use]
    pub fn igpsport(region: Region) -> Self {
        match region {
            Region::Global => Self::IgpsportGlobal,
            Region::China => Self::IgpsportChina,
        }
    }

    /// The name used in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IgpsportGlobal => "igpsport-global",
            Self::IgpsportChina => "igpsport-china",
            Self::Files => "files",
            Self::Intervals => "intervals",
            Self::Webhook => "webhook",
            Self::Trap => "trap",
            Self::Control => "control",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// No such role.
#[derive(Debug, thiserror::Error)]
#[error("no simulated service is called {0:?}")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == s).ok_or_else(|| UnknownRole(s.to_owned()))
    }
}

/// One part of a `multipart/form-data` body, in the order sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartSeen {
    /// The part's name.
    pub name: String,
    /// The file name it declared.
    pub file_name: Option<String>,
    /// Its size in bytes.
    pub size: usize,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
}

/// One request as it arrived, and the answer it got.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Counts all requests since the start, from 0, over all roles.
    pub seq: u64,
    /// Arrival, on the virtual clock.
    pub at: Timestamp,
    /// The host asked.
    pub role: Role,
    /// The route's name (as in fault rules), `unknown` for a path no service has.
    pub route: &'static str,
    /// The method.
    pub method: String,
    /// The path, undecoded.
    pub path: String,
    /// The query as sent, undecoded, without the question mark.
    pub query: Option<String>,
    /// Header names (lower case) and values in the order sent; a repeated name stands where it first stood.
    pub headers: Vec<(String, String)>,
    /// The size of the body in bytes.
    pub body_size: usize,
    /// SHA-256 of the body, lower-case hex; `None` for an empty or multipart body.
    pub body_sha256: Option<String>,
    /// The parts of a multipart body.
    pub parts: Vec<PartSeen>,
    /// The status answered; `None` when the connection was cut without an answer (or it is still under way).
    pub status: Option<u16>,
    /// The fault that shaped the answer.
    pub fault: Option<String>,
}

impl Entry {
    /// The value of the named header (lower case), the first if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The newest requests, bounded, with counters that are not.
#[derive(Debug)]
pub(crate) struct Journal {
    cap: usize,
    next: u64,
    entries: VecDeque<Entry>,
    counts: BTreeMap<(Role, &'static str), u64>,
}

impl Journal {
    pub(crate) fn new(cap: usize) -> Self {
        Self { cap, next: 0, entries: VecDeque::new(), counts: BTreeMap::new() }
    }

    pub(crate) fn open(&mut self, mut entry: Entry) -> u64 {
        let seq = self.next;
        self.next += 1;
        *self.counts.entry((entry.role, entry.route)).or_default() += 1;
        if self.cap > 0 {
            if self.entries.len() == self.cap {
                self.entries.pop_front();
            }
            entry.seq = seq;
            self.entries.push_back(entry);
        }
        seq
    }

    pub(crate) fn close(&mut self, seq: u64, status: Option<u16>, fault: Option<String>) {
        let first = self.entries.front().map_or(u64::MAX, |entry| entry.seq);
        let Some(index) = seq.checked_sub(first).and_then(|offset| usize::try_from(offset).ok()) else {
            return;
        };
        if let Some(entry) = self.entries.get_mut(index) {
            entry.status = status;
            entry.fault = fault;
        }
    }

    pub(crate) fn since(&self, seq: u64) -> Vec<Entry> {
        self.entries.iter().filter(|entry| entry.seq >= seq).cloned().collect()
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next
    }

    pub(crate) fn count(&self, role: Role, route: Option<&str>) -> u64 {
        self.counts
            .iter()
            .filter(|((r, name), _)| *r == role && route.is_none_or(|route| route == *name))
            .map(|(_, count)| count)
            .sum()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.iter().map(|((role, route), count)| (format!("{role}/{route}"), *count)).collect()
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.counts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            seq: 0,
            at: Timestamp::UNIX_EPOCH,
            role: Role::Files,
            route: "file",
            method: "GET".into(),
            path: "/x".into(),
            query: None,
            headers: vec![("accept".into(), "*/*".into())],
            body_size: 0,
            body_sha256: None,
            parts: Vec::new(),
            status: None,
            fault: None,
        }
    }

    #[test]
    fn old_entries_leave_and_counters_stay() {
        let mut journal = Journal::new(2);
        let first = journal.open(entry());
        journal.open(entry());
        let third = journal.open(entry());
        journal.close(first, Some(200), None);
        journal.close(third, Some(404), Some("oss_error".into()));
        let kept = journal.since(0);
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[1].status, Some(404));
        assert_eq!(kept[0].status, None);
        assert_eq!(journal.count(Role::Files, Some("file")), 3);
        assert_eq!(journal.since(third).len(), 1);
    }

    #[test]
    fn role_names_are_those_of_json() {
        for role in Role::ALL {
            let json = serde_json::to_value(role).expect("a role serialises");
            assert_eq!(json, role.as_str());
            assert_eq!(role.as_str().parse::<Role>().expect("known"), role);
        }
        assert!("igpsport".parse::<Role>().is_err());
    }
}
