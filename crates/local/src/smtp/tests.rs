//! Against a small server of our own that speaks just enough SMTP, in clear.

use std::sync::{Arc, Mutex, PoisonError};

use fitbridge_core::testkit::conformance::notifier::{Setting, notice, suite};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{server::Encryption, *};

/// What the server does.
#[derive(Debug, Default)]
struct Script {
    /// Answers this to the next `MAIL FROM`, once.
    refuse: Option<&'static str>,
    /// Refuses every login with this.
    refuse_login: Option<&'static str>,
    logins: Vec<String>,
    mails: Vec<String>,
}

#[derive(Debug, Clone)]
struct Server {
    port: u16,
    script: Arc<Mutex<Script>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { port: listener.local_addr().unwrap().port(), script: Arc::default() };
        let shared = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(shared.clone().talk(stream));
            }
        });
        server
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn talk(self, stream: TcpStream) {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut answer = "220 here".to_owned();
        loop {
            if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                return;
            }
            let Ok(Some(line)) = lines.next_line().await else { return };
            let verb = line.split(' ').next().unwrap_or_default().to_ascii_uppercase();
            answer = match verb.as_str() {
                "EHLO" => "250-here\r\n250 AUTH PLAIN".into(),
                "AUTH" => {
                    let mut script = self.script();
                    script.logins.push(line);
                    script.refuse_login.unwrap_or("235 welcome").into()
                }
                "MAIL" => self.script().refuse.take().unwrap_or("250 ok").into(),
                "DATA" => {
                    if write.write_all(b"354 go on\r\n").await.is_err() {
                        return;
                    }
                    let mut mail = String::new();
                    while let Ok(Some(line)) = lines.next_line().await {
                        if line == "." {
                            break;
                        }
                        mail.push_str(&line);
                        mail.push('\n');
                    }
                    self.script().mails.push(mail);
                    "250 taken".into()
                }
                "QUIT" => "221 bye".into(),
                _ => "250 ok".into(),
            };
        }
    }

    fn smtp(&self) -> Smtp {
        Smtp::new(&[format!("127.0.0.1:{}", self.port)])
    }

    fn settings(&self, user: &str) -> Value {
        let url = format!("smtp://{user}127.0.0.1:{}?tls=none", self.port);
        json!({ "url": url, "from": "FitBridge <bridge@example.org>", "to": "rider@example.org" })
    }
}

#[tokio::test]
async fn mail_conforms() {
    let server = Server::start().await;
    let smtp = server.smtp();
    let good = server.settings("");
    let change = |field: &str, value: &str| {
        let mut settings = good.clone();
        settings[field] = value.into();
        settings
    };
    let bad = vec![
        json!({}),
        change("to", "nobody"),
        change("from", "a@b\r\nBcc: c@d"),
        change("url", "https://mail.example.org"),
        change("url", "smtps://me:secret@mail.example.org"),
        change("url", "smtp://mail.example.org?tls=none"),
        change("url", "smtp://mail.example.org/x"),
    ];
    let setting = Setting { good: good.clone(), secret: None, bad };
    let ids = || {
        let mails = std::mem::take(&mut server.script().mails);
        let id = |mail: &String| {
            let line = mail.lines().find_map(|line| line.strip_prefix("Message-ID: <"));
            line.and_then(|line| line.split('@').next()).unwrap_or_default().to_owned()
        };
        mails.iter().map(id).collect()
    };
    let away = || server.script().refuse = Some("451 later");
    let refuses = || server.script().refuse = Some("550 no such mailbox");
    suite(&smtp, &setting, away, refuses, ids).await;
}

#[tokio::test]
async fn what_a_server_said_becomes_no_header_and_ends_no_mail() {
    let server = Server::start().await;
    let target = NoticeTarget { settings: server.settings(""), secret: None };
    server.smtp().tell(&target, &notice("notice_1")).await.unwrap();
    let mails = server.script().mails.clone();
    let (head, body) = mails[0].split_once("\n\n").unwrap();
    assert!(!head.contains("Bcc") && head.contains("Auto-Submitted: auto-generated"), "{head}");
    assert!(head.contains("Date: Sun, 10 May 2026 12:00:00 +0000"), "{head}");
    assert!(!body.is_empty() && mails.len() == 1);
}

#[tokio::test]
async fn a_login_is_made_where_there_is_a_user_and_its_refusal_is_named() {
    let server = Server::start().await;
    let secret = Some(password_secret(&SecretString::from("hush-hush")));
    let target = NoticeTarget { settings: server.settings("rider%40example.org@"), secret };
    let smtp = server.smtp();
    smtp.tell(&target, &notice("notice_1")).await.unwrap();
    assert_eq!(server.script().logins.len(), 1);
    server.script().refuse_login = Some("535 wrong");
    let error = smtp.tell(&target, &notice("notice_2")).await.unwrap_err();
    assert!(matches!(&error, NotifyError::Permanent(failure) if failure.code == Code::MailLogin), "{error:?}");
    assert!(!format!("{error:?} {target:?} {smtp:?}").contains("hush"));
}

#[tokio::test]
async fn nothing_is_sent_in_clear_unless_the_server_is_trusted() {
    let server = Server::start().await;
    let mut settings = server.settings("");
    let url = settings["url"].as_str().unwrap().replace("?tls=none", "");
    settings["url"] = url.into();
    // The server does not offer STARTTLS.
    let error = server.smtp().tell(&NoticeTarget { settings, secret: None }, &notice("notice_1")).await.unwrap_err();
    assert!(!error.failure().detail.is_empty(), "{error:?}");
    let stranger = Smtp::new(&[]).check(&server.settings(""), None).unwrap_err();
    assert!(stranger.detail.contains("FITBRIDGE_TRUSTED_HOSTS"), "{stranger}");
    assert!(server.script().mails.is_empty());
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come_back() {
    // Bound, so that nobody else is given the port; and not listening.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = nobody.local_addr().unwrap().port();
    let server = Server { port, script: Arc::default() };
    let target = NoticeTarget { settings: server.settings(""), secret: None };
    let error = server.smtp().tell(&target, &notice("notice_1")).await.unwrap_err();
    assert!(matches!(&error, NotifyError::Transient { failure, .. } if failure.code == Code::MailAway), "{error:?}");
}

#[test]
fn the_url_says_how_it_is_encrypted() {
    let parse = |text: &str| MailServer::parse(text, None, &[]).map(|server| (server.port, server.encryption));
    assert_eq!(parse("smtps://mail.example.org"), Ok((465, Encryption::Implicit)));
    assert_eq!(parse("smtp://me@mail.example.org"), Ok((587, Encryption::StartTls)));
    assert_eq!(parse("smtp://mail.example.org:2525"), Ok((2525, Encryption::StartTls)));
    let password = Some(SecretString::from("x"));
    assert!(MailServer::parse("smtps://mail.example.org", password, &[]).unwrap_err().contains("no user"));
}

#[test]
fn tls_can_be_set_up_with_the_stack_that_is_there() {
    let server = MailServer::parse("smtps://mail.example.org", None, &[]).unwrap();
    assert!(server.transport(TIMEOUT).is_ok());
}
