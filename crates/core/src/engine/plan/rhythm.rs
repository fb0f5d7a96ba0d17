//! The hours of a week in which a rider's rides tend to appear, from the rides that appeared last.

use jiff::{
    SignedDuration,
    civil::{DateTime, Weekday},
};

use crate::domain::{Habits, habits::Arrival};

/// Minutes in a bin.
const BIN: usize = 10;
/// Bins of a day.
const DAY: usize = 24 * 60 / BIN;
/// Bins of a week.
const WEEK: usize = 7 * DAY;
/// The part of what is expected that the warm hours are to cover.
const COVER: f64 = 0.985;
/// Rides a week that a warm bin is to bring at least.
const WORTH: f64 = 0.003;
/// Most warm hours a day, on average: 12 hours of polls each five minutes and 12 of polls each hour are about half of
/// what polling each five minutes takes.
const MOST_HOURS: usize = 12;
/// A ride counts half of one that ended this many days later.
const HALF_LIFE_DAYS: f64 = 42.0;
/// A ride is expected again at the same hour of any day, besides, half as likely for each so many days that have passed
/// until the newest: shifts, races and holidays are over before a weekday shows them twice.
const FRESH_HALF_LIFE_DAYS: f64 = 4.0;
/// How much of a ride is expected again on its own weekday; on the days of its kind (workdays, weekend); on all.
const SHARES: [f64; 3] = [0.35, 0.45, 0.20];
/// Bins before and after a ride's arrival that are as likely as the arrival itself.
const AROUND: [usize; 2] = [1, 3];
/// Bins over which the likelihood then falls to nothing, on either side.
const TAIL: usize = 8;
/// Cold bins between warm ones that are not worth two changes of the class.
const SHORTEST_GAP: usize = 6;
/// A ride seen later than this was synced late: its end and its arrival are habits of their own.
const LATE_MINUTES: u32 = 120;
/// How far before it was seen a ride may have appeared: the cold period.
const MOST_UNSEEN_MINUTES: u32 = 60;

/// A stretch of time on the rider's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first minute.
    pub from: DateTime,
    /// The minute after its last.
    pub to: DateTime,
}

/// The warm bins of a rider's week.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rhythm {
    warm: Vec<bool>,
}

impl Rhythm {
    /// Learned from the rides that appeared last, the newest weighing most.
    pub(super) fn of(habits: &Habits) -> Self {
        let mut likely = vec![0.0_f64; WEEK];
        let Some(newest) = habits.arrivals.last() else { return Self { warm: vec![false; WEEK] } };
        let delay = usual_delay(&habits.arrivals);
        for arrival in &habits.arrivals {
            let age_days = newest.ended.duration_since(arrival.ended).as_hours() as f64 / 24.0;
            let weight = 0.5_f64.powf(age_days / HALF_LIFE_DAYS);
            let fresh = 0.5_f64.powf(age_days / FRESH_HALF_LIFE_DAYS);
            for Seen { from, to, part } in seen(arrival, delay) {
                (0..7).for_each(|day| spread(&mut likely, day, from, to, fresh * part / 7.0));
                for (days, share) in days_like(from.weekday()).into_iter().zip(SHARES) {
                    let each = weight * part * share / days.len() as f64;
                    for day in days {
                        spread(&mut likely, day, from, to, each);
                    }
                }
            }
        }
        Self { warm: bridged(&likeliest(&likely, weeks_of(&habits.arrivals))) }
    }

    /// Warm from one hour of the day to another, each day.
    pub(super) fn daily(from_hour: usize, to_hour: usize) -> Self {
        let hours = from_hour * DAY / 24..to_hour * DAY / 24;
        Self { warm: (0..WEEK).map(|bin| hours.contains(&(bin % DAY))).collect() }
    }

    /// Warm where one of both is.
    pub(super) fn or(&self, other: &Self) -> Self {
        Self { warm: self.warm.iter().zip(&other.warm).map(|(one, other)| *one || *other).collect() }
    }

