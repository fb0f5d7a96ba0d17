use super::*;
use crate::domain::{Origin, Ride, UserId};

fn facts(start: &str, elapsed_s: f64) -> RecordedFacts {
    RecordedFacts {
        start: Some(start.parse().unwrap()),
        elapsed_s: Some(elapsed_s),
        distance_m: Some(30_000.0),
        sport: Some("cycling".into()),
        ..RecordedFacts::default()
    }
}

fn ride(facts: RecordedFacts) -> Activity {
    let (user, id) = (UserId::new("me").unwrap(), ActivityId::new("a").unwrap());
    let ride = Ride { recorded: Some(facts), ..Ride::default() };
    Activity::new(user, id, Origin::File { name: "a.fit".into() }, ride, "2026-06-01T00:00:00Z".parse().unwrap())
}

fn likeness(a: &RecordedFacts, b: &RecordedFacts) -> Option<Likeness> {
    let (a, b) = (Trace::of(&ride(a.clone())).unwrap(), Trace::of(&ride(b.clone())).unwrap());
    assert_eq!(a.likeness(&b), b.likeness(&a), "it does not matter which is named first");
    a.likeness(&b)
}

fn device(serial: Option<&str>, start: &str) -> RecordedFacts {
    RecordedFacts {
        manufacturer: Some(115),
        product: Some(301),
        serial: serial.map(str::to_owned),
        time_created: Some("2026-05-01T05:59:59Z".parse().unwrap()),
        ..facts(start, 3600.0)
    }
}

const START: &str = "2026-05-01T06:00:00Z";

#[test]
fn device_and_creation_time_make_a_recording() {
    let first = device(Some("e47e1417"), START);
    let cut = RecordedFacts { elapsed_s: Some(600.0), ..device(Some("e47e1417"), "2026-05-01T06:00:01Z") };
    assert_eq!(likeness(&first, &cut), Some(Likeness::SameRecording), "however much of it is there");
    let later = RecordedFacts { elapsed_s: Some(1800.0), ..device(Some("e47e1417"), "2026-05-01T08:00:00Z") };
    assert_eq!(likeness(&first, &later), None, "rides of one boot share nothing else");
    let other = RecordedFacts { product: Some(300), ..first.clone() };
    assert_eq!(likeness(&first, &other), Some(Likeness::SameRide));
}

#[test]
fn a_serial_number_that_says_nothing_is_none() {
    for serial in [None, Some("01"), Some("ffffffff"), Some("ffffff7f"), Some("00000001")] {
        let short = |start| RecordedFacts { elapsed_s: Some(600.0), ..device(serial, start) };
        assert_eq!(likeness(&device(serial, START), &short(START)), Some(Likeness::SameRecording), "{serial:?}");
        let moved = likeness(&device(serial, START), &short("2026-05-01T06:00:01Z"));
        assert_eq!(moved, None, "{serial:?}: only the very same start");
    }
    let program = RecordedFacts { manufacturer: Some(255), ..device(None, START) };
    assert_eq!(likeness(&program, &program), Some(Likeness::SameRide), "programs write many files in one second");
    let no_time = RecordedFacts { time_created: None, ..device(Some("e47e1417"), START) };
    assert_eq!(likeness(&no_time, &no_time), Some(Likeness::SameRide));
}

#[test]
fn two_recorders_of_one_ride_overlap_and_begin_and_last_alike() {
    let first = facts(START, 3600.0);
    for (start, elapsed_s, expected) in [
        ("2026-05-01T06:03:45Z", 3500.0, Some(Likeness::SameRide)),
        ("2026-05-01T06:05:00Z", 3600.0, Some(Likeness::SameRide)),
        ("2026-05-01T06:05:01Z", 3600.0, Some(Likeness::Perhaps(Hunch::Overlap))),
        ("2026-05-01T06:00:00Z", 3200.0, Some(Likeness::Perhaps(Hunch::Overlap))),
        ("2026-05-01T06:20:00Z", 3600.0, Some(Likeness::Perhaps(Hunch::Overlap))),
        ("2026-05-01T06:35:00Z", 3600.0, None),
        ("2026-05-01T06:00:00Z", 1700.0, None),
        ("2026-05-01T07:01:18Z", 3700.0, None),
    ] {
        assert_eq!(likeness(&first, &facts(start, elapsed_s)), expected, "{start} {elapsed_s}");
    }
    let short = facts(START, 59.0);
    assert_eq!(likeness(&short, &short), None, "less than a minute is no ride to compare");
    let far = RecordedFacts { distance_m: Some(19_300.0), ..first.clone() };
    assert_eq!(likeness(&first, &far), Some(Likeness::SameRide), "distance is no veto: indoors they differ by a third");
}

