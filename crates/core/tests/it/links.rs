//! Links to files, for sinks that want them.

use std::time::Duration;

use fitbridge_core::{
    Code, Engine,
    domain::{Connection, DeliveryState},
    engine::{EngineError, connect::Wish},
    ports::{ArchiveError, Clock, Outcome, Sink},
    testkit::Reply,
};
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::world::{World, is_delivered};

async fn connect(world: &World, engine: &Engine) -> Result<Connection, EngineError> {
    let identity = world.sink.check(&json!({ "account": "s", "link": true }), None).await.unwrap();
    let wish = Wish { user: world.user.clone(), name: "s".into(), history: None };
    engine.connect_sink(&wish, &identity, None).await
}

#[tokio::test]
async fn where_the_archive_makes_none_a_sink_that_wants_links_is_refused() {
    let world = World::new();
    let refused = connect(&world, &world.engine("a")).await.unwrap_err();
    assert_eq!(refused.failure().code, Code::LinkUnsupported);
    world.archive.make_links();
    connect(&world, &world.engine("a")).await.unwrap();
}

#[tokio::test]
async fn each_attempt_has_a_link_of_its_own_that_lives_for_an_hour() {
    let world = World::new();
    world.archive.make_links();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let sink = connect(&world, &engine).await.unwrap();
    let away = Outcome::Transient { failure: Code::SinkAway.into(), retry_after: Some(Duration::from_secs(60)) };
    world.sink.reply_next(Reply::Say(away));
    world.work(&engine).await;
    world.clock.advance(SignedDuration::from_hours(2));
    world.work(&engine).await;
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
    let links = world.sink.links();
    let [first, second] = &links[..] else { panic!("{links:?}") };
    let file = world.files_of([1]).into_iter().next().unwrap();
    assert_eq!(second.url.expose_secret(), format!("memory://me/{file}?life=3600"));
    assert_eq!(second.expires_at, world.clock.now() + SignedDuration::from_hours(1));
    assert!(first.expires_at < world.clock.now(), "the first has ended");
}

#[tokio::test]
async fn an_archive_that_cannot_sign_now_is_tried_again() {
    let world = World::new();
    world.archive.make_links();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    let sink = connect(&world, &engine).await.unwrap();
    world.archive.refuse(Some(ArchiveError::Unavailable("no credentials".into())));
    world.work(&engine).await;
    let state = world.delivery_state(&engine, &sink).await;
    assert!(matches!(&state, DeliveryState::Retrying { failure, .. } if failure.code == Code::ArchiveUnavailable));
    world.archive.refuse(None);
    world.quiet(&engine).await;
    assert!(is_delivered(&world.delivery_state(&engine, &sink).await));
}
