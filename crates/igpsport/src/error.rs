//! What the API can answer instead of what was asked.

use std::time::Duration;

use fitbridge_http::TransportError;

use crate::token::{MemberId, TokenError};

/// What a caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Try the same again later.
    Transient,
    /// The rider has to sign in again.
    Reauthorise,
    /// The same request will never succeed.
    Permanent,
    /// Our own mistake.
    Bug,
}

/// A failed call. Carries neither URL nor token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The token is refused: 401 or 403, as HTTP status or as the envelope's code, or a message that
    /// asks to log in.
    #[error("the token is refused (status {status})")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The envelope's code, where there was one.
        code: Option<i64>,
    },
    /// The login knows no such user with this password in this region.
    #[error("e-mail or password are wrong, or belong to the other region")]
    BadPassword,
    /// Unsigned requests are no longer taken.
    #[error("requests would have to be signed (status {status})")]
    SignatureRequired {
        /// HTTP status.
        status: u16,
    },
    /// Too many requests.
    #[error("too many requests")]
    Throttled {
        /// The pause asked for.
        retry_after: Option<Duration>,
    },
    /// The service is out of order.
    #[error("the service is unavailable (status {status})")]
    Unavailable {
        /// HTTP status.
        status: u16,
        /// The pause asked for.
        retry_after: Option<Duration>,
    },
    /// A firewall's page in place of an answer; says nothing about the token.
    #[error("a web page with status 403 came instead of an answer")]
    WafPage,
    /// A redirect, which is never followed: it could carry the token elsewhere.
    #[error("a redirect came instead of an answer (status {status})")]
    Redirected {
        /// HTTP status.
        status: u16,
    },
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke before the answer was complete.
    #[error("the connection broke: {0}")]
    Interrupted(String),
    /// The answer cannot be read.
    #[error("the answer cannot be read: {what}")]
    Malformed {
        /// What is wrong with it.
        what: String,
    },
    /// The envelope says failure with a code of the service's own.
    #[error("the service answered code {code}: {message}")]
    Api {
        /// The envelope's code.
        code: i64,
        /// Its message, shortened and without anything that looks like a token.
        message: String,
    },
    /// There is no such ride.
    #[error("there is no such ride")]
    NotFound,
    /// The answer is about another member than the token's.
    #[error("the answer is about member {got}, not {expected}")]
    MemberMismatch {
        /// The token's member.
        expected: MemberId,
        /// The answer's.
        got: MemberId,
    },
    /// The token cannot be read, so nothing was asked.
    #[error("this is no token: {0}")]
    BadToken(#[from] TokenError),
    /// The request could not be built or signed.
    #[error("the request could not be made: {0}")]
    Request(String),
}

impl ApiError {
    /// A stable name for logs and machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "token_refused",
            Self::BadPassword => "bad_password",
            Self::SignatureRequired { .. } => "signature_required",
            Self::Throttled { .. } => "provider_throttled",
            Self::Unavailable { .. } => "provider_away",
            Self::WafPage => "provider_waf_page",
            Self::Redirected { .. } => "provider_redirect",
            Self::Timeout => "provider_timeout",
            Self::Connect(_) => "provider_unreachable",
            Self::Interrupted(_) => "provider_interrupted",
            Self::Malformed { .. } => "provider_malformed",
            Self::Api { .. } => "provider_error",
            Self::NotFound => "ride_gone",
            Self::MemberMismatch { .. } => "member_mismatch",
            Self::BadToken(_) => "token_invalid",
            Self::Request(_) => "internal",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Throttled { .. }
            | Self::Unavailable { .. }
            | Self::WafPage
            | Self::Redirected { .. }
            | Self::Timeout
            | Self::Connect(_)
            | Self::Interrupted(_)
            | Self::Malformed { .. }
            // Nobody knows the service's own codes, so none is taken for final.
            | Self::Api { .. } => ErrorClass::Transient,
            Self::Refused { .. }
            | Self::BadPassword
            | Self::MemberMismatch { .. }
            | Self::BadToken(_) => ErrorClass::Reauthorise,
            Self::SignatureRequired { .. } | Self::NotFound => ErrorClass::Permanent,
            Self::Request(_) => ErrorClass::Bug,
        }
    }

    /// The pause that the service asked for.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// An answer that cannot be read.
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed { what: what.into() }
    }
}

impl From<TransportError> for ApiError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Timeout => Self::Timeout,
            TransportError::Connect(why) => Self::Connect(why),
            TransportError::NotPublic => Self::Connect(error.to_string()),
            TransportError::Interrupted(why) => Self::Interrupted(why),
            TransportError::Request(why) => Self::Request(why),
        }
    }
}
