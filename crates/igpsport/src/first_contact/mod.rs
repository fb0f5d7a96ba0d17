//! First contact with the real service: about a dozen polite calls with the rider's own account,
//! whose redacted answers turn what is only assumed about the API into facts.

mod redact;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::civil::DateTime;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use tracing::instrument;

use crate::account::{CONFIG_PATH, USER_PATH};
use crate::client::{Call, Client};
use crate::detail::{Detail, Location, download_location};
use crate::envelope::Answer;
use crate::error::ApiError;
use crate::file_host::FileHost;
use crate::list::{LIST_PATH, list_query};
use crate::login::read_login;
use crate::resolve::{DETAIL_PATH, DOWNLOAD_PATH};
use crate::row::{ListPage, RideId};
use crate::token::Token;

use redact::Redactor;

/// A body as a report shows it.
#[cfg(feature = "fuzzing")]
pub(crate) fn redacted(body: &[u8]) -> serde_json::Value {
    Redactor::default().body(body)
}

/// A ride id that nobody has; far above those seen, and still exact in JavaScript.
const NOBODYS_RIDE: RideId = RideId(9_007_199_254_740_991);

/// What the calls may include.
#[derive(Debug, Clone)]
pub struct FirstContactOptions {
    /// Pause between two calls; about a second is polite.
    pub pause: Duration,
    /// E-mail and password, to see the answer to a login. Without them no login is tried.
    pub credentials: Option<(String, SecretString)>,
    /// Whether to try one login with a wrong password, too.
    pub try_bad_password: bool,
}

impl Default for FirstContactOptions {
    fn default() -> Self {
        Self { pause: Duration::from_secs(1), credentials: None, try_bad_password: false }
    }
}

/// A call and its redacted answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeAnswer {
    /// Short name of the probe.
    pub probe: &'static str,
    /// What it is to find out.
    pub question: &'static str,
    /// Method and path, without ids.
    pub request: String,
    /// HTTP status; absent where no answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers that say something about the service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body with every personal value replaced by its form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// Stable code of what the answer means to this client; absent for success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// What was compared before the values were removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What the calls brought.
#[derive(Clone)]
pub struct FirstContact {
    /// The answers, fit to be shown.
    pub answers: Vec<ProbeAnswer>,
    /// The latest ride's file, not redacted: compare its start with `local_start` to learn which zone
    /// the service's times are in.
    pub latest_file: Option<Bytes>,
    /// The latest ride's start as the detail tells it, not redacted.
    pub local_start: Option<DateTime>,
}

impl std::fmt::Debug for FirstContact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FirstContact").field("answers", &self.answers).finish_non_exhaustive()
    }
}

/// Makes the calls, one after the other. Errors are answers, too: nothing stops it but a token that is
/// refused by the list, after which no call could tell anything.
#[instrument(level = "debug", skip_all)]
pub async fn first_contact(
    client: &Client,
    files: &FileHost,
    token: &Token,
    options: &FirstContactOptions,
) -> FirstContact {
    let mut contact = Contact { client, pause: options.pause, redactor: Redactor::default(), answers: Vec::new() };
    contact.without_token(options).await;
    let (mut local_start, mut latest_file) = (None, None);
    if let Some(page) = contact.lists(token).await {
        if let Some(ride) = page.rows.first().map(|row| row.ride_id) {
            let (location, start) = contact.ride(token, ride).await;
            local_start = start;
            if let Some(location) = location {
                latest_file = contact.file(files, &location).await;
            }
        }
        contact.refusals(token).await;
    }
    FirstContact { answers: contact.answers, latest_file, local_start }
}

struct Contact<'a> {
    client: &'a Client,
    pause: Duration,
    redactor: Redactor,
    answers: Vec<ProbeAnswer>,
}

/// A call to be recorded.
struct Probe {
    name: &'static str,
    question: &'static str,
    request: String,
}

impl Probe {
    fn new(name: &'static str, question: &'static str, request: impl Into<String>) -> Self {
        Self { name, question, request: request.into() }
    }
}

