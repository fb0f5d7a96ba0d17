//! What the operator does with riders' rides, with the built program, while the service works.

use fitbridge_simulator::{Region, RideBatch};
use serde_json::{Value, json};

use crate::{riders::Rider, service::Service};

impl Service {
    /// The numbers of a rider's rides, newest first.
    fn numbers(&self, rider: &Rider) -> Vec<String> {
        let rides = self.world().rides(Region::Global, rider.member);
        rides.into_iter().map(|ride| ride.ride_id.to_string()).collect()
    }

    /// How many rides are at Intervals.icu.
    fn count_at_intervals(&self, rider: &Rider) -> usize {
        self.world().activities(&rider.athlete).iter().filter(|activity| !activity.deleted).count()
    }

    /// What the operator is told of a ride at a sink.
    async fn why(&self, rider: &Rider, ride: &str, sink: &str) -> Value {
        let why = self.admin(&["why", rider.user.as_str(), ride], "").await.exits(0);
        let mut deliveries = why.of_type("delivery");
        deliveries.retain(|delivery| delivery["sink"] == sink);
        deliveries.pop().unwrap_or_else(|| panic!("no delivery to {sink}: {why}"))
    }

    /// The operator's acts that are among a rider's events.
    async fn acts(&self, rider: &Rider) -> Vec<Value> {
        let events = self.admin(&["audit", rider.user.as_str()], "").await.exits(0).of_type("event");
        let acts = events.into_iter().filter(|event| event["event"] == "act");
        acts.map(|mut event| event["act"].take()).filter(|act| act != "connect").collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_rides_that_are_chosen_later_arrive() {
    let Some(service) = Service::start(&[]).await else { return };
    let (rider, key) = service.add_with_source("ada", 3, "none").await;
    service.connect_sinks_by_hand("ada", &key).await;
    service.run_until_quiet().await;
    assert!(service.deliveries(&rider).await.is_empty());
    service.admin(&["backfill", "bob"], "").await.exits(1).says("no_such_rider");
    let begun = service.admin(&["backfill", "ada"], "").await.exits(0).of_type("backfill").remove(0);
    assert_eq!((&begun["rider"], &begun["backfill"]["phase"]), (&json!("ada"), &json!("running")), "{begun}");
    assert_eq!(begun["backfill"]["total"], 3, "{begun}");
    service.run_until_quiet().await;
    service.assert_exactly_once(std::slice::from_ref(&rider));
    let listed = service.admin(&["rides", "ada", "--limit", "2"], "").await.exits(0);
    let rides: Vec<_> = listed.of_type("listed").into_iter().map(|mut ride| ride["ride"].take()).collect();
    assert_eq!(
        (json!(rides), &listed.summary()["rides"]),
        (json!(service.numbers(&rider)[..2]), &json!(3)),
        "{listed}"
    );
    for ride in listed.of_type("listed") {
        assert_eq!(ride["deliveries"], json!({ "intervals": "delivered", "webhook": "delivered" }), "{ride}");
    }
    assert_eq!(service.acts(&rider).await, ["users_add", "backfill"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_link_is_split_and_the_other_ride_arrives() {
    let Some(service) = Service::start(&[]).await else { return };
    let (rider, key) = service.add_with_source("ada", 3, "all").await;
    service.run_until_quiet().await;
    let rides = service.numbers(&rider);
    let linked = service.admin(&["link", "ada", &rides[0], &rides[1]], "").await.exits(0);
    let group = linked.of_type("group").remove(0);
    assert_eq!((group["ride"].as_str(), &group["rider"]), (Some(rides[0].as_str()), &json!("ada")), "{linked}");
    service.connect_sinks_by_hand("ada", &key).await;
    service.run_until_quiet().await;
    assert_eq!(service.count_at_intervals(&rider), 2, "one of the two is sent");
    let found = service.admin(&["duplicates", "ada"], "").await.exits(0).summary();
    assert_eq!((&found["groups"], &found["suggestions"]), (&json!(1), &json!(0)), "{found}");
    let split = service.admin(&["split", "ada", &rides[1]], "").await.exits(0);
    let states: Vec<_> = split.of_type("delivery").into_iter().map(|mut one| one["state"].take()).collect();
    assert_eq!(states, ["pending", "pending", "delivered", "delivered"], "{split}");
    service.admin(&["split", "ada", &rides[1]], "").await.exits(1).says("not_linked");
    service.run_until_quiet().await;
    service.assert_exactly_once(std::slice::from_ref(&rider));
    assert_eq!(service.acts(&rider).await, ["users_add", "link", "split"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_ride_stays_away_until_it_is_sent_again() {
    let Some(service) = Service::start(&[]).await else { return };
    let (rider, key) = service.add_with_source("ada", 2, "all").await;
    service.run_until_quiet().await;
    let gone = service.numbers(&rider).remove(0);
    let forgotten = service.admin(&["forget", "ada", &gone, "--delete-file"], "").await.exits(0);
    assert_eq!((&forgotten.summary()["forgotten"], &forgotten.ride(&gone)["state"]), (&json!(1), &json!("forgotten")));
    service.run_until_quiet().await;
    service.connect_sinks_by_hand("ada", &key).await;
    // What is new lets the next poll read the list, where the forgotten one is, too.
    service.new_rides(&rider, 1);
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    assert_eq!(service.count_at_intervals(&rider), 2, "the other one and the new one");
    let why = service.admin(&["why", "ada", &gone], "").await.exits(0);
    assert_eq!((&why.ride(&gone)["state"], &why.ride(&gone)["sha256"]), (&json!("forgotten"), &Value::Null), "{why}");

    let again = service.admin(&["resync", "ada", &gone], "").await.exits(0);
    assert_eq!(again.ride(&gone)["state"], "discovered", "its file has to be fetched: {again}");
    service.run_until_quiet().await;
    service.assert_exactly_once(std::slice::from_ref(&rider));
    assert_eq!(service.acts(&rider).await, ["users_add", "forget", "resync"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_at_a_sink_is_made_again_and_that_is_said() {
    let Some(service) = Service::start(&[]).await else { return };
    let rider = service.add_by_hand("ada", 2).await;
    service.run_until_quiet().await;
    let ride = service.numbers(&rider).remove(0);
    let first = service.why(&rider, &ride, "intervals").await["remote_id"].take();
    assert!(service.world().delete_activity(first.as_str().expect("an id")));
    let resync = ["resync", "ada", &ride, "--sink", "intervals"];
    service.admin(&resync, "").await.exits(1).says("may_send_twice");
    assert_eq!(service.why(&rider, &ride, "intervals").await["state"], "delivered", "nothing was changed");
    let said = service.admin(&[&resync[..], &["--yes"]].concat(), "").await.exits(0);
    assert_eq!(said.summary()["changed"], 1, "{said}");
    service.run_until_quiet().await;
    let again = service.why(&rider, &ride, "intervals").await;
    assert_eq!((&again["state"], &again["how"]), (&json!("delivered"), &json!("created")), "{again}");
    assert_ne!(again["remote_id"], first, "{again}");
    service.assert_exactly_once(std::slice::from_ref(&rider));
    assert_eq!(service.acts(&rider).await, ["users_add", "resync"], "what was refused is no act");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_that_are_set_later_leave_the_next_ride_out() {
    let Some(service) = Service::start(&[]).await else { return };
    let rider = service.add_by_hand("ada", 1).await;
    service.run_until_quiet().await;
    service.admin(&["rules", "ada", "igpsport", "--clear"], "").await.exits(1).says("rules are for sinks");
    let rules = ["rules", "ada", "intervals", "--min-duration"];
    let set = service.admin(&[&rules[..], &["20h"]].concat(), "").await.exits(0).of_type("rules").remove(0);
    assert_eq!((&set["rider"], &set["min_duration_s"]), (&json!("ada"), &json!(72_000)), "{set}");
    let ride = service.world().add_rides(Region::Global, rider.member, &RideBatch::small(1)).expect("a ride")[0];
    let ride = ride.to_string();
    service.pass_minutes(1).await;
    service.run_until_quiet().await;
    let left_out = service.why(&rider, &ride, "intervals").await;
    assert_eq!((&left_out["state"], &left_out["code"]), (&json!("filtered"), &json!("filter_duration")), "{left_out}");
    assert_eq!(service.why(&rider, &ride, "webhook").await["state"], "delivered");

    let tried = service.admin(&[&rules[..], &["none", "--preview"]].concat(), "").await.exits(0);
    assert_eq!((&tried.summary()["sent"], tried.of_type("preview").len()), (&json!(2), 2), "{tried}");
    let applied = service.admin(&[&rules[..], &["none", "--apply"]].concat(), "").await.exits(0).summary();
    assert_eq!((&applied["sent"], &applied["filtered"]), (&json!(1), &json!(0)), "{applied}");
    service.run_until_quiet().await;
    service.assert_exactly_once(std::slice::from_ref(&rider));
    assert_eq!(service.acts(&rider).await, ["users_add", "rules_set", "rules_set", "rules_apply"]);
}
