//! How often sources are polled: classes, what changes them, and what nobody may lose by it.

use std::sync::Arc;

use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Because, Connection, Habits, Planned, RecordedFacts, RideId, UserId},
    engine::{
        Poll,
        plan::{last_turn, next_turn, slot_of},
    },
    ports::{Key, PollClass, ScanReport, SourceError, Task},
    testkit::{FailingLedger, FakeRide, FakeScanner, FakeSource, SourceVerb},
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::world::{SHARD, World};

/// A world whose operator allows a poll each minute.
fn eager() -> World {
    let mut world = World::new();
    world.policy.poll_class = PollClass::Hot;
    world.policy.nightly = false;
    world
}

async fn place(world: &World, engine: &Engine, source: &Connection) -> (PollClass, Planned) {
    let stored = world.connection(engine, &source.id).await;
    (stored.plan.expect("a place").class, stored.doc.source().unwrap().planned.expect("a plan"))
}

/// Uploads a ride of an hour that ended then, on a wall clock two hours ahead of UTC.
fn upload(world: &World, id: u64, ended: Timestamp) {
    world.source.upload(&world.account, FakeRide::generated(id));
    let bytes = world.source.bytes(&world.account, RideId(id)).expect("it was uploaded");
    let report = FakeScanner::ride(&bytes);
    let start = Some(ended - SignedDuration::from_hours(1));
    world.scanner.report(&bytes, ScanReport { facts: RecordedFacts { start, ..report.facts }, ..report });
}

fn polls(world: &World) -> Vec<UserId> {
    let jobs = world.queue.take().into_iter();
    jobs.filter(|job| matches!(job.task, Task::Poll { .. })).map(|job| job.user).collect()
}

/// Ticks each minute until then; counts the rider's polls, and makes them.
async fn tick_for(world: &World, engine: &Engine, minutes: i64) -> usize {
    let mut count = 0;
    for _ in 0..minutes {
        world.pass_minutes(1);
        engine.tick(SHARD).await.unwrap();
        let done = world.drain(engine).await;
        count += done.iter().filter(|job| matches!(job.task, Task::Poll { .. })).count();
    }
    count
}

#[tokio::test]
async fn a_found_ride_makes_its_rider_hot_for_some_minutes() {
    let world = eager();
    upload(&world, 1, world.now() - SignedDuration::from_hours(30));
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let (class, planned) = place(&world, &engine, &source).await;
    assert_eq!((class, planned.because), (PollClass::Warm, Because::New), "history is no ride that was just found");

    upload(&world, 2, world.now());
    world.pass_minutes(5);
    world.poll(&engine, &source).await;
    let (class, planned) = place(&world, &engine, &source).await;
    assert_eq!((class, planned.because), (PollClass::Hot, Because::Found));
    world.ledger.take_writes();
    for _ in 0..9 {
        world.pass_minutes(1);
        assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
    }
    assert_eq!(world.ledger.take_writes(), (0, vec![]), "hot polls that find nothing write nothing");
    world.pass_minutes(1);
    world.poll(&engine, &source).await;
    let (class, planned) = place(&world, &engine, &source).await;
    assert_eq!((class, planned.because), (PollClass::Warm, Because::New));
    assert_eq!(world.ledger.take_writes().1, [Key::connection(&world.user, &source.id)]);

    let habits = engine.store().read::<Habits>(&Key::habits(&world.user, &source.id)).await.unwrap().unwrap().doc;
    let seen: Vec<_> = habits.arrivals.iter().map(|arrival| arrival.seen_after).collect();
    assert_eq!((seen, habits.offset_minutes), (vec![None, Some(5)], 120));
}

