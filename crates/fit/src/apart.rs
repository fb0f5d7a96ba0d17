//! How far apart two recordings of the same time are: two recorders of one ride go the same way.

use crate::profile::{FIELD_TIMESTAMP, instant, mesg};
use crate::scan::scan;
use crate::wire::{Counts, Definition, TimeBase, Values, Visit, placed, walk};

/// Moments at which the two are compared.
const MOMENTS: u32 = 20;
/// Fewer moments at which both know where they are say nothing.
const FEWEST: usize = 5;
/// A position counts for a moment that is at most this far off, s.
const NEAR_S: u32 = 30;
/// Degrees in one semicircle.
const DEGREES: f64 = 180.0 / 2_147_483_648.0;
/// Mean radius of the earth, m.
const EARTH_M: f64 = 6_371_000.0;

/// The median distance in metres between two recorders, over moments spread evenly over the time that both were
/// under way. `None` where they were not, or too few positions are known. Two passes over each file, without
/// decoding anything else.
pub fn apart_m(a: &[u8], b: &[u8]) -> Option<f64> {
    let (first, second) = (span(a)?, span(b)?);
    let (from, to) = (first.0.max(second.0), first.1.min(second.1));
    let length = to.checked_sub(from).filter(|length| *length > 0)?;
    let step = |at: u32| (u64::from(length) * u64::from(at) / u64::from(MOMENTS)) as u32;
    let moments: Vec<u32> = (0..MOMENTS).map(|at| from + step(at)).collect();
    let (a, b) = (positions(a, &moments), positions(b, &moments));
    let mut apart: Vec<f64> = a.into_iter().zip(b).filter_map(|(a, b)| Some(distance_m(a?, b?))).collect();
    if apart.len() < FEWEST {
        return None;
    }
    apart.sort_by(f64::total_cmp);
    apart.get(apart.len() / 2).copied()
}

/// First and last record with a position, in FIT seconds.
fn span(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut ends: Option<(u32, u32)> = None;
    visit(bytes, |time, _| {
        let (first, last) = ends.unwrap_or((time, time));
        ends = Some((first.min(time), last.max(time)));
    });
    ends
}

/// The nearest known position for each moment.
fn positions(bytes: &[u8], moments: &[u32]) -> Vec<Option<(i32, i32)>> {
    let mut found: Vec<Option<(u32, (i32, i32))>> = vec![None; moments.len()];
    visit(bytes, |time, position| {
        for (moment, found) in moments.iter().zip(&mut found) {
            let off = moment.abs_diff(time);
            if off <= NEAR_S && found.is_none_or(|(best, _)| off < best) {
                *found = Some((off, position));
            }
        }
    });
    found.into_iter().map(|found| found.map(|(_, position)| position)).collect()
}

fn distance_m(a: (i32, i32), b: (i32, i32)) -> f64 {
    let [lat_a, lon_a, lat_b, lon_b] = [a.0, a.1, b.0, b.1].map(|s| (f64::from(s) * DEGREES).to_radians());
    let half = |angle: f64| (angle / 2.0).sin().powi(2);
    let h = half(lat_b - lat_a) + lat_a.cos() * lat_b.cos() * half(lon_b - lon_a);
    2.0 * EARTH_M * h.clamp(0.0, 1.0).sqrt().asin()
}

/// Tells of every record that has a time and a position: FIT seconds, latitude and longitude in semicircles.
fn visit(bytes: &[u8], tell: impl FnMut(u32, (i32, i32))) {
    let mut records = Records { slots: [None; 16], time: TimeBase::default(), tell };
    let mut counts = Counts::default();
    for segment in scan(bytes).segments {
        records.slots = [None; 16];
        // Where a salvageable file breaks, its positions end.
        if walk(bytes, segment.data.start, segment.data.end, &mut counts, None, &mut records).is_err() {
            break;
        }
    }
}

/// Where the fields of a local message number are.
#[derive(Clone, Copy)]
struct Slot {
    big_endian: bool,
    time: Option<usize>,
    /// Latitude and longitude, of records that have them.
    position: Option<(usize, usize)>,
}

struct Records<F> {
    slots: [Option<Slot>; 16],
    time: TimeBase,
    tell: F,
}

impl<'a, F: FnMut(u32, (i32, i32))> Visit<'a> for Records<F> {
    fn define(&mut self, local: usize, definition: Definition<'a>) {
        let (mut time, mut lat, mut lon) = (None, None, None);
        for (num, size, at) in placed(definition.fields) {
            match (num, size) {
                (FIELD_TIMESTAMP, 4) => time = Some(at),
                (0, 4) => lat = Some(at),
                (1, 4) => lon = Some(at),
                _ => {}
            }
        }
        let position = lat.zip(lon).filter(|_| definition.num == mesg::RECORD);
        if let Some(slot) = self.slots.get_mut(local) {
            *slot = Some(Slot { big_endian: definition.big_endian, time, position });
        }
    }

    fn data(&mut self, local: usize, offset: Option<u8>, payload: &'a [u8]) {
        let Some(slot) = self.slots.get(local).copied().flatten() else { return };
        let values = Values { payload, big_endian: slot.big_endian };
        // Of every message, since a compressed time counts on from whichever came last.
        let time = self.time.resolve(slot.time.and_then(|at| values.u32(at)), offset);
        let (Some(time), Some((lat, lon))) = (time, slot.position) else { return };
        let (Some(lat), Some(lon)) = (values.i32(lat), values.i32(lon)) else { return };
        // Times since power-on are no moments, and (0, 0) is a receiver without a fix.
        if instant(time).is_some() && (lat, lon) != (0, 0) {
            (self.tell)(time, (lat, lon));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::RideSpec;

    fn spec() -> RideSpec {
        let start = "2026-05-01T06:00:00Z".parse().unwrap();
        RideSpec { indoor: false, center: (52.5, 13.4), ..RideSpec::small(4, start) }
    }

    #[test]
    fn the_same_way_is_near_and_another_town_is_far() {
        let first = spec().encode().unwrap();
        let edited = spec().edited().encode().unwrap();
        let near = apart_m(&first, &edited).unwrap();
        assert!(near < 1.0, "{near}");
        let elsewhere = RideSpec { center: (48.1, 11.6), ..spec() }.encode().unwrap();
        let far = apart_m(&first, &elsewhere).unwrap();
        assert!((480_000.0..530_000.0).contains(&far), "Berlin to Munich: {far}");
    }

    #[test]
    fn without_positions_or_a_common_time_there_is_no_distance() {
        let first = spec().encode().unwrap();
        let indoor = RideSpec { indoor: true, ..spec() }.encode().unwrap();
        assert_eq!(apart_m(&first, &indoor), None);
        let later = RideSpec { start: "2026-05-02T06:00:00Z".parse().unwrap(), ..spec() }.encode().unwrap();
        assert_eq!(apart_m(&first, &later), None);
        assert_eq!(apart_m(&first, b"no FIT file"), None);
        assert_eq!(apart_m(&first, &first[..first.len() / 3]).map(|far| far < 1.0), Some(true), "as far as it goes");
    }
}
