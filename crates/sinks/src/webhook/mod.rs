//! A rider's own endpoint, signed as Standard Webhooks 1.0 says. The receiver knows a repeat by the
//! `webhook-id`, which is the same over all attempts of a delivery.
//!
//! Facts: the Standard Webhooks specification 1.0.0 (headers, signed content, rotation, 410, redirects).

mod message;
mod notices;
mod secret;
mod sign;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::{
    Code, Failure,
    domain::{About, ContentId, RemoteAccount, Service},
    ports::{Attempt, Clock, Identity, Outcome, Resend, Sink, SinkError, SinkFile, SinkTarget},
};
use fitbridge_http::{GuardError, GuardedClient, TransportError, read_bounded};
use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, Response, header::HeaderValue};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::instrument;
use url::Url;

pub use self::notices::WebhookNotices;
pub use self::secret::{MAX_SECRETS, SecretError, new_secret, retire_older, rotate, sealed_secret};
use self::{message::Message, secret::Keys, sign::signatures};
use crate::answer::{Answer, SMALL, away, lost, upload_time};

/// The sink's short name.
pub const SERVICE: &str = "webhook";

/// Longest wait for the body of an answer whose status is known.
const BODY_TIME: Duration = Duration::from_secs(2);

/// The sink.
#[derive(Debug, Clone)]
pub struct Webhook {
    client: GuardedClient,
    clock: Arc<dyn Clock>,
    timeout: Duration,
}

/// What is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// The file, with the ride's facts in headers.
    #[default]
    Raw,
    /// A JSON message about the file.
    Notify,
    /// The same with a link to download the file.
    Link,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    url: String,
    #[serde(default)]
    mode: Mode,
}

/// Why a connection's settings or secret do not do.
enum Unusable {
    Settings(Failure),
    Url(Failure),
    Secret(Failure),
}

/// A connection's settings and secret, read.
struct Opened {
    url: Url,
    mode: Mode,
    keys: Keys,
}

fn refused(error: &GuardError) -> Failure {
    Failure::new(Code::WebhookRefusedUrl, error.to_string())
}

impl Webhook {
    /// The sink over a guarded client; the clock tells the time of pings. `timeout` bounds a call with a
    /// small body; larger ones get more, in proportion.
    pub fn new(client: GuardedClient, clock: Arc<dyn Clock>, timeout: Duration) -> Self {
        Self { client, clock, timeout }
    }

    fn open(&self, settings: &Value, secret: Option<&SecretString>) -> Result<Opened, Unusable> {
        let settings = Settings::deserialize(settings)
            .map_err(|error| Unusable::Settings(Failure::new(Code::SinkSettings, error.to_string())))?;
        let mut url = self.client.guard().parse(&settings.url).map_err(|error| Unusable::Url(refused(&error)))?;
        url.set_fragment(None);
        let none = || Failure::new(Code::SinkReconnect, "no signing secret is sealed for it");
        let secret = secret.ok_or_else(none).map_err(Unusable::Secret)?;
        let keys = Keys::open(secret).map_err(|error| Unusable::Secret(error.into()))?;
        Ok(Opened { url, mode: settings.mode, keys })
    }

    /// The signed request; the URL passes the guard again.
    fn request(&self, opened: &Opened, id: &str, now: Timestamp, message: Message) -> Result<RequestBuilder, Failure> {
        let request = self.client.request(Method::POST, &opened.url).map_err(|error| refused(&error))?;
        let bug = |why| Failure::new(Code::Bug, why);
        // A dot would let one message be read as another.
        let id_header = HeaderValue::from_str(id).ok().filter(|_| !id.is_empty() && !id.contains('.'));
        let id_header = id_header.ok_or_else(|| bug("the message id cannot be signed"))?;
        let timestamp = now.as_second();
        let signature = signatures(&opened.keys, id, timestamp, &message.body);
        let signature = signature.ok_or_else(|| bug("the message cannot be signed"))?;
        let time = upload_time(self.timeout, message.body.len());
        let request = request
            .headers(message.headers)
            .header("webhook-id", id_header)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature)
            .timeout(time)
            .body(message.body);
        Ok(request)
    }
}

/// Keeps status and headers. A short body is read to its end, so that the connection can serve the next
/// call; what it says does not matter, and nobody waits long for it.
async fn read(response: Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    if response.content_length().is_some_and(|length| length <= SMALL) {
        // What is not read in time only costs the connection.
        let _ = tokio::time::timeout(BODY_TIME, read_bounded(response, SMALL)).await;
    }
    Answer { status, headers, body: Ok(Bytes::new()) }
}

