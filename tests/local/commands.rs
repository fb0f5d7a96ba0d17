//! The command line itself: exit codes, older names, shapes of what is printed.

use fitbridge_simulator::{Fault, FaultRule, Region, Role};
use fitbridge_tests::Bench;
use serde_json::Value;

#[test]
fn exit_codes_say_how_it_ended() {
    let bench = Bench::new(2);
    bench.run(&["--version"]).exits(0).says("fitbridge ");
    bench.run(&["--help"]).exits(0).says("Exit codes");
    for command in ["connect", "sync", "import", "get", "why", "inspect", "show", "held", "simulator"] {
        bench.run(&[command, "--help"]).exits(0).says("Usage:");
    }
    bench.run(&["snyc"]).exits(1).says("sync");
    bench.run(&["sync", "--nonsense"]).exits(1);
    bench.run(&["connect", "folder"]).exits(1);
    bench.run(&[]).exits(1);
    bench.run(&["why", "12"]).exits(1).says("no_such_ride");
    bench.run(&["disconnect", "nobody"]).exits(1).says("no_such_connection");
    bench.run(&["list"]).exits(1).says("no_such_connection");
    bench.run(&["sync"]).exits(0).says("no source is connected");
    bench.connect_all();
    bench.sync().exits(0);
    bench.add_rides(1);
    bench.world().add_fault(FaultRule::new(Fault::ZeroBytes).on(Role::Files));
    bench.sync().exits(2);
    bench.world().revoke_tokens(Region::Global, bench.member);
    bench.sync().exits(3);
}

#[test]
fn errors_in_json_have_code_message_and_next_step() {
    let bench = Bench::new(1);
    let lines = bench.run(&["--json", "why", "12"]).exits(1).of_type("error");
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["code"], "no_such_ride");
    for field in ["message", "next", "detail"] {
        assert!(lines[0][field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {}", lines[0]);
    }
}

#[test]
fn the_summary_has_the_promised_shape() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.run_with(&["connect", "intervals", "--api-key-stdin", "--name", "two"], &bench.api_key);
    let synced = bench.sync().exits(0);
    let summary = synced.summary();
    for field in ["new", "duplicate", "filtered", "held", "failed"] {
        assert!(summary[field].is_u64(), "{field}: {summary}");
    }
    let sinks = summary["deliveries"].as_object().expect("deliveries by sink");
    for (sink, counts) in sinks {
        for field in ["created", "already_there", "pending", "failed"] {
            assert!(counts[field].is_u64(), "{sink} {field}: {summary}");
        }
    }
    let types: Vec<_> = synced.lines().iter().map(|line| line["type"].as_str().unwrap_or("").to_owned()).collect();
    assert_eq!(types.iter().filter(|name| *name == "ride").count(), 3, "{types:?}");
    assert_eq!(types.iter().filter(|name| *name == "summary").count(), 1, "{types:?}");
    for command in [&["status"][..], &["list"], &["held"], &["doctor"], &["sync", "--dry-run"]] {
        assert_eq!(bench.run(&[&["--json"], command].concat()).exits(0).summary()["type"], "summary");
    }
}

#[test]
fn the_older_names_work_and_a_token_in_the_arguments_is_warned_of() {
    let bench = Bench::new(2);
    let token = bench.token();
    bench.run_with(&["login-igp", "--token-stdin"], &token).exits(0);
    bench.run_with(&["config", "set", "igpsport:token", "-"], &token).exits(0);
    let fresh = bench.token();
    let warned = bench.run(&["config", "set", "igpsport:token", &fresh]).exits(0).says("warning");
    assert!(warned.stderr.contains("history"), "{warned}");
    assert!(!warned.text().contains(&fresh));
    bench.run(&["config", "set", "igpsport:tokn", &fresh]).exits(1).says("igpsport:token");
    bench.connect_folder().exits(0);
    let listed = bench.run(&["--json", "list-igp", "--limit", "1"]).exits(0);
    assert_eq!(listed.of_type("listed").len(), 1, "{listed}");
    bench.run(&["sync-igp"]).exits(0);
    assert_eq!(bench.in_folder(), bench.upstream());
}

#[test]
fn the_list_shows_each_rides_state_here() {
    let bench = Bench::new(25);
    bench.connect_all();
    let states = |output: &fitbridge_tests::Output| -> Vec<Value> {
        output.of_type("listed").into_iter().map(|mut line| line["state"].take()).collect()
    };
    let before = bench.run(&["--json", "list"]).exits(0);
    assert_eq!(states(&before), vec![Value::from("new"); 20]);
    bench.sync().exits(0);
    bench.add_rides(1);
    let after = bench.run(&["--json", "list", "--limit", "26"]).exits(0);
    let found = states(&after);
    assert_eq!(found.len(), 26);
    assert_eq!(found.iter().filter(|state| *state == "fetched").count(), 25);
    let old = &after.of_type("listed")[25];
    assert_eq!(old["deliveries"]["intervals"], "delivered", "{old}");
}

#[test]
fn no_colour_and_no_progress_reach_a_pipe() {
    let bench = Bench::new(3);
    bench.connect_all();
    for output in [bench.run(&["sync"]), bench.run(&["status"]), bench.run(&["list"])] {
        assert!(!output.text().contains('\u{1b}'), "{output}");
    }
}
