//! Looking whether everything is where it should be: what is found, what is mended, what is only told.

use std::sync::Arc;

use fitbridge_core::{
    Code, Engine,
    domain::{
        Activity, ActivityState, Connection, ConnectionState, Delivery, DeliveryState, Report, RideId, RowProblem,
    },
    engine::{Eagerness, Poll, Reconciled},
    ports::{Archive, Key, SourceError},
    store::Stored,
    testkit::{FailingLedger, FakeRide, SourceCall, SourceVerb},
};
use proptest::prelude::*;

use crate::world::{SHARD, World};

async fn report(world: &World, engine: &Engine, source: &Connection) -> Report {
    let stored = world.connection(engine, &source.id).await.doc;
    let progress = stored.source().unwrap();
    assert!(progress.reconcile.is_none(), "{:?}", progress.reconcile);
    progress.report.as_deref().cloned().expect("a report")
}

/// Asks for a reconcile and lets it come to its end.
async fn reconciled(world: &World, engine: &Engine, source: &Connection) -> Report {
    assert!(engine.begin_reconcile(&world.user, &source.id).await.unwrap());
    world.quiet(engine).await;
    report(world, engine, source).await
}

async fn synced(rides: u64) -> (World, Engine, Connection, Connection) {
    let world = World::new();
    world.source.upload_many(&world.account, 1..rides + 1);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    world.source.take_calls();
    (world, engine, source, sink)
}

/// Writes a record as nobody should: what a bug or a lost write would leave.
async fn break_ride(world: &World, engine: &Engine, ride: &Activity) {
    let stored = engine.store().activity(&world.user, &ride.id).await.unwrap().unwrap();
    let write = stored.replace(ride, None).unwrap();
    assert!(engine.store().commit(vec![write]).await.unwrap());
}

#[tokio::test]
async fn where_all_is_well_it_says_so_and_costs_the_pages_of_the_list() {
    let (world, engine, source, sink) = synced(250).await;
    let files = world.at(&sink);
    let found = reconciled(&world, &engine, &source).await.found;
    assert_eq!((found.seen, found.late, found.repaired, found.gone, found.missing), (250, 0, 0, 0, 0), "{found:?}");
    assert_eq!(found.notes, Vec::<String>::new());
    let calls = world.source.take_calls();
    assert_eq!(calls.len(), 13 + 1, "13 pages, and page 1 once more: {calls:?}");
    assert_eq!(world.at(&sink), files, "nothing is sent again");
    assert_eq!(engine.store().all::<fitbridge_core::store::SeenRides>(&world.user, "seen/").await.unwrap(), []);
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
}

