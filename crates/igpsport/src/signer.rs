//! The seam for signed requests.
//!
//! The global region takes plain bearer requests. China's web app signs its calls with an algorithm
//! that is not public, and the global region may follow one day. Whoever knows how plugs it in here.

use async_trait::async_trait;
use reqwest::header::HeaderMap;

/// What a signature is made over.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'a> {
    /// HTTP method, upper case.
    pub method: &'a str,
    /// Path and query exactly as they are sent.
    pub path_and_query: &'a str,
    /// Body as sent; empty for GET.
    pub body: &'a [u8],
}

/// A request could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign: {0}")]
pub struct SignError(pub String);

/// Makes the headers that sign a request.
#[async_trait]
pub trait Signer: Send + Sync + std::fmt::Debug {
    /// Headers to add to the request. Called once for each attempt, so that a nonce is fresh.
    async fn headers(&self, request: Unsigned<'_>) -> Result<HeaderMap, SignError>;
}

/// Signs nothing, which is what the global region expects.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSigner;

#[async_trait]
impl Signer for NoSigner {
    async fn headers(&self, _: Unsigned<'_>) -> Result<HeaderMap, SignError> {
        Ok(HeaderMap::new())
    }
}
