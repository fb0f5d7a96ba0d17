//! A bounded download from an address that came from outside.

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    LAST_MODIFIED, LOCATION,
};
use reqwest::{Method, Response, StatusCode};
use tracing::instrument;
use url::Url;

use crate::body::{BodyKind, retry_after, sniff};
use crate::client::GuardedClient;
use crate::guard::GuardError;
use crate::transport::TransportError;

/// Bytes kept of an answer that is not the file, to tell what it was.
const EXCERPT_BYTES: usize = 2048;

/// Most bytes reserved on the strength of a `Content-Length`.
const RESERVED_BYTES: usize = 256 * 1024;

/// Bounds of one download.
#[derive(Debug, Clone)]
pub struct DownloadLimits {
    /// Most bytes, on the wire and after decompression alike.
    pub max_bytes: u64,
    /// Longest time for all hops together.
    pub total_time: Duration,
    /// Longest time without a byte, from the request to the answer's head and within the body.
    pub idle_time: Duration,
    /// Most redirects followed.
    pub max_redirects: usize,
}

impl Default for DownloadLimits {
    /// 32 MiB, 60 seconds, 15 of them without a byte, 3 redirects.
    fn default() -> Self {
        Self {
            max_bytes: 32 * 1024 * 1024,
            total_time: Duration::from_secs(60),
            idle_time: Duration::from_secs(15),
            max_redirects: 3,
        }
    }
}

/// A complete download.
#[derive(Debug, Clone)]
pub struct Download {
    /// The body, decompressed when the server had compressed it.
    pub bytes: Bytes,
    /// `Content-Type` as sent.
    pub content_type: Option<String>,
    /// `ETag` as sent.
    pub etag: Option<String>,
    /// `Last-Modified` as sent.
    pub last_modified: Option<String>,
    /// Whether the server had compressed the body.
    pub was_gzip: bool,
    /// How many redirects were followed.
    pub redirects: usize,
}

/// Why a redirect was not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectProblem {
    /// No `Location`, or one that is no URL.
    #[error("it names no readable address")]
    NoLocation,
    /// The guard refused the new address.
    #[error(transparent)]
    Refused(#[from] GuardError),
    /// The new host's name leads to no public address.
    #[error("its name leads to no public address")]
    NotPublic,
}

