//! What can be plotted of a track: one quantity over distance or time.

use fitbridge_fit::{Track, TrackPoint};

use super::scale::Scale;

/// What is plotted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// Metres above sea level.
    Elevation,
    /// km/h.
    Speed,
    /// Beats per minute.
    HeartRate,
    /// Watts.
    Power,
}

impl Quantity {
    /// Every quantity, in the order in which they are shown.
    pub(crate) const ALL: [Self; 4] = [Self::Elevation, Self::Speed, Self::HeartRate, Self::Power];

    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Elevation => "elevation",
            Self::Speed => "speed",
            Self::HeartRate => "heart rate",
            Self::Power => "power",
        }
    }

    /// Its unit.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Elevation => "m",
            Self::Speed => "km/h",
            Self::HeartRate => "bpm",
            Self::Power => "W",
        }
    }

    /// The smallest span that an axis shows, so that noise does not look like mountains.
    fn least_span(self) -> f64 {
        match self {
            Self::Elevation | Self::HeartRate => 20.0,
            Self::Speed => 10.0,
            Self::Power => 100.0,
        }
    }

    fn of(self, point: &TrackPoint) -> Option<f64> {
        let value = match self {
            Self::Elevation => point.elevation_m?,
            Self::Speed => point.speed_mps? * 3.6,
            // A heart that does not beat is a strap that does not touch.
            Self::HeartRate => point.heart_rate_bpm.filter(|bpm| *bpm > 0.0)?,
            Self::Power => point.power_w?,
        };
        value.is_finite().then_some(value)
    }
}

/// What runs along the horizontal axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Along {
    /// Kilometres since the start.
    Distance,
    /// Hours since the start.
    Time,
}

impl Along {
    /// A place on the axis, without its unit.
    pub(crate) fn label(self, value: f64) -> String {
        match self {
            Self::Distance => super::units::tidy(value),
            Self::Time => {
                let minutes = (value * 60.0).round().max(0.0) as u64;
                format!("{}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }

    /// The unit of its labels.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Distance => "km",
            Self::Time => "h",
        }
    }
}

/// One quantity of a ride.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Which one.
    pub quantity: Quantity,
    /// Place along the axis and value, in order of the place; at least one.
    pub points: Vec<(f64, f64)>,
    /// The bounds of the vertical axis.
    pub scale: Scale,
}

/// What a track has to plot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// What the horizontal axis is.
    pub along: Along,
    /// From the first to the last point.
    pub across: Scale,
    /// The quantities that are there, in the order of [`Quantity::ALL`].
    pub series: Vec<Series>,
}

impl Chart {
    /// Collects what `track` has; `None` when it has nothing to draw a line through.
    pub(crate) fn of(track: &Track) -> Option<Self> {
        let (along, places) = match distances(&track.points) {
            Some(places) => (Along::Distance, places),
            None => (Along::Time, times(&track.points)),
        };
        let known = || places.iter().flatten().copied();
        let across = Scale::exact(known().next()?, known().last()?)?;
        let series =
            Quantity::ALL.into_iter().filter_map(|quantity| series(quantity, &track.points, &places)).collect();
        Some(Self { along, across, series })
    }

    /// The quantities that the ride does not have.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let has = |quantity| self.series.iter().any(|series| series.quantity == quantity);
        Quantity::ALL.into_iter().filter(|quantity| !has(*quantity)).map(Quantity::name).collect()
    }
}

fn series(quantity: Quantity, points: &[TrackPoint], places: &[Option<f64>]) -> Option<Series> {
    let points: Vec<(f64, f64)> =
        places.iter().zip(points).filter_map(|(place, point)| Some(((*place)?, quantity.of(point)?))).collect();
    // Sensors that are not there show as zeros on some head units.
    if quantity == Quantity::Power && points.iter().all(|(_, watts)| *watts == 0.0) {
        return None;
    }
    let from_zero = matches!(quantity, Quantity::Speed | Quantity::Power);
    let scale = Scale::around(points.iter().map(|(_, value)| *value), quantity.least_span(), from_zero)?;
    Some(Series { quantity, points, scale })
}

