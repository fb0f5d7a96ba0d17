//! When a rider's rides tend to appear upstream: what the plan of polls is learned from.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset};
use serde::{Deserialize, Serialize};

use super::{ConnectionId, Ride, UserId};

/// Rides that are remembered: a few months of a busy rider, a year of a quiet one.
pub const MOST_ARRIVALS: usize = 40;

/// One ride, on the rider's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Arrival {
    /// When it ended, to the minute.
    pub ended: DateTime,
    /// Minutes from then until it was seen upstream; `None` where it was there before anybody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_after: Option<u32>,
}

/// What is learned of the rides of a source. Small and bounded; a ride that is not noted costs nothing but a
/// little sharpness, so nothing depends on its being complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Habits {
    /// Whose.
    pub user: UserId,
    /// Of which source.
    pub connection: ConnectionId,
    /// Minutes that the rider's wall clock is ahead of UTC, as the ride that ended last has it.
    pub offset_minutes: i16,
    /// The rides that ended last, earliest first; at most [`MOST_ARRIVALS`].
    pub arrivals: Vec<Arrival>,
}

impl Habits {
    /// Rides that ended longer ago say nothing about the rider's weeks now.
    pub const OLDEST: SignedDuration = SignedDuration::from_hours(24 * 200);

    /// Nothing learned yet.
    pub fn new(user: UserId, connection: ConnectionId) -> Self {
        Self { user, connection, offset_minutes: 0, arrivals: Vec::new() }
    }

    /// Notes a ride; `seen_at` is when it was seen upstream, where it came after the source was connected.
    /// `false` where that changes nothing: its end is not known, it is old, or it is noted already.
    pub fn note(&mut self, ride: &Ride, seen_at: Option<Timestamp>, now: Timestamp) -> bool {
        let (Some(end), Some(offset_minutes)) = (ride.end(), offset_minutes(ride)) else { return false };
        if end > now || now.duration_since(end) > Self::OLDEST {
            return false;
        }
        let Some(ended) = local(end, offset_minutes) else { return false };
        let minutes = |seen: Timestamp| u32::try_from(seen.duration_since(end).as_mins()).ok();
        let arrival = Arrival { ended, seen_after: seen_at.and_then(minutes) };
        let place = self.arrivals.partition_point(|known| known.ended < ended);
        let is_known = self.arrivals.get(place).is_some_and(|known| known.ended == ended);
        if is_known || (place == 0 && self.arrivals.len() >= MOST_ARRIVALS) {
            return false;
        }
        if place == self.arrivals.len() {
            self.offset_minutes = offset_minutes;
        }
        self.arrivals.insert(place, arrival);
        let surplus = self.arrivals.len().saturating_sub(MOST_ARRIVALS);
        self.arrivals.drain(..surplus);
        true
    }

    /// A moment on the rider's wall clock.
    pub fn local(&self, at: Timestamp) -> DateTime {
        local(at, self.offset_minutes).unwrap_or_else(|| Offset::UTC.to_datetime(at))
    }

    /// A moment of the rider's wall clock in UTC.
    pub fn utc(&self, at: DateTime) -> Timestamp {
        let offset = Offset::from_seconds(i32::from(self.offset_minutes) * 60).unwrap_or(Offset::UTC);
        offset.to_timestamp(at).unwrap_or(Timestamp::MAX)
    }
}

/// That moment on a wall clock, to the minute.
fn local(at: Timestamp, offset_minutes: i16) -> Option<DateTime> {
    let minute = Timestamp::from_second(at.as_second().div_euclid(60) * 60).ok()?;
    Some(Offset::from_seconds(i32::from(offset_minutes) * 60).ok()?.to_datetime(minute))
}

/// How far the rider's wall clock was ahead of UTC in a ride: as the file says, else as the cloud's local start
/// tells, to the quarter of an hour.
fn offset_minutes(ride: &Ride) -> Option<i16> {
    let recorded = ride.recorded.as_ref();
    let seconds = recorded.and_then(|facts| facts.utc_offset_s).map(i64::from).or_else(|| {
        let local = ride.detail.as_ref()?.local_start?;
        let apart = Offset::UTC.to_timestamp(local).ok()?.duration_since(ride.start()?).as_secs();
        Some((apart + 450).div_euclid(900) * 900)
    })?;
    i16::try_from(seconds / 60).ok().filter(|minutes| (-12 * 60..=14 * 60).contains(minutes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{DetailFacts, RecordedFacts};

    fn ride(start: &str, minutes: f64, offset: Option<i32>) -> Ride {
        let recorded = RecordedFacts {
            start: Some(start.parse().unwrap()),
            utc_offset_s: offset,
            elapsed_s: Some(minutes * 60.0),
            ..RecordedFacts::default()
        };
        Ride { recorded: Some(recorded), ..Ride::default() }
    }

    fn habits() -> Habits {
        Habits::new(UserId::new("me").unwrap(), ConnectionId::new("igpsport-global-1").unwrap())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_ride_is_noted_once_on_the_riders_wall_clock() {
        let mut habits = habits();
        let ride = ride("2025-06-01T15:00:10Z", 60.0, Some(7200));
        let now = at("2025-06-01T16:20:00Z");
        assert!(habits.note(&ride, Some(at("2025-06-01T16:12:00Z")), now));
        assert!(!habits.note(&ride, None, now), "it is noted");
        let expected = Arrival { ended: "2025-06-01T18:00:00".parse().unwrap(), seen_after: Some(11) };
        assert_eq!((habits.arrivals.as_slice(), habits.offset_minutes), ([expected].as_slice(), 120));
        assert_eq!(habits.local(now).to_string(), "2025-06-01T18:20:00");
        assert_eq!(habits.utc(habits.local(now)), now);
    }

    #[test]
    fn the_clouds_wall_clock_tells_the_zone_where_the_file_does_not() {
        let mut habits = habits();
        let mut ride = ride("2025-06-01T15:00:10Z", 60.0, None);
        assert!(!habits.note(&ride, None, at("2025-06-02T00:00:00Z")), "no zone, no habit");
        let local_start = Some("2025-06-01T20:44:50".parse().unwrap());
        ride.detail = Some(DetailFacts { local_start, ..DetailFacts::default() });
        assert!(habits.note(&ride, None, at("2025-06-02T00:00:00Z")));
        assert_eq!(habits.offset_minutes, 345);
        assert_eq!(habits.arrivals[0].seen_after, None);
    }

    #[test]
    fn what_is_old_or_to_come_is_not_noted_and_the_record_stays_small() {
        let mut habits = habits();
        let now = at("2025-06-01T00:00:00Z");
        assert!(!habits.note(&ride("2024-06-01T00:00:00Z", 60.0, Some(0)), None, now));
        assert!(!habits.note(&ride("2025-06-02T00:00:00Z", 60.0, Some(0)), None, now));
        for day in 0..120_i64 {
            let start = now - SignedDuration::from_hours(24 * (120 - day));
            habits.note(&ride(&start.to_string(), 60.0, Some(0)), None, now);
        }
        assert_eq!(habits.arrivals.len(), MOST_ARRIVALS);
        assert!(habits.arrivals.is_sorted());
        assert_eq!(habits.arrivals.last().unwrap().ended.to_string(), "2025-05-31T01:00:00");
        assert!(!habits.note(&ride("2025-03-01T00:00:00Z", 60.0, Some(0)), None, now), "older than all of them");
        assert!(serde_json::to_string(&habits).unwrap().len() < 3000);
    }
}
