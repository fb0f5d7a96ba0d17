//! How long rides took to arrive.

use jiff::{SignedDuration, Timestamp};

use super::{Delivery, DeliveryState};

/// Deliveries that are looked at: those that were done last.
pub const LAST: usize = 100;

/// Half of the lags are at most the one, nineteen of twenty at most the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lags {
    /// How many there are.
    pub count: usize,
    /// The median, s.
    pub p50_s: i64,
    /// The 95th percentile (nearest rank), s.
    pub p95_s: i64,
}

impl Lags {
    fn of(mut seconds: Vec<i64>) -> Option<Self> {
        seconds.sort_unstable();
        let at = |percent: usize| seconds.get((seconds.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { count: seconds.len(), p50_s: at(50)?, p95_s: at(95)? })
    }
}

/// The lags of what was delivered last; `None` where nothing tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliveryLags {
    /// From a ride being seen upstream to its delivery.
    pub from_discovery: Option<Lags>,
    /// From the end of the ride itself, on those that were seen within a day of it: rider, phone and provider have
    /// their part in this one.
    pub from_ride_end: Option<Lags>,
}

impl DeliveryLags {
    /// Of the [`LAST`] that were done last among these.
    pub fn of<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> Self {
        let mut done: Vec<_> = deliveries.into_iter().filter_map(done_and_begun).collect();
        done.sort_by_key(|(at, _, _)| std::cmp::Reverse(*at));
        done.truncate(LAST);
        let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs().max(0);
        let from_end = done.iter().filter_map(|(at, _, ended)| Some(seconds((*ended)?, *at)));
        Self {
            from_discovery: Lags::of(done.iter().map(|(at, seen, _)| seconds(*seen, *at)).collect()),
            from_ride_end: Lags::of(from_end.collect()),
        }
    }
}

/// When it was done, when its ride was seen upstream, and when that had ended ([`ride_end`]).
fn done_and_begun(delivery: &Delivery) -> Option<(Timestamp, Timestamp, Option<Timestamp>)> {
    let DeliveryState::Delivered { at, .. } = delivery.state else { return None };
    Some((at, delivery.discovered_at?, ride_end(delivery)))
}

/// When the ride of a delivery had ended, of one that was seen upstream within a day of it: what was uploaded later, or
/// stood on the backlog, says nothing of how long rides take, nor does a head unit whose clock is ahead.
pub fn ride_end(delivery: &Delivery) -> Option<Timestamp> {
    let elapsed = SignedDuration::try_from_secs_f64(delivery.about.elapsed_s?).ok()?;
    let ended = delivery.about.start?.checked_add(elapsed).ok()?;
    let seen_after = delivery.discovered_at?.duration_since(ended);
    (SignedDuration::ZERO..SignedDuration::from_hours(24)).contains(&seen_after).then_some(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Activity, ActivityId, ConnectionId, ContentId, How, Origin, Ride, RideId, UserId};

    fn delivery(number: i64, discovered_at: Option<Timestamp>, took: i64) -> Delivery {
        let begun: Timestamp = "2025-06-01T08:00:00Z".parse().unwrap();
        let connection = ConnectionId::new("igpsport-global-1").unwrap();
        let origin = Origin::Cloud { connection: connection.clone(), ride_id: RideId(1) };
        let ride =
            Activity::new(UserId::new("me").unwrap(), ActivityId::new("a").unwrap(), origin, Ride::default(), begun);
        let mut delivery = Delivery::new(&ride, &connection, ContentId::of(b"x"), begun);
        let at = begun + SignedDuration::from_secs(number * 10_000 + took);
        delivery.state = DeliveryState::Delivered { remote_id: None, how: How::Created, at };
        delivery.discovered_at = discovered_at.map(|_| begun + SignedDuration::from_secs(number * 10_000));
        delivery.about.start = delivery.discovered_at.map(|seen| seen - SignedDuration::from_secs(3900));
        delivery.about.elapsed_s = Some(3600.0);
        delivery
    }

    #[test]
    fn the_last_deliveries_tell_the_lags() {
        let seen = Some(Timestamp::UNIX_EPOCH);
        let mut all: Vec<_> = (1..=200).map(|number| delivery(number, seen, number)).collect();
        let lags = DeliveryLags::of(&all);
        assert_eq!(lags.from_discovery, Some(Lags { count: LAST, p50_s: 150, p95_s: 195 }));
        assert_eq!(lags.from_ride_end, Some(Lags { count: LAST, p50_s: 450, p95_s: 495 }));
        all.push(delivery(300, None, 5));
        assert_eq!(DeliveryLags::of(&all), lags, "what was sent by somebody's wish does not count");
        assert_eq!(DeliveryLags::of(&all[..1]).from_discovery, Some(Lags { count: 1, p50_s: 1, p95_s: 1 }));
        assert_eq!(DeliveryLags::of([]), DeliveryLags::default());
    }

    #[test]
    fn an_end_tells_of_a_lag_only_within_the_day_before_it_was_seen() {
        for (ended_before_s, tells) in [(-1, false), (0, true), (86_399, true), (86_400, false)] {
            let mut ride = delivery(1, Some(Timestamp::UNIX_EPOCH), 5);
            let ended = ride.discovered_at.unwrap() - SignedDuration::from_secs(ended_before_s);
            ride.about.start = Some(ended - SignedDuration::from_secs(3600));
            assert_eq!(ride_end(&ride), tells.then_some(ended), "{ended_before_s}");
        }
    }
}
