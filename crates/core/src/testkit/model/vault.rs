//! The same operations on a vault and on the one in memory.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use proptest::{collection::vec, prelude::*, sample::select};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    ports::{SealedKey, Vault},
    testkit::{MemoryVault, conformance::vault::key},
};

/// Whose secrets, of which connections: sources and sinks, and names that run into each other.
const KEYS: [(&str, &str); 6] = [
    ("ann", "igpsport-global-1"),
    ("ann", "intervals-i1"),
    ("ann", "intervals-i11"),
    ("an", "nintervals-i1"),
    ("ANN", "igpsport-global-1"),
    ("..", ".."),
];

/// One operation.
#[derive(Debug, Clone)]
pub enum Op {
    /// Seals a text.
    Seal(SealedKey, String),
    /// Opens it.
    Open(SealedKey),
    /// Forgets it.
    Forget(SealedKey),
    /// What is stored of it is damaged, where that can be done.
    Damage(SealedKey),
    /// What is stored of the first is put in place of the second's, where that can be done. Never back in its own
    /// place: whether an older text opens there is a matter of each vault.
    Swap(SealedKey, SealedKey),
    /// The keys are turned, and secrets sealed anew.
    Rotate,
    /// The process ends, and another one begins.
    Reopen,
}

/// A vault that is compared.
#[async_trait]
pub trait Subject: Send {
    /// The vault.
    fn vault(&self) -> Arc<dyn Vault>;

    /// Damages what is stored of a secret; `false` where there is nothing, or no way to get at it.
    async fn damage(&mut self, _key: &SealedKey) -> bool {
        false
    }

    /// Puts what is stored of one secret in place of another's; `false` where there is nothing, or no way.
    async fn swap(&mut self, _from: &SealedKey, _to: &SealedKey) -> bool {
        false
    }

    /// Turns the keys and seals anew what was sealed with the old ones, which are dropped then.
    async fn rotate(&mut self) {}

    /// Forgets what a process keeps in memory.
    async fn reopen(&mut self) {}
}

/// Some operations, as they come.
pub fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        5 => (keys(), "[a-z\"\\PC]{0,12}").prop_map(|(key, text)| Op::Seal(key, text)),
        4 => keys().prop_map(Op::Open),
        1 => keys().prop_map(Op::Forget),
        1 => keys().prop_map(Op::Damage),
        1 => (keys(), keys()).prop_map(|(from, to)| Op::Swap(from, to)),
        1 => Just(Op::Rotate),
        1 => Just(Op::Reopen),
    ];
    vec(op, 1..most)
}

fn keys() -> impl Strategy<Value = SealedKey> {
    select(&KEYS[..]).prop_map(|(user, connection)| key(user, connection))
}

/// Does the operations on an empty vault and on one in memory, and compares every answer.
///
/// # Panics
/// Where an answer differs.
pub async fn compare(ops: Vec<Op>, candidate: &mut dyn Subject) {
    let memory = MemoryVault::default();
    // Whose sealed text lies in whose place.
    let mut sealed_for: HashMap<SealedKey, SealedKey> = HashMap::new();
    for op in ops {
        match op {
            Op::Seal(key, text) => {
                let secret = SecretString::from(text);
                assert_eq!(candidate.vault().seal(&key, &secret).await, Ok(()), "{key:?}");
                assert_eq!(memory.seal(&key, &secret).await, Ok(()));
                sealed_for.insert(key.clone(), key);
            }
            Op::Open(key) => open(&*candidate.vault(), &memory, &key).await,
            Op::Forget(key) => {
                assert_eq!(candidate.vault().forget(&key).await, Ok(()), "{key:?}");
                assert_eq!(memory.forget(&key).await, Ok(()));
                sealed_for.remove(&key);
            }
            Op::Damage(key) => {
                if candidate.damage(&key).await {
                    memory.damage(&key);
                }
            }
            Op::Swap(from, to) => {
                let Some(owner) = sealed_for.get(&from).cloned() else { continue };
                if from != to && owner != to && candidate.swap(&from, &to).await {
                    memory.damage(&to);
                    sealed_for.insert(to, owner);
                }
            }
            Op::Rotate => candidate.rotate().await,
            Op::Reopen => candidate.reopen().await,
        }
    }
    for (user, connection) in KEYS {
        open(&*candidate.vault(), &memory, &key(user, connection)).await;
    }
}

async fn open(candidate: &dyn Vault, memory: &MemoryVault, key: &SealedKey) {
    let plain = |secret: SecretString| secret.expose_secret().to_owned();
    let (there, here) = (candidate.open(key).await.map(plain), memory.open(key).await.map(plain));
    assert_eq!(there, here, "{key:?}");
}
