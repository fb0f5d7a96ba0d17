//! Intervals.icu. Files are recognised there by their hash, so a repeat is harmless and the bytes must not
//! change on the way.
//!
//! Facts: the service's published API description and its owner's cookbook on the forum (uploads, key and token,
//! 201 for new and 200 for repeated files).

mod auth;
mod wire;

use std::{collections::BTreeSet, time::Duration};

use async_trait::async_trait;
use fitbridge_core::{
    Code, Failure,
    domain::{About, RemoteAccount, Service},
    ports::{Attempt, Found, Identity, Outcome, RemoteRide, Resend, Sink, SinkError, SinkFile, SinkTarget},
};
use fitbridge_http::TransportError;
use jiff::{ToSpan as _, civil::Date};
use reqwest::{
    Body, Client, Method, RequestBuilder,
    multipart::{Form, Part},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{debug, instrument};
use url::Url;

pub use self::auth::{api_key_secret, bearer_secret};

/// Whether a sealed secret is one of its own.
#[cfg(feature = "fuzzing")]
pub(crate) fn opened(secret: &secrecy::SecretString) -> Result<(), fitbridge_core::Failure> {
    Auth::open(Some(secret)).map(drop)
}

/// What an answer says when it is read as an athlete, as an upload's, and as a list.
#[cfg(feature = "fuzzing")]
pub(crate) fn decoded(
    body: &[u8],
) -> (bool, Option<fitbridge_core::domain::RemoteId>, Option<Vec<fitbridge_core::ports::RemoteRide>>) {
    let rides = wire::list(body).map(|(rides, _)| rides.into_iter().map(|listed| listed.ride).collect());
    (wire::athlete(body).is_some(), wire::uploaded(body), rides)
}
use self::{auth::Auth, wire::Listed};
use crate::{
    answer::{Answer, SMALL, away, lost, upload_time},
    text::one_line,
};

/// The sink's short name.
pub const SERVICE: &str = "intervals";

/// Where the service is.
pub const DEFAULT_URL: &str = "https://intervals.icu";

/// Stands for the owner of the key or token in paths.
const OWNER: &str = "0";

/// Most bytes of a list; a year of several rides a day stays far below.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// Before FIT files and power meters on bikes there was nothing to list.
const FIRST_YEAR: Date = jiff::civil::date(1990, 1, 1);

/// Fields asked for in lists.
const FIELDS: &str = "id,external_id,start_date_local,source,elapsed_time,moving_time,distance,type";

/// Two records of one start differ by no more than this, s.
const SAME_START_S: i64 = 1;

/// The sink.
#[derive(Debug, Clone)]
pub struct Intervals {
    base: Url,
    client: Client,
    timeout: Duration,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// For keys that open several athletes (coaches); the key's owner where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    athlete: Option<String>,
}

impl Settings {
    fn read(settings: &Value) -> Result<Self, Failure> {
        if settings.is_null() {
            return Ok(Self::default());
        }
        let read = Self::deserialize(settings).map_err(|error| Failure::new(Code::SinkSettings, error.to_string()))?;
        // It becomes a part of the path.
        match &read.athlete {
            Some(id) if id.is_empty() || id.len() > 32 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(Failure::new(Code::SinkSettings, "an athlete id looks like i12345"))
            }
            _ => Ok(read),
        }
    }

    fn athlete(&self) -> &str {
        self.athlete.as_deref().unwrap_or(OWNER)
    }
}

/// A connection's settings and secret, read.
struct Opened {
    settings: Settings,
    auth: Auth,
}

impl Opened {
    fn open(target: &SinkTarget) -> Result<Self, Failure> {
        let settings = Settings::read(&target.settings)?;
        Ok(Self { settings, auth: Auth::open(target.secret.as_ref())? })
    }
}

impl Intervals {
    /// The sink over a client of `fitbridge-http`. `timeout` bounds an upload of a small file; larger ones
    /// get more, in proportion.
    pub fn new(base: Url, client: Client, timeout: Duration) -> Self {
        Self { base, client, timeout }
    }