#[tokio::test]
async fn learned_hours_are_warm_and_the_others_cold() {
    let world = eager();
    let engine = world.engine("a");
    // 08:00 UTC on a Sunday; the rides of the last three weeks ended at 15:00 UTC.
    for day in 1..22 {
        upload(&world, day, world.now() + SignedDuration::from_hours(7 - 24 * i64::try_from(22 - day).unwrap()));
    }
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    // What is learned is looked at when the first plan ends.
    tick_for(&world, &engine, 12 * 60 + 5).await;
    let (class, planned) = place(&world, &engine, &source).await;
    assert_eq!((class, planned.because), (PollClass::Cold, Because::Learned), "{planned:?}");
    world.ledger.take_writes();
    let night = tick_for(&world, &engine, 6 * 60).await;
    assert_eq!(night, 6, "once an hour");
    assert!(world.ledger.take_writes().1.iter().all(|key| *key == Key::cursor(SHARD)), "and no write of the rider's");
    let mut afternoon = 0;
    while world.now() < "2025-06-02T15:10:00Z".parse().unwrap() {
        afternoon += tick_for(&world, &engine, 1).await;
    }
    let (class, planned) = place(&world, &engine, &source).await;
    assert_eq!((class, planned.because), (PollClass::Warm, Because::Learned), "{planned:?}");
    assert!(planned.until < "2025-06-02T18:00:00Z".parse().unwrap(), "{planned:?}");
    assert!((12..60).contains(&afternoon), "{afternoon}");
    let written = world.ledger.take_writes().1.into_iter().filter(|key| *key != Key::cursor(SHARD)).count();
    assert_eq!(written, 1, "one change of the class");
    let stored = world.connection(&engine, &source.id).await;
    let fresh = engine.freshness(&stored).await.unwrap().unwrap();
    assert_eq!(fresh.within, (20, 20));
    assert!(fresh.window_text.as_ref().is_some_and(|text| text.starts_with("15:")), "{fresh:?}");
}

#[tokio::test]
async fn a_wish_for_rides_now_is_heard_within_a_minute_and_written_once() {
    let world = eager();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    tick_for(&world, &engine, 60).await;
    assert!(engine.wake(&world.user, &source.id).await.unwrap());
    world.ledger.take_writes();
    assert_eq!(engine.wake_all(&world.user).await.unwrap(), 1, "it is awake");
    assert_eq!(world.ledger.take_writes(), (0, vec![]));
    assert_eq!(tick_for(&world, &engine, 9).await, 9);
    assert!(tick_for(&world, &engine, 60).await <= 14, "and it sleeps again");

    engine.disconnect(&world.user, "igpsport").await.unwrap();
    assert!(!engine.wake(&world.user, &source.id).await.unwrap());
}

#[tokio::test]
async fn nobody_is_polled_oftener_than_the_operator_allows() {
    for (floor, adaptive, most) in
        [(PollClass::Warm, true, 12), (PollClass::Cold, true, 1), (PollClass::Warm, false, 12)]
    {
        let mut world = eager();
        (world.policy.poll_class, world.policy.adaptive) = (floor, adaptive);
        let engine = world.engine("a");
        let source = world.connect(&engine, None).await;
        world.poll(&engine, &source).await;
        world.quiet(&engine).await;
        tick_for(&world, &engine, 60).await;
        engine.wake(&world.user, &source.id).await.unwrap();
        assert_eq!(tick_for(&world, &engine, 60).await, most, "{floor:?} {adaptive}");
    }
}

#[tokio::test]
async fn a_new_floor_holds_from_the_next_poll_on() {
    let mut world = eager();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.policy.poll_class = PollClass::Cold;
    let slower = world.engine("b");
    world.poll(&slower, &source).await;
    let stored = world.connection(&slower, &source.id).await;
    assert_eq!((stored.plan.unwrap().class, stored.doc.source().unwrap().planned), (PollClass::Cold, None));
    world.ledger.take_writes();
    world.poll(&slower, &source).await;
    assert_eq!(world.ledger.take_writes(), (0, vec![]));
}

