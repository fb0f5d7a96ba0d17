//! How far back connections reach.

use fitbridge_core::{
    Code,
    domain::{ActivityState, History, ListedFacts, RecordedFacts, RideId},
    engine::Poll,
    testkit::{FakeRide, FakeScanner},
};
use jiff::civil::{Date, date};

use crate::world::World;

fn dated(id: u64, date: Date) -> FakeRide {
    let facts = ListedFacts { date: Some(date), ..FakeRide::generated(id).facts };
    FakeRide { facts, ..FakeRide::generated(id) }
}

/// Rides of May, and one of the day of connecting (2025-06-01).
fn world() -> World {
    let world = World::new();
    for (id, day) in (1..=5).zip([1, 10, 20, 30, 31]) {
        world.source.upload(&world.account, dated(id, date(2025, 5, day)));
    }
    world.source.upload(&world.account, dated(6, date(2025, 6, 1)));
    world
}

#[tokio::test]
async fn all_is_the_default() {
    let world = world();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of(1..7));
}

#[tokio::test]
async fn none_lets_only_new_rides_in() {
    let world = world();
    let engine = world.engine("a");
    let source = world.connect(&engine, Some(History::None)).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let Poll::Walked { new, filtered, .. } = world.poll(&engine, &source).await else { panic!("no walk") };
    assert_eq!((new.len(), filtered), (0, 6));
    let rule = Code::BeforeConnect;
    assert_eq!(world.state(&engine, &source, 6).await, ActivityState::Filtered { rule });

    world.source.upload(&world.account, dated(7, date(2025, 6, 1)));
    world.source.upload(&world.account, dated(8, date(2025, 5, 2)));
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of([7]), "a ride of that day is new, a late upload of May is not");
    assert!(world.source.files().take_calls().len() == 1, "filtered rides cost no download");
    world.quiet(&engine).await;
    assert_eq!(world.state(&engine, &source, 8).await, ActivityState::Filtered { rule });
}

#[tokio::test]
async fn a_date_is_inclusive_and_may_be_widened_later() {
    let world = world();
    let engine = world.engine("a");
    let source = world.connect(&engine, Some(History::Since(date(2025, 5, 20)))).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of(3..7));

    // Renewing the token keeps the choice; a wider one lets the older rides in, without a new walk.
    world.connect(&engine, None).await;
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(3..7));
    world.connect(&engine, Some(History::All)).await;
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..7));
    assert_eq!(world.poll(&engine, &source).await, Poll::Idle);
}

#[tokio::test]
async fn none_after_a_removal_counts_from_the_new_connecting() {
    let world = world();
    let engine = world.engine("a");
    world.connect(&engine, Some(History::None)).await;
    engine.disconnect(&world.user, "igpsport").await.unwrap();
    world.source.upload(&world.account, dated(7, date(2025, 6, 1)));
    let source = world.connect(&engine, Some(History::None)).await;
    world.poll(&engine, &source).await;
    world.source.upload(&world.account, dated(8, date(2025, 6, 1)));
    world.poll(&engine, &source).await;
    let rule = Code::BeforeConnect;
    assert_eq!(world.state(&engine, &source, 7).await, ActivityState::Filtered { rule });
    assert!(matches!(world.state(&engine, &source, 8).await, ActivityState::Fetched { .. }));
}

#[tokio::test]
async fn a_sink_has_a_history_of_its_own() {
    let world = world();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let since = world.connect_sink(&engine, "since", Some(History::Since(date(2100, 1, 1)))).await;
    let all = world.connect_sink(&engine, "all", None).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&all), world.files_of(1..7));
    let expected: Vec<_> = world
        .rides(&engine)
        .await
        .iter()
        .filter(|ride| ride.ride.local_date().unwrap() >= date(2100, 1, 1))
        .filter_map(|ride| ride.state.content())
        .collect();
    assert_eq!(world.at(&since).len(), expected.len());
    assert!(expected.iter().all(|file| world.at(&since).contains(file)));
}

#[tokio::test]
async fn a_sink_added_later_gets_the_archive_by_its_history() {
    let world = world();
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.source.take_calls();
    let all = world.connect_sink(&engine, "all", None).await;
    let later = world.connect_sink(&engine, "later", Some(History::Since(date(2600, 1, 1)))).await;
    world.work(&engine).await;
    assert_eq!(world.at(&all), world.files_of(1..7));
    assert!(world.at(&later).is_empty());
    assert!(world.source.take_calls().is_empty(), "the archive has them");
    world.connect_sink(&engine, "later", Some(History::All)).await;
    world.work(&engine).await;
    assert_eq!(world.at(&later), world.files_of(1..7));
    assert_eq!(world.at(&all), world.files_of(1..7), "nothing twice");
}

#[tokio::test]
async fn a_long_archive_is_gone_through_over_crashes() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..201);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    let failing = fitbridge_core::testkit::FailingLedger::new(std::sync::Arc::new(world.ledger.clone()));
    let crashing = world.engine_over(std::sync::Arc::new(failing.clone()), "b");
    crashing.sweep(crate::world::SHARD, fitbridge_core::engine::Eagerness::Due).await.unwrap();
    failing.crash_at_call(4);
    assert!(crashing.settle(&world.user, &sink.id).await.is_err());
    world.queue.take();
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..201));
    assert_eq!(world.connection(&engine, &sink.id).await.doc.sink().unwrap().resume, None);
    assert!(world.source.bytes(&world.account, RideId(200)).is_some());
}

#[tokio::test]
async fn a_file_that_tells_no_local_time_passes_where_it_may_be_of_the_first_day() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", Some("2025-05-02".parse().unwrap())).await;
    let mut there = Vec::new();
    for (name, start, passes) in [("china", "2025-05-01T18:00:00Z", true), ("nowhere", "2025-05-01T09:00:00Z", false)] {
        let bytes = bytes::Bytes::from(name);
        let mut report = FakeScanner::ride(&bytes);
        report.facts = RecordedFacts { start: start.parse().ok(), utc_offset_s: None, ..report.facts };
        world.scanner.report(&bytes, report);
        engine.import(&world.user, name, bytes.clone()).await.unwrap();
        there.extend(passes.then(|| fitbridge_core::domain::ContentId::of(&bytes)));
    }
    world.work(&engine).await;
    assert_eq!(world.at(&sink), there);
}
