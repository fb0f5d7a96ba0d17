//! One file to one sink, once, whatever the sink answers.

use std::time::Duration;

use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Connection, DeliveryState, How},
    engine::{Eagerness, redrive::Which},
    ports::{ArchiveError, Outcome, SinkError},
    testkit::{FakeSink, Reply, SinkCall},
};
use jiff::SignedDuration;

use crate::world::{SHARD, World, is_delivered};

/// One ride that has been fetched, and a sink it has not reached yet.
async fn setup(sink: FakeSink) -> (World, Engine, Connection) {
    let mut world = World::new();
    world.sink = sink;
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.sink.take_calls();
    (world, engine, sink)
}

fn lost() -> Outcome {
    Outcome::Unknown(Code::SinkUnknownOutcome.into())
}

fn attempts(calls: &[SinkCall]) -> usize {
    calls.iter().filter(|call| matches!(call, SinkCall::Deliver { .. })).count()
}

#[tokio::test]
async fn created_and_already_there_are_both_done() {
    let (world, engine, sink) = setup(FakeSink::default()).await;
    world.work(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert!(matches!(&state, DeliveryState::Delivered { how: How::Created, remote_id: Some(_), .. }), "{state:?}");

    let (world, engine, sink) = setup(FakeSink::default()).await;
    let remote_id = Some(fitbridge_core::domain::RemoteId("i9".into()));
    world.sink.reply_next(Reply::Say(Outcome::AlreadyThere { remote_id: remote_id.clone() }));
    world.quiet(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert!(matches!(state, DeliveryState::Delivered { how: How::AlreadyThere, remote_id: id, .. } if id == remote_id));
    assert_eq!(attempts(&world.sink.take_calls()), 1, "not sent again");
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_ride_at_a_sink_that_knows_repeats() {
    let (world, engine, sink) = setup(FakeSink::default()).await;
    world.sink.reply_next(Reply::CommitThen(lost()));
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
    let state = world.delivery_state(&engine, &sink).await;
    assert!(matches!(state, DeliveryState::Delivered { how: How::AlreadyThere, .. }), "{state:?}");
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_ride_at_a_sink_that_has_to_be_asked() {
    let (world, engine, sink) = setup(FakeSink::forgetful()).await;
    world.sink.reply_next(Reply::CommitThen(lost()));
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
    // One that got lost on its way there is sent again.
    let (world, engine, sink) = setup(FakeSink::forgetful()).await;
    world.sink.reply_next(Reply::Say(lost()));
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn that_an_answer_was_lost_is_remembered_over_all_that_comes_in_between() {
    let (world, engine, sink) = setup(FakeSink::forgetful()).await;
    world.sink.reply_next(Reply::CommitThen(lost()));
    world.work(&engine).await;
    assert!(world.delivery(&engine, &sink).await.maybe_there);
    // The archive is away, then the vault, then the rider disconnects and connects again.
    world.archive.refuse(Some(ArchiveError::Unavailable("away".into())));
    engine.sweep(SHARD, Eagerness::Eager).await.unwrap();
    world.drain(&engine).await;
    world.archive.refuse(None);
    world.vault.set_away(true);
    engine.sweep(SHARD, Eagerness::Eager).await.unwrap();
    world.drain(&engine).await;
    assert_eq!(world.delivery_state(&engine, &sink).await.failure().unwrap().code, Code::VaultUnavailable);
    world.vault.set_away(false);
    engine.disconnect(&world.user, "s").await.unwrap();
    world.quiet(&engine).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn a_key_that_is_refused_while_asking_pauses_as_it_does_while_sending() {
    let (world, engine, sink) = setup(FakeSink::forgetful()).await;
    world.sink.reply_next(Reply::CommitThen(lost()));
    world.work(&engine).await;
    world.sink.fail_next_probe(SinkError::NeedsReauth(Code::SinkReconnect.into()));
    engine.sweep(SHARD, Eagerness::Eager).await.unwrap();
    world.drain(&engine).await;
    assert!(matches!(world.delivery_state(&engine, &sink).await, DeliveryState::Blocked { .. }));
    let paused = engine.store().connection(&world.user, &sink.id).await.unwrap().unwrap();
    assert_eq!(paused.doc.paused().unwrap().code, Code::SinkReconnect);
    let sink = world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn while_a_sink_cannot_be_asked_nothing_is_sent_a_second_time() {
    let (world, engine, sink) = setup(FakeSink::forgetful()).await;
    world.sink.reply_next(Reply::CommitThen(lost()));
    world.work(&engine).await;
    for _ in 0..3 {
        world.sink.fail_next_probe(SinkError::unsupported("it cannot be asked"));
        engine.sweep(SHARD, Eagerness::Eager).await.unwrap();
        world.drain(&engine).await;
        assert!(matches!(world.delivery_state(&engine, &sink).await, DeliveryState::Retrying { .. }));
    }
    assert_eq!((world.at(&sink), attempts(&world.sink.take_calls())), (world.files_of([1]), 1));
}

#[tokio::test]
async fn a_wait_that_the_sink_asks_for_is_kept_and_costs_no_attempts() {
    let (world, engine, sink) = setup(FakeSink::default()).await;
    for _ in 0..50 {
        world.sink.reply_next(Reply::Say(Outcome::Throttled { retry_after: Some(Duration::from_secs(600)) }));
    }
    world.work(&engine).await;
    let asked = world.now() + SignedDuration::from_secs(600);
    world.clock.advance(SignedDuration::from_secs(599));
    engine.sweep(SHARD, Eagerness::Eager).await.unwrap();
    world.drain(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert!(matches!(&state, DeliveryState::Retrying { asked_until, .. } if *asked_until == Some(asked)), "{state:?}");
    assert_eq!(attempts(&world.sink.take_calls()), 1, "not even when the rider asks");
    world.quiet(&engine).await;
    assert_eq!((world.at(&sink), attempts(&world.sink.take_calls())), (world.files_of([1]), 50));
}

#[tokio::test]
async fn a_throttled_sink_is_left_alone_by_its_other_deliveries() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..11);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let busy = world.connect_sink(&engine, "busy", None).await;
    world.sink.reply_next(Reply::Say(Outcome::Throttled { retry_after: Some(Duration::from_secs(30)) }));
    world.poll(&engine, &source).await;
    assert_eq!(attempts(&world.sink.take_calls()), 1);
    world.quiet(&engine).await;
    assert_eq!(world.at(&busy), world.files_of(1..11));
}

#[tokio::test]
async fn a_sink_that_fails_for_ever_gets_a_dead_letter_after_days_and_one_for_two_days_does_not() {
    let failing = Outcome::Transient { failure: Code::SinkAway.into(), retry_after: Some(Duration::from_secs(1)) };
    let (world, engine, sink) = setup(FakeSink::default()).await;
    let begin = world.now();
    world.sink.reply_always(Some(failing.clone()));
    world.quiet(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert!(matches!(&state, DeliveryState::DeadLetter { failure } if failure.code == Code::SinkAway), "{state:?}");
    assert_eq!(attempts(&world.sink.take_calls()), world.policy.delivery_backoff.len() + 1);
    assert!(world.now().duration_since(begin) > SignedDuration::from_hours(72));

    let (world, engine, sink) = setup(FakeSink::default()).await;
    world.sink.reply_always(Some(failing));
    let end = world.now() + SignedDuration::from_hours(48);
    while world.now() < end {
        world.work(&engine).await;
        world.pass_minutes(60);
    }
    world.sink.reply_always(None);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn a_rejected_file_is_not_sent_again() {
    let (world, engine, sink) = setup(FakeSink::default()).await;
    world.sink.reply_next(Reply::Say(Outcome::Rejected(Failure::new(Code::SinkRejected, "no"))));
    world.quiet(&engine).await;
    assert!(matches!(world.delivery_state(&engine, &sink).await, DeliveryState::Rejected { .. }));
    assert_eq!(attempts(&world.sink.take_calls()), 1);
}

#[tokio::test]
async fn an_accepted_file_is_asked_after_and_never_sent_twice() {
    let (world, engine, sink) = setup(FakeSink::forgetful()).await;
    world.sink.reply_next(Reply::Accept);
    engine.settle(&world.user, &sink.id).await.unwrap();
    world.drain(&engine).await;
    assert!(matches!(world.delivery_state(&engine, &sink).await, DeliveryState::Accepted { .. }));
    // Asking fails, too: it is asked again, and the file is not sent a second time.
    world.vault.set_away(true);
    world.clock.advance(SignedDuration::from_secs(5));
    world.work(&engine).await;
    assert!(matches!(world.delivery_state(&engine, &sink).await, DeliveryState::Accepted { .. }));
    world.vault.set_away(false);
    world.quiet(&engine).await;
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
    assert_eq!((world.at(&sink), attempts(&world.sink.take_calls())), (world.files_of([1]), 1));
}

#[tokio::test]
async fn a_file_that_is_accepted_at_the_last_attempt_is_asked_after_like_any() {
    let (world, engine, sink) = setup(FakeSink::forgetful()).await;
    let failing = Outcome::Transient { failure: Code::SinkAway.into(), retry_after: None };
    for _ in 0..world.policy.delivery_backoff.len() {
        world.sink.reply_next(Reply::Say(failing.clone()));
    }
    world.sink.reply_next(Reply::Accept);
    world.quiet(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert!(is_delivered(&state), "{state:?}");
    let calls = world.sink.take_calls();
    assert_eq!((world.at(&sink), attempts(&calls)), (world.files_of([1]), world.policy.delivery_backoff.len() + 1));
}

#[tokio::test]
async fn a_worker_a_day_ahead_does_not_give_up_a_file_that_was_just_accepted() {
    let (world, engine, sink) = setup(FakeSink::forgetful()).await;
    world.sink.reply_next(Reply::AcceptFor(2));
    engine.settle(&world.user, &sink.id).await.unwrap();
    world.drain(&engine).await;
    assert!(matches!(world.delivery_state(&engine, &sink).await, DeliveryState::Accepted { .. }));
    world.clock.advance(SignedDuration::from_hours(25));
    world.work(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert!(matches!(state, DeliveryState::Accepted { asked: 1, .. }), "{state:?}");
    world.quiet(&engine).await;
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
}

#[tokio::test]
async fn a_file_that_stays_accepted_for_a_day_is_given_up_and_never_sent_again() {
    let (world, engine, sink) = setup(FakeSink::forgetful()).await;
    world.sink.reply_next(Reply::AcceptFor(usize::MAX));
    let begin = world.now();
    world.quiet(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert!(matches!(&state, DeliveryState::DeadLetter { failure } if failure.code == Code::SinkTimeout), "{state:?}");
    assert!(world.now().duration_since(begin) >= SignedDuration::from_hours(24));
    assert_eq!(attempts(&world.sink.take_calls()), 1);
}

#[tokio::test]
async fn all_attempts_of_a_delivery_have_one_id_and_say_the_same() {
    let (world, engine, _) = setup(FakeSink::default()).await;
    for _ in 0..3 {
        world.sink.reply_next(Reply::Say(lost()));
    }
    world.quiet(&engine).await;
    let calls = world.sink.take_calls();
    let attempt = |call: &SinkCall| match call {
        SinkCall::Deliver { attempt, .. } => Some((attempt.id.clone(), attempt.number)),
        _ => None,
    };
    let made: Vec<_> = calls.iter().filter_map(attempt).collect();
    assert_eq!(made.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert!(made.iter().all(|(id, _)| *id == made[0].0 && !id.contains('.')), "{made:?}");
}

#[tokio::test]
async fn only_a_redrive_leaves_what_was_given_up() {
    let (world, engine, sink) = setup(FakeSink::default()).await;
    world.sink.reply_next(Reply::Say(Outcome::Rejected(Code::SinkRejected.into())));
    world.quiet(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert!(matches!(state, DeliveryState::Rejected { .. }), "{state:?}");
    engine.sweep(SHARD, Eagerness::Eager).await.unwrap();
    world.work(&engine).await;
    assert_eq!(attempts(&world.sink.take_calls()), 1, "nobody tries it again by himself");

    assert_eq!(engine.redrive(&sink.user, &Which::default()).await.unwrap(), 1);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
    assert_eq!(engine.redrive(&sink.user, &Which::default()).await.unwrap(), 0, "there is nothing more");
}
