//! Numbers as a person reads them.

use jiff::{Timestamp, tz::Offset};

/// Seconds as `h:mm:ss`.
pub(crate) fn clock(seconds: f64) -> String {
    // Saturates for absurd values; a negative duration has no meaning here.
    let seconds = seconds.round().max(0.0) as u64;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Metres as kilometres with their unit.
pub(crate) fn km(metres: f64) -> String {
    format!("{:.2} km", metres / 1000.0)
}

/// Metres per second as km/h with their unit.
pub(crate) fn kmh(metres_per_second: f64) -> String {
    format!("{:.1} km/h", metres_per_second * 3.6)
}

/// An instant in UTC, and in the ride's local time where the file tells its offset (in seconds).
pub(crate) fn local_time(instant: Timestamp, offset_s: Option<i32>) -> String {
    let utc = instant.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    match local(instant, offset_s) {
        Some(local) => format!("{utc} ({} local)", local.replace('T', " ")),
        None => utc,
    }
}

/// An instant as `YYYY-MM-DDTHH:MM:SS+HH:MM` at an offset in seconds; `None` when the offset is not known.
pub(crate) fn local(instant: Timestamp, offset_s: Option<i32>) -> Option<String> {
    let offset = Offset::from_seconds(offset_s?).ok()?;
    Some(instant.display_with_offset(offset).to_string())
}

/// A number with no more digits than it deserves.
pub(crate) fn tidy(value: f64) -> String {
    let text = format!("{value:.1}");
    // "-0" and "12.0" say no more than "0" and "12".
    let text = text.strip_suffix(".0").map_or(text.clone(), str::to_owned);
    if text == "-0" { "0".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lengths() {
        assert_eq!(clock(0.0), "0:00:00");
        assert_eq!(clock(3_725.4), "1:02:05");
        assert_eq!(clock(-5.0), "0:00:00");
        assert_eq!(clock(f64::NAN), "0:00:00");
        assert_eq!(km(40_249.0), "40.25 km");
        assert_eq!(kmh(10.0), "36.0 km/h");
        assert_eq!([tidy(12.0), tidy(-0.01), tidy(2.55), tidy(-3.0)], ["12", "0", "2.5", "-3"]);
    }

    #[test]
    fn local_time_needs_the_offset() {
        let start: Timestamp = "2024-05-06T22:08:09Z".parse().expect("a time");
        assert_eq!(local_time(start, None), "2024-05-06 22:08:09 UTC");
        assert_eq!(local_time(start, Some(20_700)), "2024-05-06 22:08:09 UTC (2024-05-07 03:53:09+05:45 local)");
        assert_eq!(local(start, Some(10_000_000)), None);
    }
}
