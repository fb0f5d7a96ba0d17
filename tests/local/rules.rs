//! Rules of a sink, as a rider sets them.

use fitbridge_tests::{Bench, Output};
use serde_json::Value;

fn of_sink(output: &Output, sink: &str) -> Vec<Value> {
    output.of_type("delivery").into_iter().filter(|line| line["sink"] == sink).collect()
}

#[test]
fn a_sink_gets_what_its_rules_let_through_and_why_says_which_rule() {
    let bench = Bench::new(4);
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    let args =
        ["--json", "connect", "intervals", "--api-key-stdin", "--min-duration", "20h", "--ride-name", "{date} {sport}"];
    bench.run_with(&args, &bench.api_key).exits(0);
    let plan = bench.run(&["--json", "sync", "--dry-run"]).exits(0).of_type("plan");
    assert_eq!(plan.len(), 4);
    for ride in &plan {
        assert_eq!(ride["sinks"], serde_json::json!(["folder"]), "{ride}");
        assert_eq!(ride["filtered"]["intervals"]["code"], "filter_duration", "{ride}");
    }
    let synced = bench.sync().exits(0);
    assert_eq!(bench.in_folder(), bench.upstream());
    assert!(bench.at_intervals().is_empty());
    assert_eq!(synced.summary()["deliveries"]["intervals"]["filtered"], 4, "{synced}");
    let left_out = of_sink(&synced, "intervals");
    for delivery in &left_out {
        assert_eq!((&delivery["state"], &delivery["code"]), (&"filtered".into(), &"filter_duration".into()));
        assert!(delivery["detail"].as_str().is_some_and(|why| why.starts_with("shorter than 20 h (")), "{delivery}");
    }
    let ride = left_out[0]["ride"].as_str().expect("a ride's number").to_owned();
    let why = bench.run(&["why", &ride]).exits(0).says("intervals").says("filtered, shorter than 20 h");
    why.says("fitbridge rules intervals --min-duration none");

    // Tried out, nothing changes; applied, they go, under the name that holds by then.
    let tried = bench.run(&["--json", "rules", "intervals", "--min-duration", "none", "--preview"]).exits(0);
    assert_eq!((&tried.summary()["sent"], tried.of_type("preview").len()), (&4.into(), 4), "{tried}");
    bench.sync().exits(0);
    assert!(bench.at_intervals().is_empty());
    let applied = bench.run(&["--json", "rules", "intervals", "--min-duration", "none", "--apply"]).exits(0);
    assert_eq!(applied.summary()["sent"], 4, "{applied}");
    assert_eq!(bench.at_intervals(), bench.upstream());
    for delivery in of_sink(&applied, "intervals") {
        assert!(delivery["name"].as_str().is_some_and(|name| name.starts_with("20") && name.ends_with(" cycling")));
    }
    bench.assert_no_secret_leaked();
}

#[test]
fn rules_that_cannot_be_are_refused_with_the_reason_and_change_nothing() {
    let bench = Bench::new(1);
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    bench.run(&["rules", "folder", "--max-distance", "50km"]).exits(0).says("distance up to 50 km");
    for (args, reason) in [
        (&["--min-distance", "51km"][..], "the least distance is more than the most"),
        (&["--sports", "cyclng"], "did you mean cycling?"),
        (&["--sports", "cycling", "--not-sports", "cycling"], "cycling is both wanted and left out"),
        (&["--from", "2026-02-01", "--until", "2026-01-31"], "is before the first"),
        (&["--from", "1.2.2026"], "is no date such as 2026-01-31"),
        (&["--ride-name", "{place}"], "known are {title} {date}"),
        (&["--ride-name", "{date"], "a brace has no partner"),
        (&["--ride-name", " "], "it is empty"),
        (&["--min-duration", "10"], "write it as 10min"),
    ] {
        let refused = bench.run(&[&["rules", "folder"], args].concat()).exits(1).says(reason);
        refused.says("rules_invalid");
    }
    let kept = bench.run(&["--json", "rules", "folder"]).exits(0);
    let rules = &kept.of_type("rules")[0];
    assert_eq!((&rules["max_distance_m"], &rules["min_distance_m"]), (&50_000.into(), &Value::Null), "{rules}");
    bench.run(&["rules", "igpsport", "--min-distance", "1km"]).exits(1).says("rules are for sinks");
    bench.run(&["rules", "folder", "--clear"]).exits(0).says("every ride, under its title");
    bench.run(&["status"]).exits(0).says("connect again with a fresh one before that");
}
