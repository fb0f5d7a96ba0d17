//! Rules of a sink: what it gets, under which name, and what happens when they change.

use fitbridge_core::{
    Code, Engine,
    domain::{Connection, DeliveryState, NameTemplate, RideId, Rules},
    engine::{EngineError, connect::Wish, rules::Applied},
    ports::{Ledger, Scanner, Sink},
};

use crate::world::{SHARD, World, is_delivered};

/// Rides 1 to `count`; those with an even number are 8 min 12 s long, the others an hour.
async fn setup(count: u64) -> (World, Engine, Connection, Connection) {
    let world = World::new();
    world.source.upload_many(&world.account, 1..count + 1);
    for id in (2..=count).step_by(2) {
        let bytes = world.source.bytes(&world.account, RideId(id)).unwrap();
        let mut report = world.scanner.scan(&bytes);
        report.facts.timer_s = Some(492.0);
        world.scanner.report(&bytes, report);
    }
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    (world, engine, source, sink)
}

fn ten_minutes(old: &Rules) -> Rules {
    Rules { min_duration_s: Some(600), ..old.clone() }
}

fn none(_: &Rules) -> Rules {
    Rules::default()
}

async fn set(world: &World, engine: &Engine, change: &(dyn Fn(&Rules) -> Rules + Send + Sync)) {
    engine.set_rules(&world.user, "s", change).await.unwrap();
}

#[tokio::test]
async fn a_filtered_ride_says_which_rule_and_is_not_sent_nor_due() {
    let (world, engine, source, sink) = setup(4).await;
    set(&world, &engine, &ten_minutes).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of([1, 3]));
    let all = world.deliveries(&engine, &sink).await;
    let filtered: Vec<_> = all
        .iter()
        .filter_map(|delivery| match &delivery.state {
            DeliveryState::Filtered { why } => Some((why.rule, why.sentence.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(filtered, [(Code::FilterDuration, "shorter than 10 min (8 min 12 s)"); 2]);
    world.quiet(&engine).await;
    world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1, 3]), "connecting again applies nothing");
    let due = world.ledger.due(SHARD, world.now(), 9).await.unwrap();
    assert!(due.is_empty(), "{due:?}");
}

#[tokio::test]
async fn changed_rules_send_what_passes_now_and_recall_nothing() {
    let (world, engine, source, sink) = setup(4).await;
    set(&world, &engine, &ten_minutes).await;
    world.poll(&engine, &source).await;
    assert_eq!(engine.apply_rules(&world.user, &sink.id).await.unwrap(), Applied { sent: 0, filtered: 2 });
    // The other way round: what was sent stays.
    let short = |_: &Rules| Rules { max_duration_s: Some(600), ..Rules::default() };
    set(&world, &engine, &short).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of([1, 3]), "only on demand");
    assert_eq!(engine.apply_rules(&world.user, &sink.id).await.unwrap(), Applied { sent: 2, filtered: 0 });
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..5));
    assert_eq!(engine.apply_rules(&world.user, &sink.id).await.unwrap(), Applied::default());
    assert!(world.deliveries(&engine, &sink).await.iter().all(|delivery| is_delivered(&delivery.state)));
}

#[tokio::test]
async fn rules_given_when_connecting_hold_from_the_first_ride_on() {
    let (world, engine, source, _) = setup(4).await;
    world.poll(&engine, &source).await;
    let identity = world.sink.check(&serde_json::json!({ "account": "late" }), None).await.unwrap();
    let wish = Wish { user: world.user.clone(), name: "late".into(), history: None };
    let late = engine.connect_sink_by(&wish, &identity, None, &ten_minutes).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.at(&late), world.files_of([1, 3]));
    // Renewed without a word about rules it keeps them; after a removal it begins without any.
    let again = engine.connect_sink(&wish, &identity, None).await.unwrap();
    assert_eq!(again.sink().unwrap().rules.min_duration_s, Some(600));
    engine.disconnect(&world.user, "late").await.unwrap();
    let anew = engine.connect_sink(&wish, &identity, None).await.unwrap();
    assert!(anew.sink().unwrap().rules.is_empty());
}

