//! Notices by mail, through SES.
//!
//! One call of the SES v2 API (`SendEmail`), signed by the SDK's own signer and sent by the client that
//! everything else uses: a whole SDK crate for one call would be most of the function's code.
//!
//! Facts: the SES API v2 reference, `SendEmail` (path, body, errors), and AWS Signature Version 4.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use fitbridge_core::{
    Code, Failure,
    ports::{Checked, NoticeTarget, NoticeText, Notifier, NotifyError},
};
use fitbridge_http::{ApiOptions, BuildError, TransportError, api_client, read_bounded};
use secrecy::SecretString;
use serde_json::{Value, json};
use tracing::instrument;

/// The channel's name; the same as of mail on one machine.
pub const CHANNEL: &str = "email";

const PATH: &str = "/v2/email/outbound-emails";
/// Longest time of a call.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Most bytes read of an answer.
const SMALL: u64 = 16 * 1024;
/// Longest mail address (RFC 5321 §4.5.3.1).
const LONGEST_ADDRESS: usize = 254;

/// The notifier.
#[derive(Debug, Clone)]
pub struct Ses {
    client: reqwest::Client,
    url: String,
    region: String,
    sender: String,
    credentials: Option<SharedCredentialsProvider>,
}

fn wrong(detail: impl AsRef<str>) -> Failure {
    Failure::new(Code::Usage, detail)
}

