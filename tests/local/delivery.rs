//! Rides reach every sink exactly once, byte for byte.

use fitbridge_simulator::{NewRide, Region};
use fitbridge_tests::{Bench, sha256};
use jiff::ToSpan as _;

#[test]
fn a_history_of_three_pages_arrives_although_rows_shift_and_stand_twice() {
    let bench = Bench::new(43);
    let world = bench.world();
    // Two rides stand twice, across the edges of pages, and while pages are answered rides appear above
    // and below them.
    let rides = world.rides(Region::Global, bench.member);
    for above in [18, 36] {
        let start = rides[above].start - 1.hour();
        bench.add_ride(&NewRide { twice: true, start: Some(start), ..NewRide::default() });
    }
    world.insert_while_paging(Region::Global, bench.member, 1, NewRide::at(world.now())).expect("a hook");
    world
        .insert_while_paging(Region::Global, bench.member, 2, NewRide::at(world.now() - 3000.hours()))
        .expect("a hook");
    bench.connect_all();
    let summary = bench.sync().exits(0).summary();
    assert_eq!(bench.upstream().len(), 47, "the hooks were met");
    assert_eq!(summary["new"], 47, "{summary}");
    for sink in ["intervals", "folder", "webhook"] {
        assert_eq!(summary["deliveries"][sink]["created"], 47, "{summary}");
    }
    bench.assert_exactly_once();

    let late = world.add_late_upload(Region::Global, bench.member, world.now() - 9000.hours()).expect("a ride");
    let summary = bench.sync().exits(0).summary();
    assert_eq!(summary["new"], 1, "ride {late}: {summary}");
    bench.assert_exactly_once();
}

#[test]
fn the_original_comes_out_again_and_its_way_is_explained() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.sync().exits(0);
    let ride = bench.world().rides(Region::Global, bench.member)[1].ride_id;
    let file = bench.path("ride.fit");
    let name = file.to_str().expect("a path");
    bench.run(&["get", &ride.to_string(), "-o", name]).exits(0);
    let bytes = std::fs::read(&file).expect("the file");
    assert_eq!(sha256(&bytes), bench.sha_of(ride));
    bench.run(&["get", &ride.to_string(), "-o", name]).exits(1).says("is there already");
    bench.run(&["get", &bench.sha_of(ride)[..12], "-o", name, "--force"]).exits(0);
    bench.run(&["get", "1", "-o", name]).exits(1).says("no_such_ride");

    let why = bench.run(&["--json", "why", &ride.to_string()]).exits(0);
    assert_eq!(why.ride(ride)["state"], "fetched");
    let deliveries = why.of_type("delivery");
    assert_eq!(deliveries.len(), 3, "{why}");
    for delivery in deliveries {
        assert_eq!(delivery["state"], "delivered", "{delivery}");
        assert_eq!(delivery["how"], "created", "{delivery}");
        assert_eq!(delivery["sha256"], bench.sha_of(ride).as_str());
    }
    bench.run(&["why", &ride.to_string()]).exits(0).says("delivered as i");
}

#[test]
fn a_sink_that_comes_later_gets_what_is_archived_and_one_that_comes_again_gets_nothing_twice() {
    let bench = Bench::new(5);
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    bench.sync().exits(0);
    let downloads = bench.requests(fitbridge_simulator::Role::Files, None);
    bench.connect_intervals().exits(0);
    bench.connect_webhook().exits(0);
    bench.sync().exits(0);
    bench.assert_exactly_once();
    assert_eq!(bench.requests(fitbridge_simulator::Role::Files, None), downloads, "the archive has them");

    let uploads = bench.world().uploads().len();
    bench.run(&["disconnect", "intervals"]).exits(0);
    bench.run(&["disconnect", "igpsport"]).exits(0);
    bench.connect_source().exits(0);
    bench.connect_intervals().exits(0);
    bench.sync().exits(0);
    assert_eq!(bench.world().uploads().len(), uploads, "nothing was sent again");
    assert_eq!(bench.requests(fitbridge_simulator::Role::Files, None), downloads);
    bench.assert_exactly_once();
}

#[test]
fn history_decides_how_far_back_a_connection_reaches() {
    let bench = Bench::new(6);
    let token = bench.token();
    bench.run_with(&["connect", "igpsport", "--token-stdin", "--history", "none"], &token).exits(0);
    bench.connect_folder().exits(0);
    let summary = bench.sync().exits(0).summary();
    assert_eq!((&summary["new"], &summary["filtered"]), (&0.into(), &6.into()), "{summary}");
    let new = bench.add_rides(1);
    assert_eq!(bench.sync().exits(0).summary()["new"], 1);
    assert_eq!(bench.in_folder(), [bench.sha_of(new[0])]);
    bench
        .run(&["why", &bench.world().rides(Region::Global, bench.member)[5].ride_id.to_string()])
        .says("before_connect");

    bench.run_with(&["connect", "igpsport", "--token-stdin", "--history", "all"], &token).exits(0);
    bench.sync().exits(0);
    assert_eq!(bench.in_folder(), bench.upstream(), "a wider history lets them in");
}
