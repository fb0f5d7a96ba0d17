//! Secrets in sealed files, one per connection.
//!
//! A file is `FBS1`, the version of the key (4 bytes, big endian), a random nonce (12 bytes), and the
//! AES-256-GCM ciphertext with its tag. User, connection and key version are associated data, so that a
//! file that was moved or copied to another connection does not open.

mod files;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use fitbridge_core::ports::{SealedKey, Vault, VaultError};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use files::{KeyFile, write_private};

const MAGIC: &[u8; 4] = b"FBS1";
/// The only version of the key there is so far.
const KEY_VERSION: u32 = 1;
const HEADER_LEN: usize = MAGIC.len() + 4 + NONCE_LEN;

/// A vault in a folder. Nothing is written before the first [`Vault::seal`].
#[derive(Debug, Clone)]
pub struct FileVault(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    key: OnceLock<Zeroizing<[u8; 32]>>,
}

impl FileVault {
    /// The vault of a home.
    pub fn open(home: &Path) -> Self {
        Self(Arc::new(Inner { folder: home.join("vault"), key: OnceLock::new() }))
    }

    /// Runs file work off the async threads.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        let inner = Arc::clone(&self.0);
        let worked = tokio::task::spawn_blocking(move || work(&inner)).await;
        worked.unwrap_or_else(|_| Err(VaultError::Unavailable("the program is ending".into())))
    }
}

/// The associated data. The parts of identifiers cannot contain the separator.
fn associated(key: &SealedKey, version: u32) -> Aad<Vec<u8>> {
    Aad::from(format!("{}|{}|{version}", key.user, key.connection).into_bytes())
}

impl Inner {
    /// Named by a digest, because file systems have their own ideas of case, length and dots.
    fn path(&self, key: &SealedKey) -> PathBuf {
        let digest = Sha256::digest(format!("{}|{}", key.user, key.connection).as_bytes());
        self.folder.join(format!("{}.sealed", hex::encode(digest)))
    }

    /// The key file's key; made first where `make` allows. `None` where there is none.
    fn key(&self, make: bool) -> Result<Option<LessSafeKey>, VaultError> {
        let bytes = match self.key.get() {
            Some(bytes) => bytes,
            None => {
                let file = KeyFile::of(&self.folder);
                let Some(bytes) = (if make { Some(file.read_or_make()?) } else { file.read()? }) else {
                    return Ok(None);
                };
                self.key.get_or_init(|| bytes)
            }
        };
        let key = UnboundKey::new(&AES_256_GCM, &**bytes).map_err(|_| unavailable("the key cannot be used"))?;
        Ok(Some(LessSafeKey::new(key)))
    }

    fn open(&self, sealed: &SealedKey) -> Result<SecretString, VaultError> {
        let path = self.path(sealed);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(VaultError::Missing(sealed.connection.clone()));
            }
            Err(error) => return Err(unavailable(format!("{} cannot be read: {error}", path.display()))),
        };
        let unsealable = || VaultError::Unsealable(sealed.connection.clone());
        // It may come back, as from a backup: nobody is paused for it.
        let key = self.key(false)?.ok_or_else(|| unavailable("the key file is not there: put vault/key back"))?;
        let (header, ciphertext) = bytes.split_at_checked(HEADER_LEN).ok_or_else(unsealable)?;
        let rest = header.strip_prefix(MAGIC).ok_or_else(unsealable)?;
        let (version, nonce) = rest.split_first_chunk().ok_or_else(unsealable)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unsealable())?;
        let version = u32::from_be_bytes(*version);
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let plain = key.open_in_place(nonce, associated(sealed, version), &mut buffer).map_err(|_| unsealable())?;
        let text = std::str::from_utf8(plain).map_err(|_| unsealable())?;
        Ok(SecretString::from(text))
    }

    fn seal(&self, sealed: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        let key = self.key(true)?.ok_or_else(|| unavailable("the key is not there"))?;
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| unavailable("the operating system gives no random bytes"))?;
        // In one buffer of its final size, since a buffer that grows leaves copies of the text behind.
        let text = secret.expose_secret().as_bytes();
        let mut buffer = Zeroizing::new(Vec::with_capacity(text.len() + AES_256_GCM.tag_len()));
        buffer.extend_from_slice(text);
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce_used, associated(sealed, KEY_VERSION), &mut *buffer)
            .map_err(|_| unavailable("sealing failed"))?;
        let file = [MAGIC.as_slice(), &KEY_VERSION.to_be_bytes(), &nonce, &buffer].concat();
        write_private(&self.path(sealed), &file)
    }

    fn forget(&self, sealed: &SealedKey) -> Result<(), VaultError> {
        let path = self.path(sealed);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(unavailable(format!("{} cannot be removed: {error}", path.display())))
            }
            _ => Ok(()),
        }
    }
}

fn unavailable(why: impl Into<String>) -> VaultError {
    VaultError::Unavailable(why.into())
}

#[async_trait]
impl Vault for FileVault {
    async fn open(&self, key: &SealedKey) -> Result<SecretString, VaultError> {
        let key = key.clone();
        self.work(move |inner| inner.open(&key)).await
    }

    async fn seal(&self, key: &SealedKey, secret: &SecretString) -> Result<(), VaultError> {
        let (key, secret) = (key.clone(), secret.clone());
        self.work(move |inner| inner.seal(&key, &secret)).await
    }

    async fn forget(&self, key: &SealedKey) -> Result<(), VaultError> {
        let key = key.clone();
        self.work(move |inner| inner.forget(&key)).await
    }
}

#[cfg(test)]
mod tests;
