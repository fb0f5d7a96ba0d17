//! One sealed secret as it stands in the ledger.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine, prelude::BASE64_STANDARD};
use fitbridge_core::ports::SealedKey;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::ring::KeyBytes;

/// The version of this document's form.
const SCHEMA: u16 = 1;

/// The document: nothing in it is secret without the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    schema: u16,
    /// Which key.
    pub(super) kid: String,
    /// The version that the record has with this body; part of the associated data.
    v: u64,
    /// 12 random bytes, base64.
    nonce: String,
    /// Ciphertext and tag, base64.
    ct: String,
}

/// It does not open, or could not be sealed; why is not for anybody outside to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed;

impl Sealed {
    /// The document of a record's body; `None` when it is something else.
    pub(super) fn parse(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok().filter(|sealed: &Self| sealed.schema == SCHEMA)
    }

    /// Seals a text for the record of this version.
    pub(super) fn seal(
        place: &SealedKey,
        version: u64,
        kid: &str,
        key: &KeyBytes,
        secret: &SecretString,
    ) -> Result<Self, Failed> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Failed)?;
        let text = secret.expose_secret().as_bytes();
        // In one buffer of its final size, since a buffer that grows leaves copies of the text behind.
        let mut buffer = Zeroizing::new(Vec::with_capacity(text.len() + AES_256_GCM.tag_len()));
        buffer.extend_from_slice(text);
        let used = Nonce::assume_unique_for_key(nonce);
        cipher(key)?
            .seal_in_place_append_tag(used, associated(place, version, kid), &mut *buffer)
            .map_err(|_| Failed)?;
        Ok(Self {
            schema: SCHEMA,
            kid: kid.to_owned(),
            v: version,
            nonce: BASE64_STANDARD.encode(nonce),
            ct: BASE64_STANDARD.encode(&*buffer),
        })
    }

    /// Opens it as the body of the record of this version.
    pub(super) fn open(&self, place: &SealedKey, version: u64, key: &KeyBytes) -> Result<SecretString, Failed> {
        let nonce = BASE64_STANDARD.decode(&self.nonce).map_err(|_| Failed)?;
        let nonce = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| Failed)?;
        let mut buffer = Zeroizing::new(BASE64_STANDARD.decode(&self.ct).map_err(|_| Failed)?);
        let associated = associated(place, version, &self.kid);
        let plain = cipher(key)?.open_in_place(nonce, associated, &mut buffer).map_err(|_| Failed)?;
        std::str::from_utf8(plain).map(SecretString::from).map_err(|_| Failed)
    }

    /// As a record's body.
    pub(super) fn to_body(&self) -> Result<String, Failed> {
        serde_json::to_string(self).map_err(|_| Failed)
    }
}

fn cipher(key: &KeyBytes) -> Result<LessSafeKey, Failed> {
    UnboundKey::new(&AES_256_GCM, key.as_slice()).map(LessSafeKey::new).map_err(|_| Failed)
}

/// The associated data. No part can contain the separator.
fn associated(place: &SealedKey, version: u64, kid: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("{}|{}|{version}|{kid}", place.user, place.connection).into_bytes())
}