#[tokio::test]
async fn it_finds_what_came_late_and_tells_what_went() {
    let (world, engine, source, sink) = synced(60).await;
    // Together they leave page 1 and the count as they were, so that no poll sees them.
    world.source.delete(&world.account, RideId(3));
    let late = FakeRide { id: RideId(700), facts: FakeRide::generated(5).facts, ..FakeRide::generated(700) };
    world.source.upload(&world.account, late);
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
    let told = reconciled(&world, &engine, &source).await;
    assert!(told.asked);
    let found = told.found;
    assert_eq!((found.late, found.gone, found.repaired), (1, 1, 0), "{found:?}");
    assert!(found.notes.iter().any(|note| note.contains("ride 3 of ")), "{found:?}");
    assert_eq!(
        world.at(&sink),
        world
            .files_of((1..61).filter(|ride| *ride != 3).chain([700]))
            .into_iter()
            .chain([deleted(3)])
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
    assert!(matches!(world.state(&engine, &source, 3).await, ActivityState::Fetched { .. }), "it stays here");
}

fn deleted(ride: u64) -> fitbridge_core::domain::ContentId {
    fitbridge_core::domain::ContentId::of(&FakeRide::generated(ride).bytes)
}

#[tokio::test]
async fn it_mends_what_was_lost_on_the_way() {
    let (world, engine, source, sink) = synced(45).await;
    // A ride and a delivery that nobody is at work on, a delivery that is lacking, two files that are lost.
    let mut lost = world.ride(&engine, &source, 7).await;
    lost.state = ActivityState::Discovered;
    break_ride(&world, &engine, &lost).await;
    let deliveries = engine.store().all::<Delivery>(&world.user, "delivery/").await.unwrap();
    let of = |ride: &str| deliveries.iter().find(|one| one.doc.rider_id() == ride).expect("a delivery").clone();
    let open: Stored<Delivery> = of("11");
    let pending = Delivery { state: DeliveryState::Pending, ..open.doc.clone() };
    let lacking = of("12");
    let delete = fitbridge_core::ports::Write {
        key: Key::delivery(&world.user, &sink.id, &lacking.doc.content),
        expect: fitbridge_core::ports::Expect::Version(lacking.version),
        change: fitbridge_core::ports::Change::Delete,
    };
    assert!(engine.store().commit(vec![open.replace(&pending, None).unwrap(), delete]).await.unwrap());
    world.archive.damage(&world.user, of("20").doc.content);
    world.archive.delete(&world.user, of("21").doc.content).await.unwrap();
    let files = world.at(&sink);

    let found = reconciled(&world, &engine, &source).await.found;
    assert_eq!((found.repaired, found.gone, found.late), (5, 0, 0), "{found:?}");
    for ride in 1..46 {
        let state = world.state(&engine, &source, ride).await;
        let ActivityState::Fetched { content, .. } = state else { panic!("ride {ride} is {state:?}") };
        assert!(world.archive.open(&world.user, content).await.is_ok(), "the file of ride {ride}");
    }
    assert!(world.deliveries(&engine, &sink).await.iter().all(|one| one.state.name() == "delivered"));
    assert_eq!(world.at(&sink), files, "a sink that knows its files has each once");
    let found = reconciled(&world, &engine, &source).await.found;
    assert_eq!(found.repaired, 0, "{found:?}");
}

#[tokio::test]
async fn what_a_readable_sink_lost_is_told_and_not_sent_again() {
    let world = World::new();
    world.sink.set_rides(Vec::new());
    world.source.upload_many(&world.account, 1..6);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    world.pass_minutes(1);
    // The fake lists what the test says, and that is nothing: the rider deleted all five.
    let found = reconciled(&world, &engine, &source).await.found;
    assert_eq!(found.missing, 5, "{found:?}");
    assert_eq!(world.at(&sink), world.files_of(1..6), "nothing is sent again");
}

#[tokio::test]
async fn each_night_there_is_one_and_else_idle_polls_write_nothing() {
    let (mut world, _, source, _) = synced(30).await;
    // Its place in the plan is another matter, and settled with the first poll.
    world.policy.adaptive = false;
    let engine = world.engine("a");
    world.poll(&engine, &source).await;
    let mut reports = std::collections::BTreeSet::new();
    let (mut polls, mut writes) = (0, 0);
    for _ in 0..(3 * 24 * 12) {
        world.pass_minutes(5);
        world.ledger.take_writes();
        assert_eq!(engine.poll(&world.user, &source.id).await.unwrap(), Poll::Idle);
        polls += 1;
        writes += world.ledger.take_writes().0;
        world.work(&engine).await;
        if !world.connection(&engine, &source.id).await.doc.has_work() {
            reports.extend(
                world.connection(&engine, &source.id).await.doc.source().unwrap().report.clone().map(|one| one.at),
            );
        } else {
            world.quiet(&engine).await;
        }
    }
    assert_eq!(reports.len(), 3, "one a night: {reports:?}");
    assert_eq!(writes, 3, "of {polls} idle polls only those that begin a reconcile write");
    for at in reports {
        let hour = jiff::tz::Offset::UTC.to_datetime(at).hour();
        assert!(hour <= 5, "{at} is not at night");
    }
}

#[tokio::test]
async fn one_at_a_time_and_a_paused_source_is_left_alone() {
    let (world, engine, source, _) = synced(45).await;
    assert!(engine.begin_reconcile(&world.user, &source.id).await.unwrap());
    assert!(!engine.begin_reconcile(&world.user, &source.id).await.unwrap(), "one is under way");
    world.source.fail_next(SourceVerb::List, SourceError::BadToken("no".into()));
    let waits = engine.reconcile(&world.user, &source.id).await.unwrap();
    assert!(matches!(waits, Reconciled::Waits(_)), "{waits:?}");
    assert!(matches!(world.connection(&engine, &source.id).await.doc.state, ConnectionState::Paused { .. }));
    world.source.take_calls();
    world.quiet(&engine).await;
    assert_eq!(world.source.take_calls(), []);
    let refused = engine.begin_reconcile(&world.user, &source.id).await.unwrap_err();
    assert_eq!(refused.failure().code, Code::TokenInvalid);
    world.connect(&engine, None).await;
    world.quiet(&engine).await;
    assert_eq!(report(&world, &engine, &source).await.found.seen, 45, "it goes on with the new token");
}

#[tokio::test]
async fn a_list_that_changes_meanwhile_is_read_again_and_nothing_is_called_gone_by_mistake() {
    let (world, engine, source, sink) = synced(45).await;
    for (turn, page) in [(0, 1), (1, 1), (2, 1), (3, 2)] {
        world.source.upload_after_page(&world.account, page, FakeRide::generated(900 + turn));
    }
    let found = reconciled(&world, &engine, &source).await.found;
    assert_eq!(found.gone, 0, "{found:?}");
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of((1..46).chain(900..904)));
}

