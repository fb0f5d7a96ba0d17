//! The samples of a ride for plots and maps, decoded by `fitparser` and thinned out as they come.
//!
//! The decoder never sees the file. The crate's own walk hands it one small message at a time: a header of our
//! own, and of each record just the fields that a track has, with its time spelled out. So the inputs that make
//! the decoder panic, print or run away (odd header lengths, wrapping developer fields, misaligned fields, local
//! times in a zone with a gap) do not reach it, and the zone of the host has no influence. It is still run
//! inside `catch_unwind`.

mod project;
mod thin;

use crate::code::{FitCode, Verdict};
use crate::scan::scan;
use crate::wire::{Counts, walk};
use jiff::Timestamp;
use project::Projector;
use std::panic::{AssertUnwindSafe, catch_unwind};
use thin::Thinner;

/// A thinned-out ride.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Track {
    /// Points in file order.
    pub points: Vec<TrackPoint>,
    /// Samples that went into the points: records with a time.
    pub samples: u32,
}

/// One or several consecutive samples.
///
/// Time, position and distance are those of the first sample (in the track's last point, of the last); the other
/// values are means over the samples that have them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackPoint {
    /// When. A recorder whose clock was never set counts from power-on, which shows as times in 1990.
    pub time: Timestamp,
    /// Degrees north.
    pub lat: Option<f64>,
    /// Degrees east.
    pub lon: Option<f64>,
    /// Metres above sea level.
    pub elevation_m: Option<f64>,
    /// Metres per second.
    pub speed_mps: Option<f64>,
    /// Beats per minute.
    pub heart_rate_bpm: Option<f64>,
    /// Watts.
    pub power_w: Option<f64>,
    /// Revolutions (or strides) per minute.
    pub cadence_rpm: Option<f64>,
    /// Metres since the start.
    pub distance_m: Option<f64>,
}

/// Why there is no track.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// The scanner rejects the file.
    #[error("the file is not readable ({0})")]
    Rejected(FitCode),
    /// The decoder refused a message.
    #[error("the samples cannot be decoded: {0}")]
    Decode(String),
    /// The decoder panicked; the file is worth a bug report.
    #[error("the decoder of the samples failed on this file")]
    Panicked,
}

/// Decodes at most `max_points` points from a file that the scanner finds valid or salvageable; of the latter, as
/// far as it can be read. Memory grows with `max_points`, not with the file. Takes some 100 ms per megabyte:
/// not for an async task's own thread.
///
/// # Errors
/// [`TrackError`]; a file without records is no error but an empty track.
pub fn track(bytes: &[u8], max_points: usize) -> Result<Track, TrackError> {
    let scan = scan(bytes);
    if let Verdict::Rejected(code) = scan.verdict {
        return Err(TrackError::Rejected(code));
    }
    let decode = || {
        let mut projector = Projector::new(Thinner::new(scan.summary.records, max_points));
        let mut counts = Counts::default();
        for segment in &scan.segments {
            projector.next_segment()?;
            // Where a salvageable file breaks, its track ends.
            let stopped = walk(bytes, segment.data.start, segment.data.end, &mut counts, None, &mut projector);
            projector.check()?;
            if stopped.is_err() {
                break;
            }
        }
        Ok(projector.finish())
    };
    // Nothing of the closure's state outlives a panic.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(TrackError::Panicked))
}
