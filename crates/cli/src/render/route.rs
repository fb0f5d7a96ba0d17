//! Where a ride went, as places on a flat map.

use fitbridge_fit::TrackPoint;

/// Metres per degree of latitude, on a sphere of the Earth's mean radius.
const METRES_PER_DEGREE: f64 = 111_195.0;
/// The smallest map, in metres: rolling on the spot is not blown up to a tour.
const LEAST_EXTENT_M: f64 = 200.0;

/// A ride's route in metres east and north of its middle, by equirectangular projection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Route {
    /// Uninterrupted stretches; none is empty.
    runs: Vec<Vec<(f64, f64)>>,
    /// Least and greatest east, then north.
    bounds: [f64; 4],
}

/// A route on a sheet, `y` downwards.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Placed {
    /// Uninterrupted stretches; none is empty.
    pub runs: Vec<Vec<(f64, f64)>>,
    /// The first place.
    pub start: (f64, f64),
    /// The last place.
    pub finish: (f64, f64),
    /// The scale of the map.
    pub pixels_per_metre: f64,
}

impl Route {
    /// The route of a track; `None` with fewer than two positions.
    pub(crate) fn of(points: &[TrackPoint]) -> Option<Self> {
        let position = |point: &TrackPoint| {
            let (lat, lon) = (point.lat?, point.lon?);
            // Receivers that have not found themselves yet say 0, 0.
            let plausible = lat.abs() <= 90.0 && lon.abs() <= 180.0 && (lat, lon) != (0.0, 0.0);
            plausible.then_some((lat, lon))
        };
        let known = || points.iter().filter_map(position);
        let (_, first_lon) = known().next()?;
        let count = known().count();
        if count < 2 {
            return None;
        }
        let middle_lat = known().map(|(lat, _)| lat).sum::<f64>() / count as f64;
        let narrowing = middle_lat.to_radians().cos().max(0.01);
        let project = |(lat, lon): (f64, f64)| {
            // Across the date line the short way.
            let east = (lon - first_lon + 540.0).rem_euclid(360.0) - 180.0;
            (east * METRES_PER_DEGREE * narrowing, (lat - middle_lat) * METRES_PER_DEGREE)
        };
        let mut runs = Vec::new();
        let mut run = Vec::new();
        for point in points {
            match position(point) {
                Some(place) => run.push(project(place)),
                None if run.is_empty() => {}
                None => runs.push(std::mem::take(&mut run)),
            }
        }
        if !run.is_empty() {
            runs.push(run);
        }
        let mut bounds = [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY];
        for (east, north) in runs.iter().flatten() {
            bounds = [bounds[0].min(*east), bounds[1].max(*east), bounds[2].min(*north), bounds[3].max(*north)];
        }
        Some(Self { runs, bounds })
    }

    /// Fits the route into a sheet, in the middle and with the same scale both ways.
    pub(crate) fn fit(&self, width: f64, height: f64) -> Placed {
        let [west, east, south, north] = self.bounds;
        let extent = |low: f64, high: f64| (high - low).max(LEAST_EXTENT_M);
        let scale = (width / extent(west, east)).min(height / extent(south, north));
        let middle = (f64::midpoint(west, east), f64::midpoint(south, north));
        let place = |(x, y): &(f64, f64)| (width / 2.0 + (x - middle.0) * scale, height / 2.0 - (y - middle.1) * scale);
        let runs: Vec<Vec<_>> = self.runs.iter().map(|run| run.iter().map(place).collect()).collect();
        let centre = (width / 2.0, height / 2.0);
        let start = runs.first().and_then(|run| run.first()).copied().unwrap_or(centre);
        let finish = runs.last().and_then(|run| run.last()).copied().unwrap_or(centre);
        Placed { runs, start, finish, pixels_per_metre: scale }
    }
}

/// The longest round length in metres that takes at most `room` pixels, with its pixels.
pub(crate) fn scale_bar(pixels_per_metre: f64, room: f64) -> (f64, f64) {
    let most = room / pixels_per_metre;
    let power = 10f64.powf(most.log10().floor());
    let metres = [5.0, 2.0, 1.0].into_iter().map(|factor| factor * power).find(|metres| *metres <= most);
    let metres = metres.unwrap_or(power);
    (metres, metres * pixels_per_metre)
}

#[cfg(test)]
mod tests {
    use super::{super::series::tests::at, *};

    fn route(places: &[Option<(f64, f64)>]) -> Option<Route> {
        let points: Vec<_> = places
            .iter()
            .map(|place| TrackPoint { lat: place.map(|p| p.0), lon: place.map(|p| p.1), ..at(0) })
            .collect();
        Route::of(&points)
    }

    #[test]
    fn the_aspect_is_kept_and_north_is_up() {
        // At 60° a degree of longitude is half as long as one of latitude.
        let square = [Some((59.99, 10.0)), Some((60.01, 10.0)), Some((60.01, 10.04)), Some((59.99, 10.04))];
        let placed = route(&square).expect("a route").fit(800.0, 400.0);
        let [a, b, c, _] = placed.runs[0][..] else { panic!("four places") };
        assert!((a.1 - b.1 - 400.0).abs() < 1e-6, "as high as the sheet, going north is up");
        assert!(((c.0 - b.0) / 400.0 - 1.0).abs() < 0.01, "as wide as high: {}", c.0 - b.0);
        assert_eq!(placed.start, a);
    }

    #[test]
    fn gaps_and_absent_positions_split_the_line() {
        let gap = [None, Some((10.0, 10.0)), Some((10.1, 10.0)), None, Some((0.0, 0.0)), Some((10.2, 10.1)), None];
        let placed = route(&gap).expect("a route").fit(100.0, 100.0);
        assert_eq!(placed.runs.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(route(&[None, Some((1.0, 1.0))]), None);
        assert_eq!(route(&[Some((91.0, 1.0)), Some((f64::NAN, 1.0)), Some((1.0, 200.0))]), None);
    }

    #[test]
    fn the_date_line_is_crossed_the_short_way() {
        let placed = route(&[Some((-17.0, 179.99)), Some((-17.0, -179.99))]).expect("a route").fit(500.0, 500.0);
        let metres = (placed.finish.0 - placed.start.0) / placed.pixels_per_metre;
        assert!((2000.0..2300.0).contains(&metres), "{metres}");
    }

    #[test]
    fn standing_still_is_a_point_in_the_middle() {
        let placed = route(&[Some((50.0, 8.0)), Some((50.0, 8.0))]).expect("a route").fit(300.0, 200.0);
        assert_eq!(placed.start, (150.0, 100.0));
        assert_eq!(scale_bar(placed.pixels_per_metre, 160.0), (100.0, 100.0));
    }
}
