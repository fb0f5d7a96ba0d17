//! One ride as several files: one of them is sent, the others are kept and shown; forgetting and sending again.

use fitbridge_fit::synthetic::RideSpec;
use fitbridge_simulator::{FileSpec, NewRide};
use fitbridge_tests::{Bench, sha256};

fn spec(seed: u64) -> RideSpec {
    let start = jiff::Timestamp::from_second(1_760_000_000 + i64::try_from(seed).expect("small") * 90_000);
    RideSpec { with_heart_rate: true, with_power: true, ..RideSpec::small(seed, start.expect("a time")) }
}

fn bytes(spec: &RideSpec) -> Vec<u8> {
    spec.encode().expect("a ride")
}

fn write(bench: &Bench, name: &str, spec: &RideSpec) -> String {
    std::fs::write(bench.path(name), bytes(spec)).expect("written");
    sha256(&bytes(spec))
}

/// A bench with sinks whose cloud has these rides.
fn bench(cloud: &[&RideSpec]) -> (Bench, Vec<String>) {
    let bench = Bench::new(0);
    bench.connect_all();
    let rides = cloud.iter().map(|spec| {
        let ride = NewRide { start: Some(spec.start), file: FileSpec::Bytes(bytes(spec).into()), ..NewRide::default() };
        bench.add_ride(&ride).to_string()
    });
    let rides = rides.collect();
    (bench, rides)
}

#[test]
fn the_cloud_a_watch_and_an_edited_file_are_one_ride_and_one_of_them_is_sent() {
    let (bench, rides) = bench(&[&spec(1), &spec(2)]);
    let first = sha256(&bytes(&spec(1)));
    bench.sync().exits(0);
    let watch = write(&bench, "watch.fit", &spec(1).on_another_recorder());
    let edited = write(&bench, "edited.fit", &spec(1).edited());
    let imported = bench.run(&["--json", "import", "watch.fit", "edited.fit"]).exits(0);
    let results: Vec<_> = imported.of_type("import").iter().map(|line| line["result"].clone()).collect();
    assert_eq!(results, ["linked", "linked"], "{imported}");
    assert_eq!(imported.summary()["linked"], 2, "{imported}");
    let all = vec![first.clone(), sha256(&bytes(&spec(2)))];
    bench.assert_in_every_sink(all.clone());

    let found = bench.run(&["--json", "duplicates"]).exits(0);
    let group = found.of_type("group").remove(0);
    assert_eq!(group["ride"].as_str(), Some(rides[0].as_str()), "{found}");
    let mut why: Vec<_> =
        group["others"].as_array().expect("an array").iter().map(|one| one["link"]["why"].clone()).collect();
    why.sort_by_key(ToString::to_string);
    assert_eq!(why, ["same_recording", "same_ride"], "{found}");
    bench.run(&["duplicates"]).exits(0).says("revision of").says("same ride, other recorder, as");
    bench.run(&["why", &watch[..10]]).exits(0).says("other recorder").says("another ride stands for this one");
    bench.run(&["why", &rides[0]]).exits(0).says("stands for");
    bench.run(&["status"]).exits(0).says("linked: 2");

    // Nothing is lost: the original bytes of each can be had, and a split ride is sent.
    bench.run(&["get", &edited[..10], "-o", "back.fit"]).exits(0);
    assert_eq!(std::fs::read(bench.path("back.fit")).expect("the file"), bytes(&spec(1).edited()));
    bench.run(&["split", &watch[..10]]).exits(0).says("a ride of its own");
    bench.run(&["split", &watch[..10]]).exits(1).says("not_linked");
    let mut with_watch = all;
    with_watch.push(watch.clone());
    bench.assert_in_every_sink(with_watch.clone());
    bench.run(&["link", &rides[0], &watch[..10]]).exits(0).says("linked by you");
    bench.run(&["link", &rides[0], &rides[0]]).exits(1).says("link_needs_two");
    bench.assert_in_every_sink(with_watch.clone());
    // The rider wants the revision after all.
    bench.run(&["resync", &edited[..10]]).exits(0);
    with_watch.push(edited);
    bench.assert_in_every_sink(with_watch);
}

