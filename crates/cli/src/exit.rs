//! How a command ends.

use fitbridge_core::{Code, Failure, engine::EngineError, store::StoreError};

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Everything is done.
    Done = 0,
    /// Wrong usage, or a failure of our own.
    Failed = 1,
    /// Some rides failed or wait for a retry.
    Unfinished = 2,
    /// A connection needs the rider.
    NeedsRider = 3,
}

/// A failure that ends a command, with how it ends.
#[derive(Debug, thiserror::Error)]
#[error("{failure}")]
pub(crate) struct Stop {
    /// What happened.
    pub failure: Failure,
    /// With which code.
    pub exit: Exit,
}

impl Stop {
    /// Ends with code 1.
    pub(crate) fn failed(failure: impl Into<Failure>) -> Self {
        Self { failure: failure.into(), exit: Exit::Failed }
    }

    /// Ends with the code that fits the failure.
    pub(crate) fn of(failure: Failure) -> Self {
        let exit = match failure.code {
            Code::TokenExpired
            | Code::TokenRefused
            | Code::TokenInvalid
            | Code::TokenMissing
            | Code::MemberMismatch
            | Code::StrangerRides
            | Code::RegionAmbiguous
            | Code::BadPassword
            | Code::LoginUsed
            | Code::NameTaken
            | Code::RiderPaused
            | Code::SinkReconnect
            | Code::SinkForbidden
            | Code::WebhookGone => Exit::NeedsRider,
            Code::SignatureRequired
            | Code::Stopped
            | Code::ProviderAway
            | Code::ProviderThrottled
            | Code::ProviderTimeout
            | Code::ProviderMalformed
            | Code::ProviderError
            | Code::SinkAway
            | Code::SinkTimeout
            | Code::SinkThrottled => Exit::Unfinished,
            _ => Exit::Failed,
        };
        Self { failure, exit }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::of(failure)
    }
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::of(error.failure())
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::of(error.failure())
    }
}