    fn request(&self, method: Method, opened: &Opened, tail: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_query(None);
        // Only URLs such as `mailto:` have no path, and no client answers those.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "athlete", opened.settings.athlete()]).extend(tail);
        }
        opened.auth.sign(self.client.request(method, url))
    }

    async fn ask(&self, request: RequestBuilder, limit: u64) -> Result<Answer, SinkError> {
        let response = request.send().await.map_err(|error| away(&TransportError::from(error)))?;
        Ok(Answer::read(response, limit).await)
    }

    async fn rides(&self, opened: &Opened, oldest: Date, newest: Date) -> Result<Vec<Listed>, SinkError> {
        let mut seen = BTreeSet::new();
        let mut rides = Vec::new();
        let mut from = oldest.max(FIRST_YEAR);
        while from <= newest {
            let next = from.saturating_add(1.year());
            let to = next.yesterday().unwrap_or(next).min(newest);
            let piece = self.piece(opened, from, to).await?;
            rides.extend(piece.into_iter().filter(|listed| seen.insert(listed.ride.remote_id.0.clone())));
            if next <= from {
                break;
            }
            from = next;
        }
        Ok(rides)
    }

    async fn piece(&self, opened: &Opened, oldest: Date, newest: Date) -> Result<Vec<Listed>, SinkError> {
        let (oldest, newest) = (oldest.to_string(), newest.to_string());
        let query = [("oldest", oldest.as_str()), ("newest", &newest), ("fields", FIELDS)];
        let request = self.request(Method::GET, opened, &["activities"]).query(&query);
        let answer = self.ask(request, MAX_LIST).await?;
        if !answer.status.is_success() {
            return Err(match refusal(&answer, &opened.auth) {
                // The key may be good for uploads all the same.
                SinkError::NeedsReauth(failure) if answer.status == 403 => {
                    SinkError::Unsupported(Failure { code: Code::SinkForbidden, ..failure })
                }
                // The athlete was there when it was connected.
                SinkError::Settings(failure) => {
                    SinkError::Away { failure: Failure { code: Code::SinkAway, ..failure }, retry_after: None }
                }
                other => other,
            });
        }
        let malformed =
            |why: &str| SinkError::Away { failure: Failure::new(Code::SinkMalformed, why), retry_after: None };
        let body = answer.body.as_ref().map_err(|error| malformed(&error.to_string()))?;
        let (rides, skipped) = wire::list(body).ok_or_else(|| malformed("the list of activities is no list"))?;
        if skipped > 0 {
            debug!(skipped, "{skipped} activities of the list could not be read");
        }
        Ok(rides)
    }
}

/// What an answer other than success means for a question.
fn refusal(answer: &Answer, auth: &Auth) -> SinkError {
    let failure = |code| answer.failure(code, auth.expose());
    let away = |code| SinkError::Away { failure: failure(code), retry_after: answer.pause(None) };
    match answer.status.as_u16() {
        401 => SinkError::NeedsReauth(failure(Code::SinkReconnect)),
        403 if !answer.is_page() => SinkError::NeedsReauth(failure(Code::SinkReconnect)),
        404 if !answer.is_page() => SinkError::Settings(failure(Code::SinkSettings)),
        429 => away(Code::SinkThrottled),
        _ => away(Code::SinkAway),
    }
}

/// What the answer to an upload means.
fn outcome(answer: &Answer, auth: &Auth, attempt: &Attempt) -> Outcome {
    let failure = |code| answer.failure(code, auth.expose());
    let retry_after = answer.pause(Some(attempt.now));
    let again = |code| Outcome::Transient { failure: failure(code), retry_after };
    let remote_id = wire::uploaded(answer.bytes());
    match answer.status.as_u16() {
        401 => Outcome::NeedsReauth(failure(Code::SinkReconnect)),
        413 => Outcome::Rejected(failure(Code::SinkRejected)),
        429 => Outcome::Throttled { retry_after },
        500.. => again(Code::SinkAway),
        // The API writes JSON. A page says that a proxy or a login portal answered in its place.
        _ if answer.is_page() => again(Code::SinkMalformed),
        200 | 409 => Outcome::AlreadyThere { remote_id },
        201..=299 => Outcome::Created { remote_id },
        403 => Outcome::NeedsReauth(failure(Code::SinkForbidden)),
        400 | 415 | 422 => Outcome::Rejected(failure(Code::SinkRejected)),
        300..=399 => again(Code::SinkMalformed),
        _ => again(Code::SinkAway),
    }
}

/// The ride's name for the file part; ids are plain texts, but nothing else may get into the header.
fn file_name(about: &About) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let id: String = about.external_id.chars().take(100).map(plain).collect();
    format!("{id}.fit")
}

#[async_trait]
impl Sink for Intervals {
    fn resend(&self) -> Resend {
        Resend::Repeat
    }

