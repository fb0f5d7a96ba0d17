//! The long tests: `make soak` runs them; they need minutes and a quiet machine, nothing else.

use fitbridge_tests::{
    Bench, kill_rounds, kills_until_done, one_in_ten_goes_wrong, serves_until_done, stop_rounds, struck,
    sync_until_quiet,
};

#[test]
fn two_hundred_kills_lose_and_double_nothing() {
    kill_rounds(200, 200, 0x50_a4);
}

#[test]
fn ten_thousand_rides_arrive_once_through_a_kill_every_few_seconds() {
    kills_until_done(10_000, 0x7e11);
}

#[test]
fn forty_stops_lose_and_double_nothing() {
    stop_rounds(40, 200, 0x5707);
}

#[test]
fn two_thousand_rides_arrive_once_while_a_tenth_of_all_requests_goes_wrong() {
    let bench = Bench::new(2_000);
    bench.connect_all();
    one_in_ten_goes_wrong(bench.world());
    let quiet = sync_until_quiet(&bench, 200);
    assert_eq!(quiet.summary()["failed"], 0, "{quiet}");
    bench.assert_exactly_once();
    for (route, (requests, wrong)) in struck(bench.world()) {
        println!("{route}: {wrong} of {requests} went wrong");
    }
}

#[test]
fn ten_thousand_rides_arrive_once_through_a_serve_that_is_killed_and_stopped_while_a_tenth_goes_wrong() {
    println!("through {} kills", serves_until_done(10_000, 0x5e1e));
}
