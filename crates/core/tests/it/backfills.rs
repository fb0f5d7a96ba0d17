//! Older rides come little by little: newest first, behind new ones, within their share of the budget.

use std::{collections::HashSet, sync::Arc};

use fitbridge_core::{
    Code,
    domain::{ActivityState, Backfill, BackfillPhase, Connection, History, ListedFacts, Origin, RideId},
    engine::{Backfilled, Eagerness, Poll, connect::Wish, secrets::SourceSecret},
    ports::{Job, Outcome, Source, SourceError, Task},
    testkit::{FailingLedger, FakeRide, Reply, SourceCall, SourceVerb},
};
use jiff::{SignedDuration, civil::date};

use crate::world::{SHARD, World};

async fn backfill_of(world: &World, engine: &fitbridge_core::Engine, source: &Connection) -> Backfill {
    world.connection(engine, &source.id).await.doc.backfill().expect("there is a backfill").clone()
}

fn resolved(world: &World) -> Vec<u64> {
    let calls = world.source.take_calls();
    let ride = |call| if let SourceCall::Resolve { ride, .. } = call { Some(ride.0) } else { None };
    calls.into_iter().filter_map(ride).collect()
}

#[tokio::test]
async fn a_new_ride_passes_a_thousand_old_ones_and_other_riders_are_polled_in_time() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..1001);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    // Other riders, each with an account of its own.
    let mut others = HashSet::new();
    for member in 2..12 {
        let account = world.source.account("global", &member.to_string());
        let token = world.source.token(&account, world.in_days(7));
        let identity = world.source.identify(&token, Some("global")).await.unwrap().remove(0);
        let user = fitbridge_core::domain::UserId::new(format!("rider{member}")).unwrap();
        let wish = Wish { user, name: "igpsport".into(), history: None };
        let one = engine.connect_source(&wish, &identity, &SourceSecret { token, login: None }).await.unwrap();
        others.insert(one.account);
    }
    let Poll::Walked { new, .. } = world.poll(&engine, &source).await else { panic!("no walk") };
    assert_eq!(new.len(), world.policy.backfill_window, "a first helping; the rest waits for its turn");
    let first = resolved(&world);
    assert!((20..=100).contains(&first.len()), "{first:?}");
    assert_eq!(first, (1001 - u64::try_from(first.len()).unwrap()..1001).rev().collect::<Vec<_>>(), "newest first");
    assert_eq!(world.state(&engine, &source, 1).await, ActivityState::Backlog);

    // A ride comes while the backlog is long: it is the next that is delivered.
    world.source.upload(&world.account, FakeRide::generated(5000));
    assert!(matches!(engine.poll(&world.user, &source.id).await.unwrap(), Poll::Walked { .. }));
    world.drain(&engine).await;
    assert_eq!(resolved(&world), [5000]);
    assert!(world.at(&sink).contains(&world.files_of([5000])[0]));

    // Minute by minute: each rider polled once in five minutes, the backlog within its share.
    for _ in 0..2 {
        for _ in 0..5 {
            world.pass_minutes(1);
            engine.tick(SHARD).await.unwrap();
            world.work(&engine).await;
            let calls = world.source.take_calls();
            let resolves = calls.iter().filter(|call| call.verb() == SourceVerb::Resolve).count();
            assert!(resolves <= 120, "{resolves} calls in a minute, and one minute's credit");
            for call in calls {
                if let SourceCall::List { account, page: 1 } = call {
                    others.remove(&account);
                }
            }
        }
        assert!(others.is_empty(), "not polled within five minutes: {others:?}");
    }
    let backfill = backfill_of(&world, &engine, &source).await;
    assert!(backfill.is_running() && backfill.total == 980, "{backfill:?}");
    let left = backfill.left().expect("an estimate");
    assert!(left > SignedDuration::ZERO && left < SignedDuration::from_hours(3), "{left:?} of {backfill:?}");
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of((1..1001).chain([5000])));
    let backfill = backfill_of(&world, &engine, &source).await;
    assert_eq!((backfill.phase, backfill.total, backfill.done()), (BackfillPhase::Done, 980, 980));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
}

