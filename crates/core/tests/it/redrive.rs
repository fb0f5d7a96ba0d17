//! Beginning anew with what was given up: which of it, and at what cost.

use bytes::Bytes;
use fitbridge_core::{
    Code, Engine,
    domain::{Connection, DeliveryState},
    engine::redrive::{GivenUp, Which},
    ports::{Archive, Outcome},
    testkit::{FakeRide, Reply},
};

use crate::world::World;

/// Rides 1 to 3, each refused by two sinks, an hour apart.
async fn refused() -> (World, Engine, Connection, [Connection; 2]) {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sinks = [world.connect_sink(&engine, "one", None).await, world.connect_sink(&engine, "two", None).await];
    for ride in 1..4 {
        world.source.upload_many(&world.account, ride..ride + 1);
        for _ in 0..2 {
            world.sink.reply_next(Reply::Say(Outcome::Rejected(Code::SinkRejected.into())));
        }
        world.poll(&engine, &source).await;
        world.quiet(&engine).await;
        world.pass_minutes(60);
    }
    (world, engine, source, sinks)
}

fn sinks_of(found: &[GivenUp]) -> Vec<String> {
    let name = |given_up: &GivenUp| match given_up {
        GivenUp::Delivery(delivery) => delivery.doc.sink.to_string(),
        GivenUp::Ride(ride) => ride.doc.id.to_string(),
    };
    found.iter().map(name).collect()
}

#[tokio::test]
async fn the_sink_and_the_time_say_which() {
    let (world, engine, _, [one, _]) = refused().await;
    let all = engine.given_up(&world.user, &Which::default()).await.unwrap();
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|one| one.failure().is_some_and(|failure| failure.code == Code::SinkRejected)));
    let only = Which { sinks: Some(vec![one.id.clone()]), ..Which::default() };
    assert_eq!(sinks_of(&engine.given_up(&world.user, &only).await.unwrap()), vec![one.id.to_string(); 3]);
    let none = Which { sinks: Some(Vec::new()), ..Which::default() };
    assert!(engine.given_up(&world.user, &none).await.unwrap().is_empty());
    let mut times: Vec<_> = all.iter().map(GivenUp::at).collect();
    times.sort();
    let since = Which { since: Some(times[4]), ..Which::default() };
    assert_eq!(engine.given_up(&world.user, &since).await.unwrap().len(), 2, "the moment itself counts");
    let until = Which { until: Some(times[2]), ..Which::default() };
    assert_eq!(engine.given_up(&world.user, &until).await.unwrap().len(), 2, "up to, and not with, the moment");
    let dead = Which { dead_letters_only: true, ..Which::default() };
    assert!(engine.given_up(&world.user, &dead).await.unwrap().is_empty(), "they were rejected, not given up");

    assert_eq!(engine.redrive(&world.user, &only).await.unwrap(), 3);
    world.quiet(&engine).await;
    assert_eq!(world.at(&one), world.files_of(1..4));
    assert_eq!(engine.given_up(&world.user, &Which::default()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn one_ride_is_read_by_its_keys() {
    let (world, engine, source, [one, two]) = refused().await;
    let ride = world.ride(&engine, &source, 2).await;
    world.ledger.take_ranges();
    assert_eq!(engine.redrive(&world.user, &Which::ride(ride.id)).await.unwrap(), 2);
    assert_eq!(world.ledger.take_ranges(), 0, "no pages over all rides");
    world.quiet(&engine).await;
    assert_eq!((world.at(&one), world.at(&two)), (world.files_of([2]), world.files_of([2])));
}

#[tokio::test]
async fn what_changed_since_it_was_listed_is_left_alone() {
    let (world, engine, _, [one, _]) = refused().await;
    let listed = engine.given_up(&world.user, &Which::default()).await.unwrap();
    engine.redrive(&world.user, &Which::default()).await.unwrap();
    world.quiet(&engine).await;
    for given_up in &listed {
        assert!(!engine.begin_anew(given_up).await.unwrap());
    }
    let deliveries = world.deliveries(&engine, &one).await;
    assert!(deliveries.iter().all(|delivery| matches!(delivery.state, DeliveryState::Delivered { .. })));
}

#[tokio::test]
async fn what_the_rider_no_longer_wants_sent_stays_unsent() {
    let (world, engine, source, [one, two]) = refused().await;
    let [forgotten, linked, stays] = [
        world.ride(&engine, &source, 1).await,
        world.ride(&engine, &source, 2).await,
        world.ride(&engine, &source, 3).await,
    ];
    let listed = engine.given_up(&world.user, &Which::default()).await.unwrap();
    engine.forget(&world.user, &forgotten.id, false).await.unwrap();
    engine.link(&world.user, &[stays.id.clone(), linked.id.clone()]).await.unwrap();
    assert_eq!(engine.given_up(&world.user, &Which::default()).await.unwrap().len(), 2, "what is left of them");
    let mut begun = 0;
    for given_up in &listed {
        begun += usize::from(engine.begin_anew(given_up).await.unwrap());
    }
    assert_eq!(begun, 2);
    world.quiet(&engine).await;
    assert_eq!((world.at(&one), world.at(&two)), (world.files_of([3]), world.files_of([3])));
}

#[tokio::test]
async fn what_may_be_there_of_a_ride_that_was_forgotten_or_linked_is_not_sent_again() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.source.upload_many(&world.account, 1..4);
    // No answer ever: it may have arrived.
    world.sink.reply_always(Some(Outcome::Unknown(Code::SinkAway.into())));
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    world.sink.reply_always(None);
    let mut ids = Vec::new();
    for ride in 1..4 {
        ids.push(world.ride(&engine, &source, ride).await.id);
    }
    assert_eq!(engine.given_up(&world.user, &Which::default()).await.unwrap().len(), 3);
    engine.forget(&world.user, &ids[0], false).await.unwrap();
    let group = engine.link(&world.user, &ids[1..]).await.unwrap();
    assert_eq!(engine.redrive(&world.user, &Which::default()).await.unwrap(), 1, "the primary alone");
    world.quiet(&engine).await;
    let content = group.primary.state.content().unwrap();
    assert_eq!(world.at(&sink), [content]);
}

#[tokio::test]
async fn a_file_that_was_replaced_by_another_is_not_sent_beside_it() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.source.upload_many(&world.account, 1..2);
    world.sink.reply_next(Reply::Say(Outcome::Rejected(Code::SinkRejected.into())));
    world.poll(&engine, &source).await;
    let listed = engine.given_up(&world.user, &Which::default()).await.unwrap();
    assert_eq!(listed.len(), 1);
    let other = Bytes::from_static(b"mended upstream");
    world.source.upload(&world.account, FakeRide { bytes: other.clone(), ..FakeRide::generated(1) });
    let ride = world.ride(&engine, &source, 1).await;
    Archive::delete(&world.archive, &world.user, ride.state.content().unwrap()).await.unwrap();
    engine.begin_reconcile(&world.user, &source.id).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]), "the other one was sent");
    assert_eq!(engine.given_up(&world.user, &Which::default()).await.unwrap(), []);
    assert!(!engine.begin_anew(&listed[0]).await.unwrap());
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}
