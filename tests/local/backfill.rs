//! Older rides that come little by little, and looking whether all is where it should be.

use fitbridge_simulator::{NewRide, Region};
use fitbridge_tests::{Bench, wait_until};
use jiff::ToSpan as _;

#[test]
fn one_pass_takes_a_whole_history_and_says_that_it_is_done() {
    let bench = Bench::new(130);
    bench.connect_all();
    assert_eq!(bench.sync().exits(0).summary()["new"], 130);
    bench.assert_exactly_once();
    let status = bench.run(&["--json", "status"]).exits(0);
    let source = status.of_type("connection").into_iter().find(|one| one["role"] == "source").expect("a source");
    assert_eq!((&source["backfill"]["phase"], &source["backfill"]["total"]), (&"done".into(), &110.into()), "{source}");
    bench.run(&["status"]).exits(0).says("backfill done, 110 rides");
}

#[test]
fn a_history_is_chosen_later_stopped_and_let_go_on() {
    let bench = Bench::new(60);
    bench.run_with(&["--json", "connect", "igpsport", "--token-stdin", "--history", "none"], &bench.token()).exits(0);
    bench.connect_folder().exits(0);
    assert_eq!(bench.sync().exits(0).summary()["filtered"], 60);
    let rides = bench.world().rides(Region::Global, bench.member);
    let day = |start: jiff::Timestamp| jiff::tz::Offset::UTC.to_datetime(start).date();
    let since = day(rides[20].start);
    // The list has local dates, which may differ by one.
    let (fewest, most) = (
        rides.iter().filter(|ride| day(ride.start) > since).count(),
        rides.iter().filter(|ride| day(ride.start) >= since.yesterday().expect("a day")).count(),
    );
    let date = since.to_string();
    let begun = bench.run(&["--json", "backfill", "--since", &date]).exits(0).of_type("backfill").remove(0);
    assert_eq!(begun["backfill"]["phase"], "running", "{begun}");
    let total = usize::try_from(begun["backfill"]["total"].as_u64().expect("a count")).expect("small");
    assert!((fewest..=most).contains(&total), "rides of {date} and later: {begun}");
    bench.run(&["backfill", "--stop"]).exits(0).says("backfill stopped at 0 of");
    bench.sync().exits(0);
    assert_eq!(bench.in_folder().len(), 0, "stopped means stopped");
    bench.run(&["backfill", "--status"]).exits(0).says("backfill stopped");
    bench.run(&["backfill", "--since", &date]).exits(0).says("backfill 0 of");
    bench.sync().exits(0);
    assert_eq!(bench.in_folder().len(), total);
    bench.run(&["backfill"]).exits(0);
    bench.sync().exits(0);
    assert_eq!(bench.in_folder().len(), 60);
    bench.run(&["backfill", "--since", "yesterday"]).exits(1);
}

#[test]
fn a_new_ride_passes_the_backlog_while_serve_runs() {
    let bench = Bench::new(260);
    bench.set("FITBRIDGE_REQUESTS_PER_SECOND", "5");
    bench.set("FITBRIDGE_POLL_MINUTES", "1");
    bench.set("FITBRIDGE_POLL_PLAN", "fixed");
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    let serve = bench.start(&["serve"]);
    let source = || {
        let status = bench.run(&["--json", "status"]).exits(0);
        status.of_type("connection").into_iter().find(|one| one["role"] == "source").expect("a source")
    };
    wait_until("the backfill has begun", || source()["backfill"]["phase"] == "running");
    let ride = bench.add_ride(&NewRide::default());
    let is_there = || {
        let why = bench.run(&["--json", "why", &ride.to_string()]);
        why.of_type("delivery").iter().any(|one| one["state"] == "delivered")
    };
    wait_until("the new ride is delivered", is_there);
    let backfill = source()["backfill"].clone();
    assert_eq!(backfill["phase"], "running", "it did not wait for the history: {backfill}");
    serve.terminate();
    bench.remember(serve.finish().exits(0));
    bench.set("FITBRIDGE_REQUESTS_PER_SECOND", "0");
    bench.sync().exits(0);
    assert_eq!(bench.in_folder().len(), 261, "what serve left goes on");
}

#[test]
fn a_reconcile_finds_what_polls_cannot_see_mends_and_tells() {
    let bench = Bench::new(45);
    bench.connect_all();
    bench.sync().exits(0);
    let mut all = bench.upstream();
    let world = bench.world();
    let rides = world.rides(Region::Global, bench.member);
    let report = |output: fitbridge_tests::Output| output.exits(0).of_type("report").remove(0);
    let calm = report(bench.run(&["--json", "reconcile"]));
    for (field, count) in [("seen", 45), ("late", 0), ("repaired", 0), ("gone", 0), ("missing", 0)] {
        assert_eq!(calm[field], count, "{field} of {calm}");
    }
    // Deep in the list, one goes and one comes: page 1 and the count stay as they were.
    world.delete_ride(Region::Global, rides[2].ride_id).expect("a ride");
    let late = world.add_late_upload(Region::Global, bench.member, rides[4].start + 1.hour()).expect("a ride");
    let lost = bench.sha_of(rides[10].ride_id);
    let path = bench.home().join(format!("archive/fit/me/{}/{lost}.fit", &lost[..2]));
    std::fs::remove_file(&path).expect("an archived file");
    let found = report(bench.run(&["--json", "reconcile", "--name", "igpsport"]));
    for (field, count) in [("seen", 45), ("late", 1), ("repaired", 1), ("gone", 1), ("missing", 0)] {
        assert_eq!(found[field], count, "{field} of {found}");
    }
    assert!(path.is_file(), "it was fetched again");
    let sha = bench.sha_of(late);
    all.push(sha);
    bench.assert_in_every_sink(all);
    bench.run(&["status", "-v"]).exits(0).says("1 late, 1 put back to work, 1 gone upstream").says("is missing");
    bench.run(&["reconcile", "--name", "nobody"]).exits(1);
    bench.assert_no_secret_leaked();
}
