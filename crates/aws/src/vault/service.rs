//! The vault that the environment chose.

use async_trait::async_trait;
use fitbridge_core::ports::{SealedKey, Vault, VaultError};
use secrecy::SecretString;

use super::{KeyringVault, PerUserSecretVault, Role};

/// One of the two vaults of this crate.
#[derive(Debug, Clone)]
pub enum ServiceVault {
    /// A secret per connection.
    PerUserSecret(PerUserSecretVault),
    /// Ciphertext in the ledger.
    Keyring(KeyringVault),
}

impl ServiceVault {
    /// Fetches what a function of this role will need for any rider, so that the first one does not wait
    /// for it. A secret per connection has nothing of that kind.
    pub async fn warm(&self, role: Role) -> Result<(), VaultError> {
        match self {
            Self::PerUserSecret(_) => Ok(()),
            Self::Keyring(vault) => vault.warm(role).await,
        }
    }

    fn vault(&self) -> &dyn Vault {
        match self {
            Self::PerUserSecret(vault) => vault,
            Self::Keyring(vault) => vault,
        }
    }
}

#[async_trait]
impl Vault for ServiceVault {
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError> {
        self.vault().open(key).await
    }

    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        self.vault().seal(key, secret).await
    }

    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.vault().forget(key).await
    }
}
