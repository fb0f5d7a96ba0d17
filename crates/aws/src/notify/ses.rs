//! Notices by mail, through SES.
//!
//! One call of the SES v2 API (`SendEmail`), signed by the SDK's own signer and sent by the client that
//! everything else uses: a whole SDK crate for one call would be most of the function's code.
//!
//! Facts: the SES API v2 reference, `SendEmail` (path, body, errors), AWS Signature Version 4, and the protocol
//! restJson1 of Smithy (where an error's type stands).

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

use crate::failure::{refuses_credentials, told};

/// The channel's name; the same as of mail on one machine.
pub const CHANNEL: &str = "email";

const PATH: &str = "/v2/email/outbound-emails";
/// The header with an error's type.
const ERROR_TYPE: &str = "x-amzn-errortype";
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

/// What an answer means: the rider or the sender is refused, or it may pass. `kind` is the header with the
/// error's type.
pub(crate) fn result(status: u16, kind: Option<&str>, body: &[u8]) -> Result<(), NotifyError> {
    let said = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let field = |names: [&str; 2]| names.iter().find_map(|name| said.get(name)?.as_str());
    // `com.amazonaws.sesv2#LimitExceededException:http://…`, of which either end may be missing.
    let kind = kind.filter(|kind| !kind.is_empty()).or_else(|| field(["__type", "code"])).unwrap_or_default();
    let kind = kind.split(':').next().unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    let detail = match field(["message", "Message"]) {
        _ if refuses_credentials(kind) => format!("{status}: {}", told(kind, None)),
        Some(words) => format!("{status}: {words}"),
        None => status.to_string(),
    };
    match status {
        200..=299 => Ok(()),
        400 | 404 | 413 if !is_the_operators(kind) => {
            Err(NotifyError::Permanent(Failure::new(Code::MailRefused, detail)))
        }
        // Rights and quotas are the operator's to mend.
        _ => Err(NotifyError::Transient { failure: Failure::new(Code::MailAway, detail), retry_after: None }),
    }
}

/// Whether an error says nothing of the rider or the mail: it passes by itself, or when the operator acts.
fn is_the_operators(kind: &str) -> bool {
    refuses_credentials(kind)
        || matches!(
            kind,
            "AccountSuspendedException"
                | "SendingPausedException"
                | "LimitExceededException"
                | "MailFromDomainNotVerifiedException"
                | "TooManyRequestsException"
                | "ThrottlingException"
        )
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
        let kind = response.headers().get(ERROR_TYPE).and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let answer = read_bounded(response, SMALL).await.unwrap_or_default();
        result(status, kind.as_deref(), &answer)
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
        answers: Vec<(u16, &'static str, &'static str)>,
        ids: Vec<String>,
        calls: Vec<(HeaderMap, Value)>,
    }

    type Shared = Arc<Mutex<Seen>>;

    async fn answer(
        State(seen): State<Shared>,
        headers: HeaderMap,
        body: Bytes,
    ) -> (axum::http::StatusCode, [(&'static str, &'static str); 1], &'static str) {
        let mut seen = seen.lock().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let (status, kind, text) = seen.answers.pop().unwrap_or((200, "", r#"{"MessageId":"1"}"#));
        if status == 200 {
            let id = body["Content"]["Simple"]["Headers"][1]["Value"].as_str().unwrap().to_owned();
            seen.ids.push(id);
        }
        seen.calls.push((headers, body));
        (axum::http::StatusCode::from_u16(status).unwrap(), [(ERROR_TYPE, kind)], text)
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
        let say = |kind, text| seen.lock().unwrap().answers.push((400, kind, text));
        let away = || say("SendingPausedException", r#"{"message":"Sending is paused"}"#);
        let refuses = || say("MessageRejected", r#"{"message":"Email address is not verified"}"#);
        suite(&ses, &setting, away, refuses, || std::mem::take(&mut seen.lock().unwrap().ids)).await;
    }

    #[test]
    fn what_the_operator_has_to_mend_is_tried_again() {
        let told = |kind: Option<&str>, body: &str| result(400, kind, body.as_bytes()).unwrap_err();
        let transient = |error: &NotifyError| matches!(error, NotifyError::Transient { .. });
        for kind in [
            "AccountSuspendedException",
            "SendingPausedException:http://internal.amazon.com/coral/com.amazonaws.services.simpleemailv2/",
            "LimitExceededException",
            "MailFromDomainNotVerifiedException",
            "com.amazonaws.sesv2#TooManyRequestsException",
            "ThrottlingException",
        ] {
            let error = told(Some(kind), r#"{"message":"Sending is paused."}"#);
            assert!(
                transient(&error) && error.failure().to_string().contains("Sending is paused."),
                "{kind}: {error:?}"
            );
        }
        assert!(transient(&result(429, None, b"").unwrap_err()));
        let in_the_body = r#"{"__type":"com.amazonaws.sesv2#SendingPausedException","message":"paused"}"#;
        assert!(transient(&told(None, in_the_body)));
        for kind in [Some("MessageRejected"), Some("BadRequestException"), Some("NotFoundException"), None] {
            assert!(!transient(&told(kind, r#"{"message":"Email address is not verified."}"#)), "{kind:?}");
        }
    }

    #[test]
    fn messages_about_signatures_are_not_told() {
        let body = r#"{"message":"The Canonical String should have been x-amz-security-token:hunter2"}"#;
        for status in [400, 403] {
            let error = result(status, Some("InvalidSignatureException"), body.as_bytes()).unwrap_err();
            let text = error.failure().to_string();
            assert!(matches!(error, NotifyError::Transient { .. }) && !text.contains("hunter2"), "{text}");
            assert!(text.contains("InvalidSignatureException"), "{text}");
        }
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
