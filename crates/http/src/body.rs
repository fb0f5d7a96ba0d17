//! Reading answers with a bound, and what their first bytes look like.

use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

use crate::transport::TransportError;

/// Longest pause taken from a `Retry-After`: a day. More is somebody's mistake.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A body that was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than admitted.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: u64,
    },
    /// The connection broke or time ran out on the way.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// What a body looks like, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Nothing, or white space only.
    Empty,
    /// An HTML page.
    Html,
    /// An XML document.
    Xml,
    /// A JSON object or array.
    Json,
    /// Anything else.
    Other,
}

/// Reads a body of at most `limit` bytes (after decompression, where the client decompresses).
///
/// # Errors
/// [`BodyError::TooLarge`] without reading further, or the transport's failure.
pub async fn read_bounded(mut response: Response, limit: u64) -> Result<Bytes, BodyError> {
    if response.content_length().is_some_and(|n| n > limit) {
        return Err(BodyError::TooLarge { limit });
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(TransportError::from)? {
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(BodyError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The pause that a server asked for in `Retry-After`, at most a day.
///
/// A date is compared with the answer's own `Date` where there is one, because the two come from
/// one clock; otherwise with `now`. A date in the past is a pause of zero.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: Option<SystemTime>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are more than the bound, too.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let from = date_of(headers, &DATE).or(now)?;
    let pause = until.duration_since(from).unwrap_or_default();
    Some(pause.min(MAX_RETRY_AFTER))
}

fn date_of(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// Tells what a body looks like by its first bytes; a content type is not asked, it lies too often.
#[must_use]
pub fn sniff(body: &[u8]) -> BodyKind {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let body = body.trim_ascii_start();
    let head = body[..body.len().min(256)].to_ascii_lowercase();
    match head.first() {
        None => BodyKind::Empty,
        Some(b'{' | b'[') => BodyKind::Json,
        Some(b'<') if looks_like_html(&head) => BodyKind::Html,
        Some(b'<') if head.starts_with(b"<?xml") || head.starts_with(b"<error") => BodyKind::Xml,
        _ => BodyKind::Other,
    }
}

fn looks_like_html(head: &[u8]) -> bool {
    let starts = ["<!doctype html", "<html", "<head", "<body", "<script", "<!--", "<title"];
    let xhtml = head.starts_with(b"<?xml") && (contains(head, b"<!doctype html") || contains(head, b"<html"));
    xhtml || starts.iter().any(|start| head.starts_with(start.as_bytes()))
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(pairs: &[(&'static str, &str)], now: Option<SystemTime>) -> Option<u64> {
        let headers =
            pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect();
        retry_after(&headers, now).map(|d| d.as_secs())
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let before = "Sun, 06 Nov 1994 08:49:07 GMT";
        let earlier = httpdate::parse_http_date("Sun, 06 Nov 1994 08:48:37 GMT").unwrap();
        assert_eq!(pause(&[("retry-after", "120")], None), Some(120));
        assert_eq!(pause(&[("retry-after", " 0 ")], None), Some(0));
        assert_eq!(pause(&[("retry-after", date), ("date", before)], Some(earlier)), Some(30));
        assert_eq!(pause(&[("retry-after", date)], Some(earlier)), Some(60));
        assert_eq!(pause(&[("retry-after", date), ("date", date)], None), Some(0));
        assert_eq!(pause(&[("retry-after", before), ("date", date)], None), Some(0));
    }

    #[test]
    fn nonsense_in_retry_after_is_no_pause_and_huge_is_bounded() {
        assert_eq!(pause(&[], None), None);
        assert_eq!(pause(&[("retry-after", "soon")], None), None);
        assert_eq!(pause(&[("retry-after", "")], None), None);
        assert_eq!(pause(&[("retry-after", "-5")], None), None);
        assert_eq!(pause(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], None), None);
        let day = Some(86_400);
        assert_eq!(pause(&[("retry-after", "999999999999999999999999")], None), day);
        assert_eq!(pause(&[("retry-after", "604800")], None), day);
    }

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        for (body, kind) in [
            (&b""[..], BodyKind::Empty),
            (b" \r\n", BodyKind::Empty),
            (b"<!DOCTYPE html><p>", BodyKind::Html),
            (b"\n <HTML>", BodyKind::Html),
            (b"<?xml version=\"1.0\"?>\n<!DOCTYPE html PUBLIC>", BodyKind::Html),
            (b"<?xml version=\"1.0\"?><Error/>", BodyKind::Xml),
            (b"<Error><Code>NoSuchKey</Code></Error>", BodyKind::Xml),
            (b"\xef\xbb\xbf{}", BodyKind::Json),
            (b"[1]", BodyKind::Json),
            (b"\x0e\x10\xd9\x07\x00\x00\x00\x00.FIT", BodyKind::Other),
            (b"plain", BodyKind::Other),
        ] {
            assert_eq!(sniff(body), kind, "{body:?}");
        }
    }
}
