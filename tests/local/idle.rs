//! What a pass costs that finds little or nothing.

use fitbridge_simulator::Role;
use fitbridge_tests::{Bench, ledger_rows, skip_the_night};

#[test]
fn an_idle_pass_makes_one_request_and_writes_no_record() {
    let bench = Bench::new(45);
    bench.connect_all();
    bench.sync().exits(0);
    skip_the_night(bench.home(), bench.world().now());
    let rows = ledger_rows(bench.home());
    assert!(rows.len() > 45 * 4, "rides and deliveries: {}", rows.len());
    for _ in 0..3 {
        let before = bench.world().journal_next();
        let summary = bench.sync().exits(0).summary();
        assert_eq!((&summary["new"], &summary["failed"]), (&0.into(), &0.into()), "{summary}");
        let requests = bench.world().journal_since(before);
        let routes: Vec<_> = requests.iter().map(|entry| (entry.role, entry.route)).collect();
        assert_eq!(routes, [(Role::IgpsportGlobal, "list")]);
    }
    assert!(ledger_rows(bench.home()) == rows, "an idle pass wrote a record");
}

#[test]
fn new_rides_cost_one_detail_call_each_and_known_ones_none() {
    let bench = Bench::new(44);
    bench.connect_all();
    bench.sync().exits(0);
    for count in [1, 3] {
        bench.world().clear_journal();
        bench.add_rides(count);
        let k = u64::try_from(count).expect("small");
        assert_eq!(bench.sync().exits(0).summary()["new"], k);
        let details = bench.requests(Role::IgpsportGlobal, Some("detail"));
        let urls = bench.requests(Role::IgpsportGlobal, Some("download_url"));
        assert!(details <= k && urls <= k && details + urls >= k, "{details} details, {urls} URLs for {k} rides");
        assert_eq!(bench.requests(Role::Files, None), k);
        assert_eq!(bench.requests(Role::Intervals, Some("upload")), k);
        assert_eq!(bench.requests(Role::Webhook, None), k);
    }
    bench.assert_exactly_once();
}
