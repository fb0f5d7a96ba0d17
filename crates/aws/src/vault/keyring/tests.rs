//! The keyring vault over the ledger in memory and keys that a test turns.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use fitbridge_core::{
    ports::{Change, Clock, Expect, Key, Ledger, Scope, SealedKey, Vault, VaultError, Write},
    testkit::{FailingLedger, ManualClock, MemoryLedger, Moment, conformance, model},
};
use jiff::SignedDuration;
use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::{KeySource, Keyring, KeyringVault, Rotated};
use crate::vault::Role;

#[derive(Debug)]
struct TurnableKeys {
    ring: Mutex<Option<Keyring>>,
    fetches: AtomicUsize,
}

impl TurnableKeys {
    fn new() -> Arc<Self> {
        Arc::new(Self { ring: Mutex::new(Some(Keyring::generate().unwrap())), fetches: AtomicUsize::new(0) })
    }

    fn turn(&self, turn: impl FnOnce(Option<Keyring>) -> Option<Keyring>) {
        let mut ring = self.ring.lock().unwrap();
        *ring = turn(ring.take());
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl KeySource for TurnableKeys {
    async fn fetch(&self) -> Result<Keyring, VaultError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.ring.lock().unwrap().clone().ok_or_else(|| VaultError::Unavailable("switched off by the test".into()))
    }
}

struct Bench {
    ledger: MemoryLedger,
    clock: ManualClock,
    keys: Arc<TurnableKeys>,
    vault: KeyringVault,
}

fn bench() -> Bench {
    let (ledger, clock, keys) = (MemoryLedger::default(), ManualClock::default(), TurnableKeys::new());
    let vault = vault_over(Arc::new(ledger.clone()), &clock, &keys);
    Bench { ledger, clock, keys, vault }
}

fn vault_over(ledger: Arc<dyn Ledger>, clock: &ManualClock, keys: &Arc<TurnableKeys>) -> KeyringVault {
    let source: Arc<dyn KeySource> = Arc::<TurnableKeys>::clone(keys);
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    KeyringVault::new(ledger, clock, [Role::Source, Role::Sink].map(|role| (role, Arc::clone(&source))))
}

fn key(user: &str) -> SealedKey {
    conformance::vault::key(user, "intervals-i1")
}

fn path(key: &SealedKey) -> Key {
    Key { scope: Scope::User(key.user.clone()), path: format!("sealed/{}", key.connection) }
}

async fn seal(vault: &KeyringVault, key: &SealedKey, text: &str) {
    vault.seal(key, &SecretString::from(text)).await.unwrap();
}

async fn open(vault: &KeyringVault, key: &SealedKey) -> Result<String, VaultError> {
    vault.open(key).await.map(|secret| secret.expose_secret().to_owned())
}

#[tokio::test]
async fn the_keyring_vault_conforms() {
    let bench = bench();
    conformance::vault::suite(&bench.vault).await;
    assert_eq!(bench.keys.fetches(), 2, "the rings are fetched once each: {} calls", bench.keys.fetches());
}

#[tokio::test]
async fn what_lies_in_the_ledger_is_sealed_and_says_with_which_key() {
    let bench = bench();
    let key = key("rider");
    seal(&bench.vault, &key, "{\"token\":\"very secret\"}").await;
    let record = bench.ledger.get(&path(&key)).await.unwrap().unwrap();
    let body: serde_json::Value = serde_json::from_str(&record.body).unwrap();
    assert_eq!((&body["schema"], &body["kid"], &body["v"]), (&1.into(), &"k1".into(), &1.into()));
    let fields: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["ct", "kid", "nonce", "schema", "v"]);
    assert!(!record.body.contains("secret") && (record.due, record.plan) == (None, None));
    let shown = format!("{:?}", bench.vault);
    assert!(!shown.contains("very secret"), "{shown}");
}

#[tokio::test]
async fn a_row_that_was_moved_or_put_back_does_not_open() {
    let bench = bench();
    let (mine, theirs) = (key("rider"), key("stranger"));
    seal(&bench.vault, &mine, "first").await;
    let first = bench.ledger.get(&path(&mine)).await.unwrap().unwrap();
    seal(&bench.vault, &mine, "second").await;
    let put = |key: &SealedKey, expect, body: &str| {
        let change = Change::Put { body: body.to_owned(), due: None, plan: None };
        vec![Write { key: path(key), expect, change }]
    };
    bench.ledger.commit(put(&theirs, Expect::Absent, &first.body)).await.unwrap();
    assert_eq!(open(&bench.vault, &theirs).await, Err(VaultError::Unsealable(theirs.connection.clone())));
    bench.ledger.commit(put(&mine, Expect::Version(2), &first.body)).await.unwrap();
    assert_eq!(open(&bench.vault, &mine).await, Err(VaultError::Unsealable(mine.connection.clone())), "an older one");
    bench.ledger.commit(put(&mine, Expect::Version(3), "{\"schema\":2}")).await.unwrap();
    assert_eq!(open(&bench.vault, &mine).await, Err(VaultError::Unsealable(mine.connection.clone())), "a foreign one");
    seal(&bench.vault, &mine, "third").await;
    assert_eq!(open(&bench.vault, &mine).await.unwrap(), "third", "sealing again mends it");
}

