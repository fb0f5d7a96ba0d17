//! Thins samples out to a bounded number of points.

use super::{Track, TrackPoint};

/// A mean over the samples that have a value.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// The samples of the point in the making.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    first: TrackPoint,
    last: TrackPoint,
    count: u32,
    means: [Mean; 5],
}

impl Bucket {
    fn new(first: TrackPoint) -> Self {
        Self { first, last: first, count: 0, means: [Mean::default(); 5] }
    }

    fn add(&mut self, sample: TrackPoint) {
        self.count += 1;
        self.last = sample;
        let values = [sample.elevation_m, sample.speed_mps, sample.heart_rate_bpm, sample.power_w, sample.cadence_rpm];
        for (mean, value) in self.means.iter_mut().zip(values) {
            mean.add(value);
        }
    }

    fn point(&self, place: TrackPoint) -> TrackPoint {
        let [elevation, speed, heart_rate, power, cadence] = self.means;
        TrackPoint {
            elevation_m: elevation.value(),
            speed_mps: speed.value(),
            heart_rate_bpm: heart_rate.value(),
            power_w: power.value(),
            cadence_rpm: cadence.value(),
            ..place
        }
    }
}

/// Takes samples in order and keeps at most as many points as asked for.
#[derive(Debug)]
pub(super) struct Thinner {
    per_point: u32,
    bucket: Option<Bucket>,
    track: Track,
}

impl Thinner {
    /// For at most `samples` samples and at most `max_points` points (at least one).
    pub(super) fn new(samples: u32, max_points: usize) -> Self {
        let max_points = u32::try_from(max_points.max(1)).unwrap_or(u32::MAX);
        let per_point = samples.div_ceil(max_points).max(1);
        let points = samples.div_ceil(per_point) as usize;
        Self { per_point, bucket: None, track: Track { points: Vec::with_capacity(points), samples: 0 } }
    }

    pub(super) fn add(&mut self, sample: TrackPoint) {
        self.track.samples += 1;
        let bucket = self.bucket.get_or_insert_with(|| Bucket::new(sample));
        if bucket.count == self.per_point {
            self.track.points.push(bucket.point(bucket.first));
            *bucket = Bucket::new(sample);
        }
        bucket.add(sample);
    }

    pub(super) fn finish(mut self) -> Track {
        if let Some(bucket) = self.bucket {
            self.track.points.push(bucket.point(bucket.last));
        }
        self.track
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn sample(second: i64) -> TrackPoint {
        TrackPoint {
            time: Timestamp::from_second(second).expect("a time"),
            lat: None,
            lon: None,
            elevation_m: None,
            speed_mps: Some(second as f64),
            heart_rate_bpm: (second % 2 == 0).then_some(100.0),
            power_w: None,
            cadence_rpm: None,
            distance_m: Some(second as f64),
        }
    }

    fn thinned(samples: u32, max_points: usize) -> Track {
        let mut thinner = Thinner::new(samples, max_points);
        for second in 0..samples {
            thinner.add(sample(i64::from(second)));
        }
        thinner.finish()
    }

    #[test]
    fn points_are_bounded_and_reach_from_first_to_last() {
        for (samples, max_points) in [(1, 1), (10, 10), (10, 3), (1000, 7), (5, 100), (101, 100)] {
            let track = thinned(samples, max_points);
            assert!(track.points.len() <= max_points, "{samples} in {max_points}");
            assert_eq!(track.samples, samples);
            assert!(max_points == 1 || track.points[0].distance_m == Some(0.0));
            let last = track.points.last().expect("a point");
            assert_eq!(last.distance_m, Some(f64::from(samples - 1)));
        }
        assert_eq!(thinned(0, 10), Track::default());
        assert_eq!(thinned(10, 0).points.len(), 1);
    }

    #[test]
    fn values_are_means_of_what_is_there() {
        let track = thinned(4, 2);
        assert_eq!(track.points[0].speed_mps, Some(0.5));
        assert_eq!(track.points[1].speed_mps, Some(2.5));
        assert_eq!(track.points[0].heart_rate_bpm, Some(100.0));
        assert_eq!(track.points[0].power_w, None);
    }
}