    /// The warm stretch that this moment is in, or the next one within a week.
    pub(super) fn window_at(&self, now: DateTime) -> Option<Window> {
        let (day, bin) = (now.date().to_datetime(jiff::civil::Time::midnight()), bin_of(now));
        let is_warm = |offset: usize| self.warm[(bin + offset) % WEEK];
        let start = (0..WEEK).find(|offset| is_warm(*offset))?;
        // Warm without an end is a week at a time.
        let end = (start + 1..start + WEEK).find(|offset| !is_warm(*offset)).unwrap_or(start + WEEK);
        let back = match start {
            0 => (1..WEEK).find(|back| !self.warm[(bin + WEEK - back) % WEEK]).map_or(0, |back| back - 1),
            _ => 0,
        };
        let today = bin % DAY;
        let at = |offset: i64| {
            let minutes = (i64::try_from(today).unwrap_or(0) + offset) * 10;
            day.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(day)
        };
        let signed = |bins: usize| i64::try_from(bins).unwrap_or(0);
        Some(Window { from: at(signed(start) - signed(back)), to: at(signed(end)) })
    }

    /// Warm minutes a week.
    #[cfg(test)]
    fn warm_minutes(&self) -> usize {
        self.warm.iter().filter(|warm| **warm).count() * BIN
    }
}

/// When a ride appeared, as far as is known, and which part of it stands for that.
struct Seen {
    from: DateTime,
    to: DateTime,
    part: f64,
}

/// When a ride appeared: when it was seen or up to a cold period before, but hardly before the usual delay after
/// its end; one that nobody saw coming, after that delay. One that was synced late counts half by its end.
fn seen(arrival: &Arrival, delay: u32) -> Vec<Seen> {
    let after = |minutes: u32| {
        arrival.ended.checked_add(SignedDuration::from_mins(i64::from(minutes))).unwrap_or(arrival.ended)
    };
    let usual = |part| Seen { from: after(delay), to: after(delay), part };
    match arrival.seen_after {
        None => vec![usual(1.0)],
        Some(minutes) => {
            let from = minutes.saturating_sub(MOST_UNSEEN_MINUTES).max(delay.min(minutes));
            let as_seen = |part| Seen { from: after(from), to: after(minutes), part };
            match minutes > LATE_MINUTES {
                true => vec![as_seen(0.5), usual(0.5)],
                false => vec![as_seen(1.0)],
            }
        }
    }
}

/// Minutes from a ride's end to its arrival that a quarter of the rides take at most.
pub(super) fn usual_delay(arrivals: &[Arrival]) -> u32 {
    let prompt = |arrival: &Arrival| arrival.seen_after.filter(|minutes| *minutes <= LATE_MINUTES);
    let mut delays: Vec<_> = arrivals.iter().filter_map(prompt).collect();
    delays.sort_unstable();
    delays.get(delays.len() / 4).copied().unwrap_or(5)
}

/// Its own day, the days of its kind, all days; Monday is 0.
fn days_like(weekday: Weekday) -> [Vec<usize>; 3] {
    let own = usize::from(weekday.to_monday_zero_offset().unsigned_abs());
    let kind = if own < 5 { 0..5 } else { 5..7 };
    [vec![own], kind.collect(), (0..7).collect()]
}

fn bin_of(at: DateTime) -> usize {
    let day = usize::from(at.weekday().to_monday_zero_offset().unsigned_abs());
    let minute = usize::from(at.hour().unsigned_abs()) * 60 + usize::from(at.minute().unsigned_abs());
    day * DAY + minute / BIN
}

/// Spreads a weight over the bins of an arrival on some day and those around them; over midnight, too.
fn spread(likely: &mut [f64], day: usize, from: DateTime, to: DateTime, weight: f64) {
    let first = day * DAY + bin_of(from) % DAY;
    let long = usize::try_from(to.duration_since(from).as_mins()).unwrap_or(0) / BIN;
    let [before, after] = AROUND;
    let flat = before + long + 1 + after;
    let height = |place: usize| -> f64 {
        let (rising, falling) = (place + 1, (TAIL + flat + TAIL).saturating_sub(place));
        (rising.min(falling).min(TAIL + 1)) as f64 / (TAIL + 1) as f64
    };
    let places = 0..TAIL + flat + TAIL;
    let total: f64 = places.clone().map(height).sum();
    for place in places {
        let bin = (first + WEEK + place - before - TAIL) % WEEK;
        likely[bin] += weight * height(place) / total;
    }
}

