//! The physics of a made-up ride: a wobbly loop over hills, ridden with a plausible effort.

use super::SyntheticError;
use super::random::Random;
use super::ride::{RideFacts, RideSpec};
use std::f64::consts::TAU;

/// Metres per degree of latitude.
const METRES_PER_DEGREE: f64 = 111_320.0;
/// Seconds between laps.
const LAP_S: u32 = 1200;
/// Longest ride: ten days of samples.
const MAX_DURATION_S: u32 = 10 * 86_400;
/// Rider and bicycle, kg.
const MASS_KG: f64 = 85.0;

/// One sample, in the units of the file's fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Seconds since the start.
    pub(super) at_s: u32,
    /// Semicircles.
    pub(super) position: Option<(i32, i32)>,
    /// (m + 500) × 5.
    pub(super) altitude: u16,
    /// Centimetres since the start.
    pub(super) distance: u32,
    /// Millimetres per second.
    pub(super) speed: u16,
    pub(super) heart_rate: Option<u8>,
    pub(super) cadence: u8,
    pub(super) power: Option<u16>,
    /// Degrees Celsius.
    pub(super) temperature: i8,
}

/// One lap: when it ends, and its own totals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lap {
    pub(super) start_s: u32,
    pub(super) end_s: u32,
    /// Centimetres.
    pub(super) distance: u32,
}

/// A ride, ready to be written.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) samples: Vec<Sample>,
    pub(super) laps: Vec<Lap>,
    /// Start and end of a stop in seconds since the start.
    pub(super) pause: Option<(u32, u32)>,
    pub(super) facts: RideFacts,
}

/// The shape of the route.
struct Route {
    length_m: f64,
    radius_m: f64,
    wobble: [f64; 2],
    hills: [(f64, f64); 5],
    base_m: f64,
}

impl Route {
    fn new(random: &mut Random, length_m: f64) -> Self {
        let mut hill = |high: f64| (random.between(0.2, 1.0) * high, random.between(0.0, TAU));
        let hills = [hill(60.0), hill(30.0), hill(15.0), hill(8.0), hill(4.0)];
        Self {
            length_m,
            radius_m: length_m / TAU,
            wobble: [random.between(0.0, TAU), random.between(0.0, TAU)],
            hills,
            base_m: random.between(120.0, 600.0),
        }
    }

    /// Semicircles at a distance from the start.
    fn position(&self, center: (f64, f64), along_m: f64) -> (i32, i32) {
        let angle = TAU * along_m / self.length_m;
        let shape = 1.0 + 0.15 * (3.0 * angle + self.wobble[0]).sin() + 0.06 * (7.0 * angle + self.wobble[1]).sin();
        let radius = self.radius_m * shape;
        let lat = center.0 + radius * angle.sin() / METRES_PER_DEGREE;
        let narrowing = center.0.to_radians().cos().max(0.05);
        let lon = center.1 + radius * angle.cos() / (METRES_PER_DEGREE * narrowing);
        (semicircles(lat), semicircles(lon))
    }

    fn elevation(&self, along_m: f64) -> f64 {
        let angle = TAU * along_m / self.length_m;
        (1u8..)
            .zip(self.hills)
            .fold(self.base_m, |sum, (turns, (high, phase))| sum + high * (f64::from(turns) * angle + phase).sin())
    }
}

fn semicircles(degrees: f64) -> i32 {
    (degrees * (2f64.powi(31) / 180.0)).round() as i32
}