#[tokio::test]
async fn after_a_sleep_each_source_is_polled_once_at_once() {
    for (catch_up_after, slept, all) in [(Some(5), 20, true), (Some(5), 4, false), (None, 20, false), (None, 90, true)]
    {
        let mut world = World::new();
        (world.policy.poll_class, world.policy.adaptive) = (PollClass::Cold, false);
        world.policy.catch_up_after = catch_up_after.map(SignedDuration::from_mins);
        let engine = world.engine("a");
        for number in 0..40 {
            world.user = UserId::new(format!("rider{number}")).unwrap();
            world.account = FakeSource::account(&world.source, "global", &number.to_string());
            world.connect(&engine, None).await;
        }
        engine.tick(SHARD).await.unwrap();
        world.queue.take();
        world.pass_minutes(slept);
        engine.tick(SHARD).await.unwrap();
        let mut polled = polls(&world);
        assert_eq!(polled.len() == 40, all, "{catch_up_after:?} {slept}: {}", polled.len());
        polled.sort();
        let count = polled.len();
        polled.dedup();
        assert_eq!(polled.len(), count, "each once");
    }
}

#[tokio::test]
async fn freshness_follows_from_the_plan_the_ticks_and_the_failures() {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let fresh = async || engine.freshness(&world.connection(&engine, &source.id).await).await.unwrap().unwrap();
    assert_eq!(fresh().await.last_polled_at, None, "nothing was asked yet");
    world.poll(&engine, &source).await;
    let first = world.now();
    assert_eq!(fresh().await.last_polled_at, Some(first));
    tick_for(&world, &engine, 33).await;
    let now = fresh().await;
    let slot = slot_of("me", source.id.as_str(), PollClass::Warm);
    assert_eq!((now.class, now.because), (PollClass::Warm, Because::New));
    assert_eq!(now.last_polled_at, Some(last_turn(PollClass::Warm, slot, world.now())));
    assert_eq!(now.next_poll_at, Some(next_turn(PollClass::Warm, slot, world.now())));

    // A refusal is no look at the list, and afterwards nobody asks any more.
    let good = now.last_polled_at;
    world.source.fail_always(SourceVerb::List, Some(SourceError::Refused("no".into())));
    tick_for(&world, &engine, 20).await;
    let refused = fresh().await;
    assert!(refused.last_polled_at == good && refused.next_poll_at.is_none(), "{refused:?}");
}

/// Polls that fail are no looks at the list, whoever's fault it is, and what fails is told with its beginning; with the
/// next poll that succeeds it is over.
async fn failed_polls_are_not_counted(break_it: impl Fn(&World, bool), code: Code) {
    let world = World::new();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let fresh = async || engine.freshness(&world.connection(&engine, &source.id).await).await.unwrap().unwrap();
    world.poll(&engine, &source).await;
    tick_for(&world, &engine, 33).await;
    let good = fresh().await.last_polled_at;
    break_it(&world, true);
    for _ in 0..90 {
        world.pass_minutes(1);
        engine.tick(SHARD).await.unwrap();
        for job in world.queue.take() {
            // Whether the verb fails or says that the provider is away: both are no look.
            drop(engine.work(&job).await);
        }
    }
    let failing = fresh().await;
    assert_eq!(failing.last_polled_at, good, "{failing:?}");
    let (since, failure) = failing.failing.expect("it says why");
    assert_eq!((failure.code, since > good.unwrap()), (code, true));
    break_it(&world, false);
    tick_for(&world, &engine, 70).await;
    let mended = fresh().await;
    assert_eq!(mended.failing, None);
    assert!(mended.last_polled_at >= Some(world.now() - SignedDuration::from_mins(5)), "{mended:?}");
}

#[tokio::test]
async fn polls_that_fail_for_want_of_the_vault_are_no_looks_at_the_list() {
    failed_polls_are_not_counted(|world, away| world.vault.set_away(away), Code::VaultUnavailable).await;
}

#[tokio::test]
async fn polls_that_an_outage_fails_are_no_looks_at_the_list() {
    let fail = |world: &World, away: bool| {
        let error = SourceError::Away(Failure::new(Code::ProviderTimeout, "30 s"));
        world.source.fail_always(SourceVerb::List, away.then_some(error));
    };
    failed_polls_are_not_counted(fail, Code::ProviderTimeout).await;
}

