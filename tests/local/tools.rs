//! The first contact with the real service, and the simulator for people, both against this bench.

use fitbridge_simulator::Role;
use fitbridge_tests::{Bench, wait_until};

#[test]
fn the_first_contact_is_polite_and_its_answers_hold_no_secret_and_no_place() {
    let bench = Bench::new(3);
    bench.connect_source().exits(0);
    bench.world().clear_journal();
    let contact = bench.run(&["--json", "doctor", "--probe", "--output", "answers.json"]);
    let contact = contact.exits(0);
    let text = std::fs::read_to_string(bench.path("answers.json")).expect("the answers");
    let answers: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let count = answers["answers"].as_array().map_or(0, Vec::len);
    assert!((5..=20).contains(&count), "{count} answers: {contact}");
    let calls = bench.requests(Role::IgpsportGlobal, None) + bench.requests(Role::Files, None);
    assert!((5..=25).contains(&calls), "about a dozen calls, not {calls}");
    assert!(!text.contains(&bench.member.to_string()), "the member's number: {text}");
    bench.assert_no_secret_leaked();
    bench.assert_harmless();
}

#[test]
fn the_simulator_tells_how_to_connect_to_it_and_stops_when_asked() {
    let bench = Bench::new(0);
    let simulator = bench.start(&["--json", "simulator"]);
    wait_until("it says how", || simulator.stdout().contains("\"simulator\""));
    let line = simulator.stdout();
    let told: serde_json::Value = serde_json::from_str(line.lines().next().unwrap_or_default()).expect("JSON");
    let help = &told["help"];
    for pair in help["environment"].as_array().expect("an environment") {
        bench.set(pair[0].as_str().unwrap_or_default(), pair[1].as_str().unwrap_or_default());
    }
    let secret = |name: &str| help[name].as_str().unwrap_or_default().to_owned();
    bench.run_with(&["connect", "igpsport", "--token-stdin"], &secret("token")).exits(0);
    bench.run_with(&["connect", "intervals", "--api-key-stdin"], &secret("api_key")).exits(0);
    bench.connect_folder().exits(0);
    let synced = bench.sync();
    assert!(matches!(synced.code, Some(0 | 2)), "{synced}");
    assert!(bench.in_folder().len() > 40, "three pages of rides: {synced}");
    simulator.terminate();
    simulator.finish().exits(0);
}

#[test]
fn the_demo_ends_by_itself_with_every_ride_everywhere_and_faults_healed() {
    let bench = Bench::new(0);
    let demo = bench.run(&["--json", "demo"]).exits(0);
    let summary = demo.summary();
    let rides = summary["rides"].as_u64().unwrap_or(0);
    assert!(rides >= 40, "{summary}");
    for place in ["intervals", "folder", "webhook"] {
        assert_eq!(summary[place].as_u64(), Some(rides), "{place}: {summary}");
    }
    assert_eq!((summary["missing"].as_u64(), summary["doubled"].as_u64()), (Some(0), Some(0)), "{summary}");
    assert!(summary["healed"].as_u64() > Some(0), "faults were played: {summary}");
}
