//! Telling riders: once each, at most once a day, not at night, and never in the way of a ride.

use std::sync::Arc;

use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Channel, Message, NoticeState, Quiet, Service},
    engine::{MOST_NOTICES, Tell, redrive::Which},
    ports::{ArchiveError, FileError, NotifyError, Outcome, SourceError, Task},
    testkit::{FailingLedger, Moment, SourceVerb},
};
use jiff::SignedDuration;
use serde_json::json;

use crate::world::World;

async fn told(world: &World, engine: &Engine) -> Vec<(Option<Message>, Option<Code>, u32)> {
    world.work(engine).await;
    let told = world.notifier.take_told();
    told.into_iter().map(|text| (text.message, text.code, text.count)).collect()
}

async fn with_contact(world: &World, engine: &Engine) {
    with_channel(world, engine, "fake").await;
}

async fn with_channel(world: &World, engine: &Engine, via: &str) {
    let via = Service::new(via).unwrap();
    let channel: Channel = engine.check_channel(&via, &json!({ "to": "me" }), None, false).await.unwrap();
    engine.set_channel(&world.user, channel, None).await.unwrap();
}

/// A rider whose token is refused for good, a minute after.
async fn paused(world: &World, engine: &Engine) {
    let source = world.connect(engine, None).await;
    world.work(engine).await;
    world.clock.advance(SignedDuration::from_hours(24 * 8));
    world.poll(engine, &source).await;
    assert!(!world.connection(engine, &source.id).await.doc.is_active());
}

#[tokio::test]
async fn a_pause_and_its_end_are_told_once_each() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    assert_eq!(told(&world, &engine).await, [], "more of the same may come");
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::TokenExpired), 1)]);
    world.pass_minutes(600);
    assert_eq!(told(&world, &engine).await, []);
    world.connect(&engine, None).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Recovery), Some(Code::TokenExpired), 0)]);
    world.pass_minutes(600);
    assert_eq!(told(&world, &engine).await, []);
}

#[tokio::test]
async fn only_who_has_a_command_line_is_told_a_command() {
    for (is_at_hand, step) in [
        (true, "connect again with a fresh token: `fitbridge connect igpsport`"),
        (false, "ask whoever runs FitBridge for you: connect again with a fresh token"),
    ] {
        let mut world = World::new();
        world.policy.rider_at_hand = is_at_hand.then(|| world.user.clone());
        let engine = world.engine("a");
        with_contact(&world, &engine).await;
        paused(&world, &engine).await;
        world.clock.advance(world.policy.notice_gather);
        world.work(&engine).await;
        let told = world.notifier.take_told();
        assert_eq!(told[0].next, step);
        assert_eq!(told[0].body().contains("`fitbridge"), is_at_hand, "{}", told[0].body());
    }
}

#[tokio::test]
async fn what_is_mended_before_it_was_told_is_not_told() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    world.connect(&engine, None).await;
    world.pass_minutes(10);
    assert_eq!(told(&world, &engine).await, []);
}

#[tokio::test]
async fn a_rider_without_a_channel_has_no_notices() {
    let world = World::new();
    let engine = world.engine("a");
    paused(&world, &engine).await;
    assert!(engine.notices(&world.user).await.unwrap().is_empty());
    // One who takes the channel away meanwhile is not told either.
    with_contact(&world, &engine).await;
    world.connect(&engine, None).await;
    paused(&world, &engine).await;
    assert_eq!(engine.drop_channels(&world.user, None).await.unwrap(), 1);
    world.pass_minutes(10);
    assert_eq!(told(&world, &engine).await, []);
    let notices = engine.notices(&world.user).await.unwrap();
    assert!(notices.iter().all(|notice| notice.doc.state == NoticeState::Closed && notice.due.is_none()));
}

#[tokio::test]
async fn what_stands_when_the_first_channel_is_set_is_told_through_it() {
    let world = World::new();
    let engine = world.engine("a");
    paused(&world, &engine).await;
    with_contact(&world, &engine).await;
    with_contact(&world, &engine).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::TokenExpired), 1)]);
}

