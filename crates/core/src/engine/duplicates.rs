//! Which rides are one, and which may be: for the rider to look at.

use jiff::{SignedDuration, Timestamp};

use super::{Engine, EngineError, group::Group};
use crate::domain::{Activity, ActivityId, ActivityState, Likeness, Trace, UserId};

/// Most suggestions; more than this is a clock that never ran, and no list to read.
const MOST_SUGGESTIONS: usize = 200;
/// Rides further apart than this look alike only by the rollover of a GPS week.
const WINDOW: SignedDuration = SignedDuration::from_mins(14 * 60 + 2);
/// 1024 weeks, less a little.
const ROLLOVER: SignedDuration = SignedDuration::from_secs(619_315_200 - 90);
/// How far around it is looked.
const ROLLOVER_WIDTH: SignedDuration = SignedDuration::from_secs(180);

/// Two rides that may be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The one that began first.
    pub first: ActivityId,
    /// The other.
    pub second: ActivityId,
    /// How alike they are. Surely alike are only rides that cannot be linked by themselves: their group is
    /// full, or the rider said that others of it are different rides.
    pub likeness: Likeness,
}

/// What [`Engine::duplicates`] finds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Duplicates {
    /// Rides that are linked, by their primary's start.
    pub groups: Vec<Group>,
    /// Rides that may be one, but are not linked.
    pub suggestions: Vec<Suggestion>,
}

impl Engine {
    /// Goes through all of a rider's rides: the groups, and what looks alike without being linked. It reads
    /// every ride, so it is for a person's command only.
    pub async fn duplicates(&self, user: &UserId) -> Result<Duplicates, EngineError> {
        let rides = self.store.all::<Activity>(user, "activity/").await?;
        let rides: Vec<_> = rides.into_iter().map(|stored| stored.doc).collect();
        Ok(among(&rides))
    }
}

/// What there is among those rides.
fn among(rides: &[Activity]) -> Duplicates {
    let mut timed: Vec<_> = rides.iter().filter_map(|ride| Some((Trace::of(ride)?, ride))).collect();
    timed.retain(|(_, ride)| matches!(ride.state, ActivityState::Fetched { .. }));
    timed.sort_by_key(|(trace, ride)| (trace.start, ride.id.clone()));
    let mut suggestions = Vec::new();
    for (at, (trace, ride)) in timed.iter().enumerate() {
        let near = timed.iter().skip(at + 1).take_while(|(other, _)| other.start.duration_since(trace.start) <= WINDOW);
        let from = trace.start.checked_add(ROLLOVER).unwrap_or(Timestamp::MAX);
        let to = from.checked_add(ROLLOVER_WIDTH).unwrap_or(Timestamp::MAX);
        let first_far = timed.partition_point(|(other, _)| other.start < from);
        let far = timed.iter().skip(first_far).take_while(|(other, _)| other.start <= to);
        for (other_trace, other) in near.chain(far) {
            let is_one = ride.primary() == other.primary();
            if is_one || ride.is_apart_from(other) || suggestions.len() >= MOST_SUGGESTIONS {
                continue;
            }
            if let Some(likeness) = trace.likeness(other_trace) {
                suggestions.push(Suggestion { first: ride.id.clone(), second: other.id.clone(), likeness });
            }
        }
    }
    let mut groups: Vec<_> = rides
        .iter()
        .filter(|ride| !ride.linked.is_empty())
        .map(|primary| {
            let others = rides.iter().filter(|ride| primary.linked.contains(&ride.id)).cloned().collect();
            Group { primary: primary.clone(), others }
        })
        .collect();
    groups.sort_by_key(|group| group.primary.ride.start());
    Duplicates { groups, suggestions }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContentId, Hunch, Integrity, Origin, RecordedFacts, Ride};

    fn ride(id: &str, start: &str) -> Activity {
        let facts = RecordedFacts {
            start: Some(start.parse().unwrap()),
            elapsed_s: Some(3600.0),
            distance_m: Some(30_000.0),
            ..RecordedFacts::default()
        };
        let ride = Ride { recorded: Some(facts), ..Ride::default() };
        let origin = Origin::File { name: id.to_owned() };
        let (user, name) = (UserId::new("me").unwrap(), ActivityId::new(id).unwrap());
        let mut ride = Activity::new(user, name, origin, ride, "2026-06-01T00:00:00Z".parse().unwrap());
        let content = ContentId::of(id.as_bytes());
        ride.state = ActivityState::Fetched { content, size_bytes: 1, integrity: Integrity::Intact };
        ride
    }

    #[test]
    fn what_looks_alike_is_suggested_once_and_what_was_split_is_not() {
        let overlap = ride("b", "2026-05-01T06:20:00Z");
        let mut split = ride("c", "2026-05-01T06:25:00Z");
        split.apart = vec![overlap.id.clone()];
        let rides = vec![
            ride("a", "2026-05-01T06:00:00Z"),
            overlap,
            split,
            ride("zone", "2026-05-01T14:00:30Z"),
            ride("old", "2006-09-15T06:00:00Z"),
            ride("other", "2026-05-09T06:00:00Z"),
        ];
        let found = among(&rides);
        let pairs: Vec<_> = found
            .suggestions
            .iter()
            .map(|found| (found.first.as_str(), found.second.as_str(), found.likeness))
            .collect();
        assert_eq!(
            pairs,
            [
                ("old", "a", Likeness::Perhaps(Hunch::WeekRollover)),
                ("a", "b", Likeness::Perhaps(Hunch::Overlap)),
                ("a", "zone", Likeness::Perhaps(Hunch::TimeZone)),
            ]
        );
        assert!(found.groups.is_empty());
    }
}
