//! Providers that are away, refuse everybody, or ask for patience.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Connection, UserId},
    engine::{Poll, connect::Wish, secrets::SourceSecret},
    ports::{Key, Source, SourceError, Task},
    store::Breaker,
    testkit::{FailingLedger, SourceVerb},
};
use futures::FutureExt;

use crate::world::{SHARD, World};

fn refusal() -> SourceError {
    SourceError::Refused("401".into())
}

fn away() -> SourceError {
    SourceError::Away(Failure::new(Code::ProviderError, "500"))
}

async fn riders(world: &World, engine: &Engine, count: u64) -> Vec<Connection> {
    let mut sources = Vec::new();
    for number in 0..count {
        let account = world.source.account("global", &format!("{}", 100 + number));
        world.source.upload_many(&account, 1..3);
        let token = world.source.token(&account, world.in_days(7));
        let identity = world.source.identify(&token, None).await.unwrap().remove(0);
        let user = UserId::new(format!("rider{number}")).unwrap();
        let wish = Wish { user, name: "igpsport".into(), history: None };
        let secret = SourceSecret { token, login: None };
        sources.push(engine.connect_source(&wish, &identity, &secret).await.unwrap());
    }
    sources
}

async fn paused(engine: &Engine, sources: &[Connection]) -> usize {
    let mut count = 0;
    for source in sources {
        let stored = engine.store().connection(&source.user, &source.id).await.unwrap().unwrap();
        count += usize::from(stored.doc.paused().is_some());
    }
    count
}

#[tokio::test]
async fn an_outage_that_refuses_everybody_pauses_nobody_however_long_it_lasts() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    world.source.fail_always(SourceVerb::List, Some(refusal()));
    for _ in 0..(12 * 60 / 5) {
        engine.load_breakers().await.unwrap();
        for source in &sources {
            let poll = engine.poll(&source.user, &source.id).await.unwrap();
            assert!(!matches!(poll, Poll::Paused(_)), "{poll:?} at {}", world.now());
        }
        world.pass_minutes(5);
    }
    assert_eq!(paused(&engine, &sources).await, 0);
    let calls = world.source.take_calls();
    let lists = calls.iter().filter(|call| call.verb() == SourceVerb::List).count();
    assert!(lists < 100, "{lists} calls in 12 hours although it refuses everybody");

    world.source.fail_always(SourceVerb::List, None);
    world.pass_minutes(61);
    for source in &sources {
        assert!(matches!(engine.poll(&source.user, &source.id).await.unwrap(), Poll::Walked { .. }));
    }
    let breaker = engine.store().read::<Breaker>(&Key::breaker("igpsport-global")).await.unwrap().unwrap().doc;
    assert!(breaker.closed_at.is_some(), "the breaker is closed");
}

#[tokio::test]
async fn one_revoked_token_among_healthy_ones_pauses_alone() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 4).await;
    let revoked = world.source.token(&sources[0].account, world.in_days(7));
    let wish = Wish { user: sources[0].user.clone(), name: "igpsport".into(), history: None };
    let identity = world.source.identify(&revoked, None).await.unwrap().remove(0);
    let secret = SourceSecret { token: revoked.clone(), login: None };
    engine.connect_source(&wish, &identity, &secret).await.unwrap();
    world.source.revoke(&revoked);
    for _ in 0..2 {
        for source in &sources {
            engine.poll(&source.user, &source.id).await.unwrap();
        }
        world.pass_minutes(5);
    }
    assert_eq!((paused(&engine, &sources[..1]).await, paused(&engine, &sources).await), (1, 1));
}

#[tokio::test]
async fn a_single_rider_is_not_paused_when_the_provider_does_not_answer_at_all() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.source.fail_always(SourceVerb::List, Some(refusal()));
    world.source.fail_always(SourceVerb::Reachable, Some(away()));
    for _ in 0..20 {
        assert!(matches!(world.poll(&engine, &source).await, Poll::Away(_)));
        world.pass_minutes(10);
    }
    world.source.fail_always(SourceVerb::List, None);
    world.pass_minutes(60);
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
}

#[tokio::test]
async fn failures_in_a_row_open_the_breaker_and_one_call_tries_it() {
    let world = World::new();
    let engine = world.engine("a");
    let sources = riders(&world, &engine, 3).await;
    world.source.fail_always(SourceVerb::List, Some(away()));
    for _ in 0..2 {
        for source in &sources {
            engine.poll(&source.user, &source.id).await.unwrap();
        }
    }
    assert_eq!(world.source.take_calls().iter().filter(|call| call.verb() == SourceVerb::List).count(), 5);
    world.pass_minutes(6);
    for source in &sources {
        assert!(matches!(engine.poll(&source.user, &source.id).await.unwrap(), Poll::Away(_)));
    }
    assert_eq!(world.source.take_calls().len(), 1, "one tries, the others wait");
    world.pass_minutes(6);
    engine.poll(&sources[1].user, &sources[1].id).await.unwrap();
    assert!(world.source.take_calls().is_empty(), "the second strike waits longer");
    world.pass_minutes(5);
    world.source.fail_always(SourceVerb::List, None);
    for source in &sources {
        assert!(matches!(engine.poll(&source.user, &source.id).await.unwrap(), Poll::Walked { .. }));
    }
}

