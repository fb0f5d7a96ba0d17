//! Signatures of Standard Webhooks 1.0: HMAC-SHA256 over `{id}.{timestamp}.{body}`, the body as bytes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::secret::Keys;

/// The signature header: one signature per key, newest key first. `None` when a key cannot be used.
pub(super) fn signatures(keys: &Keys, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let sign = |key: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    keys.iter().map(sign).collect::<Option<Vec<_>>>().map(|all| all.join(" "))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::webhook::secret::{new_secret, rotate, sealed_secret};

    /// The vector of the specification's own libraries.
    #[test]
    fn the_published_vector_is_met() {
        let sealed = sealed_secret(&SecretString::from("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")).unwrap();
        let body = br#"{"email":"test@example.com","username":"test_user"}"#;
        let sign =
            |sealed| signatures(&Keys::open(sealed).unwrap(), "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body);
        let expected = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";
        assert_eq!(sign(&sealed).as_deref(), Some(expected));
        let rotated = sign(&rotate(&sealed, &new_secret([1; 32])).unwrap()).unwrap();
        let (new, old) = rotated.split_once(' ').unwrap();
        assert!(new.starts_with("v1,") && new != expected);
        assert_eq!(old, expected);
    }
}
