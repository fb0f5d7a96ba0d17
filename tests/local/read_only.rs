//! Commands that only look.

use fitbridge_simulator::Role;
use fitbridge_tests::Bench;

fn changes_nothing(bench: &Bench, arguments: &[&str]) -> fitbridge_tests::Output {
    let before = bench.home_tree();
    let output = bench.run(arguments);
    let after = bench.home_tree();
    let names = |tree: &fitbridge_tests::Tree| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&after), names(&before), "{output}");
    for (name, bytes) in &before {
        assert!(after[name] == *bytes, "{name} was changed by {output}");
    }
    output
}

#[test]
fn a_dry_run_changes_no_byte_downloads_nothing_and_sends_nothing() {
    let bench = Bench::new(25);
    bench.connect_all();
    bench.sync().exits(0);
    bench.add_rides(4);
    bench.world().clear_journal();
    let planned = changes_nothing(&bench, &["--json", "sync", "--dry-run"]).exits(0);
    let summary = planned.summary();
    assert_eq!((&summary["new"], &summary["dry_run"]), (&4.into(), &true.into()), "{summary}");
    assert_eq!(planned.of_type("plan").len(), 4, "{planned}");
    assert!(summary["unknown_until_fetched"].is_array(), "it says what only the file could tell");
    changes_nothing(&bench, &["sync", "--dry-run"]).exits(0).says("only the files can tell").says("4 new rides");
    for role in [Role::Files, Role::Intervals, Role::Webhook] {
        assert_eq!(bench.requests(role, None), 0, "{role}");
    }
    assert_eq!(bench.requests(Role::IgpsportGlobal, Some("detail")), 0);
    let summary = bench.sync().exits(0).summary();
    assert_eq!(summary["new"], 4, "as planned: {summary}");
    changes_nothing(&bench, &["sync", "--dry-run"]).exits(0).says("nothing new");
    bench.assert_exactly_once();
}

#[test]
fn a_dry_run_before_the_first_sync_and_without_anything_connected() {
    let bench = Bench::new(45);
    changes_nothing(&bench, &["sync", "--dry-run"]).exits(0);
    assert!(!bench.home().exists(), "not even the folder is made");
    bench.connect_all();
    bench.world().clear_webhooks();
    let planned = changes_nothing(&bench, &["--json", "sync", "--dry-run"]).exits(0);
    assert_eq!(planned.summary()["new"], 45, "{planned}");
    assert_eq!(bench.at_webhook().len(), 0);
}

#[test]
fn a_dry_run_tells_of_a_refused_token_and_still_changes_nothing() {
    let bench = Bench::new(2);
    bench.connect_all();
    bench.world().revoke_tokens(fitbridge_simulator::Region::Global, bench.member);
    changes_nothing(&bench, &["sync", "--dry-run"]).exits(3).says("token_refused");
    changes_nothing(&bench, &["status"]).exits(0);
}

#[test]
fn looking_changes_nothing() {
    let bench = Bench::new(5);
    bench.connect_all();
    bench.sync().exits(0);
    let ride = bench.world().rides(fitbridge_simulator::Region::Global, bench.member)[0].ride_id.to_string();
    let out = bench.path("out.svg");
    let out = out.to_str().expect("a path");
    for arguments in [
        &["status"][..],
        &["list"],
        &["list-igp", "--limit", "3"],
        &["why", &ride],
        &["held"],
        &["doctor"],
        &["show", &ride],
        &["show", &ride, "--svg", out],
        &["get", &ride, "-o", "-"],
        &["completions", "bash"],
    ] {
        changes_nothing(&bench, arguments).exits(0);
    }
}
