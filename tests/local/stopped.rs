//! A process that stands still (SIGSTOP) for longer than its leases, while another goes on with its work.

use fitbridge_tests::{Bench, end_leases, stop_in_the_middle, stop_rounds, wait_until};

#[test]
fn one_that_stands_still_beyond_its_leases_is_taken_over_and_doubles_nothing_afterwards() {
    stop_rounds(3, 60, 0x5709);
}

#[test]
fn while_its_leases_hold_the_other_says_what_waits() {
    let bench = Bench::new(40);
    bench.connect_all();
    let stopped = stop_in_the_middle(&bench, &["--json", "sync"], 10);
    bench.add_rides(2);
    let other = bench.run(&["sync"]).exits(2).says("another process");
    bench.run(&["status"]).exits(0);
    assert!(bench.at_intervals().len() < 42, "what it holds is left to it: {other}");
    stopped.go_on();
    let ended = stopped.finish();
    assert!(matches!(ended.code, Some(0 | 2)), "{ended}");
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn a_serve_that_stands_still_keeps_its_place_and_loses_its_work() {
    let bench = Bench::new(40);
    bench.connect_all();
    let stopped = stop_in_the_middle(&bench, &["--json", "serve"], 10);
    let told = bench.run(&["serve"]).exits(1).says("already runs").says("next:");
    assert!(told.text().contains(&format!("process {}", stopped.id())), "{told}");
    end_leases(bench.home());
    bench.sync().exits(0);
    bench.assert_exactly_once();
    stopped.go_on();
    bench.add_rides(3);
    // It may have the new ones in hand itself by now.
    assert!(matches!(bench.sync().code, Some(0 | 2)));
    wait_until("all is there", || bench.at_webhook().len() == 43 && bench.in_folder().len() == 43);
    stopped.terminate();
    stopped.finish().exits(0);
    bench.assert_exactly_once();
}
