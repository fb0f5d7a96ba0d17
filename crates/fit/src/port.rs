//! The scanner as the sync engine takes it.

use fitbridge_core::{
    domain::RecordedFacts,
    ports::{self, ScanReport, Scanner},
};

use crate::{FILE_TYPE_ACTIVITY, Scan, Segment, Verdict, apart_m, scan};

/// This crate's scanner behind the engine's port.
#[derive(Debug, Clone, Copy, Default)]
pub struct FitScanner;

impl Scanner for FitScanner {
    fn scan(&self, bytes: &[u8]) -> ScanReport {
        report(&scan(bytes))
    }

    fn apart_m(&self, a: &[u8], b: &[u8]) -> Option<f64> {
        apart_m(a, b)
    }
}

/// What the engine keeps of a scan.
pub fn report(scan: &Scan) -> ScanReport {
    let summary = &scan.summary;
    let verdict = match scan.verdict {
        Verdict::Valid => ports::Verdict::Valid,
        Verdict::Salvageable(code) => ports::Verdict::Salvageable(code.entry()),
        Verdict::Rejected(code) => ports::Verdict::Rejected(code.entry()),
    };
    let is_activity = |segment: &&Segment| segment.file_type == Some(FILE_TYPE_ACTIVITY);
    let activities = scan.segments.iter().filter(is_activity).count();
    let facts = RecordedFacts {
        start: summary.start,
        utc_offset_s: summary.local_offset_s,
        elapsed_s: summary.elapsed_s,
        timer_s: summary.timer_s,
        distance_m: summary.distance_m,
        ascent_m: summary.ascent_m,
        avg_speed_mps: summary.avg_speed_mps,
        avg_heart_rate_bpm: summary.avg_heart_rate,
        avg_power_w: summary.avg_power,
        sport: summary.sport.map(|sport| sport.name()),
        sub_sport: summary.sub_sport.map(|sport| sport.name()),
        manufacturer: summary.manufacturer,
        product: summary.product,
        serial: summary.serial.clone(),
        time_created: summary.time_created,
        has_gps: summary.has_gps,
        records: summary.records,
        activities: u32::try_from(activities).unwrap_or(u32::MAX),
    };
    ScanReport { verdict, is_activity: summary.is_activity, facts }
}

#[cfg(test)]
mod tests {
    use fitbridge_core::Code;

    use super::*;

    #[test]
    fn a_scan_is_told_as_the_engine_knows_it() {
        let start = "2026-05-01T06:00:00Z".parse().unwrap();
        let bytes = crate::synthetic::RideSpec::small(1, start).encode().unwrap();
        let report = FitScanner.scan(&bytes);
        assert_eq!((report.verdict, report.is_activity), (ports::Verdict::Valid, true));
        assert_eq!((report.facts.start, report.facts.manufacturer), (Some(start), Some(115)));
        assert_eq!(FitScanner.scan(b"").verdict, ports::Verdict::Rejected(Code::FitEmpty));
    }
}
