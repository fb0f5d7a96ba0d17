//! How often is polled, how fresh things are and how long rides took, as the rider is told.

use fitbridge_tests::Bench;

#[test]
fn status_tells_how_fresh_a_source_is_why_and_how_long_rides_took() {
    let bench = Bench::new(3);
    bench.connect_all();
    let source = |status: &fitbridge_tests::Output| {
        status.of_type("connection").into_iter().find(|one| one["role"] == "source").expect("a source")
    };
    let before = source(&bench.run(&["--json", "status"]).exits(0));
    assert!(before["freshness"]["last_polled_at"].is_null(), "{before}");

    bench.sync().exits(0);
    bench.add_rides(2);
    bench.sync().exits(0);
    let status = bench.run(&["--json", "status"]).exits(0);
    let fresh = source(&status)["freshness"].clone();
    assert!(fresh["last_polled_at"].is_string() && fresh["next_poll_at"].is_string(), "{fresh}");
    assert_eq!((&fresh["because"], &fresh["every_minutes"]), (&"found".into(), &5.into()), "{fresh}");
    for sink in status.of_type("connection").iter().filter(|one| one["role"] == "sink") {
        let lag = &sink["lag"]["from_discovery"];
        assert_eq!(lag["count"], 5, "{sink}");
        assert!(lag["p50_s"].as_i64() <= lag["p95_s"].as_i64() && lag["p50_s"].as_i64() >= Some(0), "{sink}");
    }
    bench.run(&["status", "-v"]).exits(0).says("because a ride was just found").says("from being found half within");
    bench.run(&["status"]).exits(0).says("`fitbridge serve` looks by itself");
}

#[test]
fn a_fixed_plan_asks_everybody_alike() {
    let bench = Bench::new(1);
    bench.set("FITBRIDGE_POLL_PLAN", "fixed");
    bench.connect_all();
    bench.sync().exits(0);
    bench.run(&["status", "-v"]).exits(0).says("each 5 minutes, as everybody");
    bench.set("FITBRIDGE_POLL_PLAN", "sometimes");
    bench.run(&["status"]).exits(1).says("adaptive or fixed");
}
