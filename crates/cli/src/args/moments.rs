//! Moments as they are typed.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

/// A moment or a local date, as it is typed.
pub(crate) fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let date: Date = text.parse().map_err(|_| format!("{text:?} is no date such as 2026-01-31"))?;
    TimeZone::system().to_timestamp(date.at(0, 0, 0, 0)).map_err(|error| error.to_string())
}