#[tokio::test]
async fn what_ends_without_a_channel_is_over_and_the_next_time_is_told_again() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await.len(), 1);
    engine.drop_channels(&world.user, None).await.unwrap();
    world.connect(&engine, None).await;
    let notices = engine.notices(&world.user).await.unwrap();
    assert!(notices.iter().all(|notice| notice.doc.state == NoticeState::Closed), "{notices:?}");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    world.pass_minutes(24 * 60);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::TokenExpired), 1)]);
}

#[tokio::test]
async fn an_outage_of_a_sink_is_one_notice_with_a_count_and_its_end_another() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..41);
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.sink.reply_always(Some(Outcome::Rejected(Code::SinkRejected.into())));
    world.poll(&engine, &source).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::SinkRejected), 40)]);
    // A few more on the same day wait for the next one.
    world.source.upload_many(&world.account, 41..44);
    world.poll(&engine, &source).await;
    world.pass_minutes(60);
    assert_eq!(told(&world, &engine).await, []);
    world.pass_minutes(24 * 60);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::SinkRejected), 3)]);
    world.sink.reply_always(None);
    engine.redrive(&world.user, &Which::default()).await.unwrap();
    world.work(&engine).await;
    assert_eq!(world.at(&sink).len(), 43);
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Recovery), Some(Code::SinkRejected), 0)]);
}

#[tokio::test]
async fn quiet_hours_hold_a_notice_until_they_end() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    // Quiet for the next hours, whatever the time of the test's clock is.
    let time = |hours: i64| (world.now() + SignedDuration::from_hours(hours)).to_string()[11..16].to_owned();
    let quiet = Quiet::parse(&format!("{}-{}", time(-1), time(5)), "UTC").unwrap();
    let end = quiet.ends(world.now()).unwrap();
    engine.set_quiet(&world.user, Some(quiet)).await.unwrap();
    world.pass_minutes(2);
    assert_eq!(told(&world, &engine).await, []);
    assert_eq!(engine.tell_all(&world.user).await.unwrap(), 0, "nor at the end of a pass");
    world.clock.set(end - SignedDuration::from_secs(1));
    assert_eq!(told(&world, &engine).await, []);
    world.clock.set(end);
    assert_eq!(told(&world, &engine).await.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_is_away_is_tried_again_under_the_same_id_and_one_that_refuses_is_shown() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    let away = || NotifyError::Transient { failure: Code::MailAway.into(), retry_after: None };
    world.notifier.fail_next(away());
    world.notifier.fail_next(away());
    let notice = engine.notices(&world.user).await.unwrap().remove(0).doc;
    world.quiet(&engine).await;
    let texts = world.notifier.take_told();
    assert_eq!(texts.len(), 1);
    assert_eq!(texts[0].id, notice.message_id());

    world.connect(&engine, None).await;
    world.notifier.fail_next(NotifyError::Permanent(Failure::new(Code::MailRefused, "no such mailbox")));
    world.quiet(&engine).await;
    let state = engine.notices(&world.user).await.unwrap().remove(0).doc.state;
    assert!(matches!(&state, NoticeState::Undelivered { why, .. } if why.code == Code::MailRefused), "{state:?}");

    world.notifier.fail_always(Some(away()));
    paused(&world, &engine).await;
    world.quiet(&engine).await;
    let state = engine.notices(&world.user).await.unwrap().remove(0).doc.state;
    assert!(matches!(&state, NoticeState::Undelivered { why, .. } if why.code == Code::MailAway), "{state:?}");
}

#[tokio::test]
async fn a_channel_that_refuses_makes_the_other_one_hear_nothing_twice() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    with_channel(&world, &engine, "other").await;
    world.other_notifier.fail_always(Some(NotifyError::Permanent(Code::MailRefused.into())));
    world.source.upload_many(&world.account, 1..4);
    let source = world.connect(&engine, None).await;
    world.connect_sink(&engine, "s", None).await;
    world.sink.reply_always(Some(Outcome::Rejected(Code::SinkRejected.into())));
    world.poll(&engine, &source).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::SinkRejected), 3)]);
    // More of the same on the same day waits for the next, whatever the other channel says.
    world.source.upload_many(&world.account, 4..6);
    world.poll(&engine, &source).await;
    world.pass_minutes(120);
    assert_eq!(told(&world, &engine).await, []);
    let notice = engine.notices(&world.user).await.unwrap().remove(0).doc;
    assert_eq!(notice.untold.map(|why| why.code), None, "the next message was not tried yet");
    world.sink.reply_always(None);
    engine.redrive(&world.user, &Which::default()).await.unwrap();
    world.work(&engine).await;
    world.pass_minutes(24 * 60);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Recovery), Some(Code::SinkRejected), 2)]);
}

