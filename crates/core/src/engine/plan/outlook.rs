//! How often a source is to be polled from now on, and until when that holds.

use jiff::{SignedDuration, Timestamp};

use super::rhythm::{Rhythm, Window, usual_delay};
use crate::{
    domain::{Because, Habits, ids::stable_hash, plan::Planned},
    ports::PollClass,
};

/// With fewer rides there is nothing to learn from.
pub const ENOUGH_RIDES: usize = 8;
/// Who has had no ride for so long is dormant.
pub const DORMANT_AFTER: SignedDuration = SignedDuration::from_hours(24 * 45);
/// Who has connected and shows no ride at all for so long is as good as dormant.
const UNSEEN_AFTER: SignedDuration = SignedDuration::from_hours(24 * 7);
/// When new riders, of whom little is known, are polled as warm: hours of their day, and those of what they have shown.
const DAYTIME: (usize, usize) = (8, 21);
/// As long as nothing is known of a rider, it is looked again after so long whether something is.
/// (Older rides are fetched within minutes of connecting.)
const UNKNOWN_FOR: SignedDuration = SignedDuration::from_hours(12);
/// The end of what needs no end.
const LONG: SignedDuration = SignedDuration::from_hours(24 * 30);

/// A class, why, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlook {
    /// How often.
    pub class: PollClass,
    /// Why.
    pub because: Because,
    /// When to look again: the window's end, or, while it is cold, the beginning of the next window.
    pub until: Timestamp,
    /// The warm stretch that it is about, on the rider's wall clock.
    pub window: Option<Window>,
}

/// What a rider's habits say about the time from `now` on. Decided when a source is polled; `next_turn` is when
/// it comes round again if it becomes cold, so what begins before that is warm already.
pub fn outlook(habits: Option<&Habits>, connected_at: Timestamp, now: Timestamp, next_turn: Timestamp) -> Outlook {
    let learned = habits.filter(|habits| !habits.arrivals.is_empty());
    let last_ride = learned.and_then(|habits| Some(habits.utc(habits.arrivals.last()?.ended)));
    // The account's older rides may all be from before.
    let last_sign = last_ride.map_or(connected_at, |ended| ended.max(connected_at));
    let patience = if last_ride.is_some() { DORMANT_AFTER } else { UNSEEN_AFTER };
    let dormant_at = last_sign.checked_add(patience).unwrap_or(Timestamp::MAX);
    if dormant_at <= now {
        let until = now.checked_add(LONG).unwrap_or(Timestamp::MAX);
        return Outlook { class: PollClass::Cold, because: Because::Dormant, until, window: None };
    }
    let (because, rhythm) = match learned {
        Some(habits) if habits.arrivals.len() >= ENOUGH_RIDES => (Because::Learned, Rhythm::of(habits)),
        Some(habits) => (Because::New, Rhythm::daily(DAYTIME.0, DAYTIME.1).or(&Rhythm::of(habits))),
        // Nobody knows when this rider's night is.
        None => (Because::New, Rhythm::daily(0, 24)),
    };
    let of_utc = |at| learned.map_or_else(|| jiff::tz::Offset::UTC.to_datetime(at), |habits| habits.local(at));
    let in_utc = |at| {
        learned
            .map_or_else(|| jiff::tz::Offset::UTC.to_timestamp(at).unwrap_or(Timestamp::MAX), |habits| habits.utc(at))
    };
    let Some(window) = rhythm.window_at(of_utc(now)) else {
        return Outlook { class: PollClass::Cold, because, until: dormant_at, window: None };
    };
    let (class, until) = match in_utc(window.from) < next_turn {
        true => (PollClass::Warm, in_utc(window.to)),
        false => (PollClass::Cold, in_utc(window.from)),
    };
    let known_until = match learned {
        Some(_) => until,
        None => until.min(now.checked_add(UNKNOWN_FOR).unwrap_or(Timestamp::MAX)),
    };
    Outlook { class, because, until: known_until.min(dormant_at), window: Some(window) }
}

/// Whether a plan still holds at a poll: while it is warm until its end; while it is cold as long as the next
/// turn comes before the window.
pub fn holds(planned: &Planned, class: PollClass, now: Timestamp, next_turn: Timestamp) -> bool {
    match class {
        PollClass::Cold => next_turn <= planned.until,
        PollClass::Hot | PollClass::Warm => now < planned.until,
    }
}

/// The minutes in which a source is polled follow from a hash, so that sources spread out by themselves. A source's
/// cold minute is one of its warm minutes, and those are hot ones: whatever its class changes to, it is polled in
/// each minute that its cold class names.
pub fn slot_of(user: &str, connection: &str, class: PollClass) -> u16 {
    let hash = stable_hash(&format!("{user}/{connection}"));
    u16::try_from(hash % u64::from(PollClass::Cold.slots()) % u64::from(class.slots())).unwrap_or(0)
}

/// The next minute in which a class's slot comes round, after the minute of `now`.
pub fn next_turn(class: PollClass, slot: u16, now: Timestamp) -> Timestamp {
    let (period, minute) = (i64::from(class.slots()), now.as_second().div_euclid(60));
    let ahead = (i64::from(slot) - (minute + 1)).rem_euclid(period) + 1;
    Timestamp::from_second((minute + ahead) * 60).unwrap_or(Timestamp::MAX)
}

/// The last minute, that of `now` or before, in which a class's slot came round.
pub fn last_turn(class: PollClass, slot: u16, now: Timestamp) -> Timestamp {
    let (period, minute) = (i64::from(class.slots()), now.as_second().div_euclid(60));
    let back = (minute - i64::from(slot)).rem_euclid(period);
    Timestamp::from_second((minute - back) * 60).unwrap_or(Timestamp::MIN)
}

