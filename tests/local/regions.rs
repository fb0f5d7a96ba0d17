//! A token of one region opens a stranger's rides in the other, under the same member id.

use fitbridge_simulator::{MemberId, NewMember, Region, RideBatch, Role};
use fitbridge_tests::{Bench, Output};

/// A rider, and a stranger of the same number in the other region.
fn bench() -> (Bench, MemberId) {
    let bench = Bench::new(4);
    let stranger = NewMember {
        region: Region::China,
        member_id: Some(bench.member),
        nickname: "Stranger".into(),
        ..NewMember::default()
    };
    let stranger = bench.world().add_member(stranger).expect("a member");
    bench.world().add_rides(Region::China, stranger, &RideBatch::small(6)).expect("rides");
    bench.set_both_regions();
    (bench, stranger)
}

fn connect(bench: &Bench, token: &str, more: &[&str]) -> Output {
    bench.run_with(&[&["connect", "igpsport", "--token-stdin"], more].concat(), token)
}

#[test]
fn when_both_regions_know_a_token_the_rider_is_shown_both_and_chooses() {
    let (bench, _) = bench();
    let token = bench.token();
    let asked = connect(&bench, &token, &[]).exits(3).says("region_ambiguous").says("--region");
    assert!(asked.text().contains("Rider") && asked.text().contains("Stranger"), "both nicknames: {asked}");
    assert!(bench.run(&["--json", "status"]).exits(0).of_type("connection").is_empty(), "nothing was connected");

    connect(&bench, &token, &["--region", "global"]).exits(0).says("Rider");
    for sink in [bench.connect_intervals(), bench.connect_folder(), bench.connect_webhook()] {
        sink.exits(0);
    }
    bench.world().clear_journal();
    bench.sync().exits(0);
    bench.assert_exactly_once();
    assert_eq!(bench.requests(Role::IgpsportChina, None), 0, "the other region is not asked");
    // Renewing goes on with the account that is connected, without the question.
    connect(&bench, &bench.token(), &[]).exits(0);
}

#[test]
fn a_token_that_only_one_region_knows_needs_no_choice() {
    let bench = Bench::new(2);
    bench.set_both_regions();
    connect(&bench, &bench.token(), &[]).exits(0).says("Rider");
    bench.connect_folder().exits(0);
    bench.sync().exits(0);
    assert_eq!(bench.in_folder(), bench.upstream());
}

#[test]
fn rides_of_a_stranger_under_the_same_number_are_never_taken() {
    let (bench, _) = bench();
    connect(&bench, &bench.token(), &["--region", "global"]).exits(0);
    for sink in [bench.connect_intervals(), bench.connect_folder(), bench.connect_webhook()] {
        sink.exits(0);
    }
    bench.sync().exits(0);
    // The host behind the connection now is the other region's, which trusts the token.
    let own = bench.simulator().igpsport_url(Region::Global);
    bench.set("FITBRIDGE_IGPSPORT_URL", &bench.simulator().igpsport_url(Region::China));
    let stopped = bench.sync().exits(3);
    assert_eq!(stopped.of_type("source")[0]["code"], "stranger_rides", "{stopped}");
    bench.assert_exactly_once();

    bench.set("FITBRIDGE_IGPSPORT_URL", &own);
    bench.add_rides(2);
    bench.sync().exits(3);
    connect(&bench, &bench.token(), &["--region", "global"]).exits(0);
    assert_eq!(bench.sync().exits(0).summary()["new"], 2);
    bench.assert_exactly_once();
}

#[test]
fn the_other_regions_rides_come_when_that_is_the_riders_region() {
    let (bench, stranger) = bench();
    let token = bench.world().token(Region::China, stranger).expect("a token");
    bench.keep_secret(&token);
    connect(&bench, &token, &["--region", "china"]).exits(0).says("Stranger");
    bench.connect_folder().exits(0);
    assert_eq!(bench.sync().exits(0).summary()["new"], 6);
    let rides = bench.world().rides(Region::China, stranger);
    let mut theirs: Vec<_> =
        rides.iter().map(|ride| bench.world().ride_sha256(Region::China, ride.ride_id).expect("a file")).collect();
    theirs.sort();
    assert_eq!(bench.in_folder(), theirs);
    // A token of the other account under the same name is another rider.
    connect(&bench, &bench.token(), &["--region", "global"]).exits(3).says("name_taken");
}