#[tokio::test]
async fn keys_are_turned_while_secrets_lie_sealed() {
    let bench = bench();
    let (sealed_often, sealed_once) = (key("rider"), conformance::vault::key("rider", "igpsport-global-1"));
    seal(&bench.vault, &sealed_often, "a").await;
    seal(&bench.vault, &sealed_once, "b").await;
    bench.keys.turn(|ring| ring.unwrap().with_new_key().ok());
    assert_eq!(open(&bench.vault, &sealed_often).await.unwrap(), "a", "the old key still opens");
    bench.clock.advance(SignedDuration::from_mins(6));
    seal(&bench.vault, &sealed_often, "a2").await;
    assert_eq!(bench.vault.rotate(&sealed_often).await, Ok(Rotated::Current), "each seal uses the current key");
    assert_eq!(bench.vault.rotate_user(&sealed_once.user).await, Ok(1), "the rest is moved");
    assert_eq!(bench.vault.rotate_user(&sealed_once.user).await, Ok(0));
    assert_eq!(bench.vault.rotate(&key("nobody")).await, Ok(Rotated::Missing));
    bench.keys.turn(|ring| ring.map(|ring| ring.only_current()));
    bench.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(open(&bench.vault, &sealed_often).await.unwrap(), "a2");
    assert_eq!(open(&bench.vault, &sealed_once).await.unwrap(), "b");
}

#[tokio::test]
async fn a_key_that_is_new_here_is_asked_for_and_a_lost_one_is_told() {
    let bench = bench();
    let key = key("rider");
    seal(&bench.vault, &key, "a").await;
    // Another function has met the new key already and seals with it.
    bench.keys.turn(|ring| ring.unwrap().with_new_key().ok());
    let other = vault_over(Arc::new(bench.ledger.clone()), &bench.clock, &bench.keys);
    seal(&other, &key, "b").await;
    let before = bench.keys.fetches();
    let soon = open(&bench.vault, &key).await;
    assert!(matches!(soon, Err(VaultError::Unavailable(_))), "no rider is sent away for a moment's lag: {soon:?}");
    assert_eq!(bench.keys.fetches(), before, "and no storm of calls");
    bench.clock.advance(SignedDuration::from_secs(11));
    assert_eq!(open(&bench.vault, &key).await.unwrap(), "b");
    // The ring was lost and made anew: the rider has to connect again.
    bench.keys.turn(|_| Some(Keyring::generate().unwrap()));
    bench.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(open(&bench.vault, &key).await, Err(VaultError::Unsealable(key.connection.clone())));
}

#[tokio::test]
async fn a_ring_that_is_away_is_used_on_where_it_is_known() {
    let bench = bench();
    let key = key("rider");
    seal(&bench.vault, &key, "a").await;
    bench.keys.turn(|_| None);
    bench.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(open(&bench.vault, &key).await.unwrap(), "a");
    let fresh = vault_over(Arc::new(bench.ledger.clone()), &bench.clock, &bench.keys);
    assert!(matches!(open(&fresh, &key).await, Err(VaultError::Unavailable(_))));
    let none = KeyringVault::new(Arc::new(bench.ledger.clone()), Arc::new(bench.clock.clone()), []);
    let refused = open(&none, &key).await.unwrap_err().to_string();
    assert!(refused.contains("no keyring for the secrets of sinks"), "{refused}");
}

/// Keys that are not to be had: a call hangs until the test lets it go, and fails then.
#[derive(Debug, Default)]
struct HangingKeys {
    calls: AtomicUsize,
    let_go: tokio::sync::Notify,
}

#[async_trait]
impl KeySource for HangingKeys {
    async fn fetch(&self) -> Result<Keyring, VaultError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.let_go.notified().await;
        Err(VaultError::Unavailable("it hung".into()))
    }
}

