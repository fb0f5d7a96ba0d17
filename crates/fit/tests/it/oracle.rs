//! `fitparser` as a second opinion on what a file holds.

use super::corpus::{folder, real_files};
use fitbridge_fit::synthetic::{RideSpec, malformed};
use fitbridge_fit::{Scan, scan};
use fitparser::profile::MesgNum;
use fitparser::{FitDataRecord, Value};
use std::collections::HashMap;

fn second_opinion(bytes: &[u8]) -> Option<usize> {
    fitparser::from_bytes(bytes).ok().map(|messages| messages.len())
}

#[test]
fn both_count_the_same_messages_in_real_files() {
    let Some(folder) = folder() else { return };
    let mut compared = 0;
    for (name, bytes) in real_files(&folder) {
        // The decoder takes seconds a megabyte in a debug build; the bench reads the largest.
        if bytes.len() > 300_000 {
            continue;
        }
        let scan = scan(&bytes);
        if scan.verdict.is_valid()
            && let Some(messages) = second_opinion(&bytes)
        {
            assert_eq!(scan.summary.messages as usize, messages, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 35, "only {compared} files compared");
}

#[test]
fn both_count_the_same_messages_in_made_up_files() {
    let start = "2026-05-01T06:00:00Z".parse().expect("a time");
    let rides = (0..8).map(|seed| RideSpec::small(seed, start).encode().expect("encodable"));
    let odd = [
        malformed::ride(),
        malformed::ride_short_header(),
        malformed::ride_without_header_crc(),
        malformed::big_endian(),
        malformed::compressed_timestamps(),
        malformed::developer_fields(),
        malformed::no_session(),
        malformed::igpsport_serial([1; 8]),
        malformed::enhanced_speed_zero(),
        malformed::non_utf8_strings(),
        malformed::chained(&malformed::ride(), &malformed::big_endian()),
    ];
    for bytes in rides.chain(odd) {
        let scan = scan(&bytes);
        assert!(scan.verdict.is_valid());
        assert_eq!(Some(scan.summary.messages as usize), second_opinion(&bytes));
    }
}

/// The only message of a kind, by field name.
fn only(messages: &[FitDataRecord], kind: MesgNum) -> Option<HashMap<&str, &Value>> {
    let mut found = messages.iter().filter(|message| message.kind() == kind);
    let message = found.next()?;
    found.next().is_none().then(|| message.fields().iter().map(|field| (field.name(), field.value())).collect())
}

#[test]
fn both_read_the_same_session_in_real_files() {
    let Some(folder) = folder() else { return };
    let mut compared = 0;
    for (name, bytes) in real_files(&folder) {
        let Scan { verdict, summary, .. } = scan(&bytes);
        if bytes.len() > 300_000 || !verdict.is_valid() || summary.start.is_none() {
            continue;
        }
        let Ok(messages) = fitparser::from_bytes(&bytes) else { continue };
        let Some(session) = only(&messages, MesgNum::Session) else { continue };
        let number = |field: &str| session.get(field).and_then(|&value| value.clone().try_into().ok());
        let pairs: [(&str, Option<f64>); 10] = [
            ("start_time", summary.start.map(|at| at.as_second() as f64)),
            ("total_elapsed_time", summary.elapsed_s),
            ("total_timer_time", summary.timer_s),
            ("total_distance", summary.distance_m),
            ("total_ascent", summary.ascent_m),
            ("total_descent", summary.descent_m),
            ("total_calories", summary.calories.map(f64::from)),
            ("avg_heart_rate", summary.avg_heart_rate),
            ("max_heart_rate", summary.max_heart_rate.map(f64::from)),
            ("max_power", summary.max_power.map(f64::from)),
        ];
        for (field, ours) in pairs {
            let theirs: Option<f64> = number(field);
            let equal = match (ours, theirs) {
                (Some(ours), Some(theirs)) => (ours - theirs).abs() < 1e-6,
                (ours, theirs) => ours == theirs,
            };
            assert!(equal, "{name}: {field} is {ours:?}, fitparser says {theirs:?}");
        }
        if let Some(Value::String(theirs)) = session.get("sport") {
            assert_eq!(summary.sport.map(|sport| sport.name()).as_ref(), Some(theirs), "{name}");
        }
        if let Some(Value::String(theirs)) = session.get("sub_sport") {
            assert_eq!(summary.sub_sport.map(|sub| sub.name()).as_ref(), Some(theirs), "{name}");
        }
        compared += 1;
    }
    assert!(compared > 20, "only {compared} sessions compared");
}
