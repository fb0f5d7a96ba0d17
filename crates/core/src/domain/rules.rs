//! What a sink is to get, and under which name: one rider's rules for one sink connection.
//!
//! A rule filters only what it knows: a ride whose sport, place, length or date is not known passes, for a
//! ride that is missing is worse than one too many.

use std::{collections::BTreeSet, fmt::Write as _};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Activity, Ride, template::Facts, template::NameTemplate};
use crate::Code;

/// Most sports in one rule.
const MOST_SPORTS: usize = 40;

/// Whether rides on a trainer are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Indoor {
    /// No others.
    Only,
    /// All others.
    Never,
}

/// The rules of a sink. The default lets everything through under its own title.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rules {
    /// Only these sports, as the FIT profile names them; empty for all.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub sports: BTreeSet<String>,
    /// None of these sports.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub not_sports: BTreeSet<String>,
    /// On a trainer or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub indoor: Option<Indoor>,
    /// Not shorter than this, s; of the moving time, else the elapsed time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_duration_s: Option<u32>,
    /// Not longer than this, s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_s: Option<u32>,
    /// Not shorter than this, m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_distance_m: Option<u32>,
    /// Not longer than this, m.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_distance_m: Option<u32>,
    /// From this local date on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Date>,
    /// Up to this local date, included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
    /// What rides are called there; without it by their title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<NameTemplate>,
}

/// Why rules contradict themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// No ride is longer than the one and shorter than the other.
    #[error("the least {0} is more than the most")]
    LeastIsMore(&'static str),
    /// Nothing is shorter than nothing.
    #[error("a {0} of 0 at most leaves no ride")]
    Nothing(&'static str),
    /// The range of dates is empty.
    #[error("the last date, {until}, is before the first, {from}")]
    Dates {
        /// The first.
        from: Date,
        /// The last.
        until: Date,
    },
    /// A sport that is wanted and not wanted.
    #[error("{0} is both wanted and left out")]
    SportTwice(String),
    /// No name of a sport.
    #[error("{0:?} is no sport; they are named as in the FIT profile, for example cycling, e_biking, running")]
    NoSport(String),
    /// Too many of them.
    #[error("more than {MOST_SPORTS} sports are named")]
    TooMany,
}

/// Why a ride does not go to a sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filtered {
    /// Which rule.
    pub rule: Code,
    /// The rule and the ride's own value: `shorter than 10 min (8 min 12 s)`.
    pub sentence: String,
}

