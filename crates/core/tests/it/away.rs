//! A sink that is disconnected for a while: what the rider says meanwhile holds when it is back.

use bytes::Bytes;
use fitbridge_core::{
    Code, Engine,
    domain::{Activity, ContentId, DeliveryState, RecordedFacts, Withdrawal},
    engine::import::Imported,
    ports::{Outcome, ScanReport},
    testkit::{FakeScanner, Reply},
};

use crate::world::World;

/// A file whose ride begins so many seconds into a morning; the serial of its recorder makes it the better one.
fn file(world: &World, name: &str, start_s: i64, serial: Option<&str>) -> Bytes {
    let bytes = Bytes::from(name.to_owned());
    let morning: jiff::Timestamp = "2025-05-01T06:00:00Z".parse().unwrap();
    let report = FakeScanner::ride(&bytes);
    let facts = RecordedFacts {
        start: Some(morning + jiff::SignedDuration::from_secs(start_s)),
        elapsed_s: Some(3600.0),
        product: Some(1),
        serial: serial.map(str::to_owned),
        time_created: serial.map(|_| morning),
        ..report.facts.clone()
    };
    world.scanner.report(&bytes, ScanReport { facts, ..report });
    bytes
}

async fn import(world: &World, engine: &Engine, bytes: &Bytes) -> Activity {
    match engine.import(&world.user, "x.fit", bytes.clone()).await.unwrap() {
        Imported::New(ride) => *ride,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_linked_meanwhile_is_sent_once() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let files = [("a", 0), ("b", 100_000)].map(|(name, at)| file(&world, name, at, None));
    let mut ids = Vec::new();
    for bytes in &files {
        ids.push(import(&world, &engine, bytes).await.id);
    }
    // Its key was revoked: both wait for a new one.
    world.sink.reply_always(Some(Outcome::NeedsReauth(Code::SinkReconnect.into())));
    world.work(&engine).await;
    world.sink.reply_always(None);
    engine.disconnect(&world.user, "s").await.unwrap();
    engine.link(&world.user, &ids).await.unwrap();
    world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), [ContentId::of(&files[0])], "the first named, and not the other");
}

#[tokio::test]
async fn what_was_delivered_there_stays_primary() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let (poor, good) = (file(&world, "poor", 0, None), file(&world, "good", 30, Some("aa")));
    let first = import(&world, &engine, &poor).await;
    world.work(&engine).await;
    engine.disconnect(&world.user, "s").await.unwrap();
    let second = import(&world, &engine, &good).await;
    assert_eq!(second.link.map(|link| link.to), Some(first.id));
    world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), [ContentId::of(&poor)]);
}

#[tokio::test]
async fn what_was_forgotten_meanwhile_stays_away() {
    let world = World::new();
    let engine = world.engine("a");
    let sink = world.connect_sink(&engine, "s", None).await;
    let ride = import(&world, &engine, &file(&world, "a", 0, None)).await;
    let away = Outcome::Transient { failure: Code::SinkAway.into(), retry_after: None };
    world.sink.reply_next(Reply::Say(away));
    world.work(&engine).await;
    assert!(matches!(world.delivery_state(&engine, &sink).await, DeliveryState::Retrying { .. }));
    engine.disconnect(&world.user, "s").await.unwrap();
    let forgot = engine.forget(&world.user, &ride.id, false).await.unwrap();
    assert_eq!(forgot.withdrawn.len(), 1);
    world.connect_sink(&engine, "s", None).await;
    world.quiet(&engine).await;
    assert!(world.at(&sink).is_empty());
    let forgotten = DeliveryState::Withdrawn { because: Withdrawal::Forgotten };
    assert_eq!(world.delivery_state(&engine, &sink).await, forgotten);
}
