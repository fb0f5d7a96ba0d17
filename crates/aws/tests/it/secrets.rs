//! Both vaults over the Secrets Manager of the emulator.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_secretsmanager::types::Filter;
use fitbridge_aws::{
    context::{Environment, warm},
    testkit::moto,
    vault::{
        Dropped, KeySource, Originals, PerUserSecretVault, Recovery, Role, SETTLED_AFTER, ServiceVault, Side, migrate,
    },
};
use fitbridge_core::{
    domain::{ConnectionId, User, UserId},
    ports::{Clock as _, SealedKey, Vault, VaultError},
    store::Store,
    testkit::{ManualClock, MemoryLedger, conformance::vault as conformance, model},
};
use fitbridge_host::SystemClock;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use secrecy::{ExposeSecret, SecretString};

fn environment(more: &[(&str, &str)]) -> Environment {
    let needed =
        [("FITBRIDGE_TABLE", "table"), ("FITBRIDGE_BUCKET", "bucket"), ("FITBRIDGE_QUEUE_URL", "http://q/1/j")];
    let all = needed.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Environment::parse(all).unwrap()
}

async fn seal(vault: &dyn Vault, key: &SealedKey, text: &str) {
    vault.seal(key, &SecretString::from(text)).await.unwrap();
}

async fn open(vault: &dyn Vault, key: &SealedKey) -> Result<String, VaultError> {
    vault.open(key).await.map(|secret| secret.expose_secret().to_owned())
}

#[tokio::test]
async fn a_secret_per_user_conforms() {
    let Some(clients) = moto::clients() else { return };
    let vault = PerUserSecretVault::new(clients.secrets.clone(), "conforms", Recovery::days(7));
    conformance::suite(&vault).await;
    let at_once = PerUserSecretVault::new(clients.secrets, "conforms-at-once", Recovery::None);
    conformance::suite(&at_once).await;
}

#[tokio::test]
async fn what_is_destroyed_cannot_be_restored() {
    let Some(clients) = moto::clients() else { return };
    let vault = PerUserSecretVault::new(clients.secrets.clone(), "destroyed", Recovery::days(7));
    let (kept, forgotten, never) =
        (conformance::key("rider", "a"), conformance::key("rider", "b"), conformance::key("rider", "c"));
    for key in [&kept, &forgotten] {
        seal(&vault, key, "{}").await;
    }
    vault.forget(&forgotten).await.unwrap();
    let restore = clients.secrets.restore_secret().secret_id(vault.name(&forgotten)).send();
    restore.await.expect("an ordinary one can be restored");
    vault.forget(&forgotten).await.unwrap();
    for key in [&kept, &forgotten, &never] {
        vault.destroy(key).await.unwrap();
        assert_eq!(open(&vault, key).await, Err(VaultError::Missing(key.connection.clone())));
        let restored = clients.secrets.restore_secret().secret_id(vault.name(key)).send().await;
        assert!(restored.is_err(), "{key:?}");
    }
}

struct Named {
    vault: Arc<PerUserSecretVault>,
}

#[async_trait]
impl model::vault::Subject for Named {
    fn vault(&self) -> Arc<dyn Vault> {
        self.vault.clone()
    }
}

#[tokio::test]
async fn a_secret_per_user_answers_as_memory_does() {
    let Some(clients) = moto::clients() else { return };
    let mut runner = TestRunner::deterministic();
    for number in 0..8 {
        let ops = model::vault::ops(15).new_tree(&mut runner).unwrap().current();
        let prefix = format!("model-{number}");
        let recovery = if number % 2 == 0 { Recovery::None } else { Recovery::days(7) };
        let vault = Arc::new(PerUserSecretVault::new(clients.secrets.clone(), &prefix, recovery));
        model::vault::compare(ops, &mut Named { vault }).await;
    }
}

