//! Rules of a sink as they are typed, with `connect` and with `rules`.

use std::collections::BTreeSet;

use clap::Args;
use fitbridge_core::{
    Code, Failure,
    domain::{Indoor, NameTemplate, Rules},
};
use fitbridge_fit::Sport;
use jiff::{SignedDuration, civil::Date};

/// What a sink gets, and under which name. `none` takes a rule away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "What it gets, and under which name")]
pub(crate) struct RuleArgs {
    /// Only these sports, comma-separated, as `fitbridge inspect` names them
    #[arg(long, value_name = "SPORTS|none")]
    pub sports: Option<String>,
    /// None of these sports
    #[arg(long, value_name = "SPORTS|none")]
    pub not_sports: Option<String>,
    /// Rides on a trainer: only these, never, or any
    #[arg(long, value_name = "only|never|any")]
    pub indoor: Option<String>,
    /// Not shorter than this, such as 10min or 1h30m
    #[arg(long, value_name = "TIME|none")]
    pub min_duration: Option<String>,
    /// Not longer than this
    #[arg(long, value_name = "TIME|none")]
    pub max_duration: Option<String>,
    /// Not shorter than this, such as 5km or 800m
    #[arg(long, value_name = "LENGTH|none")]
    pub min_distance: Option<String>,
    /// Not longer than this
    #[arg(long, value_name = "LENGTH|none")]
    pub max_distance: Option<String>,
    /// Only rides of this local date and later
    #[arg(long, value_name = "YYYY-MM-DD|none")]
    pub from: Option<String>,
    /// Only rides up to this local date
    #[arg(long, value_name = "YYYY-MM-DD|none")]
    pub until: Option<String>,
    /// What rides are called there, such as '{date} {title}' [default: their title]
    #[arg(long, value_name = "TEMPLATE|none")]
    pub ride_name: Option<String>,
}

/// What is to become of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish<T> {
    Keep,
    Clear,
    Set(T),
}

impl<T: Clone> Wish<T> {
    fn read(text: Option<&str>, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<Self, Failure> {
        match text.map(str::trim) {
            None => Ok(Self::Keep),
            Some("none" | "any") => Ok(Self::Clear),
            Some(text) => parse(text).map(Self::Set).map_err(|why| Failure::new(Code::RulesInvalid, why)),
        }
    }

    fn onto(&self, old: &Option<T>) -> Option<T> {
        match self {
            Self::Keep => old.clone(),
            Self::Clear => None,
            Self::Set(new) => Some(new.clone()),
        }
    }
}

/// The arguments, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RuleChange {
    /// Whether the old rules are forgotten first.
    pub clear: bool,
    sports: Wish<BTreeSet<String>>,
    not_sports: Wish<BTreeSet<String>>,
    indoor: Wish<Indoor>,
    min_duration_s: Wish<u32>,
    max_duration_s: Wish<u32>,
    min_distance_m: Wish<u32>,
    max_distance_m: Wish<u32>,
    from: Wish<Date>,
    until: Wish<Date>,
    name: Wish<NameTemplate>,
}

impl RuleArgs {
    /// Whether none was given.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Reads them; a value that does not do is refused with the forms that would.
    pub(crate) fn read(&self, clear: bool) -> Result<RuleChange, Failure> {
        Ok(RuleChange {
            clear,
            sports: Wish::read(self.sports.as_deref(), sports)?,
            not_sports: Wish::read(self.not_sports.as_deref(), sports)?,
            indoor: Wish::read(self.indoor.as_deref(), |text| match text {
                "only" => Ok(Indoor::Only),
                "never" => Ok(Indoor::Never),
                other => Err(format!("{other:?} is neither only, never nor any")),
            })?,
            min_duration_s: Wish::read(self.min_duration.as_deref(), seconds)?,
            max_duration_s: Wish::read(self.max_duration.as_deref(), seconds)?,
            min_distance_m: Wish::read(self.min_distance.as_deref(), metres)?,
            max_distance_m: Wish::read(self.max_distance.as_deref(), metres)?,
            from: Wish::read(self.from.as_deref(), date)?,
            until: Wish::read(self.until.as_deref(), date)?,
            name: Wish::read(self.ride_name.as_deref(), |text| {
                NameTemplate::new(text).map_err(|error| format!("the name does not do: {error}"))
            })?,
        })
    }
}

impl RuleChange {
    /// The rules after the change.
    pub(crate) fn onto(&self, old: &Rules) -> Rules {
        let old = if self.clear { &Rules::default() } else { old };
        let set =
            |wish: &Wish<BTreeSet<String>>, old: &BTreeSet<String>| wish.onto(&Some(old.clone())).unwrap_or_default();
        Rules {
            sports: set(&self.sports, &old.sports),
            not_sports: set(&self.not_sports, &old.not_sports),
            indoor: self.indoor.onto(&old.indoor),
            min_duration_s: self.min_duration_s.onto(&old.min_duration_s),
            max_duration_s: self.max_duration_s.onto(&old.max_duration_s),
            min_distance_m: self.min_distance_m.onto(&old.min_distance_m),
            max_distance_m: self.max_distance_m.onto(&old.max_distance_m),
            from: self.from.onto(&old.from),
            until: self.until.onto(&old.until),
            name: self.name.onto(&old.name),
        }
    }
}