    fn is_readable(&self) -> bool {
        true
    }

    #[instrument(skip_all)]
    async fn check(&self, settings: &Value, secret: Option<&SecretString>) -> Result<Identity, SinkError> {
        let settings = Settings::read(settings).map_err(SinkError::Settings)?;
        let opened = Opened { settings, auth: Auth::open(secret).map_err(SinkError::NeedsReauth)? };
        let answer = self.ask(self.request(Method::GET, &opened, &[]), MAX_LIST).await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer, &opened.auth));
        }
        let athlete = wire::athlete(answer.bytes()).ok_or_else(|| SinkError::Away {
            failure: Failure::new(Code::SinkMalformed, "the answer names no athlete"),
            retry_after: None,
        })?;
        let label = athlete.name.map_or_else(|| athlete.id.clone(), |name| one_line(&name, 80));
        let settings = serde_json::to_value(&opened.settings)
            .map_err(|error| SinkError::Settings(Failure::new(Code::SinkSettings, error.to_string())))?;
        let account = RemoteAccount { service: Service::from_any(SERVICE), realm: String::new(), account: athlete.id };
        Ok(Identity { account, label, settings })
    }

    #[instrument(skip_all, fields(delivery.id = %attempt.id, attempt = attempt.number))]
    async fn deliver(&self, target: &SinkTarget, file: &SinkFile, about: &About, attempt: &Attempt) -> Outcome {
        let opened = match Opened::open(target) {
            Ok(opened) => opened,
            Err(failure) => return Outcome::NeedsReauth(failure),
        };
        let size = file.bytes.len();
        let body = Part::stream_with_length(Body::from(file.bytes.clone()), u64::try_from(size).unwrap_or(u64::MAX));
        let part = match body.file_name(file_name(about)).mime_str("application/octet-stream") {
            Ok(part) => part,
            Err(error) => return lost(&TransportError::from(error)),
        };
        // Everything but the file goes into the query; in form parts the service may overlook it.
        let mut query = vec![("external_id", one_line(&about.external_id, 128))];
        query.extend(about.name.as_deref().map(|name| ("name", one_line(name, 200))));
        query.extend(about.device.as_deref().map(|device| ("device_name", one_line(device, 100))));
        let request = self
            .request(Method::POST, &opened, &["activities"])
            .query(&query)
            .timeout(upload_time(self.timeout, size))
            .multipart(Form::new().part("file", part));
        match request.send().await {
            Ok(response) => outcome(&Answer::read(response, SMALL).await, &opened.auth, attempt),
            Err(error) => lost(&TransportError::from(error)),
        }
    }

    /// Looks for the ride around its day, by our id or by its start. A ride that came by another route is
    /// not this file.
    #[instrument(skip_all)]
    async fn probe(&self, target: &SinkTarget, about: &About) -> Result<Found, SinkError> {
        let opened = Opened::open(target).map_err(SinkError::NeedsReauth)?;
        let day = about
            .local_start
            .map(|start| start.date())
            .or_else(|| Some(jiff::tz::Offset::UTC.to_datetime(about.start?).date()));
        let Some(day) = day else {
            return Err(SinkError::Unsupported(Failure::new(Code::SinkUnknownOutcome, "the ride's day is not known")));
        };
        let around = (day.saturating_sub(1.day()), day.saturating_add(1.day()));
        let rides = self.rides(&opened, around.0, around.1).await?;
        let same = |listed: &&Listed| {
            let ours = listed.external_id.as_deref() == Some(&about.external_id);
            let start = about
                .local_start
                .is_some_and(|start| start.duration_since(listed.ride.local_start).as_secs().abs() <= SAME_START_S);
            listed.ride.other_route.is_none() && (ours || start)
        };
        Ok(match rides.iter().find(same) {
            Some(listed) => Found::There { remote_id: Some(listed.ride.remote_id.clone()) },
            None => Found::NotThere,
        })
    }

    /// Lists rides; long spans are asked for year by year.
    #[instrument(skip_all, fields(%oldest, %newest))]
    async fn list(&self, target: &SinkTarget, oldest: Date, newest: Date) -> Result<Vec<RemoteRide>, SinkError> {
        let opened = Opened::open(target).map_err(SinkError::NeedsReauth)?;
        let rides = self.rides(&opened, oldest, newest).await?;
        Ok(rides.into_iter().map(|listed| listed.ride).collect())
    }
}

#[cfg(test)]
mod tests;
