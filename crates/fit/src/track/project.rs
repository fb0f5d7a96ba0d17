//! Cuts records down to the fields of a track and has `fitparser` decode them, one message at a time.

use super::thin::Thinner;
use super::{Track, TrackError, TrackPoint};
use crate::profile::{FIELD_TIMESTAMP, mesg};
use crate::tally::enhanced_or_plain;
use crate::wire::{Definition, TimeBase, Values, Visit, placed};
use fitparser::de::{FitObject, FitStreamProcessor};
use fitparser::{FitDataField, FitDataRecord, Value};
use jiff::Timestamp;

/// The fields of a track beside its time: number, size, base type.
const WANTED: [[u8; 3]; 10] = [
    [0, 4, 0x85],
    [1, 4, 0x85],
    [2, 2, 0x84],
    [3, 1, 0x02],
    [4, 1, 0x02],
    [5, 4, 0x86],
    [6, 2, 0x84],
    [7, 2, 0x84],
    [73, 4, 0x86],
    [78, 4, 0x86],
];
/// `compressed_speed_distance`: number and size. Unfolded here, as the decoder adds the rolling counter up.
const PACKED: (u8, u8) = (8, 3);
/// What it is unfolded to: `distance` and `speed`.
const UNPACKED: [[u8; 3]; 2] = [[5, 4, 0x86], [6, 2, 0x84]];
/// A header whose data never ends: the processor lives for one segment.
const HEADER: [u8; 12] = *b"\x0c\x20\x54\x08\xff\xff\xff\x7f.FIT";
const DEGREES_PER_SEMICIRCLE: f64 = 180.0 / 2_147_483_648.0;
const POLE: f64 = 90.0;

/// What a local message number means right now.
#[derive(Debug, Clone, Copy)]
struct Slot {
    is_record: bool,
    big_endian: bool,
    time_at: usize,
    /// Where the wanted fields lie: offset and size.
    kept: [(usize, usize); WANTED.len()],
    kept_len: usize,
    /// Where the packed speed and distance lie, when nothing else gives them.
    packed_at: Option<usize>,
}

const NOTHING: Slot = Slot {
    is_record: false,
    big_endian: false,
    time_at: usize::MAX,
    kept: [(0, 0); WANTED.len()],
    kept_len: 0,
    packed_at: None,
};

/// Twelve bits of speed in 1/100 m/s and twelve of distance in 1/16 m; the distance rolls over every 256 m.
#[derive(Debug, Clone, Copy, Default)]
struct Unpacker {
    sixteenths: u32,
}

impl Unpacker {
    /// Centimetres since the first sample and millimetres per second; `None` for the invalid value.
    fn unpack(&mut self, packed: [u8; 3]) -> Option<(u32, u16)> {
        let [low, mixed, high] = packed.map(u32::from);
        if packed == [u8::MAX; 3] {
            return None;
        }
        let speed = low | (mixed & 0x0F) << 8;
        let counter = mixed >> 4 | high << 4;
        let advance = counter.wrapping_sub(self.sixteenths) & 0x0FFF;
        // No ride reaches the bound of 268,000 km; a hostile file may.
        self.sixteenths = self.sixteenths.saturating_add(advance);
        let centimetres = u64::from(self.sixteenths) * 100 / 16;
        Some((u32::try_from(centimetres).ok()?, (speed * 10) as u16))
    }
}

/// Receives the messages of a file and turns its records into points.
pub(super) struct Projector {
    slots: [Slot; 16],
    time: TimeBase,
    processor: FitStreamProcessor,
    scratch: Vec<u8>,
    unpacker: Unpacker,
    thinner: Thinner,
    /// Distance at the end of the segments before, and the furthest so far.
    distance_before: f64,
    distance: f64,
    failed: Option<TrackError>,
}

impl Projector {
    pub(super) fn new(thinner: Thinner) -> Self {
        Self {
            slots: [NOTHING; 16],
            time: TimeBase::default(),
            processor: FitStreamProcessor::new(),
            scratch: Vec::with_capacity(64),
            unpacker: Unpacker::default(),
            thinner,
            distance_before: 0.0,
            distance: 0.0,
            failed: None,
        }
    }

