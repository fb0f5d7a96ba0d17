//! Rides that are one ride: recorded twice, or made into several files.
//!
//! Rides that belong together form a group with one primary. Only the primary is sent by itself; the others
//! are archived and shown, each with a [`Link`] to the primary. Nothing is deleted, and a rider can undo it.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Activity, ActivityId, ActivityState, Integrity, RecordedFacts, ids::short_digest};

/// Starts of two recorders of one ride are at most this far apart (measured: up to 225 s).
pub const START_CLOSE: SignedDuration = SignedDuration::from_mins(5);
/// Most rides in one group.
pub const MOST_TOGETHER: usize = 12;
/// Two recorders of one ride are never this far apart, m: others of the household on their own ways.
pub const APART_M: f64 = 1000.0;
/// Starts of two files of one recording are at most this far apart.
const START_SAME: SignedDuration = SignedDuration::from_secs(1);
/// Two rides overlap in at least so much, s.
const LEAST_OVERLAP_S: f64 = 60.0;
/// A ride of more than ten days is a clock that jumped, s.
const MOST_ELAPSED_S: f64 = 864_000.0;
/// 1024 weeks: how far a GPS receiver is off whose week counter rolled over, s.
const WEEK_ROLLOVER_S: i64 = 619_315_200;
/// 2010-01-01T00:00:00Z: before it there are unset clocks only.
const CLOCK_FLOOR_S: i64 = 1_262_304_000;
/// FIT manufacturer numbers of programs, not of devices: none, and "development".
const NO_MANUFACTURER: [u16; 2] = [0, 255];
/// Serial numbers that say nothing (1 and the values for "invalid"), as raw bytes in hex, both byte orders.
const NO_SERIAL: [&str; 6] = ["", "01", "00000001", "ffffffff", "ffffff7f", "7fffffff"];

/// Why a ride is linked to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkReason {
    /// Another file of the same recording: edited, exported again, or cut short. A revision.
    SameRecording,
    /// The same ride, recorded by another device.
    SameRide,
    /// The rider said so.
    Rider,
}

impl LinkReason {
    /// The reason as it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::SameRecording => "same_recording",
            Self::SameRide => "same_ride",
            Self::Rider => "rider",
        }
    }

    /// The reason for people, to be followed by the ride it is linked to.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::SameRecording => "revision of",
            Self::SameRide => "same ride, other recorder, as",
            Self::Rider => "linked by you to",
        }
    }
}

/// That a ride is represented by another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The group's primary, which is what is sent.
    pub to: ActivityId,
    /// Why.
    pub why: LinkReason,
    /// Since when.
    pub at: Timestamp,
}

/// How much two rides look like one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// One recording, two files.
    SameRecording,
    /// One ride, two recorders.
    SameRide,
    /// Not sure enough to act on.
    Perhaps(Hunch),
}

impl Likeness {
    /// The reason for a link, where it is sure enough for one.
    pub fn reason(self) -> Option<LinkReason> {
        match self {
            Self::SameRecording => Some(LinkReason::SameRecording),
            Self::SameRide => Some(LinkReason::SameRide),
            Self::Perhaps(_) => None,
        }
    }
}

/// Why two rides may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hunch {
    /// They overlap, but begin or last differently.
    Overlap,
    /// One file holds more activities than the other: all of it would not be sent with either.
    Chained,
    /// Same length and distance, a time zone's difference apart.
    TimeZone,
    /// Same length and distance, 1024 weeks apart.
    WeekRollover,
}

impl Hunch {
    /// The hunch for people.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Overlap => "they overlap, but begin or last differently",
            Self::Chained => "one of the files holds more activities than the other",
            Self::TimeZone => "same length and distance, but a time zone apart: one clock may have been wrong",
            Self::WeekRollover => "same length and distance, but 1024 weeks apart: a GPS receiver's week rolled over",
        }
    }

    /// The hunch as it is written in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Overlap => "overlap",
            Self::Chained => "chained",
            Self::TimeZone => "time_zone",
            Self::WeekRollover => "week_rollover",
        }
    }
}

/// What two rides are compared by.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Start, UTC.
    pub start: Timestamp,
    elapsed_s: f64,
    distance_m: Option<f64>,
    family: Option<String>,
    recording: Option<String>,
    activities: u32,
    is_clock_suspect: bool,
}

impl Trace {
    /// A ride's, where its file says when it began.
    pub fn of(activity: &Activity) -> Option<Self> {
        let facts = activity.ride.recorded.as_ref()?;
        let start = facts.start?;
        let tomorrow = activity.first_seen_at.checked_add(SignedDuration::from_hours(24));
        Some(Self {
            start,
            elapsed_s: facts.elapsed_s.filter(|elapsed| elapsed.is_finite()).unwrap_or(0.0).max(0.0),
            distance_m: facts.distance_m,
            family: facts.sport.as_deref().and_then(family),
            recording: recording(facts),
            activities: facts.activities.max(1),
            is_clock_suspect: start.as_second() < CLOCK_FLOOR_S || tomorrow.is_ok_and(|tomorrow| start > tomorrow),
        })
    }

