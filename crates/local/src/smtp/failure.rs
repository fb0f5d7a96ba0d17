//! What a failed mail means.

use std::error::Error as _;

use fitbridge_core::{Code, Failure, ports::NotifyError};
use lettre::transport::smtp::Error;

/// Answers to a login: RFC 4954 §6.
const LOGIN: [u16; 5] = [432, 454, 530, 534, 535];

/// A refusal is for the rider to mend; everything else may pass.
pub(super) fn failed(error: &Error) -> NotifyError {
    let status = error.status().map(u16::from);
    // The source says what happened; the outer text only that something did.
    let why = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    if error.is_permanent() {
        let code =
            if status.is_some_and(|status| LOGIN.contains(&status)) { Code::MailLogin } else { Code::MailRefused };
        return NotifyError::Permanent(Failure::new(code, why));
    }
    // Our own side: an address the server cannot take, no way to log in that both know.
    if error.is_client() {
        return NotifyError::Permanent(Failure::new(Code::MailRefused, why));
    }
    NotifyError::Transient { failure: Failure::new(Code::MailAway, why), retry_after: None }
}
