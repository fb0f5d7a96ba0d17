//! What the operator of one machine does with a rider's rides.

use fitbridge_simulator::Region;
use fitbridge_tests::Bench;
use serde_json::{Value, json};

/// The numbers of the rides, newest first.
fn numbers(bench: &Bench) -> Vec<String> {
    let rides = bench.world().rides(Region::Global, bench.member);
    rides.into_iter().map(|ride| ride.ride_id.to_string()).collect()
}

/// The operator's acts that are among the rider's events.
fn acts(bench: &Bench) -> Vec<Value> {
    let events = bench.run(&["--json", "audit"]).exits(0).of_type("event");
    events.into_iter().filter(|event| event["event"] == "act").map(|mut event| event["act"].take()).collect()
}

#[test]
fn a_misspelt_rider_is_an_error_whatever_the_verb() {
    let bench = Bench::new(1);
    bench.connect_all();
    bench.sync().exits(0);
    let ride = numbers(&bench).remove(0);
    let before = bench.home_tree();
    for verb in [
        &["rides"][..],
        &["why", &ride],
        &["backfill", "--status"],
        &["duplicates"],
        &["rules"],
        &["rules", "intervals", "--preview"],
    ] {
        bench.run(&[&["admin", verb[0], "nobody"], &verb[1..]].concat()).exits(1).says("no_such_rider");
    }
    assert_eq!(bench.home_tree(), before, "looking changes nothing");
    for verb in [
        &["backfill"][..],
        &["link", &ride, &ride],
        &["split", &ride],
        &["forget", &ride],
        &["resync", &ride],
        &["rules", "intervals", "--clear"],
    ] {
        bench.run(&[&["admin", verb[0], "nobody"], &verb[1..]].concat()).exits(1).says("no_such_rider");
    }
    assert!(acts(&bench).is_empty());
}

#[test]
fn rides_are_listed_and_explained_by_the_numbers_that_name_them() {
    let bench = Bench::new(3);
    bench.connect_all();
    bench.sync().exits(0);
    let rides = numbers(&bench);
    let listed = bench.run(&["--json", "admin", "rides", "me", "--limit", "2"]).exits(0);
    let shown: Vec<_> = listed.of_type("listed").into_iter().map(|ride| ride["ride"].clone()).collect();
    assert_eq!((json!(shown), &listed.summary()["rides"]), (json!(rides[..2]), &json!(3)), "{listed}");
    let first = listed.of_type("listed").remove(0);
    assert_eq!((&first["rider"], &first["source"]), (&json!("me"), &json!("igpsport")), "{first}");
    let delivered = json!({ "folder": "delivered", "intervals": "delivered", "webhook": "delivered" });
    assert_eq!((&first["state"], &first["deliveries"]), (&json!("fetched"), &delivered), "{first}");
    bench.run(&["admin", "rides", "me", "--limit", "2"]).exits(0).says("fitbridge admin rides me --limit 3");

    let why = bench.run(&["--json", "admin", "why", "me", &rides[0]]).exits(0);
    assert_eq!((why.of_type("delivery").len(), &why.ride(&rides[0])["rider"]), (3, &json!("me")), "{why}");
    bench.run(&["admin", "why", "me", "1"]).exits(1).says("no_such_ride");
    assert!(acts(&bench).is_empty(), "looking is no act");
}

#[test]
fn a_history_is_chosen_for_a_rider_stopped_and_let_go_on() {
    let bench = Bench::new(4);
    bench.run_with(&["--json", "connect", "igpsport", "--token-stdin", "--history", "none"], &bench.token()).exits(0);
    bench.connect_folder().exits(0);
    bench.sync().exits(0);
    let begun = bench.run(&["admin", "backfill", "me"]).exits(0);
    begun.says("backfill 0 of 4").says("`fitbridge serve` fetches them");
    bench.run(&["admin", "backfill", "me", "--stop"]).exits(0).says("`fitbridge admin backfill me` goes on");
    bench.sync().exits(0);
    assert!(bench.in_folder().is_empty(), "stopped means stopped");
    bench.run(&["admin", "why", "me", &numbers(&bench)[0]]).exits(0).says("fitbridge admin backfill me --status");
    let waits = bench.run(&["--json", "admin", "backfill", "me", "--status"]).exits(0).of_type("backfill").remove(0);
    assert_eq!(waits["backfill"]["phase"], "stopped", "{waits}");
    bench.run(&["admin", "backfill", "me", "--name", "igpsport"]).exits(0);
    bench.sync().exits(0);
    assert_eq!(bench.in_folder(), bench.upstream());
    assert_eq!(acts(&bench), ["backfill", "backfill_stop", "backfill"]);
}

