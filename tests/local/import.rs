//! Files by hand: the same dedupe and the same deliveries as rides from the cloud.

use std::io::{Cursor, Write as _};

use fitbridge_fit::synthetic::RideSpec;
use fitbridge_simulator::Region;
use fitbridge_tests::{Bench, sha256};
use zip::{ZipWriter, write::SimpleFileOptions};

pub(crate) fn ride(seed: u64) -> Vec<u8> {
    let start = jiff::Timestamp::from_second(1_760_000_000 + i64::try_from(seed).expect("small") * 90_000);
    RideSpec::small(seed, start.expect("a time")).encode().expect("a ride")
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(*name, SimpleFileOptions::default()).expect("an entry");
        archive.write_all(bytes).expect("written");
    }
    archive.finish().expect("an archive").into_inner()
}

/// A bench with sinks and no source.
fn sinks(rides: usize) -> Bench {
    let bench = Bench::new(rides);
    for sink in [bench.connect_intervals(), bench.connect_folder(), bench.connect_webhook()] {
        sink.exits(0);
    }
    bench
}

#[test]
fn files_folders_and_archives_go_where_rides_go_each_file_once() {
    let bench = sinks(0);
    let folder = bench.path("old/2025/may");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(bench.path("one.fit"), ride(1)).expect("written");
    std::fs::write(folder.join("two.FIT"), ride(2)).expect("written");
    std::fs::write(folder.join("again.fit"), ride(1)).expect("written");
    std::fs::write(folder.join("notes.txt"), "no ride").expect("written");
    let archive = zip(&[("a/three.fit", &ride(3)), ("again.fit", &ride(2)), ("readme.md", b"no")]);
    std::fs::write(bench.path("rides.zip"), archive).expect("written");
    let imported = bench.run(&["--json", "import", "one.fit", "old", "rides.zip"]).exits(0);
    let summary = imported.summary();
    assert_eq!((&summary["new"], &summary["duplicate"]), (&3.into(), &2.into()), "{imported}");
    let wanted: Vec<_> = [1, 2, 3].map(|seed| sha256(&ride(seed))).into();
    bench.assert_in_every_sink(wanted.clone());
    let again = bench.run(&["--json", "import", "one.fit", "old", "rides.zip"]).exits(0).summary();
    assert_eq!((&again["new"], &again["duplicate"]), (&0.into(), &5.into()), "{again}");
    bench.assert_in_every_sink(wanted);
    let start = &sha256(&ride(3))[..10];
    bench.run(&["why", start]).exits(0).says("archived");
    bench.run(&["get", start, "-o", "back.fit"]).exits(0);
    assert_eq!(std::fs::read(bench.path("back.fit")).expect("the file"), ride(3));
}

#[test]
fn a_ride_from_the_head_unit_and_from_the_cloud_goes_out_once_whichever_came_first() {
    let bench = sinks(6);
    let rides = bench.world().rides(Region::Global, bench.member);
    let export = |at: usize, name: &str| {
        let bytes = bench.world().ride_bytes(Region::Global, rides[at].ride_id).expect("a file");
        std::fs::write(bench.path(name), &bytes).expect("written");
    };
    export(0, "early.fit");
    export(1, "early too.fit");
    export(4, "late.fit");
    assert_eq!(bench.run(&["--json", "import", "early.fit", "early too.fit"]).exits(0).summary()["new"], 2);
    bench.connect_source().exits(0);
    let summary = bench.sync().exits(0).summary();
    assert_eq!((&summary["new"], &summary["duplicate"]), (&4.into(), &2.into()), "{summary}");
    bench.assert_exactly_once();
    let late = bench.run(&["--json", "import", "late.fit"]).exits(0).summary();
    assert_eq!((&late["new"], &late["duplicate"]), (&0.into(), &1.into()), "{late}");
    bench.assert_exactly_once();
    bench.run(&["why", &rides[0].ride_id.to_string()]).exits(0).says("the same file as");
}

