//! What goes wrong at the file host: each in its own state and code, and the other rides go on.

use fitbridge_simulator::{Fault, FileSpec, NewRide, Region, RideId};
use fitbridge_tests::{Bench, wait_until};

fn redirect(to: &str) -> Fault {
    Fault::Redirect { to: to.to_owned() }
}

fn malformed(name: &str) -> NewRide {
    NewRide { file: FileSpec::Malformed { name: name.to_owned() }, ..NewRide::default() }
}

#[test]
fn each_fault_has_its_own_state_and_code_and_the_other_rides_go_on() {
    let faults = [
        (Fault::HtmlErrorPage { code: 200 }, "unavailable", "file_html"),
        (Fault::OssError { code: 200 }, "unavailable", "file_xml_error"),
        (Fault::OssError { code: 403 }, "unavailable", "file_gone"),
        (Fault::OssError { code: 404 }, "unavailable", "file_gone"),
        (Fault::ZeroBytes, "unavailable", "file_empty"),
        (Fault::JsonAnswer, "unavailable", "file_json"),
        (Fault::TruncateBody { keep: 500 }, "unavailable", "file_truncated"),
        (Fault::OverCap { bytes: 33 << 20 }, "rejected", "file_too_large"),
        (redirect("private"), "rejected", "file_redirect_refused"),
        (redirect("trap"), "rejected", "file_redirect_refused"),
        (redirect("http"), "rejected", "file_redirect_refused"),
        (Fault::Status { code: 503, retry_after: None }, "unavailable", "file_host_error"),
        (Fault::DropBeforeCommit, "unavailable", "file_unreachable"),
    ];
    let bench = Bench::new(faults.len() + 4);
    bench.connect_all();
    let rides = bench.world().rides(Region::Global, bench.member);
    for (ride, (fault, ..)) in rides.iter().zip(&faults) {
        bench.world().fault_file(Region::Global, ride.ride_id, fault.clone(), None).expect("a fault");
    }
    let synced = bench.sync().exits(2);
    for (ride, (fault, state, code)) in rides.iter().zip(&faults) {
        let found = synced.ride(ride.ride_id);
        assert_eq!((&found["state"], &found["code"]), (&(*state).into(), &(*code).into()), "{fault:?}: {found}");
        bench.run(&["why", &ride.ride_id.to_string()]).exits(0).says(code).says("next:");
    }
    let fine = &rides[faults.len()..];
    bench.assert_in_every_sink(fine.iter().map(|ride| bench.sha_of(ride.ride_id)).collect());
    assert_eq!(synced.summary()["failed"], faults.len(), "{synced}");

    bench.world().clear_faults();
    bench.sync().exits(0);
    let healed = rides.iter().zip(&faults).filter(|(_, (_, state, _))| *state == "unavailable").map(|(ride, _)| ride);
    let wanted = healed.chain(fine).map(|ride| bench.sha_of(ride.ride_id));
    bench.assert_in_every_sink(wanted.collect());
}

#[test]
fn faults_that_pass_within_the_pass_are_healed_by_it() {
    let faults = [
        Fault::HtmlErrorPage { code: 200 },
        Fault::OssError { code: 403 },
        Fault::ZeroBytes,
        Fault::TruncateBody { keep: 500 },
        Fault::WrongLength { missing: 9 },
        Fault::DropAfterCommit,
        Fault::Gzip,
        redirect("self"),
        Fault::Slow { ms: 700 },
        Fault::SlowBody { ms: 20, chunk: 200 },
    ];
    let bench = Bench::new(faults.len());
    bench.connect_all();
    let rides = bench.world().rides(Region::Global, bench.member);
    for (ride, fault) in rides.iter().zip(faults) {
        bench.world().fault_file(Region::Global, ride.ride_id, fault, Some(1)).expect("a fault");
    }
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn a_host_that_falls_silent_is_left_and_asked_again() {
    let bench = Bench::new(4);
    bench.connect_all();
    let stuck = bench.world().rides(Region::Global, bench.member)[1].ride_id;
    bench.world().fault_file(Region::Global, stuck, Fault::Stall, None).expect("a fault");
    let sync = bench.start(&["--json", "sync"]);
    wait_until("the other rides arrive meanwhile", || bench.at_webhook().len() == 3 && bench.in_folder().len() == 3);
    wait_until("the timeout stands in the ride", || {
        let why = bench.run(&["--json", "why", &stuck.to_string()]);
        why.code == Some(0) && why.ride(stuck)["code"] == "file_timeout"
    });
    bench.world().clear_faults();
    sync.finish().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn broken_files_are_delivered_flagged_when_they_stay_the_same_and_no_rides_are_refused() {
    let bench = Bench::new(2);
    let add = |name: &str| bench.add_ride(&malformed(name));
    let salvageable: Vec<RideId> = ["bad_crc", "truncated", "missing_crc"].into_iter().map(add).collect();
    let valid: Vec<RideId> = ["developer_fields", "compressed_timestamps", "chained"].into_iter().map(add).collect();
    let settings = add("not_an_activity");
    let empty = add("empty");
    bench.connect_all();
    let synced = bench.sync().exits(2);
    for ride in salvageable.iter().chain(&valid) {
        assert_eq!(synced.ride(ride)["state"], "fetched", "{synced}");
    }
    bench.run(&["why", &salvageable[0].to_string()]).exits(0).says("archived although damaged [fit_bad_crc]");
    let refused = synced.ride(settings);
    assert_eq!((&refused["state"], &refused["code"]), (&"rejected".into(), &"not_activity".into()), "{refused}");
    assert_eq!(synced.ride(empty)["code"], "file_empty", "{synced}");
    let mut wanted = bench.upstream();
    wanted.retain(|sha| *sha != bench.sha_of(settings) && *sha != bench.sha_of(empty));
    // Two of the generator's are files of one recording: one of them stands for both.
    let linked: Vec<_> = valid.iter().filter(|ride| !synced.ride(ride)["link"].is_null()).collect();
    assert_eq!(linked.len(), 1, "{synced}");
    wanted.retain(|sha| *sha != bench.sha_of(*linked[0]));
    bench.assert_in_every_sink(wanted);
}

#[test]
fn one_file_behind_two_rides_goes_out_once() {
    let bench = Bench::new(2);
    let first = bench.world().rides(Region::Global, bench.member)[0].ride_id;
    let twin = bench.add_ride(&NewRide { file: FileSpec::SameAs { ride: first }, ..NewRide::default() });
    bench.connect_all();
    let synced = bench.sync().exits(0);
    let states = [synced.ride(first)["state"].clone(), synced.ride(twin)["state"].clone()];
    assert!(states.contains(&"fetched".into()) && states.contains(&"duplicate".into()), "{synced}");
    assert_eq!(synced.summary()["duplicate"], 1, "{synced}");
    bench.assert_exactly_once();
}
