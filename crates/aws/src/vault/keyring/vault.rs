//! The vault over a ledger and keyrings.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use fitbridge_core::{
    domain::{ConnectionId, UserId},
    ports::{
        Change, Clock, CommitError, Expect, Key, Ledger, LedgerError, Record, Scope, SealedKey, Vault, VaultError,
        Write,
    },
};
use secrecy::SecretString;

use super::{
    fetched::Fetched,
    ring::Keyring,
    sealed::{Failed, Sealed},
    source::KeySource,
};
use crate::vault::Role;

/// What the paths of sealed secrets start with.
const PREFIX: &str = "sealed/";
/// How often a seal is tried when others write the same record.
const TRIES: usize = 5;

/// What rotating a secret did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotated {
    /// It is sealed with the current key now.
    Resealed,
    /// It was already.
    Current,
    /// There is none.
    Missing,
}

/// The vault with ciphertext in the ledger.
#[derive(Debug, Clone)]
pub struct KeyringVault {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    rings: Arc<BTreeMap<Role, Fetched>>,
}

impl KeyringVault {
    /// A vault over this ledger. A role without a keyring cannot be opened or sealed here.
    pub fn new(
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        rings: impl IntoIterator<Item = (Role, Arc<dyn KeySource>)>,
    ) -> Self {
        let rings = rings.into_iter().map(|(role, source)| (role, Fetched::new(source)));
        Self { ledger, clock, rings: Arc::new(rings.collect()) }
    }

    /// Fetches a role's ring, for a function that will need it soon.
    pub async fn warm(&self, role: Role) -> Result<(), VaultError> {
        self.ring(role, None).await.map(drop)
    }

    /// Seals a secret with the current key where it is sealed with an older one.
    pub async fn rotate(&self, key: &SealedKey) -> Result<Rotated, VaultError> {
        for _ in 0..TRIES {
            let Some(record) = self.read(key).await? else { return Ok(Rotated::Missing) };
            let ring = self.ring(Role::of(&key.connection), None).await?;
            let sealed = Sealed::parse(&record.body).ok_or_else(|| unsealable(key))?;
            if sealed.kid == ring.current() {
                return Ok(Rotated::Current);
            }
            let secret = self.open_record(key, &record).await?;
            if self.write(key, Some(record.version), &ring, &secret).await? {
                return Ok(Rotated::Resealed);
            }
        }
        Err(contended())
    }

    /// Rotates all secrets of a user whose role has a keyring here, and says how many were sealed anew. One that
    /// fails does not hold up the others: what does not open is left as it is, and any other failure is told at
    /// the end.
    pub async fn rotate_user(&self, user: &UserId) -> Result<usize, VaultError> {
        let (scope, mut after, mut resealed) = (Scope::User(user.clone()), None::<String>, 0);
        let mut failed = None;
        loop {
            let page = self.ledger.range(&scope, PREFIX, after.as_deref(), 100).await.map_err(ledger_failed)?;
            for record in page.records {
                let id = record.key.path.strip_prefix(PREFIX).and_then(|id| ConnectionId::new(id).ok());
                let Some(connection) = id.filter(|id| self.rings.contains_key(&Role::of(id))) else { continue };
                let key = SealedKey { user: user.clone(), connection };
                match self.rotate(&key).await {
                    Ok(rotated) => resealed += usize::from(rotated == Rotated::Resealed),
                    Err(error @ VaultError::Unsealable(_)) => tracing::warn!(%error, "{error}: left as it is"),
                    Err(error) => failed = failed.or(Some(error)),
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return failed.map_or(Ok(resealed), Err),
            }
        }
    }

    async fn read(&self, key: &SealedKey) -> Result<Option<Record>, VaultError> {
        self.ledger.get(&record_key(key)).await.map_err(ledger_failed)
    }

    async fn open_record(&self, key: &SealedKey, record: &Record) -> Result<SecretString, VaultError> {
        let sealed = Sealed::parse(&record.body).ok_or_else(|| unsealable(key))?;
        let ring = self.ring(Role::of(&key.connection), Some(&sealed.kid)).await?;
        let bytes = ring.key(&sealed.kid).ok_or_else(|| unsealable(key))?;
        sealed.open(key, record.version, bytes).map_err(|Failed| unsealable(key))
    }

    /// Writes a sealed secret in place of a version; `false` when the record was changed meanwhile.
    async fn write(
        &self,
        key: &SealedKey,
        before: Option<u64>,
        ring: &Keyring,
        secret: &SecretString,
    ) -> Result<bool, VaultError> {
        let kid = ring.current();
        let bytes = ring.key(kid).ok_or_else(|| unsealable(key))?;
        let version = before.unwrap_or(0) + 1;
        let sealed = Sealed::seal(key, version, kid, bytes, secret).and_then(|sealed| sealed.to_body());
        let body = sealed.map_err(|Failed| VaultError::Unavailable("sealing failed".into()))?;
        self.commit(key, before, Change::Put { body, due: None, plan: None }).await
    }

    async fn commit(&self, key: &SealedKey, before: Option<u64>, change: Change) -> Result<bool, VaultError> {
        let expect = before.map_or(Expect::Absent, Expect::Version);
        match self.ledger.commit(vec![Write { key: record_key(key), expect, change }]).await {
            Ok(()) => Ok(true),
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(CommitError::Ledger(error)) => Err(ledger_failed(error)),
        }
    }

    /// A role's ring, which may still lack the key that is looked for.
    async fn ring(&self, role: Role, kid: Option<&str>) -> Result<Arc<Keyring>, VaultError> {
        let Some(ring) = self.rings.get(&role) else {
            return Err(VaultError::Unavailable(format!("this function has no keyring for the secrets of {role}s")));
        };
        ring.ring(kid, || self.clock.now()).await
    }
}

fn record_key(key: &SealedKey) -> Key {
    Key { scope: Scope::User(key.user.clone()), path: format!("{PREFIX}{}", key.connection) }
}

fn unsealable(key: &SealedKey) -> VaultError {
    VaultError::Unsealable(key.connection.clone())
}

#[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn ledger_failed(error: LedgerError) -> VaultError {
    VaultError::Unavailable(error.to_string())
}

fn contended() -> VaultError {
    VaultError::Unavailable("others keep writing the same secret".into())
}

#[async_trait]
impl Vault for KeyringVault {
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError> {
        let record = self.read(key).await?.ok_or_else(|| VaultError::Missing(key.connection.clone()))?;
        self.open_record(key, &record).await
    }

    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        let ring = self.ring(Role::of(&key.connection), None).await?;
        for _ in 0..TRIES {
            let before = self.read(key).await?.map(|record| record.version);
            if self.write(key, before, &ring, secret).await? {
                return Ok(());
            }
        }
        Err(contended())
    }

    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError> {
        for _ in 0..TRIES {
            let Some(record) = self.read(key).await? else { return Ok(()) };
            if self.commit(key, Some(record.version), Change::Delete).await? {
                return Ok(());
            }
        }
        Err(contended())
    }
}
