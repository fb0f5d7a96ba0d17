#![doc = include_str!("../README.md")]

mod code;
mod crc;
mod gather;
pub mod limits;
mod profile;
mod scan;
mod summary;
mod tally;
mod totals;
mod wire;

pub use code::{FitCode, Verdict};
pub use crc::crc16;
pub use profile::{FILE_TYPE_ACTIVITY, Sport, SubSport};
pub use scan::{Scan, Segment, scan};
pub use summary::Summary;
