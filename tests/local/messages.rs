//! What is said when something does not do, and what a code means.

use fitbridge_simulator::{Fault, FaultRule, Role};
use fitbridge_tests::Bench;

#[test]
fn a_code_is_explained_and_a_misspelt_one_gets_the_nearest_names() {
    let bench = Bench::new(0);
    let explained = bench.run(&["explain", "token_refused"]).exits(0);
    explained.says("iGPSport refuses the token").says("newer login").says("`fitbridge connect igpsport`");
    bench.run(&["explain", "[TOKEN_REFUSED]"]).exits(0).says("newer login");
    bench.run(&["explain", "tokn_refused"]).exits(1).says("did you mean token_refused").says("[usage]");
    let told = bench.run(&["--json", "explain", "ride_gone"]).exits(0);
    let told = &told.of_type("code")[0];
    for field in ["code", "sentence", "cause", "next"] {
        assert!(told[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {told}");
    }
    assert!(!bench.home().exists(), "it needs no data");
}

#[test]
fn why_says_what_usually_lies_behind_a_failure() {
    let bench = Bench::new(1);
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    bench.world().add_fault(FaultRule::new(Fault::TruncateBody { keep: 20 }).on(Role::Files));
    let ride = bench.sync().exits(2).of_type("ride")[0]["ride"].as_str().expect("a ride").to_owned();
    bench.run(&["why", &ride]).exits(0).says("[file_truncated]").says("usually because: the connection was cut");
}

#[test]
fn usage_outputs_and_ports_have_codes_of_their_own() {
    let bench = Bench::new(1);
    bench.run_with(&["connect", "igpsport", "--token-stdin"], "").exits(1).says("[usage]").says("--help");
    bench.run(&["delete-account"]).exits(1).says("[usage]");
    bench.connect_source().exits(0);
    let ride = bench.sync().exits(0).of_type("ride")[0]["ride"].as_str().expect("a ride").to_owned();
    let there = bench.path("there.fit");
    std::fs::write(&there, "mine").expect("written");
    let name = there.to_str().expect("a path of text");
    bench.run(&["get", &ride, "-o", name]).exits(1).says("[output_unwritable]").says("--force");
    bench.run(&["get", &ride, "-o", "/nowhere/ride.fit"]).exits(1).says("[output_unwritable]");
    bench.run(&["export", "-o", name]).exits(1).says("[output_unwritable]").says("--force");
    assert_eq!(std::fs::read_to_string(&there).expect("it is there"), "mine");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    bench.run(&["simulator", "--port", &port]).exits(1).says("[port_unavailable]").says("--port");
}

#[test]
fn a_machine_without_certificates_is_told_what_to_install() {
    let bench = Bench::new(0);
    bench.set("SSL_CERT_FILE", "/nowhere/ca-certificates.crt");
    bench.set("SSL_CERT_DIR", "/nowhere");
    let none = bench.run(&["connect", "folder", "rides"]).exits(1);
    none.says("[certificates_missing]").says("ca-certificates");
}
