//! What the operator does with riders.

use fitbridge_core::{
    Code,
    domain::{ConnectionState, UserId},
    engine::Poll,
    ports::{SealedKey, Vault, VaultError},
};

use crate::world::World;

fn code(poll: &Poll) -> Option<Code> {
    match poll {
        Poll::Paused(failure) => Some(failure.code),
        _ => None,
    }
}

#[tokio::test]
async fn a_paused_rider_is_asked_for_nowhere_and_loses_nothing() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink).len(), 2);

    assert_eq!(engine.pause_rider(&world.user).await.unwrap(), 2);
    assert_eq!(engine.pause_rider(&world.user).await.unwrap(), 0, "it is paused already");
    world.source.upload_many(&world.account, 3..5);
    world.source.take_calls();
    assert_eq!(code(&world.poll(&engine, &source).await), Some(Code::RiderPaused));
    assert!(world.source.take_calls().is_empty());
    let token = world.source.token(&world.account, world.in_days(7));
    let wish = fitbridge_core::engine::connect::Wish { user: world.user.clone(), name: "x".into(), history: None };
    let identity = fitbridge_core::ports::Source::identify(&world.source, &token, Some("global")).await.unwrap();
    let secret = fitbridge_core::engine::secrets::SourceSecret { token, login: None };
    let refused = engine.connect_source(&wish, &identity[0], &secret).await.unwrap_err();
    assert_eq!(refused.failure().code, Code::RiderPaused, "no way round the pause");

    assert_eq!(engine.resume_rider(&world.user).await.unwrap(), 2);
    assert_eq!(engine.rider(&world.user).await.unwrap().doc.phase(), "active");
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..5));
}

#[tokio::test]
async fn a_pause_in_the_middle_of_a_delivery_lets_it_go_on_afterwards() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    engine.poll(&source.user, &source.id).await.unwrap();
    engine.pause_rider(&world.user).await.unwrap();
    world.quiet(&engine).await;
    assert!(world.at(&sink).is_empty());
    engine.resume_rider(&world.user).await.unwrap();
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..3));
}

#[tokio::test]
async fn resuming_leaves_a_connection_that_needs_its_rider() {
    let world = World::new();
    let engine = world.engine("a");
    let token = world.source.token(&world.account, world.in_days(1));
    let source = world.connect_with(&engine, None, token, None).await;
    world.pass_minutes(60 * 25);
    assert_eq!(code(&world.poll(&engine, &source).await), Some(Code::TokenExpired));
    assert_eq!(engine.pause_rider(&world.user).await.unwrap(), 0);
    assert_eq!(engine.resume_rider(&world.user).await.unwrap(), 0);
    assert_eq!(code(&world.poll(&engine, &source).await), Some(Code::TokenExpired));
}

#[tokio::test]
async fn a_removed_rider_leaves_no_secret_and_comes_back_without_doubles() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..3);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    let sink = world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert_eq!(engine.remove_rider(&world.user).await.unwrap(), 2);
    assert_eq!(engine.remove_rider(&world.user).await.unwrap(), 0);
    assert!(engine.store().riders(None, 10).await.unwrap().0.is_empty());
    let state = world.connection(&engine, &source.id).await;
    assert!(matches!(state.doc.state, ConnectionState::Removed { .. }));
    let key = SealedKey { user: world.user.clone(), connection: source.id.clone() };
    assert!(matches!(world.vault.open(&key).await, Err(VaultError::Missing(_))), "its secret is forgotten");
    let identity = fitbridge_core::ports::Sink::check(&world.sink, &serde_json::json!({"account": "s"}), None).await;
    let wish = fitbridge_core::engine::connect::Wish { user: world.user.clone(), name: "s".into(), history: None };
    let refused = engine.connect_sink(&wish, &identity.unwrap(), None).await.unwrap_err();
    assert_eq!(refused.failure().code, Code::RiderRemoved);

    assert!(engine.add_rider(&world.user).await.unwrap());
    assert!(!engine.add_rider(&world.user).await.unwrap(), "the rider is there");
    let source = world.connect(&engine, None).await;
    world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    world.quiet(&engine).await;
    assert_eq!(world.at(&sink), world.files_of(1..3), "each once");
}

#[tokio::test]
async fn the_list_comes_in_pages_and_names_everybody_once() {
    let world = World::new();
    let engine = world.engine("a");
    for number in 0..25 {
        engine.add_rider(&UserId::new(format!("rider-{number:02}")).unwrap()).await.unwrap();
    }
    world.connect(&engine, None).await;
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = engine.store().riders(after.as_ref(), 10).await.unwrap();
        assert!(page.len() <= 10);
        all.extend(page.into_iter().map(|listed| listed.user.to_string()));
        match next {
            Some(user) => after = Some(user),
            None => break,
        }
    }
    assert_eq!(all.len(), 26, "whoever connects is listed as well");
    let mut sorted = all.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(all, sorted);
    let nobody = engine.rider(&UserId::new("nobody").unwrap()).await.unwrap_err();
    assert_eq!(nobody.failure().code, Code::NoSuchRider);
}
