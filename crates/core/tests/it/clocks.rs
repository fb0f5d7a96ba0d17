//! A machine's clock that was wrong for a while.

use std::{sync::Arc, time::Duration};

use fitbridge_core::{
    Code, Failure,
    domain::History,
    engine::{Backfilled, Eagerness, Poll},
    ports::{Key, Outcome, SourceError, Task},
    store::Cursor,
    testkit::{FailingLedger, SourceVerb},
};
use jiff::SignedDuration;

use crate::world::{SHARD, World};

fn polls(world: &World) -> usize {
    world.queue.take().into_iter().filter(|job| matches!(job.task, Task::Poll { .. })).count()
}

#[tokio::test]
async fn a_clock_that_was_ahead_keeps_nobody_from_being_polled() {
    for hours in [1, 24, 24 * 3650] {
        let world = World::new();
        let engine = world.engine("a");
        world.connect(&engine, Some(History::None)).await;
        let right = world.now();
        engine.tick(SHARD).await.unwrap();
        world.clock.advance(SignedDuration::from_hours(hours));
        engine.tick(SHARD).await.unwrap();
        world.queue.take();
        world.clock.set(right);
        let mut seen = 0;
        for _ in 0..5 {
            world.pass_minutes(1);
            engine.tick(SHARD).await.unwrap();
            seen += polls(&world);
        }
        assert_eq!(seen, 1, "once in five minutes, as ever; it was ahead by {hours} hours");
        let cursor = engine.store().read::<Cursor>(&Key::cursor(SHARD)).await.unwrap().unwrap();
        assert_eq!(cursor.doc.done_minute, world.now().as_second() / 60);
    }
}

#[tokio::test]
async fn a_clock_that_is_a_little_behind_another_workers_leaves_its_minutes_alone() {
    let world = World::new();
    let (ahead, behind) = (world.engine("a"), world.engine("b"));
    world.connect(&ahead, Some(History::None)).await;
    world.pass_minutes(3);
    ahead.tick(SHARD).await.unwrap();
    world.queue.take();
    world.clock.advance(SignedDuration::from_mins(-3));
    for _ in 0..3 {
        behind.tick(SHARD).await.unwrap();
        world.pass_minutes(1);
    }
    assert_eq!(polls(&world), 0, "those minutes are done");
}

#[tokio::test]
async fn a_tick_that_died_with_a_clock_ahead_stands_in_nobodys_way() {
    let world = World::new();
    let right = world.now();
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "a");
    world.connect(&crashing, Some(History::None)).await;
    crashing.tick(SHARD).await.unwrap();
    world.queue.take();
    world.clock.advance(SignedDuration::from_hours(5));
    // Ask for a stop, load breakers, read the cursor, claim it; then it dies.
    ledger.crash_at_call(5);
    assert!(crashing.tick(SHARD).await.is_err());
    world.clock.set(right + SignedDuration::from_mins(5));
    world.engine("b").tick(SHARD).await.unwrap();
    assert_eq!(polls(&world), 1, "a claim of five hours is none");
}

#[tokio::test]
async fn a_breaker_of_a_clock_that_was_ahead_is_tried_at_once() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, Some(History::None)).await;
    let right = world.now();
    world.clock.advance(SignedDuration::from_hours(24 * 3));
    let away = SourceError::Away(Failure::new(Code::ProviderError, "500"));
    world.source.fail_always(SourceVerb::List, Some(away));
    for _ in 0..9 {
        let poll = engine.poll(&source.user, &source.id).await.unwrap();
        assert!(matches!(poll, Poll::Away(_)), "{poll:?}");
        world.pass_minutes(1);
    }
    assert!(world.source.take_calls().len() < 10, "it is left alone");
    world.clock.set(right);
    engine.load_breakers().await.unwrap();
    // It is not back yet: the wait that follows is of the clock as it is now.
    engine.poll(&source.user, &source.id).await.unwrap();
    assert_eq!(world.source.take_calls().len(), 1);
    engine.poll(&source.user, &source.id).await.unwrap();
    assert!(world.source.take_calls().is_empty());
    world.source.fail_always(SourceVerb::List, None);
    world.pass_minutes(61);
    engine.load_breakers().await.unwrap();
    assert!(!matches!(engine.poll(&source.user, &source.id).await.unwrap(), Poll::Away(_)));
}

