//! The operator's commands on the data of one machine.

use fitbridge_simulator::{Fault, FaultRule, Role};
use fitbridge_tests::Bench;
use serde_json::json;

#[test]
fn riders_beside_the_one_of_the_machine() {
    let bench = Bench::new(2);
    assert_eq!(bench.run(&["--json", "admin", "users", "list"]).exits(0).summary()["riders"], 0);
    assert!(!bench.home().exists(), "looking makes no data folder");
    bench.run(&["admin", "users", "show", "ada"]).exits(1).says("no_such_rider");
    bench.run(&["admin", "users", "add", "no/name"]).exits(1);
    bench.run(&["admin", "users", "add", "ada"]).exits(0).says("ada is added");
    let token = bench.token();
    bench.run_with(&["admin", "connect", "ada", "igpsport", "--token-stdin"], &token).exits(0);
    let connected = bench.run(&["--json", "admin", "connections", "ada"]).exits(0);
    assert_eq!(connected.of_type("connection")[0]["role"], "source", "{connected}");
    bench.run(&["admin", "users", "pause", "ada"]).exits(0);
    bench.run(&["admin", "users", "show", "ada"]).exits(3).says("the operator has paused this rider").says("next:");
    bench.run_with(&["admin", "connect", "ada", "intervals", "--api-key-stdin"], &bench.api_key).exits(3);
    bench.run(&["admin", "users", "resume", "ada"]).exits(0);
    bench.run(&["admin", "disconnect", "ada", "igpsport"]).exits(0);
    bench.run(&["admin", "users", "remove", "ada"]).exits(0);
    assert_eq!(bench.run(&["--json", "admin", "users", "list"]).exits(0).summary()["riders"], 0);
    bench.run(&["admin", "vault", "init"]).exits(1).says("admin --aws");
    bench.run(&["admin", "--outputs", "x", "users", "list"]).exits(1).says("--aws");
    bench.run(&["admin", "--aws", "--outputs", "/nowhere.json", "users", "list"]).exits(1).says("stack_unreadable");
}

#[test]
fn everything_about_a_rider_is_exported_reconciled_and_deleted() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.sync().exits(0);
    let begun = bench.run(&["--json", "admin", "reconcile", "me"]).exits(0);
    assert_eq!((&begun.summary()["changed"], &begun.of_type("reconcile")[0]["new"]), (&json!(1), &json!(true)));
    bench.run(&["admin", "reconcile", "me", "igpsport"]).exits(0).says("under way already");
    bench.sync().exits(0);
    bench.run(&["admin", "users", "show", "me"]).exits(0).says("reconciled");
    let zip = bench.home().with_extension("zip");
    let output = zip.to_str().expect("a path");
    bench.run(&["admin", "users", "export", "nobody", "-o", output]).exits(1).says("no_such_rider");
    let exported = bench.run(&["--json", "admin", "users", "export", "me", "-o", output]).exits(0);
    assert_eq!(exported.summary()["files"], 3, "{exported}");
    assert!(zip.is_file());
    bench.run(&["admin", "users", "export", "me", "-o", output]).exits(1).says("--force");
    bench.run(&["admin", "users", "delete", "me"]).exits(1).says("--yes");
    let gone = bench.run(&["--json", "admin", "users", "delete", "me", "--yes"]).exits(0);
    assert_eq!(gone.summary()["files"], 3, "{gone}");
    bench.run(&["admin", "users", "show", "me"]).exits(1).says("no_such_rider");
    assert_eq!(bench.run(&["--json", "admin", "users", "list"]).exits(0).summary()["riders"], 0);
}

