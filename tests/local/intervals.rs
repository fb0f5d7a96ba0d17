//! Lost answers, files that are there already, and refusals at Intervals.icu and the webhook.

use fitbridge_simulator::{Fault, FaultRule, NewActivity, Region, Role};
use fitbridge_tests::Bench;

#[test]
fn an_answer_that_is_lost_after_the_upload_makes_no_second_activity() {
    let bench = Bench::new(6);
    bench.connect_all();
    let lost = FaultRule::new(Fault::DropAfterCommit).on(Role::Intervals).route("upload").times(3);
    bench.world().add_fault(lost);
    let refused = FaultRule::new(Fault::StatusAfterCommit { code: 502 }).on(Role::Intervals).route("upload").times(1);
    bench.world().add_fault(refused);
    let webhook = FaultRule::new(Fault::DropAfterCommit).on(Role::Webhook).times(2);
    bench.world().add_fault(webhook);
    let synced = bench.sync().exits(0);
    bench.assert_exactly_once();
    let counts = &synced.summary()["deliveries"];
    assert_eq!(counts["intervals"]["pending"], 0, "{counts}");
    let both = counts["intervals"]["created"].as_u64().zip(counts["intervals"]["already_there"].as_u64());
    assert_eq!(both, Some((2, 4)), "{counts}");
    for delivery in synced.of_type("delivery").iter().filter(|line| line["sink"] == "intervals") {
        assert!(delivery["remote_id"].as_str().is_some_and(|id| id.starts_with('i')), "{delivery}");
    }
    let attempts = bench.world().webhook_deliveries().iter().map(|delivery| delivery.attempts).max();
    assert_eq!(attempts, Some(2), "the same webhook-id again");
}

#[test]
fn a_file_that_is_there_under_a_foreign_external_id_is_done_and_not_sent_again() {
    let bench = Bench::new(3);
    let ride = bench.world().rides(Region::Global, bench.member)[1].clone();
    let sha = bench.sha_of(ride.ride_id);
    let there = NewActivity {
        start_date_local: "2015-01-01T08:00:00".parse().expect("a time"),
        source: "UPLOAD".into(),
        external_id: Some("another-tool-17".into()),
        sha256: Some(sha.clone()),
        ..NewActivity::default()
    };
    let id = bench.world().add_activity(&bench.athlete, &there).expect("an activity");
    bench.connect_all();
    let synced = bench.sync().exits(0);
    assert_eq!(synced.summary()["deliveries"]["intervals"]["already_there"], 1, "{synced}");
    let delivery = synced
        .of_type("delivery")
        .into_iter()
        .find(|line| line["sink"] == "intervals" && line["sha256"] == sha.as_str());
    let delivery = delivery.expect("its delivery");
    assert_eq!((&delivery["how"], &delivery["remote_id"]), (&"already_there".into(), &id.as_str().into()));
    let uploads = bench.world().uploads().len();
    bench.sync().exits(0);
    assert_eq!(bench.world().uploads().len(), uploads);
    bench.assert_exactly_once();
    let activities = bench.world().activities(&bench.athlete);
    let kept = activities.iter().find(|activity| activity.id == id).expect("it stays");
    assert_eq!(kept.external_id.as_deref(), Some("another-tool-17"));
}

#[test]
fn a_refused_key_waits_for_the_rider_while_the_other_sinks_go_on() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.sync().exits(0);
    bench.world().revoke_athlete(&bench.athlete);
    bench.add_rides(2);
    let blocked = bench.sync().exits(3);
    assert_eq!(blocked.summary()["deliveries"]["folder"]["created"], 2, "{blocked}");
    assert_eq!(blocked.summary()["deliveries"]["webhook"]["created"], 2, "{blocked}");
    assert!(blocked.stdout.contains("sink_reconnect"), "{blocked}");
    bench.run(&["status"]).exits(3).says("the service refuses the key or token");
    bench.run_with(&["connect", "intervals", "--api-key-stdin"], &bench.api_key).exits(3).says("sink_reconnect");
    let key = bench.world().renew_key(&bench.athlete).expect("a key");
    bench.keep_secret(&key);
    bench.run_with(&["connect", "intervals", "--api-key-stdin"], &key).exits(0);
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn a_sink_that_asks_for_patience_is_not_asked_again_in_the_pass() {
    let bench = Bench::new(2);
    bench.connect_all();
    let patience = FaultRule::new(Fault::TooManyRequests { retry_after: Some(900) });
    bench.world().add_fault(patience.on(Role::Intervals).route("upload"));
    let synced = bench.sync().exits(2);
    assert_eq!(synced.summary()["deliveries"]["intervals"]["pending"], 2, "{synced}");
    assert_eq!(synced.summary()["deliveries"]["folder"]["created"], 2, "{synced}");
    let asked = bench.requests(Role::Intervals, Some("upload"));
    assert!(asked <= 2, "{asked} uploads");
    bench.sync().exits(2);
    assert_eq!(bench.requests(Role::Intervals, Some("upload")), asked, "nor in the next");
}

#[test]
fn a_webhook_that_is_gone_or_redirects_is_told() {
    let bench = Bench::new(1);
    bench.connect_all();
    bench.world().add_fault(FaultRule::new(Fault::Status { code: 410, retry_after: None }).on(Role::Webhook).times(1));
    let gone = bench.sync().exits(3);
    assert!(gone.stdout.contains("webhook_gone"), "{gone}");
    bench.connect_webhook().exits(0);
    bench.sync().exits(0);
    bench.assert_exactly_once();
    bench.add_rides(1);
    bench.world().add_fault(FaultRule::new(Fault::Redirect { to: "trap".into() }).on(Role::Webhook));
    let redirected = bench.sync();
    assert!(matches!(redirected.code, Some(2 | 3)) && redirected.stdout.contains("webhook_redirect"), "{redirected}");
    bench.assert_harmless();
}

#[test]
fn webhook_addresses_that_are_not_public_are_refused_when_connecting() {
    let bench = Bench::new(0);
    for url in ["http://example.com/x", "https://127.0.0.1/x", "https://[::1]/x", "https://169.254.169.254/x", "x"] {
        let refused = bench.run(&["connect", "webhook", url]);
        assert_eq!(refused.code, Some(1), "{url}: {refused}");
        assert!(refused.text().contains("webhook_refused_url"), "{url}: {refused}");
    }
    let trap = format!("{}/hook", bench.simulator().trap_url());
    bench.run(&["connect", "webhook", &trap]).exits(1).says("webhook_refused_url");
    bench.assert_harmless();
}
