//! Staying signed in: one login per token's life, whatever happens.

use std::sync::Arc;

use fitbridge_core::{
    Code, Engine, Failure,
    domain::Connection,
    engine::{Poll, secrets::SourceSecret},
    ports::{Key, Login, SealedKey, SourceError, Vault},
    store::Breaker,
    testkit::{FailingLedger, Moment, SourceVerb},
};
use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};

use crate::{reconnecting::slow_engine, world::World};

const PASSWORD: &str = "secret";

async fn connect(world: &World, engine: &Engine) -> Connection {
    world.source.upload_many(&world.account, 1..3);
    let next = world.in_days(14);
    world.source.password(&world.account, "me@example.org", PASSWORD, next);
    let login = Login { username: "me@example.org".into(), password: SecretString::from(PASSWORD) };
    let token = world.source.token(&world.account, world.in_days(7));
    world.connect_with(engine, None, token, Some(login)).await
}

fn logins(world: &World) -> usize {
    world.source.take_calls().iter().filter(|call| call.verb() == SourceVerb::LogIn).count()
}

fn to_the_end(world: &World) {
    world.clock.advance(SignedDuration::from_hours(7 * 24));
}

#[tokio::test]
async fn it_signs_in_once_when_the_token_ends_and_not_per_poll() {
    let world = World::new();
    let engine = world.engine("a");
    let source = connect(&world, &engine).await;
    for _ in 0..3 {
        world.poll(&engine, &source).await;
    }
    assert_eq!(logins(&world), 0);
    to_the_end(&world);
    for _ in 0..5 {
        assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. } | Poll::Idle));
    }
    assert_eq!(logins(&world), 1);
    let stored = world.connection(&engine, &source.id).await;
    let progress = stored.doc.source().unwrap();
    assert_eq!((progress.token_ends_at, &progress.login_intent), (world.in_days(7), &None));
}

#[tokio::test]
async fn a_crash_between_the_intent_and_the_login_signs_in_no_second_time() {
    let world = World::new();
    let source = connect(&world, &world.engine("setup")).await;
    to_the_end(&world);
    // The commit of the intent happens, its answer is lost: the worker stops there.
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "a");
    ledger.fail_commit(1, Moment::After);
    assert!(crashing.poll(&world.user, &source.id).await.is_err());
    let engine = world.engine("b");
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(poll, Poll::Skipped(_)), "somebody may be at it: {poll:?}");
    world.pass_minutes(6);
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(&poll, Poll::Paused(why) if why.code == Code::LoginUsed), "{poll:?}");
    assert_eq!(logins(&world), 0);
}

#[tokio::test]
async fn a_crash_before_the_new_token_is_sealed_signs_in_no_second_time() {
    let world = World::new();
    let source = connect(&world, &world.engine("setup")).await;
    to_the_end(&world);
    let engine = world.engine("a");
    let key = SealedKey { user: world.user.clone(), connection: source.id.clone() };
    let old = world.vault.open(&key).await.unwrap();
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    assert_eq!(logins(&world), 1);
    // The vault as it was before; the intent as it was written then.
    world.vault.seal(&key, &old).await.unwrap();
    let mut stored = world.connection(&engine, &source.id).await;
    let mut before = stored.doc.clone();
    if let fitbridge_core::domain::Role::Source(progress) = &mut before.role {
        let for_token_ending = world.now();
        progress.login_intent = Some(fitbridge_core::domain::LoginIntent { for_token_ending, at: world.now() });
    }
    assert!(engine.store().commit(vec![stored.replace(&before, None).unwrap()]).await.unwrap());
    world.pass_minutes(6);
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(&poll, Poll::Paused(why) if why.code == Code::LoginUsed), "{poll:?}");
    assert_eq!(logins(&world), 0);
    stored = world.connection(&engine, &source.id).await;
    assert!(stored.doc.paused().is_some());
}

#[tokio::test]
async fn a_crash_between_sealing_and_recording_goes_on_with_the_sealed_token() {
    let world = World::new();
    let source = connect(&world, &world.engine("setup")).await;
    to_the_end(&world);
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "a");
    ledger.fail_commit(2, Moment::Before);
    assert!(crashing.poll(&world.user, &source.id).await.is_err());
    assert_eq!(logins(&world), 1);

    let engine = world.engine("b");
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    assert_eq!(logins(&world), 0);
    let progress = world.connection(&engine, &source.id).await.doc.source().cloned().unwrap();
    assert_eq!((progress.token_ends_at, progress.login_intent), (world.in_days(7), None));
    // A refusal is one of a token that lives: it does not pause at once.
    world.source.fail_next(SourceVerb::List, SourceError::Refused("401".into()));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Refused(_)));
}

