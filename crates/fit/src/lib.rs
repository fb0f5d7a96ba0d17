#![doc = include_str!("../README.md")]

mod apart;
mod code;
mod crc;
mod gather;
pub mod limits;
pub mod port;
mod profile;
mod scan;
mod summary;
#[cfg(feature = "synthetic")]
pub mod synthetic;
mod tally;
mod totals;
mod track;
mod wire;

pub use apart::apart_m;
pub use code::{FitCode, Verdict};
pub use crc::crc16;
pub use profile::{FILE_TYPE_ACTIVITY, Sport, SubSport};
pub use scan::{Scan, Segment, scan};
pub use summary::Summary;
pub use track::{Track, TrackError, TrackPoint, track};
