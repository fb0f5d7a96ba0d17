//! The vault at the end of an account.

use async_trait::async_trait;
use fitbridge_core::ports::{SealedKey, Vault, VaultError};
use secrecy::SecretString;

use super::{PerUserSecretVault, ServiceVault};

/// The vault as an operator has it: what is destroyed is gone from both vaults, since a move from one to the other
/// may have left the old secret, and cannot be restored.
#[derive(Debug, Clone)]
pub struct OperatorVault {
    vault: ServiceVault,
    secrets: PerUserSecretVault,
}

impl OperatorVault {
    /// The vault in use, and the secrets per connection, which may be the same.
    pub fn new(vault: ServiceVault, secrets: PerUserSecretVault) -> Self {
        Self { vault, secrets }
    }
}

#[async_trait]
impl Vault for OperatorVault {
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError> {
        self.vault.open(key).await
    }

    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        self.vault.seal(key, secret).await
    }

    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.vault.forget(key).await
    }

    async fn destroy(&self, key: &SealedKey) -> Result<(), VaultError> {
        if let ServiceVault::Keyring(vault) = &self.vault {
            vault.forget(key).await?;
        }
        self.secrets.destroy(key).await
    }
}
