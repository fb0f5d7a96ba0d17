//! `admin stop`: no command and no loop asks a provider anything while it stands, and afterwards nothing is missing.

use fitbridge_simulator::{Fault, FaultRule, Role};
use fitbridge_tests::{Bench, WEBHOOK_SECRET, sha256, wait_until};

use crate::import::ride;

fn import(bench: &Bench, seed: u64) -> String {
    std::fs::write(bench.path("one.fit"), ride(seed)).expect("written");
    bench.run(&["import", "one.fit"]);
    sha256(&ride(seed))[..10].to_owned()
}

#[test]
fn no_command_asks_anybody_anything_while_it_stands() {
    let bench = Bench::new(2);
    bench.connect_all();
    bench.sync().exits(0);
    // One whose delivery failed, another that is linked to it before it is sent everywhere, and one that a rule left out.
    bench.world().add_fault(FaultRule::new(Fault::Status { code: 422, retry_after: None }).on(Role::Webhook));
    let failed = import(&bench, 1);
    bench.world().clear_faults();
    bench.run(&["rules", "webhook", "--min-distance", "500km"]).exits(0);
    let linked = import(&bench, 2);
    bench.run(&["link", &failed, &linked]);
    bench.run(&["rules", "webhook", "--clear", "--apply"]);
    bench.run(&["rules", "folder", "--min-distance", "500km"]).exits(0);
    import(&bench, 4);
    bench.add_rides(1);
    std::fs::write(bench.path("new.fit"), ride(3)).expect("written");

    bench.run(&["admin", "stop", "--note", "holidays"]).exits(0);
    let (before, files) = (bench.request_counts(), bench.in_folder().len());
    let webhook = bench.simulator().webhook_url();
    // Asking somebody is all that these do.
    let (refused, token) = (["--json", "connect", "igpsport", "--token-stdin"], bench.token());
    bench.run_with(&refused, &token).exits(2).says("[stopped]");
    let refused = ["notify", "webhook", &webhook, "--secret-stdin"];
    bench.run_with(&refused, WEBHOOK_SECRET).exits(2).says("[stopped]");
    let all: [&[&str]; 10] = [
        &["sync"],
        &["sync", "--dry-run"],
        &["list"],
        &["reconcile"],
        &["resync", &failed, "--yes"],
        &["resync", &failed, "--yes", "--fetch"],
        &["retry", "--all"],
        &["held", "send", "--all"],
        &["connect", "webhook", &webhook],
        &["doctor", "--probe"],
    ];
    for command in all {
        bench.run(command).exits(2).says("[stopped]").says("fitbridge admin go");
    }
    bench.run(&["doctor"]).says("[stopped]").says("fitbridge admin go");
    // These have something to do here, and do it; what follows from it waits.
    let waits: [&[&str]; 3] = [&["import", "new.fit"], &["split", &linked], &["rules", "folder", "--clear", "--apply"]];
    for command in waits {
        bench.run(command).exits(2).says("[stopped]").says("fitbridge admin go");
    }
    assert_eq!((bench.request_counts(), bench.in_folder().len()), (before, files));

    bench.run(&["admin", "go"]).exits(0);
    bench.run(&["retry", "--all"]).exits(0);
    bench.sync().exits(0);
    let mut all = bench.upstream();
    all.extend([1, 2, 3, 4].map(|seed| sha256(&ride(seed))));
    bench.assert_in_every_sink(all);
}

/// Uploads slow down after some, so that a command is in its middle when the stop comes.
fn slow(bench: &Bench) {
    bench.world().add_fault(FaultRule::new(Fault::Slow { ms: 500 }).on(Role::Intervals).route("upload").skip(8));
}

fn is_in_the_middle(bench: &Bench) {
    wait_until("it is in the middle", || bench.requests(Role::Intervals, Some("upload")) >= 12);
}

#[test]
fn a_pass_under_way_ends_with_what_it_has_begun() {
    let bench = Bench::new(120);
    bench.connect_all();
    slow(&bench);
    let sync = bench.start(&["--json", "sync"]);
    is_in_the_middle(&bench);
    bench.run(&["admin", "stop"]).exits(0);
    let ended = sync.finish().exits(2).says("[stopped]").says("fitbridge admin go");
    let there = bench.at_intervals().len();
    assert!(there < 120, "it was in the middle");
    // Each upload that had begun was finished, and is told.
    assert_eq!(ended.summary()["deliveries"]["intervals"]["created"], there, "{ended}");
    assert_eq!(bench.requests(Role::Intervals, Some("upload")), u64::try_from(there).expect("few"), "{ended}");
    bench.run(&["admin", "go"]).exits(0);
    bench.world().clear_faults();
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn serve_stands_still_and_goes_on_where_it_was() {
    let bench = Bench::new(120);
    bench.connect_all();
    bench.set("FITBRIDGE_POLL_MINUTES", "1");
    bench.set("FITBRIDGE_POLL_PLAN", "fixed");
    slow(&bench);
    let serve = bench.start(&["--json", "serve"]);
    is_in_the_middle(&bench);
    bench.run(&["admin", "stop"]).exits(0);
    // What had begun is finished by then: an upload takes half a second.
    std::thread::sleep(std::time::Duration::from_secs(4));
    let before = bench.request_counts();
    bench.add_rides(2);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(bench.request_counts(), before, "nobody is asked anything");
    assert!(bench.at_intervals().len() < 120, "it was in the middle");
    bench.world().clear_faults();
    bench.run(&["admin", "go"]).exits(0);
    wait_until("it goes on", || bench.at_intervals().len() >= 120 && bench.in_folder().len() >= 120);
    bench.sync().exits(0);
    serve.terminate();
    serve.finish().exits(0);
    assert_eq!(bench.at_intervals().len(), 122);
    bench.assert_exactly_once();
}
