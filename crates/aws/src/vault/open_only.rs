//! A vault that can only be opened.

use async_trait::async_trait;
use fitbridge_core::ports::{SealedKey, Vault, VaultError};
use secrecy::SecretString;

use super::ServiceVault;

/// The vault of a function that renews and forgets no secret. Its role may not either; here it cannot even
/// ask, and what would ask is not in the program.
#[derive(Debug, Clone)]
pub struct OpenOnly(ServiceVault);

impl OpenOnly {
    /// The same vault, to be opened only.
    pub fn new(vault: ServiceVault) -> Self {
        Self(vault)
    }
}

fn refused() -> VaultError {
    VaultError::Unavailable("this function may only open secrets".to_owned())
}

#[async_trait]
impl Vault for OpenOnly {
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError> {
        match &self.0 {
            ServiceVault::PerUserSecret(vault) => vault.open(key).await,
            ServiceVault::Keyring(vault) => vault.open(key).await,
        }
    }

    async fn seal(&self, _: &SealedKey, _: &SecretString) -> Result<(), VaultError> {
        Err(refused())
    }

    async fn forget(&self, _: &SealedKey) -> Result<(), VaultError> {
        Err(refused())
    }
}