#[derive(Debug, Clone)]
enum Happening {
    /// Minutes pass, and a tick.
    Tick(i64),
    /// A tick that dies at its n-th call to the ledger.
    Dies(u64),
    Wake(usize),
    Upload(usize),
    /// The operator sets another floor.
    Floor(PollClass),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (1..4_i64).prop_map(Happening::Tick),
        2 => (5..200_i64).prop_map(Happening::Tick),
        1 => (1..8_u64).prop_map(Happening::Dies),
        1 => (0..RIDERS).prop_map(Happening::Wake),
        1 => (0..RIDERS).prop_map(Happening::Upload),
        1 => prop::sample::select(PollClass::ALL.to_vec()).prop_map(Happening::Floor),
    ]
}

const RIDERS: usize = 3;

/// Lets it all happen; after each tick everybody was polled in the cold minute that passed last, and nobody twice.
async fn everybody_is_polled(happenings: Vec<Happening>) {
    let mut world = eager();
    let mut engine = world.engine("a");
    let (mut riders, mut last, mut ids) = (Vec::new(), [Timestamp::MIN; RIDERS], 0);
    for number in 0..RIDERS {
        world.user = UserId::new(format!("rider{number}")).unwrap();
        world.account = FakeSource::account(&world.source, "global", &number.to_string());
        riders.push((world.user.clone(), world.account.clone(), world.connect(&engine, None).await));
    }
    for happening in happenings {
        match happening {
            Happening::Tick(minutes) => {
                world.pass_minutes(minutes);
                let before = world.now();
                engine.tick(SHARD).await.unwrap();
                let jobs = world.queue.take();
                for (number, (user, _, source)) in riders.iter().enumerate() {
                    let of_rider =
                        |job: &&fitbridge_core::ports::Job| job.user == *user && matches!(job.task, Task::Poll { .. });
                    let count = jobs.iter().filter(of_rider).count();
                    assert!(count <= 1, "{user} is polled {count} times by one tick");
                    if count == 1 {
                        last[number] = before;
                    }
                    let cold = slot_of(user.as_str(), source.id.as_str(), PollClass::Cold);
                    let turn = last_turn(PollClass::Cold, cold, before);
                    assert!(last[number] >= turn, "{user} was to be polled at {turn}, and was at {}", last[number]);
                }
                for job in jobs {
                    engine.work(&job).await.unwrap();
                }
                world.drain(&engine).await;
            }
            Happening::Dies(call) => {
                world.pass_minutes(1);
                let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
                let dying = world.engine_over(Arc::new(ledger.clone()), "dying");
                ledger.crash_at_call(call);
                // Whether it dies before or after its polls were handed over: those that were are made.
                drop(dying.tick(SHARD).await);
                world.ledger.kill(dying.owner());
                for job in world.queue.take() {
                    if let Some(number) = riders.iter().position(|(user, _, _)| *user == job.user) {
                        last[number] = world.now();
                    }
                    engine.work(&job).await.unwrap();
                }
            }
            Happening::Wake(number) => drop(engine.wake(&riders[number].0, &riders[number].2.id).await.unwrap()),
            Happening::Upload(number) => {
                ids += 1;
                world.source.upload(&riders[number].1, FakeRide::generated(1000 + ids));
            }
            Happening::Floor(class) => {
                world.policy.poll_class = class;
                engine = world.engine("a");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn everybody_is_polled_in_each_cold_minute_whatever_happens(
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(everybody_is_polled(happenings));
    }
}

#[tokio::test]
async fn a_plan_of_a_clock_that_was_ahead_is_made_anew() {
    let world = eager();
    upload(&world, 1, world.now() - SignedDuration::from_hours(30));
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let right = world.now();
    world.clock.advance(SignedDuration::from_hours(24 * 5));
    upload(&world, 2, world.now());
    world.poll(&engine, &source).await;
    assert_eq!(place(&world, &engine, &source).await.0, PollClass::Hot);
    world.clock.set(right);
    // The first makes the walk again that the wrong clock saw, the second is idle.
    for _ in 0..2 {
        world.pass_minutes(1);
        world.poll(&engine, &source).await;
    }
    assert_ne!(place(&world, &engine, &source).await.0, PollClass::Hot, "not for days");
}
