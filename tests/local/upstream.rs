//! A list that changes in ways that a careless reader would miss.

use fitbridge_simulator::{BeyondEnd, DateStyle, NewRide, PageAction, Region, Role, RowShape};
use fitbridge_tests::{Bench, ledger_rows, skip_the_night};
use jiff::ToSpan as _;

fn is_idle(bench: &Bench) {
    skip_the_night(bench.home(), bench.world().now());
    let (rows, before) = (ledger_rows(bench.home()), bench.world().journal_next());
    bench.sync().exits(0);
    assert_eq!(bench.world().journal_since(before).len(), 1, "one request");
    assert!(ledger_rows(bench.home()) == rows, "no record");
}

#[test]
fn after_a_deletion_the_next_polls_are_idle_again() {
    let bench = Bench::new(45);
    bench.connect_all();
    bench.sync().exits(0);
    let all = bench.upstream();
    let rides = bench.world().rides(Region::Global, bench.member);
    for ride in [rides[44].ride_id, rides[0].ride_id, rides[21].ride_id] {
        bench.world().delete_ride(Region::Global, ride).expect("a ride");
        assert_eq!(bench.sync().exits(0).summary()["new"], 0);
        is_idle(&bench);
    }
    bench.assert_in_every_sink(all);
}

#[test]
fn a_deletion_together_with_a_late_upload_misses_nothing_for_good() {
    let bench = Bench::new(45);
    bench.connect_all();
    bench.sync().exits(0);
    let mut all = bench.upstream();
    let world = bench.world();
    let rides = world.rides(Region::Global, bench.member);
    // The count stays; page 1 shows it.
    world.delete_ride(Region::Global, rides[30].ride_id).expect("a ride");
    let seen = world.add_late_upload(Region::Global, bench.member, rides[3].start + 1.hour()).expect("a ride");
    all.push(bench.sha_of(seen));
    assert_eq!(bench.sync().exits(0).summary()["new"], 1);
    is_idle(&bench);
    // The count stays and so does page 1: only a walk finds it, and the walk of each night does.
    world.delete_ride(Region::Global, rides[31].ride_id).expect("a ride");
    let hidden = world.add_late_upload(Region::Global, bench.member, rides[40].start + 1.hour()).expect("a ride");
    all.push(bench.sha_of(hidden));
    a_day_passes(&bench);
    assert_eq!(bench.sync().exits(0).summary()["new"], 1);
    is_idle(&bench);
    bench.assert_in_every_sink(all);
}

/// Moves the times of connecting and of the last walk back by more than a day, so that a night has passed since:
/// the binary has no switch that moves its clock.
fn a_day_passes(bench: &Bench) {
    let ledger = rusqlite::Connection::open(bench.home().join("ledger.sqlite")).expect("the ledger opens");
    let sql = "UPDATE records SET body = json_remove(json_set(body, '$.mark.walked_at', ?1, '$.connected_at', ?1), '$.report') \
               WHERE json_extract(body, '$.mark.walked_at') IS NOT NULL";
    let past = (bench.world().now() - 25.hours()).to_string();
    assert_eq!(ledger.execute(sql, [past]).expect("the mark changes"), 1);
}

#[test]
fn rows_that_shift_down_or_up_while_paging_are_all_seen() {
    let bench = Bench::new(45);
    bench.connect_all();
    let world = bench.world();
    let rides = world.rides(Region::Global, bench.member);
    let all = bench.upstream();
    // A deletion on page 1 while it is read moves the first row of page 2 to page 1.
    let deleted = rides[2].ride_id;
    world.while_paging(Region::Global, bench.member, 1, PageAction::Delete(deleted)).expect("a hook");
    let synced = bench.sync().exits(2);
    assert_eq!(synced.summary()["failed"], 1, "{synced}");
    assert_eq!(synced.ride(deleted)["code"], "ride_gone", "{synced}");
    let mut wanted = all;
    wanted.retain(|sha| *sha != bench.sha_of(deleted));
    bench.assert_in_every_sink(wanted);
    // It may come back, so it is asked for a few times more; the others are not.
    world.clear_journal();
    bench.sync().exits(2);
    assert_eq!(bench.requests(Role::IgpsportGlobal, Some("list")), 1);
    let others = bench.simulator().journal().into_iter().filter(|entry| {
        entry.role != Role::IgpsportGlobal || (entry.route != "list" && !entry.path.ends_with(&deleted.to_string()))
    });
    assert_eq!(others.count(), 0);
}

#[test]
fn a_number_that_no_ride_has_is_told() {
    let bench = Bench::new(2);
    let strange = bench.add_ride(&NewRide { row: RowShape::IdHuge, ..NewRide::default() });
    bench.connect_all();
    let synced = bench.sync().exits(2);
    assert_eq!(synced.ride(u64::MAX)["code"], "ride_gone", "{synced}");
    let mut wanted = bench.upstream();
    wanted.retain(|sha| *sha != bench.sha_of(strange));
    bench.assert_in_every_sink(wanted);
}

#[test]
fn undecodable_rows_are_told_and_the_rest_arrives() {
    for row in [RowShape::IdMissing, RowShape::IdObject, RowShape::NotAnObject] {
        let bench = Bench::new(22);
        let strange = bench.add_ride(&NewRide { row, ..NewRide::default() });
        bench.connect_all();
        bench.sync().exits(0);
        let status = bench.run(&["--json", "status"]).exits(0);
        assert_eq!(status.of_type("connection")[0]["undecodable_rows"], 1, "{row:?}: {status}");
        bench.run(&["status"]).exits(0).says("a row that cannot be read");
        assert_eq!(bench.run(&["--json", "list"]).exits(0).of_type("undecodable").len(), 1, "{row:?}");
        is_idle(&bench);
        let mut wanted = bench.upstream();
        wanted.retain(|sha| *sha != bench.sha_of(strange));
        bench.assert_in_every_sink(wanted);
    }
}

type Change = fn(&mut fitbridge_simulator::Toggles);

#[test]
fn ways_of_writing_a_list_that_nobody_promised_not_to_use() {
    let changes: [(&str, Change); 7] = [
        ("sparse rows", |toggles| toggles.sparse_rows = true),
        ("new fields", |toggles| toggles.extra_fields = true),
        ("ids as text", |toggles| toggles.ride_id_as_text = true),
        ("the last page again", |toggles| toggles.beyond_end = BeyondEnd::RepeatLast),
        ("null after the end", |toggles| toggles.beyond_end = BeyondEnd::NullData),
        ("no dates", |toggles| toggles.dates = DateStyle::Null),
        ("gzip", |toggles| toggles.gzip_json = true),
    ];
    for (what, change) in changes {
        let bench = Bench::new(40);
        bench.world().set_toggles(Region::Global, change);
        bench.connect_source().exits(0);
        bench.connect_folder().exits(0);
        let synced = bench.sync();
        assert_eq!(synced.code, Some(0), "{what}: {synced}");
        assert_eq!(bench.in_folder(), bench.upstream(), "{what}");
        skip_the_night(bench.home(), bench.world().now());
        bench.world().clear_journal();
        bench.sync().exits(0);
        assert_eq!(bench.requests(Role::IgpsportGlobal, None), 1, "{what}");
    }
}
