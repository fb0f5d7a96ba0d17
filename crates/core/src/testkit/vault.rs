//! The vault in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use secrecy::SecretString;

use crate::ports::{SealedKey, Vault, VaultError};

#[derive(Debug, Default)]
struct State {
    secrets: HashMap<SealedKey, Option<SecretString>>,
    away: bool,
    opened: Vec<SealedKey>,
}

/// A vault in memory. Clones share their secrets.
#[derive(Debug, Clone, Default)]
pub struct MemoryVault(Arc<Mutex<State>>);

impl MemoryVault {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn here(&self) -> Result<MutexGuard<'_, State>, VaultError> {
        let state = self.state();
        if state.away { Err(VaultError::Unavailable("switched off by the test".into())) } else { Ok(state) }
    }

    /// Makes every call answer `Unavailable`, or no longer.
    pub fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    /// Makes a secret `Unsealable` until it is sealed anew.
    pub fn damage(&self, key: &SealedKey) {
        self.state().secrets.insert(key.clone(), None);
    }

    /// How many secrets are sealed.
    pub fn sealed(&self) -> usize {
        self.state().secrets.len()
    }

    /// Which secrets were asked for since the last call, in order.
    pub fn take_opened(&self) -> Vec<SealedKey> {
        std::mem::take(&mut self.state().opened)
    }
}

#[async_trait]
impl Vault for MemoryVault {
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError> {
        let mut state = self.here()?;
        state.opened.push(key.clone());
        match state.secrets.get(key) {
            Some(Some(secret)) => Ok(secret.clone()),
            Some(None) => Err(VaultError::Unsealable(key.connection.clone())),
            None => Err(VaultError::Missing(key.connection.clone())),
        }
    }

    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        self.here()?.secrets.insert(key.clone(), Some(secret.clone()));
        Ok(())
    }

    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError> {
        self.here()?.secrets.remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::conformance;

    #[tokio::test]
    async fn the_memory_vault_conforms() {
        let vault = MemoryVault::default();
        conformance::vault::suite(&vault).await;
        assert!(!vault.take_opened().is_empty());
    }

    #[tokio::test]
    async fn the_memory_vault_can_be_damaged_and_switched_off() {
        let (vault, key) = (MemoryVault::default(), conformance::vault::key("rider", "c"));
        vault.seal(&key, &SecretString::from("s")).await.unwrap();
        vault.damage(&key);
        assert!(matches!(vault.open(&key).await, Err(VaultError::Unsealable(_))));
        vault.set_away(true);
        assert!(matches!(vault.open(&key).await, Err(VaultError::Unavailable(_))));
    }
}
