//! The adaptive plan: what a poll learns decides how often the next ones come. That moves a row of the plan index
//! in DynamoDB a few times a day; a poll whose plan still holds writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use fitbridge_core::{
    domain::{Because, Connection, Habits, Planned, Role, Shard},
    ports::{Clock as _, Key, PlanSlot, PollClass},
    store::Stored,
};
use fitbridge_local::SystemClock;
use jiff::SignedDuration;

use crate::{
    riders::Rider,
    service::Service,
    shards::{done_minutes, polled},
};

/// Writes of a tick itself: the cursor, claimed and done.
const OF_A_TICK: usize = 2;

impl Service {
    async fn source(&self, rider: &Rider) -> Stored<Connection> {
        let found = self.engine.store().connection(&rider.user, &rider.source.id).await.expect("a ledger");
        found.expect("it is connected")
    }

    async fn place(&self, rider: &Rider) -> PlanSlot {
        self.source(rider).await.plan.expect("it is polled")
    }

    /// Whose sources stand in a slot of the index, as DynamoDB has it.
    async fn rows(&self, slot: PlanSlot) -> BTreeSet<String> {
        let partition = format!("{:05}#{}#{:02}", slot.shard.0, format!("{:?}", slot.class).to_lowercase(), slot.slot);
        let query = self.clients.dynamodb.query().table_name("fitbridge-ledger").index_name("plan");
        let query =
            query.key_condition_expression("p = :p").expression_attribute_values(":p", AttributeValue::S(partition));
        let items = query.send().await.expect("rows").items.unwrap_or_default();
        items.into_iter().map(|item| item["pk"].as_s().expect("a text").trim_start_matches("U#").to_owned()).collect()
    }

    /// Changes a source's record behind the service's back: time that has to pass is taken out of it.
    async fn change(&self, rider: &Rider, change: impl FnOnce(&mut Connection)) {
        let stored = self.source(rider).await;
        let mut changed = stored.doc.clone();
        change(&mut changed);
        let write = stored.replace(&changed, stored.due.clone()).expect("a write");
        assert!(self.engine.store().commit(vec![write]).await.expect("a ledger"));
    }

    /// Lets minutes pass and ticks; exactly those are polled, once each, whose turn came in these minutes. Says
    /// who, and how many records were written.
    async fn tick_by_plan(&self, riders: &[Rider], minutes: i64) -> (BTreeSet<String>, usize) {
        self.pass_minutes(minutes).await;
        let mut places = Vec::new();
        for rider in riders {
            places.push((rider, self.place(rider).await));
        }
        let from = done_minutes(self).await[0];
        self.world().clear_journal();
        self.table.take_counts();
        self.tick().await.done();
        let counts = self.table.take_counts();
        let to = done_minutes(self).await[0];
        // A minute may begin meanwhile, and is polled with the others.
        let comes = |place: &PlanSlot| {
            (from + 1..=to).any(|minute| minute.rem_euclid(i64::from(place.class.slots())) == i64::from(place.slot))
        };
        let turns = places.iter().filter(|(_, place)| comes(place));
        let expected: BTreeMap<_, _> = turns.clone().map(|(rider, _)| (format!("{:?}", rider.member), 1)).collect();
        assert_eq!(polled(self), expected, "minutes {} to {to}: {places:?}", from + 1);
        assert_eq!(counts.get("TransactWriteItems"), None, "{counts:?}");
        (turns.map(|(rider, _)| rider.user.to_string()).collect(), counts.get("PutItem").copied().unwrap_or(0))
    }
}

/// The hours in which a rider's rides may come are over: the next poll decides anew.
fn end_plan(connection: &mut Connection) {
    let Role::Source(source) = &mut connection.role else { panic!("a source") };
    let planned = source.planned.expect("a plan");
    source.planned = Some(Planned { until: SystemClock.now() - SignedDuration::from_secs(1), ..planned });
}

fn because(stored: &Stored<Connection>) -> Because {
    stored.doc.source().and_then(|source| source.planned).expect("a plan").because
}

