//! DynamoDB's errors as the port knows them: which may be tried again, and what is known of the write.

use std::error::Error;

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use fitbridge_core::ports::LedgerError;

use crate::failure::{self, chain, refuses_credentials};

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was certainly not done, and the same request may be in a moment.
    Refused,
    /// Whether it was done is not known; the same request may be made again.
    Unknown,
    /// It was not done, and will not be until somebody acts.
    Denied,
    /// It is a request that is never done.
    Wrong,
}

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// What became of it.
    pub(super) fate: Fate,
    /// What to tell: no request bodies and no credentials.
    text: String,
}

impl Fault {
    /// A request that was refused for now.
    pub(super) fn refused(text: String) -> Self {
        Self { fate: Fate::Refused, text }
    }

    /// A request that is refused until somebody acts.
    pub(super) fn denied(text: String) -> Self {
        Self { fate: Fate::Denied, text }
    }

    /// A request that is never done.
    pub(super) fn wrong(text: String) -> Self {
        Self { fate: Fate::Wrong, text }
    }

    /// Reads an error of the SDK, met while using `table`.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>, table: &str) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let (fate, text) = match error {
            SdkError::ServiceError(answer) => {
                let meta = answer.err().meta();
                of_code(meta.code(), meta.message(), answer.raw().status().as_u16())
            }
            SdkError::TimeoutError(_) => (Fate::Unknown, "it did not answer in time".to_owned()),
            SdkError::ResponseError(_) => (Fate::Unknown, format!("its answer cannot be read ({})", chain(error))),
            SdkError::DispatchFailure(failure) => {
                let again = failure.is_io() || failure.is_timeout() || failure.as_other().is_some();
                let fate = if again { Fate::Unknown } else { Fate::Denied };
                (fate, format!("it cannot be reached ({})", chain(error)))
            }
            SdkError::ConstructionFailure(_) => (Fate::Wrong, chain(error)),
            _ => (Fate::Unknown, chain(error)),
        };
        Self { fate, text: format!("table {table}: {text}") }
    }

    /// Whether the same request may be made again.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.fate, Fate::Refused | Fate::Unknown)
    }
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> Self {
        match fault.fate {
            Fate::Wrong => Self::Misuse(fault.text),
            Fate::Refused | Fate::Unknown | Fate::Denied => Self::Unavailable(fault.text),
        }
    }
}

/// Codes: "Error handling with DynamoDB" and "Common errors" of the DynamoDB developer guide and API
/// reference, read November 2026.
fn of_code(code: Option<&str>, message: Option<&str>, status: u16) -> (Fate, String) {
    let code = code.unwrap_or("an error without a code");
    let told = || format!("{code}: {}", message.unwrap_or("no message"));
    match code {
        "ThrottlingException"
        | "Throttling"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "ReplicatedWriteConflictException" => (Fate::Refused, told()),
        "ValidationException"
        | "SerializationException"
        | "IdempotentParameterMismatchException"
        | "ItemCollectionSizeLimitExceededException" => (Fate::Wrong, told()),
        "ResourceNotFoundException" => {
            (Fate::Denied, "there is no such table or index in this account and region; check the deployment".into())
        }
        _ if refuses_credentials(code) => (Fate::Denied, failure::told(code, message)),
        "AccessDeniedException" => (Fate::Denied, format!("{code}: the role lacks a right on this table")),
        // Below 400 it is an answer that cannot be read.
        _ if !(400..500).contains(&status) => (Fate::Unknown, told()),
        _ if status == 413 => (Fate::Wrong, told()),
        _ => (Fate::Denied, told()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_fate() {
        for (code, status, fate) in [
            ("ThrottlingException", 400, Fate::Refused),
            ("ProvisionedThroughputExceededException", 400, Fate::Refused),
            ("RequestLimitExceeded", 400, Fate::Refused),
            ("TransactionConflictException", 400, Fate::Refused),
            ("TransactionInProgressException", 400, Fate::Refused),
            ("InternalServerError", 500, Fate::Unknown),
            ("ServiceUnavailable", 503, Fate::Unknown),
            ("ValidationException", 400, Fate::Wrong),
            ("ResourceNotFoundException", 400, Fate::Denied),
            ("ExpiredTokenException", 400, Fate::Denied),
            ("AccessDeniedException", 400, Fate::Denied),
            ("SomethingNew", 400, Fate::Denied),
        ] {
            assert_eq!(of_code(Some(code), None, status).0, fate, "{code}");
        }
    }

    #[test]
    fn messages_about_signatures_are_not_told() {
        let secret = "The Canonical String should have been x-amz-security-token:hunter2";
        for code in ["InvalidSignatureException", "ExpiredTokenException", "UnrecognizedClientException"] {
            let (_, text) = of_code(Some(code), Some(secret), 400);
            assert!(text.contains(code) && !text.contains("hunter2"), "{text}");
        }
    }
}
