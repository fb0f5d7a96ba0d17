//! Where rides go.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
};
use secrecy::SecretString;

use crate::{
    Code, Failure,
    domain::{About, ContentId, RemoteAccount, RemoteId},
};

/// A sink connection, opened.
#[derive(Debug, Clone)]
pub struct SinkTarget {
    /// The account there.
    pub account: RemoteAccount,
    /// Settings; their shape is the sink's own.
    pub settings: serde_json::Value,
    /// Its sealed secret, opened; `None` where it needs none.
    pub secret: Option<SecretString>,
}

/// What may be done after an attempt whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// Send again: the sink knows a repeat by itself.
    Repeat,
    /// Ask first whether it is there.
    ProbeFirst,
}

/// What one attempt led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was not there and is now.
    Created {
        /// What the sink calls it, where it says.
        remote_id: Option<RemoteId>,
    },
    /// It was there before. That is success too.
    AlreadyThere {
        /// What the sink calls it, where it says.
        remote_id: Option<RemoteId>,
    },
    /// Taken, but not done: ask again with [`Sink::follow`].
    Accepted {
        /// What to ask with.
        poll_token: String,
        /// How long to wait before asking.
        wait: Duration,
    },
    /// It will not be taken, ever.
    Rejected(Failure),
    /// The rider has to connect the sink again.
    NeedsReauth(Failure),
    /// Too many requests; none before the time asked for.
    Throttled {
        /// How long to wait, where the sink says.
        retry_after: Option<Duration>,
    },
    /// It certainly did not arrive; try again.
    Transient {
        /// Why.
        failure: Failure,
        /// How long to wait, where the sink says.
        retry_after: Option<Duration>,
    },
    /// It may have arrived.
    Unknown(Failure),
}

/// Answer of a probe.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// It is there.
    There {
        /// What the sink calls it.
        remote_id: Option<RemoteId>,
    },
    /// It is not.
    NotThere,
}

/// A ride that is already at a sink.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteRide {
    /// What the sink calls it.
    pub remote_id: RemoteId,
    /// Start on the wall clock there.
    pub local_start: DateTime,
    /// The route by which it came, as the sink names it, when that route makes other files than ours.
    /// `None` when it came as a file: then the sink's own comparison of files tells repeats.
    pub other_route: Option<String>,
    /// Elapsed time, s, where told.
    pub elapsed_s: Option<f64>,
    /// Distance, m, where told.
    pub distance_m: Option<f64>,
}

/// Why a sink could not be asked something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SinkError {
    /// The key or token does not do, or lacks a right: the rider has to act.
    #[error("{0}")]
    NeedsReauth(Failure),
    /// The settings do not do: the rider has to act.
    #[error("{0}")]
    Settings(Failure),
    /// The sink cannot be asked this at all, or this key may not.
    #[error("{0}")]
    Unsupported(Failure),
    /// Try later.
    #[error("{failure}")]
    Away {
        /// Why.
        failure: Failure,
        /// How long to wait, where the sink says.
        retry_after: Option<Duration>,
    },
}

impl SinkError {
    /// The failure as it is shown.
    pub fn failure(&self) -> &Failure {
        match self {
            Self::NeedsReauth(failure) | Self::Settings(failure) | Self::Unsupported(failure) => failure,
            Self::Away { failure, .. } => failure,
        }
    }

    /// What an attempt led to that met this before anything was sent. Whether an earlier one arrived is as
    /// unknown as before.
    pub fn into_outcome(self) -> Outcome {
        match self {
            Self::NeedsReauth(failure) | Self::Settings(failure) => Outcome::NeedsReauth(failure),
            Self::Away { failure, retry_after } => Outcome::Transient { failure, retry_after },
            Self::Unsupported(failure) => Outcome::Unknown(failure),
        }
    }

    /// An error for something this sink does not do.
    pub fn unsupported(what: &str) -> Self {
        Self::Unsupported(Failure::new(Code::SinkUnknown, what))
    }
}

