//! One file is one ride, by whichever inlet it came first.

use bytes::Bytes;
use fitbridge_core::{
    Code,
    domain::{ActivityState, ContentId, RideId},
    engine::import::Imported,
    ports::{Archive, Verdict},
    testkit::FakeRide,
};

use crate::world::World;

#[tokio::test]
async fn a_ride_that_was_imported_before_is_not_delivered_again() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let bytes = FakeRide::generated(1).bytes;
    let Imported::New(ride) = engine.import(&world.user, "1.fit", bytes.clone()).await.unwrap() else {
        panic!("it is new")
    };
    world.work(&engine).await;
    world.source.upload_many(&world.account, 1..3);
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let content = ContentId::of(&bytes);
    assert_eq!(world.state(&engine, &source, 1).await, ActivityState::Duplicate { of: ride.id.clone(), content });
    assert_eq!(world.at(&sink), world.files_of(1..3));
    assert_eq!(engine.owner_of(&world.user, content).await.unwrap(), Some(ride.id));
}

#[tokio::test]
async fn an_import_of_a_ride_from_the_cloud_is_a_duplicate() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    let cloud = world.ride(&engine, &source, 1).await.id;
    for _ in 0..2 {
        let imported = engine.import(&world.user, "x.fit", FakeRide::generated(1).bytes).await.unwrap();
        assert_eq!(imported, Imported::Duplicate { of: cloud.clone() });
    }
    world.work(&engine).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
}

#[tokio::test]
async fn two_cloud_rides_with_the_same_file_are_one() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    world.source.upload(&world.account, FakeRide { bytes: FakeRide::generated(1).bytes, ..FakeRide::generated(2) });
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.at(&sink), world.files_of([1]));
    let names: Vec<_> = world.rides(&engine).await.iter().map(|ride| ride.state.name()).collect();
    assert!(names.contains(&"fetched") && names.contains(&"duplicate"), "{names:?}");
}

#[tokio::test]
async fn what_is_no_ride_is_not_imported() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let (bad, settings, broken) = (Bytes::from("bad"), Bytes::from("settings"), Bytes::from("broken"));
    world.scanner.verdict(&bad, Verdict::Rejected(Code::FitNotFit));
    world.scanner.no_activity(&settings);
    world.scanner.verdict(&broken, Verdict::Salvageable(Code::FitMissingCrc));
    assert_eq!(engine.import(&world.user, "a", bad).await.unwrap(), Imported::Rejected(Code::FitNotFit));
    assert_eq!(engine.import(&world.user, "b", settings).await.unwrap(), Imported::Rejected(Code::NotActivity));
    let imported = engine.import(&world.user, "c\u{1b}.fit", broken.clone()).await.unwrap();
    assert!(matches!(imported, Imported::New(_)), "what can be read is taken: there is no better copy to wait for");
    world.work(&engine).await;
    assert_eq!(world.at(&sink), [ContentId::of(&broken)]);
    assert_eq!(world.rides(&engine).await.len(), 1);
}

#[tokio::test]
async fn a_file_that_the_archive_lost_is_fetched_again_for_a_later_sink() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let first = world.connect_sink(&engine, "first", None).await;
    world.poll(&engine, &source).await;
    let files = world.files_of([1, 2]);
    world
        .archive
        .delete(&world.user, ContentId::of(&world.source.bytes(&world.account, RideId(1)).unwrap()))
        .await
        .unwrap();
    world.archive.damage(&world.user, ContentId::of(&world.source.bytes(&world.account, RideId(2)).unwrap()));
    let later = world.connect_sink(&engine, "later", None).await;
    world.quiet(&engine).await;
    assert_eq!((world.at(&first), world.at(&later)), (files.clone(), files));
    assert!(matches!(world.state(&engine, &source, 1).await, ActivityState::Fetched { .. }));
}

#[tokio::test]
async fn a_file_that_the_archive_lost_and_nobody_has_is_told() {
    let world = World::new();
    let engine = world.engine("a");
    let bytes = FakeRide::generated(1).bytes;
    engine.import(&world.user, "1.fit", bytes.clone()).await.unwrap();
    world.archive.delete(&world.user, ContentId::of(&bytes)).await.unwrap();
    let sink = world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert_eq!(state.failure().map(|failure| failure.code), Some(Code::ArchiveMissing), "{state:?}");
}
