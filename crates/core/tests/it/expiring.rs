//! The warning before a token's end: once per token's life, without a write by any poll.

use std::sync::{Arc, Mutex};

use fitbridge_core::{
    Engine,
    domain::{Connection, OwnerId},
    engine::{Eagerness, Observer, Poll},
    ports::{Ledger, Login},
    testkit::{FailingLedger, Moment},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;

use crate::world::{SHARD, World};

/// Remembers which ends it was told of.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Timestamp>>);

impl Observer for Told {
    fn expiring(&self, _: &Connection, ends_at: Timestamp) {
        self.0.lock().unwrap().push(ends_at);
    }
}

impl Told {
    fn ends(&self) -> Vec<Timestamp> {
        self.0.lock().unwrap().clone()
    }
}

fn watched(world: &World, ledger: Arc<dyn Ledger>) -> (Engine, Arc<Told>) {
    let told = Arc::new(Told::default());
    let mut ports = world.ports(ledger);
    ports.observer = Arc::clone(&told) as _;
    (Engine::new(ports, world.policy.clone(), OwnerId::new("a").unwrap()), told)
}

async fn ticks(world: &World, engine: &Engine, hours: i64) {
    for _ in 0..hours {
        world.pass_minutes(60);
        engine.tick(SHARD).await.unwrap();
        world.drain(engine).await;
    }
}

#[tokio::test]
async fn the_rider_is_warned_48_hours_ahead_once_for_each_token() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let (engine, told) = watched(&world, Arc::new(world.ledger.clone()));
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let first = world.connection(&engine, &source.id).await.doc.source().unwrap().token_ends_at.unwrap();
    ticks(&world, &engine, 5 * 24 - 2).await;
    assert!(told.ends().is_empty(), "not before its time");
    world.ledger.take_writes();
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
    assert_eq!(world.ledger.take_writes().0, 0, "no poll writes for it");
    ticks(&world, &engine, 24).await;
    assert_eq!(told.ends(), [first]);
    assert_eq!(world.connection(&engine, &source.id).await.due, None);
    // The same token once more is the same end; a fresh one has its own.
    world.connect(&engine, None).await;
    let second = world.connection(&engine, &source.id).await.doc.source().unwrap().token_ends_at.unwrap();
    ticks(&world, &engine, 6 * 24).await;
    assert_eq!(told.ends(), [first, second]);
}

#[tokio::test]
async fn a_pass_of_a_rider_does_not_bring_the_warning_forward_nor_write() {
    let world = World::new();
    let (engine, told) = watched(&world, Arc::new(world.ledger.clone()));
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.ledger.take_writes();
    assert_eq!(engine.sweep(SHARD, Eagerness::Eager).await.unwrap(), 0);
    assert_eq!((world.ledger.take_writes().0, told.ends().len()), (0, 0));
}

#[tokio::test]
async fn a_token_that_is_short_from_the_start_is_warned_of_at_once_and_a_paused_one_is_not() {
    let world = World::new();
    let (engine, told) = watched(&world, Arc::new(world.ledger.clone()));
    let token = world.source.token(&world.account, world.in_days(1));
    let source = world.connect_with(&engine, None, token, None).await;
    world.work(&engine).await;
    assert_eq!(told.ends(), [world.in_days(1).unwrap()]);
    assert_eq!(world.connection(&engine, &source.id).await.doc.phase(world.now()), "expiring");

    world.connect(&engine, None).await;
    world.work(&engine).await;
    let stored = world.connection(&engine, &source.id).await;
    let mut paused = stored.doc.clone();
    let reason = fitbridge_core::Code::MemberMismatch.into();
    paused.state = fitbridge_core::domain::ConnectionState::Paused { reason, since: world.now() };
    assert!(engine.store().commit(vec![stored.replace(&paused, stored.due.clone()).unwrap()]).await.unwrap());
    ticks(&world, &engine, 6 * 24).await;
    assert_eq!(told.ends().len(), 1, "it needs the rider anyhow, who was told of the pause");
    assert_eq!(world.connection(&engine, &source.id).await.due, None);
}

#[tokio::test]
async fn who_stays_signed_in_is_not_warned() {
    let world = World::new();
    let (engine, told) = watched(&world, Arc::new(world.ledger.clone()));
    world.source.password(&world.account, "me@example.org", "secret", world.in_days(14));
    let login = Login { username: "me@example.org".into(), password: SecretString::from("secret") };
    let token = world.source.token(&world.account, world.in_days(7));
    let source = world.connect_with(&engine, None, token, Some(login)).await;
    ticks(&world, &engine, 6 * 24).await;
    assert_eq!(world.connection(&engine, &source.id).await.doc.phase(world.now()), "active");
    world.clock.advance(SignedDuration::from_hours(24));
    world.poll(&engine, &source).await;
    assert!(told.ends().is_empty());
    assert_eq!(world.connection(&engine, &source.id).await.due, None);
}

#[tokio::test]
async fn a_crash_around_the_warning_tells_it_at_most_once() {
    for moment in [Moment::Before, Moment::After] {
        let mut world = World::new();
        world.policy.nightly = false;
        let setup = world.engine("setup");
        let source = world.connect(&setup, None).await;
        world.work(&setup).await;
        world.pass_minutes(5 * 24 * 60 + 1);
        let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
        let (engine, told) = watched(&world, Arc::new(ledger.clone()));
        ledger.fail_commit(1, moment);
        engine.settle(&source.user, &source.id).await.unwrap_err();
        ticks(&world, &engine, 3).await;
        assert_eq!(told.ends().len(), usize::from(moment == Moment::Before), "{moment:?}");
        assert_eq!(world.connection(&engine, &source.id).await.due, None);
    }
}