#[test]
fn what_is_no_ride_is_told_and_the_rest_is_imported() {
    let bench = sinks(0);
    let bad = fitbridge_fit::synthetic::malformed::not_an_activity(2);
    std::fs::write(bench.path("settings.fit"), bad).expect("written");
    std::fs::write(bench.path("page.fit"), "<html>").expect("written");
    std::fs::write(bench.path("empty.fit"), "").expect("written");
    std::fs::write(bench.path("fine.fit"), ride(1)).expect("written");
    std::fs::write(bench.path("broken.zip"), "PK\u{3}\u{4}and nothing more").expect("written");
    let paths = ["--json", "import", "none.fit", "settings.fit", "page.fit", "empty.fit", "broken.zip", "fine.fit"];
    let imported = bench.run(&paths);
    assert_eq!(imported.code, Some(2), "{imported}");
    let code = |file: &str| {
        let line = imported.of_type("import").into_iter().find(|line| line["file"] == file);
        line.unwrap_or_else(|| panic!("{file}: {imported}"))["code"].clone()
    };
    assert_eq!(code("settings.fit"), "not_activity");
    assert_eq!(code("page.fit"), "fit_not_fit");
    assert_eq!(code("empty.fit"), "fit_empty");
    let problems: Vec<_> = imported.of_type("problem").iter().map(|line| line["file"].clone()).collect();
    assert_eq!(problems, ["none.fit", "broken.zip"], "{imported}");
    bench.assert_in_every_sink(vec![sha256(&ride(1))]);
}

#[test]
fn tricks_in_archives_write_nothing_elsewhere_and_bombs_are_left_unread() {
    let bench = sinks(0);
    let zeros = vec![0_u8; 80 << 20];
    let mut bomb = ride(9);
    bomb.extend_from_slice(&zeros);
    let tricks = [
        ("../../../../tmp/owned.fit", &ride(1)[..]),
        ("/etc/owned.fit", &ride(2)),
        ("C:\\owned.fit", &ride(3)),
        ("bell\u{7}\u{1b}[2J.fit", &ride(4)),
        ("bomb.fit", &bomb),
        ("after.fit", &ride(5)),
    ];
    std::fs::write(bench.path("tricks.zip"), zip(&tricks)).expect("written");
    let imported = bench.run(&["--json", "import", "tricks.zip"]);
    assert_eq!(imported.code, Some(2), "the bomb is told: {imported}");
    let found = bench.in_folder();
    for seed in [1, 2, 4] {
        assert!(found.contains(&sha256(&ride(seed))), "ride {seed}: {imported}");
    }
    assert!(found.iter().all(|sha| *sha != sha256(&bomb)));
    for path in ["/tmp/owned.fit", "/etc/owned.fit"] {
        assert!(!std::path::Path::new(path).exists(), "{path}");
    }
    let text = bench.run(&["import", "tricks.zip"]).text();
    assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
}

#[test]
fn what_appears_in_a_watched_folder_is_imported_until_it_is_stopped() {
    let bench = sinks(0);
    let inbox = bench.path("inbox");
    std::fs::create_dir_all(&inbox).expect("a folder");
    let watch = bench.start(&["import", "--watch", "inbox"]);
    fitbridge_tests::wait_until("it watches", || watch.stdout().contains("watching"));
    for seed in [1, 2] {
        std::fs::write(inbox.join(format!("{seed}.fit")), ride(seed)).expect("written");
    }
    fitbridge_tests::wait_until("both arrive", || bench.at_webhook().len() == 2 && bench.at_intervals().len() == 2);
    watch.terminate();
    watch.finish().exits(0);
    bench.assert_in_every_sink(vec![sha256(&ride(1)), sha256(&ride(2))]);
}

#[test]
fn a_folder_that_may_not_be_read_is_named() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let bench = sinks(0);
    let closed = bench.path("closed");
    std::fs::create_dir_all(&closed).expect("a folder");
    if std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0) {
        println!("skipped: root may read every folder");
        return;
    }
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o000)).expect("changed");
    let told = bench.run(&["import", "closed"]).exits(2);
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).expect("changed");
    told.says("closed").says("give yourself the right to read it");
}
