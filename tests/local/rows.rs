//! Numbers and texts of rides that are not as one would like them.

use fitbridge_simulator::{DownloadUrlShape, NewRide, Region, RideId, RowShape, UrlShape};
use fitbridge_tests::{Bench, tree_of};

fn numbered(id: i64, row: RowShape) -> NewRide {
    NewRide { ride_id: Some(RideId(id)), row, ..NewRide::default() }
}

#[test]
fn ride_ids_as_text_zero_and_beyond_what_a_float_holds() {
    let bench = Bench::new(2);
    let beyond = (1 << 53) + 1;
    for ride in [
        numbered(0, RowShape::Normal),
        numbered(31_000_001, RowShape::IdAsText),
        numbered(beyond, RowShape::Normal),
        numbered(beyond + 2, RowShape::IdAsText),
        numbered(i64::MAX - 1, RowShape::Normal),
    ] {
        bench.add_ride(&ride);
    }
    bench.connect_all();
    let synced = bench.sync().exits(0);
    assert_eq!(synced.summary()["new"], 7, "{synced}");
    bench.assert_exactly_once();
    for id in [0, beyond, beyond + 2] {
        assert_eq!(synced.ride(id)["sha256"], bench.sha_of(RideId(id)).as_str());
        bench.run(&["why", &id.to_string()]).exits(0);
    }
}

#[test]
fn control_characters_and_path_tricks_in_titles_reach_no_terminal_and_no_path() {
    let bench = Bench::new(0);
    let titles = [
        "bell\u{7} \u{1b}[2J\u{1b}]0;owned\u{7} tab\tnew\nline\r\u{0}nul",
        "../../../../tmp/owned",
        "/etc/passwd",
        "..",
        "con.fit \u{202e}gpj.exe",
        "",
        "   ",
        &"long ".repeat(200),
        "日本語 🚴 ütze",
    ];
    for title in titles {
        bench.add_ride(&NewRide { title: Some(title.to_owned()), ..NewRide::default() });
    }
    bench.add_ride(&NewRide { title: None, ..NewRide::default() });
    bench.connect_all();
    bench.sync().exits(0);
    bench.assert_exactly_once();
    let rides = bench.world().rides(Region::Global, bench.member);
    let mut printed = vec![bench.run(&["list"]).exits(0), bench.run(&["status"]).exits(0)];
    printed.extend(rides.iter().map(|ride| bench.run(&["why", &ride.ride_id.to_string()]).exits(0)));
    assert_eq!(bench.run(&["--json", "list"]).exits(0).of_type("listed").len(), rides.len());
    for output in printed {
        let strange: Vec<_> = output.text().chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert!(strange.is_empty(), "{strange:?}: {output}");
        assert!(!output.text().contains('\u{202e}'), "text that runs backwards: {output}");
    }
    for name in tree_of(&bench.rides_folder()).keys() {
        assert!(!name.contains("..") && !name.chars().any(char::is_control), "{name:?}");
    }
    assert!(!bench.path("owned").exists() && !std::path::Path::new("/tmp/owned").exists());
    for attempt in bench.world().webhook_attempts() {
        for (name, value) in &attempt.headers {
            assert!(value.bytes().all(|b| (b' '..=b'~').contains(&b)), "{name}: {value:?}");
        }
    }
}

#[test]
fn raw_control_characters_in_json_are_told_or_borne_but_lose_nothing() {
    let bench = Bench::new(2);
    bench.connect_all();
    bench.sync().exits(0);
    bench.add_ride(&NewRide { title: Some("a\u{1}b\nc".into()), ..NewRide::default() });
    bench.world().set_toggles(Region::Global, |toggles| toggles.raw_control_characters = true);
    let synced = bench.sync();
    assert!(matches!(synced.code, Some(0 | 2)), "{synced}");
    bench.world().set_toggles(Region::Global, |toggles| toggles.raw_control_characters = false);
    fitbridge_tests::age_breakers(bench.home());
    bench.sync().exits(0);
    bench.assert_exactly_once();
}

#[test]
fn where_a_file_lies_is_found_however_it_is_told() {
    let shapes = [
        (UrlShape::Text, DownloadUrlShape::Null),
        (UrlShape::Null, DownloadUrlShape::Text),
        (UrlShape::Empty, DownloadUrlShape::Object),
        (UrlShape::Absent, DownloadUrlShape::Text),
    ];
    for (detail, download) in shapes {
        let bench = Bench::new(3);
        bench.world().set_toggles(Region::Global, |toggles| {
            toggles.detail_url = detail;
            toggles.download_url = download;
        });
        bench.connect_source().exits(0);
        bench.connect_folder().exits(0);
        let synced = bench.sync();
        assert_eq!(synced.code, Some(0), "{detail:?} {download:?}: {synced}");
        assert_eq!(bench.in_folder(), bench.upstream());
    }
}

#[test]
fn a_ride_that_is_still_being_made_waits_alone() {
    let bench = Bench::new(3);
    let late = NewRide { detail_ready_after: 50, download_ready_after: 50, ..NewRide::default() };
    let late = bench.add_ride(&late);
    bench.connect_all();
    let synced = bench.sync().exits(2);
    assert_eq!(synced.ride(late)["code"], "ride_not_ready", "{synced}");
    assert_eq!(synced.summary()["failed"], 1, "{synced}");
    assert_eq!(bench.at_intervals().len(), 3);
    bench.run(&["why", &late.to_string()]).exits(0).says("has no file for this ride yet").says("next:");
}
