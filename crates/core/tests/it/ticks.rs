//! Ticks: every planned source once, whatever happens to a tick.

use std::sync::Arc;

use fitbridge_core::{
    Code, Engine,
    domain::Shard,
    engine::{Eagerness, Tick},
    ports::{Change, Due, Expect, FileError, Key, Ledger, PlanSlot, PollClass, Scope, Task, WorkQueue, Write},
    store::Cursor,
    testkit::{FailingLedger, FakeSource},
};
use jiff::Timestamp;

use crate::world::{SHARD, World};

/// A world with riders of one source each, in every slot.
async fn riders(class: PollClass, count: u32) -> World {
    let mut world = World::new();
    (world.policy.poll_class, world.policy.adaptive) = (class, false);
    let engine = world.engine("setup");
    for number in 0..count {
        world.user = fitbridge_core::domain::UserId::new(format!("rider{number}")).unwrap();
        world.account = FakeSource::account(&world.source, "global", &number.to_string());
        let source = world.connect(&engine, None).await;
        engine.settle(&world.user, &source.id).await.unwrap();
    }
    world
}

fn polls(world: &World) -> Vec<String> {
    let poll = |job: fitbridge_core::ports::Job| matches!(job.task, Task::Poll { .. }).then(|| job.user.to_string());
    world.queue.take().into_iter().filter_map(poll).collect()
}

#[tokio::test]
async fn each_source_is_polled_once_in_its_period_and_a_tick_writes_twice() {
    let world = riders(PollClass::Warm, 40).await;
    let engine = world.engine("a");
    engine.tick(SHARD).await.unwrap();
    assert_eq!(polls(&world).len(), 40, "the first tick takes all slots");
    let mut seen = Vec::new();
    for _ in 0..5 {
        world.pass_minutes(1);
        world.ledger.take_writes();
        let tick = engine.tick(SHARD).await.unwrap();
        assert_eq!(world.ledger.take_writes().1, [Key::cursor(SHARD), Key::cursor(SHARD)]);
        let now = polls(&world);
        assert_eq!(tick, Tick { polls: now.len(), due: 0 });
        assert!(!now.is_empty() && now.len() < 40);
        seen.extend(now);
        assert_eq!(engine.tick(SHARD).await.unwrap(), Tick::default(), "the minute is done");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 40);
}

#[tokio::test]
async fn a_late_tick_covers_all_minutes_each_rider_once() {
    for (class, late) in [(PollClass::Warm, 3), (PollClass::Cold, 59), (PollClass::Hot, 600)] {
        let world = riders(class, 40).await;
        let engine = world.engine("a");
        engine.tick(SHARD).await.unwrap();
        polls(&world);
        world.pass_minutes(1);
        engine.tick(SHARD).await.unwrap();
        let mut seen = polls(&world);
        world.pass_minutes(late);
        engine.tick(SHARD).await.unwrap();
        let second = polls(&world);
        let mut once = second.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), second.len(), "{class:?}");
        seen.extend(second);
        seen.sort();
        seen.dedup();
        // Four minutes are four of five slots.
        let expected = if class == PollClass::Warm { 24..=39 } else { 40..=40 };
        assert!(expected.contains(&seen.len()), "{class:?}: {}", seen.len());
    }
}

#[tokio::test]
async fn the_minutes_of_a_crashed_tick_are_done_by_another() {
    let world = riders(PollClass::Warm, 40).await;
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "a");
    crashing.tick(SHARD).await.unwrap();
    polls(&world);
    world.pass_minutes(1);
    // Ask for a stop, load breakers, read the cursor, claim it; then it dies.
    ledger.crash_at_call(5);
    assert!(crashing.tick(SHARD).await.is_err());
    let other = world.engine("b");
    assert_eq!(other.tick(SHARD).await.unwrap().polls, 0, "the claim stands");
    world.ledger.kill(crashing.owner());
    let at_once = other.tick(SHARD).await.unwrap().polls;
    assert!(at_once > 0);
    polls(&world);

    let world = riders(PollClass::Warm, 40).await;
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(Arc::new(ledger.clone()), "a");
    crashing.tick(SHARD).await.unwrap();
    polls(&world);
    world.pass_minutes(1);
    ledger.crash_at_call(5);
    assert!(crashing.tick(SHARD).await.is_err());
    world.clock.advance(world.policy.lease);
    world.engine("b").tick(SHARD).await.unwrap();
    assert_eq!(polls(&world).len(), 40, "after the lease, all minutes since");
}