#[tokio::test]
async fn polls_that_came_while_one_tried_the_provider_are_made_when_it_answers() {
    let world = World::new();
    let engine = Arc::new(world.engine("a"));
    let sources = riders(&world, &engine, 4).await;
    world.source.fail_always(SourceVerb::List, Some(away()));
    for source in sources.iter().cycle().take(6) {
        engine.poll(&source.user, &source.id).await.unwrap();
    }
    world.source.fail_always(SourceVerb::List, None);
    world.pass_minutes(6);
    world.queue.take();
    let (others, at_once) = (sources[1..].to_vec(), Arc::clone(&engine));
    world.source.when_listed(move || {
        for source in &others {
            let poll = at_once.poll(&source.user, &source.id).now_or_never().unwrap();
            assert!(matches!(poll, Ok(Poll::Away(_))), "{poll:?}");
        }
    });
    engine.poll(&sources[0].user, &sources[0].id).await.unwrap();
    world.source.when_listed(|| {});
    let polls = world.queue.take().into_iter().filter(|job| matches!(job.task, Task::Poll { .. }));
    let of: BTreeSet<_> = polls.map(|job| job.user).collect();
    assert_eq!(of, sources[1..].iter().map(|source| source.user.clone()).collect());
}

#[tokio::test]
async fn failures_with_successes_between_them_are_not_in_a_row() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    for _ in 0..10 {
        world.source.fail_next(SourceVerb::List, away());
        assert!(matches!(world.poll(&engine, &source).await, Poll::Away(_)));
        assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. } | Poll::Idle));
    }
}

#[tokio::test]
async fn a_wait_that_the_provider_asks_for_is_kept_by_polls_details_and_other_processes() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let throttled = SourceError::Throttled { retry_after: Some(Duration::from_secs(1800)) };
    world.source.fail_next(SourceVerb::Resolve, throttled);
    world.poll(&engine, &source).await;
    world.source.take_calls();

    let other = world.engine("b");
    other.load_breakers().await.unwrap();
    world.pass_minutes(29);
    for engine in [&engine, &other] {
        let poll = world.poll(engine, &source).await;
        assert!(matches!(&poll, Poll::Away(why) if why.code == Code::ProviderThrottled), "{poll:?}");
        engine.sweep(SHARD, fitbridge_core::engine::Eagerness::Eager).await.unwrap();
        world.drain(engine).await;
    }
    assert!(world.source.take_calls().is_empty());
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..4));
    assert!(world.rides(&engine).await.iter().all(|ride| ride.attempts == 0));
}

#[tokio::test]
async fn signed_requests_concern_everybody_and_pause_nobody() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.source.fail_next(SourceVerb::List, SourceError::SignatureRequired("403".into()));
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(&poll, Poll::Away(why) if why.code == Code::SignatureRequired), "{poll:?}");
    assert!(world.connection(&engine, &source.id).await.doc.is_active());
}

#[tokio::test]
async fn breakers_that_others_closed_are_forgotten() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.source.fail_next(SourceVerb::List, SourceError::Throttled { retry_after: Some(Duration::from_secs(60)) });
    world.poll(&engine, &source).await;
    let other = world.engine("b");
    other.load_breakers().await.unwrap();
    world.pass_minutes(2);
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    other.load_breakers().await.unwrap();
    world.ledger.take_writes();
    assert_eq!(world.poll(&other, &source).await, Poll::Idle);
    assert_eq!(world.ledger.take_writes().0, 0);
}

#[tokio::test]
async fn what_a_provider_asked_for_is_kept_by_whoever_heard_it_though_it_cannot_be_written_down() {
    let mut heard_of = 0;
    // Reading the breaker fails, then writing it does.
    for call in 1..8 {
        let world = World::new();
        let engine = world.engine("a");
        let source = world.connect(&engine, None).await;
        world.poll(&engine, &source).await;
        world.source.take_calls();
        let failing = FailingLedger::new(Arc::new(world.ledger.clone()));
        let hearing = world.engine_over(Arc::new(failing.clone()), "b");
        let throttled = SourceError::Throttled { retry_after: Some(Duration::from_secs(1800)) };
        world.source.fail_next(SourceVerb::List, throttled);
        failing.crash_at_call(call);
        let _ = hearing.poll(&world.user, &source.id).await;
        failing.revive();
        if world.source.take_calls().is_empty() {
            continue;
        }
        heard_of += 1;
        world.pass_minutes(29);
        hearing.load_breakers().await.unwrap();
        let poll = world.poll(&hearing, &source).await;
        assert!(matches!(&poll, Poll::Away(why) if why.code == Code::ProviderThrottled), "call {call}: {poll:?}");
        assert!(world.source.take_calls().is_empty(), "call {call}");
        world.pass_minutes(2);
        hearing.load_breakers().await.unwrap();
        assert_eq!(world.poll(&hearing, &source).await, Poll::Idle, "call {call}: its time is over");
    }
    assert!(heard_of > 2, "{heard_of}");
}
