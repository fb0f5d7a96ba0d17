//! Plots for the terminal, drawn with braille characters: each holds 2 × 4 dots.

use super::{
    scale::Scale,
    series::{Along, Chart, Series},
    units::tidy,
};

/// Columns of a plot without its labels.
const WIDTH: usize = 72;
/// Rows of a plot without its labels.
const HEIGHT: usize = 6;
/// Columns for the labels of the vertical axis.
const MARGIN: usize = 7;
/// Columns of dots over which a line is drawn straight; a longer gap stays empty, unless all gaps are about so long.
const BRIDGE: usize = 4;

/// Dots on a grid, in the order of rows and columns.
#[derive(Debug)]
struct Canvas {
    cells: Vec<u8>,
}

impl Canvas {
    const DOTS_ACROSS: usize = WIDTH * 2;
    const DOTS_DOWN: usize = HEIGHT * 4;

    fn new() -> Self {
        Self { cells: vec![0; WIDTH * HEIGHT] }
    }

    /// Sets a dot; `x` from the left, `y` from the bottom.
    fn dot(&mut self, x: usize, y: usize) {
        // Braille numbers its dots down the left column first; the lowest pair was added later.
        const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
        let down = Self::DOTS_DOWN - 1 - y.min(Self::DOTS_DOWN - 1);
        let x = x.min(Self::DOTS_ACROSS - 1);
        if let Some(cell) = self.cells.get_mut(down / 4 * WIDTH + x / 2) {
            *cell |= BITS[down % 4][x % 2];
        }
    }

    fn rows(&self) -> impl Iterator<Item = String> {
        self.cells.chunks(WIDTH).map(|row| {
            let text: String = row
                .iter()
                .map(|dots| match dots {
                    0 => ' ',
                    dots => char::from_u32(0x2800 + u32::from(*dots)).unwrap_or(' '),
                })
                .collect();
            text.trim_end().to_owned()
        })
    }
}

/// The plots of a ride, one line of text each: for every quantity a heading, the curve and its axis; then a word
/// on what the ride does not have.
pub(crate) fn plots(chart: &Chart) -> Vec<String> {
    let mut lines = Vec::new();
    for series in &chart.series {
        lines.push(heading(series));
        lines.extend(curve(series, chart.across));
        lines.extend(axis(chart.along, chart.across));
        lines.push(String::new());
    }
    let missing = chart.missing();
    if !missing.is_empty() {
        lines.push(format!("not in this file: {}", missing.join(", ")));
    }
    lines
}

/// `elevation, m   103 to 391, mean 220`.
fn heading(series: &Series) -> String {
    let values = || series.points.iter().map(|(_, value)| *value);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let mean = values().sum::<f64>() / series.points.len() as f64;
    let quantity = series.quantity;
    format!("{}, {}   {low:.0} to {high:.0}, mean {mean:.0}", quantity.name(), quantity.unit())
}

fn curve(series: &Series, across: Scale) -> Vec<String> {
    let mut canvas = Canvas::new();
    let mut before = None;
    for (x, value) in columns(series, across).into_iter().enumerate() {
        let y = value.map(|value| (series.scale.part(value) * (Canvas::DOTS_DOWN - 1) as f64).round() as usize);
        if let Some(y) = y {
            // Steep flanks stay connected, without thickening the gentle ones.
            let from = match before {
                Some(before) if before < y => before + 1,
                Some(before) if before > y => before - 1,
                _ => y,
            };
            for y in y.min(from)..=y.max(from) {
                canvas.dot(x, y);
            }
        }
        before = y;
    }
    let labels = [(0, series.scale.high), (HEIGHT - 1, series.scale.low)];
    let row = |(number, dots): (usize, String)| {
        let label = labels.iter().find(|(row, _)| *row == number).map(|(_, value)| tidy(*value)).unwrap_or_default();
        let tick = if label.is_empty() { '│' } else { '┤' };
        format!("{label:>MARGIN$} {tick}{dots}")
    };
    canvas.rows().enumerate().map(row).collect()
}

/// The mean value in each column of dots; short gaps are bridged.
fn columns(series: &Series, across: Scale) -> Vec<Option<f64>> {
    let column = |place: f64| (across.part(place) * (Canvas::DOTS_ACROSS - 1) as f64).round() as usize;
    let mut sums = vec![(0.0, 0u32); Canvas::DOTS_ACROSS];
    for (place, value) in &series.points {
        if let Some((sum, count)) = sums.get_mut(column(*place)) {
            *sum += value;
            *count += 1;
        }
    }
    let mut means: Vec<Option<f64>> =
        sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect();
    // Some recorders write a sample only when something changes.
    let longest = BRIDGE.max(4 * typical_gap(&means));
    let mut last: Option<(usize, f64)> = None;
    for x in 0..means.len() {
        let Some(value) = means[x] else { continue };
        if let Some((from, start)) = last.filter(|(from, _)| x - from <= longest) {
            for (step, gap) in means[from + 1..x].iter_mut().enumerate() {
                *gap = Some(start + (value - start) * (step + 1) as f64 / (x - from) as f64);
            }
        }
        last = Some((x, value));
    }
    means
}

