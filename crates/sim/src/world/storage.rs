//! Vault and archive as a process reaches them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::{
    domain::{ContentId, UserId},
    ports::{Archive, ArchiveError, Key, Put, SealedKey, Vault, VaultError},
    store::{ContentOwner, Store},
};
use futures::FutureExt;
use secrecy::SecretString;

use super::{Process, TrueAccount, ledger::short};
use crate::{clockwork::lock, trouble::Fault};

/// The longest a call takes, ms.
const LONGEST: i64 = 8_000;

impl Process {
    async fn vault_away(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.touches(&key.user, || format!("the secret of {}", key.connection));
        self.wire(LONGEST).await;
        if self.hit(Fault::StorageAway, "the vault") { Err(VaultError::Unavailable("away".into())) } else { Ok(()) }
    }

    async fn vault_lost(&self) -> Result<(), VaultError> {
        self.wire(LONGEST).await;
        let lost = self.hit(Fault::StorageAnswerLost, "the vault did it, its answer is lost");
        if lost { Err(VaultError::Unavailable("the answer is lost".into())) } else { Ok(()) }
    }

    /// Now and then the bytes of a file are not what they were: of one that can be had again.
    fn may_damage(&self, user: &UserId, content: ContentId) {
        let store = Store::new(Arc::new(self.world.ledger.clone()));
        let owner = store.read::<ContentOwner>(&Key::content(user, &content)).now_or_never();
        let Some(Ok(Some(owner))) = owner else { return };
        let mut truth = lock(&self.world.truth);
        let is_there = |account: &TrueAccount| {
            account.rides.iter().any(|(id, ride)| {
                let is_it = owner.doc.activity.as_str().ends_with(&format!("-{:020}", id.0));
                is_it && !ride.is_deleted && ride.file.content() == content
            })
        };
        let can_be_had = truth.accounts.get(user.as_str()).is_some_and(is_there);
        if can_be_had && self.hit(Fault::FileDamaged, "a file in the archive is damaged") {
            truth.damaged.insert(content);
            self.world.archive.damage(user, content);
        }
    }

    async fn archive_away(&self, user: &UserId) -> Result<(), ArchiveError> {
        self.touches(user, || "a file".to_owned());
        self.wire(LONGEST).await;
        if self.hit(Fault::StorageAway, "the archive") { Err(ArchiveError::Unavailable("away".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Vault for Process {
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError> {
        self.vault_away(key).await?;
        if self.hit(Fault::SecretLost, "the vault has lost a secret") {
            self.world.vault.forget(key).await?;
        }
        self.world.vault.open(key).await
    }

    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        self.vault_away(key).await?;
        self.world.vault.seal(key, secret).await?;
        lock(&self.world.sealed).insert((key.user.clone(), key.connection.clone()));
        self.tell(|| format!("seals a secret for {}", key.connection));
        self.vault_lost().await
    }

    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.vault_away(key).await?;
        self.world.vault.forget(key).await?;
        lock(&self.world.sealed).remove(&(key.user.clone(), key.connection.clone()));
        self.vault_lost().await
    }
}

#[async_trait]
impl Archive for Process {
    async fn put(&self, user: &UserId, content: ContentId, bytes: Bytes) -> Result<Put, ArchiveError> {
        self.archive_away(user).await?;
        if self.hit(Fault::ArchiveFull, "the archive has no room") {
            return Err(ArchiveError::Full("no room".into()));
        }
        self.world.has_no_secret("the archive", &String::from_utf8_lossy(&bytes));
        let put = self.world.archive.put(user, content, bytes).await?;
        self.tell(|| format!("archives {} of {user}", short(&content.to_string())));
        self.wire(LONGEST).await;
        if self.hit(Fault::StorageAnswerLost, "the archive has it, its answer is lost") {
            return Err(ArchiveError::Unavailable("the answer is lost".into()));
        }
        Ok(put)
    }

    async fn open(&self, user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError> {
        self.archive_away(user).await?;
        self.may_damage(user, content);
        self.world.archive.open(user, content).await
    }

    async fn delete(&self, user: &UserId, content: ContentId) -> Result<(), ArchiveError> {
        self.archive_away(user).await?;
        self.tell(|| format!("erases {} of {user}", short(&content.to_string())));
        self.world.archive.delete(user, content).await
    }

    async fn forget_user(&self, user: &UserId) -> Result<u64, ArchiveError> {
        self.archive_away(user).await?;
        self.world.archive.forget_user(user).await
    }
}