#[tokio::test]
async fn while_one_worker_signs_in_the_others_use_the_old_token() {
    let world = World::new();
    let source = connect(&world, &world.engine("setup")).await;
    to_the_end(&world);
    world.clock.advance(SignedDuration::from_mins(-4));
    // The one that wrote the intent has not come back yet.
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let slow = world.engine_over(Arc::new(ledger.clone()), "a");
    ledger.fail_commit(1, Moment::After);
    assert!(slow.poll(&world.user, &source.id).await.is_err());
    let engine = world.engine("b");
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    assert_eq!(logins(&world), 0);
    assert!(world.connection(&engine, &source.id).await.doc.is_active());
}

#[tokio::test]
async fn a_wrong_password_pauses_and_is_not_tried_again() {
    let world = World::new();
    let engine = world.engine("a");
    let source = connect(&world, &engine).await;
    to_the_end(&world);
    world.source.fail_next(SourceVerb::LogIn, SourceError::BadPassword("no".into()));
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(&poll, Poll::Paused(why) if why.code == Code::BadPassword), "{poll:?}");
    world.pass_minutes(60);
    world.poll(&engine, &source).await;
    assert_eq!(logins(&world), 1);
}

#[tokio::test]
async fn a_login_that_certainly_did_not_happen_may_be_tried_again() {
    let world = World::new();
    let engine = world.engine("a");
    let source = connect(&world, &engine).await;
    to_the_end(&world);
    world.source.fail_next(SourceVerb::LogIn, SourceError::Unreached(Failure::new(Code::ProviderAway, "refused")));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Away(_)));
    world.source.fail_next(SourceVerb::LogIn, SourceError::Throttled { retry_after: None });
    assert!(matches!(world.poll(&engine, &source).await, Poll::Away(_)));
    world.pass_minutes(10);
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    assert_eq!(logins(&world), 3);
}

#[tokio::test]
async fn a_login_whose_answer_was_lost_is_the_one() {
    let world = World::new();
    let engine = world.engine("a");
    let source = connect(&world, &engine).await;
    to_the_end(&world);
    world.source.fail_next(SourceVerb::LogIn, SourceError::Away(Failure::new(Code::ProviderTimeout, "30 s")));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Away(_)));
    world.pass_minutes(6);
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(&poll, Poll::Paused(why) if why.code == Code::LoginUsed), "{poll:?}");
    assert_eq!(logins(&world), 1);
}

/// Wherever a worker dies while it signs in: at most one login for the token's end, and what comes is either a
/// new token or a pause that says so.
#[tokio::test]
async fn wherever_it_dies_there_is_at_most_one_login_for_a_tokens_end() {
    let mut outcomes = (0, 0);
    for moment in [None, Some(Moment::Before), Some(Moment::After)] {
        for n in 1..40 {
            let world = World::new();
            let source = connect(&world, &world.engine("setup")).await;
            to_the_end(&world);
            let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
            let crashing = world.engine_over(Arc::new(ledger.clone()), "a");
            match moment {
                None => ledger.crash_at_call(n),
                Some(moment) => ledger.fail_commit(n, moment),
            }
            let died = crashing.poll(&world.user, &source.id).await.is_err();
            let engine = world.engine("b");
            for _ in 0..4 {
                world.poll(&engine, &source).await;
                world.pass_minutes(6);
            }
            assert!(logins(&world) <= 1, "{moment:?} {n}");
            match world.connection(&engine, &source.id).await.doc.paused() {
                None => outcomes.0 += 1,
                Some(why) => {
                    assert_eq!(why.code, Code::LoginUsed, "{moment:?} {n}");
                    outcomes.1 += 1;
                }
            }
            if !died {
                break;
            }
        }
    }
    assert!(outcomes.0 > 0 && outcomes.1 > 0, "{outcomes:?}");
}

/// The token has ended; while the login is under way something else happens.
async fn while_signing_in(world: &World, source: &Connection, meanwhile: impl Future<Output = ()>) -> Poll {
    let (slow, under_way) = slow_engine(world);
    let (poll, ()) = tokio::join!(slow.poll(&world.user, &source.id), async {
        let go_on = under_way.await.unwrap();
        meanwhile.await;
        go_on.send(()).unwrap();
    });
    assert_eq!(logins(world), 1);
    poll.unwrap()
}

