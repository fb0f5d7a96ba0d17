//! What HTTP answers and broken calls mean, as far as all sinks agree.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fitbridge_core::{
    Code, Failure,
    ports::{Outcome, SinkError},
};
use fitbridge_http::{BodyError, BodyKind, TransportError, read_bounded, retry_after, sniff};
use jiff::Timestamp;
use reqwest::{Response, StatusCode, header::HeaderMap};
use serde_json::Value;

use crate::text::one_line;

/// Most bytes read of an answer that is no list.
pub(crate) const SMALL: u64 = 64 * 1024;

/// Most characters taken from a server's own words.
const MAX_WORDS: usize = 160;

/// The slowest upload that is waited for, bytes/s. With it the largest file of 32 MiB takes about two
/// minutes, less than the time for which a worker holds its claim.
const SLOWEST_UPLOAD: usize = 256 * 1024;

/// An answer, read as far as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Result<Bytes, BodyError>,
}

impl Answer {
    pub(crate) async fn read(response: Response, limit: u64) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, body: read_bounded(response, limit).await }
    }

    /// The body, empty where it did not come to its end.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// Whether it is a web page or another document that no JSON API writes: then something in between
    /// answered, not the service.
    pub(crate) fn is_page(&self) -> bool {
        matches!(sniff(self.bytes()), BodyKind::Html | BodyKind::Xml)
    }

    /// The pause asked for.
    pub(crate) fn pause(&self, now: Option<Timestamp>) -> Option<Duration> {
        retry_after(&self.headers, now.and_then(|now| SystemTime::try_from(now).ok()))
    }

    /// The failure with the status and the server's own words, which never repeat `secret`.
    pub(crate) fn failure(&self, code: Code, secret: &str) -> Failure {
        let status = self.status.as_u16();
        match self.words(secret) {
            Some(words) => Failure::new(code, format!("{status}: {words}")),
            None if self.is_page() => Failure::new(code, format!("{status}: a web page")),
            None => Failure::new(code, status.to_string()),
        }
    }

    fn words(&self, secret: &str) -> Option<String> {
        let json: Value = serde_json::from_slice(self.bytes()).ok()?;
        let words = ["error", "message", "detail"].iter().find_map(|key| json.get(key)?.as_str())?;
        let words = if secret.is_empty() { words.to_owned() } else { words.replace(secret, "…") };
        Some(one_line(&words, MAX_WORDS)).filter(|words| !words.is_empty())
    }
}

/// How long an upload may take: the usual time, and what a slow line needs for the bytes.
pub(crate) fn upload_time(usual: Duration, size: usize) -> Duration {
    usual + Duration::from_secs(u64::try_from(size / SLOWEST_UPLOAD).unwrap_or(u64::MAX / 2))
}

/// What a delivery without an answer led to.
pub(crate) fn lost(error: &TransportError) -> Outcome {
    let failure = broken(error);
    match error {
        TransportError::Request(_) => Outcome::Rejected(failure),
        TransportError::Connect(_) | TransportError::NotPublic => Outcome::Transient { failure, retry_after: None },
        TransportError::Timeout | TransportError::Interrupted(_) => Outcome::Unknown(failure),
    }
}

/// What a question without an answer led to.
pub(crate) fn away(error: &TransportError) -> SinkError {
    SinkError::Away { failure: broken(error), retry_after: None }
}

fn broken(error: &TransportError) -> Failure {
    let code = match error {
        TransportError::Timeout => Code::SinkTimeout,
        TransportError::Connect(_) | TransportError::NotPublic => Code::SinkAway,
        TransportError::Interrupted(_) => Code::SinkUnknownOutcome,
        TransportError::Request(_) => Code::Bug,
    };
    Failure::new(code, error.to_string())
}
