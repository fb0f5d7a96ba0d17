//! How riders are told.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use crate::{Code, Failure, domain::Message};

/// Where a notice goes: a channel of a rider, opened.
#[derive(Debug, Clone)]
pub struct NoticeTarget {
    /// The channel's settings, as [`Notifier::check`] returned them.
    pub settings: Value,
    /// Its secret, where it has one.
    pub secret: Option<SecretString>,
}

/// A message to a rider. All texts are for people and hold no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct NoticeText {
    /// The same over all attempts: what a receiver knows a repeat by. Letters, digits and `_`.
    pub id: String,
    /// Failure or recovery; `None` for a test.
    pub message: Option<Message>,
    /// What it is about.
    pub code: Option<Code>,
    /// The connection's name, where it is about one.
    pub connection: Option<String>,
    /// How often it failed since the last message.
    pub count: u32,
    /// Since when it fails.
    pub since: Option<Timestamp>,
    /// When it is sent.
    pub now: Timestamp,
    /// One line.
    pub subject: String,
    /// What happened, in a sentence.
    pub sentence: String,
    /// What is particular to this failure; may be empty.
    pub detail: String,
    /// What to do next, in a sentence.
    pub next: String,
}

impl NoticeText {
    /// A message that only shows that messages arrive.
    pub fn test(id: String, now: Timestamp) -> Self {
        Self {
            id,
            message: None,
            code: None,
            connection: None,
            count: 0,
            since: None,
            now,
            subject: "FitBridge: a test".into(),
            sentence: "This is a test: notices reach you here".into(),
            detail: String::new(),
            next: "Nothing to do".into(),
        }
    }

    /// The whole text, as plain lines.
    pub fn body(&self) -> String {
        let mut lines = vec![format!("{}.", self.sentence)];
        if !self.detail.is_empty() {
            lines.push(format!("Detail: {}", self.detail));
        }
        if let Some(since) = self.since {
            lines.push(format!("Since: {since:.0}"));
        }
        if self.count > 1 {
            lines.push(format!("How often: {}", self.count));
        }
        lines.push(String::new());
        lines.push(format!("Next: {}.", self.next));
        if let Some(code) = self.code {
            lines.push(format!("Code: {code}"));
        }
        lines.push(String::new());
        lines.push("The same cause is told at most once a day.".into());
        lines.join("\n")
    }
}

/// A channel that would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What it is called, for people: a host, an address.
    pub label: String,
    /// The settings in full; no secrets.
    pub settings: Value,
}

/// Why a message is not known to have arrived.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NotifyError {
    /// It may work later: try again, not before the time asked for. It may have arrived.
    #[error("{failure}")]
    Transient {
        /// Why.
        failure: Failure,
        /// What the receiver asked for.
        retry_after: Option<Duration>,
    },
    /// It will not work as it is set; only the rider can mend it.
    #[error("{0}")]
    Permanent(Failure),
}

impl NotifyError {
    /// The failure as it is shown.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::Transient { failure, .. } | Self::Permanent(failure) => failure,
        }
    }
}

/// One way to tell riders: a webhook, mail.
#[async_trait]
pub trait Notifier: Send + Sync + std::fmt::Debug {
    /// Looks whether the settings make sense; sends nothing and calls nobody. A failure names what is wrong.
    fn check(&self, settings: &Value, secret: Option<&SecretString>) -> Result<Checked, Failure>;

    /// Tells a notice. `Ok` means that the receiver, or the next mail server, took it. Told again under the same
    /// id it may arrive twice; the id lets the receiver see that.
    async fn tell(&self, target: &NoticeTarget, notice: &NoticeText) -> Result<(), NotifyError>;
}