/// The weeks from which these rides come, each counted as its rides are; at least about one.
fn weeks_of(arrivals: &[Arrival]) -> f64 {
    let days = match arrivals {
        [oldest, .., newest] => newest.ended.duration_since(oldest.ended).as_hours() as f64 / 24.0,
        _ => 0.0,
    };
    let mean = HALF_LIFE_DAYS / std::f64::consts::LN_2;
    mean * (1.0 - (-days.max(7.0) / mean).exp()) / 7.0
}

/// The likeliest bins, until they cover enough, bring too little, or are too many.
fn likeliest(likely: &[f64], weeks: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..WEEK).filter(|bin| likely[*bin] > 0.0).collect();
    order.sort_by(|a, b| likely[*b].total_cmp(&likely[*a]).then(a.cmp(b)));
    let total: f64 = likely.iter().sum();
    let (mut warm, mut covered) = (vec![false; WEEK], 0.0);
    for bin in order.into_iter().take(MOST_HOURS * 7 * 60 / BIN) {
        if covered >= COVER * total || likely[bin] < WORTH * weeks {
            break;
        }
        warm[bin] = true;
        covered += likely[bin];
    }
    warm
}

/// With short cold stretches between warm ones made warm.
fn bridged(warm: &[bool]) -> Vec<bool> {
    let mut bridged = warm.to_vec();
    for bin in (0..WEEK).filter(|bin| warm[*bin]) {
        let next = (1..=SHORTEST_GAP + 1).find(|ahead| warm[(bin + ahead) % WEEK]);
        for ahead in 1..next.unwrap_or(1) {
            bridged[(bin + ahead) % WEEK] = true;
        }
    }
    bridged
}

#[cfg(test)]
mod tests {
    use jiff::civil::{date, datetime};

    use super::*;
    use crate::domain::{ConnectionId, UserId};

    fn habits(arrivals: impl IntoIterator<Item = (DateTime, Option<u32>)>) -> Habits {
        let arrival = |(ended, seen_after)| Arrival { ended, seen_after };
        let mut habits = Habits::new(UserId::new("me").unwrap(), ConnectionId::new("igpsport-global-1").unwrap());
        habits.arrivals = arrivals.into_iter().map(arrival).collect();
        habits
    }

    /// Monday to Friday, a quarter past five, for four weeks.
    fn commuter() -> Habits {
        let days = (0..28).map(|day| date(2025, 6, 2).saturating_add(SignedDuration::from_hours(24 * day)));
        habits(days.filter(|day| day.weekday().to_monday_zero_offset() < 5).map(|day| (day.at(17, 15, 0, 0), Some(10))))
    }

    #[test]
    fn a_commuters_evenings_are_warm_and_the_nights_cold() {
        let rhythm = Rhythm::of(&commuter());
        let window = rhythm.window_at(datetime(2025, 7, 1, 17, 20, 0, 0)).unwrap();
        assert_eq!(window.from.date(), date(2025, 7, 1));
        assert!(window.from <= datetime(2025, 7, 1, 17, 0, 0, 0), "{window:?}");
        assert!(window.to >= datetime(2025, 7, 1, 17, 50, 0, 0) && window.to <= datetime(2025, 7, 1, 20, 0, 0, 0));
        let next = rhythm.window_at(datetime(2025, 7, 1, 23, 0, 0, 0)).unwrap();
        assert_eq!(next.from.date(), date(2025, 7, 2));
        assert!(rhythm.warm_minutes() < MOST_HOURS * 60 * 7);
    }

