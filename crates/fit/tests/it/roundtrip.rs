//! What a made-up ride says is what the scanner reads.

use fitbridge_fit::synthetic::RideSpec;
use fitbridge_fit::{Sport, SubSport, Verdict, scan};
use jiff::Timestamp;
use proptest::prelude::*;
use std::collections::HashSet;

fn start() -> Timestamp {
    "2026-05-01T06:00:00Z".parse().expect("a time")
}

fn assert_says_its_spec(spec: &RideSpec) {
    let bytes = spec.encode().expect("encodable");
    let facts = spec.facts().expect("a ride");
    let scan = scan(&bytes);
    assert_eq!(scan.verdict, Verdict::Valid);
    let summary = scan.summary;
    assert!(summary.is_activity);
    assert_eq!(summary.start, Some(spec.start));
    assert_eq!(summary.time_created, Some(spec.start));
    assert_eq!(summary.first_record, Some(spec.start));
    assert_eq!(summary.elapsed_s, Some(f64::from(spec.duration_s)));
    assert_eq!(summary.timer_s, Some(f64::from(facts.timer_s)));
    assert_eq!(summary.distance_m, Some(facts.distance_m));
    assert_eq!(summary.manufacturer, Some(spec.manufacturer));
    assert_eq!(summary.product, Some(spec.product));
    let raw: Vec<String> = spec.serial.to_le_bytes().iter().map(|b| format!("{b:02x}")).collect();
    let serial = raw.concat();
    let serial = serial.trim_end_matches("00");
    assert_eq!(summary.serial.as_deref(), (!serial.is_empty()).then_some(serial));
    assert_eq!(summary.sport, Some(Sport(spec.sport)));
    assert_eq!(summary.sub_sport, Some(SubSport(spec.sub_sport)));
    assert_eq!(summary.local_offset_s, Some(spec.utc_offset_s));
    assert_eq!(summary.has_gps, !spec.indoor);
    assert_eq!(summary.records, facts.records);
    assert_eq!(summary.laps, facts.laps);
    assert_eq!(summary.calories, Some(u32::from(facts.calories)));
    assert_eq!(summary.ascent_m, (!spec.indoor).then_some(f64::from(facts.ascent_m)));
    assert_eq!(summary.max_heart_rate, facts.max_heart_rate);
    assert_eq!(summary.avg_heart_rate, facts.avg_heart_rate.map(f64::from));
    assert_eq!(summary.max_power, facts.max_power);
    assert_eq!(summary.avg_power, facts.avg_power.map(f64::from));
    assert_eq!(summary.max_heart_rate.is_some(), spec.with_heart_rate);
    assert_eq!(summary.max_power.is_some(), spec.with_power);
    assert_eq!(summary.max_speed_mps, Some(facts.max_speed_mps));
    assert!(!summary.elapsed_suspect && !summary.clock_suspect);
}

#[test]
fn an_hour_at_one_hertz_is_of_a_believable_size() {
    let spec = RideSpec { duration_s: 3600, ..RideSpec::new(7, start()) };
    let bytes = spec.encode().expect("encodable");
    assert!((75_000..=100_000).contains(&bytes.len()), "{} bytes", bytes.len());
    let facts = spec.facts().expect("a ride");
    assert!((10_000.0..60_000.0).contains(&facts.distance_m), "{facts:?}");
    assert!(facts.ascent_m < 1500, "{facts:?}");
}

#[test]
fn small_rides_are_small() {
    for seed in 0..50 {
        let bytes = RideSpec::small(seed, start()).encode().expect("encodable");
        assert!((1_800..=4_096).contains(&bytes.len()), "seed {seed}: {} bytes", bytes.len());
    }
}

#[test]
fn seeds_give_the_same_bytes_again_and_other_seeds_others() {
    let mut seen = HashSet::new();
    for seed in 0..200 {
        let spec = RideSpec::small(seed, start());
        let bytes = spec.encode().expect("encodable");
        assert_eq!(bytes, spec.encode().expect("encodable"));
        assert!(seen.insert(bytes), "seed {seed} repeats another");
    }
}

#[test]
fn impossible_specs_are_errors() {
    let good = RideSpec::new(1, start());
    let no_step = RideSpec { record_interval_s: 0, ..good.clone() };
    let no_time = RideSpec { duration_s: 0, ..good.clone() };
    let too_early = RideSpec { start: Timestamp::UNIX_EPOCH, ..good.clone() };
    let at_pole = RideSpec { center: (90.0, 0.0), ..good };
    for spec in [no_step, no_time, too_early, at_pole] {
        assert!(spec.encode().is_err(), "{spec:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_spec_is_read_back(
        seed in any::<u64>(),
        duration_s in 1u32..6000,
        record_interval_s in 1u32..60,
        sport in 0u8..60,
        sub_sport in 0u8..100,
        indoor in any::<bool>(),
        with_heart_rate in any::<bool>(),
        with_power in any::<bool>(),
        manufacturer in 0u16..65_535,
        product in 0u16..65_535,
        serial in any::<u32>(),
        quarter_hours in -56i32..=56,
    ) {
        let made = RideSpec::new(seed, start());
        assert_says_its_spec(&RideSpec {
            duration_s, record_interval_s, sport, sub_sport, indoor, with_heart_rate, with_power,
            manufacturer, product, serial, utc_offset_s: quarter_hours * 900, ..made
        });
    }
}
