//! `inspect` and `show`: what the scanner says of files, without any account.

use std::path::Path;

use fitbridge_fit::synthetic::{RideSpec, malformed};
use fitbridge_tests::{Bench, sha256};
use serde_json::Value;

#[test]
fn inspect_prints_every_promised_field_and_null_for_what_is_absent() {
    let bench = Bench::new(0);
    let spec = RideSpec::small(5, "2026-05-06T07:08:09Z".parse().expect("a time"));
    let ride = spec.encode().expect("a ride");
    let files =
        [("ride.fit", ride.clone()), ("cut.fit", malformed::truncated(&ride)), ("page.html", b"<html>".to_vec())];
    for (name, bytes) in &files {
        std::fs::write(bench.path(name), bytes).expect("written");
    }
    let output = bench.run(&["--json", "inspect", "ride.fit", "cut.fit", "page.html"]).exits(2);
    let lines: Vec<Value> = output.lines().into_iter().filter(|line| line["file"].is_string()).collect();
    assert_eq!(lines.len(), 3, "{output}");
    let fields = "file verdict code sha256 serial segments messages sport sub_sport start elapsed_s distance_m \
                  manufacturer product";
    for (line, (name, bytes)) in lines.iter().zip(&files) {
        assert_eq!(line["file"], *name, "as given");
        for field in fields.split_whitespace() {
            assert!(line.get(field).is_some(), "{field}: {line}");
        }
        assert_eq!(line["sha256"], sha256(bytes).as_str());
    }
    let verdicts: Vec<_> = lines.iter().map(|line| (line["verdict"].clone(), line["code"].clone())).collect();
    let expected =
        [("valid", Value::Null), ("salvageable", "fit_truncated".into()), ("rejected", "fit_not_fit".into())];
    assert_eq!(verdicts, expected.map(|(verdict, code)| (Value::from(verdict), code)));
    assert_eq!(lines[0]["start"], "2026-05-06T07:08:09Z");
    assert_eq!(lines[0]["sport"], "cycling");
    assert_eq!(lines[2]["start"], Value::Null);
    bench.run(&["inspect", "ride.fit"]).exits(0).says("valid");
    bench.run(&["inspect", "none.fit", "ride.fit"]).exits(1).says("none.fit cannot be read").says("cycling");
    assert!(!bench.home().exists(), "no data folder is made for it");
}

#[test]
fn the_hostile_corpus_is_judged_as_its_table_says() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fit/hostile");
    let Ok(table) = std::fs::read_to_string(corpus.join("expected.tsv")) else {
        println!("skipped: no ../shared/fit");
        return;
    };
    let bench = Bench::new(0);
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    let paths: Vec<String> = rows.iter().map(|row| corpus.join(row[0]).display().to_string()).collect();
    let mut arguments = vec!["--json", "inspect"];
    arguments.extend(paths.iter().map(String::as_str));
    let output = bench.run(&arguments);
    let lines = output.lines();
    for (row, path) in rows.iter().zip(&paths) {
        let line = lines.iter().find(|line| line["file"] == path.as_str()).expect("its line");
        let agrees = match row[1] {
            "either" => true,
            "not valid" => line["verdict"] != "valid",
            verdict => line["verdict"] == verdict,
        };
        assert!(agrees, "{} should be {}: {line}", row[0], row[1]);
    }
}

#[test]
fn show_draws_a_file_and_a_ride() {
    let bench = Bench::new(1);
    let ride = RideSpec::small(5, "2026-05-06T07:08:09Z".parse().expect("a time")).encode().expect("a ride");
    std::fs::write(bench.path("ride.fit"), ride).expect("written");
    bench.run(&["show", "ride.fit", "--svg", "ride.svg"]).exits(0);
    let svg = std::fs::read_to_string(bench.path("ride.svg")).expect("the drawing");
    assert!(svg.starts_with("<svg") || svg.starts_with("<?xml"), "{}", &svg[..40]);
    assert!(svg.trim_end().ends_with("</svg>"));
    std::fs::write(bench.path("junk.fit"), b"no FIT at all").expect("written");
    bench.run(&["show", "junk.fit"]).exits(1);
}
