//! What was at a sink before: told, held, and sent or skipped by the rider's word.

use std::sync::Arc;

use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Baseline, Connection, DeliveryState, HeldReason, RemoteId, RideId},
    engine::held::Word,
    ports::{Key, Ledger, RemoteRide, Scanner, SinkError},
    testkit::{FailingLedger, SinkCall},
};
use jiff::{SignedDuration, tz::Offset};

use crate::world::World;

/// A ride as the sink lists it.
fn there(world: &World, id: u64, route: Option<&str>) -> RemoteRide {
    let facts = world.scanner.scan(&world.source.bytes(&world.account, RideId(id)).unwrap()).facts;
    let local = Offset::from_seconds(7200).unwrap().to_datetime(facts.start.unwrap());
    RemoteRide {
        remote_id: RemoteId(format!("i{id}")),
        local_start: local + SignedDuration::from_secs(90),
        other_route: route.map(str::to_owned),
        elapsed_s: None,
        distance_m: None,
    }
}

/// Three rides, the first of which is at the sink by way of Strava.
async fn setup() -> (World, Engine, Connection) {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    // Starts of the fake's rides lie anywhere in 300 years; only those of the last are listed.
    world.clock.set("2400-01-01T00:00:00Z".parse().unwrap());
    world.sink.set_rides(vec![there(&world, 1, Some("STRAVA")), there(&world, 2, None)]);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    engine.poll(&source.user, &source.id).await.unwrap();
    let sink = world.connect_sink(&engine, "s", None).await;
    (world, engine, sink)
}

#[tokio::test]
async fn a_ride_that_is_there_by_another_route_is_held_and_the_others_are_sent() {
    let (world, engine, sink) = setup().await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2, 3]));
    let held = engine.held(&world.user).await.unwrap();
    assert_eq!(held.len(), 1);
    let reason = HeldReason::Elsewhere { remote_id: RemoteId("i1".into()), route: "STRAVA".into() };
    assert_eq!(held[0].doc.state, DeliveryState::Held { reason });
    let lists = world.sink.take_calls().iter().filter(|call| matches!(call, SinkCall::List(..))).count();
    assert_eq!(lists, 1, "it is listed once");
    let stored = world.connection(&engine, &sink.id).await;
    assert!(matches!(stored.doc.sink().unwrap().baseline, Baseline::Taken { elsewhere: 1, .. }));
}

#[tokio::test]
async fn the_riders_word_decides_and_is_taken_once() {
    let (world, engine, sink) = setup().await;
    world.quiet(&engine).await;
    let held = engine.held(&world.user).await.unwrap().remove(0);
    assert!(engine.say(&held, Word::Send).await.unwrap());
    assert!(!engine.say(&held, Word::Skip).await.unwrap(), "it no longer waits");
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1, 2, 3]));

    let (world, engine, sink) = setup().await;
    world.quiet(&engine).await;
    let held = engine.held(&world.user).await.unwrap().remove(0);
    assert!(engine.say(&held, Word::Skip).await.unwrap());
    world.quiet(&engine).await;
    world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2, 3]), "skipped for good");
    assert!(engine.held(&world.user).await.unwrap().is_empty());
}

#[tokio::test]
async fn nothing_is_sent_before_the_list_was_read() {
    let (world, engine, sink) = setup().await;
    for _ in 0..4 {
        let failure = Failure::from(Code::SinkAway);
        world.sink.fail_next_list(SinkError::Away { failure, retry_after: None });
    }
    world.work(&engine).await;
    assert!(world.at(&sink).is_empty());
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2, 3]));
}

#[tokio::test]
async fn a_key_that_may_not_list_delivers_all_and_one_that_does_not_do_pauses() {
    let (world, engine, sink) = setup().await;
    world.sink.fail_next_list(SinkError::Unsupported(Code::SinkForbidden.into()));
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1, 2, 3]));

    let (world, engine, sink) = setup().await;
    world.sink.fail_next_list(SinkError::NeedsReauth(Code::SinkReconnect.into()));
    world.quiet(&engine).await;
    assert!(world.connection(&engine, &sink.id).await.doc.paused().is_some());
    world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2, 3]), "and what is there is still known");
}

#[tokio::test]
async fn a_service_that_this_version_does_not_know_keeps_its_rides() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let mut ports = world.ports(Arc::new(world.ledger.clone()));
    ports.sinks.clear();
    let old = Engine::new(ports, world.policy.clone(), engine.owner().clone());
    world.poll(&old, &source).await;
    assert_eq!(world.delivery_state(&engine, &sink).await.failure().unwrap().code, Code::SinkUnknown);
    assert!(world.ledger.due(crate::world::SHARD, world.now(), 9).await.unwrap().is_empty());
    world.connect_sink(&engine, "s", None).await;
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn what_came_there_while_it_was_disconnected_is_held_too() {
    let (world, engine, sink) = setup().await;
    world.quiet(&engine).await;
    engine.disconnect(&world.user, "s").await.unwrap();
    world.source.upload_many(&world.account, 4..6);
    world.sink.set_rides(vec![there(&world, 1, Some("STRAVA")), there(&world, 4, Some("STRAVA"))]);
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2, 3, 5]));
    assert_eq!(engine.held(&world.user).await.unwrap().len(), 2);
}

#[tokio::test]
async fn nothing_is_sent_where_what_is_there_could_not_be_recorded() {
    let (world, engine, sink) = setup().await;
    for _ in 0..3 {
        let failure = Failure::from(Code::SinkAway);
        world.sink.fail_next_list(SinkError::Away { failure, retry_after: None });
    }
    world.work(&engine).await;
    world.pass_minutes(60);
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    ledger.lose_race(Key::connection(&world.user, &sink.id), 5);
    let other = world.engine_over(Arc::new(ledger), "b");
    let busy = other.deliver(&world.user, &sink.id, &world.files_of([1])[0]).await.unwrap_err();
    assert_eq!(busy.failure().code, Code::Contended);
    assert!(world.at(&sink).is_empty());
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2, 3]), "the lease ends, and it is looked again");
}