#[tokio::test]
async fn two_ticks_at_once_hand_a_minute_over_once() {
    let world = riders(PollClass::Hot, 20).await;
    let (one, two) = (world.engine("a"), world.engine("b"));
    one.tick(SHARD).await.unwrap();
    polls(&world);
    world.pass_minutes(1);
    let (first, second) = tokio::join!(one.tick(SHARD), two.tick(SHARD));
    assert_eq!(first.unwrap().polls + second.unwrap().polls, 20);
    assert_eq!(polls(&world).len(), 20);
}

#[tokio::test]
async fn polls_that_the_queue_did_not_take_are_handed_over_by_the_next_tick() {
    let world = riders(PollClass::Cold, 40).await;
    let engine = world.engine("a");
    world.queue.set_away(true);
    engine.tick(SHARD).await.unwrap();
    world.queue.set_away(false);
    world.pass_minutes(1);
    engine.tick(SHARD).await.unwrap();
    assert!(polls(&world).len() >= 39, "a source in the minute that fell out of the hour comes with its next");
    let cursor = engine.store().read::<Cursor>(&Key::cursor(SHARD)).await.unwrap().unwrap();
    assert_eq!(cursor.doc.claimed, None);
}

#[tokio::test]
async fn a_removed_source_is_not_planned_any_more() {
    let world = riders(PollClass::Hot, 2).await;
    let engine = world.engine("a");
    engine.disconnect(&world.user, "igpsport").await.unwrap();
    engine.tick(SHARD).await.unwrap();
    assert_eq!(polls(&world), ["rider0"]);
}

#[tokio::test]
async fn an_eager_sweep_takes_our_own_waits_and_leaves_those_that_were_asked_for() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.work(&engine).await;
    let files = world.source.files();
    let failure = fitbridge_core::Failure::from(Code::FileTimeout);
    let asked = Some(std::time::Duration::from_secs(3600));
    let ride = fitbridge_core::domain::RideId;
    files.fail_next(&world.account, ride(1), FileError::Again { failure: failure.clone(), retry_after: asked });
    files.fail_next(&world.account, ride(2), FileError::Again { failure, retry_after: None });
    world.poll(&engine, &source).await;
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), 0);
    assert_eq!(engine.sweep(SHARD, Eagerness::Eager).await.unwrap(), 1);
    world.drain(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([2]));
    assert_eq!(engine.waiting(SHARD).await.unwrap().rides.len(), 1);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..3));
}

