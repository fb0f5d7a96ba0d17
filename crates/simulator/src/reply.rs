//! Requests as services see them, and the answers they give: no I/O here.

use std::io::Write as _;
use std::sync::Arc;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::journal::Role;
use crate::ridefile::RideFile;

/// One part of a multipart body.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) bytes: Bytes,
    pub(crate) sha256: String,
}

/// A request, read to its end.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) role: Role,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) body_sha256: Option<String>,
    pub(crate) parts: Vec<Part>,
    pub(crate) now: Timestamp,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The decoded value of a query parameter.
    pub(crate) fn query_value(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(self.query.as_deref()?.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// The decoded value of a form field in an urlencoded body.
    pub(crate) fn form_value(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        let value = self.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// User and password of HTTP Basic.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let value = self.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// The bytes of an answer.
#[derive(Debug)]
pub(crate) enum Payload {
    Bytes(Bytes),
    /// Encoded on first use, outside the lock.
    File(Arc<RideFile>),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) payload: Payload,
    /// The service itself resets the connection (an outage, not a fault rule).
    pub(crate) cut: bool,
}

impl Reply {
    pub(crate) fn new(code: u16, kind: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(kind))],
            payload: Payload::Bytes(body.into()),
            cut: false,
        }
    }

    pub(crate) fn empty(code: u16) -> Self {
        let mut reply = Self::new(code, "", Bytes::new());
        reply.headers.clear();
        reply
    }

    pub(crate) fn json(code: u16, value: &Value) -> Self {
        Self::new(code, "application/json", value.to_string())
    }

    pub(crate) fn html(code: u16) -> Self {
        let page =
            format!("<!DOCTYPE html><html><head><title>{code}</title></head><body><h1>{code}</h1></body></html>");
        Self::new(code, "text/html; charset=utf-8", page)
    }

    pub(crate) fn reset() -> Self {
        let mut reply = Self::empty(503);
        reply.cut = true;
        reply
    }

    pub(crate) fn redirect(code: u16, to: &str) -> Self {
        let mut reply = Self::empty(code);
        if let Ok(to) = HeaderValue::from_str(to) {
            reply.headers.push((LOCATION, to));
        }
        reply
    }

    /// The object store's error document.
    pub(crate) fn oss_error(code: u16) -> Self {
        let name = match code {
            403 => "AccessDenied",
            404 => "NoSuchKey",
            _ => "InternalError",
        };
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{name}</Code><Message>simulated</Message></Error>"
        );
        Self::new(code, "application/xml", body)
    }

    pub(crate) fn error(code: u16, retry_after: Option<u64>) -> Self {
        let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason()).unwrap_or("Error");
        Self::json(code, &json!({ "status": code, "error": reason })).retry_after(retry_after)
    }

    pub(crate) fn retry_after(mut self, seconds: Option<u64>) -> Self {
        if let Some(seconds) = seconds {
            self.headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        self
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// The gzip form of `bytes`.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail; if it did, an empty body would show it.
    let written = encoder.write_all(bytes);
    debug_assert!(written.is_ok(), "writing to memory");
    encoder.finish().unwrap_or_default()
}
