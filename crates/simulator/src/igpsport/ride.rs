//! Rides: what a test asks for, and what the cloud then holds.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{MemberId, RideId};
use crate::ridefile::{Facts, RideFile};

/// Where a ride's FIT bytes come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FileSpec {
    /// A synthetic ride of a few kilobytes.
    Small,
    /// A synthetic ride of the usual size, about 75 KB.
    Standard,
    /// A broken file (the names are in [`MALFORMED`](crate::MALFORMED)).
    Malformed {
        /// Its name.
        name: String,
    },
    /// These bytes.
    Base64 {
        /// The bytes, base64.
        data: String,
    },
    /// A file on this machine, read on first use.
    Path {
        /// Where it is.
        path: PathBuf,
    },
    /// The very bytes of another ride of the same region.
    SameAs {
        /// That ride.
        ride: RideId,
    },
    /// These bytes (not available over the control listener; use `base64` there).
    #[serde(skip)]
    Bytes(Bytes),
}

/// How a ride's list row is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowShape {
    /// As it should be.
    #[default]
    Normal,
    /// `rideId` is text.
    IdAsText,
    /// There is no `rideId`.
    IdMissing,
    /// `rideId` is an object.
    IdObject,
    /// `rideId` is a number beyond 64 signed bits.
    IdHuge,
    /// The row is a text, not an object.
    NotAnObject,
}

/// A ride to be added. Everything has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewRide {
    /// The ride's number; the region's next one when absent.
    pub ride_id: Option<RideId>,
    /// When it was ridden; when absent, two hours ago, or earlier where the member has a ride about then.
    pub start: Option<Timestamp>,
    /// The title; may be `None`, empty, or hold control characters.
    pub title: Option<String>,
    /// Its FIT file.
    pub file: FileSpec,
    /// Makes synthetic bytes differ; derived from the ride's number when absent.
    pub seed: Option<u64>,
    /// The detail shows no `fitUrl` to this many calls.
    pub detail_ready_after: u32,
    /// `getDownloadUrl` has nothing for this many calls.
    pub download_ready_after: u32,
    /// Neither has anything until this many virtual seconds after the upload.
    pub ready_after_s: i64,
    /// How its row is written.
    pub row: RowShape,
    /// The row appears twice, next to itself (so that it may straddle two pages).
    pub twice: bool,
    /// iGPSport says it already pushed this ride to Strava.
    pub on_strava: bool,
    /// Distance shown, metres; made up when absent.
    pub distance_m: Option<f64>,
    /// Moving time shown, seconds; made up when absent.
    pub moving_s: Option<u32>,
}

impl Default for NewRide {
    fn default() -> Self {
        Self {
            ride_id: None,
            start: None,
            title: Some("Outdoor cycling".to_owned()),
            file: FileSpec::Small,
            seed: None,
            detail_ready_after: 0,
            download_ready_after: 0,
            ready_after_s: 0,
            row: RowShape::Normal,
            twice: false,
            on_strava: false,
            distance_m: None,
            moving_s: None,
        }
    }
}

impl NewRide {
    /// A small ride that began at `start`.
    #[must_use]
    pub fn at(start: Timestamp) -> Self {
        Self { start: Some(start), ..Self::default() }
    }
}

/// Many rides at once, the newest first in the list and with the highest number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RideBatch {
    /// How many.
    pub count: usize,
    /// When the newest began; when absent, two hours ago, or earlier where the member has a ride about then.
    pub newest: Option<Timestamp>,
    /// Seconds between two starts.
    pub spacing_s: u32,
    /// What each is like; its number, start and seed are ignored.
    pub ride: NewRide,
}

impl Default for RideBatch {
    fn default() -> Self {
        Self { count: 1, newest: None, spacing_s: 26 * 3600, ride: NewRide::default() }
    }
}

impl RideBatch {
    /// `count` small rides, 26 hours apart.
    #[must_use]
    pub fn small(count: usize) -> Self {
        Self { count, ..Self::default() }
    }

    /// `count` rides of the usual size, 26 hours apart.
    #[must_use]
    pub fn standard(count: usize) -> Self {
        Self { count, ride: NewRide { file: FileSpec::Standard, ..NewRide::default() }, ..Self::default() }
    }
}

/// A ride as a test sees it.
#[derive(Clone, Debug, Serialize)]
pub struct RideView {
    /// Its number.
    pub ride_id: RideId,
    /// Whose it is.
    pub member_id: MemberId,
    /// When it began.
    pub start: Timestamp,
    /// Its title.
    pub title: Option<String>,
    /// When it reached the cloud.
    pub uploaded_at: Timestamp,
    /// Whether it was deleted since.
    pub deleted: bool,
    /// The path of its file at the file host.
    pub file_path: String,
}

/// A ride in the cloud.
#[derive(Debug)]
pub(crate) struct Ride {
    pub(crate) id: RideId,
    pub(crate) member: MemberId,
    pub(crate) start: Timestamp,
    pub(crate) title: Option<String>,
    pub(crate) facts: Facts,
    pub(crate) file: Arc<RideFile>,
    pub(crate) file_path: String,
    pub(crate) uploaded_at: Timestamp,
    pub(crate) ready_at: Timestamp,
    pub(crate) detail_waits: u32,
    pub(crate) download_waits: u32,
    pub(crate) row: RowShape,
    pub(crate) on_strava: bool,
    pub(crate) deleted: bool,
}

impl Ride {
    pub(crate) fn view(&self) -> RideView {
        RideView {
            ride_id: self.id,
            member_id: self.member,
            start: self.start,
            title: self.title.clone(),
            uploaded_at: self.uploaded_at,
            deleted: self.deleted,
            file_path: self.file_path.clone(),
        }
    }
}
