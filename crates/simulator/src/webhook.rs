//! A receiver of signed webhooks, after Standard Webhooks 1.0.0.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sha2::Sha256;

use crate::reply::{Incoming, Reply};
use crate::state::State;

/// How far a signature's time may be from now, both ways.
const TOLERANCE_S: i64 = 300;

/// Why a delivery was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum SignatureError {
    /// One of the three headers is missing or unreadable.
    #[error("a webhook header is missing or malformed")]
    Header,
    /// The id has a dot, which would make the signed text ambiguous.
    #[error("the webhook id has a dot")]
    Id,
    /// The time is more than five minutes off.
    #[error("the timestamp is out of tolerance")]
    Time,
    /// No signature matches any secret.
    #[error("no signature matches")]
    Signature,
    /// The receiver has no secret yet.
    #[error("the receiver has no secret")]
    NoSecret,
}

/// The text is no webhook secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is whsec_ and base64 of 24 to 64 bytes")]
pub struct SecretError;

/// One request at the receiver, whether accepted or not.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookAttempt {
    /// `webhook-id`, empty when absent.
    pub id: String,
    /// Arrival, on the virtual clock.
    pub at: Timestamp,
    /// The path it was sent to.
    pub path: String,
    /// Header names (lower case) and values, in the order sent.
    pub headers: Vec<(String, String)>,
    /// Size of the body in bytes.
    pub size: usize,
    /// SHA-256 of the body, lower-case hex.
    pub sha256: String,
    /// `None` when the signature is good.
    pub refused: Option<SignatureError>,
    /// A verified delivery of this id came before.
    pub duplicate: bool,
    /// The body, when the simulator keeps bodies.
    #[serde(skip)]
    pub body: Option<Bytes>,
}

/// All verified attempts under one id.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookDelivery {
    /// `webhook-id`
    pub id: String,
    /// How often it came, verified.
    pub attempts: usize,
    /// SHA-256 of the first body.
    pub sha256: String,
    /// Whether every attempt had that same body.
    pub same_body: bool,
}

#[derive(Debug, Default)]
pub(crate) struct WebhookState {
    secrets: Vec<Vec<u8>>,
    text: Option<String>,
    attempts: Vec<WebhookAttempt>,
    seen: HashMap<String, usize>,
}

impl WebhookState {
    /// The secrets that verify from now on; several during a rotation.
    pub(crate) fn set_secrets(&mut self, texts: &[String]) -> Result<(), SecretError> {
        self.secrets = texts.iter().map(|text| decode_secret(text)).collect::<Result<_, _>>()?;
        self.text = texts.first().cloned();
        Ok(())
    }

    /// The first secret, as text.
    pub(crate) fn secret_text(&self) -> Option<String> {
        self.text.clone()
    }

    pub(crate) fn attempts(&self) -> &[WebhookAttempt] {
        &self.attempts
    }

    pub(crate) fn deliveries(&self) -> Vec<WebhookDelivery> {
        let mut order: Vec<WebhookDelivery> = Vec::new();
        let mut at: HashMap<&str, usize> = HashMap::new();
        for attempt in self.attempts.iter().filter(|a| a.refused.is_none()) {
            match at.get(attempt.id.as_str()).and_then(|at| order.get_mut(*at)) {
                Some(delivery) => {
                    delivery.attempts += 1;
                    delivery.same_body &= delivery.sha256 == attempt.sha256;
                }
                None => {
                    at.insert(&attempt.id, order.len());
                    order.push(WebhookDelivery {
                        id: attempt.id.clone(),
                        attempts: 1,
                        sha256: attempt.sha256.clone(),
                        same_body: true,
                    });
                }
            }
        }
        order
    }

    pub(crate) fn clear(&mut self) {
        self.attempts.clear();
        self.seen.clear();
    }
}

impl State {
    pub(crate) fn receive_webhook(&mut self, request: &Incoming) -> Reply {
        let header = |name: &str| request.header(name).unwrap_or_default();
        let id = header("webhook-id").to_owned();
        let refused = verify(
            &self.webhook.secrets,
            &id,
            header("webhook-timestamp"),
            header("webhook-signature"),
            &request.body,
            request.now,
        )
        .err();
        let duplicate = refused.is_none() && {
            let seen = self.webhook.seen.entry(id.clone()).or_default();
            *seen += 1;
            *seen > 1
        };
        self.webhook.attempts.push(WebhookAttempt {
            id,
            at: request.now,
            path: request.path.clone(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                    (name.as_str().to_owned(), value)
                })
                .collect(),
            size: request.body.len(),
            sha256: request.body_sha256.clone().unwrap_or_else(|| crate::server::sha256(&request.body)),
            refused,
            duplicate,
            body: self.keep_bodies.then(|| request.body.clone()),
        });
        match refused {
            None => Reply::json(200, &json!({ "received": true, "duplicate": duplicate })),
            Some(reason) => Reply::json(401, &json!({ "error": reason.to_string() })),
        }
    }
}