#[tokio::test]
async fn names_tell_sources_from_sinks() {
    let Some(clients) = moto::clients() else { return };
    let vault = PerUserSecretVault::new(clients.secrets.clone(), "named", Recovery::days(7));
    for connection in ["igpsport-global-123456", "intervals-i1"] {
        seal(&vault, &conformance::key("rider", connection), "{\"token\":\"t\"}").await;
    }
    let filter = Filter::builder().key("name".into()).values("named/").build();
    let listed = clients.secrets.list_secrets().filters(filter).send().await.unwrap();
    let mut names: Vec<_> = listed.secret_list().iter().filter_map(|secret| secret.name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["named/sink/rider/intervals-i1", "named/source/rider/igpsport-global-123456"]);
}

#[tokio::test]
async fn a_secret_that_was_deleted_behind_our_back_is_missing_and_comes_back_with_the_next_seal() {
    let Some(clients) = moto::clients() else { return };
    let vault = PerUserSecretVault::new(clients.secrets.clone(), "behind", Recovery::days(7));
    let key = conformance::key("rider", "igpsport-global-1");
    for at_once in [false, true] {
        seal(&vault, &key, "first").await;
        let delete = clients.secrets.delete_secret().secret_id(vault.name(&key));
        delete.force_delete_without_recovery(at_once).send().await.unwrap();
        assert_eq!(open(&vault, &key).await, Err(VaultError::Missing(key.connection.clone())), "{at_once}");
        assert_eq!(vault.forget(&key).await, Ok(()), "{at_once}");
        seal(&vault, &key, "second").await;
        assert_eq!(open(&vault, &key).await.unwrap(), "second", "restored or made anew: {at_once}");
    }
}

#[tokio::test]
async fn a_keyring_conforms_and_is_turned() {
    let Some(clients) = moto::clients() else { return };
    let environment = environment(&[("FITBRIDGE_VAULT", "keyring"), ("FITBRIDGE_KEYRING_SECRET", "turned/keyring")]);
    let (ledger, clock) = (MemoryLedger::default(), ManualClock::default());
    let vault = clients.vault(&environment, Arc::new(ledger.clone()), Arc::new(clock.clone()));
    let key = conformance::key("rider", "intervals-i1");
    let before = vault.seal(&key, &SecretString::from("x")).await.unwrap_err().to_string();
    assert!(before.contains("turned/keyring/sink: there is none: make it with"), "{before}");

    let keyrings = clients.keyrings("turned/keyring");
    // As a template leaves it: a secret without a value.
    clients.secrets.create_secret().name("turned/keyring/source").send().await.unwrap();
    for keys in keyrings.values() {
        assert_eq!(keys.init().await, Ok(true));
        assert_eq!(keys.init().await, Ok(false), "a ring that is there stays");
    }
    // That there was none is remembered for some seconds.
    clock.advance(jiff::SignedDuration::from_secs(30));
    warm(&ledger, &vault, Role::Sink).await;
    conformance::suite(&vault).await;

    seal(&vault, &key, "{\"token\":\"t\"}").await;
    assert_eq!(keyrings[&Role::Sink].add_key().await.unwrap().current(), "k2");
    clock.advance(jiff::SignedDuration::from_mins(6));
    let ServiceVault::Keyring(keyring) = &vault else { panic!("{vault:?}") };
    let resealed = keyring.rotate_user(&key.user).await.unwrap();
    assert!(resealed >= 1, "{resealed}");
    let now = SystemClock.now();
    let early = keyrings[&Role::Sink].drop_old_keys(now).await.unwrap();
    assert!(matches!(early, Dropped::NotBefore(_)), "a function may still seal with it: {early:?}");
    let later = now + SETTLED_AFTER + jiff::SignedDuration::from_secs(60);
    let dropped = keyrings[&Role::Sink].drop_old_keys(later).await.unwrap();
    assert_eq!(dropped, Dropped::Keys(vec!["k1".into()]));
    assert_eq!(keyrings[&Role::Sink].drop_old_keys(later).await, Ok(Dropped::Keys(vec![])), "there is no other");
    assert_eq!(keyrings[&Role::Sink].fetch().await.unwrap().kids(), ["k2"].into());
    clock.advance(jiff::SignedDuration::from_mins(6));
    assert_eq!(open(&vault, &key).await.unwrap(), "{\"token\":\"t\"}");
    assert_eq!(keyrings[&Role::Source].fetch().await.unwrap().current(), "k1", "each role has its own");
}