#[tokio::test]
async fn due_records_that_nobody_understands_do_not_stand_in_the_way() {
    let mut world = World::new();
    world.policy.in_flight = 2;
    world.source.upload_many(&world.account, 1..5);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    for number in 0..4 {
        let key = Key { scope: Scope::User(world.user.clone()), path: format!("riddle/{number}") };
        let due = Some(Due::at(SHARD, jiff::Timestamp::UNIX_EPOCH));
        let change = Change::Put { body: r#"{"schema":9}"#.into(), due, plan: None };
        world.ledger.commit(vec![Write { key, expect: Expect::Absent, change }]).await.unwrap();
    }
    engine.poll(&world.user, &source.id).await.unwrap();
    world.queue.take();
    for _ in 0..30 {
        world.pass_minutes(1);
        engine.tick(SHARD).await.unwrap();
        world.drain(&engine).await;
    }
    assert_eq!(world.at(&sink), world.files_of(1..5));
}

#[tokio::test]
async fn a_tick_is_done_only_when_its_polls_were_made() {
    let world = riders(PollClass::Hot, 5).await;
    let engine = world.engine("a");
    let (ticket, polls) = engine.begin_tick(SHARD, usize::MAX).await.unwrap().unwrap();
    assert_eq!(polls.len(), 5);
    assert!(world.engine("b").begin_tick(SHARD, usize::MAX).await.unwrap().is_none(), "one tick at a time");
    assert!(engine.give_tick_back(ticket).await.unwrap());

    // Whoever dies with its polls leaves them to the next, once its claim has ended.
    let died = world.engine("b").begin_tick(SHARD, usize::MAX).await.unwrap().unwrap();
    assert_eq!(died.1.len(), 5, "what was given back is there at once");
    world.clock.advance(world.policy.tick_lease);
    let (ticket, polls) = world.engine("c").begin_tick(SHARD, usize::MAX).await.unwrap().unwrap();
    assert_eq!(polls.len(), 5);
    assert!(!engine.finish_tick(died.0).await.unwrap(), "it has lost its claim");
    assert!(engine.finish_tick(ticket).await.unwrap());
    assert!(engine.begin_tick(SHARD, usize::MAX).await.unwrap().is_none(), "the minute is done");
}

#[tokio::test]
async fn who_has_more_polls_to_make_up_for_than_time_catches_up_bit_by_bit() {
    let world = riders(PollClass::Warm, 40).await;
    let engine = world.engine("a");
    let all = engine.begin_tick(SHARD, usize::MAX).await.unwrap().unwrap();
    assert!(engine.finish_tick(all.0).await.unwrap());
    world.pass_minutes(30);
    let (mut polled, mut next, mut ticks) = (std::collections::BTreeSet::new(), None, 0);
    while let Some((ticket, polls)) = engine.begin_tick(SHARD, 10).await.unwrap() {
        let minutes = ticket.minutes();
        assert!(polls.len() <= 10 || minutes.clone().count() == 1, "{} polls of {minutes:?}", polls.len());
        assert!(next.is_none_or(|next| next == *minutes.start()), "no minute is left out: {minutes:?}");
        next = Some(minutes.end() + 1);
        polled.extend(polls.into_iter().map(|poll| poll.user));
        ticks += 1;
        assert!(engine.finish_tick(ticket).await.unwrap());
    }
    assert_eq!(polled.len(), 40);
    assert!((4..=30).contains(&ticks), "{ticks} ticks");
    assert_eq!(next, Some(world.now().as_second().div_euclid(60) + 1));
}

#[tokio::test]
async fn what_needs_the_source_is_left_to_those_who_may_call_it() {
    let mut world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let poller = world.engine("poller");
    world.policy.calls_source = false;
    let sink = world.engine("sink");
    let source = world.connect(&poller, None).await;
    let account = world.connect_sink(&poller, "s", None).await;
    poller.poll(&world.user, &source.id).await.unwrap();
    let resolve = world.queue.take().remove(0);
    poller.work(&resolve).await.unwrap();

    let ride = fitbridge_core::domain::RideId(1);
    world.source.files().fail_next(&world.account, ride, FileError::Gone(Code::FileGone.into()));
    world.source.take_calls();
    world.drain(&sink).await;
    assert_eq!(world.source.take_calls(), [], "the stale location is not asked for by the sink");
    let due = world.ledger.due(SHARD, world.now(), 10).await.unwrap();
    assert!(due.iter().any(|row| row.key.path.starts_with("activity/")), "it is due at once: {due:?}");
    poller.sweep(SHARD, Eagerness::Due).await.unwrap();
    world.drain(&poller).await;
    assert_eq!(world.at(&account), world.files_of(1..2));
}

#[tokio::test]
async fn what_was_handed_over_and_not_begun_is_due_again_at_once() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..4);
    let engine = world.engine("a");
    world.connect(&engine, None).await;
    engine.tick(SHARD).await.unwrap();
    for job in world.queue.take() {
        engine.work(&job).await.unwrap();
    }
    let jobs = world.queue.take();
    assert!(jobs.iter().all(|job| matches!(job.task, Task::Resolve { .. })) && jobs.len() == 3, "{jobs:?}");
    world.engine("b").work(&jobs[0]).await.unwrap();
    world.queue.take();
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), 0, "all are leased");
    engine.give_jobs_back(&jobs).await.unwrap();
    assert_eq!(world.engine("c").sweep(SHARD, Eagerness::Due).await.unwrap(), 2);
    engine.give_jobs_back(&jobs).await.unwrap();
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), 0, "another has them now");
}

