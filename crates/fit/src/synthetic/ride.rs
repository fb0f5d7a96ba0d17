//! What a made-up ride is to be.

use super::SyntheticError;
use super::random::Random;
use super::{encode, model};
use jiff::Timestamp;

/// Places to ride: latitude, longitude, local time minus UTC in seconds.
const PLACES: [(f64, f64, i32); 6] = [
    (52.516, 13.378, 3_600),
    (45.764, 4.836, 3_600),
    (31.231, 121.474, 28_800),
    (-33.869, 151.209, 36_000),
    (40.015, -105.271, -25_200),
    (27.717, 85.324, 20_700),
];

/// A ride to make up. The same spec gives the same bytes; other seeds give other rides.
#[derive(Debug, Clone, PartialEq)]
pub struct RideSpec {
    /// Source of everything that is not said below.
    pub seed: u64,
    /// Start of the ride, whole seconds.
    pub start: Timestamp,
    /// Seconds from start to end, pauses included.
    pub duration_s: u32,
    /// Seconds between samples.
    pub record_interval_s: u32,
    /// Number of the FIT profile's `sport`; 2 is cycling.
    pub sport: u8,
    /// Number of the FIT profile's `sub_sport`; 7 is road.
    pub sub_sport: u8,
    /// No positions and no climbing.
    pub indoor: bool,
    /// Samples have a heart rate.
    pub with_heart_rate: bool,
    /// Samples have power.
    pub with_power: bool,
    /// Maker's number; 115 is iGPSport.
    pub manufacturer: u16,
    /// The maker's product number.
    pub product: u16,
    /// Serial number of the device; 0 means "none" in FIT.
    pub serial: u32,
    /// Local time minus UTC, in seconds.
    pub utc_offset_s: i32,
    /// Latitude and longitude, in degrees, that the ride circles around.
    pub center: (f64, f64),
}

/// What a reader must find in the file of a [`RideSpec`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RideFacts {
    /// Seconds that the timer runs.
    pub timer_s: u32,
    /// Metres, to the centimetre.
    pub distance_m: f64,
    /// Whole metres climbed.
    pub ascent_m: u16,
    /// Whole metres descended.
    pub descent_m: u16,
    /// Kilocalories.
    pub calories: u16,
    /// Samples.
    pub records: u32,
    /// Laps.
    pub laps: u32,
    /// Mean heart rate.
    pub avg_heart_rate: Option<u8>,
    /// Highest heart rate.
    pub max_heart_rate: Option<u8>,
    /// Mean power, watts.
    pub avg_power: Option<u16>,
    /// Highest power, watts.
    pub max_power: Option<u16>,
    /// Mean cadence.
    pub avg_cadence: u8,
    /// Mean speed, metres per second, to the millimetre.
    pub avg_speed_mps: f64,
    /// Highest speed, metres per second, to the millimetre.
    pub max_speed_mps: f64,
}

impl RideSpec {
    /// A ride of 40 minutes to 2½ hours at one sample a second, on an iGPSport head unit. Place, discipline and
    /// sensors vary with the seed.
    pub fn new(seed: u64, start: Timestamp) -> Self {
        let mut random = Random::new(seed ^ 0x0052_6964_6553_7065);
        let place = PLACES[random.whole(0, PLACES.len() as u32 - 1) as usize];
        let indoor = random.chance(0.1);
        let sub_sport = match random.whole(0, 9) {
            _ if indoor => 6,
            0 => 8,
            1 => 46,
            _ => 7,
        };
        Self {
            seed,
            start: Timestamp::from_second(start.as_second()).unwrap_or(start),
            duration_s: random.whole(40 * 60, 150 * 60),
            record_interval_s: 1,
            sport: 2,
            sub_sport,
            indoor,
            with_heart_rate: random.chance(0.8),
            with_power: indoor || random.chance(0.4),
            manufacturer: 115,
            product: 301,
            serial: random.whole(0x1000_0000, 0x7000_0000),
            utc_offset_s: place.2,
            center: (place.0, place.1),
        }
    }

    /// Like [`RideSpec::new`], but short and coarse: a file of 2 to 4 KB.
    pub fn small(seed: u64, start: Timestamp) -> Self {
        let mut random = Random::new(seed ^ 0x0053_6D61_6C6C);
        Self { duration_s: random.whole(1000, 1300), record_interval_s: 10, ..Self::new(seed, start) }
    }

    /// The same ride on another recorder, switched on a minute later: another device, other sensors, and so
    /// another file of the same ride.
    #[must_use]
    pub fn on_another_recorder(&self) -> Self {
        let later = self.start.as_second().saturating_add(60);
        Self {
            seed: self.seed ^ 0x0057_6174_6368,
            start: Timestamp::from_second(later).unwrap_or(self.start),
            duration_s: self.duration_s.saturating_sub(45),
            manufacturer: 1,
            product: 3121,
            serial: self.serial ^ 0x0042_0042,
            with_power: !self.with_power,
            ..self.clone()
        }
    }

    /// The same recording made into another file, as by an editor that adds or drops a sensor: device and
    /// creation time stay.
    #[must_use]
    pub fn edited(&self) -> Self {
        Self { with_heart_rate: !self.with_heart_rate, ..self.clone() }
    }

    /// What the file says, without writing it.
    ///
    /// # Errors
    /// As [`RideSpec::encode`], other than the encoder's own.
    pub fn facts(&self) -> Result<RideFacts, SyntheticError> {
        encode::times(self)?;
        Ok(model::ride(self)?.facts)
    }

    /// The ride as a FIT file.
    ///
    /// # Errors
    /// A time that FIT cannot hold, an impossible spec, or a refusal of the encoder library.
    pub fn encode(&self) -> Result<Vec<u8>, SyntheticError> {
        encode::encode(self, &model::ride(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan;

    #[test]
    fn a_start_that_fit_cannot_hold_is_refused_before_the_file_is_made() {
        let spec = RideSpec::small(3, "1997-05-01T06:00:00Z".parse().unwrap());
        assert!(matches!(spec.facts(), Err(SyntheticError::Time(_))));
        assert!(matches!(spec.encode(), Err(SyntheticError::Time(_))));
    }

    #[test]
    fn another_recorder_and_an_edit_make_other_files_of_the_ride() {
        let spec = RideSpec::small(3, "2026-05-01T06:00:00Z".parse().unwrap());
        let [first, watch, edited] = [spec.clone(), spec.on_another_recorder(), spec.edited()].map(|spec| {
            let bytes = spec.encode().unwrap();
            let summary = scan(&bytes).summary;
            (bytes, (summary.manufacturer, summary.product, summary.serial, summary.time_created), summary.start)
        });
        assert_eq!((&edited.1, edited.2), (&first.1, first.2));
        assert_ne!(edited.0, first.0);
        assert_ne!(watch.1, first.1);
        assert_eq!(watch.2.unwrap().duration_since(first.2.unwrap()).as_secs(), 60);
    }
}
