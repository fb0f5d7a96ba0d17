//! One picture of a ride: where it went, and how high, fast and hard it was. A file of its own, without scripts,
//! fonts or anything fetched; its colours follow the reader's light or dark mode.

use std::fmt::Write;

use fitbridge_fit::{Summary, Track};

use super::{
    route::{Route, scale_bar},
    scale::Scale,
    series::{Along, Chart, Quantity, Series},
    units::{clock, km, local_time, tidy},
};

const WIDTH: f64 = 900.0;
const MARGIN: f64 = 24.0;
/// Height of the title and the line below it.
const HEAD: f64 = 76.0;
const ROUTE_HEIGHT: f64 = 460.0;
/// Height of the sentence that stands in for a route.
const NO_ROUTE_HEIGHT: f64 = 60.0;
/// Room for the labels of the vertical axes.
const AXIS: f64 = 52.0;
const GAP: f64 = 34.0;
/// Height of the labels below the last panel.
const FOOT: f64 = 48.0;

/// Characters of the title that are sure to fit.
const TITLE_CHARS: usize = 60;

/// Dark text on light, or the reverse; the hues keep a contrast of 3:1 or more on both grounds.
const STYLE: &str = "\
.ground{fill:#ffffff}.text{fill:#1d2733}.faint{fill:#5b6876}.grid{stroke:#d5dbe1;stroke-width:1}\
.route{fill:none;stroke:#c2410c;stroke-width:2.5;stroke-linejoin:round;stroke-linecap:round}\
.start{fill:#15803d;stroke:#ffffff;stroke-width:2}.finish{fill:#b91c1c;stroke:#ffffff;stroke-width:2}\
.bar{stroke:#5b6876;stroke-width:2}.line{fill:none;stroke-width:1.2;stroke-linejoin:round}\
.elevation{stroke:#4d7c0f;stroke-width:1.8}.under{fill:#4d7c0f;fill-opacity:.18;stroke:none}\
.speed{stroke:#0369a1}.heart{stroke:#be123c}.power{stroke:#7e22ce}\
text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;font-size:13px}\
.title{font-size:22px;font-weight:600}\
@media(prefers-color-scheme:dark){.ground{fill:#12181f}.text{fill:#e6ebf0}.faint{fill:#9aa8b6}\
.grid{stroke:#2c3742}.route{stroke:#fb923c}.start{fill:#4ade80;stroke:#12181f}\
.finish{fill:#f87171;stroke:#12181f}.bar{stroke:#9aa8b6}.elevation{stroke:#a3e635}.under{fill:#a3e635}\
.speed{stroke:#38bdf8}.heart{stroke:#fb7185}.power{stroke:#c084fc}}";