/// A world with so many rides that are due, and the engine that listed them.
async fn due_rides(rides: u64) -> (World, FailingLedger, Engine) {
    let mut world = World::new();
    world.policy.backfill_window = usize::try_from(rides).unwrap();
    world.source.upload_many(&world.account, 1..rides + 1);
    let failing = FailingLedger::new(Arc::new(world.ledger.clone()));
    let engine = world.engine_over(Arc::new(failing.clone()), "a");
    let source = world.connect(&engine, None).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    let listed = world.queue.take();
    assert_eq!(u64::try_from(listed.len()).unwrap(), rides);
    engine.give_jobs_back(&listed).await.unwrap();
    (world, failing, engine)
}

#[tokio::test]
async fn what_was_leased_before_a_sweep_failed_is_handed_over() {
    let mut handed_over = Vec::new();
    for crash in 1..12 {
        let (world, failing, engine) = due_rides(250).await;
        failing.crash_at_call(crash);
        let failed = engine.sweep(SHARD, Eagerness::Due).await.is_err();
        failing.revive();
        let leased = world.ledger.due(SHARD, Timestamp::MAX, 1000).await.unwrap();
        let leased = leased.iter().filter(|row| row.key.path.starts_with("activity/") && row.at > world.now()).count();
        let jobs = world.queue.take().len();
        assert!(jobs >= leased, "{jobs} jobs for {leased} leases, where call {crash} failed");
        handed_over.push((failed, jobs));
    }
    assert!(handed_over.iter().any(|(failed, jobs)| *failed && *jobs > 0), "{handed_over:?}");
}

#[tokio::test]
async fn what_the_queue_did_not_take_is_given_back_at_once() {
    let (world, _, engine) = due_rides(5).await;
    let due = world.ledger.due(SHARD, world.now(), 1000).await.unwrap().len();
    world.queue.set_away(true);
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), due);
    world.queue.set_away(false);
    assert_eq!(world.engine("b").sweep(SHARD, Eagerness::Due).await.unwrap(), due, "not only when the leases end");
    assert_eq!(world.queue.take().len(), due);
}

#[tokio::test]
async fn a_due_record_that_cannot_be_read_does_not_stand_in_the_way() {
    let (world, failing, engine) = due_rides(120).await;
    let due = world.ledger.due(SHARD, world.now(), 1000).await.unwrap();
    failing.damage(due[3].key.clone());
    assert_eq!(engine.sweep(SHARD, Eagerness::Due).await.unwrap(), due.len() - 1);
    assert_eq!(world.queue.take().len(), due.len() - 1);
}