#[tokio::test]
async fn a_login_under_way_leaves_no_secret_of_a_connection_that_is_removed_meanwhile() {
    let world = World::new();
    let engine = world.engine("a");
    let source = connect(&world, &engine).await;
    to_the_end(&world);
    let poll = while_signing_in(&world, &source, async {
        engine.disconnect(&world.user, "igpsport").await.unwrap();
    });
    assert!(matches!(poll.await, Poll::Skipped(_)));
    let key = SealedKey { user: world.user.clone(), connection: source.id.clone() };
    assert!(world.vault.open(&key).await.is_err(), "it was forgotten, and stays so");
}

#[tokio::test]
async fn a_login_under_way_does_not_replace_the_token_that_the_rider_gives_meanwhile() {
    let world = World::new();
    let engine = world.engine("a");
    let source = connect(&world, &engine).await;
    to_the_end(&world);
    let ends_at = world.in_days(5);
    let token = world.source.token(&world.account, ends_at);
    let poll = while_signing_in(&world, &source, async {
        world.connect_with(&engine, None, token.clone(), None).await;
    });
    assert!(matches!(poll.await, Poll::Skipped(_)));
    let key = SealedKey { user: world.user.clone(), connection: source.id.clone() };
    let sealed = SourceSecret::from_sealed(&world.vault.open(&key).await.unwrap()).unwrap();
    assert_eq!(sealed.token.expose_secret(), token.expose_secret());
    assert!(sealed.login.is_none(), "the rider did not choose to stay signed in");
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    assert_eq!(world.connection(&engine, &source.id).await.doc.source().unwrap().token_ends_at, ends_at);
}

#[tokio::test]
async fn a_login_that_a_pause_overtakes_is_kept_and_used_after_it() {
    let world = World::new();
    let engine = world.engine("a");
    let source = connect(&world, &engine).await;
    to_the_end(&world);
    let poll = while_signing_in(&world, &source, async {
        engine.pause_rider(&world.user).await.unwrap();
    });
    let poll = poll.await;
    assert!(matches!(&poll, Poll::Paused(why) if why.code == Code::RiderPaused), "{poll:?}");
    engine.resume_rider(&world.user).await.unwrap();
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    assert_eq!(logins(&world), 0);
}

#[tokio::test]
async fn a_login_that_died_under_a_clock_ahead_is_not_under_way_for_days() {
    let world = World::new();
    let source = connect(&world, &world.engine("setup")).await;
    to_the_end(&world);
    let right = world.now();
    world.pass_minutes(3 * 24 * 60);
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    ledger.fail_commit(1, Moment::After);
    assert!(world.engine_over(Arc::new(ledger), "a").poll(&world.user, &source.id).await.is_err());
    world.clock.set(right);
    let poll = world.poll(&world.engine("b"), &source).await;
    assert!(matches!(&poll, Poll::Paused(why) if why.code == Code::LoginUsed), "{poll:?}");
}

#[tokio::test]
async fn a_login_that_the_service_may_have_done_is_not_repeated_whatever_it_answered() {
    let world = World::new();
    let engine = world.engine("a");
    let source = connect(&world, &engine).await;
    to_the_end(&world);
    world.source.fail_next(SourceVerb::LogIn, SourceError::Away(Failure::new(Code::ProviderAway, "status 504")));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Away(_)));
    world.pass_minutes(6);
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(&poll, Poll::Paused(why) if why.code == Code::LoginUsed), "{poll:?}");
    assert_eq!(logins(&world), 1);
}

#[tokio::test]
async fn failing_logins_count_towards_the_breaker() {
    let mut world = World::new();
    world.policy.breaker_failures = 1;
    let engine = world.engine("a");
    let source = connect(&world, &engine).await;
    to_the_end(&world);
    world.source.fail_next(SourceVerb::LogIn, SourceError::Away(Failure::new(Code::ProviderAway, "status 504")));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Away(_)));
    let breaker = engine.store().read::<Breaker>(&Key::breaker("igpsport-global")).await.unwrap();
    assert!(breaker.is_some_and(|breaker| breaker.doc.open_until > world.now()));
}

#[tokio::test]
async fn a_ride_waits_while_a_login_may_be_under_way_instead_of_asking_again_at_once() {
    let world = World::new();
    let setup = world.engine("setup");
    let source = connect(&world, &setup).await;
    setup.poll(&world.user, &source.id).await.unwrap();
    world.queue.take();
    to_the_end(&world);
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "a");
    ledger.fail_commit(1, Moment::After);
    assert!(crashing.poll(&world.user, &source.id).await.is_err());
    let engine = world.engine("b");
    let id = world.ride(&engine, &source, 1).await.id;
    engine.resolve(&world.user, &id).await.unwrap();
    let stored = engine.store().activity(&world.user, &id).await.unwrap().unwrap();
    assert!(stored.due.is_some_and(|due| due.at > world.now()), "{:?}", stored.doc.state);
}