    #[test]
    fn rides_at_any_hour_are_still_polled_for_at_most_so_many_hours() {
        let any = (0..40_i64).map(|n| (datetime(2025, 6, 1, 0, 0, 0, 0) + SignedDuration::from_mins(n * 1013), None));
        let rhythm = Rhythm::of(&habits(any));
        // Gaps are bridged, so it may be a little more.
        assert!(rhythm.warm_minutes() <= MOST_HOURS * 60 * 7 * 5 / 4, "{}", rhythm.warm_minutes());
        assert!(rhythm.warm_minutes() >= MOST_HOURS * 60 * 7);
    }

    /// Whether a moment is warm.
    fn is_warm(rhythm: &Rhythm, at: DateTime) -> bool {
        rhythm.window_at(at).is_some_and(|window| window.from <= at)
    }

    #[test]
    fn what_came_at_new_hours_yesterday_is_expected_there_today() {
        // Weeks of evenings, and since Tuesday nights, as a shift worker has them.
        let evenings = (0..20).map(|day| datetime(2025, 6, 2, 17, 15, 0, 0) + SignedDuration::from_hours(24 * day));
        let nights = (0..2).map(|day| datetime(2025, 6, 24, 2, 30, 0, 0) + SignedDuration::from_hours(24 * day));
        let rhythm = Rhythm::of(&habits(evenings.chain(nights).map(|ended| (ended, Some(10)))));
        assert!(is_warm(&rhythm, datetime(2025, 6, 26, 2, 45, 0, 0)), "a Thursday");
        assert!(is_warm(&rhythm, datetime(2025, 6, 28, 2, 45, 0, 0)), "a Saturday");
        assert!(is_warm(&rhythm, datetime(2025, 6, 26, 17, 30, 0, 0)), "and it may be the evening still");
    }

    #[test]
    fn hours_that_bring_next_to_nothing_are_cold() {
        // A ride in six days, at any hour.
        let any = (0..35_i64).map(|n| (datetime(2025, 1, 1, 0, 0, 0, 0) + SignedDuration::from_mins(n * 8213), None));
        let rhythm = Rhythm::of(&habits(any));
        assert!(rhythm.warm_minutes() < MOST_HOURS * 60 * 7 / 2, "{}", rhythm.warm_minutes());
    }

    #[test]
    fn windows_reach_over_midnight_and_over_the_week() {
        let sunday_night =
            (0..10_i64).map(|n| (datetime(2025, 6, 1, 23, 55, 0, 0) + SignedDuration::from_hours(168 * n), None));
        let rhythm = Rhythm::of(&habits(sunday_night));
        let window = rhythm.window_at(datetime(2025, 8, 10, 23, 58, 0, 0)).unwrap();
        assert!(window.from.date() == date(2025, 8, 10) && window.to.date() == date(2025, 8, 11), "{window:?}");
        assert_eq!(rhythm.window_at(datetime(2025, 8, 11, 0, 5, 0, 0)), Some(window));
    }

    #[test]
    fn daily_hours_are_the_same_each_day() {
        let rhythm = Rhythm::daily(7, 22);
        let window = rhythm.window_at(datetime(2025, 8, 10, 23, 58, 0, 0)).unwrap();
        assert_eq!((window.from, window.to), (datetime(2025, 8, 11, 7, 0, 0, 0), datetime(2025, 8, 11, 22, 0, 0, 0)));
        assert_eq!(Rhythm::of(&habits([])).window_at(window.from), None);
        let always = Rhythm::daily(0, 24).window_at(window.from).unwrap();
        assert!(always.from <= window.from && always.to > window.to);
    }

    #[test]
    fn a_late_sync_is_a_habit_of_its_own() {
        let arrival = Arrival { ended: datetime(2025, 6, 4, 9, 0, 0, 0), seen_after: Some(5 * 24 * 60) };
        let parts = seen(&arrival, 5);
        assert_eq!(parts.iter().map(|seen| seen.part).sum::<f64>(), 1.0);
        assert_eq!(parts[0].to, datetime(2025, 6, 9, 9, 0, 0, 0));
        assert_eq!(parts[1].from, datetime(2025, 6, 4, 9, 5, 0, 0));
        let prompt = seen(&Arrival { seen_after: Some(3), ..arrival }, 5);
        assert!(prompt.len() == 1 && prompt[0].from == prompt[0].to);
    }
}
