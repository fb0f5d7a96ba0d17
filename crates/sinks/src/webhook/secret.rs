//! Signing secrets: 24 to 64 random bytes, written `whsec_` and base64, several of them during a rotation.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fitbridge_core::{Code, Failure};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use serde_json::json;

/// What secrets begin with.
const PREFIX: &str = "whsec_";

/// Most secrets of one connection: the newest and those before it that receivers may still check with.
pub const MAX_SECRETS: usize = 3;

/// Why a text is no signing secret. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It is not base64 after `whsec_`.
    #[error("a signing secret is `whsec_` and base64")]
    NotBase64,
    /// It has too few or too many bytes.
    #[error("a signing secret has 24 to 64 bytes, this one has {0}")]
    Length(usize),
    /// The sealed text is not what was sealed.
    #[error("the sealed signing secrets cannot be read")]
    Unreadable,
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Failure::new(Code::SinkReconnect, error.to_string())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    secrets: Vec<SecretString>,
}

/// The keys of a connection, newest first; never none.
#[derive(Debug, Clone)]
pub(super) struct Keys(Vec<SecretSlice<u8>>);

impl Keys {
    /// Reads a sealed secret.
    pub(super) fn open(sealed: &SecretString) -> Result<Self, SecretError> {
        let keys = secrets(sealed)?.iter().map(key).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(keys))
    }

    /// The keys, newest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|key| key.expose_secret())
    }
}

/// A new signing secret from 32 random bytes, as it is shown to the rider once.
pub fn new_secret(random: [u8; 32]) -> SecretString {
    SecretString::from(format!("{PREFIX}{}", STANDARD.encode(random)))
}

/// The secret of a connection with one signing secret, as it is sealed. The prefix may be missing.
///
/// # Errors
/// What is wrong with the signing secret.
pub fn sealed_secret(secret: &SecretString) -> Result<SecretString, SecretError> {
    seal(&[normal(secret)?])
}

/// Puts a new signing secret in front. Deliveries are then signed with the new one and those before it, at
/// most [`MAX_SECRETS`] in all, so that receivers can change at their own time.
///
/// # Errors
/// What is wrong with the new or the sealed secrets.
pub fn rotate(sealed: &SecretString, new: &SecretString) -> Result<SecretString, SecretError> {
    let new = normal(new)?;
    let mut all = vec![new.clone()];
    for old in secrets(sealed)? {
        let old = normal(&old)?;
        if old.expose_secret() != new.expose_secret() && all.len() < MAX_SECRETS {
            all.push(old);
        }
    }
    seal(&all)
}

/// Ends a rotation: only the newest signing secret stays.
///
/// # Errors
/// What is wrong with the sealed secrets.
pub fn retire_older(sealed: &SecretString) -> Result<SecretString, SecretError> {
    seal(&[normal(secrets(sealed)?.first().ok_or(SecretError::Unreadable)?)?])
}

fn secrets(sealed: &SecretString) -> Result<Vec<SecretString>, SecretError> {
    let sealed: Sealed = serde_json::from_str(sealed.expose_secret()).map_err(|_| SecretError::Unreadable)?;
    if sealed.secrets.is_empty() || sealed.secrets.len() > MAX_SECRETS {
        return Err(SecretError::Unreadable);
    }
    Ok(sealed.secrets)
}

fn seal(secrets: &[SecretString]) -> Result<SecretString, SecretError> {
    let texts: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
    Ok(SecretString::from(json!({ "secrets": texts }).to_string()))
}

fn normal(secret: &SecretString) -> Result<SecretString, SecretError> {
    Ok(SecretString::from(format!("{PREFIX}{}", STANDARD.encode(key(secret)?.expose_secret()))))
}

fn key(secret: &SecretString) -> Result<SecretSlice<u8>, SecretError> {
    let text = secret.expose_secret().trim();
    let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| SecretError::NotBase64)?;
    let key = SecretSlice::from(bytes);
    match key.expose_secret().len() {
        24..=64 => Ok(key),
        length => Err(SecretError::Length(length)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sealed: &SecretString) -> &str {
        sealed.expose_secret()
    }

    #[test]
    fn rotation_puts_the_new_one_first_and_keeps_the_old() {
        let [a, b, c, d] = [1, 2, 3, 4].map(|n| new_secret([n; 32]));
        let first = sealed_secret(&a).unwrap();
        let two = rotate(&first, &b).unwrap();
        let keys = Keys::open(&two).unwrap();
        assert_eq!(keys.iter().collect::<Vec<_>>(), [[2; 32], [1; 32]]);
        assert_eq!(shown(&rotate(&two, &b).unwrap()), shown(&two), "the same one again changes nothing");
        let many = rotate(&rotate(&two, &c).unwrap(), &d).unwrap();
        assert_eq!(Keys::open(&many).unwrap().iter().collect::<Vec<_>>(), [[4; 32], [3; 32], [2; 32]]);
        assert_eq!(Keys::open(&retire_older(&many).unwrap()).unwrap().iter().collect::<Vec<_>>(), [[4; 32]]);
    }

    #[test]
    fn secrets_are_checked_and_never_quoted() {
        let read = |text: &str| sealed_secret(&SecretString::from(text)).map(|sealed| shown(&sealed).to_owned());
        assert_eq!(
            read(" C2FVsBQIhrscChlQIMV+b5sSYspob7oD\n").unwrap(),
            r#"{"secrets":["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]}"#
        );
        assert_eq!(read("whsec_hush!"), Err(SecretError::NotBase64));
        assert_eq!(read("whsec_AAAA"), Err(SecretError::Length(3)));
        assert_eq!(read(&STANDARD.encode([0; 65])), Err(SecretError::Length(65)));
        for text in ["", "{}", r#"{"secrets":[]}"#, r#"{"secrets":["a","b","c","d"]}"#] {
            assert_eq!(Keys::open(&SecretString::from(text)).unwrap_err(), SecretError::Unreadable, "{text}");
        }
        let keys = Keys::open(&sealed_secret(&new_secret([7; 32])).unwrap()).unwrap();
        assert!(!format!("{keys:?}").contains('7'), "{keys:?}");
    }
}