#[tokio::test]
async fn a_crash_at_any_step_costs_a_delay_only() {
    for crash in (1..130).step_by(6) {
        let (world, engine, source, sink) = synced(45).await;
        let mut lost = world.ride(&engine, &source, 7).await;
        lost.state = ActivityState::Discovered;
        break_ride(&world, &engine, &lost).await;
        assert!(engine.begin_reconcile(&world.user, &source.id).await.unwrap());
        let failing = FailingLedger::new(Arc::new(world.ledger.clone()));
        let crashing = world.engine_over(Arc::new(failing.clone()), "b");
        failing.crash_at_call(crash);
        for _ in 0..8 {
            let _ = crashing.sweep(SHARD, Eagerness::Due).await;
            for job in world.queue.take() {
                let _ = crashing.work(&job).await;
            }
        }
        world.pass_minutes(6);
        world.quiet(&engine).await;
        let found = report(&world, &engine, &source).await.found;
        assert_eq!((found.gone, found.late), (0, 0), "crashed at call {crash}: {found:?}");
        assert!(found.repaired >= 1, "crashed at call {crash}: {found:?}");
        assert_eq!(world.at(&sink), world.files_of(1..46), "crashed at call {crash}");
        let pages = world.source.take_calls();
        let pages = pages.iter().filter(|call| matches!(call, SourceCall::List { .. })).count();
        assert!(pages <= 2 * 4, "crashed at call {crash}: {pages} pages of 3");
    }
}

/// What may happen between two looks.
#[derive(Debug, Clone)]
enum Event {
    Upload(u64),
    Late(u64),
    Delete(u64),
    Poll,
    Reconcile,
    Work,
    Crash(u64),
    Minutes(i64),
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0..400_u64).prop_map(Event::Upload),
        2 => (0..400_u64).prop_map(Event::Late),
        2 => (0..400_u64).prop_map(Event::Delete),
        3 => Just(Event::Poll),
        2 => Just(Event::Reconcile),
        4 => Just(Event::Work),
        2 => (1..60_u64).prop_map(Event::Crash),
        3 => (1..40_i64).prop_map(Event::Minutes),
    ]
}

