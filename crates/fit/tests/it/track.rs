//! Samples through the third-party decoder: right, bounded, and shielded.

use super::corpus::{folder, real_files};
use fitbridge_fit::synthetic::{RideSpec, malformed};
use fitbridge_fit::{FitCode, TrackError, Verdict, scan, track};
use std::process::Command;

fn spec() -> RideSpec {
    RideSpec {
        duration_s: 1000,
        indoor: false,
        with_heart_rate: true,
        with_power: true,
        ..RideSpec::new(11, "2026-05-01T06:00:00Z".parse().expect("a time"))
    }
}

#[test]
fn a_made_up_ride_comes_back_sample_by_sample() {
    let spec = spec();
    let facts = spec.facts().expect("a ride");
    let bytes = spec.encode().expect("encodable");
    let track = track(&bytes, 10_000).expect("a track");
    assert_eq!(track.samples, facts.records);
    assert_eq!(track.points.len(), 1001);
    let (first, last) = (track.points[0], track.points[1000]);
    assert_eq!(first.time, spec.start);
    assert_eq!(last.time.as_second() - first.time.as_second(), 1000);
    assert_eq!(last.distance_m, Some(facts.distance_m));
    let fastest = track.points.iter().filter_map(|p| p.speed_mps).fold(0.0, f64::max);
    assert!((fastest - facts.max_speed_mps).abs() < 1e-9);
    let hardest = track.points.iter().filter_map(|p| p.power_w).fold(0.0, f64::max);
    assert_eq!(Some(hardest as u16), facts.max_power);
    for point in &track.points {
        let (lat, lon) = point.lat.zip(point.lon).expect("a position");
        assert!((lat - spec.center.0).abs() < 0.1 && (lon - spec.center.1).abs() < 0.1);
        assert!(point.elevation_m.is_some_and(|m| (0.0..800.0).contains(&m)));
        assert!(point.heart_rate_bpm.is_some() && point.cadence_rpm.is_some());
    }
}

#[test]
fn the_zone_of_the_host_has_no_influence() {
    // The decoder's times are local ones, and the zone of a process is set from outside.
    let this = std::env::current_exe().expect("this test");
    for zone in ["Pacific/Kiritimati", "America/St_Johns", "Africa/Monrovia", "UTC0"] {
        let run = Command::new(&this)
            .args(["--exact", "track::a_made_up_ride_comes_back_sample_by_sample"])
            .env("TZ", zone)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success() && said.contains("1 passed"), "{zone}: {said}");
    }
}

#[test]
fn points_are_bounded_and_keep_both_ends() {
    let bytes = spec().encode().expect("encodable");
    let full = track(&bytes, 10_000).expect("a track");
    for max_points in [1, 2, 99, 500] {
        let thin = track(&bytes, max_points).expect("a track");
        assert!(thin.points.len() <= max_points && thin.points.len() * 2 >= max_points);
        assert_eq!(thin.samples, full.samples);
        let (thin_last, full_last) = (thin.points.last(), full.points.last());
        assert_eq!(thin_last.map(|p| p.time), full_last.map(|p| p.time));
    }
}

#[test]
fn odd_rides_have_the_same_track() {
    let plain = track(&malformed::ride(), 1000).expect("a track");
    assert_eq!(plain.points.len(), 100);
    assert_eq!(plain.points[0].heart_rate_bpm, Some(130.0));
    assert_eq!(plain.points[99].distance_m, Some(693.0));
    for bytes in [
        malformed::big_endian(),
        malformed::compressed_timestamps(),
        malformed::developer_fields(),
        malformed::enhanced_speed_zero(),
        malformed::zero_size_fields(),
        malformed::no_session(),
        malformed::missing_crc(&malformed::ride()),
        malformed::data_size_zero(),
    ] {
        assert_eq!(track(&bytes, 1000).as_ref(), Ok(&plain));
    }
    let twice = malformed::chained(&malformed::ride(), &malformed::big_endian());
    let twice = track(&twice, 1000).expect("a track");
    assert_eq!(twice.points.len(), 200);
    assert_eq!(twice.points[199].distance_m, Some(2.0 * 693.0));
    let part = track(&malformed::truncated(&malformed::ride()), 1000).expect("a track");
    assert!(part.points.len() >= 60 && plain.points.starts_with(&part.points));
}

#[test]
fn rejected_files_do_not_reach_the_decoder() {
    for (bytes, code) in [
        (malformed::header_size_255(), FitCode::BadHeader),
        (malformed::empty(), FitCode::Empty),
        (malformed::zero_size_messages(3), FitCode::ZeroSizeMessage),
    ] {
        assert_eq!(track(&bytes, 10), Err(TrackError::Rejected(code)));
    }
    assert_eq!(track(&malformed::not_an_activity(2), 10), Ok(Default::default()));
}

#[test]
fn every_accepted_file_of_the_corpus_has_a_track() {
    let Some(folder) = folder() else { return };
    for (name, bytes) in real_files(&folder) {
        let scan = scan(&bytes);
        if matches!(scan.verdict, Verdict::Rejected(_)) || bytes.len() > 300_000 {
            continue;
        }
        let track = track(&bytes, 400).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(track.points.len() <= 400, "{name}");
        assert!(track.samples <= scan.summary.records, "{name}");
        // Chained and concatenated files may hold records without a time; single rides do not.
        if scan.verdict.is_valid() && scan.summary.has_gps {
            assert!(track.points.iter().any(|point| point.lat.is_some()), "{name}");
        }
        assert!(track.samples > 0 || scan.summary.first_record.is_none(), "{name}");
    }
}

#[test]
fn compressed_speed_and_distance_are_unfolded() {
    let Some(folder) = folder() else { return };
    let bytes = std::fs::read(folder.join("real/compressed-speed-distance.fit")).expect("listed");
    let summary = scan(&bytes).summary;
    // Its times count from power-on.
    assert!(summary.clock_suspect && summary.start.is_none());
    let total = summary.distance_m.expect("a distance");
    let track = track(&bytes, 10_000).expect("a track");
    let last = track.points.iter().rev().find_map(|point| point.distance_m);
    let last = last.expect("a distance in the samples");
    assert!((last - total).abs() < total * 0.02, "{last} of {total}");
}

#[test]
fn hostile_files_do_not_make_the_decoder_panic() {
    let Some(folder) = folder() else { return };
    let files = std::fs::read_dir(folder.join("hostile")).expect("a folder");
    for file in files {
        let path = file.expect("an entry").path();
        let bytes = std::fs::read(&path).expect("a file");
        assert_ne!(track(&bytes, 100), Err(TrackError::Panicked), "{}", path.display());
    }
}