#[test]
fn sports_of_one_family_go_together_and_others_do_not() {
    let sport = |sport: &str| RecordedFacts { sport: Some(sport.to_owned()), ..facts(START, 3600.0) };
    for (a, b) in [("cycling", "e_biking"), ("running", "hiking"), ("generic", "running"), ("rowing", "rowing")] {
        assert_eq!(likeness(&sport(a), &sport(b)), Some(Likeness::SameRide), "{a} {b}");
    }
    assert_eq!(likeness(&sport("cycling"), &sport("running")), None);
}

#[test]
fn a_wrong_clock_is_only_a_hunch() {
    let first = facts(START, 3600.0);
    let zone = facts("2026-05-01T14:00:40Z", 3601.0);
    assert_eq!(likeness(&first, &zone), Some(Likeness::Perhaps(Hunch::TimeZone)));
    assert_eq!(likeness(&first, &RecordedFacts { distance_m: Some(31_000.0), ..zone }), None);
    assert_eq!(likeness(&first, &facts("2026-05-01T14:07:00Z", 3600.0)), None);
    assert_eq!(likeness(&first, &facts("2006-09-15T06:00:00Z", 3600.0)), Some(Likeness::Perhaps(Hunch::WeekRollover)));
    let unset = facts("2009-12-31T06:00:00Z", 3600.0);
    assert_eq!(likeness(&unset, &unset), Some(Likeness::Perhaps(Hunch::Overlap)), "an unset clock proves nothing");
    let ahead = facts("2026-06-03T00:00:00Z", 3600.0);
    assert_eq!(likeness(&ahead, &ahead), Some(Likeness::Perhaps(Hunch::Overlap)), "seen before it began");
}

#[test]
fn the_better_file_is_worth_more() {
    let whole = |facts| {
        let mut ride = ride(facts);
        let content = crate::domain::ContentId::of(b"a");
        ride.state = ActivityState::Fetched { content, size_bytes: 1, integrity: Integrity::Intact };
        ride
    };
    let plain = whole(facts(START, 3600.0));
    let device = whole(device(Some("e47e1417"), START));
    assert!(worth(&device) > worth(&plain), "a device's before a program's");
    let power = whole(RecordedFacts { avg_power_w: Some(200.0), ..facts(START, 3600.0) });
    assert!(worth(&power) > worth(&plain) && worth(&device) > worth(&power));
    let finer = whole(RecordedFacts { records: 10, ..facts(START, 3600.0) });
    assert!(worth(&finer) > worth(&plain));
    let mut broken = device.clone();
    let code = crate::Code::FitTruncated;
    let content = crate::domain::ContentId::of(b"b");
    broken.state = ActivityState::Fetched { content, size_bytes: 1, integrity: Integrity::Salvageable { code } };
    assert!(worth(&plain) > worth(&broken), "whole before broken");
    let earlier = Activity { first_seen_at: "2026-05-02T00:00:00Z".parse().unwrap(), ..plain.clone() };
    assert!(worth(&earlier) > worth(&plain), "else whichever was here first");
}

#[test]
fn a_file_with_more_activities_stands_for_none_and_none_for_it() {
    let one = RecordedFacts { activities: 1, ..device(Some("e47e1417"), START) };
    let chained = RecordedFacts { activities: 2, ..one.clone() };
    assert_eq!(likeness(&one, &chained), Some(Likeness::Perhaps(Hunch::Chained)));
    assert_eq!(likeness(&chained, &chained), Some(Likeness::SameRecording));
    assert_eq!(likeness(&one, &device(Some("e47e1417"), START)), Some(Likeness::SameRecording), "not said is one");
}
