//! Where rides come from: a cloud API with a bearer token, and a file host without.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::{
    Code, Failure,
    domain::{DetailFacts, FileLocation, ListedFacts, RemoteAccount, RideId, RowProblem},
};

/// Whose rides are asked for, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// The account the token must belong to; its realm chooses the API host.
    pub account: &'a RemoteAccount,
    /// The token.
    pub token: &'a SecretString,
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedRow {
    /// Which ride.
    pub ride_id: RideId,
    /// What the row says of it.
    pub facts: ListedFacts,
}

/// A page of the list, newest rides first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListPage {
    /// Pages in all, where the source says so.
    pub total_pages: Option<u32>,
    /// Rows in all, where the source says so.
    pub total_rows: Option<u64>,
    /// The rows that could be decoded, in the source's order.
    pub rows: Vec<ListedRow>,
    /// The rows that could not.
    pub problems: Vec<RowProblem>,
}

/// Where a ride's file lies.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// The location.
    pub location: FileLocation,
    /// What the detail call said, where it answered.
    pub detail: Option<DetailFacts>,
}

/// What a token says of itself; not verified, since nobody but the source could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFacts {
    /// The account's number.
    pub member: String,
    /// When it ends.
    pub ends_at: Option<Timestamp>,
}

/// An account that a token opens.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceIdentity {
    /// The account.
    pub account: RemoteAccount,
    /// Its owner's name, where the source tells it.
    pub nickname: Option<String>,
    /// The first page of its list.
    pub latest: ListPage,
}

/// What a rider signs in with.
#[derive(Debug, Clone)]
pub struct Login {
    /// E-mail or phone number.
    pub username: String,
    /// The password.
    pub password: SecretString,
}

/// Why the source did not answer as hoped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// The token is refused (401, 403 and their disguises). The rider has to connect again, unless many are
    /// refused at once: then it is the source.
    #[error("the source refuses the token ({0})")]
    Refused(String),
    /// E-mail or password are wrong.
    #[error("the source refuses e-mail or password ({0})")]
    BadPassword(String),
    /// Requests would have to be signed; no retry helps.
    #[error("the source asks for signed requests ({0})")]
    SignatureRequired(String),
    /// The answer is about another member than the account's; stop using the token.
    #[error("the source answered for member {got}, not {expected}")]
    WrongMember {
        /// Whose account is connected.
        expected: String,
        /// Whom the answer is about.
        got: String,
    },
    /// There is no file yet; ask later.
    #[error("the source has no file for this ride yet")]
    NotReady,
    /// There is no such ride (any more).
    #[error("the source has no such ride ({0})")]
    NotFound(String),
    /// Too many requests: nothing was done, and none is to come before the time asked for.
    #[error("the source asks to slow down")]
    Throttled {
        /// How long to wait, where it says.
        retry_after: Option<Duration>,
    },
    /// It is away, slow, or answers nonsense; try later. The failure says which.
    #[error("{0}")]
    Away(Failure),
    /// It is away and says for how long; what it did with the request is as open as after [`SourceError::Away`].
    #[error("{failure}")]
    AwayFor {
        /// What happened.
        failure: Failure,
        /// How long to wait.
        retry_after: Duration,
    },
    /// It could not be connected to: the request never left, so nothing was done.
    #[error("{0}")]
    Unreached(Failure),
    /// It is no token of this source.
    #[error("this is no token ({0})")]
    BadToken(String),
}

impl SourceError {
    /// The failure as it is shown.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Refused(detail) => Failure::new(Code::TokenRefused, detail),
            Self::BadPassword(detail) => Failure::new(Code::BadPassword, detail),
            Self::SignatureRequired(detail) => Failure::new(Code::SignatureRequired, detail),
            Self::WrongMember { expected, got } => {
                Failure::new(Code::MemberMismatch, format!("expected member {expected}, got {got}"))
            }
            Self::NotReady => Code::RideNotReady.into(),
            Self::NotFound(detail) => Failure::new(Code::RideGone, detail),
            Self::Throttled { .. } => Code::ProviderThrottled.into(),
            Self::Away(failure) | Self::AwayFor { failure, .. } | Self::Unreached(failure) => failure.clone(),
            Self::BadToken(detail) => Failure::new(Code::TokenInvalid, detail),
        }
    }

    /// Whether the request certainly changed nothing at the source, so that one which must not be made twice may be
    /// made again. After an answer that was lost, a 5xx or a web page nobody knows.
    pub fn did_nothing(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unreached(_))
    }
}

/// The source's API. Every call goes to the API host of the account's realm and to no other.
#[async_trait]
pub trait Source: Send + Sync + std::fmt::Debug {
    /// Reads one page of the list; pages count from 1. A page beyond the end is empty. [`SourceError::WrongMember`] where
    /// the answer is about another account, even if it is well formed; [`SourceError::Away`] where it cannot be read.
    async fn list_page(&self, access: Access<'_>, page: u32) -> Result<ListPage, SourceError>;

    /// Asks where a ride's file lies: the detail call, and the fallback where that has no location.
    /// [`SourceError::NotReady`] and [`SourceError::NotFound`] are about this ride only: neither counts against the
    /// provider.
    async fn resolve(&self, access: Access<'_>, ride: RideId) -> Result<Resolution, SourceError>;

    /// Asks without a token whether the API answers at all: `Ok` means that a refusal is about the token.
    async fn reachable(&self, account: &RemoteAccount) -> Result<(), SourceError>;

    /// Reads what a token says of itself; no call is made. It fails with [`SourceError::BadToken`] only.
    fn token_facts(&self, token: &SecretString) -> Result<TokenFacts, SourceError>;

    /// Asks every realm (or just the one named) which account the token opens there. An empty answer means
    /// that all refuse it; an error that some could not be asked and none accepted it.
    async fn identify(&self, token: &SecretString, realm: Option<&str>) -> Result<Vec<SourceIdentity>, SourceError>;

    /// Signs in and returns a token. A login may end the tokens before it, so it is made once per token's life: after
    /// an error it is repeated only where [`SourceError::did_nothing`] says so. `Throttled` and `Unreached` are for
    /// what is certain; whatever else went wrong, the login may have happened.
    async fn log_in(&self, realm: &str, login: &Login) -> Result<SecretString, SourceError>;
}

/// Why a file did not come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is not there (any more): ask the source again where it lies.
    #[error("{0}")]
    Gone(Failure),
    /// It did not come this time; fetch it again later.
    #[error("{failure}")]
    Again {
        /// What happened.
        failure: Failure,
        /// How long to wait, where the host says.
        retry_after: Option<Duration>,
    },
    /// It is not to be had from there, whatever is tried.
    #[error("{0}")]
    Never(Failure),
}

/// The file host. Locations are untrusted: addresses, redirects, sizes and times are bounded, and no
/// credentials are sent.
#[async_trait]
pub trait Files: Send + Sync + std::fmt::Debug {
    /// Downloads a file of at most 32 MiB.
    async fn open(&self, location: &FileLocation) -> Result<Bytes, FileError>;
}
