//! Vault and archive as a process reaches them.

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::{
    domain::{ContentId, UserId},
    ports::{Archive, ArchiveError, Put, SealedKey, Vault, VaultError},
};
use secrecy::SecretString;

use super::Process;
use crate::trouble::Fault;

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
        self.world.vault.open(key).await
    }

    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        self.vault_away(key).await?;
        self.world.vault.seal(key, secret).await?;
        self.tell(|| format!("seals a secret for {}", key.connection));
        self.vault_lost().await
    }

    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.vault_away(key).await?;
        self.world.vault.forget(key).await?;
        self.vault_lost().await
    }
}

#[async_trait]
impl Archive for Process {
    async fn put(&self, user: &UserId, content: ContentId, bytes: Bytes) -> Result<Put, ArchiveError> {
        self.archive_away(user).await?;
        self.world.has_no_secret("the archive", &String::from_utf8_lossy(&bytes));
        let put = self.world.archive.put(user, content, bytes).await?;
        self.wire(LONGEST).await;
        if self.hit(Fault::StorageAnswerLost, "the archive has it, its answer is lost") {
            return Err(ArchiveError::Unavailable("the answer is lost".into()));
        }
        Ok(put)
    }

    async fn open(&self, user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError> {
        self.archive_away(user).await?;
        self.world.archive.open(user, content).await
    }

    async fn delete(&self, user: &UserId, content: ContentId) -> Result<(), ArchiveError> {
        self.archive_away(user).await?;
        self.world.archive.delete(user, content).await
    }

    async fn forget_user(&self, user: &UserId) -> Result<u64, ArchiveError> {
        self.archive_away(user).await?;
        self.world.archive.forget_user(user).await
    }
}
