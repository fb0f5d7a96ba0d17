//! The service's spellings of dates and times: wall clock, no zone.

use jiff::civil::{Date, DateTime};

/// Start of a ride as the list tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStart {
    /// The date only, which is what the service sends.
    Date(Date),
    /// Date and time of day, on the rider's wall clock.
    DateTime(DateTime),
}

impl ListStart {
    /// The local date.
    #[must_use]
    pub fn date(self) -> Date {
        match self {
            Self::Date(date) => date,
            Self::DateTime(time) => time.date(),
        }
    }

    /// Reads `2025.06.02`, `2025-06-02 13:56:49` and the mixtures of both.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (date, time) = match text.trim().split_once([' ', 'T']) {
            Some((date, time)) => (date, Some(time)),
            None => (text.trim(), None),
        };
        let mut parts = date.split(['.', '-', '/']);
        let mut number = || parts.next()?.parse::<i16>().ok();
        let (year, month, day) = (number()?, number()?, number()?);
        if parts.next().is_some() {
            return None;
        }
        let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
        match time {
            None => Some(Self::Date(date)),
            Some(time) => {
                let time: jiff::civil::Time = time.trim().parse().ok()?;
                Some(Self::DateTime(date.to_datetime(time)))
            }
        }
    }
}

/// Reads `2025-06-02 13:56:49`.
pub(crate) fn wall_clock(text: &str) -> Option<DateTime> {
    match ListStart::parse(text)? {
        ListStart::DateTime(time) => Some(time),
        ListStart::Date(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn both_spellings_are_read() {
        let day = date(2025, 6, 2);
        assert_eq!(ListStart::parse("2025.06.02"), Some(ListStart::Date(day)));
        assert_eq!(ListStart::parse("2025.6.2"), Some(ListStart::Date(day)));
        let full = ListStart::parse("2025-06-02 13:56:49").unwrap();
        assert_eq!(full, ListStart::DateTime(day.at(13, 56, 49, 0)));
        assert_eq!(full.date(), day);
        assert_eq!(wall_clock("2025-06-02T13:56:49"), Some(day.at(13, 56, 49, 0)));
        assert_eq!(wall_clock("2025-06-02"), None);
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "soon", "2025.13.01", "2025.02.30", "1.2", "2025.06.02.1", "2025-06-02 25:00:00", "99999.1.1"]
        {
            assert_eq!(ListStart::parse(text), None, "{text}");
        }
    }
}