#[tokio::test]
async fn what_no_channel_took_is_told_through_the_next_one_that_is_set() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    world.notifier.fail_always(Some(NotifyError::Permanent(Code::MailRefused.into())));
    paused(&world, &engine).await;
    world.quiet(&engine).await;
    let state = engine.notices(&world.user).await.unwrap().remove(0).doc.state;
    assert!(matches!(state, NoticeState::Undelivered { .. }), "{state:?}");
    with_channel(&world, &engine, "other").await;
    world.clock.advance(world.policy.notice_gather);
    world.work(&engine).await;
    let told: Vec<_> = world.other_notifier.take_told().into_iter().map(|text| text.code).collect();
    assert_eq!(told, [Some(Code::TokenExpired)]);
}

#[tokio::test]
async fn a_worker_that_dies_after_telling_tells_again_under_the_same_id() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    world.clock.advance(world.policy.notice_gather);
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let dying = world.engine_over(Arc::new(ledger.clone()), "b");
    let notice = engine.notices(&world.user).await.unwrap().remove(0).doc.cause.id();
    // The claim is the first commit, what came of it the second.
    ledger.fail_commit(2, Moment::Before);
    dying.tell(&world.user, &notice).await.unwrap_err();
    let first = world.notifier.take_told();
    assert_eq!(engine.tell(&world.user, &notice).await.unwrap(), Tell::Skipped, "its claim stands");
    world.clock.advance(world.policy.lease);
    assert_eq!(engine.tell(&world.user, &notice).await.unwrap(), Tell::Done);
    assert_eq!(world.notifier.take_told()[0].id, first[0].id);
    assert_eq!(engine.tell(&world.user, &notice).await.unwrap(), Tell::Skipped);
}

#[tokio::test]
async fn two_workers_tell_it_once() {
    let world = World::new();
    let (one, two) = (world.engine("a"), world.engine("b"));
    with_contact(&world, &one).await;
    paused(&world, &one).await;
    world.clock.advance(world.policy.notice_gather);
    let notice = one.notices(&world.user).await.unwrap().remove(0).doc.cause.id();
    let (a, b) = futures::future::join(one.tell(&world.user, &notice), two.tell(&world.user, &notice)).await;
    assert_eq!([a.unwrap(), b.unwrap()].iter().filter(|tell| **tell == Tell::Done).count(), 1);
    assert_eq!(world.notifier.take_told().len(), 1);
}

#[tokio::test]
async fn a_full_outbox_keeps_the_oldest_and_counts_the_rest_and_holds_up_no_ride() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    let sinks = MOST_NOTICES + 5;
    for number in 0..sinks {
        world.connect_sink(&engine, &format!("s{number:03}"), None).await;
    }
    world.work(&engine).await;
    world.source.upload_many(&world.account, 1..2);
    let source = world.connect(&engine, None).await;
    world.sink.reply_always(Some(Outcome::NeedsReauth(Code::SinkReconnect.into())));
    world.poll(&engine, &source).await;
    let notices = engine.notices(&world.user).await.unwrap();
    assert_eq!(notices.len(), MOST_NOTICES + 1);
    let rest = notices.iter().find(|notice| notice.doc.cause.code == Code::NoticesOverflow).unwrap();
    assert_eq!(rest.doc.count as usize, sinks - MOST_NOTICES);
    let user = engine.store().user(&world.user).await.unwrap().unwrap();
    let all = engine.store().connections(&user.doc).await.unwrap();
    assert_eq!(all.iter().filter(|sink| sink.doc.paused().is_some()).count(), sinks, "all of them are paused");
}

