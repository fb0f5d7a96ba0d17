//! Failures of AWS calls as one line of text.

use std::{error::Error, fmt::Debug};

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

/// What failed, in the service's own words where it answered: `ThrottlingException: Rate exceeded`. Neither
/// a request nor the body of an answer is in it.
pub(crate) fn describe<E, R>(error: &SdkError<E, R>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
    R: Debug,
{
    match (error.code(), error.message()) {
        (Some(code), message) => told(code, message),
        (None, _) => chain(error),
    }
}

/// A service's code and message, or advice where the message must not be told.
pub(crate) fn told(code: &str, message: Option<&str>) -> String {
    match message {
        _ if refuses_credentials(code) => {
            format!("{code}: the AWS credentials are expired or not valid; get new ones")
        }
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    }
}

/// Whether this code refuses a request's signature or credentials. Messages of that kind quote the signed request,
/// with the session token among its headers.
///
/// Codes: "Common errors" of the API references of DynamoDB, SQS, Secrets Manager and SES, read November 2026.
pub(crate) fn refuses_credentials(code: &str) -> bool {
    matches!(
        code,
        "ExpiredTokenException"
            | "ExpiredToken"
            | "InvalidSignatureException"
            | "InvalidSignature"
            | "SignatureDoesNotMatch"
            | "IncompleteSignatureException"
            | "IncompleteSignature"
            | "RequestExpired"
            | "MissingAuthenticationTokenException"
            | "MissingAuthenticationToken"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidAccessKeyId"
            | "InvalidSecurity"
    )
}

/// An error and what it came from.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use aws_sdk_sqs::{error::ErrorMetadata, operation::send_message::SendMessageError};

    use super::*;

    fn answered(code: Option<&str>, message: &str) -> String {
        let mut meta = ErrorMetadata::builder().message(message);
        if let Some(code) = code {
            meta = meta.code(code);
        }
        let error = SendMessageError::generic(meta.build());
        describe(&SdkError::service_error(error, "the body of the answer"))
    }

    #[test]
    fn a_service_is_told_in_its_own_words() {
        assert_eq!(answered(Some("ThrottlingException"), "Rate exceeded"), "ThrottlingException: Rate exceeded");
    }

    #[test]
    fn messages_about_signatures_are_not_told() {
        let secret = "The Canonical String should have been x-amz-security-token:hunter2";
        for code in ["InvalidSignatureException", "SignatureDoesNotMatch", "ExpiredToken", "InvalidSecurity"] {
            let text = answered(Some(code), secret);
            assert!(text.contains(code) && text.contains("get new ones") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn the_body_of_an_answer_without_a_code_is_not_told() {
        let text = answered(None, "?");
        assert!(!text.contains("the body"), "{text}");
    }
}