fn outcome(answer: &Answer, now: Timestamp) -> Outcome {
    let status = answer.status.as_u16();
    let failure = |code| Failure::new(code, status.to_string());
    let retry_after = answer.pause(Some(now));
    match status {
        200..=299 => Outcome::Created { remote_id: None },
        300..=399 => Outcome::Transient { failure: failure(Code::WebhookRedirect), retry_after: None },
        410 => Outcome::NeedsReauth(failure(Code::WebhookGone)),
        429 => Outcome::Throttled { retry_after },
        502..=504 if retry_after.is_some() => Outcome::Throttled { retry_after },
        _ => Outcome::Transient { failure: failure(Code::WebhookStatus), retry_after },
    }
}

#[async_trait]
impl Sink for Webhook {
    fn resend(&self) -> Resend {
        Resend::Repeat
    }

    fn wants_link(&self, settings: &Value) -> bool {
        Settings::deserialize(settings).is_ok_and(|settings| settings.mode == Mode::Link)
    }

    /// Sends a signed ping and asks for a 2xx.
    #[instrument(skip_all)]
    async fn check(&self, settings: &Value, secret: Option<&SecretString>) -> Result<Identity, SinkError> {
        let opened = self.open(settings, secret).map_err(|unusable| match unusable {
            Unusable::Settings(failure) | Unusable::Url(failure) => SinkError::Settings(failure),
            Unusable::Secret(failure) => SinkError::NeedsReauth(failure),
        })?;
        let now = self.clock.now();
        let id = format!("ping_{}", ContentId::of(format!("{now} {}", opened.url).as_bytes()));
        let request = self.request(&opened, &id, now, Message::ping(now)).map_err(SinkError::Settings)?;
        let answer = match request.send().await.map_err(TransportError::from) {
            Ok(response) => read(response).await,
            Err(error @ TransportError::NotPublic) => {
                return Err(SinkError::Settings(Failure::new(Code::WebhookRefusedUrl, error.to_string())));
            }
            Err(error) => return Err(away(&error)),
        };
        match outcome(&answer, now) {
            Outcome::Created { .. } => {}
            Outcome::Throttled { retry_after } => {
                return Err(SinkError::Away { failure: Code::SinkThrottled.into(), retry_after });
            }
            Outcome::Transient { failure, .. } if failure.code == Code::WebhookRedirect => {
                return Err(SinkError::Settings(failure));
            }
            Outcome::NeedsReauth(failure) => return Err(SinkError::Settings(failure)),
            Outcome::Transient { failure, retry_after } => return Err(SinkError::Away { failure, retry_after }),
            other => return Err(SinkError::unsupported(&format!("unexpected answer to a ping: {other:?}"))),
        }
        let url = opened.url.to_string();
        let host = opened.url.host_str().unwrap_or_default();
        let label = opened.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let settings = serde_json::to_value(Settings { url: url.clone(), mode: opened.mode })
            .map_err(|error| SinkError::Settings(Failure::new(Code::SinkSettings, error.to_string())))?;
        let account = RemoteAccount { service: Service::from_any(SERVICE), realm: String::new(), account: url };
        Ok(Identity { account, label, settings })
    }

    #[instrument(skip_all, fields(delivery.id = %attempt.id, attempt = attempt.number))]
    async fn deliver(&self, target: &SinkTarget, file: &SinkFile, about: &About, attempt: &Attempt) -> Outcome {
        let opened = match self.open(&target.settings, target.secret.as_ref()) {
            Ok(opened) => opened,
            // It was admitted when it was connected: a setting that was forgotten must not cost a ride.
            Err(Unusable::Url(failure)) => return Outcome::Transient { failure, retry_after: None },
            Err(Unusable::Settings(failure) | Unusable::Secret(failure)) => return Outcome::NeedsReauth(failure),
        };
        let message = match opened.mode {
            Mode::Raw => Message::raw(file, about),
            Mode::Link if file.link.is_none() => return Outcome::NeedsReauth(Code::LinkUnsupported.into()),
            Mode::Notify | Mode::Link => Message::notify(file, about, attempt.now),
        };
        let request = match self.request(&opened, &attempt.id, attempt.now, message) {
            Ok(request) => request,
            Err(failure) => return Outcome::Rejected(failure),
        };
        match request.send().await.map_err(TransportError::from) {
            Ok(response) => outcome(&read(response).await, attempt.now),
            // The address was admitted when it was connected; a name server may be wrong for a while.
            Err(error @ TransportError::NotPublic) => Outcome::Transient {
                failure: Failure::new(Code::WebhookRefusedUrl, error.to_string()),
                retry_after: None,
            },
            Err(error) => lost(&error),
        }
    }
}

#[cfg(test)]
mod tests;