#[tokio::test]
async fn a_long_outage_of_the_provider_is_told_and_so_is_its_end() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let away = SourceError::Away(Code::ProviderTimeout.into());
    world.source.fail_always(SourceVerb::List, Some(away));
    for _ in 0..9 * 12 {
        world.pass_minutes(5);
        world.poll(&engine, &source).await;
    }
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::ProviderAway), 1)]);
    world.source.fail_always(SourceVerb::List, None);
    world.pass_minutes(70);
    world.poll(&engine, &source).await;
    world.pass_minutes(2);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Recovery), Some(Code::ProviderAway), 0)]);
}

#[tokio::test]
async fn a_vault_that_stays_away_is_told_and_so_is_its_end() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.vault.set_away(true);
    for _ in 0..9 {
        world.pass_minutes(60);
        engine.poll(&world.user, &source.id).await.unwrap_err();
    }
    world.vault.set_away(false);
    let causes = engine.notices(&world.user).await.unwrap().into_iter().map(|notice| notice.doc.cause.code);
    assert_eq!(causes.collect::<Vec<_>>(), [Code::VaultUnavailable]);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::VaultUnavailable), 1)]);
    world.poll(&engine, &source).await;
    world.pass_minutes(2);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Recovery), Some(Code::VaultUnavailable), 0)]);
}

#[tokio::test]
async fn a_sink_that_stays_away_is_told_within_the_day_and_so_is_its_end() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    world.source.upload_many(&world.account, 1..4);
    let source = world.connect(&engine, None).await;
    world.connect_sink(&engine, "s", None).await;
    let away = |code: Code| Some(Outcome::Transient { failure: code.into(), retry_after: None });
    world.sink.reply_always(away(Code::FolderUnwritable));
    world.poll(&engine, &source).await;
    world.sink.reply_always(away(Code::SinkTimeout));
    let mut all = Vec::new();
    for _ in 0..24 {
        all.extend(told(&world, &engine).await);
        world.pass_minutes(30);
    }
    // One notice for all rides, long before the attempts are used up.
    assert_eq!(all, [(Some(Message::Failure), Some(Code::FolderUnwritable), 3)]);
    world.sink.reply_always(None);
    for _ in 0..40 {
        all.extend(told(&world, &engine).await);
        world.pass_minutes(30);
    }
    assert_eq!(all[1..], [(Some(Message::Recovery), Some(Code::FolderUnwritable), 0)]);
}

#[tokio::test]
async fn a_ride_that_was_given_up_and_comes_after_all_is_a_recovery() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    world.source.upload_many(&world.account, 1..2);
    let source = world.connect(&engine, None).await;
    world.connect_sink(&engine, "s", None).await;
    let away = FileError::Again { failure: Code::FileTimeout.into(), retry_after: None };
    world.source.files().fail_always(Some(away));
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    world.pass_minutes(2);
    // Days pass, and the token's end is warned of too.
    let told = || {
        let texts = world.notifier.take_told().into_iter().map(|text| (text.message, text.code));
        texts.filter(|(_, code)| *code == Some(Code::AttemptsUsedUp)).collect::<Vec<_>>()
    };
    assert_eq!(told(), [(Some(Message::Failure), Some(Code::AttemptsUsedUp))]);
    world.source.files().fail_always(None);
    engine.redrive(&world.user, &Which::default()).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(told(), [(Some(Message::Recovery), Some(Code::AttemptsUsedUp))]);
}

#[tokio::test]
async fn a_due_notice_is_handed_over_as_a_task() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    world.clock.advance(world.policy.notice_gather);
    engine.sweep(crate::world::SHARD, fitbridge_core::engine::Eagerness::Due).await.unwrap();
    let jobs = world.queue.take();
    assert!(matches!(&jobs[..], [job] if matches!(job.task, Task::Notify { .. })), "{jobs:?}");
    engine.work(&jobs[0]).await.unwrap();
    assert_eq!(world.notifier.take_told().len(), 1, "a job that is lost comes due again, one that comes tells");
}

