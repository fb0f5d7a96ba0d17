//! The few numbers and names of the FIT profile that the scanner needs.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

use fitparser::profile::{FieldDataType, get_field_variant_as_string};

/// Global message numbers.
pub(crate) mod mesg {
    pub(crate) const FILE_ID: u16 = 0;
    pub(crate) const SPORT: u16 = 12;
    pub(crate) const SESSION: u16 = 18;
    pub(crate) const LAP: u16 = 19;
    pub(crate) const RECORD: u16 = 20;
    pub(crate) const ACTIVITY: u16 = 34;
}

/// The field that holds a message's time, in every message.
pub(crate) const FIELD_TIMESTAMP: u8 = 253;
/// `file_id.type` of an activity.
pub const FILE_TYPE_ACTIVITY: u8 = 4;

/// FIT counts seconds since 1989-12-31T00:00:00Z.
const EPOCH: i64 = 631_065_600;
/// Below this a FIT time counts from power-on and is no date (`date_time.min` of the profile).
const FIRST_DATE: u32 = 0x1000_0000;

/// FIT seconds to an instant; `None` for the invalid value and for times since power-on.
pub(crate) fn instant(fit_seconds: u32) -> Option<Timestamp> {
    if fit_seconds < FIRST_DATE || fit_seconds == u32::MAX {
        return None;
    }
    Timestamp::from_second(EPOCH + i64::from(fit_seconds)).ok()
}

/// An instant to FIT seconds; `None` where the format has no value for it.
#[cfg(feature = "synthetic")]
pub(crate) fn fit_seconds(instant: Timestamp) -> Option<u32> {
    let seconds = u32::try_from(instant.as_second().checked_sub(EPOCH)?).ok()?;
    (FIRST_DATE..u32::MAX).contains(&seconds).then_some(seconds)
}

macro_rules! named_number {
    ($(#[$doc:meta])* $name:ident, $kind:expr, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u8);

        impl $name {
            /// The name in the FIT profile, in snake case; a number the profile does not know is appended
            #[doc = concat!("to `", $prefix, "_`.")]
            pub fn name(self) -> String {
                let number = i64::from(self.0);
                if $kind.is_named_variant(number) {
                    get_field_variant_as_string($kind, number)
                } else {
                    format!(concat!($prefix, "_{}"), number)
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.name())
            }
        }
    };
}

named_number!(
    /// A number of the profile's `sport` type; 2 is cycling.
    Sport,
    FieldDataType::Sport,
    "sport"
);
named_number!(
    /// A number of the profile's `sub_sport` type; 7 is road.
    SubSport,
    FieldDataType::SubSport,
    "sub_sport"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_profile() {
        let sports: Vec<_> = [0, 1, 2, 21, 200].map(|n| Sport(n).name()).into_iter().collect();
        assert_eq!(sports, ["generic", "running", "cycling", "e_biking", "sport_200"]);
        let subs: Vec<_> = [0, 6, 7, 8, 46, 250].map(|n| SubSport(n).name()).into_iter().collect();
        assert_eq!(subs, ["generic", "indoor_cycling", "road", "mountain", "gravel_cycling", "sub_sport_250"]);
    }

    #[test]
    fn times_since_power_on_are_no_dates() {
        assert_eq!(instant(0), None);
        assert_eq!(instant(FIRST_DATE - 1), None);
        assert_eq!(instant(u32::MAX), None);
        assert_eq!(instant(1_000_000_000).map(|t| t.to_string()).as_deref(), Some("2021-09-08T01:46:40Z"));
        assert!(instant(u32::MAX - 1).is_some());
    }
}
