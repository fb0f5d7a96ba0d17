//! Rides that reached Intervals.icu by another route: told and held, not doubled.

use fitbridge_simulator::{Fault, FaultRule, NewActivity, Region, RideView, Role};
use fitbridge_tests::Bench;
use jiff::tz::Offset;
use serde_json::json;

/// A bench whose first `there` rides are at Intervals.icu by way of Strava, a minute off.
fn bench(rides: usize, there: usize) -> (Bench, Vec<RideView>) {
    let bench = Bench::new(rides);
    let views = bench.world().rides(Region::Global, bench.member);
    for ride in &views[..there] {
        // The rider's account is two hours ahead of UTC.
        let local = Offset::constant(2).to_datetime(ride.start);
        let stub = NewActivity {
            start_date_local: local.saturating_add(jiff::SignedDuration::from_secs(61)),
            source: "STRAVA".into(),
            ..NewActivity::default()
        };
        bench.world().add_activity(&bench.athlete, &stub).expect("an activity");
    }
    (bench, views)
}

#[test]
fn rides_that_came_through_strava_are_held_until_the_rider_says_send_or_skip() {
    let (bench, rides) = bench(6, 3);
    bench.connect_all();
    let synced = bench.sync().exits(0);
    let summary = synced.summary();
    assert_eq!((&summary["held"], &summary["failed"]), (&3.into(), &0.into()), "{summary}");
    assert_eq!(summary["deliveries"]["intervals"]["created"], 3, "{summary}");
    assert_eq!(summary["deliveries"]["folder"]["created"], 6, "only that sink has them");
    let mut sent: Vec<_> = rides[3..].iter().map(|ride| bench.sha_of(ride.ride_id)).collect();
    sent.sort();
    assert_eq!(bench.at_intervals(), sent);
    bench.run(&["sync"]).exits(0).says("nothing new");
    bench.run(&["why", &rides[0].ride_id.to_string()]).exits(0).says("held_elsewhere").says("STRAVA");

    let held = bench.run(&["--json", "held"]).exits(0);
    assert_eq!(held.of_type("held").len(), 3, "{held}");
    for line in held.of_type("held") {
        assert_eq!((&line["sink"], &line["route"]), (&"intervals".into(), &"STRAVA".into()), "{line}");
        assert!(line["remote_id"].is_string(), "{line}");
    }
    let (send, skip) = (rides[0].ride_id.to_string(), rides[1].ride_id.to_string());
    bench.run(&["held", "send", &send]).exits(0);
    bench.run(&["held", "skip", &skip]).exits(0);
    sent.push(bench.sha_of(rides[0].ride_id));
    sent.sort();
    assert_eq!(bench.at_intervals(), sent);
    assert_eq!(bench.run(&["--json", "held"]).exits(0).of_type("held").len(), 1);
    bench.run(&["held", "skip", "--all"]).exits(0);
    bench.run(&["held", "send", "--all"]).says("0 held");
    bench.run(&["held", "send", &skip]).says("0 held");
    bench.sync().exits(0);
    assert_eq!(bench.at_intervals(), sent, "skipped is never sent");
    assert_eq!(bench.requests(Role::Intervals, Some("upload")), 4);
}

#[test]
fn what_is_there_is_listed_before_the_first_upload_and_only_once() {
    let (bench, _) = bench(3, 1);
    bench.connect_all();
    bench.sync().exits(0);
    let journal = bench.simulator().journal();
    let routes: Vec<_> =
        journal.iter().filter(|entry| entry.role == Role::Intervals).map(|entry| entry.route).collect();
    let first_upload = routes.iter().position(|route| *route == "upload").expect("an upload");
    let last_list = routes.iter().rposition(|route| *route == "list").expect("a list");
    assert!(last_list < first_upload, "{routes:?}");
    let lists = bench.requests(Role::Intervals, Some("list"));
    bench.add_rides(2);
    bench.sync().exits(0);
    assert_eq!(bench.requests(Role::Intervals, Some("list")), lists);
}

/// Every upload to Intervals.icu ends with this status.
fn uploads_end_with(bench: &Bench, code: u16) {
    let fault = FaultRule::new(Fault::Status { code, retry_after: None }).on(Role::Intervals).route("upload");
    bench.world().add_fault(fault);
}

