//! Where the mail server is, and how it is spoken to.

use std::time::Duration;

use lettre::{
    AsyncSmtpTransport, Tokio1Executor,
    message::header::{Header, HeaderName, HeaderValue},
    transport::smtp::{
        Error,
        authentication::Credentials,
        client::{Tls, TlsParameters},
        extension::ClientId,
    },
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// From the first byte.
    Implicit,
    /// After STARTTLS, without which nothing is sent.
    StartTls,
    /// Not at all: a server that the rider trusts.
    None,
}

/// A mail server.
#[derive(Debug)]
pub(super) struct MailServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    user: Option<String>,
    password: Option<SecretString>,
}

impl MailServer {
    /// Reads `smtps://user@host:465`, `smtp://user@host:587`, or `smtp://host:25?tls=none` for a trusted host.
    pub(super) fn parse(text: &str, password: Option<SecretString>, trusted: &[String]) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("the server's URL: {error}"))?;
        if url.password().is_some() {
            return Err("a password in the URL would be stored in clear: leave it out, it is asked for".into());
        }
        let (mut encryption, usual) = match url.scheme() {
            "smtps" => (Encryption::Implicit, 465),
            "smtp" => (Encryption::StartTls, 587),
            other => return Err(format!("{other}:// is neither smtps:// nor smtp://")),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("the server's URL has more than user, host and port".into());
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the server's URL names no host")?.to_owned();
        let port = url.port().unwrap_or(usual);
        match url.query() {
            None => {}
            Some("tls=none") if trusted.contains(&format!("{host}:{port}")) => encryption = Encryption::None,
            Some("tls=none") => {
                return Err(format!("mail in clear needs FITBRIDGE_TRUSTED_HOSTS to name {host}:{port}"));
            }
            Some(other) => return Err(format!("?{other} is not known; there is only ?tls=none")),
        }
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(percent_decoded);
        if password.is_some() && user.is_none() {
            return Err("there is a password but no user: write smtps://USER@HOST".into());
        }
        Ok(Self { host, port, encryption, user, password })
    }

    /// A transport of one connection.
    pub(super) fn transport(&self, timeout: Duration) -> Result<AsyncSmtpTransport<Tokio1Executor>, Error> {
        let tls = match self.encryption {
            Encryption::Implicit => Tls::Wrapper(TlsParameters::new(self.host.clone())?),
            Encryption::StartTls => Tls::Required(TlsParameters::new(self.host.clone())?),
            Encryption::None => Tls::None,
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.host.as_str())
            .port(self.port)
            .tls(tls)
            // The machine's name is nobody's business.
            .hello_name(ClientId::Domain("fitbridge.invalid".into()))
            .timeout(Some(timeout));
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(builder.build())
    }
}

/// `%40` in a user's name is an at-sign.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| first == b'%').and_then(|pair| hex::decode(pair).ok());
        if let Some([byte]) = code.as_deref() {
            bytes.push(*byte);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Tells mail programs not to answer with "I am away" (RFC 3834).
#[derive(Debug, Clone, Copy)]
pub(super) struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
