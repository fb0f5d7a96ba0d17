//! A tenth of all requests goes wrong, on every route.

use fitbridge_tests::{Bench, one_in_ten_goes_wrong, serves_until_done, struck, sync_until_quiet};

#[test]
fn everything_arrives_once_while_a_tenth_of_all_requests_goes_wrong() {
    let bench = Bench::new(120);
    bench.connect_all();
    one_in_ten_goes_wrong(bench.world());
    let quiet = sync_until_quiet(&bench, 60);
    assert_eq!(quiet.summary()["failed"], 0, "{quiet}");
    bench.assert_exactly_once();
    let routes = struck(bench.world());
    for route in ["igpsport-global detail", "files file", "intervals upload", "webhook receive"] {
        let (requests, wrong) = routes.get(route).copied().unwrap_or_default();
        assert!(requests >= 120 && wrong >= 1, "{route}: {wrong} of {requests}: {routes:?}");
    }
    bench.assert_no_secret_leaked();
}

#[test]
fn everything_arrives_once_through_a_serve_that_is_killed_and_stopped_meanwhile() {
    assert!(serves_until_done(150, 0x5e1f) > 0);
}