#[tokio::test]
async fn riders_of_shards_that_are_no_more_are_polled_by_those_that_are() {
    for fewer in [1, 2] {
        let mut world = World::new();
        (world.policy.poll_class, world.policy.adaptive) = (PollClass::Warm, false);
        world.policy.shards = 4;
        let engine = world.engine("four");
        let mut sources = Vec::new();
        for number in 0..20 {
            world.user = fitbridge_core::domain::UserId::new(format!("rider{number}")).unwrap();
            world.account = FakeSource::account(&world.source, "global", &number.to_string());
            sources.push(world.connect(&engine, None).await);
        }
        for shard in (0..4).map(Shard) {
            engine.tick(shard).await.unwrap();
            world.drain(&engine).await;
        }
        // Each of them has a ride that was found, and whose message is lost.
        for source in &sources {
            world.source.upload_many(&source.account, 1..2);
            engine.poll(&source.user, &source.id).await.unwrap();
        }
        world.queue.take();

        world.policy.shards = fewer;
        let engine = world.engine("fewer");
        let mut polled = Vec::new();
        for _ in 0..8 {
            world.pass_minutes(1);
            for shard in (0..fewer).map(Shard) {
                engine.tick(shard).await.unwrap();
            }
            let is_poll = |job: &&fitbridge_core::ports::Job| matches!(job.task, Task::Poll { .. });
            polled.extend(world.drain(&engine).await.iter().filter(is_poll).map(|job| job.user.clone()));
        }
        polled.sort();
        polled.dedup();
        assert_eq!(polled.len(), 20, "{fewer} shards");
        for source in &sources {
            let id = fitbridge_core::domain::Origin::cloud_id(&source.id, fitbridge_core::domain::RideId(1));
            let ride = engine.store().activity(&source.user, &id).await.unwrap().unwrap().doc;
            assert_eq!(ride.state.name(), "fetched", "{fewer} shards");
        }
        // They have moved, so that a further change finds them.
        for shard in (fewer..4).map(Shard) {
            for slot in 0..PollClass::Warm.slots() {
                let slot = PlanSlot { shard, class: PollClass::Warm, slot };
                assert_eq!(world.ledger.planned(slot, None, 9).await.unwrap().rows, [], "{fewer} shards");
            }
            let due = world.ledger.due(shard, world.now(), 9).await.unwrap();
            assert_eq!(due, [], "{fewer} shards");
        }
    }
}

#[tokio::test]
async fn polls_that_died_with_the_process_that_had_them_are_made_by_the_next() {
    let world = riders(PollClass::Cold, 40).await;
    let engine = world.engine("a");
    engine.tick(SHARD).await.unwrap();
    polls(&world);
    for dies in [false, true] {
        let mut made = Vec::new();
        while made.is_empty() {
            world.pass_minutes(1);
            engine.tick(SHARD).await.unwrap();
            made = polls(&world);
        }
        if dies {
            world.ledger.kill(engine.owner());
        }
        world.pass_minutes(1);
        world.engine("b").tick(SHARD).await.unwrap();
        let next = polls(&world);
        assert!(made.iter().all(|user| next.contains(user) == dies), "{dies}: {made:?} {next:?}");
    }
}

#[tokio::test]
async fn no_more_is_on_the_way_to_others_than_may_be_and_what_stays_here_goes_on() {
    let mut world = World::new();
    (world.policy.in_flight, world.policy.new_at_once, world.policy.adaptive) = (5, 100, false);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.drain(&engine).await;
    // Eight rides whose downloads are due, and behind them four that the source is to be asked about.
    world.source.upload_many(&world.account, 1..9);
    engine.poll(&world.user, &source.id).await.unwrap();
    for job in world.queue.take() {
        engine.work(&job).await.unwrap();
    }
    world.pass_minutes(1);
    world.source.upload_many(&world.account, 9..13);
    engine.poll(&world.user, &source.id).await.unwrap();
    world.queue.take();

    let mut asked = std::collections::BTreeSet::new();
    for _ in 0..30 {
        world.pass_minutes(1);
        engine.tick(SHARD).await.unwrap();
        // The others stand still; what calls the source is begun here, and dies.
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            world.queue.take().into_iter().partition(|job| job.task.calls_source());
        asked.extend(here.into_iter().filter_map(|job| match job.task {
            Task::Resolve { activity } => Some(activity),
            _ => None,
        }));
        assert!(elsewhere.len() <= 5, "{} are on their way", elsewhere.len());
        world.queue.hand_over(elsewhere).await.unwrap();
    }
    assert_eq!((world.queue.len(), asked.len()), (5, 4));

    // A queue that does not say how much waits in it stops nobody.
    world.queue.set_away(true);
    world.pass_minutes(20);
    assert!(engine.sweep(SHARD, Eagerness::Due).await.unwrap() > 0);
    world.queue.set_away(false);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..13));
}
