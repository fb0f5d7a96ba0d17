//! Where secrets lie sealed.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::{ConnectionId, UserId};

/// Which secret: one per connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SealedKey {
    /// Whose.
    pub user: UserId,
    /// Of which connection.
    pub connection: ConnectionId,
}

/// Why a secret is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// There is none: the rider has to connect again.
    #[error("no secret is sealed for {0}")]
    Missing(ConnectionId),
    /// It does not open with this key, or belongs to another connection: the rider has to connect again.
    #[error("the sealed secret of {0} does not open")]
    Unsealable(ConnectionId),
    /// The vault does not answer now; try later.
    #[error("the vault is unavailable: {0}")]
    Unavailable(String),
}

/// The vault. Secrets are JSON texts whose shape the sealing side knows ([`crate::engine::secrets`]).
#[async_trait]
pub trait Vault: Send + Sync + std::fmt::Debug {
    /// Opens a secret. [`VaultError::Missing`] and [`VaultError::Unsealable`] are final: a caller pauses the connection
    /// for them. What may come back by itself (a key file on a disk that is not mounted) is
    /// [`VaultError::Unavailable`].
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError>;

    /// Seals a secret, in place of the one before. `Ok` means that it survives a crash. It fails with
    /// [`VaultError::Unavailable`] only, and then either secret may be the one that is sealed.
    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError>;

    /// Forgets a secret; `Ok` also where there was none. It fails with [`VaultError::Unavailable`] only; asked again,
    /// it does what is left.
    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError>;

    /// Forgets a secret so that nobody can restore it, also one that was forgotten before: at the end of an account.
    /// Fails as [`Vault::forget`] does, which is the same where nothing can be restored anyway.
    async fn destroy(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.forget(key).await
    }
}