/// Kilometres of each point; `None` when the distance is missing, stands still or runs backwards.
fn distances(points: &[TrackPoint]) -> Option<Vec<Option<f64>>> {
    let mut covered: Option<(f64, f64)> = None;
    let mut places = Vec::with_capacity(points.len());
    let mut known = 0;
    for point in points {
        let Some(metres) = point.distance_m.filter(|metres| metres.is_finite()) else {
            places.push(None);
            continue;
        };
        let (first, furthest) = covered.unwrap_or((metres, metres));
        // A GPS fix that is corrected may take back a few metres; a second ride in the file starts at 0.
        if metres < furthest - 20.0 {
            return None;
        }
        let furthest = furthest.max(metres);
        covered = Some((first, furthest));
        known += 1;
        places.push(Some(furthest / 1000.0));
    }
    let moved = covered.is_some_and(|(first, furthest)| furthest - first > 50.0);
    (moved && known * 2 > points.len()).then_some(places)
}

/// Hours of each point since the first; a clock that is set back stands still until it has caught up.
fn times(points: &[TrackPoint]) -> Vec<Option<f64>> {
    let Some(first) = points.first() else { return Vec::new() };
    let mut latest = 0.0f64;
    points
        .iter()
        .map(|point| {
            let seconds = point.time.as_second().saturating_sub(first.time.as_second());
            latest = latest.max(seconds as f64);
            Some(latest / 3600.0)
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use jiff::Timestamp;

    /// A point at a second, with nothing but a time.
    pub(crate) fn at(second: i64) -> TrackPoint {
        TrackPoint {
            time: Timestamp::from_second(1_700_000_000 + second).expect("a time"),
            lat: None,
            lon: None,
            elevation_m: None,
            speed_mps: None,
            heart_rate_bpm: None,
            power_w: None,
            cadence_rpm: None,
            distance_m: None,
        }
    }

    fn track(points: impl Iterator<Item = TrackPoint>) -> Track {
        Track { points: points.collect(), samples: 0 }
    }

    #[test]
    fn distance_is_the_axis_where_it_runs_forward() {
        let forward = track((0..100).map(|s| TrackPoint { distance_m: Some(s as f64 * 10.0), ..at(s) }));
        let chart = Chart::of(&forward).expect("a chart");
        assert_eq!((chart.along, chart.across), (Along::Distance, Scale { low: 0.0, high: 0.99 }));
        let twice = track((0..100).map(|s| TrackPoint { distance_m: Some((s % 50) as f64 * 10.0), ..at(s) }));
        assert_eq!(Chart::of(&twice).map(|chart| chart.along), Some(Along::Time));
        let still = track((0..=3600).map(|s| TrackPoint { distance_m: Some(405.8), ..at(s) }));
        let chart = Chart::of(&still).expect("a chart");
        assert_eq!(chart.along, Along::Time);
        assert_eq!(chart.along.label(chart.across.high), "1:00");
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        let points = (0..10).map(|s| TrackPoint {
            speed_mps: Some(10.0),
            power_w: Some(0.0),
            heart_rate_bpm: (s > 4).then_some(120.0),
            elevation_m: Some(f64::NAN),
            ..at(s)
        });
        let chart = Chart::of(&track(points)).expect("a chart");
        assert_eq!(chart.missing(), ["elevation", "power"]);
        assert_eq!(chart.series[0].points[0], (0.0, 36.0));
        assert_eq!(chart.series[1].points.len(), 5);
    }

    #[test]
    fn nothing_to_draw_is_no_chart() {
        assert_eq!(Chart::of(&Track::default()), None);
        assert_eq!(Chart::of(&track([at(0)].into_iter())), None);
        // A clock that runs backwards.
        assert_eq!(Chart::of(&track([at(9), at(5), at(1)].into_iter())), None);
    }
}
