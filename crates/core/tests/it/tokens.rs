//! Tokens that end, are refused, or open somebody else's rides.

use fitbridge_core::{
    Code,
    domain::{ActivityState, RideId},
    engine::Poll,
    ports::{SealedKey, SourceError},
    testkit::{FakeRide, SourceVerb},
};

use crate::world::World;

fn code(poll: &Poll) -> Code {
    match poll {
        Poll::Skipped(why) | Poll::Refused(why) | Poll::Paused(why) | Poll::Away(why) => why.code,
        Poll::Idle | Poll::Walked { .. } | Poll::GoesOn { .. } => panic!("{poll:?}"),
    }
}

fn refusal() -> SourceError {
    SourceError::Refused("401".into())
}

#[tokio::test]
async fn an_ended_token_pauses_without_a_call_and_nothing_is_lost() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.source.upload_many(&world.account, 3..5);
    world.pass_minutes(7 * 24 * 60);
    world.source.take_calls();
    for _ in 0..2 {
        let poll = world.poll(&engine, &source).await;
        assert!(matches!(poll, Poll::Paused(_)) && code(&poll) == Code::TokenExpired, "{poll:?}");
    }
    assert!(world.source.take_calls().is_empty(), "no call for a paused connection");
    world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of(1..5));
}

#[tokio::test]
async fn a_refusal_pauses_only_when_it_is_repeated_minutes_later() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.source.fail_next(SourceVerb::List, refusal());
    assert!(matches!(world.poll(&engine, &source).await, Poll::Refused(_)));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }), "once is forgiven");

    world.source.fail_always(SourceVerb::List, Some(refusal()));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Refused(_)));
    world.pass_minutes(1);
    assert!(matches!(world.poll(&engine, &source).await, Poll::Refused(_)), "too soon");
    world.pass_minutes(2);
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(poll, Poll::Paused(_)) && code(&poll) == Code::TokenRefused, "{poll:?}");
    world.source.take_calls();
    world.pass_minutes(60);
    world.poll(&engine, &source).await;
    assert!(world.source.take_calls().is_empty());
}

#[tokio::test]
async fn rides_whose_detail_is_refused_wait_for_the_token() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.source.fail_always(SourceVerb::Resolve, Some(refusal()));
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert!(world.connection(&engine, &source.id).await.doc.paused().is_some());
    world.source.take_calls();
    world.pass_minutes(24 * 60);
    world.quiet(&engine).await;
    assert!(world.source.take_calls().is_empty(), "no call for a paused connection");

    world.source.fail_always(SourceVerb::Resolve, None);
    world.connect(&engine, None).await;
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..4));
}

#[tokio::test]
async fn a_token_of_another_member_pauses_at_once() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let wrong = SourceError::WrongMember { expected: "1".into(), got: "2".into() };
    world.source.fail_next(SourceVerb::List, wrong);
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(poll, Poll::Paused(_)) && code(&poll) == Code::MemberMismatch, "{poll:?}");
    assert!(world.rides(&engine).await.is_empty());
}

#[tokio::test]
async fn a_list_without_any_known_ride_is_a_strangers() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..51);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    let mine = world.at(&sink);
    // The same member id in the other region: all rows are others.
    for id in 1..51 {
        world.source.delete(&world.account, RideId(id));
    }
    world.source.upload_many(&world.account, 1000..1030);
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(poll, Poll::Paused(_)) && code(&poll) == Code::StrangerRides, "{poll:?}");
    assert_eq!((world.rides(&engine).await.len(), world.at(&sink)), (50, mine), "nothing of theirs was taken");

    // Back to the rider's own: as if nothing had been.
    for id in 1000..1030 {
        world.source.delete(&world.account, RideId(id));
    }
    world.source.upload_many(&world.account, 1..52);
    world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of(1..52));
}

#[tokio::test]
async fn one_known_ride_at_the_end_of_the_list_is_enough_to_know_it() {
    let world = World::new();
    world.source.upload(&world.account, FakeRide::generated(1));
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.source.upload_many(&world.account, 2..60);
    let poll = world.poll(&engine, &source).await;
    assert!(matches!(&poll, Poll::Walked { new, .. } if new.len() == 58), "{poll:?}");
    assert_eq!(world.at(&sink), world.files_of(1..60));
}

#[tokio::test]
async fn a_vault_that_is_away_is_no_reason_to_pause_or_to_use_attempts_up() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    world.vault.set_away(true);
    assert!(engine.poll(&world.user, &source.id).await.is_err());
    world.drain(&engine).await;
    let state = world.state(&engine, &source, 1).await;
    assert!(matches!(&state, ActivityState::Unavailable { failure, .. } if failure.code == Code::VaultUnavailable));
    world.vault.set_away(false);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn a_damaged_secret_pauses() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.vault.damage(&SealedKey { user: world.user.clone(), connection: source.id.clone() });
    assert_eq!(code(&world.poll(&engine, &source).await), Code::VaultUnsealable);
    world.connect(&engine, None).await;
    engine.disconnect(&world.user, "igpsport").await.unwrap();
    assert!(matches!(world.poll(&engine, &source).await, Poll::Skipped(_)));
}
