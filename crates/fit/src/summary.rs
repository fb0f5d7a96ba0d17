//! What a rider and the deduplication want to know about a ride, without decoding its samples.

use crate::profile::{Sport, SubSport};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Facts about a file. Whatever the file does not say, or says with an invalid value, is `None`.
///
/// Totals come from the sessions; a file without one gets them from its records. Sums and means run over all
/// sessions (a triathlon is one activity); means are weighted by timer time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Whether any segment is an activity (file type 4).
    pub is_activity: bool,
    /// Maker of the recorder, as numbered by the FIT profile; 115 is iGPSport.
    pub manufacturer: Option<u16>,
    /// The maker's product number.
    pub product: Option<u16>,
    /// The serial number's raw bytes in file order, lower-case hex, without trailing zero bytes.
    pub serial: Option<String>,
    /// When the recorder, or a later export, made the file. Never a ride's start.
    pub time_created: Option<Timestamp>,
    /// Start of the first session; without one, the first record's time.
    pub start: Option<Timestamp>,
    /// Time of the first record in file order.
    pub first_record: Option<Timestamp>,
    /// Time of the last record in file order.
    pub last_record: Option<Timestamp>,
    /// Seconds from start to end, pauses included.
    pub elapsed_s: Option<f64>,
    /// Seconds that the timer ran.
    pub timer_s: Option<f64>,
    /// Metres.
    pub distance_m: Option<f64>,
    /// Metres climbed.
    pub ascent_m: Option<f64>,
    /// Metres descended.
    pub descent_m: Option<f64>,
    /// Kilocalories.
    pub calories: Option<u32>,
    /// Mean heart rate, beats per minute.
    pub avg_heart_rate: Option<f64>,
    /// Highest heart rate, beats per minute.
    pub max_heart_rate: Option<u8>,
    /// Mean power, watts.
    pub avg_power: Option<f64>,
    /// Highest power, watts.
    pub max_power: Option<u16>,
    /// Mean cadence, revolutions (or strides) per minute.
    pub avg_cadence: Option<f64>,
    /// Mean speed, metres per second.
    pub avg_speed_mps: Option<f64>,
    /// Highest speed, metres per second.
    pub max_speed_mps: Option<f64>,
    /// Sport of the first session that names one.
    pub sport: Option<Sport>,
    /// Sub-sport of that session.
    pub sub_sport: Option<SubSport>,
    /// Session messages.
    pub sessions: u32,
    /// Lap messages.
    pub laps: u32,
    /// Record messages, that is, samples.
    pub records: u32,
    /// Data messages of any kind.
    pub messages: u32,
    /// Definition messages.
    pub definitions: u32,
    /// Data messages with a compressed timestamp header.
    pub compressed_messages: u32,
    /// Chained FIT files in this file.
    pub segments: u32,
    /// Whether any record has a position.
    pub has_gps: bool,
    /// Local time minus UTC in seconds; only a multiple of 900 within ±14 h is believed.
    pub local_offset_s: Option<i32>,
    /// The elapsed time is over ten days.
    pub elapsed_suspect: bool,
    /// The start lies before 2010, or the times are no dates, as when a clock was never set.
    pub clock_suspect: bool,
}