#[tokio::test]
async fn a_sink_that_asked_for_patience_under_a_clock_ahead_is_tried_again() {
    let world = World::new();
    let engine = world.engine("a");
    world.source.upload_many(&world.account, 1..3);
    let source = world.connect(&engine, Some(History::All)).await;
    let sink = world.connect_sink(&engine, "me", None).await;
    let right = world.now();
    world.clock.advance(SignedDuration::from_hours(24 * 3));
    let patience = Outcome::Throttled { retry_after: Some(Duration::from_secs(3600)) };
    world.sink.reply_always(Some(patience));
    world.poll(&engine, &source).await;
    world.sink.reply_always(None);
    world.clock.set(right);
    // What waits has its times from the clock as it was; a rider's own command, or `serve`, which notices
    // the jump, takes it all the same.
    engine.sweep(SHARD, Eagerness::Eager).await.unwrap();
    world.drain(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..3));
}

#[tokio::test]
async fn a_token_that_only_a_wrong_clock_saw_end_is_used_again_when_the_clock_is_right() {
    let world = World::new();
    let engine = world.engine("a");
    world.source.upload_many(&world.account, 1..3);
    let source = world.connect(&engine, Some(History::All)).await;
    let right = world.now();
    world.clock.advance(SignedDuration::from_hours(24 * 3650));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Paused(why) if why.code == Code::TokenExpired));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Paused(_)), "as far as anybody can tell");
    assert!(world.source.take_calls().iter().all(|call| call.verb() == SourceVerb::Identify));
    world.clock.set(right);
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(&poll, Poll::Walked { new, .. } if new.len() == 2), "{poll:?}");
    assert!(world.connection(&engine, &source.id).await.doc.is_active());
    // One that is revoked is paused as ever, and stays so.
    world.clock.advance(SignedDuration::from_hours(24 * 8));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Paused(_)));
    world.source.fail_always(SourceVerb::List, Some(SourceError::Refused("401".into())));
    world.clock.set(right);
    for _ in 0..3 {
        world.pass_minutes(3);
        engine.poll(&source.user, &source.id).await.unwrap();
    }
    let stored = world.connection(&engine, &source.id).await.doc;
    assert!(stored.paused().is_some_and(|why| why.code == Code::TokenRefused), "{stored:?}");
}

#[tokio::test]
async fn what_was_looked_at_under_a_clock_ahead_is_looked_at_again() {
    let mut world = World::new();
    (world.policy.nightly, world.policy.adaptive) = (true, false);
    let engine = world.engine("a");
    world.source.upload_many(&world.account, 1..3);
    let source = world.connect(&engine, Some(History::All)).await;
    world.poll(&engine, &source).await;
    let right = world.now() + SignedDuration::from_hours(25);
    world.clock.set(right + SignedDuration::from_hours(24 * 4));
    world.source.upload_many(&world.account, 3..4);
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    let report =
        |source: &fitbridge_core::domain::Connection| source.source().unwrap().report.clone().map(|it| it.begun_at);
    let ahead = report(&world.connection(&engine, &source.id).await.doc);
    assert!(ahead.is_some_and(|at| at > right + SignedDuration::from_hours(24)), "{ahead:?}");
    world.clock.set(right);
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }), "the walk was not made yet");
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    let now = report(&world.connection(&engine, &source.id).await.doc);
    assert!(now.is_some_and(|at| at < right + SignedDuration::from_hours(24)), "{now:?}");
}

