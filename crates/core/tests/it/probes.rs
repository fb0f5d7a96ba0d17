//! After a provider's incident: tokens that were paused in it and have not ended are tried once.

use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Connection, UserId},
    engine::{Poll, connect::Wish, secrets::SourceSecret},
    ports::{Key, Source, SourceError},
    store::Breaker,
    testkit::SourceVerb,
};

use crate::world::{SHARD, World};

/// Sources of `count` riders with tokens of a week.
async fn riders(world: &World, engine: &Engine, count: u64) -> Vec<Connection> {
    let mut sources = Vec::new();
    for number in 0..count {
        let account = world.source.account("global", &format!("{}", 100 + number));
        world.source.upload_many(&account, 1..3);
        let token = world.source.token(&account, world.in_days(7));
        let identity = world.source.identify(&token, None).await.unwrap().remove(0);
        let wish = Wish { user: UserId::new(format!("r{number}")).unwrap(), name: "igpsport".into(), history: None };
        sources.push(engine.connect_source(&wish, &identity, &SourceSecret { token, login: None }).await.unwrap());
    }
    sources
}

async fn is_paused(engine: &Engine, source: &Connection) -> bool {
    let stored = engine.store().connection(&source.user, &source.id).await.unwrap().unwrap();
    stored.doc.paused().is_some()
}

async fn poll(engine: &Engine, source: &Connection) -> Poll {
    engine.poll(&source.user, &source.id).await.unwrap()
}

fn refuse(world: &World, refuses: bool) {
    world.source.fail_always(SourceVerb::List, refuses.then(|| SourceError::Refused("401".into())));
}

fn lists(world: &World) -> usize {
    world.source.take_calls().iter().filter(|call| call.verb() == SourceVerb::List).count()
}

/// One rider was refused twice before it was seen that everybody is.
async fn an_incident(world: &World, engine: &Engine, sources: &[Connection]) {
    refuse(world, true);
    poll(engine, &sources[0]).await;
    world.pass_minutes(3);
    assert!(matches!(poll(engine, &sources[0]).await, Poll::Paused(_)));
    for source in &sources[1..] {
        poll(engine, source).await;
    }
    let away = poll(engine, &sources[1]).await;
    assert!(matches!(&away, Poll::Away(why) if why.code == Code::ProviderAway), "{away:?}");
    world.source.take_calls();
}

#[tokio::test]
async fn a_token_that_was_paused_in_an_incident_is_tried_once_afterwards_and_goes_on() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    an_incident(&world, &engine, &sources).await;
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
    assert_eq!(lists(&world), 0, "no call while the provider is left alone");
    refuse(&world, false);
    world.pass_minutes(61);
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Walked { .. }));
    world.source.take_calls();
    // Another process, which knows the incident from the ledger only.
    let other = world.engine("b");
    other.load_breakers().await.unwrap();
    assert!(matches!(poll(&other, &sources[0]).await, Poll::Walked { .. }));
    assert!(!is_paused(&other, &sources[0]).await);
    world.drain(&other).await;
    other.sweep(SHARD, fitbridge_core::engine::Eagerness::Due).await.unwrap();
    world.drain(&other).await;
    let stored = other.store().connection(&sources[0].user, &sources[0].id).await.unwrap().unwrap();
    assert_eq!(stored.doc.source().unwrap().resume, None, "what waited was woken");
}

#[tokio::test]
async fn a_token_that_is_refused_again_is_not_tried_a_third_time() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    an_incident(&world, &engine, &sources).await;
    refuse(&world, false);
    world.pass_minutes(61);
    poll(&engine, &sources[1]).await;
    world.source.take_calls();
    refuse(&world, true);
    for _ in 0..5 {
        assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
        world.pass_minutes(5);
    }
    assert_eq!(lists(&world), 1);
    refuse(&world, false);
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
    assert_eq!(lists(&world), 0, "one per incident");
}

#[tokio::test]
async fn when_nobody_else_is_left_the_paused_one_finds_out_whether_it_is_over() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 2).await;
    refuse(&world, true);
    poll(&engine, &sources[0]).await;
    world.pass_minutes(3);
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
    let away = SourceError::Away(Failure::new(Code::ProviderError, "500"));
    world.source.fail_always(SourceVerb::List, Some(away));
    for _ in 0..6 {
        poll(&engine, &sources[1]).await;
    }
    refuse(&world, false);
    engine.disconnect(&sources[1].user, "igpsport").await.unwrap();
    world.source.take_calls();
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
    assert_eq!(lists(&world), 0);
    world.pass_minutes(121);
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Walked { .. }));
}