    /// Forgets definitions and starts the decoder anew.
    pub(super) fn next_segment(&mut self) -> Result<(), TrackError> {
        self.slots = [NOTHING; 16];
        self.time = TimeBase::default();
        self.unpacker = Unpacker::default();
        self.distance_before = self.distance;
        self.processor = FitStreamProcessor::new();
        self.processor.deserialize_next(&HEADER).map(|_| ()).map_err(|error| TrackError::Decode(error.to_string()))
    }

    /// The first failure since the start.
    pub(super) fn check(&self) -> Result<(), TrackError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    pub(super) fn finish(self) -> Track {
        self.thinner.finish()
    }

    /// Hands the scratch bytes, one whole message, to the decoder.
    fn feed(&mut self) -> Result<Option<FitDataRecord>, TrackError> {
        let failed = |error: fitparser::Error| TrackError::Decode(error.to_string());
        let (_, object) = self.processor.deserialize_next(&self.scratch).map_err(failed)?;
        match object {
            FitObject::DataMessage(message) => {
                let record = self.processor.decode_message(message).map_err(failed)?;
                Ok(Some(record))
            }
            _ => Ok(None),
        }
    }

    fn point(&mut self, record: &FitDataRecord) -> Option<TrackPoint> {
        let sample = Sample::read(record.fields());
        let distance_m = sample.distance.map(|metres| self.distance_before + metres);
        if let Some(metres) = distance_m {
            self.distance = self.distance.max(metres);
        }
        let position = sample.lat.zip(sample.lon).filter(|&(lat, lon)| {
            // A receiver without a fix writes (0, 0).
            (lat, lon) != (0.0, 0.0) && lat.abs() <= POLE
        });
        Some(TrackPoint {
            time: sample.time?,
            lat: position.map(|(lat, _)| lat),
            lon: position.map(|(_, lon)| lon),
            elevation_m: sample.enhanced_elevation.or(sample.elevation),
            speed_mps: enhanced_or_plain(sample.enhanced_speed, sample.speed),
            heart_rate_bpm: sample.heart_rate,
            power_w: sample.power,
            cadence_rpm: sample.cadence,
            distance_m,
        })
    }
}

impl<'a> Visit<'a> for Projector {
    fn define(&mut self, local: usize, definition: Definition<'a>) {
        let mut slot = Slot { is_record: definition.num == mesg::RECORD, big_endian: definition.big_endian, ..NOTHING };
        let mut fields = [[0u8; 3]; WANTED.len()];
        for (num, size, at) in placed(definition.fields) {
            match (num, size) {
                (FIELD_TIMESTAMP, 4) => slot.time_at = at,
                PACKED => slot.packed_at = Some(at),
                _ => {}
            }
            let wanted = WANTED.iter().find(|field| field[..2] == [num, size]);
            let known = &fields[..slot.kept_len];
            if let Some(&field) = wanted
                && !known.contains(&field)
            {
                fields[slot.kept_len] = field;
                slot.kept[slot.kept_len] = (at, usize::from(size));
                slot.kept_len += 1;
            }
        }
        let known = &fields[..slot.kept_len];
        if UNPACKED.iter().any(|field| known.contains(field)) {
            slot.packed_at = None;
        }
        let unpacked: &[[u8; 3]] = slot.packed_at.map_or(&[], |_| &UNPACKED);
        self.slots[local] = slot;
        if !slot.is_record || self.failed.is_some() {
            return;
        }
        let order = u8::from(slot.big_endian);
        let num = if slot.big_endian { mesg::RECORD.to_be_bytes() } else { mesg::RECORD.to_le_bytes() };
        self.scratch.clear();
        self.scratch.extend_from_slice(&[0x40 | local as u8, 0, order]);
        self.scratch.extend_from_slice(&num);
        self.scratch.push((1 + slot.kept_len + unpacked.len()) as u8);
        self.scratch.extend_from_slice(&[FIELD_TIMESTAMP, 4, 0x86]);
        for field in fields[..slot.kept_len].iter().chain(unpacked) {
            self.scratch.extend_from_slice(field);
        }
        self.failed = self.feed().err();
    }