#[tokio::test]
async fn a_channel_is_refused_when_its_receiver_refuses() {
    let world = World::new();
    let engine = world.engine("a");
    let fake = Service::new("fake").unwrap();
    world.notifier.fail_next(NotifyError::Permanent(Code::MailLogin.into()));
    let error = engine.check_channel(&fake, &json!({ "to": "me" }), None, true).await.unwrap_err();
    assert_eq!(error.failure().code, Code::MailLogin);
    let error = engine.check_channel(&fake, &json!({}), None, true).await.unwrap_err();
    assert_eq!(error.failure().code, Code::Settings);
    let unknown = engine.check_channel(&Service::new("pigeon").unwrap(), &json!({}), None, true).await.unwrap_err();
    assert_eq!(unknown.failure().code, Code::NoticeChannel);
    assert!(engine.contact(&world.user).await.unwrap().is_none(), "nothing is kept of what was refused");
}

#[tokio::test]
async fn closed_notices_are_dropped_by_a_walk_once_nobody_could_be_told_twice_in_a_day() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    let source = world.connect(&engine, None).await;
    world.quiet(&engine).await;
    world.poll(&engine, &source).await;
    let closed = |notices: &[fitbridge_core::store::Stored<fitbridge_core::domain::Notice>]| {
        notices.iter().filter(|notice| notice.doc.state == NoticeState::Closed).count()
    };
    assert_eq!(closed(&engine.notices(&world.user).await.unwrap()), 1);
    world.clock.advance(SignedDuration::from_hours(25));
    world.poll(&engine, &source).await;
    assert_eq!(closed(&engine.notices(&world.user).await.unwrap()), 1, "a day is not enough");
    world.clock.advance(SignedDuration::from_hours(25));
    world.poll(&engine, &source).await;
    assert!(engine.notices(&world.user).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_trouble_of_a_place_that_is_disconnected_is_told_to_nobody() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    paused(&world, &engine).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await.len(), 1);
    engine.disconnect(&world.user, "igpsport").await.unwrap();
    world.pass_minutes(10);
    assert_eq!(told(&world, &engine).await, []);
    let states: Vec<_> =
        engine.notices(&world.user).await.unwrap().into_iter().map(|notice| notice.doc.state).collect();
    assert_eq!(states, [NoticeState::Closed]);
}

#[tokio::test]
async fn the_tokens_end_is_told_ahead_once_and_a_new_token_ends_it() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    let token = world.source.token(&world.account, world.in_days(1));
    world.connect_with(&engine, None, token.clone(), None).await;
    world.work(&engine).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::TokenExpiring), 1)]);
    // The same token again is the same end.
    world.connect_with(&engine, None, token, None).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, []);
    world.connect(&engine, None).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Recovery), Some(Code::TokenExpiring), 0)]);
}

#[tokio::test]
async fn when_the_warned_of_end_comes_the_pause_is_what_is_told_and_mended() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    let token = world.source.token(&world.account, world.in_days(1));
    let source = world.connect_with(&engine, None, token, None).await;
    world.work(&engine).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await.len(), 1);
    world.clock.advance(SignedDuration::from_hours(25));
    world.poll(&engine, &source).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::TokenExpired), 1)]);
    world.connect(&engine, None).await;
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, [(Some(Message::Recovery), Some(Code::TokenExpired), 0)]);
}

#[tokio::test]
async fn the_trouble_of_a_ride_that_is_forgotten_is_told_to_nobody() {
    let world = World::new();
    let engine = world.engine("a");
    with_contact(&world, &engine).await;
    world.source.upload_many(&world.account, 1..2);
    world.source.files().fail_always(Some(FileError::Never(Code::FileTooLarge.into())));
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.work(&engine).await;
    let ride = world.rides(&engine).await.remove(0);
    assert_eq!(ride.state.failure().map(|failure| failure.code), Some(Code::FileTooLarge), "{:?}", ride.state);
    assert_eq!(ride.state.stage(), None, "it is given up");
    engine.forget(&world.user, &ride.id, false).await.unwrap();
    world.clock.advance(world.policy.notice_gather);
    assert_eq!(told(&world, &engine).await, []);
}

