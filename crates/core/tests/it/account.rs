//! Everything about a rider in one bundle, and its end.

use std::{collections::BTreeMap, sync::Arc};

use fitbridge_core::{
    Code,
    domain::{ContentId, Event, Service, UserId},
    engine::{connect::Wish, secrets::SourceSecret},
    ports::{Bundle, BundleError, Key, Ledger, Scope, SealedKey, Source as _, Vault},
    store::Receipt,
    testkit::FailingLedger,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::world::World;

#[derive(Debug, Default)]
struct MemoryBundle {
    entries: Vec<(String, Vec<u8>)>,
    room: Option<usize>,
}

impl Bundle for MemoryBundle {
    fn begin(&mut self, name: &str) -> Result<(), BundleError> {
        self.entries.push((name.to_owned(), Vec::new()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BundleError> {
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(bytes.len()).ok_or_else(|| BundleError("no room".into()))?;
        }
        self.entries.last_mut().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }
}

impl MemoryBundle {
    fn get(&self, name: &str) -> &[u8] {
        &self.entries.iter().find(|(entry, _)| entry == name).unwrap_or_else(|| panic!("{name} is missing")).1
    }
}

/// A rider with rides, a sink, a channel with a secret, and somebody else beside.
async fn lived(world: &World) -> fitbridge_core::Engine {
    world.source.upload_many(&world.account, 1..31);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    world.connect_sink(&engine, "s", None).await;
    world.poll(&engine, &source).await;
    let fake = Service::new("fake").unwrap();
    let secret = SecretString::from("hush");
    let channel = engine.check_channel(&fake, &json!({ "to": "me" }), Some(&secret), false).await.unwrap();
    engine.set_channel(&world.user, channel, Some(&secret)).await.unwrap();
    engine.ensure_user(&UserId::new("other").unwrap()).await.unwrap();
    engine
}

async fn paths(world: &World, user: &UserId) -> Vec<String> {
    let page = world.ledger.range(&Scope::User(user.clone()), "", None, 10_000).await.unwrap();
    page.records.into_iter().map(|record| record.key.path).collect()
}

#[tokio::test]
async fn an_export_holds_every_record_and_file_and_says_so() {
    let world = World::new();
    let engine = lived(&world).await;
    let known = paths(&world, &world.user).await;
    let mut bundle = MemoryBundle::default();
    let exported = engine.export(&world.user, &mut bundle).await.unwrap();
    assert_eq!(exported.records.values().sum::<u64>(), known.len() as u64);
    assert_eq!((exported.files, exported.missing.len()), (30, 0));
    let mut found = Vec::new();
    for kind in exported.records.keys() {
        let text = std::str::from_utf8(bundle.get(&format!("records/{kind}.jsonl"))).unwrap();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            found.push(line["path"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(found, known);
    let manifest: Value = serde_json::from_slice(&bundle.entries.last().unwrap().1).unwrap();
    let listed: BTreeMap<&str, (&str, u64)> = manifest["entries"].as_array().unwrap().iter().map(entry).collect();
    assert_eq!(listed.len(), bundle.entries.len() - 1, "all but the manifest itself");
    for (name, bytes) in bundle.entries.iter().filter(|(name, _)| name != "manifest.json") {
        let sha256 = ContentId::of(bytes).to_string();
        assert_eq!(listed[name.as_str()], (sha256.as_str(), bytes.len() as u64), "{name}");
        assert!(!name.starts_with("files/") || *name == format!("files/{sha256}.fit"), "the original bytes");
        assert!(!String::from_utf8_lossy(bytes).contains("hush"), "no secret");
    }
    let events = engine.events(&world.user, None, None, 500).await.unwrap().0;
    assert!(events.iter().any(|event: &Event| event.kind.name() == "exported"));
}

fn entry(entry: &Value) -> (&str, (&str, u64)) {
    (entry["name"].as_str().unwrap(), (entry["sha256"].as_str().unwrap(), entry["bytes"].as_u64().unwrap()))
}

#[tokio::test]
async fn an_export_that_has_no_room_says_so() {
    let world = World::new();
    let engine = lived(&world).await;
    let mut bundle = MemoryBundle { room: Some(5000), ..MemoryBundle::default() };
    let error = engine.export(&world.user, &mut bundle).await.unwrap_err();
    assert_eq!(error.failure().code, Code::OutputUnwritable);
}

#[tokio::test]
async fn a_location_is_left_out_of_an_export() {
    let world = World::new();
    world.source.upload_many(&world.account, 1..2);
    let engine = world.engine("a");
    let source = world.connect(&engine, None).await;
    engine.poll(&world.user, &source.id).await.unwrap();
    let resolve = world.queue.take().remove(0);
    engine.work(&resolve).await.unwrap();
    let mut bundle = MemoryBundle::default();
    engine.export(&world.user, &mut bundle).await.unwrap();
    let rides = String::from_utf8_lossy(bundle.get("records/activity.jsonl"));
    assert!(rides.contains(r#""location":"left out""#), "{rides}");
}

#[tokio::test]
async fn a_deletion_leaves_a_receipt_and_nothing_else() {
    let world = World::new();
    let engine = lived(&world).await;
    let records = paths(&world, &world.user).await.len() as u64;
    let receipt = engine.delete_account(&world.user).await.unwrap();
    assert_eq!((receipt.records, receipt.files, receipt.secrets), (records, 30, 3));
    assert_eq!(receipt.done_at, Some(world.now()));
    assert!(paths(&world, &world.user).await.is_empty() && world.archive.files().is_empty());
    assert_eq!(paths(&world, &UserId::new("other").unwrap()).await, ["user"], "nobody else lost anything");
    let listed = engine.store().riders(None, 10).await.unwrap().0;
    assert!(listed.iter().all(|listed| listed.user != world.user), "the operator's list forgets the name too");
    for connection in ["notify-fake", "igpsport-global-1"] {
        let connection = fitbridge_core::domain::ConnectionId::new(connection).unwrap();
        assert!(world.vault.open(&SealedKey { user: world.user.clone(), connection }).await.is_err());
    }
    let kept = world.ledger.get(&Key::receipt(&receipt.digest)).await.unwrap().unwrap();
    assert!(!kept.body.contains(&format!("\"{}\"", world.user)), "{}", kept.body);
    // What is still in hand finds nothing to do, and due work of the rider is gone.
    world.quiet(&engine).await;
    assert!(paths(&world, &world.user).await.is_empty());
    let nothing = engine.delete_account(&UserId::new("nobody").unwrap()).await.unwrap_err();
    assert_eq!(nothing.failure().code, Code::NoSuchRider);
}

#[tokio::test]
async fn a_deletion_that_dies_anywhere_is_finished_by_the_next_and_counts_once() {
    let world = World::new();
    drop(lived(&world).await);
    let records = paths(&world, &world.user).await.len() as u64;
    let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
    let dying = world.engine_over(Arc::new(ledger.clone()), "b");
    let mut deaths = 0;
    let receipt: Receipt = loop {
        ledger.crash_at_call(4 + deaths % 7);
        match dying.delete_account(&world.user).await {
            Ok(receipt) => break receipt,
            Err(_) => deaths += 1,
        }
        ledger.revive();
        assert!(deaths < 100, "it never ends");
    };
    assert!(deaths > 0);
    assert_eq!((receipt.records, receipt.files), (records, 30));
    ledger.revive();
    assert!(paths(&world, &world.user).await.is_empty() && world.archive.files().is_empty());
}

#[tokio::test]
async fn what_a_connecting_that_died_had_sealed_goes_with_the_account() {
    // Wherever it dies: the deletion leaves no secret behind.
    for call in 1..12 {
        let world = World::new();
        let ledger = FailingLedger::new(Arc::new(world.ledger.clone()));
        let dying = world.engine_over(Arc::new(ledger.clone()), "dying");
        ledger.crash_at_call(call);
        let token = world.source.token(&world.account, world.in_days(7));
        let identities = world.source.identify(&token, Some(&world.account.realm)).await.unwrap();
        let wish = Wish { user: world.user.clone(), name: "igpsport".into(), history: None };
        let died = dying.connect_source(&wish, &identities[0], &SourceSecret { token, login: None }).await.is_err();
        let engine = world.engine("a");
        match engine.delete_account(&world.user).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.failure().code, Code::NoSuchRider),
        }
        assert_eq!(world.vault.sealed(), 0, "it died at call {call}: {died}");
    }
}

#[tokio::test]
async fn who_comes_back_begins_anew_and_may_go_again() {
    let world = World::new();
    let engine = lived(&world).await;
    engine.delete_account(&world.user).await.unwrap();
    let source = world.connect(&engine, None).await;
    world.poll(&engine, &source).await;
    assert_eq!(world.archive.files().len(), 30);
    let receipt = engine.delete_account(&world.user).await.unwrap();
    assert_eq!(receipt.files, 30);
    assert!(paths(&world, &world.user).await.is_empty());
}
