//! Adds up the sessions of a file.

use crate::limits::MAX_ELAPSED_S;
use crate::profile::{Sport, SubSport, instant};
use crate::summary::Summary;

/// One session message. Times in FIT seconds, other units as in [`Summary`].
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Session {
    pub(crate) start: Option<u32>,
    pub(crate) sport: Option<u8>,
    pub(crate) sub_sport: Option<u8>,
    pub(crate) elapsed_s: Option<f64>,
    pub(crate) timer_s: Option<f64>,
    pub(crate) distance_m: Option<f64>,
    pub(crate) calories: Option<u16>,
    pub(crate) avg_speed: Option<f64>,
    pub(crate) max_speed: Option<f64>,
    pub(crate) enhanced_avg_speed: Option<f64>,
    pub(crate) enhanced_max_speed: Option<f64>,
    pub(crate) avg_heart_rate: Option<u8>,
    pub(crate) max_heart_rate: Option<u8>,
    pub(crate) avg_cadence: Option<u8>,
    pub(crate) avg_power: Option<u16>,
    pub(crate) max_power: Option<u16>,
    pub(crate) ascent_m: Option<u16>,
    pub(crate) descent_m: Option<u16>,
}

/// A mean weighted by seconds.
#[derive(Debug, Default, Clone, Copy)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    fn add(&mut self, value: Option<f64>, weight: f64) {
        if let Some(value) = value {
            self.sum += value * weight;
            self.weight += weight;
        }
    }

    fn value(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    fn join(&mut self, other: Self) {
        self.sum += other.sum;
        self.weight += other.weight;
    }
}

/// The sum of what is present; `None` while nothing is.
fn plus(sum: &mut Option<f64>, value: Option<f64>) {
    if let Some(value) = value {
        *sum = Some(sum.unwrap_or(0.0) + value);
    }
}

fn higher(best: &mut Option<f64>, value: Option<f64>) {
    if let Some(value) = value {
        *best = Some(best.map_or(value, |best| best.max(value)));
    }
}

/// Some recorders write the enhanced field as a constant 0 beside a right plain one.
pub(crate) fn enhanced_or_plain(enhanced: Option<f64>, plain: Option<f64>) -> Option<f64> {
    enhanced.filter(|&value| value > 0.0).or(plain).or(enhanced)
}

/// Running totals over sessions.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) sessions: u32,
    first_start: Option<u32>,
    last_end: Option<f64>,
    elapsed_s: Option<f64>,
    timer_s: Option<f64>,
    distance_m: Option<f64>,
    ascent_m: Option<f64>,
    descent_m: Option<f64>,
    calories: Option<f64>,
    heart_rate: Mean,
    power: Mean,
    cadence: Mean,
    speed: Mean,
    max_heart_rate: Option<u8>,
    max_power: Option<u16>,
    max_speed: Option<f64>,
    sport: Option<(u8, Option<u8>)>,
}

impl Tally {
    pub(crate) fn add(&mut self, session: &Session) {
        self.sessions += 1;
        let start = session.start.filter(|&at| instant(at).is_some());
        if let Some(start) = start {
            self.first_start = Some(self.first_start.map_or(start, |first| first.min(start)));
            higher(&mut self.last_end, Some(f64::from(start) + session.elapsed_s.unwrap_or(0.0)));
        }
        plus(&mut self.elapsed_s, session.elapsed_s);
        plus(&mut self.timer_s, session.timer_s);
        plus(&mut self.distance_m, session.distance_m);
        plus(&mut self.ascent_m, session.ascent_m.map(f64::from));
        plus(&mut self.descent_m, session.descent_m.map(f64::from));
        plus(&mut self.calories, session.calories.map(f64::from));
        let weight = session.timer_s.or(session.elapsed_s).filter(|&seconds| seconds > 0.0).unwrap_or(1.0);
        self.heart_rate.add(session.avg_heart_rate.map(f64::from), weight);
        self.power.add(session.avg_power.map(f64::from), weight);
        self.cadence.add(session.avg_cadence.map(f64::from), weight);
        self.speed.add(enhanced_or_plain(session.enhanced_avg_speed, session.avg_speed), weight);
        self.max_heart_rate = self.max_heart_rate.max(session.max_heart_rate);
        self.max_power = self.max_power.max(session.max_power);
        higher(&mut self.max_speed, enhanced_or_plain(session.enhanced_max_speed, session.max_speed));
        if self.sport.is_none() {
            self.sport = session.sport.map(|sport| (sport, session.sub_sport));
        }
    }

