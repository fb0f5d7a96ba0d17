//! From an HTTP answer to the envelope's `data`, or to the error it stands for.

use bytes::Bytes;
use fitbridge_http::{BodyKind, retry_after, sniff};
use reqwest::header::HeaderMap;
use serde_json::value::RawValue;

use crate::error::ApiError;
use crate::lenient::Fields;

/// Longest message of the service that is kept, in characters.
const MAX_MESSAGE: usize = 200;

/// A complete HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// `{code, message, data}`.
struct Envelope {
    code: i64,
    message: String,
    data: Option<Box<RawValue>>,
}

impl Answer {
    /// The JSON text of `data`, `None` where it is `null` or missing.
    ///
    /// # Errors
    /// What the status, the envelope's code or its message stand for.
    pub(crate) fn data(&self) -> Result<Option<Box<RawValue>>, ApiError> {
        let envelope = Envelope::read(&self.body);
        if let Ok(envelope) = &envelope
            && !envelope.is_success()
            && asks_for_signature(&envelope.message)
        {
            return Err(ApiError::SignatureRequired { status: self.status });
        }
        match (self.status, envelope) {
            (200..=299, Ok(envelope)) if envelope.is_success() => Ok(envelope.data),
            (200..=299, Ok(envelope)) => Err(self.failure(&envelope)),
            (200..=299, Err(what)) => Err(ApiError::Malformed { what }),
            (300..=399, _) => Err(ApiError::Redirected { status: self.status }),
            (403, Err(_)) if sniff(&self.body) == BodyKind::Html => Err(ApiError::WafPage),
            (401 | 403, envelope) => {
                Err(ApiError::Refused { status: self.status, code: envelope.ok().map(|envelope| envelope.code) })
            }
            (404 | 410, _) => Err(ApiError::NotFound),
            (429, _) => Err(self.throttled()),
            (408 | 425 | 500..=599, _) => {
                Err(ApiError::Unavailable { status: self.status, retry_after: retry_after(&self.headers, None) })
            }
            (_, Ok(envelope)) => Err(self.failure(&envelope)),
            (status, Err(_)) => Err(ApiError::Api { code: status.into(), message: String::new() }),
        }
    }

    /// What a code other than success stands for.
    fn failure(&self, envelope: &Envelope) -> ApiError {
        let message = envelope.message.to_lowercase();
        match envelope.code {
            404 => ApiError::NotFound,
            429 => self.throttled(),
            // Expired tokens are also told with status 200: by code, or by a message that asks to
            // log in (in Chinese from the China region).
            code if matches!(code, 401 | 403) || message.contains("token") || message.contains("登录") => {
                ApiError::Refused { status: self.status, code: Some(code) }
            }
            code => ApiError::Api { code, message: envelope.message.clone() },
        }
    }

    fn throttled(&self) -> ApiError {
        ApiError::Throttled { retry_after: retry_after(&self.headers, None) }
    }
}

impl Envelope {
    /// Reads an envelope; the error says what came instead.
    fn read(body: &[u8]) -> Result<Self, String> {
        match sniff(body) {
            BodyKind::Json => {}
            BodyKind::Empty => return Err("it is empty".into()),
            BodyKind::Html => return Err("it is a web page".into()),
            BodyKind::Xml => return Err("it is an XML document".into()),
            BodyKind::Other => return Err("it is no JSON".into()),
        }
        let text = tolerant(body);
        let fields = Fields::parse(&text).map_err(|error| {
            // Position only: a serde message may quote the answer.
            format!("broken JSON at column {}", error.column())
        })?;
        let code = fields.int("code").ok_or("it has no code")?;
        let message = fields.text("message").unwrap_or_default();
        let data = fields.value("data").map(ToOwned::to_owned);
        Ok(Self { code, message: presentable(&message), data })
    }

    fn is_success(&self) -> bool {
        // 200 is tolerated as one other client does; every capture has 0.
        matches!(self.code, 0 | 200)
    }
}