#[tokio::test]
async fn two_that_make_a_keyring_at_once_get_the_same() {
    let Some(clients) = moto::clients() else { return };
    let keys = clients.keyrings("raced")[&Role::Source].clone();
    let made = futures::future::join_all((0..4).map(|_| keys.init())).await;
    // The emulator may tell two of them that they made it; Secrets Manager tells one.
    assert!(made.contains(&Ok(true)) && made.iter().all(Result::is_ok), "{made:?}");
    assert_eq!(keys.init().await, Ok(false));
}

#[tokio::test]
async fn two_that_add_a_key_at_once_lose_none() {
    let Some(clients) = moto::clients() else { return };
    let keys = clients.keyrings("added")[&Role::Source].clone();
    keys.init().await.unwrap();
    let added = futures::future::join_all((0..4).map(|_| keys.add_key())).await;
    let kept = keys.fetch().await.unwrap();
    for ring in added.into_iter().flatten() {
        assert!(kept.kids().is_superset(&ring.kids()), "{kept:?} has lost a key of {ring:?}");
    }
    assert!(kept.kids().len() > 1, "{kept:?}");
}

#[tokio::test]
async fn secrets_move_between_the_vaults() {
    let Some(clients) = moto::clients() else { return };
    let (ledger, clock) = (MemoryLedger::default(), ManualClock::default());
    let store = Store::new(Arc::new(ledger.clone()));
    let user = UserId::new("rider").unwrap();
    let connections = ["igpsport-global-1", "intervals-i1"].map(|id| ConnectionId::new(id).unwrap());
    let created_at = "2026-01-01T00:00:00Z".parse().unwrap();
    let doc = User { connections: connections.to_vec(), ..User::new(user.clone(), created_at) };
    assert!(store.commit(vec![store.create(&doc, None, None).unwrap()]).await.unwrap());
    let vault =
        |environment: &Environment| clients.vault(environment, Arc::new(ledger.clone()), Arc::new(clock.clone()));
    let per_user = vault(&environment(&[("FITBRIDGE_SECRET_PREFIX", "moved")]));
    let keyring = [("FITBRIDGE_VAULT", "keyring"), ("FITBRIDGE_KEYRING_SECRET", "moved/keyring")];
    let keyring = vault(&environment(&keyring));
    for keys in clients.keyrings("moved/keyring").values() {
        keys.init().await.unwrap();
    }
    let keys = connections.map(|connection| SealedKey { user: user.clone(), connection });
    for key in &keys {
        seal(&per_user, key, key.connection.as_str()).await;
    }
    let side = |vault: &ServiceVault, in_use| Side::new(Arc::new(vault.clone()), in_use);
    let (old, new) = (side(&per_user, true), side(&keyring, false));
    let moved = migrate(&store, &user, &old, &new, Originals::Forget).await.unwrap();
    assert_eq!((moved.moved, moved.missing), (2, 0));
    for key in &keys {
        assert_eq!(open(&keyring, key).await.unwrap(), key.connection.as_str());
        assert!(matches!(open(&per_user, key).await, Err(VaultError::Missing(_))));
    }
    let (old, new) = (side(&keyring, true), side(&per_user, false));
    let back = migrate(&store, &user, &old, &new, Originals::Keep).await.unwrap();
    assert_eq!(back.moved, 2, "out of the recovery window");
}