/// The median distance between columns that have a value.
fn typical_gap(means: &[Option<f64>]) -> usize {
    let filled: Vec<usize> = (0..).zip(means).filter_map(|(x, value)| value.map(|_| x)).collect();
    let mut gaps: Vec<usize> = filled.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or(1)
}

/// The horizontal axis with labels at its ends and in the middle.
fn axis(along: Along, across: Scale) -> [String; 2] {
    let line = format!("{:>MARGIN$} └{}", "", "─".repeat(WIDTH));
    let [start, middle, end] =
        [across.low, f64::midpoint(across.low, across.high), across.high].map(|place| along.label(place));
    let end = format!("{end} {}", along.unit());
    let before = (WIDTH / 2).saturating_sub(start.len() + middle.len() / 2);
    let after = WIDTH.saturating_sub(start.len() + before + middle.len() + end.len());
    let labels = format!("{:>MARGIN$}  {start}{:before$}{middle}{:after$}{end}", "", "", "");
    [line, labels]
}

#[cfg(test)]
mod tests {
    use fitbridge_fit::{Track, TrackPoint, synthetic::RideSpec, track};

    use super::{super::series::tests::at, *};

    fn drawn(points: impl Iterator<Item = TrackPoint>) -> String {
        let track = Track { points: points.collect(), samples: 0 };
        plots(&Chart::of(&track).expect("a chart")).join("\n")
    }

    #[test]
    fn a_hill_looks_like_a_hill() {
        let hill = drawn((0..=100).map(|s| TrackPoint {
            distance_m: Some(s as f64 * 400.0),
            elevation_m: Some(if s < 50 { 100.0 + 6.0 * s as f64 } else { 700.0 - 6.0 * s as f64 }),
            ..at(s * 60)
        }));
        let expected = "\
elevation, m   100 to 400, mean 249
    400 ┤                              ⢀⣀⠤⠔⠒⠉⠉⠒⠢⠤⣀⡀
        │                        ⢀⡠⠤⠔⠒⠉⠁          ⠈⠉⠒⠢⠤⢄⡀
        │                  ⣀⣀⠤⠒⠒⠉⠁                      ⠈⠉⠒⠒⠤⣀⣀
        │            ⣀⡠⠤⠒⠊⠉                                    ⠉⠑⠒⠤⢄⣀
        │     ⢀⣀⠤⠔⠒⠊⠉                                                ⠉⠑⠒⠢⠤⣀⡀
    100 ┤⣀⠤⠔⠒⠉⠁                                                            ⠈⠉⠒⠢⠤⣀
        └────────────────────────────────────────────────────────────────────────
         0                                  20                              40 km

not in this file: speed, heart rate, power";
        assert_eq!(hill, expected, "\n{hill}");
    }

    #[test]
    fn a_long_gap_stays_empty_and_a_short_one_is_bridged() {
        let worn = |s: i64| !(300..600).contains(&s) && s % 20 == 0;
        let text = drawn((0..=1000).map(|s| TrackPoint { heart_rate_bpm: worn(s).then_some(120.0), ..at(s) }));
        let row = text.lines().find(|line| line.contains('⣀'));
        let dots: Vec<char> = row.expect("a curve").chars().skip(MARGIN + 2).collect();
        let empty = dots.iter().filter(|dot| **dot == ' ').count();
        assert!((20..=23).contains(&empty), "{empty} empty columns\n{text}");
    }

    #[test]
    fn every_line_fits_and_every_quantity_of_a_ride_is_there() {
        let spec = RideSpec {
            with_heart_rate: true,
            with_power: true,
            indoor: false,
            ..RideSpec::small(3, "2024-05-06T07:08:09Z".parse().expect("a time"))
        };
        let track = track(&spec.encode().expect("a ride"), 1000).expect("a track");
        let lines = plots(&Chart::of(&track).expect("a chart"));
        assert_eq!(lines.len(), 4 * (HEIGHT + 4));
        let headings: Vec<_> = lines.iter().filter_map(|line| line.split_once("   ")?.0.split_once(", ")).collect();
        assert_eq!(headings, [("elevation", "m"), ("speed", "km/h"), ("heart rate", "bpm"), ("power", "W")]);
        for line in lines {
            assert!(line.chars().count() <= MARGIN + 2 + WIDTH, "{line}");
        }
    }
}
