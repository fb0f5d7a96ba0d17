//! Walks over a long list that end before the list does, because the source fails or it is enough for one poll: they
//! go on where they were.

use std::sync::Arc;

use fitbridge_core::{
    Code, Engine, Failure,
    domain::{Connection, RideId, RowProblem},
    engine::Poll,
    ports::{PollClass, SourceError, Task},
    testkit::{FailingLedger, FakeRide, SourceCall},
};

use crate::world::{SHARD, World};

fn away() -> SourceError {
    SourceError::Away(Failure::new(Code::ProviderError, "500"))
}

/// The pages that were asked for since the last time.
fn pages(world: &World) -> Vec<u32> {
    let page = |call| if let SourceCall::List { page, .. } = call { Some(page) } else { None };
    world.source.take_calls().into_iter().filter_map(page).collect()
}

/// A source with so many rides and a sink, in a world where pages of the list fail once each.
async fn flaky(world: &World, engine: &Engine, rides: u64, failing: &[u32]) -> (Connection, Connection) {
    world.source.upload_many(&world.account, 1..rides + 1);
    let source = world.connect(engine, None).await;
    let sink = world.connect_sink(engine, "s", None).await;
    world.work(engine).await;
    for page in failing {
        world.source.fail_page(*page, away());
    }
    pages(world);
    (source, sink)
}

#[tokio::test]
async fn a_source_that_fails_now_and_then_is_read_to_the_end_of_a_long_list() {
    let world = World::new();
    let engine = world.engine("a");
    let problem = |digest: &str| RowProblem { digest: digest.into(), reason: "no number".into() };
    world.source.add_problem(&world.account, problem("odd"));
    let (source, sink) = flaky(&world, &engine, 200, &[4, 7, 7]).await;
    let mut asked = Vec::new();
    let walked = loop {
        let poll = engine.poll(&world.user, &source.id).await.unwrap();
        asked.push(pages(&world));
        let stored = world.connection(&engine, &source.id).await.doc;
        assert!(stored.backfill().is_some_and(|backfill| backfill.is_running()), "what was found so far goes on");
        match poll {
            Poll::Away(_) => assert_eq!(stored.source().unwrap().mark, None),
            poll => break poll,
        }
    };
    let wanted: [&[u32]; 4] = [&[1, 2, 3, 4], &[1, 4, 5, 6, 7], &[1, 7], &[1, 7, 8, 9, 10]];
    assert_eq!(asked, wanted, "each page once, and page 1 to see that the list stands");
    assert!(matches!(walked, Poll::Walked { ref new, undecodable: 1, .. } if new.is_empty()), "{walked:?}");
    let stored = world.connection(&engine, &source.id).await.doc;
    assert_eq!(stored.source().unwrap().broken_walk, None);
    let window = u64::try_from(world.policy.backfill_window).unwrap();
    assert_eq!(stored.backfill().unwrap().total, 200 - window, "one helping, and the rest is counted once");
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..201));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
}

#[tokio::test]
async fn a_list_that_changed_meanwhile_is_walked_from_its_beginning() {
    let world = World::new();
    let engine = world.engine("a");
    let (source, sink) = flaky(&world, &engine, 120, &[5]).await;
    assert!(matches!(world.poll(&engine, &source).await, Poll::Away(_)));
    pages(&world);
    world.source.upload(&world.account, FakeRide::generated(500));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Walked { .. }));
    assert_eq!(pages(&world), [1, 2, 3, 4, 5, 6, 7]);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of((1..121).chain([500])));
}

#[tokio::test]
async fn rows_that_shifted_before_the_failure_are_not_passed_over() {
    let world = World::new();
    let engine = world.engine("a");
    let (source, sink) = flaky(&world, &engine, 120, &[5]).await;
    world.source.upload_after_page(&world.account, 2, FakeRide::generated(500));
    assert!(matches!(world.poll(&engine, &source).await, Poll::Away(_)));
    assert_eq!(world.connection(&engine, &source.id).await.doc.source().unwrap().broken_walk, None);
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of((1..121).chain([500])));
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_broken_walk_costs_no_ride() {
    for crash in (1..60).step_by(3) {
        let world = World::new();
        let engine = world.engine("a");
        let (source, sink) = flaky(&world, &engine, 100, &[3, 4]).await;
        let failing = FailingLedger::new(Arc::new(world.ledger.clone()));
        let crashing = world.engine_over(Arc::new(failing.clone()), "b");
        failing.crash_at_call(crash);
        for _ in 0..2 {
            let _ = crashing.poll(&world.user, &source.id).await;
        }
        world.queue.take();
        world.pass_minutes(6);
        for _ in 0..3 {
            world.poll(&engine, &source).await;
        }
        world.quiet(&engine).await;
        assert_eq!(world.at(&sink), world.files_of(1..101), "crashed at call {crash}");
    }
}

