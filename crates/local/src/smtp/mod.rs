//! Notices by mail, over the rider's own SMTP server.
//!
//! Always encrypted: `smtps://` from the first byte, `smtp://` by STARTTLS, without which nothing is sent.
//! Only a server that the rider trusts by host and port (as the URL guard does) may be spoken to in clear, with
//! `?tls=none`. The message carries the notice's id as its `Message-ID`, so that a repeat after a lost answer
//! is one to mail programs that look.

mod failure;
mod server;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use fitbridge_core::{
    Code, Failure,
    ports::{Checked, NoticeTarget, NoticeText, Notifier, NotifyError},
};
use lettre::{
    AsyncTransport, Message,
    message::{Mailbox, header::ContentType},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::instrument;

use self::{failure::failed, server::MailServer};

/// The channel's name.
pub const CHANNEL: &str = "email";

/// Longest time of one mail, from connecting to the last answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The notifier.
#[derive(Debug, Clone)]
pub struct Smtp {
    trusted: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where the server is, without a password.
    url: String,
    from: String,
    to: String,
}

#[derive(Deserialize)]
struct Sealed {
    password: SecretString,
}

/// The password of a mail account, as it is sealed.
pub fn password_secret(password: &SecretString) -> SecretString {
    SecretString::from(json!({ "password": password.expose_secret() }).to_string())
}

/// Settings and secret, read.
struct Opened {
    server: MailServer,
    from: Mailbox,
    to: Mailbox,
}

fn wrong(detail: impl AsRef<str>) -> Failure {
    Failure::new(Code::Usage, detail)
}

fn mailbox(text: &str) -> Result<Mailbox, Failure> {
    text.parse().map_err(|error| wrong(format!("{text:?} is no mail address: {error}")))
}

impl Smtp {
    /// A notifier. `trusted` are servers, as `host:port`, that may be spoken to without encryption.
    pub fn new(trusted: &[String]) -> Self {
        Self { trusted: trusted.to_vec() }
    }

    fn open(&self, settings: &Value, secret: Option<&SecretString>) -> Result<(Settings, Opened), Failure> {
        let settings = Settings::deserialize(settings).map_err(|error| wrong(error.to_string()))?;
        let password = match secret {
            Some(secret) => {
                let sealed: Sealed = serde_json::from_str(secret.expose_secret())
                    .map_err(|_| Failure::new(Code::MailLogin, "the sealed password cannot be read"))?;
                Some(sealed.password)
            }
            None => None,
        };
        let server = MailServer::parse(&settings.url, password, &self.trusted).map_err(wrong)?;
        let opened = Opened { server, from: mailbox(&settings.from)?, to: mailbox(&settings.to)? };
        Ok((settings, opened))
    }
}

/// One line without control characters.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn message(opened: &Opened, notice: &NoticeText) -> Result<Message, Failure> {
    let cannot = |error: lettre::error::Error| Failure::new(Code::Bug, format!("the mail cannot be made: {error}"));
    let domain = opened.from.email.domain();
    // What a server said may stand in the text; only our own line ends do.
    let body: Vec<_> = notice.body().split('\n').map(one_line).collect();
    let since_1970 = Duration::from_secs(u64::try_from(notice.now.as_second()).unwrap_or(0));
    let date = SystemTime::UNIX_EPOCH + since_1970;
    Message::builder()
        .from(opened.from.clone())
        .to(opened.to.clone())
        .subject(one_line(&notice.subject))
        .message_id(Some(format!("<{}@{domain}>", notice.id)))
        .date(date)
        .header(server::AutoSubmitted)
        .header(ContentType::TEXT_PLAIN)
        .body(body.join("\r\n"))
        .map_err(cannot)
}

#[async_trait]
impl Notifier for Smtp {
    fn check(&self, settings: &Value, secret: Option<&SecretString>) -> Result<Checked, Failure> {
        let (settings, opened) = self.open(settings, secret)?;
        let settings = json!({
            "url": settings.url,
            "from": opened.from.to_string(),
            "to": opened.to.to_string(),
        });
        Ok(Checked { label: opened.to.email.to_string(), settings })
    }

    #[instrument(skip_all, fields(notice.id = %notice.id))]
    async fn tell(&self, target: &NoticeTarget, notice: &NoticeText) -> Result<(), NotifyError> {
        let (_, opened) = self.open(&target.settings, target.secret.as_ref()).map_err(NotifyError::Permanent)?;
        let mail = message(&opened, notice).map_err(NotifyError::Permanent)?;
        let transport = opened.server.transport(TIMEOUT).map_err(|error| failed(&error))?;
        // The transport bounds each step; this bounds them all.
        match tokio::time::timeout(TIMEOUT, transport.send(mail)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(NotifyError::Transient {
                failure: Failure::new(Code::MailAway, format!("no answer within {} s", TIMEOUT.as_secs())),
                retry_after: None,
            }),
        }
    }
}
