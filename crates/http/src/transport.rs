//! What can go wrong before an answer is complete.

use std::error::Error;

use crate::resolve::NoPublicAddress;

/// A request that got no complete answer. Carries neither URL nor headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Connecting, sending or receiving took longer than allowed.
    #[error("no answer in time")]
    Timeout,
    /// The name does not resolve, nobody listens, or TLS failed: nothing was sent.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The name leads to addresses that are not public: nothing was sent.
    #[error("the name leads to no public address")]
    NotPublic,
    /// The connection broke after the request may have been sent.
    #[error("the connection broke: {0}")]
    Interrupted(String),
    /// The request could not be built.
    #[error("the request could not be built: {0}")]
    Request(String),
}

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> Self {
        // The URL may hold secrets (webhooks, presigned links).
        let error = error.without_url();
        let blocked = caused_by_guard(&error);
        if blocked {
            Self::NotPublic
        } else if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Connect(root_cause(&error))
        } else if error.is_builder() {
            Self::Request(root_cause(&error))
        } else {
            Self::Interrupted(root_cause(&error))
        }
    }
}

fn caused_by_guard(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(inner) = next {
        if inner.is::<NoPublicAddress>() {
            return true;
        }
        next = inner.source();
    }
    false
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut last: &dyn Error = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}