/// Ticks and works each minute until the source's list was read to its end; how many pages each tick asked for.
async fn minutes_of_a_walk(world: &World, engine: &Engine, source: &Connection) -> Vec<usize> {
    let mut asked = Vec::new();
    for _ in 0..50 {
        engine.tick(SHARD).await.unwrap();
        for job in world.queue.take() {
            if matches!(job.task, Task::Poll { .. }) {
                pages(world);
                engine.work(&job).await.unwrap();
                asked.push(pages(world).len());
            } else {
                engine.work(&job).await.unwrap();
            }
        }
        world.work(engine).await;
        world.pass_minutes(1);
        let progress = world.connection(engine, &source.id).await.doc.source().unwrap().clone();
        if progress.mark.is_some() && progress.broken_walk.is_none() {
            return asked;
        }
    }
    panic!("the list was not read to its end: {asked:?}");
}

#[tokio::test]
async fn a_long_list_is_read_in_parts_a_minute_apart_and_its_rides_come_meanwhile() {
    let mut world = World::new();
    world.policy.walk_pages = 10;
    let engine = world.engine("a");
    let (source, sink) = flaky(&world, &engine, 1000, &[]).await;
    let poll = engine.poll(&world.user, &source.id).await.unwrap();
    assert!(
        matches!(&poll, Poll::GoesOn { new, filtered: 0 } if new.len() == world.policy.backfill_window),
        "{poll:?}"
    );
    world.work(&engine).await;
    assert!(!world.at(&sink).is_empty(), "the first helping does not wait for the end of the list");
    let stored = world.connection(&engine, &source.id).await;
    assert_eq!(stored.plan.unwrap().class, PollClass::Hot, "whatever the operator's floor");
    assert_eq!(minutes_of_a_walk(&world, &engine, &source).await, [11, 11, 11, 10]);
    let stored = world.connection(&engine, &source.id).await;
    assert_eq!(stored.plan.unwrap().class, PollClass::Warm);
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..1001));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
}

#[tokio::test]
async fn a_slow_list_is_read_for_so_long_and_by_a_page_at_least() {
    let world = World::new();
    let engine = world.engine("a");
    let (source, sink) = flaky(&world, &engine, 100, &[]).await;
    let (clock, long) = (world.clock.clone(), world.policy.walk_for);
    world.source.when_listed(move || {
        clock.advance(long);
    });
    assert_eq!(minutes_of_a_walk(&world, &engine, &source).await, [2, 2, 2, 2]);
    world.source.when_listed(|| {});
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..101));
}

#[tokio::test]
async fn a_process_that_ends_soon_reads_a_page_and_leaves_the_rest() {
    let world = World::new();
    let engine = world.engine("a");
    let (source, _) = flaky(&world, &engine, 100, &[]).await;
    engine.end_walks_at(Some(world.now()));
    assert_eq!(minutes_of_a_walk(&world, &engine, &source).await, [2, 2, 2, 2]);
}

#[tokio::test]
async fn a_long_list_whose_rides_are_recognised_late_is_read_whole() {
    let mut world = World::new();
    world.policy.walk_pages = 2;
    let engine = world.engine("a");
    let (source, sink) = flaky(&world, &engine, 10, &[]).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    world.source.upload_many(&world.account, 100..300);
    while matches!(world.poll(&engine, &source).await, Poll::GoesOn { .. }) {}
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of((1..11).chain(100..300)));
}

#[tokio::test]
async fn a_long_list_of_a_stranger_is_told_as_such_at_its_end() {
    let mut world = World::new();
    world.policy.walk_pages = 2;
    let engine = world.engine("a");
    let (source, _) = flaky(&world, &engine, 10, &[]).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    for ride in 1..11 {
        world.source.delete(&world.account, RideId(ride));
    }
    world.source.upload_many(&world.account, 1000..1200);
    let told = loop {
        match world.poll(&engine, &source).await {
            Poll::GoesOn { .. } => {}
            poll => break poll,
        }
    };
    assert!(matches!(&told, Poll::Paused(why) if why.code == Code::StrangerRides), "{told:?}");
    assert_eq!(world.rides(&engine).await.len(), 10, "nothing of theirs was taken");
}

#[tokio::test]
async fn a_reconcile_keeps_what_it_read_before_a_failure() {
    let mut world = World::new();
    world.policy.reconcile_pages = 4;
    let engine = world.engine("a");
    let (source, sink) = flaky(&world, &engine, 160, &[]).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    for page in [3, 4, 7] {
        world.source.fail_page(page, away());
    }
    pages(&world);
    engine.begin_reconcile(&world.user, &source.id).await.unwrap();
    world.quiet(&engine).await;
    let report = world.connection(&engine, &source.id).await.doc.source().unwrap().report.clone().unwrap();
    assert_eq!((report.found.seen, report.found.late, report.found.gone), (160, 0, 0));
    let asked = pages(&world);
    assert!(asked.iter().filter(|page| **page == 2).count() == 1, "{asked:?}");
    assert_eq!(world.at(&sink), world.files_of(1..161));
}