/// How many of a rider's last rides appeared at the hours of a window, of how many.
pub fn within(habits: &Habits, window: &Window) -> (usize, usize) {
    const LAST: usize = 20;
    let delay = usual_delay(&habits.arrivals);
    let last = habits.arrivals.iter().rev().take(LAST);
    let (from, long) = (window.from.time(), window.to.duration_since(window.from));
    let inside = last.clone().filter(|arrival| {
        let minutes = i64::from(arrival.seen_after.unwrap_or(delay));
        let appeared = arrival.ended.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(arrival.ended);
        let after = appeared.time().duration_since(from);
        let after = if after.is_negative() { after + SignedDuration::from_hours(24) } else { after };
        after < long
    });
    (inside.count(), last.count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ConnectionId, UserId, habits::Arrival};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Rides that appear at 17:10 each day, two hours ahead of UTC, until the end of May.
    fn evenings(days: i64) -> Habits {
        let mut habits = Habits::new(UserId::new("me").unwrap(), ConnectionId::new("igpsport-global-1").unwrap());
        habits.offset_minutes = 120;
        let last: jiff::civil::DateTime = "2025-05-31T17:00:00".parse().unwrap();
        habits.arrivals = (0..days)
            .rev()
            .map(|back| Arrival { ended: last - SignedDuration::from_hours(24 * back), seen_after: Some(10) })
            .collect();
        habits
    }

    fn look(habits: Option<&Habits>, now: &str) -> Outlook {
        let now = at(now);
        outlook(habits, at("2025-05-01T00:00:00Z"), now, next_turn(PollClass::Cold, 0, now))
    }

    #[test]
    fn the_classes_of_a_rider_over_a_day() {
        let habits = evenings(30);
        let night = look(Some(&habits), "2025-06-01T02:00:00Z");
        assert_eq!((night.class, night.because), (PollClass::Cold, Because::Learned));
        let window = night.window.unwrap();
        assert_eq!(night.until, habits.utc(window.from));
        let evening = look(Some(&habits), "2025-06-01T15:05:00Z");
        assert_eq!((evening.class, evening.window), (PollClass::Warm, Some(window)));
        assert_eq!(evening.until, habits.utc(window.to));
        assert_eq!(within(&habits, &window), (20, 20));
        // What begins before the next cold turn is warm already.
        let before = look(Some(&habits), &(habits.utc(window.from) - SignedDuration::from_mins(1)).to_string());
        assert_eq!(before.class, PollClass::Warm);
    }

    #[test]
    fn new_riders_are_warm_by_day_and_dormant_ones_cold() {
        let new = look(Some(&evenings(3)), "2025-06-01T12:00:00Z");
        assert_eq!((new.class, new.because), (PollClass::Warm, Because::New));
        assert_eq!(look(Some(&evenings(3)), "2025-06-01T00:00:00Z").class, PollClass::Cold);
        let unknown = look(None, "2025-05-05T00:00:00Z");
        assert_eq!((unknown.class, unknown.because), (PollClass::Warm, Because::New));
        assert_eq!(look(None, "2025-05-09T00:00:00Z").because, Because::Dormant, "nothing to see in a week");
        for habits in [None, Some(&evenings(30))] {
            let dormant = look(habits, "2025-07-20T15:05:00Z");
            assert_eq!((dormant.class, dormant.because), (PollClass::Cold, Because::Dormant));
        }
    }

    #[test]
    fn turns_follow_from_the_slot() {
        let now = at("2025-06-01T02:10:30Z");
        assert_eq!(next_turn(PollClass::Hot, 0, now), at("2025-06-01T02:11:00Z"));
        assert_eq!(next_turn(PollClass::Warm, 0, now), at("2025-06-01T02:15:00Z"));
        assert_eq!(next_turn(PollClass::Cold, 10, now), at("2025-06-01T03:10:00Z"));
        assert_eq!(last_turn(PollClass::Cold, 10, now), at("2025-06-01T02:10:00Z"));
        assert_eq!(last_turn(PollClass::Warm, 1, now), at("2025-06-01T02:06:00Z"));
        assert_eq!(last_turn(PollClass::Hot, 0, now), at("2025-06-01T02:10:00Z"));
    }

    #[test]
    fn a_cold_minute_is_a_warm_minute_too() {
        for rider in 0..200 {
            let slot = |class| slot_of(&format!("rider{rider}"), "igpsport-global-1", class);
            assert_eq!(slot(PollClass::Cold) % 5, slot(PollClass::Warm));
            assert_eq!(slot(PollClass::Hot), 0);
        }
    }

    #[test]
    fn a_cold_plan_ends_with_the_last_turn_before_its_window() {
        let planned =
            Planned { because: Because::Learned, since: at("2025-06-01T00:00:00Z"), until: at("2025-06-01T15:00:00Z") };
        let holds_at = |class, now: &str, next: &str| holds(&planned, class, at(now), at(next));
        assert!(holds_at(PollClass::Cold, "2025-06-01T13:10:00Z", "2025-06-01T14:10:00Z"));
        assert!(!holds_at(PollClass::Cold, "2025-06-01T14:10:00Z", "2025-06-01T15:10:00Z"));
        assert!(holds_at(PollClass::Warm, "2025-06-01T14:10:00Z", "2025-06-01T15:10:00Z"));
        assert!(!holds_at(PollClass::Warm, "2025-06-01T15:00:00Z", "2025-06-01T15:10:00Z"));
    }
}