fn address(settings: &Value) -> Result<&str, Failure> {
    let to = settings.get("to").and_then(Value::as_str).ok_or_else(|| wrong("there is no address in `to`"))?;
    let plain = !to.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, ',' | ';' | '<' | '>'));
    let parts = to.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && host.contains('.') && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
    });
    match plain && parts && to.len() <= LONGEST_ADDRESS {
        true => Ok(to),
        false => Err(wrong(format!("{to:?} is no mail address"))),
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn body(sender: &str, to: &str, notice: &NoticeText) -> String {
    let text: Vec<_> = notice.body().split('\n').map(one_line).collect();
    let utf8 = |data: String| json!({ "Data": data, "Charset": "UTF-8" });
    json!({
        "FromEmailAddress": sender,
        "Destination": { "ToAddresses": [to] },
        "Content": { "Simple": {
            "Subject": utf8(one_line(&notice.subject)),
            "Body": { "Text": utf8(text.join("\r\n")) },
            // SES makes the Message-ID itself; this one stays the same over all attempts.
            "Headers": [
                { "Name": "Auto-Submitted", "Value": "auto-generated" },
                { "Name": "X-FitBridge-Notice", "Value": notice.id },
            ],
        } },
    })
    .to_string()
}

/// What an answer means: the rider or the sender is refused, or it may pass.
pub(crate) fn result(status: u16, body: &[u8]) -> Result<(), NotifyError> {
    let words = serde_json::from_slice::<Value>(body).ok();
    let words = words.as_ref().and_then(|words| words.get("message").or_else(|| words.get("Message"))?.as_str());
    let detail = words.map_or_else(|| status.to_string(), |words| format!("{status}: {words}"));
    match status {
        200..=299 => Ok(()),
        400 | 404 | 413 => Err(NotifyError::Permanent(Failure::new(Code::MailRefused, detail))),
        // Rights and quotas are the operator's to mend.
        _ => Err(NotifyError::Transient { failure: Failure::new(Code::MailAway, detail), retry_after: None }),
    }
}

fn away(detail: impl std::fmt::Display) -> NotifyError {
    NotifyError::Transient { failure: Failure::new(Code::MailAway, detail.to_string()), retry_after: None }
}

impl Ses {
    /// Sends from this address, which SES has to know; `endpoint` replaces SES.
    ///
    /// # Errors
    /// [`BuildError`] when TLS cannot be set up.
    pub fn new(config: &SdkConfig, sender: &str, endpoint: Option<&str>) -> Result<Self, BuildError> {
        let region = config.region().map_or_else(|| "us-east-1".to_owned(), ToString::to_string);
        let host = format!("https://email.{region}.amazonaws.com");
        let url = format!("{}{PATH}", endpoint.unwrap_or(&host).trim_end_matches('/'));
        let client = api_client(&ApiOptions { total_timeout: TIMEOUT, ..ApiOptions::default() })?;
        Ok(Self { client, url, region, sender: sender.to_owned(), credentials: config.credentials_provider() })
    }

    /// The headers that sign a call, as Signature Version 4 has them.
    async fn signature(&self, body: &str, now: SystemTime) -> Result<Vec<(String, String)>, NotifyError> {
        let provider = self.credentials.as_ref().ok_or_else(|| away("there are no AWS credentials"))?;
        let credentials = provider.provide_credentials().await.map_err(away)?;
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("ses")
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(away)?
            .into();
        let headers = [("content-type", "application/json")].into_iter();
        let request = SignableRequest::new("POST", self.url.as_str(), headers, SignableBody::Bytes(body.as_bytes()));
        let signed = sign(request.map_err(away)?, &parameters).map_err(away)?;
        let (instructions, _) = signed.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

#[async_trait]
impl Notifier for Ses {
    fn check(&self, settings: &Value, _secret: Option<&SecretString>) -> Result<Checked, Failure> {
        let to = address(settings)?;
        Ok(Checked { label: to.to_owned(), settings: json!({ "to": to }) })
    }

    #[instrument(skip_all, fields(notice.id = %notice.id))]
    async fn tell(&self, target: &NoticeTarget, notice: &NoticeText) -> Result<(), NotifyError> {
        let to = address(&target.settings).map_err(NotifyError::Permanent)?;
        let body = body(&self.sender, to, notice);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(notice.now.as_second()).unwrap_or(0));
        let mut request = self.client.post(&self.url).header("content-type", "application/json");
        for (name, value) in self.signature(&body, now).await? {
            request = request.header(name, value);
        }
        let response = request.body(body).send().await.map_err(|error| away(TransportError::from(error)))?;
        let status = response.status().as_u16();
        let answer = read_bounded(response, SMALL).await.unwrap_or_default();
        result(status, &answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_sdk_sqs::config::{Credentials, Region};
    use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
    use fitbridge_core::testkit::conformance::notifier::{Setting, notice, suite};

    use super::*;

    #[derive(Debug, Default)]
    struct Seen {
        answers: Vec<(u16, &'static str)>,
        ids: Vec<String>,
        calls: Vec<(HeaderMap, Value)>,
    }

    type Shared = Arc<Mutex<Seen>>;

    async fn answer(
        State(seen): State<Shared>,
        headers: HeaderMap,
        body: Bytes,
    ) -> (axum::http::StatusCode, &'static str) {
        let mut seen = seen.lock().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let (status, text) = seen.answers.pop().unwrap_or((200, r#"{"MessageId":"1"}"#));
        if status == 200 {
            let id = body["Content"]["Simple"]["Headers"][1]["Value"].as_str().unwrap().to_owned();
            seen.ids.push(id);
        }
        seen.calls.push((headers, body));
        (axum::http::StatusCode::from_u16(status).unwrap(), text)
    }

    async fn ses() -> (Ses, Shared) {
        let seen = Shared::default();
        let router = Router::new().route(PATH, post(answer)).with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let credentials = Credentials::new("AKID", "hush-hush", Some("session".into()), None, "test");
        let config = SdkConfig::builder()
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        (Ses::new(&config, "bridge@example.org", Some(&endpoint)).unwrap(), seen)
    }

    #[tokio::test]
    async fn ses_conforms() {
        let (ses, seen) = ses().await;
        let to = |text: &str| json!({ "to": text });
        let bad =
            vec![json!({}), to("nobody"), to("a@b.c, d@e.f"), to("a@b.c\r\nBcc: x@y.z"), to("@b.c"), to("a@b@c.d")];
        let setting = Setting { good: to("rider@example.org"), secret: None, bad };
        let say = |status, text| seen.lock().unwrap().answers.push((status, text));
        let away = || say(429, r#"{"message":"Maximum sending rate exceeded"}"#);
        let refuses = || say(400, r#"{"message":"Email address is not verified"}"#);
        suite(&ses, &setting, away, refuses, || std::mem::take(&mut seen.lock().unwrap().ids)).await;
    }

    #[tokio::test]
    async fn a_call_is_signed_and_says_what_the_reference_asks_for() {
        let (ses, seen) = ses().await;
        let target = NoticeTarget { settings: json!({ "to": "rider@example.org" }), secret: None };
        ses.tell(&target, &notice("notice_1")).await.unwrap();
        let (headers, body) = seen.lock().unwrap().calls.remove(0);
        let authorization = headers["authorization"].to_str().unwrap();
        let expected = "AWS4-HMAC-SHA256 Credential=AKID/20260510/eu-central-1/ses/aws4_request, SignedHeaders=";
        assert!(authorization.starts_with(expected), "{authorization}");
        assert!(authorization.contains("content-type") && headers["x-amz-security-token"] == "session");
        assert_eq!(body["FromEmailAddress"], "bridge@example.org");
        assert_eq!(body["Destination"]["ToAddresses"], json!(["rider@example.org"]));
        assert!(!body["Content"]["Simple"]["Subject"]["Data"].as_str().unwrap().contains('\n'));
        assert!(!format!("{ses:?}").contains("hush"));
    }
}