async fn whatever_happens(first: u64, events: Vec<Event>) {
    let world = World::new();
    world.source.upload_many(&world.account, 1000..1000 + first);
    // One that stays, else the list might pass for somebody else's.
    world.source.upload(&world.account, FakeRide::generated(999));
    let failing = FailingLedger::new(Arc::new(world.ledger.clone()));
    let engine = world.engine_over(Arc::new(failing.clone()), "a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    for event in events {
        match event {
            Event::Upload(id) => world.source.upload(&world.account, FakeRide::generated(2000 + id)),
            Event::Late(id) => {
                let facts = FakeRide::generated(500 + id).facts;
                world.source.upload(&world.account, FakeRide { facts, ..FakeRide::generated(3000 + id) });
            }
            Event::Delete(id) => world.source.delete(&world.account, RideId(1000 + id)),
            Event::Poll => drop(engine.poll(&world.user, &source.id).await),
            Event::Reconcile => drop(engine.begin_reconcile(&world.user, &source.id).await),
            Event::Work => {
                let _ = engine.sweep(SHARD, Eagerness::Due).await;
                for job in world.queue.take() {
                    let _ = engine.work(&job).await;
                }
            }
            Event::Crash(calls) => {
                failing.crash_at_call(calls);
                let _ = engine.poll(&world.user, &source.id).await;
                let _ = engine.sweep(SHARD, Eagerness::Due).await;
                for job in world.queue.take() {
                    let _ = engine.work(&job).await;
                }
                world.queue.take();
                failing.revive();
            }
            Event::Minutes(minutes) => world.pass_minutes(minutes),
        }
    }
    // It falls quiet: a last reconcile finds whatever shifting lists hid.
    world.pass_minutes(10);
    world.quiet(&engine).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    if engine.begin_reconcile(&world.user, &source.id).await.unwrap() {
        world.quiet(&engine).await;
    }
    let upstream: Vec<u64> = (999..1000 + first)
        .chain(2000..2400)
        .chain(3000..3400)
        .filter(|ride| world.source.bytes(&world.account, RideId(*ride)).is_some())
        .collect();
    let there = world.at(&sink);
    for file in world.files_of(upstream) {
        assert!(there.contains(&file), "a ride that is upstream is not at the sink");
    }
    let mut once = there.clone();
    once.dedup();
    assert_eq!(once, there, "exactly once");
    for ride in world.rides(&engine).await {
        assert!(ride.state.stage().is_none() && ride.state != ActivityState::Backlog, "{ride:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_comes_and_goes_all_that_is_upstream_arrives(
        first in 0..130_u64,
        events in prop::collection::vec(events(), 1..50),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(whatever_happens(first, events));
    }
}

#[tokio::test]
async fn many_new_rides_are_no_strangers_however_far_a_step_reads() {
    for (new, fails) in [(25, true), (250, false), (250, true)] {
        let (world, engine, source, sink) = synced(30).await;
        world.source.upload_many(&world.account, 1000..1000 + new);
        if fails {
            world.source.fail_page(2, SourceError::Away(Code::ProviderError.into()));
        }
        let found = reconciled(&world, &engine, &source).await.found;
        assert!(world.connection(&engine, &source.id).await.doc.is_active());
        assert_eq!((found.seen, found.late), (30 + new, new), "{new} {fails}");
        assert_eq!(world.at(&sink), world.files_of((1..31).chain(1000..1000 + new)));
    }
}

#[tokio::test]
async fn rides_of_somebody_else_are_known_for_it_at_the_end_of_their_list_and_none_is_taken() {
    let (world, engine, source, _) = synced(30).await;
    for ride in 1..31 {
        world.source.delete(&world.account, RideId(ride));
    }
    world.source.upload_many(&world.account, 1000..1250);
    assert!(engine.begin_reconcile(&world.user, &source.id).await.unwrap());
    world.quiet(&engine).await;
    let paused = world.connection(&engine, &source.id).await.doc.paused().cloned();
    assert_eq!(paused.map(|why| why.code), Some(Code::StrangerRides));
    assert_eq!(world.rides(&engine).await.len(), 30);
}

#[tokio::test]
async fn a_row_that_only_a_reconcile_saw_and_could_not_decode_is_named_as_if_a_poll_had_seen_it() {
    let (world, engine, source, _sink) = synced(3).await;
    let problem = RowProblem { digest: "odd".into(), reason: "no number".into() };
    world.source.add_problem(&world.account, problem.clone());
    reconciled(&world, &engine, &source).await;
    let named = world.connection(&engine, &source.id).await.doc.source().unwrap().problems.clone();
    assert_eq!(named, [problem]);
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle, "nothing would look again");
}