#[test]
fn a_watch_that_came_first_stands_for_the_ride_that_the_cloud_brings_later() {
    let (bench, rides) = bench(&[&spec(1)]);
    let watch = write(&bench, "watch.fit", &spec(1).on_another_recorder());
    bench.run(&["import", "watch.fit"]).exits(0);
    let synced = bench.sync().exits(0).summary();
    assert_eq!((&synced["new"], &synced["linked"]), (&0.into(), &1.into()), "{synced}");
    bench.assert_in_every_sink(vec![watch]);
    bench.run(&["list"]).exits(0).says("same ride, other recorder, as");
    bench.run(&["why", &rides[0]]).exits(0).says("which is what is sent");
}

#[test]
fn what_overlaps_less_is_only_suggested_until_the_rider_says_so() {
    let (bench, rides) = bench(&[&spec(1)]);
    bench.sync().exits(0);
    let late =
        RideSpec { start: spec(1).start + jiff::SignedDuration::from_secs(330), ..spec(1).on_another_recorder() };
    let sha = write(&bench, "late.fit", &late);
    bench.run(&["import", "late.fit"]).exits(0);
    bench.assert_in_every_sink(vec![sha256(&bytes(&spec(1))), sha.clone()]);
    let found = bench.run(&["--json", "duplicates"]).exits(0);
    let suggestion = found.of_type("suggestion").remove(0);
    assert_eq!(suggestion["reason"], "overlap", "{found}");
    assert_eq!((&found.summary()["groups"], &found.summary()["suggestions"]), (&0.into(), &1.into()));
    bench.run(&["link", &sha[..10], &rides[0]]).exits(0);
    assert_eq!(bench.run(&["--json", "duplicates"]).exits(0).summary()["suggestions"], 0);
}

#[test]
fn forgotten_is_forgotten_by_every_inlet_until_it_is_sent_again() {
    let (bench, rides) = bench(&[&spec(1), &spec(2)]);
    bench.run(&["sync", "--dry-run"]).exits(0);
    bench.sync().exits(0);
    let all = vec![sha256(&bytes(&spec(1))), sha256(&bytes(&spec(2)))];
    bench.run(&["forget", &rides[0], "--delete-file"]).exits(0).says("will not come back").says("stays there");
    write(&bench, "again.fit", &spec(1));
    write(&bench, "edited.fit", &spec(1).edited());
    let again = bench.run(&["--json", "import", "again.fit", "edited.fit"]).exits(0);
    let results: Vec<_> = again.of_type("import").iter().map(|line| line["result"].clone()).collect();
    assert_eq!(results, ["forgotten", "linked"], "{again}");
    bench.sync().exits(0);
    bench.assert_in_every_sink(all.clone());
    bench.run(&["why", &rides[0]]).exits(0).says("forgotten");
    bench.run(&["get", &rides[0], "-o", "gone.fit"]).exits(1);

    // It would be the second one there: only with the rider's word.
    let webhooks = bench.at_webhook().len();
    bench.run(&["resync", &rides[0], "--sink", "webhook"]).exits(1).says("may_send_twice");
    assert_eq!(bench.at_webhook().len(), webhooks);
    bench.run(&["resync", &rides[0], "--yes"]).exits(0);
    assert_eq!(bench.at_intervals(), sorted(&all), "it is still there, so it is not doubled");
    assert_eq!(bench.in_folder(), sorted(&all));
    assert_eq!(bench.at_webhook().len(), webhooks + 1, "a receiver gets another message");
    bench.run(&["get", &rides[0], "-o", "back.fit"]).exits(0);
    assert_eq!(std::fs::read(bench.path("back.fit")).expect("the file"), bytes(&spec(1)), "fetched anew");
}

fn sorted(files: &[String]) -> Vec<String> {
    let mut files = files.to_vec();
    files.sort();
    files
}