/// Sports of the FIT profile; a misspelt one would leave every ride out.
fn sports(text: &str) -> Result<BTreeSet<String>, String> {
    let known: BTreeSet<_> =
        (0..=u8::MAX).map(|n| Sport(n).name()).filter(|name| !name.starts_with("sport_")).collect();
    let mut found = BTreeSet::new();
    for name in text.split(',').map(str::trim) {
        if !known.contains(name) {
            let likeness = |known: &&String| (strsim::jaro_winkler(known, name) * 1000.0) as u32;
            let nearest = known.iter().max_by_key(likeness).map_or("cycling", String::as_str);
            return Err(format!("{name:?} is no sport of the FIT profile; did you mean {nearest}?"));
        }
        found.insert(name.to_owned());
    }
    Ok(found)
}

fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no duration; write it as 10min, 90s or 1h30m");
    // A bare number has no unit, so it is refused.
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    u32::try_from(duration.as_secs()).map_err(|_| wrong())
}

fn metres(text: &str) -> Result<u32, String> {
    let wrong = || format!("{text:?} is no distance; write it as 5km, 2.5km or 800m");
    let (number, unit) = match text.strip_suffix("km") {
        Some(number) => (number, 1000.0),
        None => (text.strip_suffix('m').ok_or_else(wrong)?, 1.0),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    let metres = (number * unit).round();
    if !(0.0..=f64::from(u32::MAX)).contains(&metres) {
        return Err(wrong());
    }
    Ok(metres as u32)
}

/// A date as people give it.
pub(crate) fn date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("{text:?} is no date such as 2026-01-31"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: impl FnOnce(&mut RuleArgs)) -> Result<Rules, String> {
        let mut args = RuleArgs::default();
        set(&mut args);
        args.read(false).map(|change| change.onto(&Rules::default())).map_err(|failure| failure.detail)
    }

    #[test]
    fn values_are_read_with_their_units() {
        for (text, seconds) in [("10min", 600), ("90s", 90), ("1h30m", 5400), ("1h 30m", 5400), ("2 hours", 7200)] {
            let rules = read(|args| args.min_duration = Some(text.into())).unwrap();
            assert_eq!(rules.min_duration_s, Some(seconds), "{text}");
        }
        for (text, metres) in [("5km", 5000), ("2.5 km", 2500), ("800m", 800), ("0.05km", 50)] {
            let rules = read(|args| args.max_distance = Some(text.into())).unwrap();
            assert_eq!(rules.max_distance_m, Some(metres), "{text}");
        }
        let rules = read(|args| args.sports = Some("cycling, e_biking".into())).unwrap();
        assert_eq!(rules.sports.len(), 2);
    }

    #[test]
    fn what_does_not_do_is_refused_with_what_would() {
        for (text, reason) in [
            ("10", "\"10\" is no duration; write it as 10min, 90s or 1h30m"),
            ("-5min", "\"-5min\" is no duration; write it as 10min, 90s or 1h30m"),
            ("soon", "\"soon\" is no duration; write it as 10min, 90s or 1h30m"),
        ] {
            assert_eq!(read(|args| args.min_duration = Some(text.into())), Err(reason.to_owned()));
        }
        for text in ["5", "5mi", "km", "-1km", "NaNm", "1e300km", ""] {
            assert!(
                read(|args| args.min_distance = Some(text.into())).unwrap_err().contains("is no distance"),
                "{text}"
            );
        }
        for text in ["31.01.2026", "2026-13-01", "today"] {
            assert!(read(|args| args.from = Some(text.into())).unwrap_err().contains("is no date such as"), "{text}");
        }
        let misspelt = read(|args| args.sports = Some("cyclng".into())).unwrap_err();
        assert_eq!(misspelt, "\"cyclng\" is no sport of the FIT profile; did you mean cycling?");
        assert!(read(|args| args.indoor = Some("yes".into())).is_err());
        assert!(read(|args| args.ride_name = Some("{place}".into())).unwrap_err().contains("known are {title}"));
    }

    #[test]
    fn a_change_keeps_the_rest_and_none_takes_away() {
        let old = read(|args| {
            args.min_duration = Some("10min".into());
            args.indoor = Some("never".into());
            args.sports = Some("cycling".into());
        })
        .unwrap();
        let args = RuleArgs {
            indoor: Some("any".into()),
            sports: Some("none".into()),
            from: Some("2026-01-01".into()),
            ..RuleArgs::default()
        };
        let new = args.read(false).unwrap().onto(&old);
        assert_eq!((new.min_duration_s, new.indoor, new.sports.len()), (Some(600), None, 0));
        assert!(new.from.is_some());
        assert_eq!(args.read(true).unwrap().onto(&old).min_duration_s, None);
        assert_eq!(RuleArgs::default().read(false).unwrap().onto(&old), old);
    }
}
