//! Totals from records, for the files that hold no session.

use crate::profile::{FIELD_TIMESTAMP, mesg};
use crate::summary::Summary;
use crate::tally::enhanced_or_plain;
use crate::wire::{Definition, Values, Visit, placed};

/// Metres that the elevation must leave its last turning point by, so that noise is no climb.
const CLIMB_STEP_M: f64 = 3.0;

#[derive(Debug, Clone, Copy)]
struct Slot<'a> {
    is_record: bool,
    big_endian: bool,
    fields: &'a [[u8; 3]],
}

/// Sum, count and maximum of one series.
#[derive(Debug, Default, Clone, Copy)]
struct Series {
    sum: f64,
    count: u32,
    max: f64,
}

impl Series {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
        self.max = self.max.max(value);
    }

    fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    fn max(self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }
}

/// Gathers over all segments; definitions are forgotten at [`RecordTotals::next_segment`].
#[derive(Debug)]
pub(crate) struct RecordTotals<'a> {
    slots: [Slot<'a>; 16],
    heart_rate: Series,
    power: Series,
    cadence: Series,
    speed: Series,
    /// Distance of finished segments, and the furthest point of this one.
    distance_before: f64,
    distance_here: Option<f64>,
    any_distance: bool,
    turning_point: Option<f64>,
    ascent: f64,
    descent: f64,
}

impl RecordTotals<'_> {
    pub(crate) fn new() -> Self {
        Self {
            slots: [Slot { is_record: false, big_endian: false, fields: &[] }; 16],
            heart_rate: Series::default(),
            power: Series::default(),
            cadence: Series::default(),
            speed: Series::default(),
            distance_before: 0.0,
            distance_here: None,
            any_distance: false,
            turning_point: None,
            ascent: 0.0,
            descent: 0.0,
        }
    }

    pub(crate) fn next_segment(&mut self) {
        self.distance_before += self.distance_here.take().unwrap_or(0.0);
        for slot in &mut self.slots {
            slot.is_record = false;
        }
    }

    fn climb(&mut self, elevation: f64) {
        let Some(from) = self.turning_point else {
            self.turning_point = Some(elevation);
            return;
        };
        let change = elevation - from;
        if change.abs() >= CLIMB_STEP_M {
            if change > 0.0 {
                self.ascent += change;
            } else {
                self.descent -= change;
            }
            self.turning_point = Some(elevation);
        }
    }

    /// Writes the totals into a summary whose record times are already set.
    pub(crate) fn fill(&self, summary: &mut Summary) {
        let span = match (summary.first_record, summary.last_record) {
            (Some(first), Some(last)) => Some((last.as_second() - first.as_second()).max(0) as f64),
            _ => None,
        };
        let distance = self.distance_before + self.distance_here.unwrap_or(0.0);
        summary.elapsed_s = span;
        summary.distance_m = self.any_distance.then_some(distance);
        if self.turning_point.is_some() {
            summary.ascent_m = Some(self.ascent);
            summary.descent_m = Some(self.descent);
        }
        summary.avg_heart_rate = self.heart_rate.mean();
        // Both series hold values of their integer type only.
        summary.max_heart_rate = self.heart_rate.max().map(|v| v as u8);
        summary.avg_power = self.power.mean();
        summary.max_power = self.power.max().map(|v| v as u16);
        summary.avg_cadence = self.cadence.mean();
        summary.avg_speed_mps = match (summary.distance_m, span) {
            (Some(distance), Some(span)) if span > 0.0 => Some(distance / span),
            _ => self.speed.mean(),
        };
        summary.max_speed_mps = self.speed.max();
    }
}

impl<'a> Visit<'a> for RecordTotals<'a> {
    fn define(&mut self, local: usize, definition: Definition<'a>) {
        self.slots[local] = Slot {
            is_record: definition.num == mesg::RECORD,
            big_endian: definition.big_endian,
            fields: definition.fields,
        };
    }

    fn data(&mut self, local: usize, _offset: Option<u8>, payload: &'a [u8]) {
        let slot = self.slots[local];
        if !slot.is_record {
            return;
        }
        let values = Values { payload, big_endian: slot.big_endian };
        let (mut speed, mut enhanced_speed) = (None, None);
        let (mut elevation, mut enhanced_elevation) = (None, None);
        for (num, size, at) in placed(slot.fields) {
            match (num, size) {
                (FIELD_TIMESTAMP, _) => {}
                (2, 2) => elevation = values.u16(at).map(|v| f64::from(v) / 5.0 - 500.0),
                (78, 4) => enhanced_elevation = values.u32(at).map(|v| f64::from(v) / 5.0 - 500.0),
                (6, 2) => speed = values.u16(at).map(|v| f64::from(v) / 1000.0),
                (73, 4) => enhanced_speed = values.u32(at).map(|v| f64::from(v) / 1000.0),
                (3, 1) => {
                    if let Some(bpm) = values.u8(at) {
                        self.heart_rate.add(f64::from(bpm));
                    }
                }
                (4, 1) => {
                    if let Some(rpm) = values.u8(at) {
                        self.cadence.add(f64::from(rpm));
                    }
                }
                (7, 2) => {
                    if let Some(watts) = values.u16(at) {
                        self.power.add(f64::from(watts));
                    }
                }
                (5, 4) => {
                    if let Some(cm) = values.u32(at) {
                        let metres = f64::from(cm) / 100.0;
                        self.any_distance = true;
                        self.distance_here = Some(self.distance_here.map_or(metres, |far| far.max(metres)));
                    }
                }
                _ => {}
            }
        }
        if let Some(speed) = enhanced_or_plain(enhanced_speed, speed) {
            self.speed.add(speed);
        }
        if let Some(elevation) = enhanced_elevation.or(elevation) {
            self.climb(elevation);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_no_climb() {
        let mut totals = RecordTotals::new();
        for metre in [100.0, 101.0, 100.0, 102.0, 110.0, 109.0, 104.0, 105.0] {
            totals.climb(metre);
        }
        assert_eq!((totals.ascent, totals.descent), (10.0, 6.0));
    }
}