#[test]
fn a_stop_holds_for_every_command_and_is_told() {
    let bench = Bench::new(2);
    bench.connect_all();
    bench.run(&["admin", "stop", "--note", "holidays"]).exits(0);
    let before: u64 = bench.requests(Role::IgpsportGlobal, None);
    bench.run(&["sync"]).exits(2).says("[stopped]").says("fitbridge admin go");
    bench.run(&["status"]).says("holidays");
    assert_eq!(bench.requests(Role::IgpsportGlobal, None), before);
    assert_eq!(bench.run(&["--json", "admin", "status"]).exits(0).summary()["stopped"], true);
    bench.run(&["admin", "go"]).exits(0);
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn what_an_operator_does_is_among_the_riders_events() {
    let bench = Bench::new(1);
    bench.connect_all();
    bench.run(&["admin", "users", "pause", "me"]).exits(0);
    bench.run(&["admin", "users", "resume", "me"]).exits(0);
    bench.run(&["admin", "users", "show", "me"]).exits(0);
    let events = bench.run(&["--json", "audit"]).exits(0).of_type("event");
    let acts: Vec<_> = events.iter().filter(|event| event["event"] == "act").collect();
    let said: Vec<_> = acts.iter().map(|event| (event["by"].as_str(), event["act"].as_str())).collect();
    assert_eq!(said, [(Some("admin"), Some("users_pause")), (Some("admin"), Some("users_resume"))], "{events:?}");
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn a_redrive_is_shown_before_it_is_done() {
    let bench = Bench::new(2);
    bench.connect_all();
    bench
        .world()
        .add_fault(FaultRule::new(Fault::Status { code: 422, retry_after: None }).on(Role::Intervals).route("upload"));
    bench.sync();
    bench.world().clear_faults();
    let dry = bench.run(&["--json", "admin", "redrive", "--sink", "intervals", "--dry-run"]).exits(0);
    assert_eq!((dry.of_type("given_up").len(), &dry.summary()["begun"]), (2, &json!(0)), "{dry}");
    assert_eq!(bench.run(&["--json", "admin", "redrive"]).exits(0).summary()["begun"], 2);
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn how_riders_are_told_is_set_for_them_and_their_events_are_shown() {
    let bench = Bench::new(1);
    bench.connect_all();
    bench.run(&["admin", "notify", "nobody", "show"]).exits(1).says("no_such_rider");
    bench.run(&["admin", "notify", "me", "show"]).exits(0).says("fitbridge admin notify me webhook URL");
    bench.run(&["admin", "notify", "me", "email", "me@example.org"]).exits(1).says("--smtp URL");
    bench.run(&["admin", "notify", "me", "quiet", "22:00-07:00", "--zone", "Europe/Berlin"]).exits(0);
    let shown = bench.run(&["--json", "admin", "notify", "me", "show"]).exits(0).summary();
    assert_eq!(shown["quiet"], "from 22:00 to 07:00 (Europe/Berlin)", "{shown}");
    let all = bench.run(&["--json", "admin", "audit", "me"]).exits(0);
    assert_eq!(all.of_type("event"), bench.run(&["--json", "audit"]).exits(0).of_type("event"));
    assert!(all.of_type("event").iter().any(|event| event["act"] == "notify"), "{all}");
    let none = bench.run(&["--json", "admin", "audit", "me", "--since", "2999-01-01"]).exits(0);
    assert_eq!(none.summary()["events"], 0, "{none}");
}

/// A person's own AWS configuration, with nothing of this machine's.
fn signed_out(bench: &Bench, config: &str) {
    std::fs::write(bench.path("aws-config"), config).expect("it is written");
    for (name, value) in [
        ("AWS_CONFIG_FILE", bench.path("aws-config").to_str().expect("a path")),
        ("AWS_SHARED_CREDENTIALS_FILE", bench.path("none").to_str().expect("a path")),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_REGION", "eu-central-1"),
        ("HOME", bench.path("home").to_str().expect("a path")),
        ("FITBRIDGE_TABLE", "fitbridge-ledger"),
        ("FITBRIDGE_BUCKET", "fitbridge-fit"),
        ("FITBRIDGE_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/1/jobs"),
    ] {
        bench.set(name, value);
    }
}

#[test]
fn who_is_not_signed_in_at_aws_is_told_how() {
    let bench = Bench::new(0);
    signed_out(&bench, "");
    let said = bench.run(&["admin", "--aws", "users", "list"]).exits(1);
    said.says("aws sso login").says("aws configure export-credentials --format env");

    signed_out(
        &bench,
        "[default]\nsso_session = s\nsso_account_id = 111122223333\nsso_role_name = Admin\n\
         [sso-session s]\nsso_region = eu-central-1\nsso_start_url = https://example.awsapps.com/start\n",
    );
    let said = bench.run(&["admin", "--aws", "users", "list"]).exits(1).says("aws sso login");
    assert!(!said.text().contains("feature"), "profiles of `aws configure sso` are understood: {said}");
}