/// Makes the ride up.
pub(super) fn ride(spec: &RideSpec) -> Result<Model, SyntheticError> {
    if spec.record_interval_s == 0 {
        return Err(SyntheticError::Spec("the record interval is 0 seconds"));
    }
    if !(1..=MAX_DURATION_S).contains(&spec.duration_s) {
        return Err(SyntheticError::Spec("it lasts less than a second or over ten days"));
    }
    if !(spec.center.0.abs() <= 85.0 && spec.center.1.abs() <= 179.0) {
        return Err(SyntheticError::Spec("its centre is at a pole or at the date line"));
    }
    let mut random = Random::new(spec.seed);
    let cruise = random.between(6.0, 9.5);
    let route = Route::new(&mut random, (cruise * f64::from(spec.duration_s)).max(500.0));
    let pause = (spec.duration_s > 1800).then(|| {
        let from = random.whole(spec.duration_s / 3, spec.duration_s / 2);
        (from, from + random.whole(20, 180))
    });
    let warmth = random.between(5.0, 26.0);

    let mut samples = Vec::with_capacity((spec.duration_s / spec.record_interval_s) as usize + 2);
    let step = f64::from(spec.record_interval_s);
    let (mut along, mut speed, mut pulse, mut gust) = (0.0, cruise * 0.5, 95.0, 0.0);
    let mut at_s = 0;
    while at_s <= spec.duration_s {
        if pause.is_some_and(|(from, to)| at_s > from && at_s < to) {
            at_s += spec.record_interval_s;
            continue;
        }
        gust = 0.9 * gust + 0.1 * random.between(-2.0, 2.0);
        let slope =
            if spec.indoor { 0.0 } else { (route.elevation(along + 5.0) - route.elevation(along - 5.0)) / 10.0 };
        let aim = (cruise * (1.0 - 7.0 * slope) + gust).clamp(2.0, 17.0);
        speed += (aim - speed) * (step / 12.0).min(1.0);
        let drag = 0.19 * speed.powi(3) + MASS_KG * 9.81 * (slope + 0.005) * speed;
        let watts = (drag / 0.97 + random.between(-15.0, 15.0)).clamp(0.0, 900.0);
        pulse += (105.0 + watts * 0.22 - pulse) * (step / 40.0).min(1.0);
        let resting = watts < 5.0;
        samples.push(Sample {
            at_s,
            position: (!spec.indoor).then(|| route.position(spec.center, along)),
            altitude: (((if spec.indoor { 100.0 } else { route.elevation(along) }) + 500.0) * 5.0) as u16,
            distance: (along * 100.0) as u32,
            speed: (speed * 1000.0) as u16,
            heart_rate: spec.with_heart_rate.then_some(pulse.clamp(60.0, 200.0) as u8),
            cadence: if resting { 0 } else { random.whole(78, 96) as u8 },
            power: spec.with_power.then_some(watts as u16),
            temperature: warmth as i8,
        });
        along += speed * step;
        at_s += spec.record_interval_s;
    }
    let paused = pause.map_or(0, |(from, to)| to - from);
    let facts = facts(&samples, spec.duration_s - paused, spec.duration_s);
    let laps = laps(&samples, spec.duration_s);
    Ok(Model { samples, laps, pause, facts })
}

fn laps(samples: &[Sample], duration_s: u32) -> Vec<Lap> {
    let distance_at = |at_s: u32| {
        let next = samples.partition_point(|sample| sample.at_s <= at_s);
        next.checked_sub(1).and_then(|last| samples.get(last)).map_or(0, |s| s.distance)
    };
    let count = duration_s.div_ceil(LAP_S).max(1);
    (0..count)
        .map(|lap| {
            let (start_s, end_s) = (lap * LAP_S, ((lap + 1) * LAP_S).min(duration_s));
            let distance = distance_at(end_s).saturating_sub(distance_at(start_s));
            Lap { start_s, end_s, distance }
        })
        .collect()
}

fn facts(samples: &[Sample], timer_s: u32, duration_s: u32) -> RideFacts {
    let (mut ascent, mut descent) = (0u32, 0u32);
    for pair in samples.windows(2) {
        let (before, after) = (u32::from(pair[0].altitude), u32::from(pair[1].altitude));
        ascent += after.saturating_sub(before);
        descent += before.saturating_sub(after);
    }
    let mean = |values: &mut dyn Iterator<Item = u32>| {
        let (sum, count) = values.fold((0u64, 0u64), |(sum, count), v| (sum + u64::from(v), count + 1));
        sum.checked_div(count).map(|mean| mean as u32)
    };
    let distance = samples.last().map_or(0, |last| last.distance);
    let max_speed = samples.iter().map(|s| s.speed).max().unwrap_or(0);
    let avg_speed = u64::from(distance) * 10 / u64::from(timer_s.max(1));
    RideFacts {
        timer_s,
        distance_m: f64::from(distance) / 100.0,
        ascent_m: (ascent / 5).min(65_000) as u16,
        descent_m: (descent / 5).min(65_000) as u16,
        calories: (duration_s / 6).min(60_000) as u16,
        records: samples.len() as u32,
        laps: duration_s.div_ceil(LAP_S).max(1),
        avg_heart_rate: mean(&mut samples.iter().filter_map(|s| s.heart_rate.map(u32::from))).map(|v| v as u8),
        max_heart_rate: samples.iter().filter_map(|s| s.heart_rate).max(),
        avg_power: mean(&mut samples.iter().filter_map(|s| s.power.map(u32::from))).map(|v| v as u16),
        max_power: samples.iter().filter_map(|s| s.power).max(),
        avg_cadence: mean(&mut samples.iter().map(|s| u32::from(s.cadence))).unwrap_or(0) as u8,
        avg_speed_mps: avg_speed as f64 / 1000.0,
        max_speed_mps: f64::from(max_speed) / 1000.0,
    }
}