#[tokio::test]
async fn a_crash_at_any_step_costs_no_ride() {
    for crash in (1..200).step_by(7) {
        let world = World::new();
        world.source.upload_many(&world.account, 1..46);
        let engine = world.engine("a");
        let source = world.connect(&engine, None).await;
        let sink = world.connect_sink(&engine, "s", None).await;
        let failing = FailingLedger::new(Arc::new(world.ledger.clone()));
        let crashing = world.engine_over(Arc::new(failing.clone()), "b");
        failing.crash_at_call(crash);
        let _ = crashing.poll(&world.user, &source.id).await;
        let _ = crashing.sweep(SHARD, Eagerness::Due).await;
        for job in world.queue.take() {
            let _ = crashing.work(&job).await;
        }
        world.queue.take();
        world.pass_minutes(6);
        world.poll(&engine, &source).await;
        world.quiet(&engine).await;
        assert_eq!(world.at(&sink), world.files_of(1..46), "crashed at call {crash}");
        let backfill = backfill_of(&world, &engine, &source).await;
        assert_eq!(backfill.phase, BackfillPhase::Done, "crashed at call {crash}");
    }
}

#[tokio::test]
async fn a_step_with_room_for_a_part_of_the_last_rides_leaves_none_behind() {
    for (window, rides) in (1..6).flat_map(|window| (1..16).map(move |rides| (window, rides))) {
        let mut world = World::new();
        world.policy.backfill_window = window;
        world.source.upload_many(&world.account, 1..rides + 1);
        let engine = world.engine("a");
        let source = world.connect(&engine, None).await;
        let sink = world.connect_sink(&engine, "s", None).await;
        world.poll(&engine, &source).await;
        world.quiet(&engine).await;
        assert_eq!(world.at(&sink), world.files_of(1..rides + 1), "{rides} rides, {window} at a time");
    }
}

#[tokio::test]
async fn a_ride_that_kills_its_worker_each_time_holds_up_none_of_the_others() {
    let mut world = World::new();
    world.policy.backfill_window = 1;
    world.source.upload_many(&world.account, 1..4);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    world.pass_minutes(10);
    assert_eq!(engine.backfill(&world.user, &source.id).await.unwrap(), Backfilled::Step(1));
    world.queue.take();
    let activity = Origin::cloud_id(&source.id, RideId(2));
    let job = Job { user: world.user.clone(), task: Task::Fetch { activity } };
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "b");
    for _ in 0..3 {
        ledger.crash_at_call(3);
        assert!(crashing.work(&job).await.is_err());
        ledger.revive();
        world.clock.advance(world.policy.lease);
        engine.sweep(SHARD, Eagerness::Due).await.unwrap();
        world.queue.take();
    }
    assert!(matches!(world.state(&engine, &source, 2).await, ActivityState::Resolved { .. }), "it is tried later");
    world.clock.advance(world.policy.backfill_gap);
    assert_eq!(engine.backfill(&world.user, &source.id).await.unwrap(), Backfilled::Step(1), "the next has its place");
}

#[tokio::test]
async fn it_is_stopped_and_let_go_on() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..201);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    engine.stop_backfill(&world.user, &source.id).await.unwrap();
    world.quiet(&engine).await;
    let fetched = world.rides(&engine).await.iter().filter(|ride| ride.state.content().is_some()).count();
    assert!((20..200).contains(&fetched), "{fetched}");
    assert_eq!(backfill_of(&world, &engine, &source).await.phase, BackfillPhase::Stopped);
    // Neither a new token nor a new walk lets it go on; only the rider does.
    world.connect(&engine, None).await;
    world.source.upload(&world.account, FakeRide::generated(500));
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert_eq!(world.rides(&engine).await.iter().filter(|ride| ride.state.content().is_some()).count(), fetched + 1);
    engine.begin_backfill(&world.user, &source.id, None).await.unwrap();
    world.quiet(&engine).await;
    assert!(world.rides(&engine).await.iter().all(|ride| ride.state.content().is_some()));
    assert_eq!(backfill_of(&world, &engine, &source).await.phase, BackfillPhase::Done);
}