    /// Adds the sessions of a further segment.
    pub(crate) fn join(&mut self, other: &Self) {
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.first_start = match (self.first_start, other.first_start) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        higher(&mut self.last_end, other.last_end);
        plus(&mut self.elapsed_s, other.elapsed_s);
        plus(&mut self.timer_s, other.timer_s);
        plus(&mut self.distance_m, other.distance_m);
        plus(&mut self.ascent_m, other.ascent_m);
        plus(&mut self.descent_m, other.descent_m);
        plus(&mut self.calories, other.calories);
        self.heart_rate.join(other.heart_rate);
        self.power.join(other.power);
        self.cadence.join(other.cadence);
        self.speed.join(other.speed);
        self.max_heart_rate = self.max_heart_rate.max(other.max_heart_rate);
        self.max_power = self.max_power.max(other.max_power);
        higher(&mut self.max_speed, other.max_speed);
        self.sport = self.sport.or(other.sport);
    }

    /// Writes the totals into a summary.
    pub(crate) fn fill(&self, summary: &mut Summary) {
        summary.sessions = self.sessions;
        summary.start = self.first_start.and_then(instant);
        summary.elapsed_s = self.elapsed();
        summary.timer_s = self.timer_s;
        summary.distance_m = self.distance_m;
        summary.ascent_m = self.ascent_m;
        summary.descent_m = self.descent_m;
        // At most 16 segments of 256 sessions with 65,534 kcal each: far below the cast's bound.
        summary.calories = self.calories.map(|kcal| kcal as u32);
        summary.avg_heart_rate = self.heart_rate.value();
        summary.max_heart_rate = self.max_heart_rate;
        summary.avg_power = self.power.value();
        summary.max_power = self.max_power;
        summary.avg_cadence = self.cadence.value();
        summary.avg_speed_mps = self.speed.value();
        summary.max_speed_mps = self.max_speed;
        if let Some((sport, sub_sport)) = self.sport {
            summary.sport = Some(Sport(sport));
            summary.sub_sport = sub_sport.map(SubSport);
        }
    }

    /// Several sessions last from the first start to the last end, unless that is absurd (rides of different
    /// weeks chained in one file), when their own times are added up.
    fn elapsed(&self) -> Option<f64> {
        let span = match (self.sessions, self.first_start, self.last_end) {
            (2.., Some(start), Some(end)) => Some(end - f64::from(start)),
            _ => None,
        };
        span.filter(|&span| (0.0..=MAX_ELAPSED_S).contains(&span) && self.elapsed_s.is_some()).or(self.elapsed_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(start: u32, elapsed: f64, heart_rate: u8) -> Session {
        Session {
            start: Some(start),
            elapsed_s: Some(elapsed),
            timer_s: Some(elapsed),
            distance_m: Some(1000.0),
            avg_heart_rate: Some(heart_rate),
            max_heart_rate: Some(heart_rate + 10),
            sport: Some(2),
            ..Session::default()
        }
    }

    #[test]
    fn sessions_add_up() {
        let mut tally = Tally::default();
        tally.add(&leg(1_000_000_000, 600.0, 120));
        tally.add(&leg(1_000_000_700, 300.0, 150));
        let mut summary = Summary::default();
        tally.fill(&mut summary);
        assert_eq!(summary.elapsed_s, Some(1000.0));
        assert_eq!(summary.timer_s, Some(900.0));
        assert_eq!(summary.distance_m, Some(2000.0));
        assert_eq!(summary.avg_heart_rate, Some(130.0));
        assert_eq!(summary.max_heart_rate, Some(160));
    }

    #[test]
    fn rides_of_different_months_are_not_one_long_ride() {
        let mut tally = Tally::default();
        tally.add(&leg(1_000_000_000, 600.0, 120));
        tally.add(&leg(1_010_000_000, 300.0, 150));
        let mut summary = Summary::default();
        tally.fill(&mut summary);
        assert_eq!(summary.elapsed_s, Some(900.0));
    }

    #[test]
    fn a_constant_zero_does_not_hide_the_plain_speed() {
        assert_eq!(enhanced_or_plain(Some(0.0), Some(7.5)), Some(7.5));
        assert_eq!(enhanced_or_plain(Some(8.0), Some(7.5)), Some(8.0));
        assert_eq!(enhanced_or_plain(Some(0.0), None), Some(0.0));
        assert_eq!(enhanced_or_plain(None, None), None);
    }
}
