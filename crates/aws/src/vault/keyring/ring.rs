//! A ring of keys, as it stands in its secret:
//! `{"current":"k2","keys":{"k1":"<base64 of 32 bytes>","k2":"…"}}`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

pub(super) type KeyBytes = Zeroizing<[u8; 32]>;

/// Longest name of a key, in bytes.
const MAX_KID_LEN: usize = 64;

/// Why a keyring does not do. The keys themselves are in no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The secret's text is something else.
    #[error("the keyring is not JSON of the form {{\"current\":\"k1\",\"keys\":{{\"k1\":\"<base64 of 32 bytes>\"}}}}")]
    Shape,
    /// A key is not 32 bytes in base64.
    #[error("key {0} of the keyring is not 32 bytes in base64")]
    Key(String),
    /// A key's name does not do.
    #[error("a key's name must be 1 to {MAX_KID_LEN} letters, digits, '.', '_' or '-'")]
    Name,
    /// The key to seal with is not there.
    #[error("the keyring's current key {0} is not among its keys")]
    NoCurrent(String),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

/// A ring of named AES-256 keys, one of which seals. The keys are wiped when it is dropped and never shown.
#[derive(Clone)]
pub struct Keyring {
    current: String,
    keys: BTreeMap<String, KeyBytes>,
}

#[derive(Deserialize)]
struct Written {
    current: String,
    keys: BTreeMap<String, SecretString>,
}

impl Keyring {
    /// A ring with one new key, `k1`.
    pub fn generate() -> Result<Self, KeyringError> {
        let current = "k1".to_owned();
        Ok(Self { keys: BTreeMap::from([(current.clone(), random_key()?)]), current })
    }

    /// Reads the text of a keyring's secret.
    pub fn parse(text: &SecretString) -> Result<Self, KeyringError> {
        // The parser's own message would quote what it found.
        let written: Written = serde_json::from_str(text.expose_secret()).map_err(|_| KeyringError::Shape)?;
        let mut keys = BTreeMap::new();
        for (kid, encoded) in written.keys {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            if kid.is_empty() || kid.len() > MAX_KID_LEN || !kid.bytes().all(plain) {
                return Err(KeyringError::Name);
            }
            // One byte more than a key has, so that a longer one is seen and not cut.
            let mut bytes = Zeroizing::new([0; 33]);
            let length = BASE64_STANDARD.decode_slice(encoded.expose_secret(), bytes.as_mut_slice());
            let key = length.ok().and_then(|length| bytes.get(..length)).and_then(|key| <[u8; 32]>::try_from(key).ok());
            let Some(key) = key else { return Err(KeyringError::Key(kid)) };
            keys.insert(kid, Zeroizing::new(key));
        }
        if !keys.contains_key(&written.current) {
            return Err(KeyringError::NoCurrent(written.current.chars().take(MAX_KID_LEN).collect()));
        }
        Ok(Self { current: written.current, keys })
    }

    /// As it stands in its secret.
    pub fn to_secret(&self) -> SecretString {
        let mut text = Zeroizing::new(String::with_capacity(64 + self.keys.len() * 160));
        // Names are plain, so nothing needs escaping; a JSON value would leave copies of the keys behind.
        text.push_str(&format!("{{\"current\":\"{}\",\"keys\":{{", self.current));
        for (number, (kid, key)) in self.keys.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            text.push_str(&format!("{comma}\"{kid}\":\""));
            BASE64_STANDARD.encode_string(key.as_slice(), &mut text);
            text.push('"');
        }
        text.push_str("}}");
        SecretString::from(text.as_str())
    }

    /// The same ring with one more key, which seals from now on. Its name is newer than all that are there, so
    /// that it was never another key's: a function that still knows the ring of before looks for a new one then.
    pub fn with_new_key(&self) -> Result<Self, KeyringError> {
        let number = |kid: &String| kid.strip_prefix('k')?.parse::<u64>().ok();
        let newest = self.keys.keys().filter_map(number).max().unwrap_or(0);
        let kid = format!("k{}", newest.checked_add(1).ok_or(KeyringError::Name)?);
        let mut keys = self.keys.clone();
        keys.insert(kid.clone(), random_key()?);
        Ok(Self { current: kid, keys })
    }

    /// The same ring with the current key only; what is still sealed with another never opens again.
    pub fn only_current(&self) -> Self {
        let keys = self.keys.iter().filter(|(kid, _)| **kid == self.current);
        Self { current: self.current.clone(), keys: keys.map(|(kid, key)| (kid.clone(), key.clone())).collect() }
    }

    /// The name of the key that seals.
    pub fn current(&self) -> &str {
        &self.current
    }

    /// The names of all keys.
    pub fn kids(&self) -> BTreeSet<&str> {
        self.keys.keys().map(String::as_str).collect()
    }

    pub(super) fn key(&self, kid: &str) -> Option<&KeyBytes> {
        self.keys.get(kid)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("current", &self.current).field("kids", &self.kids()).finish_non_exhaustive()
    }
}

fn random_key() -> Result<KeyBytes, KeyringError> {
    let mut key = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(key.as_mut_slice()).map_err(|_| KeyringError::NoRandomness)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Keyring, KeyringError> {
        Keyring::parse(&SecretString::from(text))
    }

    #[test]
    fn a_ring_comes_back_from_its_secret() {
        let ring = Keyring::generate().unwrap().with_new_key().unwrap();
        assert_eq!((ring.current(), ring.kids()), ("k2", BTreeSet::from(["k1", "k2"])));
        let read = Keyring::parse(&ring.to_secret()).unwrap();
        assert_eq!(read.current(), "k2");
        assert_eq!((read.key("k1"), read.key("k2")), (ring.key("k1"), ring.key("k2")));
        assert_ne!(ring.key("k1"), ring.key("k2"));
        let later = read.only_current().with_new_key().unwrap();
        assert_eq!(later.kids(), BTreeSet::from(["k2", "k3"]));
        let latest = later.only_current().with_new_key().unwrap();
        assert_eq!(latest.kids(), BTreeSet::from(["k3", "k4"]), "a name is not used for another key");
    }

    #[test]
    fn what_is_no_ring_is_told_without_its_keys() {
        let key = BASE64_STANDARD.encode([7; 32]);
        let long = BASE64_STANDARD.encode([7; 33]);
        let cases = [
            ("", KeyringError::Shape),
            ("{\"current\":\"k1\"}", KeyringError::Shape),
            ("{\"current\":\"k1\",\"keys\":{\"k1\":\"c2hvcnQ=\"}}", KeyringError::Key("k1".into())),
            (&format!("{{\"current\":\"k1\",\"keys\":{{\"k1\":\"{long}\"}}}}"), KeyringError::Key("k1".into())),
            (&format!("{{\"current\":\"k2\",\"keys\":{{\"k1\":\"{key}\"}}}}"), KeyringError::NoCurrent("k2".into())),
            (&format!("{{\"current\":\"a|b\",\"keys\":{{\"a|b\":\"{key}\"}}}}"), KeyringError::Name),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap_err(), expected, "{text}");
        }
        let ring = Keyring::generate().unwrap();
        let shown = format!("{ring:?}");
        let key = BASE64_STANDARD.encode(ring.key("k1").unwrap().as_slice());
        assert!(shown.contains("k1") && !shown.contains(&key) && !shown.contains("[7"), "{shown}");
    }
}