const HOT: PlanSlot = PlanSlot { shard: Shard(0), class: PollClass::Hot, slot: 0 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_found_ride_makes_its_rider_hot_for_a_while_and_idle_polls_write_nothing() {
    let Some(service) = Service::start(&[("FITBRIDGE_POLL_PLAN", "adaptive")]).await else { return };
    let riders = service.add_riders(6, 2).await;
    let one = &riders[0];
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
    // What was there before is history, and nothing follows it.
    for rider in &riders {
        let stored = service.source(rider).await;
        assert_eq!((stored.plan.map(|place| place.class), because(&stored)), (Some(PollClass::Warm), Because::New));
        assert!(service.rows(service.place(rider).await).await.contains(rider.user.as_str()));
    }
    assert_eq!(service.rows(HOT).await, BTreeSet::new());
    let warm = service.place(one).await;

    service.new_rides(one, 1);
    let (all, written) = service.tick_by_plan(&riders, 5).await;
    assert_eq!(all.len(), riders.len(), "five minutes are everybody's turn");
    assert!(written > OF_A_TICK, "a ride was found");
    assert_eq!((service.place(one).await, because(&service.source(one).await)), (HOT, Because::Found));
    assert_eq!(service.rows(HOT).await, BTreeSet::from([one.user.to_string()]), "the index has moved it");
    assert!(!service.rows(warm).await.contains(one.user.as_str()), "and it stands in one place only");
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
    let habits = service.engine.store().read::<Habits>(&Key::habits(&one.user, &one.source.id)).await;
    let habits = habits.expect("a ledger").expect("the sink has learned from its rides").doc;
    assert!(habits.arrivals.len() == 3 && habits.arrivals.iter().any(|arrival| arrival.seen_after.is_some()));

    // Hot is each minute, and nothing is written for it.
    for _ in 0..3 {
        let (turns, written) = service.tick_by_plan(&riders, 1).await;
        assert!(turns.contains(one.user.as_str()));
        assert_eq!(written, OF_A_TICK);
    }

    service.change(one, end_plan).await;
    let (_, written) = service.tick_by_plan(&riders, 1).await;
    assert_eq!(written, OF_A_TICK + 1, "the change of class");
    let place = service.place(one).await;
    assert!(place.class != PollClass::Hot && because(&service.source(one).await) == Because::New, "{place:?}");
    assert!(service.rows(place).await.contains(one.user.as_str()) && service.rows(HOT).await.is_empty());
    let (_, written) = service.tick_by_plan(&riders, 5).await;
    assert_eq!(written, OF_A_TICK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_ride_is_asked_hourly_and_the_first_ride_is_found_within_the_hour() {
    let Some(service) = Service::start(&[("FITBRIDGE_POLL_PLAN", "adaptive")]).await else { return };
    let riders = service.add_riders(3, 0).await;
    service.run_until_quiet().await;
    for rider in &riders {
        let eight_days = SignedDuration::from_hours(8 * 24);
        service
            .change(rider, |connection| {
                connection.connected_at -= eight_days;
                end_plan(connection);
            })
            .await;
    }
    let (_, written) = service.tick_by_plan(&riders, 5).await;
    assert_eq!(written, OF_A_TICK + riders.len(), "the changes of class");
    for rider in &riders {
        let stored = service.source(rider).await;
        assert_eq!((stored.plan.map(|place| place.class), because(&stored)), (Some(PollClass::Cold), Because::Dormant));
    }
    service.run_until_quiet().await;
    let (all, written) = service.tick_by_plan(&riders, 60).await;
    assert_eq!((all.len(), written), (riders.len(), OF_A_TICK), "an hour is everybody's turn, and all are idle");

    for rider in &riders {
        service.new_rides(rider, 1);
    }
    service.tick_by_plan(&riders, 60).await;
    let hot = riders.iter().map(|rider| rider.user.to_string()).collect();
    assert_eq!(service.rows(HOT).await, hot);
    service.run_until_quiet().await;
    service.assert_exactly_once(&riders);
}