/// Draws a ride. `title` may hold anything; it is escaped.
pub(crate) fn picture(title: &str, summary: &Summary, track: &Track) -> String {
    let route = Route::of(&track.points);
    let chart = Chart::of(track).filter(|chart| !chart.series.is_empty());
    let route_height = if route.is_some() { ROUTE_HEIGHT } else { NO_ROUTE_HEIGHT };
    let panels: f64 = chart.iter().flat_map(|chart| &chart.series).map(|series| panel_height(series) + GAP).sum();
    let height = HEAD + route_height + if chart.is_some() { panels + FOOT } else { NO_ROUTE_HEIGHT };

    let short = shortened(title);
    let title = escape(title);
    let mut svg = Svg::default();
    svg.put(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">"#
    ));
    svg.put(format_args!("<title>{title}</title><style>{STYLE}</style>"));
    svg.put(format_args!(r#"<rect class="ground" width="{WIDTH}" height="{height}"/>"#));
    svg.text("text title", MARGIN, 38.0, "start", &escape(&short));
    svg.text("faint", MARGIN, 60.0, "start", &escape(&subtitle(summary)));
    match &route {
        Some(route) => draw_route(&mut svg, route, HEAD),
        None => {
            svg.text("faint", MARGIN, HEAD + 30.0, "start", "This ride has no GPS positions, so there is no route.");
        }
    }
    let mut top = HEAD + route_height;
    match &chart {
        Some(chart) => {
            for series in &chart.series {
                top += GAP;
                draw_panel(&mut svg, chart, series, top);
                top += panel_height(series);
            }
            draw_axis(&mut svg, chart, top);
        }
        None => svg.text("faint", MARGIN, top + 30.0, "start", "This ride has no samples to draw a profile from."),
    }
    svg.put(format_args!("</svg>"));
    svg.out
}

/// As much of a title as fits into the picture; of a path the end says most.
fn shortened(title: &str) -> String {
    match title.chars().count().checked_sub(TITLE_CHARS) {
        None | Some(0) => title.to_owned(),
        Some(over) => format!("…{}", title.chars().skip(over + 1).collect::<String>()),
    }
}

fn subtitle(summary: &Summary) -> String {
    let parts = [
        summary.start.map(|start| local_time(start, summary.local_offset_s)),
        summary.distance_m.map(km),
        summary.elapsed_s.map(|elapsed| format!("{} h", clock(elapsed))),
        summary.ascent_m.map(|ascent| format!("{ascent:.0} m climbed")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ·  ")
}

#[derive(Debug, Default)]
struct Svg {
    out: String,
}

impl Svg {
    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{what}");
    }

    /// `text` must be escaped.
    fn text(&mut self, class: &str, x: f64, y: f64, anchor: &str, text: &str) {
        self.put(format_args!(r#"<text class="{class}" x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{text}</text>"#));
    }

    fn rule(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        self.put(format_args!(
            r#"<line class="{class}" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
            from.0, from.1, to.0, to.1
        ));
    }

    fn dot(&mut self, class: &str, place: (f64, f64), radius: f64, title: &str) {
        self.put(format_args!(
            r#"<circle class="{class}" cx="{:.1}" cy="{:.1}" r="{radius}"><title>{title}</title></circle>"#,
            place.0, place.1
        ));
    }
}

fn draw_route(svg: &mut Svg, route: &Route, top: f64) {
    let placed = route.fit(WIDTH - 2.0 * MARGIN, ROUTE_HEIGHT - 2.0 * MARGIN);
    let shift = |(x, y): (f64, f64)| (x + MARGIN, y + top + MARGIN);
    let mut path = String::new();
    for run in &placed.runs {
        outline(&mut path, run.iter().map(|place| shift(*place)));
    }
    svg.put(format_args!(r#"<path class="route" d="{path}"/>"#));
    // The finish first: of a loop, the smaller start stays visible on it.
    svg.dot("finish", shift(placed.finish), 8.0, "finish");
    svg.dot("start", shift(placed.start), 5.0, "start");

    let base = top + ROUTE_HEIGHT - 6.0;
    svg.dot("start", (MARGIN + 6.0, base - 4.0), 5.0, "start");
    svg.text("faint", MARGIN + 18.0, base, "start", "start");
    svg.dot("finish", (MARGIN + 72.0, base - 4.0), 7.0, "finish");
    svg.text("faint", MARGIN + 86.0, base, "start", "finish");
    let (metres, length) = scale_bar(placed.pixels_per_metre, 160.0);
    let right = WIDTH - MARGIN;
    svg.rule("bar", (right - length, base - 4.0), (right, base - 4.0));
    let label = if metres >= 1000.0 { format!("{} km", tidy(metres / 1000.0)) } else { format!("{} m", tidy(metres)) };
    svg.text("faint", right - length - 8.0, base, "end", &label);
}

fn panel_height(series: &Series) -> f64 {
    if series.quantity == Quantity::Elevation { 150.0 } else { 80.0 }
}

fn draw_panel(svg: &mut Svg, chart: &Chart, series: &Series, top: f64) {
    let height = panel_height(series);
    let bottom = top + height;
    let (left, right) = (MARGIN + AXIS, WIDTH - MARGIN);
    let quantity = series.quantity;
    svg.text("faint", left, top - 8.0, "start", &format!("{}, {}", quantity.name(), quantity.unit()));
    let y = |value: f64| bottom - series.scale.part(value) * height;
    for tick in series.scale.ticks(if height > 100.0 { 4 } else { 2 }) {
        svg.rule("grid", (left, y(tick)), (right, y(tick)));
        svg.text("faint", left - 8.0, y(tick) + 4.0, "end", &tidy(tick));
    }
    let x = |place: f64| left + chart.across.part(place) * (right - left);
    let places = || series.points.iter().map(|(place, value)| (x(*place), y(*value)));
    let mut path = String::new();
    outline(&mut path, places());
    if quantity == Quantity::Elevation
        && let (Some(first), Some(last)) = (places().next(), places().next_back())
    {
        svg.put(format_args!(
            r#"<path class="under" d="{path}L{:.1} {bottom:.1}L{:.1} {bottom:.1}Z"/>"#,
            last.0, first.0
        ));
    }
    let class = match quantity {
        Quantity::Elevation => "elevation",
        Quantity::Speed => "speed",
        Quantity::HeartRate => "heart",
        Quantity::Power => "power",
    };
    svg.put(format_args!(r#"<path class="line {class}" d="{path}"/>"#));
}

/// The horizontal axis that all panels share.
fn draw_axis(svg: &mut Svg, chart: &Chart, top: f64) {
    let (left, right) = (MARGIN + AXIS, WIDTH - MARGIN);
    svg.rule("bar", (left, top), (right, top));
    for tick in ticks(chart.along, chart.across) {
        let x = left + chart.across.part(tick) * (right - left);
        svg.rule("bar", (x, top), (x, top + 5.0));
        svg.text("faint", x, top + 20.0, "middle", &chart.along.label(tick));
    }
    let name = match chart.along {
        Along::Distance => "distance, km",
        Along::Time => "time, h:mm",
    };
    svg.text("faint", right, top + 38.0, "end", name);
}

/// Round places on the axis; hours are cut into minutes that a clock would be cut into.
fn ticks(along: Along, across: Scale) -> Vec<f64> {
    if along == Along::Distance {
        return across.ticks(8);
    }
    let minutes = (across.high - across.low) * 60.0;
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1440.0]
        .into_iter()
        .find(|step| minutes / step <= 9.0)
        .map_or_else(
            || across.ticks(8),
            |step| (0..=(minutes / step) as u32).map(|n| f64::from(n) * step / 60.0).collect(),
        )
}

/// Adds a line through `places` to a path.
fn outline(path: &mut String, places: impl Iterator<Item = (f64, f64)>) {
    for (number, (x, y)) in places.enumerate() {
        let command = if number == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{command}{x:.1} {y:.1}");
    }
}

/// Text for the inside of an element or an attribute; characters that XML forbids are left out.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use fitbridge_fit::{scan, synthetic::RideSpec, track};

    use super::*;

    fn drawn(title: &str, spec: &RideSpec) -> String {
        let bytes = spec.encode().expect("a ride");
        picture(title, &scan(&bytes).summary, &track(&bytes, 500).expect("a track"))
    }

    fn spec() -> RideSpec {
        RideSpec {
            indoor: false,
            with_heart_rate: true,
            with_power: false,
            ..RideSpec::small(5, "2024-05-06T07:08:09Z".parse().expect("a time"))
        }
    }

    #[test]
    fn a_ride_has_route_marks_scale_and_profile() {
        let svg = drawn("Morning ride", &spec());
        for part in [
            "<title>Morning ride</title>",
            r#"class="route" d="M"#,
            "<title>start</title>",
            "<title>finish</title>",
            "elevation, m",
            "speed, km/h",
            "heart rate, bpm",
            "distance, km",
            "2024-05-06 07:08:09 UTC",
        ] {
            assert!(svg.contains(part), "no {part}");
        }
        assert!(!svg.contains("power, W"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "not a number");
        // Nothing is fetched, nothing runs.
        let links = svg.replace("http://www.w3.org/2000/svg", "");
        for forbidden in ["<script", "http:", "https:", "href", "url(", "@import"] {
            assert!(!links.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn indoors_a_sentence_stands_in_for_the_route() {
        let svg = drawn("Rolls", &RideSpec { indoor: true, ..spec() });
        assert!(svg.contains("no GPS positions") && !svg.contains(r#"class="route""#));
        assert!(svg.contains("speed, km/h"));
        let empty = picture("Nothing", &Summary::default(), &Track::default());
        assert!(empty.contains("no samples") && empty.ends_with("</svg>\n"));
    }

    #[test]
    fn titles_cannot_break_out() {
        let svg = drawn("</title><script>alert('1')</script>&\u{0}\u{1b}\"", &spec());
        assert!(svg.contains("&lt;/title&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"));
        assert!(!svg.contains("<script") && !svg.contains('\u{1b}') && !svg.contains('\u{0}'));
    }

    #[test]
    fn long_titles_are_shortened_to_their_end() {
        let long = format!("{}/ride.fit", "folder/".repeat(40));
        let short = shortened(&long);
        assert_eq!(short.chars().count(), TITLE_CHARS);
        assert!(short.starts_with('…') && short.ends_with("/ride.fit"));
        assert_eq!(shortened("Évian"), "Évian");
    }

    #[test]
    fn hours_are_cut_like_a_clock() {
        let places = |hours| ticks(Along::Time, Scale { low: 0.0, high: hours });
        assert_eq!(places(1.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0].map(|m| m / 60.0));
        assert!(places(1000.0).len() < 12);
    }
}
