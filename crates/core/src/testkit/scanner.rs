//! A scanner that says what it is told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use crate::{
    domain::{ContentId, RecordedFacts},
    ports::{ScanReport, Scanner, Verdict},
};

/// A scanner to which everything is a valid ride, unless told otherwise. Clones share what they were told.
#[derive(Debug, Clone, Default)]
pub struct FakeScanner(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    reports: HashMap<ContentId, ScanReport>,
    places: HashMap<ContentId, f64>,
}

impl FakeScanner {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it says of bytes that it was told nothing about: a valid ride of an hour, whose start follows
    /// from the bytes.
    pub fn ride(bytes: &[u8]) -> ScanReport {
        let digest = ContentId::of(bytes);
        let seed = digest.as_bytes().iter().take(3).fold(0_i64, |seed, byte| seed << 8 | i64::from(*byte));
        // Ten minutes apart and more, over 300 years from 2000-01-01 on: two files hardly ever overlap.
        let start = Timestamp::from_second(946_684_800 + seed * 600).ok();
        let facts = RecordedFacts {
            start,
            utc_offset_s: Some(7200),
            elapsed_s: Some(3600.0),
            timer_s: Some(3500.0),
            distance_m: Some(25_000.0),
            sport: Some("cycling".into()),
            manufacturer: Some(115),
            ..RecordedFacts::default()
        };
        ScanReport { verdict: Verdict::Valid, is_activity: true, facts }
    }

    /// Sets the whole report for some bytes.
    pub fn report(&self, bytes: &[u8], report: ScanReport) {
        self.told().reports.insert(ContentId::of(bytes), report);
    }

    /// Sets the verdict for some bytes.
    pub fn verdict(&self, bytes: &[u8], verdict: Verdict) {
        self.report(bytes, ScanReport { verdict, ..Self::ride(bytes) });
    }

    /// Sets where some bytes' ride was, as metres along some road; without it, nobody knows.
    pub fn place(&self, bytes: &[u8], metre: f64) {
        self.told().places.insert(ContentId::of(bytes), metre);
    }

    /// Says of some bytes that they are valid, but no activity.
    pub fn no_activity(&self, bytes: &[u8]) {
        self.report(bytes, ScanReport { is_activity: false, ..Self::ride(bytes) });
    }
}

impl Scanner for FakeScanner {
    fn scan(&self, bytes: &[u8]) -> ScanReport {
        self.told().reports.get(&ContentId::of(bytes)).cloned().unwrap_or_else(|| Self::ride(bytes))
    }

    fn apart_m(&self, a: &[u8], b: &[u8]) -> Option<f64> {
        let told = self.told();
        let place = |bytes| told.places.get(&ContentId::of(bytes)).copied();
        Some((place(a)? - place(b)?).abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn it_says_what_it_is_told_and_else_that_all_is_well() {
        let scanner = FakeScanner::default();
        assert_eq!(scanner.scan(b"a").verdict, Verdict::Valid);
        assert_ne!(scanner.scan(b"a").facts.start, scanner.scan(b"b").facts.start);
        scanner.verdict(b"a", Verdict::Salvageable(Code::FitBadCrc));
        scanner.no_activity(b"b");
        assert_eq!(scanner.scan(b"a").verdict, Verdict::Salvageable(Code::FitBadCrc));
        assert!(!scanner.scan(b"b").is_activity);
    }
}