#[tokio::test]
async fn a_refusal_under_a_clock_ahead_is_no_first_one_for_ever() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, Some(History::None)).await;
    let right = world.now();
    world.source.fail_always(SourceVerb::List, Some(SourceError::Refused("401".into())));
    world.clock.advance(SignedDuration::from_hours(24 * 3));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Refused(_)));
    world.clock.set(right);
    assert!(matches!(world.poll(&engine, &source).await, Poll::Refused(_)));
    world.pass_minutes(3);
    assert!(matches!(world.poll(&engine, &source).await, Poll::Paused(_)));
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_put_off_for_long_goes_on_however_much_it_is() {
    let mut world = World::new();
    (world.policy.in_flight, world.policy.new_at_once, world.policy.backfill_window) = (5, 100, 100);
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let source = world.connect(&engine, None).await;
    engine.tick(SHARD).await.unwrap();
    world.work(&engine).await;
    let right = world.now();
    // A year ahead, with a token that does not end.
    world.clock.advance(SignedDuration::from_hours(24 * 365));
    let token = world.source.token(&world.account, world.in_days(30));
    world.connect_with(&engine, None, token, None).await;
    world.source.upload_many(&world.account, 1..41);
    world.source.fail_always(SourceVerb::Resolve, Some(SourceError::NotReady));
    engine.poll(&world.user, &source.id).await.unwrap();
    // Half of them are in the hands of a worker that never comes back.
    let jobs = world.queue.take();
    for job in &jobs[..20] {
        engine.work(job).await.unwrap();
    }
    engine.tick(SHARD).await.unwrap();
    world.queue.take();
    world.clock.set(right);
    world.source.fail_always(SourceVerb::Resolve, None);
    // Whoever sees that the clock went back dies with it.
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    ledger.fail_commit(2, fitbridge_core::testkit::Moment::Before);
    assert!(world.engine_over(Arc::new(ledger), "b").tick(SHARD).await.is_err());
    world.pass_minutes(3);
    let engine = world.engine("c");
    for _ in 0..30 {
        engine.tick(SHARD).await.unwrap();
        world.work(&engine).await;
        world.pass_minutes(1);
    }
    assert_eq!(world.at(&sink), world.files_of(1..41));
    let cursor = engine.store().read::<Cursor>(&Key::cursor(SHARD)).await.unwrap().unwrap();
    assert!(!serde_json::to_string(&cursor.doc).unwrap().contains("true"), "it is done: {:?}", cursor.doc);
}

/// The attempts that rides take in forty minutes in which they are not ready.
async fn attempts_in_forty_minutes(with_one_ahead: bool) -> u32 {
    let mut world = World::new();
    world.policy.adaptive = false;
    let (right, ahead) = (world.engine("a"), world.engine("b"));
    let sink = world.connect_sink(&right, "s", None).await;
    let source = world.connect(&right, Some(History::All)).await;
    let token = world.source.token(&world.account, world.in_days(30));
    world.connect_with(&right, None, token, None).await;
    world.source.upload_many(&world.account, 1..3);
    world.source.fail_always(SourceVerb::Resolve, Some(SourceError::NotReady));
    for _ in 0..40 {
        right.tick(SHARD).await.unwrap();
        world.work(&right).await;
        if with_one_ahead {
            // All waits are over for this one, and its own are further away than any can be for the other.
            world.clock.advance(SignedDuration::from_hours(24));
            ahead.tick(SHARD).await.unwrap();
            world.work(&ahead).await;
            world.clock.advance(SignedDuration::from_hours(-24));
        }
        world.pass_minutes(1);
    }
    let waiting = world.ride(&right, &source, 1).await;
    assert!(waiting.state.stage().is_some(), "{:?}", waiting.state);
    world.source.fail_always(SourceVerb::Resolve, None);
    world.quiet(&right).await;
    assert_eq!(world.at(&sink), world.files_of(1..3));
    waiting.attempts
}

#[tokio::test]
async fn a_worker_a_day_ahead_of_another_uses_up_nobodys_attempts() {
    let (alone, with_one_ahead) = (attempts_in_forty_minutes(false).await, attempts_in_forty_minutes(true).await);
    assert!(alone > 3 && with_one_ahead <= alone + 1, "{with_one_ahead} attempts, {alone} of one worker alone");
}

#[tokio::test]
async fn a_ride_in_the_hands_of_a_dead_worker_that_was_a_day_ahead_holds_up_no_backfill() {
    let mut world = World::new();
    (world.policy.backfill_window, world.policy.new_at_once, world.policy.adaptive) = (1, 1, false);
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    world.source.upload_many(&world.account, 1..8);
    let source = world.connect(&engine, None).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    world.drain(&engine).await;
    assert!(matches!(engine.backfill(&world.user, &source.id).await.unwrap(), Backfilled::Step(1)));
    // Its download is claimed until tomorrow, and that is the last that is heard of it.
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let dying = world.engine_over(Arc::new(ledger.clone()), "b");
    world.clock.advance(SignedDuration::from_hours(24));
    let fetch = world.queue.take().into_iter().find(|job| matches!(job.task, Task::Fetch { .. })).unwrap();
    ledger.fail_commit(2, fitbridge_core::testkit::Moment::Before);
    assert!(dying.work(&fetch).await.is_err());
    world.clock.advance(SignedDuration::from_hours(-24));
    for _ in 0..60 {
        engine.tick(SHARD).await.unwrap();
        world.work(&engine).await;
        world.pass_minutes(1);
    }
    assert_eq!(world.at(&sink), world.files_of([1, 2, 3, 4, 5, 7]), "all but the one in its hands");
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..8));
}
