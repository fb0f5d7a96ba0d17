//! Judging a file before anything is done with it.

use crate::{Code, domain::RecordedFacts};

/// What a file is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Whole, by structure and checksum.
    Valid,
    /// Broken, but a ride can be read from it.
    Salvageable(Code),
    /// Nothing can be done with it.
    Rejected(Code),
}

/// What a scan says.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanReport {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether it is an activity (FIT file type 4), as far as it could be read.
    pub is_activity: bool,
    /// What the file says of the ride.
    pub facts: RecordedFacts,
}

/// The scanner. It is fast, bounded, and never panics, whatever the bytes.
pub trait Scanner: Send + Sync + std::fmt::Debug {
    /// Scans a file.
    fn scan(&self, bytes: &[u8]) -> ScanReport;

    /// How far apart two files' recorders were while both were under way: the median, m. `None` where the
    /// files do not tell.
    fn apart_m(&self, a: &[u8], b: &[u8]) -> Option<f64>;
}