#[tokio::test]
async fn a_later_choice_reaches_back_further_and_never_less_far() {
    let world = World::new();
    for (id, day) in (1..=28).zip(1..) {
        let facts = ListedFacts { date: Some(date(2025, 5, day)), ..FakeRide::generated(id).facts };
        world.source.upload(&world.account, FakeRide { facts, ..FakeRide::generated(id) });
    }
    let engine = world.engine("a");
    let source = world.connect(&engine, Some(History::None)).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert!(world.at(&sink).is_empty());
    let since = |day| Some(date(2025, 5, day));
    let widened = engine.begin_backfill(&world.user, &source.id, since(20)).await.unwrap();
    assert_eq!(widened.history, History::Since(date(2025, 5, 20)));
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(20..29));
    assert_eq!(world.state(&engine, &source, 19).await, ActivityState::Filtered { rule: Code::BeforeConnect });
    let narrower = engine.begin_backfill(&world.user, &source.id, since(25)).await.unwrap();
    assert_eq!(narrower.history, History::Since(date(2025, 5, 20)), "what was chosen before stands");
    engine.begin_backfill(&world.user, &source.id, None).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..29));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
}

#[tokio::test]
async fn a_provider_that_is_away_is_waited_for_and_a_pause_ends_with_a_new_token() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..101);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    let throttled = SourceError::Throttled { retry_after: Some(std::time::Duration::from_secs(900)) };
    world.source.fail_next(SourceVerb::Resolve, throttled);
    world.work(&engine).await;
    let asked = resolved(&world).len();
    assert!(asked <= world.policy.backfill_calls, "{asked} calls of a provider that asks for patience");
    world.pass_minutes(10);
    world.work(&engine).await;
    assert!(resolved(&world).is_empty(), "it asked for a quarter of an hour");
    world.pass_minutes(6);
    world.source.fail_always(SourceVerb::Resolve, Some(SourceError::BadToken("no".into())));
    world.work(&engine).await;
    assert!(world.connection(&engine, &source.id).await.doc.paused().is_some());
    let asked = resolved(&world).len();
    assert!(asked <= 2 + world.policy.backfill_calls, "{asked} calls with a token that is refused");
    world.source.fail_always(SourceVerb::Resolve, None);
    world.quiet(&engine).await;
    assert!(resolved(&world).is_empty(), "no call for a paused connection");
    world.connect(&engine, None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..101));
}

#[tokio::test]
async fn two_workers_make_one_step_and_what_does_not_get_through_is_waited_for() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..101);
    let (engine, other) = (world.engine("a"), world.engine("b"));
    let source = world.connect(&engine, None).await;
    world.connect_sink(&engine, "s", None).await;
    world.work(&engine).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    world.queue.take();
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), 1);
    let job = world.queue.take().remove(0);
    assert!(matches!(job.task, Task::Backfill { .. }) && job.task.calls_source());
    assert_eq!(engine.backfill(&world.user, &source.id).await.unwrap(), Backfilled::Step(20));
    assert_eq!(other.backfill(&world.user, &source.id).await.unwrap(), Backfilled::Step(0), "its rides are under way");
    assert_eq!(other.backfill(&world.user, &source.id).await.unwrap(), Backfilled::Skipped, "not due yet");
    world.pass_minutes(1);
    assert_eq!(engine.backfill(&world.user, &source.id).await.unwrap(), Backfilled::Step(0));
    // What fails has retries of its own, and holds up nobody.
    world.source.files().fail_always(Some(fitbridge_core::ports::FileError::Again {
        failure: Code::FileTimeout.into(),
        retry_after: None,
    }));
    world.drain(&engine).await;
    world.pass_minutes(6);
    world.work(&engine).await;
    assert!(backfill_of(&world, &engine, &source).await.taken > 20);
}

#[tokio::test]
async fn many_new_rides_at_once_go_on_the_backlog_too() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.source.upload_many(&world.account, 1..301);
    let Poll::Walked { new, .. } = world.poll(&engine, &source).await else { panic!("no walk") };
    assert_eq!(new.len(), world.policy.new_at_once);
    assert_eq!(backfill_of(&world, &engine, &source).await.total, 200);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..301));
}

#[tokio::test]
async fn an_archive_for_a_new_sink_is_sent_newest_first_and_behind_new_rides() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..101);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.settle(&world.user, &sink.id).await.unwrap();
    let handed = world.queue.take();
    assert_eq!(handed.len(), world.policy.backfill_window);
    let deliveries = world.deliveries(&engine, &sink).await;
    let oldest = deliveries.iter().map(|one| one.rider_id().parse::<u64>().unwrap()).min();
    assert_eq!(oldest, Some(81), "newest first");
    world.source.upload(&world.account, FakeRide::generated(300));
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of([300]), "a new ride waits for no archive");
    // One that fails is left to its retries.
    world.sink.reply_next(Reply::Say(Outcome::Transient { failure: Code::SinkAway.into(), retry_after: None }));
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of((1..101).chain([300])));
    assert_eq!(world.connection(&engine, &sink.id).await.doc.sink().unwrap().resume, None);
    assert!(world.source.bytes(&world.account, RideId(1)).is_some());
}