#[tokio::test]
async fn rules_of_one_sink_are_no_matter_of_another() {
    let (world, engine, source, sink) = setup(4).await;
    let other = world.connect_sink(&engine, "other", None).await;
    set(&world, &engine, &ten_minutes).await;
    world.poll(&engine, &source).await;
    assert_eq!((world.at(&sink), world.at(&other)), (world.files_of([1, 3]), world.files_of(1..5)));
}

#[tokio::test]
async fn the_name_is_frozen_when_the_delivery_is_made() {
    let (world, engine, source, sink) = setup(3).await;
    let named = |text: &str| NameTemplate::new(text).ok();
    let name = named("{title}, {duration}");
    set(&world, &engine, &move |_| Rules { name: name.clone(), min_duration_s: Some(600), ..Rules::default() }).await;
    world.poll(&engine, &source).await;
    let names = async || {
        let all = world.deliveries(&engine, &sink).await;
        let mut names: Vec<_> = all.into_iter().filter_map(|delivery| delivery.about.name).collect();
        names.sort();
        names
    };
    assert_eq!(names().await, ["Ride 1, 58m", "Ride 2, 8m", "Ride 3, 58m"]);
    let stored = world.sink.stored();
    assert!(stored.iter().all(|ride| ride.about.name.as_deref() != Some("Ride 2, 8m")));
    let name = named("{sport} {title}");
    set(&world, &engine, &move |_| Rules { name: name.clone(), ..Rules::default() }).await;
    assert_eq!(engine.apply_rules(&world.user, &sink.id).await.unwrap().sent, 1);
    world.work(&engine).await;
    assert_eq!(names().await, ["Ride 1, 58m", "Ride 3, 58m", "cycling Ride 2"], "what was sent keeps its name");
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused_and_change_nothing() {
    let (world, engine, source, sink) = setup(2).await;
    set(&world, &engine, &ten_minutes).await;
    let contradiction = |old: &Rules| Rules { max_duration_s: Some(60), ..old.clone() };
    let refused = engine.set_rules(&world.user, "s", &contradiction).await.unwrap_err();
    let EngineError::Refused(failure) = &refused else { panic!("{refused}") };
    assert_eq!(
        (failure.code, failure.detail.as_str()),
        (Code::RulesInvalid, "the least duration is more than the most")
    );
    assert_eq!(world.connection(&engine, &sink.id).await.doc.sink().unwrap().rules, ten_minutes(&Rules::default()));
    let refused = engine.set_rules(&world.user, &source.name, &none).await.unwrap_err();
    assert_eq!(refused.failure().code, Code::RulesInvalid);
    let identity = world.sink.check(&serde_json::json!({ "account": "new" }), None).await.unwrap();
    let wish = Wish { user: world.user.clone(), name: "new".into(), history: None };
    let upside_down = |_: &Rules| Rules { min_distance_m: Some(2), max_distance_m: Some(1), ..Rules::default() };
    engine.connect_sink_by(&wish, &identity, None, &upside_down).await.unwrap_err();
    assert!(engine.find_connection(&world.user, "new").await.is_err());
}

#[tokio::test]
async fn rides_let_in_while_the_sink_is_paused_wait_for_it() {
    let (world, engine, source, sink) = setup(2).await;
    set(&world, &engine, &ten_minutes).await;
    world.poll(&engine, &source).await;
    world.sink.fail_next_list(fitbridge_core::ports::SinkError::NeedsReauth(Code::SinkReconnect.into()));
    let paused = world.connection(&engine, &sink.id).await;
    let mut doc = paused.doc.clone();
    let reason = Code::SinkReconnect.into();
    doc.state = fitbridge_core::domain::ConnectionState::Paused { reason, since: world.now() };
    assert!(engine.store().commit(vec![paused.replace(&doc, None).unwrap()]).await.unwrap());
    set(&world, &engine, &none).await;
    assert_eq!(engine.apply_rules(&world.user, &sink.id).await.unwrap().sent, 1);
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
    world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1, 2]));
}
