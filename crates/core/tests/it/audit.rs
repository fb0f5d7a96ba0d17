//! Events: written with the change they tell of, and dropped when they are old.

use std::sync::Arc;

use fitbridge_core::{
    Code, Engine,
    domain::{Event, EventKind},
    ports::Outcome,
    testkit::{FailingLedger, Moment},
};
use jiff::SignedDuration;

use crate::world::World;

async fn events(world: &World, engine: &Engine) -> Vec<Event> {
    engine.events(&world.user, None, None, 500).await.unwrap().0
}

async fn names(world: &World, engine: &Engine) -> Vec<&'static str> {
    events(world, engine).await.iter().map(|event| event.kind.name()).collect()
}

#[tokio::test]
async fn a_riders_year_stands_in_the_events() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.work(&engine).await;
    world.poll(&engine, &source).await;
    world.clock.advance(SignedDuration::from_secs(1));
    world.sink.reply_always(Some(Outcome::Rejected(Code::SinkRejected.into())));
    world.source.upload_many(&world.account, 3..4);
    world.poll(&engine, &source).await;
    world.clock.advance(SignedDuration::from_hours(24 * 8));
    world.poll(&engine, &source).await;
    world.clock.advance(SignedDuration::from_secs(1));
    world.connect(&engine, None).await;
    world.clock.advance(SignedDuration::from_secs(1));
    engine.disconnect(&world.user, &sink.name).await.unwrap();
    let mut names = names(&world, &engine).await;
    // The first four have the same moment, and those of a reconnection too.
    names[..4].sort_unstable();
    names[6..8].sort_unstable();
    assert_eq!(
        names,
        [
            "connected",
            "connected",
            "delivered",
            "delivered",
            "failed",
            "paused",
            "connected",
            "resumed",
            "disconnected"
        ]
    );
    let all = events(&world, &engine).await;
    assert!(all.is_sorted_by_key(|event| event.at));
    let since = engine.events(&world.user, Some(all[8].at), None, 500).await.unwrap().0;
    assert_eq!(since.len(), 1, "{since:?}");
    let (page, next) = engine.events(&world.user, None, None, 5).await.unwrap();
    let (rest, end) = engine.events(&world.user, None, next, 5).await.unwrap();
    assert_eq!((page.len(), rest.len(), end), (5, 4, None));
}

#[tokio::test]
async fn an_event_is_written_with_its_change_or_not_at_all() {
    for moment in [Moment::Before, Moment::After] {
        let world = World::new();
        world.source.upload_many(&world.account, 1..2);
        let engine = world.engine("a");
        let source = world.connect(&engine, None).await;
        world.poll(&engine, &source).await;
        let sink = world.connect_sink(&engine, "s", None).await;
        engine.settle(&world.user, &sink.id).await.unwrap();
        world.queue.take();
        let content = world.delivery(&engine, &sink).await.content;
        let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
        let dying = world.engine_over(Arc::new(ledger.clone()), "b");
        let delivered = || async {
            let done = crate::world::is_delivered(&world.delivery_state(&engine, &sink).await);
            let events = names(&world, &engine).await.iter().filter(|name| **name == "delivered").count();
            (done, events)
        };
        // One commit after the other fails, until it is through.
        for n in 1..6 {
            ledger.fail_commit(n, moment);
            let _ = dying.deliver(&world.user, &sink.id, &content).await;
            ledger.revive();
            let (done, events) = delivered().await;
            assert_eq!(events, usize::from(done), "{moment:?} {n}");
            world.clock.advance(world.policy.lease);
        }
        world.quiet(&engine).await;
        assert_eq!(delivered().await, (true, 1), "{moment:?}");
    }
}

#[tokio::test]
async fn an_idle_poll_writes_no_event_and_old_ones_are_dropped_each_night() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    for number in 0..200 {
        let kind = EventKind::Act { by: "admin".into(), act: "look".into(), detail: number.to_string() };
        engine.record_event(&world.user, kind).await.unwrap();
    }
    world.ledger.take_writes();
    world.pass_minutes(5);
    world.poll(&engine, &source).await;
    assert_eq!(world.ledger.take_writes().0, 0, "an idle poll writes nothing");
    assert_eq!(events(&world, &engine).await.len(), 201);
    world.clock.advance(world.policy.keep_events);
    assert_eq!(events(&world, &engine).await.len(), 0, "what is too old is not shown");
    let stored = || async { engine.store().all::<Event>(&world.user, "event/").await.unwrap().len() };
    let token = world.source.token(&world.account, world.in_days(7));
    world.connect_with(&engine, None, token, None).await;
    assert_eq!(stored().await, 202);
    world.clock.advance(SignedDuration::from_hours(25));
    world.poll(&engine, &source).await;
    assert_eq!(stored().await, 1, "one night drops all that are too old");
}

#[tokio::test]
async fn two_events_of_one_moment_both_stand() {
    let world = World::new();
    let engine = world.engine("a");
    let kind = EventKind::Exported { records: 1, files: 0 };
    engine.record_event(&world.user, kind.clone()).await.unwrap();
    engine.record_event(&world.user, kind).await.unwrap();
    assert_eq!(events(&world, &engine).await.len(), 2);
}
