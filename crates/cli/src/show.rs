//! `fitbridge show`: a ride's summary with small plots, and its picture as SVG.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use fitbridge_fit::{Scan, Summary, Track, TrackError, Verdict, scan, track};
use serde_json::{Value, json};

use crate::{
    inspect::{device, verdict},
    out::{Out, bold, plain},
    render::{
        plot::plots,
        series::Chart,
        svg::picture,
        units::{clock, km, kmh, local, local_time},
    },
};

/// Points for plots and picture: several a column, so that means are means.
const POINTS: usize = 1000;

/// Prints what `bytes` hold, under `title`, and draws them into the file `svg` (written whole or not at all).
/// Decodes samples: some 100 ms per megabyte, so not on an async task's own thread.
///
/// # Errors
/// The file is rejected by the scanner, or the picture cannot be written. The summary is printed before.
pub(crate) fn show(out: Out, title: &str, bytes: &[u8], svg: Option<&Path>) -> anyhow::Result<()> {
    let found = scan(bytes);
    if let Verdict::Rejected(code) = found.verdict {
        print_table(out, title, &found);
        out.record(&record(title, &found, None));
        let entry = code.entry();
        anyhow::bail!("{} cannot be shown: {}; {}", plain(title), entry.sentence(), entry.next_step());
    }
    let track = track(bytes, POINTS);
    // Before anything is printed: a reader who leaves early (`| head`) ends the program.
    let drawn = svg.map(|path| draw(path, title, &found.summary, &track)).transpose();
    print_table(out, title, &found);
    out.line("");
    print_plots(out, &found, &track);
    out.record(&record(title, &found, svg.filter(|_| drawn.is_ok())));
    drawn?;
    if let Some(path) = svg {
        out.line(format!("\nwritten to {}", plain(&path.to_string_lossy())));
    }
    Ok(())
}

fn print_table(out: Out, title: &str, found: &Scan) {
    out.line(bold(plain(title)));
    for (name, value) in table(found) {
        out.line(format!("  {name:<11} {value}"));
    }
}

fn print_plots(out: Out, found: &Scan, track: &Result<Track, TrackError>) {
    match track.as_ref().map(Chart::of) {
        Ok(Some(chart)) => {
            if !found.verdict.is_valid() {
                out.line("The file is broken; the plots show it as far as it can be read.\n");
            }
            for line in plots(&chart) {
                out.line(line);
            }
        }
        Ok(None) => out.line("No plots: the file holds no samples over time."),
        Err(error) => out.line(format!("No plots: {error}.")),
    }
}

fn draw(path: &Path, title: &str, summary: &Summary, track: &Result<Track, TrackError>) -> anyhow::Result<()> {
    let track = track.as_ref().map_err(|error| anyhow::anyhow!("no picture was drawn: {error}"))?;
    write_whole(path, picture(title, summary, track).as_bytes()).map_err(|error| {
        anyhow::anyhow!("the picture cannot be written to {}: {error}; choose another place", path.display())
    })
}