#[tokio::test]
async fn a_pass_of_a_rider_takes_the_backlog_ahead_of_its_turn() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..401);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.work(&engine).await;
    assert!(backfill_of(&world, &engine, &source).await.is_running());
    let stored = world.connection(&engine, &source.id).await;
    assert!(stored.due.as_ref().is_some_and(|due| due.claim.is_none() && due.at > world.now()), "{:?}", stored.due);
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), 0, "the service waits for its share");
    assert_eq!(engine.sweep(SHARD, Eagerness::Eager).await.unwrap(), 1);
    assert!(matches!(world.queue.take()[..], [ref job] if matches!(job.task, Task::Backfill { .. })));
}

#[tokio::test]
async fn many_new_rides_whose_walk_dies_are_not_passed_by_a_backfill_that_is_further_down() {
    for crash in 1..30 {
        let mut world = World::new();
        world.policy.new_at_once = 2;
        world.source.upload_many(&world.account, 1..61);
        let engine = world.engine("a");
        let source = world.connect(&engine, None).await;
        let sink = world.connect_sink(&engine, "s", None).await;
        engine.poll(&world.user, &source.id).await.unwrap();
        world.drain(&engine).await;
        engine.backfill(&world.user, &source.id).await.unwrap();
        world.drain(&engine).await;
        let backfill = backfill_of(&world, &engine, &source).await;
        assert!(backfill.is_running() && backfill.after.is_some(), "{backfill:?}");
        world.source.upload_many(&world.account, 100..110);
        let failing = FailingLedger::new(Arc::new(world.ledger.clone()));
        let crashing = world.engine_over(Arc::new(failing.clone()), "b");
        failing.crash_at_call(crash);
        let _ = crashing.poll(&world.user, &source.id).await;
        world.queue.take();
        world.pass_minutes(6);
        world.poll(&engine, &source).await;
        world.quiet(&engine).await;
        assert_eq!(world.at(&sink), world.files_of((1..61).chain(100..110)), "crashed at call {crash}");
    }
}

#[tokio::test]
async fn a_narrower_history_takes_the_rest_off_the_backlog() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..481);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    let sink = world.connect_sink(&engine, "s", None).await;
    world.connect(&engine, Some(History::None)).await;
    world.quiet(&engine).await;
    let states: Vec<_> = world.rides(&engine).await.into_iter().map(|ride| ride.state).collect();
    let count = |name| states.iter().filter(|state| state.name() == name).count();
    let helping = world.policy.backfill_window;
    assert_eq!((count("fetched"), count("filtered"), count("backlog")), (helping, 480 - helping, 0));
    assert_eq!(world.at(&sink).len(), helping, "what was found at once is under way, the rest is not wanted any more");
    let backfill = backfill_of(&world, &engine, &source).await;
    assert_eq!((backfill.phase, backfill.taken), (BackfillPhase::Done, 0));
    // And wider again, they come.
    world.connect(&engine, Some(History::All)).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink).len(), 480);
}

#[tokio::test]
async fn a_history_that_is_narrowed_during_a_backfill_holds_for_its_next_step() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..301);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.connect(&engine, Some(History::None)).await;
    // Nobody has gone through the rides yet.
    let mut stored = world.connection(&engine, &source.id).await;
    let mut settled = stored.doc.clone();
    if let fitbridge_core::domain::Role::Source(progress) = &mut settled.role {
        progress.resume = None;
    }
    stored.due = None;
    let due = fitbridge_core::ports::Due::at(SHARD, world.now());
    assert!(engine.store().commit(vec![stored.replace(&settled, Some(due)).unwrap()]).await.unwrap());
    world.source.take_calls();
    assert!(matches!(engine.backfill(&world.user, &source.id).await.unwrap(), Backfilled::Done | Backfilled::Step(0)));
    assert_eq!(resolved(&world), Vec::<u64>::new());
    assert_eq!(world.state(&engine, &source, 1).await, ActivityState::Filtered { rule: Code::BeforeConnect });
}