#[tokio::test]
async fn ended_tokens_and_pauses_of_their_own_are_left_alone() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    an_incident(&world, &engine, &sources).await;
    refuse(&world, false);
    world.pass_minutes(61);
    poll(&engine, &sources[1]).await;
    // Refused by itself, a day after the incident.
    world.pass_minutes(24 * 60);
    for source in &sources[2..] {
        poll(&engine, source).await;
    }
    world.source.fail_next(SourceVerb::List, SourceError::Refused("401".into()));
    poll(&engine, &sources[1]).await;
    world.pass_minutes(3);
    world.source.fail_next(SourceVerb::List, SourceError::Refused("401".into()));
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Paused(_)));
    world.source.take_calls();
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Paused(_)));
    assert_eq!(lists(&world), 0, "no incident was to blame");
    world.pass_minutes(7 * 24 * 60);
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
    assert_eq!(lists(&world), 0, "it has ended");
}

#[tokio::test]
async fn a_crash_after_the_mark_makes_no_second_probe() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    an_incident(&world, &engine, &sources).await;
    refuse(&world, false);
    world.pass_minutes(61);
    poll(&engine, &sources[1]).await;
    world.source.take_calls();
    let ledger = fitbridge_core::testkit::FailingLedger::new(std::sync::Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(std::sync::Arc::new(ledger.clone()), "b");
    crashing.load_breakers().await.unwrap();
    ledger.fail_commit(1, fitbridge_core::testkit::Moment::After);
    assert!(crashing.poll(&sources[0].user, &sources[0].id).await.is_err());
    for _ in 0..3 {
        assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
    }
    assert_eq!(lists(&world), 0, "the one probe may have been made");
}

#[tokio::test]
async fn whom_the_operator_paused_is_not_tried_after_an_incident() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    an_incident(&world, &engine, &sources).await;
    engine.pause_rider(&sources[0].user).await.unwrap();
    refuse(&world, false);
    world.pass_minutes(61);
    poll(&engine, &sources[1]).await;
    world.source.take_calls();
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
    assert!(is_paused(&engine, &sources[0]).await);
    assert_eq!(lists(&world), 0, "no call for a paused rider");
    engine.resume_rider(&sources[0].user).await.unwrap();
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Walked { .. }), "and is tried when the pause is over");
}

#[tokio::test]
async fn a_refusal_from_before_an_incident_does_not_count_after_it() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    refuse(&world, true);
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Refused(_)));
    world.pass_minutes(1);
    for source in &sources[1..] {
        poll(&engine, source).await;
    }
    refuse(&world, false);
    world.pass_minutes(61);
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Walked { .. }), "it is over");
    for source in &sources[2..] {
        poll(&engine, source).await;
    }
    world.pass_minutes(1);
    world.source.fail_next(SourceVerb::List, SourceError::Refused("401".into()));
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Refused(_)), "the first of its own");
    world.pass_minutes(3);
    world.source.fail_next(SourceVerb::List, SourceError::Refused("401".into()));
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)), "the second");
}

#[tokio::test]
async fn a_try_that_is_refused_while_the_incident_lasts_is_not_the_one_after_it() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    an_incident(&world, &engine, &sources).await;
    // Nobody else is there to find out whether it is over.
    world.pass_minutes(200);
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
    assert_eq!(lists(&world), 1, "it tries whether the provider is back");
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Away(_)), "which it is not");
    assert_eq!(lists(&world), 0, "and is left alone again");
    refuse(&world, false);
    world.pass_minutes(61);
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Walked { .. }));
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Walked { .. }), "its one try afterwards");
}

#[tokio::test]
async fn active_riders_find_out_first_whether_an_incident_is_over() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    an_incident(&world, &engine, &sources).await;
    refuse(&world, false);
    let open_until = engine.store().read::<Breaker>(&Key::breaker("igpsport-global")).await.unwrap().unwrap();
    world.clock.set(open_until.doc.open_until);
    world.pass_minutes(1);
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)));
    assert_eq!(lists(&world), 0);
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Walked { .. }));
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Walked { .. }));
}

#[tokio::test]
async fn an_incident_that_comes_back_within_the_hour_is_the_same() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    an_incident(&world, &engine, &sources).await;
    refuse(&world, false);
    world.pass_minutes(61);
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Walked { .. }), "it seems to be over");
    refuse(&world, true);
    world.pass_minutes(11);
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Paused(_)), "the one try, refused");
    for source in sources[1..].iter().chain(&sources[1..]) {
        poll(&engine, source).await;
    }
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Away(_)));
    refuse(&world, false);
    world.pass_minutes(61);
    assert!(matches!(poll(&engine, &sources[1]).await, Poll::Idle));
    assert!(matches!(poll(&engine, &sources[0]).await, Poll::Walked { .. }), "one more, after its last end");
}
