//! `serve`: keeps going, stops when asked, alone on its data.

use fitbridge_simulator::{Fault, FaultRule, Role};
use fitbridge_tests::{Bench, wait_until};

fn serving(bench: &Bench) -> fitbridge_tests::Running {
    bench.set("FITBRIDGE_POLL_MINUTES", "1");
    bench.set("FITBRIDGE_POLL_PLAN", "fixed");
    let serve = bench.start(&["--json", "serve"]);
    wait_until("serve says that it serves", || serve.stdout().contains("\"serving\""));
    serve
}

#[test]
fn serve_delivers_answers_status_and_stops_when_asked() {
    let bench = Bench::new(23);
    bench.connect_all();
    let serve = serving(&bench);
    wait_until("the rides arrive", || {
        bench.at_intervals().len() == 23 && bench.in_folder().len() == 23 && bench.at_webhook().len() == 23
    });
    let status = bench.run(&["--json", "status"]).exits(0);
    assert_eq!(status.summary()["rides"], 23, "{status}");
    assert!(status.summary()["last_tick"].is_string(), "{status}");
    bench.run(&["list"]).exits(0);
    // Other commands work beside it.
    bench.sync().exits(0);
    bench.run(&["serve"]).exits(1).says("already runs").says("next:");
    serve.terminate();
    let stopped = serve.finish().exits(0);
    assert_eq!(stopped.summary()["type"], "summary", "{stopped}");
    bench.remember(stopped);
    bench.assert_exactly_once();
    bench.assert_no_secret_leaked();
    // The place is free again.
    let again = serving(&bench);
    again.terminate();
    again.finish().exits(0);
}

#[test]
fn a_stop_in_the_middle_finishes_or_gives_back_what_it_holds() {
    let bench = Bench::new(120);
    bench.connect_all();
    // From some moment on both are slow, so that it cannot get to the end before it is stopped.
    let slow = |role: Role, route: &str| FaultRule::new(Fault::Slow { ms: 500 }).on(role).route(route).skip(20);
    bench.world().add_fault(slow(Role::Intervals, "upload"));
    bench.world().add_fault(slow(Role::Webhook, "receive"));
    let serve = serving(&bench);
    wait_until("it is in the middle", || bench.requests(Role::Intervals, Some("upload")) >= 20);
    serve.terminate();
    serve.finish().exits(0);
    assert!(bench.at_webhook().len() < 120, "it was in the middle");
    bench.world().clear_faults();
    // What was given back is due at once.
    assert_eq!(bench.sync().exits(0).summary()["failed"], 0);
    bench.assert_exactly_once();
    let doubled = bench.world().webhook_deliveries().iter().filter(|delivery| delivery.attempts > 1).count();
    assert_eq!(doubled, 0, "a graceful stop leaves no attempt half done");
}

#[test]
fn a_killed_serve_leaves_its_place_and_its_work_to_the_next() {
    let bench = Bench::new(60);
    bench.connect_all();
    let serve = serving(&bench);
    wait_until("it is in the middle", || bench.requests(Role::Files, None) >= 10);
    serve.kill();
    let next = serving(&bench);
    wait_until("the next has it all", || {
        bench.at_intervals().len() == 60 && bench.in_folder().len() == 60 && bench.at_webhook().len() == 60
    });
    next.terminate();
    next.finish().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn two_syncs_at_once_share_the_work() {
    let bench = Bench::new(50);
    bench.connect_all();
    let both = [bench.start(&["--json", "sync"]), bench.start(&["--json", "sync"])];
    for sync in both {
        let ended = sync.finish();
        // What the other one holds at its end waits, as far as this one can tell.
        assert!(matches!(ended.code, Some(0 | 2)), "{ended}");
    }
    bench.sync().exits(0);
    bench.assert_exactly_once();
    assert!(bench.requests(Role::Files, None) <= 50, "no file twice");
}