#[tokio::test]
async fn the_end_of_one_rides_trouble_silences_no_other_ride() {
    for is_forgotten in [true, false] {
        let world = World::new();
        let engine = world.engine("a");
        with_contact(&world, &engine).await;
        world.source.upload_many(&world.account, 1..3);
        world.source.files().fail_always(Some(FileError::Never(Code::FileTooLarge.into())));
        let source = world.connect(&engine, None).await;
        world.poll(&engine, &source).await;
        world.work(&engine).await;
        let [first, second] = [1, 2].map(|number| world.ride(&engine, &source, number));
        let (first, second) = (first.await, second.await);
        if is_forgotten {
            engine.forget(&world.user, &first.id, false).await.unwrap();
            world.clock.advance(world.policy.notice_gather);
            assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::FileTooLarge), 2)]);
        } else {
            world.clock.advance(world.policy.notice_gather);
            assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::FileTooLarge), 2)]);
            world.source.files().fail_always(None);
            engine.redrive(&world.user, &Which::ride(first.id)).await.unwrap();
            world.work(&engine).await;
            world.clock.advance(world.policy.notice_gather);
            assert_eq!(told(&world, &engine).await, [], "the other one does not work again");
        }
        world.source.files().fail_always(None);
        engine.redrive(&world.user, &Which::ride(second.id)).await.unwrap();
        world.work(&engine).await;
        world.clock.advance(world.policy.notice_gather);
        assert_eq!(told(&world, &engine).await, [(Some(Message::Recovery), Some(Code::FileTooLarge), 0)]);
    }
}

#[tokio::test]
async fn what_a_sink_refused_ends_with_the_ride_or_the_sink() {
    for is_forgotten in [true, false] {
        let world = World::new();
        let engine = world.engine("a");
        with_contact(&world, &engine).await;
        world.source.upload_many(&world.account, 1..2);
        let source = world.connect(&engine, None).await;
        world.connect_sink(&engine, "s", None).await;
        world.sink.reply_always(Some(Outcome::Rejected(Code::SinkRejected.into())));
        world.poll(&engine, &source).await;
        world.work(&engine).await;
        world.clock.advance(world.policy.notice_gather);
        assert_eq!(told(&world, &engine).await, [(Some(Message::Failure), Some(Code::SinkRejected), 1)]);
        match is_forgotten {
            true => drop(engine.forget(&world.user, &world.rides(&engine).await[0].id, false).await.unwrap()),
            false => drop(engine.disconnect(&world.user, "s").await.unwrap()),
        }
        world.clock.advance(world.policy.notice_gather);
        assert_eq!(told(&world, &engine).await, []);
        let notices = engine.notices(&world.user).await.unwrap();
        assert!(notices.iter().all(|notice| notice.doc.state == NoticeState::Closed), "{notices:?}");
    }
}

#[tokio::test]
async fn the_end_of_a_full_disk_is_told_however_long_it_lasted() {
    for hours in [0, 1, 12] {
        let world = World::new();
        let engine = world.engine("a");
        with_contact(&world, &engine).await;
        world.source.upload_many(&world.account, 1..2);
        let source = world.connect(&engine, None).await;
        // It was unreachable before, which is the same state by another cause.
        world
            .source
            .files()
            .fail_always(Some(FileError::Again { failure: Failure::from(Code::FileUnreachable), retry_after: None }));
        world.poll(&engine, &source).await;
        world.source.files().fail_always(None);
        world.archive.refuse(Some(ArchiveError::Full("no room".into())));
        let mut all = Vec::new();
        for _ in 0..(5 + hours * 60) {
            world.pass_minutes(1);
            all.append(&mut told(&world, &engine).await);
        }
        assert_eq!(all, [(Some(Message::Failure), Some(Code::DiskFull), 1)], "{hours} h");
        world.archive.refuse(None);
        let mut all = Vec::new();
        for _ in 0..24 * 60 {
            world.pass_minutes(1);
            all.append(&mut told(&world, &engine).await);
        }
        assert_eq!(all, [(Some(Message::Recovery), Some(Code::DiskFull), 0)], "{hours} h");
    }
}