impl Contact<'_> {
    /// Waits, unless this is the first call.
    async fn pace(&self) {
        if !self.answers.is_empty() {
            tokio::time::sleep(self.pause).await;
        }
    }

    fn note(&mut self, note: String) {
        if let Some(last) = self.answers.last_mut() {
            last.notes.push(note);
        }
    }

    /// Records an answer; gives the envelope's data, or `None` after a failure.
    fn record(
        &mut self,
        probe: Probe,
        answer: Result<Answer, ApiError>,
    ) -> Option<Option<Box<serde_json::value::RawValue>>> {
        let mut entry = ProbeAnswer {
            probe: probe.name,
            question: probe.question,
            request: probe.request,
            status: None,
            headers: BTreeMap::new(),
            body: None,
            error: None,
            notes: Vec::new(),
        };
        let data = answer.and_then(|answer| {
            entry.status = Some(answer.status);
            entry.headers = Redactor::headers(&answer.headers);
            entry.body = Some(self.redactor.body(&answer.body));
            answer.data()
        });
        entry.error = data.as_ref().err().map(ApiError::code);
        self.answers.push(entry);
        data.ok()
    }

    async fn get(&mut self, probe: Probe, call: Call<'_>) -> Option<Option<Box<serde_json::value::RawValue>>> {
        self.pace().await;
        let answer = self.client.call(call).await;
        self.record(probe, answer)
    }

    async fn without_token(&mut self, options: &FirstContactOptions) {
        let probe =
            Probe::new("reachable", "does the service answer without a token?", format!("GET {CONFIG_PATH}?type=0"));
        self.get(probe, Call::get(CONFIG_PATH).with_query("type=0")).await;
        let Some((username, password)) = &options.credentials else {
            return;
        };
        if options.try_bad_password {
            let wrong = SecretString::from("not the password".to_owned());
            let question = "which status and body does a wrong password get?";
            self.login(Probe::new("bad_password", question, "POST login"), username, &wrong).await;
        }
        let question = "which fields does a login give?";
        self.login(Probe::new("login", question, "POST login"), username, password).await;
    }

    async fn login(&mut self, probe: Probe, username: &str, password: &SecretString) {
        self.pace().await;
        let answer = self.client.login_answer(username, password).await;
        let error = match &answer {
            Ok(answer) => read_login(answer).err(),
            Err(error) => Some(error.clone()),
        };
        self.record(probe, answer);
        if let Some(last) = self.answers.last_mut() {
            // A refusal here is about the password.
            last.error = error.as_ref().map(ApiError::code);
        }
    }

    async fn list(
        &mut self,
        probe: (&'static str, &'static str),
        token: &Token,
        query: &str,
        timezone: &str,
    ) -> Option<ListPage> {
        let probe = Probe::new(probe.0, probe.1, format!("GET {LIST_PATH} (timezone: {timezone})"));
        let call = Call { timezone, ..Call::get(LIST_PATH).with_token(token).with_query(query) };
        let data = self.get(probe, call).await?;
        let page = ListPage::decode(data.as_deref()).ok()?;
        self.note(format!(
            "{} rows, {} undecodable, page size {:?}, pages {:?}",
            page.rows.len(),
            page.undecodable.len(),
            page.page_size,
            page.total_pages
        ));
        Some(page)
    }

    /// The list in its variants; `None` when the first page is not to be had.
    async fn lists(&mut self, token: &Token) -> Option<ListPage> {
        let first = list_query(1, 20);
        let page = self.list(("list", "which fields do rows have?"), token, &first, "UTC").await?;
        let question = "does the header `timezone` change any time?";
        if let Some(other) = self.list(("list_timezone", question), token, &first, "Asia/Shanghai").await {
            let starts = |page: &ListPage| page.rows.iter().map(|row| row.start).collect::<Vec<_>>();
            self.note(format!("start times are the same: {}", starts(&page) == starts(&other)));
        }
        let question = "is the page size cut to 20, and which size is echoed?";
        self.list(("list_page_size", question), token, &list_query(1, 100), "UTC").await;
        if let Some(beyond) = page.total_pages.and_then(|total| u32::try_from(total + 1).ok()) {
            let question = "what does a page beyond the last one look like?";
            self.list(("list_beyond", question), token, &list_query(beyond, 20), "UTC").await;
        }
        if let Some(date) = page.rows.first().and_then(|row| row.start).map(|start| start.date()) {
            let question = "does a window from a day to the same day include that day?";
            let query = format!("{first}&beginTime={date}&endTime={date}");
            self.list(("list_window", question), token, &query, "UTC").await;
        }
        let question = "does user info accept the token, and which fields has it?";
        let probe = Probe::new("user_info", question, format!("GET {USER_PATH}"));
        self.get(probe, Call::get(USER_PATH).with_token(token)).await;
        Some(page)
    }

    async fn ride(&mut self, token: &Token, ride: RideId) -> (Option<Location>, Option<DateTime>) {
        let path = format!("{DETAIL_PATH}/{ride}");
        let probe = Probe::new(
            "detail",
            "which fields has the latest ride, and how are its times written?",
            format!("GET {DETAIL_PATH}/ID"),
        );
        let data = self.get(probe, Call::get(&path).with_token(token)).await.flatten();
        let detail = Detail::decode(data.as_deref()).unwrap_or_default();
        let member = token.decode().map(|facts| facts.member).ok();
        self.note(format!("the member is the token's: {}", detail.member == member));
        let path = format!("{DOWNLOAD_PATH}/{ride}");
        let probe = Probe::new(
            "download_url",
            "is the address a bare text, and the same as the detail's?",
            format!("GET {DOWNLOAD_PATH}/ID"),
        );
        let data = self.get(probe, Call::get(&path).with_token(token)).await.flatten();
        let location = download_location(data.as_deref()).unwrap_or_default();
        self.note(format!("the same as the detail's: {}", location == detail.fit_url));
        (location.or(detail.fit_url), detail.local_start)
    }

    /// The file's headers and bytes; no token goes there.
    async fn file(&mut self, files: &FileHost, location: &Location) -> Option<Bytes> {
        self.pace().await;
        let (status, headers) = match files.headers(location).await {
            Ok((status, headers)) => (Some(status), headers),
            Err(_) => (None, reqwest::header::HeaderMap::new()),
        };
        self.answers.push(ProbeAnswer {
            probe: "file",
            question: "which type, encoding, caching and range support has the file host?",
            request: format!("{} file", Method::HEAD),
            status,
            headers: Redactor::headers(&headers),
            body: None,
            error: None,
            notes: Vec::new(),
        });
        self.pace().await;
        let file = files.fetch(location).await;
        let note = match &file {
            Ok(file) => format!("GET brought {} bytes of FIT", file.bytes.len()),
            Err(error) => format!("GET failed: {}", error.code()),
        };
        self.note(note);
        file.ok().map(|file| file.bytes)
    }

    /// Answers that are known from hearsay only: an unknown ride, a bad token.
    async fn refusals(&mut self, token: &Token) {
        let path = format!("{DETAIL_PATH}/{NOBODYS_RIDE}");
        let probe = Probe::new(
            "unknown_ride",
            "which status and body does a ride that does not exist get?",
            format!("GET {DETAIL_PATH}/ID"),
        );
        self.get(probe, Call::get(&path).with_token(token)).await;
        if let Some(bad) = tampered(token) {
            let question = "which status and body does a bad token get?";
            self.list(("bad_token", question), &bad, &list_query(1, 1), "UTC").await;
        }
    }
}

/// The same token with another signature.
fn tampered(token: &Token) -> Option<Token> {
    let (claims, signature) = token.secret().expose_secret().rsplit_once('.')?;
    let other: String = signature.chars().rev().collect();
    let other = if other == signature { "AAAA".to_owned() } else { other };
    Token::parse(&format!("{claims}.{other}")).ok()
}