fn decode_secret(text: &str) -> Result<Vec<u8>, SecretError> {
    let encoded = text.strip_prefix("whsec_").ok_or(SecretError)?;
    let bytes = BASE64.decode(encoded).map_err(|_| SecretError)?;
    if (24..=64).contains(&bytes.len()) { Ok(bytes) } else { Err(SecretError) }
}

/// Checks a delivery. The reference crate signs text only; this one signs bytes, for raw FIT bodies.
fn verify(
    secrets: &[Vec<u8>],
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), SignatureError> {
    let seconds: i64 = timestamp.parse().map_err(|_| SignatureError::Header)?;
    if id.is_empty() || signatures.is_empty() {
        return Err(SignatureError::Header);
    }
    if id.contains('.') {
        return Err(SignatureError::Id);
    }
    if now.as_second().saturating_sub(seconds).unsigned_abs() > TOLERANCE_S.unsigned_abs() {
        return Err(SignatureError::Time);
    }
    if secrets.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let matches = signatures
        .split_ascii_whitespace()
        .filter_map(|signature| signature.strip_prefix("v1,"))
        .filter_map(|encoded| BASE64.decode(encoded).ok())
        .any(|given| {
            secrets.iter().any(|secret| {
                Hmac::<Sha256>::new_from_slice(secret).is_ok_and(|mut mac| {
                    mac.update(format!("{id}.{timestamp}.").as_bytes());
                    mac.update(body);
                    mac.verify_slice(&given).is_ok()
                })
            })
        });
    if matches { Ok(()) } else { Err(SignatureError::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn check(signature: &str, body: &[u8], at: i64) -> Result<(), SignatureError> {
        let secrets = [b"another secret, 24 bytes".to_vec(), decode_secret(SECRET).expect("the vector's secret")];
        let now = Timestamp::from_second(at).expect("in range");
        verify(&secrets, ID, "1649367553", signature, body, now)
    }

    #[test]
    fn the_published_vector_verifies() {
        assert_eq!(check(SIGNATURE, BODY, 1_649_367_553), Ok(()));
        let rotated = format!("v1,AAAA {SIGNATURE}");
        assert_eq!(check(&rotated, BODY, 1_649_367_553), Ok(()));
    }

    #[test]
    fn a_changed_byte_or_a_stale_time_does_not() {
        assert_eq!(check(SIGNATURE, b"{}", 1_649_367_553), Err(SignatureError::Signature));
        assert_eq!(check(SIGNATURE, BODY, 1_649_367_553 + 300), Ok(()));
        assert_eq!(check(SIGNATURE, BODY, 1_649_367_553 + 301), Err(SignatureError::Time));
        assert_eq!(check(SIGNATURE, BODY, 1_649_367_553 - 301), Err(SignatureError::Time));
        assert_eq!(check("", BODY, 1_649_367_553), Err(SignatureError::Header));
    }

    #[test]
    fn raw_bytes_that_are_no_text_verify_too() {
        let secret = decode_secret(SECRET).expect("the vector's secret");
        let body = [14, 32, 0xff, 0xfe, b'.', b'F', b'I', b'T', 0];
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).expect("a key");
        mac.update(b"msg_1.1649367553.");
        mac.update(&body);
        let signature = format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()));
        let now = Timestamp::from_second(1_649_367_553).expect("in range");
        let check = |body: &[u8]| verify(std::slice::from_ref(&secret), "msg_1", "1649367553", &signature, body, now);
        assert_eq!(check(&body), Ok(()));
        assert_eq!(check(&body[1..]), Err(SignatureError::Signature));
    }

    #[test]
    fn only_secrets_of_the_right_size_are_taken() {
        assert_eq!(decode_secret("whsec_AAAA"), Err(SecretError));
        assert_eq!(decode_secret("C2FVsBQIhrscChlQIMV+b5sSYspob7oD"), Err(SecretError));
    }
}