/// The lines of the summary; facts that the file does not tell are left out.
fn table(found: &Scan) -> Vec<(&'static str, String)> {
    let Summary { elapsed_s, timer_s, .. } = found.summary;
    let facts = &found.summary;
    let pair = |mean: Option<String>, most: Option<String>| match (mean, most) {
        (Some(mean), Some(most)) => Some(format!("{mean} mean, {most} highest")),
        (Some(mean), None) => Some(format!("{mean} mean")),
        (None, Some(most)) => Some(format!("{most} highest")),
        (None, None) => None,
    };
    let sport = facts.sport.map(|sport| match facts.sub_sport {
        Some(sub) if sub.0 != 0 => format!("{sport}, {sub}"),
        _ => sport.to_string(),
    });
    let start = facts.start.map(|start| {
        let doubt = if facts.clock_suspect { "  (the recorder's clock was not set)" } else { "" };
        format!("{}{doubt}", local_time(start, facts.local_offset_s))
    });
    let time = match (elapsed_s, timer_s) {
        (Some(elapsed), Some(moving)) => Some(format!("{} ({} moving)", clock(elapsed), clock(moving))),
        (Some(elapsed), None) => Some(clock(elapsed)),
        (None, Some(moving)) => Some(format!("{} moving", clock(moving))),
        (None, None) => None,
    };
    let climbed = match (facts.ascent_m, facts.descent_m) {
        (Some(up), Some(down)) => Some(format!("{up:.0} m up, {down:.0} m down")),
        (Some(up), None) => Some(format!("{up:.0} m up")),
        (None, Some(down)) => Some(format!("{down:.0} m down")),
        (None, None) => None,
    };
    let state = match found.verdict.code() {
        Some(code) => format!("{}: {}", verdict(found.verdict), code.entry().sentence()),
        None => verdict(found.verdict),
    };
    let kind = (!facts.is_activity).then(|| "no activity (settings, a workout or a course)".to_owned());
    let beats = |bpm: f64| format!("{bpm:.0} bpm");
    let watts = |watts: f64| format!("{watts:.0} W");
    [
        ("start", start),
        ("sport", sport),
        ("distance", facts.distance_m.map(km)),
        ("time", time),
        ("climbed", climbed),
        ("speed", pair(facts.avg_speed_mps.map(kmh), facts.max_speed_mps.map(kmh))),
        ("heart rate", pair(facts.avg_heart_rate.map(beats), facts.max_heart_rate.map(f64::from).map(beats))),
        ("power", pair(facts.avg_power.map(watts), facts.max_power.map(f64::from).map(watts))),
        ("cadence", facts.avg_cadence.map(|cadence| format!("{cadence:.0} rpm mean"))),
        ("calories", facts.calories.map(|calories| format!("{calories} kcal"))),
        ("device", device(facts.manufacturer, facts.product, facts.serial.as_deref())),
        ("kind", kind),
        ("file", Some(state)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// The line for programs.
fn record(title: &str, found: &Scan, svg: Option<&Path>) -> Value {
    let facts = &found.summary;
    json!({
        "type": "ride_summary",
        "title": title,
        "verdict": found.verdict.as_str(),
        "code": found.verdict.code(),
        "is_activity": facts.is_activity,
        "start": facts.start,
        "start_local": facts.start.and_then(|start| local(start, facts.local_offset_s)),
        "utc_offset_s": facts.local_offset_s,
        "sport": facts.sport.map(|sport| sport.name()),
        "sub_sport": facts.sub_sport.map(|sport| sport.name()),
        "distance_m": facts.distance_m,
        "elapsed_s": facts.elapsed_s,
        "moving_s": facts.timer_s,
        "ascent_m": facts.ascent_m,
        "descent_m": facts.descent_m,
        "avg_speed_mps": facts.avg_speed_mps,
        "max_speed_mps": facts.max_speed_mps,
        "avg_heart_rate_bpm": facts.avg_heart_rate,
        "max_heart_rate_bpm": facts.max_heart_rate,
        "avg_power_w": facts.avg_power,
        "max_power_w": facts.max_power,
        "avg_cadence_rpm": facts.avg_cadence,
        "calories_kcal": facts.calories,
        "manufacturer": facts.manufacturer,
        "product": facts.product,
        "serial": facts.serial,
        "has_gps": facts.has_gps,
        "records": facts.records,
        "laps": facts.laps,
        "svg": svg.map(|path| path.to_string_lossy()),
    })
}

/// Writes beside `path` and renames, so that there is never half a file.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::other("this is no name of a file"))?;
    let mut part_name = std::ffi::OsString::from(".");
    part_name.push(name);
    part_name.push(format!(".{}.part", std::process::id()));
    let part: PathBuf = path.with_file_name(part_name);
    let written = File::create_new(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&part, path));
    if done.is_err() {
        // Whatever is left of the attempt; the first error is the one worth telling.
        let _ = fs::remove_file(&part);
    }
    done
}

#[cfg(test)]
mod tests {
    use fitbridge_fit::synthetic::RideSpec;

    use super::*;

    fn spec() -> RideSpec {
        RideSpec {
            indoor: false,
            with_heart_rate: true,
            with_power: true,
            utc_offset_s: 7200,
            ..RideSpec::small(11, "2024-05-06T07:08:09Z".parse().expect("a time"))
        }
    }

    #[test]
    fn the_table_tells_the_facts_in_a_riders_units() {
        let spec = spec();
        let facts = spec.facts().expect("facts");
        let table = table(&scan(&spec.encode().expect("a ride")));
        let value = |name: &str| {
            table.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        assert_eq!(value("start"), "2024-05-06 07:08:09 UTC (2024-05-06 09:08:09+02:00 local)");
        assert_eq!(value("distance"), km(facts.distance_m));
        assert!(value("time").contains(&format!("({} moving)", clock(f64::from(facts.timer_s)))), "{}", value("time"));
        assert!(value("climbed").starts_with(&format!("{} m up", facts.ascent_m)));
        assert!(value("speed").ends_with(&format!("{} highest", kmh(facts.max_speed_mps))), "{}", value("speed"));
        assert!(value("heart rate").contains("bpm mean") && value("power").contains("W mean"));
        assert_eq!(value("calories"), format!("{} kcal", facts.calories));
        assert!(value("device").starts_with("iGPSport, product 301, serial "));
        assert_eq!(value("kind"), "");
    }

    #[test]
    fn the_record_has_units_in_its_names() {
        let spec = spec();
        let facts = spec.facts().expect("facts");
        let record = record("a ride", &scan(&spec.encode().expect("a ride")), Some(Path::new("x.svg")));
        assert_eq!(record["type"], "ride_summary");
        assert_eq!(record["title"], "a ride");
        assert_eq!(record["verdict"], "valid");
        assert_eq!(record["code"], Value::Null);
        assert_eq!(record["start"], "2024-05-06T07:08:09Z");
        assert_eq!(record["start_local"], "2024-05-06T09:08:09+02:00");
        assert_eq!(record["distance_m"], json!(facts.distance_m));
        assert_eq!(record["moving_s"], json!(f64::from(facts.timer_s)));
        assert_eq!(record["max_power_w"], json!(facts.max_power));
        assert_eq!(record["svg"], "x.svg");
    }

    #[test]
    fn the_picture_is_written_whole_and_over_an_older_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ride.svg");
        fs::write(&path, "older").expect("written");
        let bytes = spec().encode().expect("a ride");
        show(Out::new(true), "ride", &bytes, Some(&path)).expect("shown");
        let svg = fs::read_to_string(&path).expect("a picture");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
        let nowhere = folder.path().join("none/ride.svg");
        let error = show(Out::new(true), "ride", &bytes, Some(&nowhere)).expect_err("no such folder");
        assert!(error.to_string().contains("ride.svg"), "{error}");
    }

    #[test]
    fn broken_files_are_shown_as_far_as_they_go_and_junk_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ride.svg");
        let bytes = spec().encode().expect("a ride");
        show(Out::new(false), "cut", &bytes[..bytes.len() * 3 / 4], Some(&path)).expect("salvageable");
        assert!(fs::read_to_string(&path).expect("a picture").contains(r#"class="route""#));
        fs::remove_file(&path).expect("removed");
        let error = show(Out::new(false), "junk", b"<html>", Some(&path)).expect_err("rejected");
        assert!(error.to_string().contains("no FIT file"), "{error}");
        assert!(!path.exists());
    }
}