#[test]
fn rides_are_linked_and_split_for_a_rider() {
    let bench = Bench::new(3);
    bench.connect_source().exits(0);
    bench.sync().exits(0);
    let rides = numbers(&bench);
    bench.run(&["admin", "link", "me", &rides[0]]).exits(1);
    bench.run(&["admin", "link", "me", &rides[0], &rides[0]]).exits(1).says("link_needs_two");
    bench.run(&["admin", "link", "me", &rides[0], &rides[1]]).exits(0).says("linked by you").says("is in the ledger");
    bench.run(&["admin", "why", "me", &rides[1]]).exits(0).says(&format!("fitbridge admin split me {}", rides[1]));
    assert_eq!(bench.run(&["--json", "admin", "duplicates", "me"]).exits(0).summary()["groups"], 1);
    bench.connect_folder().exits(0);
    bench.sync().exits(0);
    assert_eq!(bench.in_folder().len(), 2);
    let split = bench.run(&["--json", "admin", "split", "me", &rides[1]]).exits(0);
    let states: Vec<_> = split.of_type("delivery").into_iter().map(|mut one| one["state"].take()).collect();
    assert_eq!(
        (states, &split.summary()["changed"]),
        (vec![json!("pending"), json!("delivered")], &json!(1)),
        "{split}"
    );
    bench.sync().exits(0);
    assert_eq!(bench.in_folder(), bench.upstream());
    assert_eq!(acts(&bench), ["link", "split"]);
}

#[test]
fn a_ride_is_forgotten_for_a_rider_and_sent_again() {
    let bench = Bench::new(2);
    bench.connect_all();
    bench.sync().exits(0);
    let ride = numbers(&bench).remove(0);
    let webhooks = bench.at_webhook().len();
    let forgotten = bench.run(&["admin", "forget", "me", &ride, "--delete-file"]).exits(0);
    forgotten.says("stays there").says("its file is deleted next").says("is in the ledger; `fitbridge serve` does it");
    bench.add_rides(1);
    bench.sync().exits(0);
    bench.run(&["admin", "why", "me", &ride]).exits(0).says(&format!("fitbridge admin resync me {ride}"));
    bench.run(&["get", &ride, "-o", "gone.fit"]).exits(1);
    bench.run(&["admin", "resync", "me", &ride]).exits(1).says("may_send_twice");
    bench.run(&["admin", "resync", "me", &ride, "--sink", "nowhere"]).exits(1).says("no_such_connection");
    bench.run(&["admin", "resync", "me", &ride, "--yes"]).exits(0).says("is fetched again and sent then");
    assert_eq!(bench.at_webhook().len(), webhooks + 1, "the new ride; nothing is sent by the command itself");
    bench.sync().exits(0);
    assert_eq!(bench.at_webhook().len(), webhooks + 2, "a receiver gets another message");
    assert_eq!(bench.in_folder(), bench.upstream());
    bench.run(&["admin", "resync", "me", &ride, "--sink", "webhook", "--yes"]).exits(0).says("is sent again, to 1");
    bench.sync().exits(0);
    assert_eq!(bench.at_webhook().len(), webhooks + 3);
    assert_eq!(acts(&bench), ["forget", "resync", "resync"]);
    bench.assert_no_secret_leaked();
}

#[test]
fn rules_are_shown_tried_set_and_applied_for_a_rider() {
    let bench = Bench::new(2);
    bench.connect_source().exits(0);
    bench.connect_folder().exits(0);
    bench.run(&["admin", "rules", "me", "--clear"]).exits(1).says("name the sink");
    bench.run(&["admin", "rules", "me", "folder", "--min-duration", "20h"]).exits(0).says("duration from 20 h on");
    bench.sync().exits(0);
    assert!(bench.in_folder().is_empty());
    bench.run(&["admin", "rules", "me"]).exits(0).says("`fitbridge admin rules me folder --apply` sends");
    let why = bench.run(&["admin", "why", "me", &numbers(&bench)[0]]).exits(0);
    why.says("fitbridge admin rules me folder --min-duration none");
    let tried =
        bench.run(&["--json", "admin", "rules", "me", "folder", "--min-duration", "none", "--preview"]).exits(0);
    assert_eq!((&tried.summary()["sent"], &tried.of_type("preview")[0]["rider"]), (&json!(2), &json!("me")), "{tried}");
    let applied = bench.run(&["--json", "admin", "rules", "me", "folder", "--clear", "--apply"]).exits(0).summary();
    assert_eq!((&applied["sent"], &applied["filtered"]), (&json!(2), &json!(0)), "{applied}");
    assert!(bench.in_folder().is_empty(), "only the ledger was changed");
    bench.sync().exits(0);
    assert_eq!(bench.in_folder(), bench.upstream());
    assert_eq!(acts(&bench), ["rules_set", "rules_set", "rules_apply"]);
}
