//! The audit, the export of everything, and the end of an account.

use std::io::Read as _;

use fitbridge_tests::{Bench, sha256};

#[test]
fn the_audit_tells_what_happened() {
    let bench = Bench::new(2);
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    bench.sync().exits(0);
    bench.run(&["disconnect", "folder"]).exits(0);
    let audit = bench.run(&["--json", "audit"]).exits(0);
    let events: Vec<_> =
        audit.of_type("event").iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(events, ["connected", "connected", "delivered", "delivered", "disconnected"], "{audit}");
    bench.run(&["audit"]).exits(0).says("folder was disconnected").says("reached");
    let later = bench.run(&["--json", "audit", "--since", "2999-01-01"]).exits(0);
    assert_eq!(later.summary()["events"], 0, "{later}");
    bench.run(&["audit", "--since", "yesterday"]).exits(1);
}

#[test]
fn an_export_is_a_zip_with_a_manifest_that_is_true() {
    let bench = Bench::new(5);
    bench.connect_all();
    bench.sync().exits(0);
    let target = bench.path("everything.zip");
    let exported = bench.run(&["--json", "export", "-o", target.to_str().unwrap()]).exits(0);
    assert_eq!(exported.summary()["files"], 5, "{exported}");
    bench.run(&["export", "-o", target.to_str().unwrap()]).exits(1).says("--force");
    let mut zip = zip::ZipArchive::new(std::fs::File::open(&target).unwrap()).unwrap();
    let mut read = |name: &str| {
        let mut bytes = Vec::new();
        zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let manifest: serde_json::Value = serde_json::from_slice(&read("manifest.json")).unwrap();
    let entries = manifest["entries"].as_array().unwrap();
    for entry in entries {
        assert_eq!(sha256(&read(entry["name"].as_str().unwrap())), entry["sha256"].as_str().unwrap(), "{entry}");
    }
    for file in bench.upstream() {
        assert!(entries.iter().any(|entry| entry["name"] == format!("files/{file}.fit")), "{file}");
    }
    assert_eq!(manifest["records"]["delivery"], 15);
    bench.assert_no_secret_leaked();
}

#[test]
fn a_deleted_account_leaves_a_receipt_and_nothing_else() {
    let bench = Bench::new(5);
    bench.connect_all();
    bench.sync().exits(0);
    let titles: Vec<String> = bench
        .run(&["--json", "list"])
        .exits(0)
        .of_type("listed")
        .iter()
        .filter_map(|ride| ride["title"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(titles.len(), 5, "what is searched for");
    bench.run(&["delete-account"]).exits(1).says("--yes");
    let deleted = bench.run(&["--json", "delete-account", "--yes"]).exits(0);
    assert_eq!((deleted.summary()["files"].as_u64(), deleted.summary()["secrets"].as_u64()), (Some(5), Some(4)));
    let receipt = deleted.summary()["receipt"].as_str().unwrap().to_owned();
    let mut seen = false;
    for (path, bytes) in bench.home_tree() {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!path.ends_with(".fit"), "{path}");
        seen |= text.contains(&receipt);
        for word in titles.iter().map(String::as_str).chain(["igpsport-global", "intervals-", "rides", ".FIT"]) {
            assert!(word.is_empty() || !text.contains(word), "{word} is left in {path}");
        }
    }
    assert!(seen, "the receipt is there");
    bench.run(&["--json", "status"]).exits(0);
    bench.run(&["delete-account", "--yes"]).exits(0);
    // Whoever comes back begins anew.
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    bench.sync().exits(0);
    assert_eq!(bench.in_folder(), bench.upstream());
}