/// A download that gave no complete file. Carries no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DownloadError {
    /// The guard refused the first address.
    #[error("the address is refused: {0}")]
    RefusedUrl(#[source] GuardError),
    /// The first address' name leads to no public address.
    #[error("the address is refused: its name leads to no public address")]
    NotPublic,
    /// A redirect led where the guard does not go.
    #[error("a redirect is refused: {0}")]
    RedirectRefused(#[source] RedirectProblem),
    /// More hops than admitted.
    #[error("more than {limit} redirects")]
    TooManyRedirects {
        /// The bound.
        limit: usize,
    },
    /// More bytes than admitted, announced or sent.
    #[error("larger than {limit} bytes")]
    TooLarge {
        /// The bound, in bytes.
        limit: u64,
    },
    /// The connection ended before the body was complete.
    #[error("the connection ended after {received} bytes, before the file was complete")]
    Truncated {
        /// Bytes received.
        received: u64,
        /// Bytes announced in `Content-Length`.
        announced: Option<u64>,
        /// The first bytes received, at most 2 KiB.
        head: Bytes,
    },
    /// The body ended in order, with another length than announced.
    #[error("{received} bytes came, {announced} were announced")]
    WrongLength {
        /// Bytes received.
        received: u64,
        /// Bytes announced in `Content-Length`.
        announced: u64,
    },
    /// Time ran out.
    #[error("not complete in time")]
    Timeout,
    /// No connection, or none that lasted to the answer's head.
    #[error("cannot reach the host: {0}")]
    Connect(String),
    /// The host answered with something else than success.
    #[error("the host answered {status}")]
    Status {
        /// HTTP status.
        status: u16,
        /// The pause the host asked for.
        retry_after: Option<Duration>,
        /// What the body looks like.
        kind: BodyKind,
        /// The first bytes of the body, at most 2 KiB.
        excerpt: Bytes,
    },
    /// The body is compressed in a way that cannot be undone.
    #[error("the content encoding cannot be undone: {0}")]
    Decode(String),
}

/// Fetches a file: guarded at every hop, bounded in bytes and time, with no credentials, cookies or
/// referer.
///
/// # Errors
/// One [`DownloadError`] for each way in which no complete file came.
#[instrument(level = "debug", skip_all, fields(http.host = url.host_str()))]
pub async fn download(client: &GuardedClient, url: &Url, limits: &DownloadLimits) -> Result<Download, DownloadError> {
    match tokio::time::timeout(limits.total_time, fetch(client, url, limits)).await {
        Ok(result) => result,
        Err(_) => Err(DownloadError::Timeout),
    }
}

async fn fetch(client: &GuardedClient, url: &Url, limits: &DownloadLimits) -> Result<Download, DownloadError> {
    let mut url = url.clone();
    let mut redirects = 0;
    loop {
        let response = open(client, &url, limits, redirects > 0).await?;
        if !is_redirect(response.status()) {
            let mut file = receive(response, limits).await?;
            file.redirects = redirects;
            return Ok(file);
        }
        if redirects == limits.max_redirects {
            return Err(DownloadError::TooManyRedirects { limit: limits.max_redirects });
        }
        redirects += 1;
        url = next_hop(client, &url, response.headers()).map_err(DownloadError::RedirectRefused)?;
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn next_hop(client: &GuardedClient, from: &Url, headers: &HeaderMap) -> Result<Url, RedirectProblem> {
    let location = text_of(headers, &LOCATION).ok_or(RedirectProblem::NoLocation)?;
    let next = from.join(&location).map_err(|_| RedirectProblem::NoLocation)?;
    client.guard().check(&next)?;
    Ok(next)
}

async fn open(
    client: &GuardedClient,
    url: &Url,
    limits: &DownloadLimits,
    redirected: bool,
) -> Result<Response, DownloadError> {
    let request = client
        .request(Method::GET, url)
        .map_err(DownloadError::RefusedUrl)?
        .timeout(limits.total_time)
        .header(ACCEPT, "*/*")
        // The bytes as stored are wanted; a server that compresses all the same is understood.
        .header(ACCEPT_ENCODING, "identity");
    let Ok(answer) = tokio::time::timeout(limits.idle_time, request.send()).await else {
        return Err(DownloadError::Timeout);
    };
    answer.map_err(|error| match TransportError::from(error) {
        TransportError::Timeout => DownloadError::Timeout,
        TransportError::NotPublic if redirected => DownloadError::RedirectRefused(RedirectProblem::NotPublic),
        TransportError::NotPublic => DownloadError::NotPublic,
        TransportError::Connect(why) | TransportError::Interrupted(why) | TransportError::Request(why) => {
            DownloadError::Connect(why)
        }
    })
}

async fn receive(response: Response, limits: &DownloadLimits) -> Result<Download, DownloadError> {
    if !response.status().is_success() {
        return Err(refusal(response, limits).await);
    }
    let headers = response.headers().clone();
    let announced = text_of(&headers, &CONTENT_LENGTH).and_then(|text| text.parse().ok());
    let raw = receive_body(response, announced, limits).await?;
    let received = raw.len() as u64;
    if let Some(announced) = announced.filter(|announced| *announced != received) {
        return Err(DownloadError::WrongLength { received, announced });
    }
    let was_gzip = is_gzip(&headers)?;
    let bytes = if was_gzip {
        let limit = limits.max_bytes;
        tokio::task::spawn_blocking(move || gunzip(&raw, limit))
            .await
            .map_err(|error| DownloadError::Decode(error.to_string()))??
    } else {
        raw
    };
    Ok(Download {
        bytes,
        content_type: text_of(&headers, &CONTENT_TYPE),
        etag: text_of(&headers, &ETAG),
        last_modified: text_of(&headers, &LAST_MODIFIED),
        was_gzip,
        redirects: 0,
    })
}

async fn receive_body(
    mut response: Response,
    announced: Option<u64>,
    limits: &DownloadLimits,
) -> Result<Bytes, DownloadError> {
    let limit = limits.max_bytes;
    if announced.is_some_and(|length| length > limit) {
        return Err(DownloadError::TooLarge { limit });
    }
    // An announcement costs its sender nothing, so it reserves little.
    let reserved = announced.map_or(0, |length| usize::try_from(length).unwrap_or(0).min(RESERVED_BYTES));
    let mut body = BytesMut::with_capacity(reserved);
    loop {
        let Ok(chunk) = tokio::time::timeout(limits.idle_time, response.chunk()).await else {
            return Err(DownloadError::Timeout);
        };
        match chunk {
            Ok(Some(chunk)) => {
                if body.len() as u64 + chunk.len() as u64 > limit {
                    return Err(DownloadError::TooLarge { limit });
                }
                body.extend_from_slice(&chunk);
            }
            Ok(None) => return Ok(body.freeze()),
            Err(error) if error.is_timeout() => return Err(DownloadError::Timeout),
            Err(_) => {
                return Err(DownloadError::Truncated {
                    received: body.len() as u64,
                    announced,
                    head: Bytes::copy_from_slice(&body[..body.len().min(EXCERPT_BYTES)]),
                });
            }
        }
    }
}

async fn refusal(mut response: Response, limits: &DownloadLimits) -> DownloadError {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers(), None);
    let mut excerpt = BytesMut::new();
    while excerpt.len() < EXCERPT_BYTES {
        match tokio::time::timeout(limits.idle_time, response.chunk()).await {
            Ok(Ok(Some(chunk))) => excerpt.extend_from_slice(&chunk),
            // The status is the news; how its page ends is not.
            _ => break,
        }
    }
    excerpt.truncate(EXCERPT_BYTES);
    DownloadError::Status { status, retry_after, kind: sniff(&excerpt), excerpt: excerpt.freeze() }
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, DownloadError> {
    match text_of(headers, &CONTENT_ENCODING) {
        None => Ok(false),
        Some(encoding) => match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(false),
            "gzip" | "x-gzip" => Ok(true),
            // Not the server's own words: they go to logs.
            _ => Err(DownloadError::Decode("neither gzip nor identity".into())),
        },
    }
}

fn gunzip(raw: &[u8], limit: u64) -> Result<Bytes, DownloadError> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(raw)
        .take(limit.saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(|error| DownloadError::Decode(error.to_string()))?;
    if plain.len() as u64 > limit {
        return Err(DownloadError::TooLarge { limit });
    }
    Ok(plain.into())
}

fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

#[cfg(test)]
mod tests;