    /// How much two rides look like one; the same whichever is named first.
    pub fn likeness(&self, other: &Self) -> Option<Likeness> {
        let likeness = self.times_alike(other)?;
        let is_sure = likeness.reason().is_some();
        Some(if is_sure && self.activities != other.activities { Likeness::Perhaps(Hunch::Chained) } else { likeness })
    }

    fn times_alike(&self, other: &Self) -> Option<Likeness> {
        let apart = self.start.duration_since(other.start).abs();
        if apart <= START_SAME && self.recording.is_some() && self.recording == other.recording {
            return Some(Likeness::SameRecording);
        }
        let may_be_one_sport = match (&self.family, &other.family) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        if !may_be_one_sport {
            return None;
        }
        let (shorter, longer) = (self.elapsed_s.min(other.elapsed_s), self.elapsed_s.max(other.elapsed_s));
        let overlap = self.overlap_s(other);
        if overlap >= LEAST_OVERLAP_S && overlap >= 0.6 * shorter && overlap >= 0.5 * longer {
            let is_sure = apart <= START_CLOSE
                && longer - shorter <= 0.1 * longer
                && longer <= MOST_ELAPSED_S
                && !self.is_clock_suspect
                && !other.is_clock_suspect;
            return Some(if is_sure { Likeness::SameRide } else { Likeness::Perhaps(Hunch::Overlap) });
        }
        if overlap > 0.0 || longer - shorter > 2.0 || longer < LEAST_OVERLAP_S || !self.is_as_far(other) {
            return None;
        }
        let apart_s = apart.as_secs();
        let quarter = (apart_s + 450) / 900 * 900;
        if (900..=14 * 3600).contains(&quarter) && (apart_s - quarter).abs() <= 90 {
            return Some(Likeness::Perhaps(Hunch::TimeZone));
        }
        ((apart_s - WEEK_ROLLOVER_S).abs() <= 90).then_some(Likeness::Perhaps(Hunch::WeekRollover))
    }

    /// For how long both were under way, s.
    fn overlap_s(&self, other: &Self) -> f64 {
        let offset = other.start.duration_since(self.start).as_secs_f64();
        let from = offset.max(0.0);
        let to = self.elapsed_s.min(offset + other.elapsed_s);
        (to - from).max(0.0)
    }

    fn is_as_far(&self, other: &Self) -> bool {
        match (self.distance_m, other.distance_m) {
            (Some(a), Some(b)) if a.max(b) > 0.0 => (a - b).abs() <= 0.005 * a.max(b),
            _ => false,
        }
    }
}

/// Sports that different recorders call by different names; `None` fits all.
fn family(sport: &str) -> Option<String> {
    match sport {
        "generic" | "all" | "" => None,
        "cycling" | "e_biking" => Some("cycling".to_owned()),
        "running" | "walking" | "hiking" => Some("foot".to_owned()),
        other => Some(other.to_owned()),
    }
}

/// What a recording keeps through edits and exports: device and creation time. Without a serial number that
/// says something it takes a manufacturer and the very same start.
fn recording(facts: &RecordedFacts) -> Option<String> {
    let created = facts.time_created?;
    let serial = facts.serial.as_deref().filter(|serial| !NO_SERIAL.contains(serial));
    let start = match serial {
        Some(_) => None,
        None => {
            facts.manufacturer.filter(|maker| !NO_MANUFACTURER.contains(maker))?;
            Some(facts.start?)
        }
    };
    let key = (facts.manufacturer, facts.product, serial, created.as_second(), start.map(Timestamp::as_second));
    Some(short_digest(format!("{key:?}").as_bytes()))
}

/// How good a file is for representing its ride: whole before broken, a device's before a program's, then
/// what was measured, then how finely, then how long; then whichever was here first.
pub fn worth(activity: &Activity) -> impl Ord + use<> {
    let facts = activity.ride.recorded.clone().unwrap_or_default();
    let is_whole = match &activity.state {
        ActivityState::Fetched { integrity: Integrity::Intact, .. } => 2,
        ActivityState::Fetched { .. } => 1,
        _ => 0,
    };
    let is_device = facts.manufacturer.is_some_and(|maker| !NO_MANUFACTURER.contains(&maker))
        && facts.serial.as_deref().is_some_and(|serial| !NO_SERIAL.contains(&serial));
    let measured = [facts.avg_power_w.is_some(), facts.avg_heart_rate_bpm.is_some(), facts.has_gps];
    let measured = measured.into_iter().filter(|is_there| *is_there).count();
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds do, and the cast saturates")]
    let elapsed = facts.elapsed_s.unwrap_or(0.0) as i64;
    let first = std::cmp::Reverse((activity.first_seen_at, activity.id.clone()));
    (is_whole, is_device, measured, facts.records, elapsed, first)
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
