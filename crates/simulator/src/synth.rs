//! Rides of the project's own FIT generator, and what its scanner reads from any file.

use fitbridge_fit::scan;
use fitbridge_fit::synthetic::{RideSpec, malformed as broken};
use jiff::Timestamp;

use crate::ridefile::{Facts, FileError};

/// Seconds of a ride whose file has the usual size of about 75 KB.
const STANDARD_DURATION_S: u32 = 2600;
/// The file type of a course, which is a valid FIT file but no activity.
const FILE_TYPE_COURSE: u8 = 6;

/// The names of the malformed and unusual files a ride may have.
pub const MALFORMED: [&str; 13] = [
    "bad_crc",
    "truncated",
    "missing_crc",
    "trailing_zeros",
    "trailing_html",
    "data_size_zero",
    "empty",
    "no_session",
    "not_an_activity",
    "developer_fields",
    "enhanced_speed_zero",
    "compressed_timestamps",
    "chained",
];

/// Which kind of whole ride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Small,
    Standard,
}

/// What a file says of its ride.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) start: Timestamp,
    pub(crate) elapsed_s: u32,
    pub(crate) moving_s: u32,
    pub(crate) distance_m: f64,
    pub(crate) ascent_m: u32,
}

fn spec(kind: Kind, seed: u64, start: Timestamp) -> RideSpec {
    match kind {
        Kind::Small => RideSpec::small(seed, start),
        Kind::Standard => RideSpec { duration_s: STANDARD_DURATION_S, ..RideSpec::new(seed, start) },
    }
}

pub(crate) fn encode(kind: Kind, seed: u64, start: Timestamp) -> Result<Vec<u8>, FileError> {
    spec(kind, seed, start).encode().map_err(|error| FileError::Encode(error.to_string()))
}

/// What list and detail say of a synthetic ride: what its file says.
pub(crate) fn facts(kind: Kind, seed: u64, start: Timestamp) -> Result<Facts, FileError> {
    let spec = spec(kind, seed, start);
    let facts = spec.facts().map_err(|error| FileError::Encode(error.to_string()))?;
    Ok(Facts {
        distance_m: facts.distance_m,
        moving_s: facts.timer_s,
        elapsed_s: spec.duration_s,
        ascent_m: u32::from(facts.ascent_m),
    })
}

pub(crate) fn malformed(name: &str, seed: u64, start: Timestamp) -> Result<Vec<u8>, FileError> {
    let whole = |seed| encode(Kind::Small, seed, start);
    Ok(match name {
        "bad_crc" => broken::bad_crc(&whole(seed)?),
        "truncated" => broken::truncated(&whole(seed)?),
        "missing_crc" => broken::missing_crc(&whole(seed)?),
        "trailing_zeros" => broken::trailing_zeros(&whole(seed)?),
        "trailing_html" => broken::trailing_html(&whole(seed)?),
        "chained" => broken::chained(&whole(seed)?, &whole(seed ^ 1)?),
        "data_size_zero" => broken::data_size_zero(),
        "empty" => broken::empty(),
        "no_session" => broken::no_session(),
        "not_an_activity" => broken::not_an_activity(FILE_TYPE_COURSE),
        "developer_fields" => broken::developer_fields(),
        "enhanced_speed_zero" => broken::enhanced_speed_zero(),
        "compressed_timestamps" => broken::compressed_timestamps(),
        _ => return Err(FileError::UnknownMalformed(name.to_owned())),
    })
}

/// Reads a file's summary; `None` when it has no start.
pub(crate) fn read(bytes: &[u8]) -> Option<Reading> {
    let summary = scan(bytes).summary;
    let elapsed = summary.elapsed_s.unwrap_or_default();
    Some(Reading {
        start: summary.start?,
        elapsed_s: whole(elapsed),
        moving_s: whole(summary.timer_s.unwrap_or(elapsed)),
        distance_m: summary.distance_m.unwrap_or_default(),
        ascent_m: whole(summary.ascent_m.unwrap_or_default()),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float cast saturates, and these are seconds and metres of one ride"
)]
fn whole(value: f64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-06-02T11:56:49Z".parse().expect("a timestamp")
    }

    #[test]
    fn sizes_are_as_announced() {
        let small = encode(Kind::Small, 1, start()).expect("a small ride").len();
        assert!((1_500..6_000).contains(&small), "{small} bytes");
        let sizes: Vec<usize> =
            (0..12).map(|seed| encode(Kind::Standard, seed, start()).expect("a ride").len()).collect();
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((60_000..90_000).contains(&mean), "{sizes:?}");
    }

    #[test]
    fn the_list_says_what_the_file_says() {
        let facts = facts(Kind::Small, 5, start()).expect("facts");
        let read = read(&encode(Kind::Small, 5, start()).expect("a ride")).expect("a start");
        assert_eq!(read.start, start());
        assert!((read.distance_m - facts.distance_m).abs() < 0.02);
        assert_eq!(read.moving_s, facts.moving_s);
    }

    #[test]
    fn every_malformed_name_makes_a_file() {
        for name in MALFORMED {
            let bytes = malformed(name, 3, start()).expect("a known name");
            assert!(bytes.len() >= 12 || name == "empty", "{name}");
        }
        assert!(malformed("sound", 3, start()).is_err());
    }
}
