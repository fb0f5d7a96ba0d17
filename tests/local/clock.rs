//! A machine whose clock jumps: a laptop that slept, a clock that was wrong.

use fitbridge_tests::{Bench, MovedClock, Running, wait_until};
use jiff::SignedDuration;

const HOUR: i64 = 3600;

fn all_there(bench: &Bench, rides: usize) -> bool {
    bench.at_webhook().len() == rides && bench.in_folder().len() == rides && bench.at_intervals().len() == rides
}

fn ended(serve: Running) {
    serve.terminate();
    let ended = serve.finish().exits(0);
    assert!(!ended.text().contains("panicked"), "{ended}");
}

#[test]
fn serve_goes_on_when_its_clock_jumps_a_day_ahead_and_an_hour_back() {
    let bench = Bench::new(5);
    bench.connect_all();
    let Some(clock) = MovedClock::over(&bench) else { return };
    bench.set("FITBRIDGE_POLL_MINUTES", "1");
    bench.set("FITBRIDGE_POLL_PLAN", "fixed");
    let serve = bench.start(&["--json", "serve"]);
    wait_until("the first rides arrive", || all_there(&bench, 5));
    // It slept for a day, and so did nobody else.
    bench.world().clock().advance(SignedDuration::from_hours(24));
    bench.add_rides(3);
    clock.set(24 * HOUR);
    wait_until("those of the day arrive", || all_there(&bench, 8));
    // The clock was wrong, as everybody's here, and is set right.
    bench.world().clock().advance(SignedDuration::from_hours(-1));
    clock.set(23 * HOUR);
    bench.add_ride(&fitbridge_simulator::NewRide::default());
    wait_until("the ride after the jump back arrives", || all_there(&bench, 9));
    ended(serve);
    bench.assert_exactly_once();
}

#[test]
fn what_a_wrong_clock_spoils_arrives_once_it_is_right() {
    let bench = Bench::new(4);
    let Some(clock) = MovedClock::over(&bench) else { return };
    bench.connect_all();
    // The receiver of webhooks refuses signatures of another day; the token is good for days yet.
    clock.set(24 * HOUR);
    let told = bench.sync();
    assert!(matches!(told.code, Some(0 | 2)), "{told}");
    clock.set(0);
    let mended = bench.sync().exits(0);
    assert_eq!(mended.summary()["failed"], 0, "{mended}");
    assert_eq!((bench.at_intervals().len(), bench.in_folder().len()), (4, 4));
    bench.assert_harmless();
}

#[test]
fn a_token_that_only_a_wrong_clock_saw_end_does_again_when_it_is_right() {
    let bench = Bench::new(3);
    let Some(clock) = MovedClock::over(&bench) else { return };
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    clock.set(24 * HOUR * 365);
    bench.sync().exits(3).says("token_expired");
    clock.set(0);
    bench.sync().exits(0);
    assert_eq!(bench.in_folder(), bench.upstream());
}