/// The body as text in which raw control characters, which JSON forbids inside strings and this
/// service sends in titles, are blanks; between values a blank changes nothing.
fn tolerant(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let blanked: Vec<u8> = body.iter().map(|byte| if *byte < b' ' { b' ' } else { *byte }).collect();
    String::from_utf8(blanked).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// A message fit for logs: short, and without words that look like a token.
fn presentable(message: &str) -> String {
    let words = message.split_whitespace().map(|word| if word.contains("eyJ") || word.len() > 64 { "…" } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    text.chars().take(MAX_MESSAGE).collect()
}

/// Whether a message is about a missing or wrong request signature (`x-signature`, `签名`), and not
/// about signing in.
fn asks_for_signature(message: &str) -> bool {
    let message = message.to_lowercase();
    if message.contains("signature") || message.contains("签名") || message.contains("nonce") {
        return true;
    }
    let words: Vec<&str> = message.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let about_the_session = ["in", "up", "out", "on"];
    words.iter().enumerate().any(|(at, word)| {
        matches!(*word, "sign" | "unsigned") && !words.get(at + 1).is_some_and(|next| about_the_session.contains(next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(status: u16, body: &str) -> Result<Option<String>, ApiError> {
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) };
        Ok(answer.data()?.map(|raw| raw.get().to_owned()))
    }

    fn code(status: u16, body: &str) -> &'static str {
        data(status, body).unwrap_err().code()
    }

    #[test]
    fn success_gives_the_data() {
        let text = |body| data(200, body).unwrap();
        assert_eq!(text(r#"{"code":0,"message":"success","data":{"a":1}}"#).as_deref(), Some("{\"a\":1}"));
        assert_eq!(text(r#"{"code":200,"data":"x"}"#).as_deref(), Some("\"x\""));
        assert_eq!(text(r#"{"code":"0","message":null,"data":null}"#), None);
        assert_eq!(text("\u{feff}{\"code\":0}"), None);
    }

    #[test]
    fn control_characters_are_no_obstacle() {
        let body = "{\"code\":0,\r\n\t\"data\":\"a\u{0}b\u{1f}c\nd\"}";
        assert_eq!(data(200, body).unwrap().as_deref(), Some("\"a b c d\""));
        let mut bytes = b"{\"code\":0,\"data\":\"".to_vec();
        bytes.extend_from_slice(b"\xff\x01\"}");
        let answer = Answer { status: 200, headers: HeaderMap::new(), body: bytes.into() };
        assert_eq!(answer.data().unwrap().unwrap().get(), "\"\u{fffd} \"");
    }

    #[test]
    fn a_refusal_is_known_in_each_disguise() {
        for (status, body) in [
            (401, ""),
            (401, r#"{"code":401,"message":"Unauthorized"}"#),
            (401, "<html>login</html>"),
            (403, ""),
            (403, r#"{"code":403,"message":"Forbidden"}"#),
            (200, r#"{"code":401,"message":"x","data":null}"#),
            (200, r#"{"code":403}"#),
            (200, r#"{"code":7,"message":"Invalid Token"}"#),
            (200, r#"{"code":7,"message":"请重新登录"}"#),
            (400, r#"{"code":401,"message":"please sign in"}"#),
        ] {
            assert_eq!(code(status, body), "token_refused", "{status} {body}");
        }
    }

    #[test]
    fn trouble_of_the_provider_is_no_refusal() {
        for (status, body, expected) in [
            (403, "<!DOCTYPE html><p>blocked", "provider_waf_page"),
            (302, "", "provider_redirect"),
            (429, "", "provider_throttled"),
            (200, r#"{"code":429}"#, "provider_throttled"),
            (500, "", "provider_away"),
            (503, "<html>", "provider_away"),
            (408, "", "provider_away"),
            (404, "", "ride_gone"),
            (200, r#"{"code":404}"#, "ride_gone"),
            (200, r#"{"code":500,"message":"no"}"#, "provider_error"),
            (400, "", "provider_error"),
            (200, "", "provider_malformed"),
            (200, "<html>", "provider_malformed"),
            (200, "{\"code\":0", "provider_malformed"),
            (200, "[]", "provider_malformed"),
            (200, "{\"message\":\"token\"}", "provider_malformed"),
        ] {
            assert_eq!(code(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn a_demand_for_signatures_has_its_own_code() {
        for (status, body) in [
            (401, r#"{"code":401,"message":"missing x-signature"}"#),
            (403, r#"{"code":4031,"message":"Invalid sign"}"#),
            (200, r#"{"code":9,"message":"签名错误"}"#),
            (500, r#"{"code":500,"message":"nonce required"}"#),
            (400, r#"{"code":1,"message":"unsigned request, token ignored"}"#),
        ] {
            assert_eq!(code(status, body), "signature_required", "{status} {body}");
        }
        for message in ["please sign in", "sign-up first", "you were signed out", "design", "assign"] {
            let body = format!("{{\"code\":9,\"message\":\"{message}\"}}");
            assert_eq!(code(200, &body), "provider_error", "{message}");
        }
        // Success is success, whatever its message says.
        assert!(data(200, r#"{"code":0,"message":"sign"}"#).is_ok());
    }

    #[test]
    fn messages_carry_no_token() {
        let long = "x".repeat(65);
        let body = format!("{{\"code\":9,\"message\":\"bad eyJhbGciOi.eyJ.sig {long} end\"}}");
        let error = data(200, &body).unwrap_err().to_string();
        assert_eq!(error, "the service answered code 9: bad … … end");
    }
}
