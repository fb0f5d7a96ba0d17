//! Notices by signed webhook: the same signing, guard and rules as for rides.

use async_trait::async_trait;
use fitbridge_core::{
    Code, Failure,
    domain::Message as Kind,
    ports::{Checked, NoticeTarget, NoticeText, Notifier, NotifyError, Outcome},
};
use fitbridge_http::TransportError;
use secrecy::SecretString;
use serde_json::{Value, json};
use tracing::instrument;

use super::{Mode, Settings, Unusable, Webhook, message::Message, outcome, read};
use crate::answer::lost;

/// Tells notices to an endpoint of the rider. The receiver knows a repeat by the `webhook-id`.
#[derive(Debug, Clone)]
pub struct WebhookNotices(Webhook);

impl WebhookNotices {
    /// Over the client and clock of the sink.
    pub fn new(webhook: Webhook) -> Self {
        Self(webhook)
    }
}

fn body(notice: &NoticeText) -> Value {
    let event = match notice.message {
        Some(Kind::Failure) => "notice.failure",
        Some(Kind::Recovery) => "notice.recovery",
        None => "notice.test",
    };
    json!({
        "type": event,
        "timestamp": notice.now.to_string(),
        "data": {
            "code": notice.code,
            "connection": notice.connection,
            "subject": notice.subject,
            "sentence": notice.sentence,
            "detail": notice.detail,
            "next": notice.next,
            "count": notice.count,
            "since": notice.since.map(|since| since.to_string()),
        },
    })
}

/// What an answer means: a rider's own receiver that is gone or elsewhere is for the rider to mend.
fn result(outcome: Outcome) -> Result<(), NotifyError> {
    match outcome {
        Outcome::Created { .. } | Outcome::AlreadyThere { .. } | Outcome::Accepted { .. } => Ok(()),
        Outcome::Throttled { retry_after } => {
            Err(NotifyError::Transient { failure: Code::SinkThrottled.into(), retry_after })
        }
        Outcome::Transient { failure, .. } if failure.code == Code::WebhookRedirect => {
            Err(NotifyError::Permanent(failure))
        }
        Outcome::Transient { failure, retry_after } => Err(NotifyError::Transient { failure, retry_after }),
        Outcome::Unknown(failure) => Err(NotifyError::Transient { failure, retry_after: None }),
        Outcome::Rejected(failure) | Outcome::NeedsReauth(failure) => Err(NotifyError::Permanent(failure)),
    }
}

#[async_trait]
impl Notifier for WebhookNotices {
    fn check(&self, settings: &Value, secret: Option<&SecretString>) -> Result<Checked, Failure> {
        let opened = self.0.open(settings, secret).map_err(|unusable| match unusable {
            Unusable::Settings(failure) | Unusable::Url(failure) | Unusable::Secret(failure) => failure,
        })?;
        let host = opened.url.host_str().unwrap_or_default();
        let label = opened.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let settings = serde_json::to_value(Settings { url: opened.url.to_string(), mode: Mode::Notify })
            .map_err(|error| Failure::new(Code::SinkSettings, error.to_string()))?;
        Ok(Checked { label, settings })
    }

    #[instrument(skip_all, fields(notice.id = %notice.id))]
    async fn tell(&self, target: &NoticeTarget, notice: &NoticeText) -> Result<(), NotifyError> {
        let opened = self.0.open(&target.settings, target.secret.as_ref()).map_err(|unusable| match unusable {
            Unusable::Url(failure) | Unusable::Settings(failure) | Unusable::Secret(failure) => {
                NotifyError::Permanent(failure)
            }
        })?;
        let message = Message::json(&body(notice));
        let request = self.0.request(&opened, &notice.id, notice.now, message).map_err(NotifyError::Permanent)?;
        match request.send().await.map_err(TransportError::from) {
            Ok(response) => result(outcome(&read(response).await, notice.now)),
            Err(error @ TransportError::NotPublic) => {
                Err(NotifyError::Permanent(Failure::new(Code::WebhookRefusedUrl, error.to_string())))
            }
            Err(error) => result(lost(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use fitbridge_core::testkit::conformance::notifier::{Setting, notice, suite};
    use fitbridge_http::{GuardedOptions, UrlGuard, guarded_client};

    use super::*;
    use crate::{
        testing::{Reply, Server, now},
        webhook::{new_secret, sealed_secret},
    };

    #[derive(Debug)]
    struct Fixed;

    impl fitbridge_core::ports::Clock for Fixed {
        fn now(&self) -> jiff::Timestamp {
            now()
        }
    }

    fn notices(server: &Server) -> WebhookNotices {
        let guard = Arc::new(UrlGuard::new(&[server.address.to_string()]).unwrap());
        let client = guarded_client(guard, &GuardedOptions::default()).unwrap();
        WebhookNotices::new(Webhook::new(client, Arc::new(Fixed), Duration::from_secs(10)))
    }

    #[tokio::test]
    async fn the_webhook_conforms() {
        let replies = [200, 200, 503, 410, 204].map(|status| Reply::new(status, ""));
        let server = Server::start(replies).await;
        let setting = Setting {
            good: json!({ "url": server.url().as_str() }),
            secret: sealed_secret(&new_secret([1; 32])).ok(),
            bad: vec![json!({}), json!({ "url": "ftp://x" }), json!({ "url": "http://10.0.0.1/" })],
        };
        let seen = Mutex::new(0);
        let arrived = || {
            let all = server.received();
            let mut seen = seen.lock().unwrap();
            let new = all.iter().skip(*seen).filter_map(|request| request.header("webhook-id").map(str::to_owned));
            let new = new.collect();
            *seen = all.len();
            new
        };
        // The replies above are in the order of the suite's calls.
        suite(&notices(&server), &setting, || (), || (), arrived).await;
        let body: Value = serde_json::from_slice(&server.received()[0].body).unwrap();
        assert_eq!((&body["type"], &body["data"]["code"]), (&json!("notice.failure"), &json!("token_expired")));
        assert!(server.received()[0].header("webhook-signature").is_some_and(|text| text.starts_with("v1,")));
    }

    #[tokio::test]
    async fn a_receiver_that_moved_is_not_followed_and_one_that_asks_for_patience_gets_it() {
        let server = Server::start([
            Reply::new(302, "").with("location", "https://elsewhere.example/"),
            Reply::new(429, "").with("retry-after", "90"),
        ])
        .await;
        let target = NoticeTarget {
            settings: json!({ "url": server.url().as_str() }),
            secret: sealed_secret(&new_secret([1; 32])).ok(),
        };
        let notices = notices(&server);
        let error = notices.tell(&target, &notice("notice_1")).await.unwrap_err();
        assert!(
            matches!(&error, NotifyError::Permanent(failure) if failure.code == Code::WebhookRedirect),
            "{error:?}"
        );
        let error = notices.tell(&target, &notice("notice_1")).await.unwrap_err();
        let patience = Some(Duration::from_secs(90));
        assert!(matches!(error, NotifyError::Transient { retry_after, .. } if retry_after == patience), "{error:?}");
    }
}