/// Whom a sink connection belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// The account.
    pub account: RemoteAccount,
    /// Its owner's name or another label for people.
    pub label: String,
    /// Settings as they are to be stored: completed and normalised.
    pub settings: serde_json::Value,
}

/// A kind of place that takes files. One implementation per service; connections are passed in.
#[async_trait]
pub trait Sink: Send + Sync + std::fmt::Debug {
    /// What may be done after a lost answer.
    fn resend(&self) -> Resend;

    /// Whether a connection with these settings is sent a link to the file ([`SinkFile::link`]).
    fn wants_link(&self, _settings: &serde_json::Value) -> bool {
        false
    }

    /// Whether what is there can be listed.
    fn is_readable(&self) -> bool {
        false
    }

    /// Asks the service whether these settings and this secret do, and whose they are. Nothing is stored
    /// there.
    async fn check(&self, settings: &serde_json::Value, secret: Option<&SecretString>) -> Result<Identity, SinkError>;

    /// Sends the bytes, unchanged. What the [`Attempt`] says is for signatures and for the service's own comparison
    /// of repeats.
    async fn deliver(&self, target: &SinkTarget, file: &SinkFile, about: &About, attempt: &Attempt) -> Outcome;

    /// Asks what became of an accepted file.
    async fn follow(&self, _target: &SinkTarget, _poll_token: &str) -> Outcome {
        Outcome::Rejected(Failure::new(Code::Bug, "this sink never accepts for later"))
    }

    /// Asks whether a file is there, after an attempt whose answer was lost. `Unsupported` where the sink cannot be
    /// asked; any other error leaves it open: nothing is sent, and it is asked again. A sink that wants to be asked
    /// first ([`Resend::ProbeFirst`]) has to have this of its own.
    async fn probe(&self, _target: &SinkTarget, _about: &About) -> Result<Found, SinkError> {
        Err(SinkError::unsupported("it cannot be asked whether it has a ride"))
    }

    /// Lists what is there between two local dates, both included.
    async fn list(&self, _target: &SinkTarget, _oldest: Date, _newest: Date) -> Result<Vec<RemoteRide>, SinkError> {
        Err(SinkError::unsupported("it cannot be listed"))
    }
}

/// A file to deliver.
#[derive(Debug, Clone)]
pub struct SinkFile {
    /// Its SHA-256.
    pub content: ContentId,
    /// Its bytes.
    pub bytes: Bytes,
    /// A link to it, made for this attempt, where the sink wants one.
    pub link: Option<FileLink>,
}

/// Where anybody who has the URL can read a file for a while.
#[derive(Debug, Clone)]
pub struct FileLink {
    /// The URL; as good as a key while it lives.
    pub url: SecretString,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// One attempt of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The same over all attempts of this delivery; no dots in it.
    pub id: String,
    /// From 1.
    pub number: u32,
    /// The time of this attempt.
    pub now: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink whose author forgot the probe.
    #[derive(Debug)]
    struct Forgotten;

    #[async_trait]
    impl Sink for Forgotten {
        fn resend(&self) -> Resend {
            Resend::ProbeFirst
        }

        async fn check(&self, _: &serde_json::Value, _: Option<&SecretString>) -> Result<Identity, SinkError> {
            Err(SinkError::unsupported("it is never connected"))
        }

        async fn deliver(&self, _: &SinkTarget, _: &SinkFile, _: &About, _: &Attempt) -> Outcome {
            Outcome::Created { remote_id: None }
        }
    }

    #[tokio::test]
    async fn a_sink_without_a_probe_never_says_that_a_ride_is_not_there() {
        let account = RemoteAccount {
            service: crate::domain::Service::from_any("forgotten"),
            realm: String::new(),
            account: "1".into(),
        };
        let target = SinkTarget { account, settings: serde_json::Value::Null, secret: None };
        let about = serde_json::from_value(serde_json::json!({ "external_id": "1", "source": "igpsport" })).unwrap();
        let open = Forgotten.probe(&target, &about).await.unwrap_err();
        assert!(matches!(open.into_outcome(), Outcome::Unknown(_)));
    }
}