#[tokio::test]
async fn keys_that_hang_are_asked_for_once_by_many_who_find_none() {
    let (bench, keys) = (bench(), Arc::new(HangingKeys::default()));
    let key = key("rider");
    seal(&bench.vault, &key, "a").await;
    let source: Arc<dyn KeySource> = Arc::<HangingKeys>::clone(&keys);
    let fresh =
        KeyringVault::new(Arc::new(bench.ledger.clone()), Arc::new(bench.clock.clone()), [(Role::Sink, source)]);
    let all = futures::future::join_all((0..50).map(|_| open(&fresh, &key)));
    let (opened, ()) = futures::join!(all, async { keys.let_go.notify_one() });
    assert!(opened.iter().all(|opened| matches!(opened, Err(VaultError::Unavailable(_)))), "{opened:?}");
    assert_eq!(keys.calls.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_known_ring_is_used_while_another_is_fetched_and_for_a_while_after_that_failed() {
    let bench = bench();
    let key = key("rider");
    seal(&bench.vault, &key, "a").await;
    let keys = Arc::new(TurningToHang { keys: Arc::clone(&bench.keys), hanging: HangingKeys::default() });
    let source: Arc<dyn KeySource> = Arc::<TurningToHang>::clone(&keys);
    let vault =
        KeyringVault::new(Arc::new(bench.ledger.clone()), Arc::new(bench.clock.clone()), [(Role::Sink, source)]);
    assert_eq!(open(&vault, &key).await.unwrap(), "a");
    bench.keys.turn(|_| None);
    bench.clock.advance(SignedDuration::from_mins(6));
    let first = open(&vault, &key);
    futures::pin_mut!(first);
    assert!(futures::poll!(&mut first).is_pending(), "one fetches");
    let others = futures::future::join_all((0..50).map(|_| open(&vault, &key))).await;
    assert!(others.into_iter().all(|opened| opened.unwrap() == "a"), "nobody else waits for it");
    keys.hanging.let_go.notify_one();
    assert_eq!(first.await.unwrap(), "a");
    bench.clock.advance(SignedDuration::from_secs(15));
    assert_eq!(open(&vault, &key).await.unwrap(), "a");
    assert_eq!(keys.hanging.calls.load(Ordering::SeqCst), 1, "not again at once");
    bench.clock.advance(SignedDuration::from_secs(10));
    keys.hanging.let_go.notify_one();
    assert_eq!(open(&vault, &key).await.unwrap(), "a");
    assert_eq!(keys.hanging.calls.load(Ordering::SeqCst), 2);
}

/// Keys that hang when there are none.
#[derive(Debug)]
struct TurningToHang {
    keys: Arc<TurnableKeys>,
    hanging: HangingKeys,
}

#[async_trait]
impl KeySource for TurningToHang {
    async fn fetch(&self) -> Result<Keyring, VaultError> {
        match self.keys.fetch().await {
            Ok(ring) => Ok(ring),
            Err(_) => self.hanging.fetch().await,
        }
    }
}

#[tokio::test]
async fn a_ledger_that_fails_is_told_and_a_lost_answer_is_no_loss() {
    let (memory, clock, keys) = (MemoryLedger::default(), ManualClock::default(), TurnableKeys::new());
    let failing = FailingLedger::new(Arc::new(memory.clone()));
    let vault = vault_over(Arc::new(failing.clone()), &clock, &keys);
    let key = key("rider");
    failing.fail_commit(1, Moment::After);
    let sealed = vault.seal(&key, &SecretString::from("a")).await;
    assert!(matches!(sealed, Err(VaultError::Unavailable(_))), "{sealed:?}");
    seal(&vault, &key, "b").await;
    assert_eq!(open(&vault, &key).await.unwrap(), "b");
}

#[tokio::test]
async fn many_that_seal_at_once_leave_one_that_opens() {
    let bench = bench();
    let key = key("rider");
    let texts: Vec<_> = (0..5).map(|number| SecretString::from(format!("text {number}"))).collect();
    let sealed = futures::future::join_all(texts.iter().map(|text| bench.vault.seal(&key, text))).await;
    assert!(sealed.iter().all(Result::is_ok), "{sealed:?}");
    assert!(open(&bench.vault, &key).await.unwrap().starts_with("text "));
}

#[async_trait]
impl model::vault::Subject for Bench {
    fn vault(&self) -> Arc<dyn Vault> {
        Arc::new(vault_over(Arc::new(self.ledger.clone()), &self.clock, &self.keys))
    }

    async fn damage(&mut self, key: &SealedKey) -> bool {
        let Ok(Some(record)) = self.ledger.get(&path(key)).await else { return false };
        let mut body: serde_json::Value = serde_json::from_str(&record.body).unwrap();
        // Cut, not changed: a change that is done twice may mend it.
        let sealed = body["ct"].as_str().unwrap();
        body["ct"] = sealed[..sealed.len().saturating_sub(4)].into();
        self.put(key, body.to_string()).await
    }

    async fn swap(&mut self, from: &SealedKey, to: &SealedKey) -> bool {
        let Ok(Some(record)) = self.ledger.get(&path(from)).await else { return false };
        self.put(to, record.body).await
    }

    async fn rotate(&mut self) {
        self.keys.turn(|ring| ring.unwrap().with_new_key().ok());
        self.clock.advance(SignedDuration::from_mins(6));
        let vault = vault_over(Arc::new(self.ledger.clone()), &self.clock, &self.keys);
        for user in ["ann", "an", "ANN", ".."] {
            // What is damaged stays so.
            drop(vault.rotate_user(&conformance::vault::key(user, "any").user).await);
        }
        self.keys.turn(|ring| ring.map(|ring| ring.only_current()));
        self.clock.advance(SignedDuration::from_mins(6));
    }
}

impl Bench {
    async fn put(&self, key: &SealedKey, body: String) -> bool {
        let version = self.ledger.get(&path(key)).await.unwrap().map(|record| record.version);
        let expect = version.map_or(Expect::Absent, Expect::Version);
        let change = Change::Put { body, due: None, plan: None };
        self.ledger.commit(vec![Write { key: path(key), expect, change }]).await.is_ok()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_keyring_vault_answers_as_memory_does(ops in model::vault::ops(40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(model::vault::compare(ops, &mut bench()));
    }
}