    fn data(&mut self, local: usize, offset: Option<u8>, payload: &'a [u8]) {
        let slot = self.slots[local];
        let values = Values { payload, big_endian: slot.big_endian };
        let time = self.time.resolve(values.u32(slot.time_at), offset);
        if !slot.is_record || self.failed.is_some() {
            return;
        }
        let Some(time) = time else { return };
        let time = if slot.big_endian { time.to_be_bytes() } else { time.to_le_bytes() };
        self.scratch.clear();
        self.scratch.push(local as u8);
        self.scratch.extend_from_slice(&time);
        for &(at, size) in &slot.kept[..slot.kept_len] {
            let value = payload.get(at..at + size).unwrap_or_default();
            self.scratch.extend_from_slice(value);
        }
        if let Some(at) = slot.packed_at {
            let packed = payload.get(at..).and_then(|rest| rest.first_chunk());
            let (distance, speed) =
                packed.and_then(|&packed| self.unpacker.unpack(packed)).unwrap_or((u32::MAX, u16::MAX));
            if slot.big_endian {
                self.scratch.extend_from_slice(&distance.to_be_bytes());
                self.scratch.extend_from_slice(&speed.to_be_bytes());
            } else {
                self.scratch.extend_from_slice(&distance.to_le_bytes());
                self.scratch.extend_from_slice(&speed.to_le_bytes());
            }
        }
        match self.feed() {
            Ok(Some(record)) => {
                if let Some(point) = self.point(&record) {
                    self.thinner.add(point);
                }
            }
            Ok(None) => {}
            Err(error) => self.failed = Some(error),
        }
    }
}

/// The decoded values of one record.
#[derive(Debug, Default)]
struct Sample {
    time: Option<Timestamp>,
    lat: Option<f64>,
    lon: Option<f64>,
    elevation: Option<f64>,
    enhanced_elevation: Option<f64>,
    speed: Option<f64>,
    enhanced_speed: Option<f64>,
    heart_rate: Option<f64>,
    power: Option<f64>,
    cadence: Option<f64>,
    distance: Option<f64>,
}

impl Sample {
    fn read(fields: &[FitDataField]) -> Self {
        let mut sample = Self::default();
        for field in fields {
            let number = number(field.value());
            match field.name() {
                "timestamp" => sample.time = time(field.value()),
                "position_lat" => sample.lat = number.map(|v| v * DEGREES_PER_SEMICIRCLE),
                "position_long" => sample.lon = number.map(|v| v * DEGREES_PER_SEMICIRCLE),
                "altitude" => sample.elevation = number,
                "enhanced_altitude" => sample.enhanced_elevation = number,
                "speed" => sample.speed = number,
                // Both the file's own field and the one expanded from `speed` may be there.
                "enhanced_speed" => {
                    sample.enhanced_speed = enhanced_or_plain(number, sample.enhanced_speed);
                }
                "heart_rate" => sample.heart_rate = number,
                "power" => sample.power = number,
                "cadence" => sample.cadence = number,
                "distance" => sample.distance = number,
                _ => {}
            }
        }
        sample
    }
}

/// The instant behind a value, whatever zone the decoder shows it in.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Timestamp(local) => Timestamp::from_second(local.timestamp()).ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    let number: f64 = match value {
        Value::Timestamp(_) | Value::Array(_) | Value::String(_) | Value::Invalid => return None,
        scalar => scalar.clone().try_into().ok()?,
    };
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_distances_roll_over() {
        let mut unpacker = Unpacker::default();
        // 3.54 m/s; counter 0x010 of 16ths: one metre.
        assert_eq!(unpacker.unpack([0x62, 0x01, 0x01]), Some((100, 3540)));
        // Counter 0xFF0: 255 m.
        assert_eq!(unpacker.unpack([0x00, 0x00, 0xFF]), Some((25_500, 0)));
        // Counter 0x010 again: 257 m.
        assert_eq!(unpacker.unpack([0x00, 0x00, 0x01]), Some((25_700, 0)));
        assert_eq!(unpacker.unpack([0xFF; 3]), None);
    }
}