#[test]
fn what_becomes_of_held_rides_that_are_sent_is_told_and_the_exit_code_says_it() {
    let (bench, rides) = bench(3, 3);
    bench.connect_all();
    bench.sync().exits(0);
    let number = |of: usize| rides[of].ride_id.to_string();

    bench.run(&["admin", "stop"]).exits(0);
    bench.run(&["held", "send", "--all"]).exits(2).says("[stopped]");
    bench.run(&["admin", "go"]).exits(0);
    assert_eq!(bench.run(&["--json", "held"]).exits(0).summary()["held"], 3, "they wait still");

    uploads_end_with(&bench, 422);
    let refused = bench.run(&["--json", "held", "send", &number(0)]).exits(2);
    let (delivery, summary) = (refused.of_type("delivery").remove(0), refused.summary());
    assert_eq!((&delivery["state"], &delivery["code"]), (&json!("rejected"), &json!("sink_rejected")), "{refused}");
    assert_eq!((&summary["told"], &summary["deliveries"]["intervals"]["failed"]), (&json!(1), &json!(1)), "{summary}");
    bench.run(&["held", "send", &number(1)]).exits(2).says("1 failed").says("[sink_rejected]").says("next:");
    bench.world().clear_faults();

    uploads_end_with(&bench, 503);
    bench.run(&["held", "send", "--all"]).exits(2).says("1 pending").says("[sink_away]");
    bench.world().clear_faults();
    bench.run(&["retry", "--all"]).exits(0).says("2 rides and deliveries are begun anew").says("2 created");
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn the_operator_passes_a_riders_word_on() {
    let (bench, rides) = bench(4, 3);
    bench.connect_all();
    bench.sync().exits(0);
    bench.run(&["admin", "held", "nobody"]).exits(1).says("no_such_rider");
    let listed = bench.run(&["--json", "admin", "held", "me"]).exits(0);
    assert_eq!((listed.of_type("held").len(), &listed.summary()["held"]), (3, &json!(3)), "{listed}");
    let first = listed.of_type("held").remove(0);
    let what = (&first["rider"], &first["sink"], &first["route"]);
    assert_eq!(what, (&json!("me"), &json!("intervals"), &json!("STRAVA")), "{first}");
    bench.run(&["admin", "held", "me"]).exits(0).says("already at intervals").says("fitbridge admin held me send");

    let before = bench.home_tree();
    let dry = bench.run(&["--json", "admin", "held", "me", "send", "--all", "--dry-run"]).exits(0);
    assert_eq!((dry.of_type("held").len(), &dry.summary()["told"]), (3, &json!(0)), "{dry}");
    assert_eq!(bench.home_tree(), before, "a dry run changes nothing");
    let elsewhere = bench.run(&["--json", "admin", "held", "me", "send", "--all", "--sink", "folder"]).exits(0);
    assert_eq!(elsewhere.summary()["found"], 0, "{elsewhere}");
    bench.run(&["admin", "held", "me", "send"]).exits(1);
    bench.run(&["admin", "held", "me", "send", "12"]).exits(1).says("no_such_ride");

    let sent = bench.run(&["--json", "admin", "held", "me", "send", &rides[0].ride_id.to_string()]).exits(0);
    assert_eq!((&sent.summary()["found"], &sent.summary()["told"]), (&json!(1), &json!(1)), "{sent}");
    bench.run(&["admin", "held", "me", "skip", "--all", "--sink", "intervals"]).exits(0).says("2 of 2 held deliveries");
    bench.run(&["admin", "held", "me"]).exits(0).says("no ride is held");
    bench.sync().exits(0);
    let mut there: Vec<_> = [0, 3].map(|of: usize| bench.sha_of(rides[of].ride_id)).into();
    there.sort();
    assert_eq!(bench.at_intervals(), there, "the one that was to be sent, and the one that was never held");
    let events = bench.run(&["--json", "audit"]).exits(0).of_type("event");
    let acts: Vec<_> = events.iter().filter(|event| event["event"] == "act").map(|event| &event["act"]).collect();
    assert_eq!(acts, ["held_send", "held_skip"], "{events:?}");
}