impl Rules {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses what contradicts itself.
    pub fn check(&self) -> Result<(), RulesError> {
        let more = |min: Option<u32>, max: Option<u32>| min.zip(max).is_some_and(|(min, max)| min > max);
        for (what, min, max) in [
            ("duration", self.min_duration_s, self.max_duration_s),
            ("distance", self.min_distance_m, self.max_distance_m),
        ] {
            if max == Some(0) {
                return Err(RulesError::Nothing(what));
            }
            if more(min, max) {
                return Err(RulesError::LeastIsMore(what));
            }
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && until < from
        {
            return Err(RulesError::Dates { from, until });
        }
        if let Some(twice) = self.sports.intersection(&self.not_sports).next() {
            return Err(RulesError::SportTwice(twice.clone()));
        }
        if self.sports.len() + self.not_sports.len() > MOST_SPORTS {
            return Err(RulesError::TooMany);
        }
        let is_name = |name: &str| {
            (1..=40).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        match self.sports.iter().chain(&self.not_sports).find(|name| !is_name(name)) {
            Some(bad) => Err(RulesError::NoSport(bad.chars().take(40).collect())),
            None => Ok(()),
        }
    }

    /// Which rule keeps a ride out, if one does. The first one that does is named: dates, sport, indoors,
    /// duration, distance.
    pub fn judge(&self, ride: &Ride) -> Option<Filtered> {
        let filtered = |rule, sentence: Option<String>| sentence.map(|sentence| Filtered { rule, sentence });
        filtered(Code::FilterDate, self.judge_date(ride))
            .or_else(|| filtered(Code::FilterSport, self.judge_sport(ride)))
            .or_else(|| filtered(Code::FilterIndoor, self.judge_indoor(ride)))
            .or_else(|| filtered(Code::FilterDuration, self.judge_duration(ride)))
            .or_else(|| filtered(Code::FilterDistance, self.judge_distance(ride)))
    }

    fn judge_date(&self, ride: &Ride) -> Option<String> {
        let (earliest, latest) = ride.local_dates()?;
        match (self.from, self.until) {
            (Some(from), _) if latest < from => Some(format!("before {from} ({latest})")),
            (_, Some(until)) if earliest > until => Some(format!("after {until} ({earliest})")),
            _ => None,
        }
    }

    fn judge_sport(&self, ride: &Ride) -> Option<String> {
        let sport = ride.sport()?;
        if self.not_sports.contains(&sport) {
            return Some(format!("{sport} is left out"));
        }
        let wanted = self.sports.is_empty() || self.sports.contains(&sport);
        let only = || self.sports.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        (!wanted).then(|| format!("not {} ({sport})", only()))
    }

    fn judge_indoor(&self, ride: &Ride) -> Option<String> {
        let (indoor, kind) = ride.indoor()?;
        match self.indoor? {
            Indoor::Only if !indoor => Some(format!("not indoors ({kind})")),
            Indoor::Never if indoor => Some(format!("indoors ({kind})")),
            _ => None,
        }
    }

    fn judge_duration(&self, ride: &Ride) -> Option<String> {
        let seconds = ride.duration_s().filter(|seconds| seconds.is_finite())?;
        match (self.min_duration_s, self.max_duration_s) {
            (Some(min), _) if seconds < f64::from(min) => {
                Some(format!("shorter than {} ({})", time(f64::from(min)), time(seconds)))
            }
            (_, Some(max)) if seconds > f64::from(max) => {
                Some(format!("longer than {} ({})", time(f64::from(max)), time(seconds)))
            }
            _ => None,
        }
    }

    fn judge_distance(&self, ride: &Ride) -> Option<String> {
        let metres = ride.distance_m().filter(|metres| metres.is_finite())?;
        match (self.min_distance_m, self.max_distance_m) {
            (Some(min), _) if metres < f64::from(min) => {
                Some(format!("shorter than {} ({})", length(f64::from(min)), length(metres)))
            }
            (_, Some(max)) if metres > f64::from(max) => {
                Some(format!("longer than {} ({})", length(f64::from(max)), length(metres)))
            }
            _ => None,
        }
    }

    /// What a ride is called at the sink: after the template, else by its title.
    pub fn name_of(&self, activity: &Activity) -> Option<String> {
        self.name_from(&Facts::of_activity(activity)).or_else(|| activity.ride.title())
    }

    /// What a ride of these facts would be called; `None` without a template, or when it leaves nothing.
    pub fn name_from(&self, facts: &Facts) -> Option<String> {
        self.name.as_ref()?.render(facts)
    }
}

/// Seconds as `1 h 5 min`, `8 min 12 s` or `30 s`, cut to whole ones.
pub fn time(seconds: f64) -> String {
    let seconds = seconds.max(0.0) as u64;
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let mut text = String::new();
    for (count, unit) in parts.into_iter().filter(|(count, _)| *count > 0) {
        // Writing to a string does not fail.
        let _ = write!(text, "{}{count} {unit}", if text.is_empty() { "" } else { " " });
    }
    if text.is_empty() { "0 s".into() } else { text }
}

/// Metres as `800 m` or `40.25 km`, cut to 10 m.
pub fn length(metres: f64) -> String {
    let metres = metres.max(0.0) as u64;
    if metres < 1000 {
        return format!("{metres} m");
    }
    let (whole, hundredths) = (metres / 1000, metres % 1000 / 10);
    match hundredths {
        0 => format!("{whole} km"),
        tenths if tenths.is_multiple_of(10) => format!("{whole}.{} km", tenths / 10),
        hundredths => format!("{whole}.{hundredths:02} km"),
    }
}

#[cfg(test)]
mod tests;
