//! Athletes, their activities, and what is unknown about the service as switches.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use super::auth::{Bearer, Code};
use super::limit::Bucket;

/// An athlete's id, such as `i40857`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AthleteId(pub String);

impl fmt::Display for AthleteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for AthleteId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

/// The status of a refused credential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedStatus {
    /// 401
    #[default]
    Unauthorized401,
    /// 403
    Forbidden403,
}

/// What uploading a file again means after its activity was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reupload {
    /// A new activity, 201.
    #[default]
    New,
    /// Still a duplicate: 200 with the deleted activity's id.
    Duplicate,
}

/// What plain http gets. The simulator has nothing else, so the default serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlainHttp {
    /// Service.
    #[default]
    Serve,
    /// 308 to https.
    Redirect308,
    /// 403.
    Forbidden403,
}

/// The token bucket of one caller address, on the virtual clock.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests a second.
    pub per_second: f64,
    /// Requests at once.
    pub burst: f64,
    /// Seconds in `Retry-After`, if it is sent.
    #[serde(default)]
    pub retry_after: Option<u64>,
}

/// The switches of Intervals.icu.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntervalsToggles {
    /// The status of a refused credential.
    pub refused_status: RefusedStatus,
    /// All duplicates answer 409 instead of 200.
    pub duplicate_as_409: bool,
    /// A gzipped file is another file than the plain one.
    pub gzip_hash_differs: bool,
    /// Uploading a deleted activity's file again.
    pub reupload: Reupload,
    /// Every new file becomes two activities.
    pub multisport: bool,
    /// A write scope includes reading.
    pub write_implies_read: bool,
    /// The rate limit; none by default.
    pub rate_limit: Option<RateLimit>,
    /// What plain http gets.
    pub plain_http: PlainHttp,
    /// The athlete declines on the consent page.
    pub consent_declined: bool,
    /// The scopes the athlete leaves ticked; all that were asked for when absent.
    pub consent_scopes: Option<Vec<String>>,
}

impl Default for IntervalsToggles {
    fn default() -> Self {
        Self {
            refused_status: RefusedStatus::default(),
            duplicate_as_409: false,
            gzip_hash_differs: false,
            reupload: Reupload::default(),
            multisport: false,
            write_implies_read: true,
            rate_limit: None,
            plain_http: PlainHttp::default(),
            consent_declined: false,
            consent_scopes: None,
        }
    }
}

/// An athlete to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewAthlete {
    /// The id; the next one when absent.
    pub id: Option<AthleteId>,
    /// The name.
    pub name: String,
    /// The API key (a made-up one); made from the seed when absent.
    pub api_key: Option<String>,
    /// The athlete's offset from UTC in seconds.
    pub utc_offset_s: i32,
}

impl Default for NewAthlete {
    fn default() -> Self {
        Self { id: None, name: "Rider".to_owned(), api_key: None, utc_offset_s: 7200 }
    }
}

/// An activity that is there before anybody uploads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewActivity {
    /// The local start.
    pub start_date_local: DateTime,
    /// `STRAVA` makes an empty stub, as for other API clients.
    pub source: String,
    /// The id at its source.
    pub external_id: Option<String>,
    /// The name.
    pub name: String,
    /// Seconds from start to end.
    pub elapsed_s: u32,
    /// Metres.
    pub distance_m: f64,
    /// The hash of its file, if a file is known (lower-case hex SHA-256).
    pub sha256: Option<String>,
}

impl Default for NewActivity {
    fn default() -> Self {
        Self {
            start_date_local: DateTime::constant(2026, 6, 1, 8, 0, 0, 0),
            source: "GARMIN_CONNECT".to_owned(),
            external_id: None,
            name: "Morning ride".to_owned(),
            elapsed_s: 3600,
            distance_m: 25_000.0,
            sha256: None,
        }
    }
}

/// An activity as a test sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActivityView {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub athlete: AthleteId,
    /// The local start.
    pub start_date_local: DateTime,
    /// Where it came from.
    pub source: String,
    /// The id at its source.
    pub external_id: Option<String>,
    /// The name.
    pub name: String,
    /// Its sport.
    pub kind: String,
    /// Seconds from start to end.
    pub elapsed_s: u32,
    /// Metres.
    pub distance_m: f64,
    /// The hash of its file.
    pub sha256: Option<String>,
    /// Whether it was deleted since.
    pub deleted: bool,
}

/// One file received, new or not.
#[derive(Clone, Debug, Serialize)]
pub struct Upload {
    /// To whom.
    pub athlete: AthleteId,
    /// SHA-256 of the bytes received (a file inside a ZIP counts by itself), lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub size: usize,
    /// From the query.
    pub external_id: Option<String>,
    /// From the query.
    pub name: Option<String>,
    /// The status decided, even if the answer was lost.
    pub status: u16,
    /// The activities it became or already was.
    pub activities: Vec<String>,
    /// Arrival, on the virtual clock.
    pub at: Timestamp,
    /// The bytes, when the simulator keeps bodies.
    #[serde(skip)]
    pub bytes: Option<Bytes>,
}

#[derive(Debug)]
pub(crate) struct Athlete {
    pub(crate) id: AthleteId,
    pub(crate) name: String,
    pub(crate) api_key: String,
    pub(crate) utc_offset_s: i32,
    pub(crate) key_revoked: bool,
}

#[derive(Debug, Default)]
pub(crate) struct IntervalsState {
    pub(crate) toggles: IntervalsToggles,
    pub(crate) athletes: BTreeMap<AthleteId, Athlete>,
    pub(crate) keys: HashMap<String, AthleteId>,
    pub(crate) bearers: HashMap<String, Bearer>,
    pub(crate) codes: HashMap<String, Code>,
    pub(crate) activities: BTreeMap<String, ActivityView>,
    /// File hash per athlete → activities made from it.
    pub(crate) by_hash: HashMap<(AthleteId, String), Vec<String>>,
    pub(crate) uploads: Vec<Upload>,
    pub(crate) bucket: Option<Bucket>,
    pub(crate) made: u64,
}

impl IntervalsState {
    /// The next activity id.
    pub(crate) fn next_activity(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{}", 55_610_270 + self.made)
    }

    /// Puts in an activity that nobody uploaded here.
    pub(crate) fn seed(&mut self, athlete: &AthleteId, new: &NewActivity) -> String {
        let prefix = if new.source == "STRAVA" { "" } else { "i" };
        let id = self.next_activity(prefix);
        if let Some(sha256) = &new.sha256 {
            self.by_hash.entry((athlete.clone(), sha256.clone())).or_default().push(id.clone());
        }
        let activity = ActivityView {
            id: id.clone(),
            athlete: athlete.clone(),
            start_date_local: new.start_date_local,
            source: new.source.clone(),
            external_id: new.external_id.clone(),
            name: new.name.clone(),
            kind: "Ride".to_owned(),
            elapsed_s: new.elapsed_s,
            distance_m: new.distance_m,
            sha256: new.sha256.clone(),
            deleted: false,
        };
        self.activities.insert(id.clone(), activity);
        id
    }
}
