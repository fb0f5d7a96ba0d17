//! Times in whole milliseconds, as ledgers store them: a record is due to the millisecond, and never early.

use jiff::Timestamp;

/// The moment of a number of milliseconds since 1970; `None` where no moment is. `from_millisecond` would
/// refuse the last second there is.
pub fn from_ms(ms: i64) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(ms.rem_euclid(1000)).ok()? * 1_000_000;
    Timestamp::new(ms.div_euclid(1000), nanoseconds).ok()
}

/// A due time as it is stored: rounded up, so that nothing is due before its time.
pub fn ms_up(at: Timestamp) -> i64 {
    let ms = at.as_millisecond();
    match from_ms(ms) {
        // Above the last millisecond there is none to round up to.
        Some(floor) if floor < at && from_ms(ms + 1).is_some() => ms + 1,
        _ => ms,
    }
}

/// The moment until which is asked: the last whole millisecond that is not after `at`.
pub fn ms_down(at: Timestamp) -> i64 {
    let ms = at.as_millisecond();
    match from_ms(ms) {
        // Before 1970 the whole milliseconds are cut towards zero.
        Some(cut) if cut > at => ms - 1,
        _ => ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up_when_due_and_down_when_asked() {
        let at = |ns: i128| Timestamp::from_nanosecond(ns).unwrap();
        for (ns, up, down) in [(0, 0, 0), (1, 1, 0), (1_000_000, 1, 1), (-1, 0, -1), (-1_000_001, -1, -2)] {
            assert_eq!((ms_up(at(ns)), ms_down(at(ns))), (up, down), "{ns} ns");
        }
        for end in [Timestamp::MIN, Timestamp::MAX] {
            assert_eq!(from_ms(ms_up(end)).map(Timestamp::as_second), Some(end.as_second()), "{end}");
        }
        assert_eq!(from_ms(i64::MAX), None);
    }
}
