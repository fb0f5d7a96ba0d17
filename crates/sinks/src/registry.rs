//! Which sinks there are. A new one is a file beside this one and a line in [`all_sinks`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fitbridge_core::{
    domain::Service,
    ports::{Clock, Sink},
};
use fitbridge_http::{ApiOptions, BuildError, GuardedOptions, UrlGuard, api_client, guarded_client};
use url::Url;

use crate::{Folder, Intervals, Webhook, folder, intervals, webhook};

/// What the sinks are built from.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where Intervals.icu's API is: [`intervals::DEFAULT_URL`], or a simulator's address.
    pub intervals_url: Url,
    /// The guard that the riders' URLs pass.
    pub guard: Arc<UrlGuard>,
    /// Tells the time of calls that are no attempts of a delivery.
    pub clock: Arc<dyn Clock>,
    /// Longest time of a call; uploads of large files get more, in proportion.
    pub timeout: Duration,
}

/// The webhook as a way to tell riders, guarded as the sink of that name is.
///
/// # Errors
/// [`BuildError`] when TLS cannot be set up.
pub fn webhook_notices(
    guard: Arc<UrlGuard>,
    clock: Arc<dyn Clock>,
    timeout: Duration,
) -> Result<webhook::WebhookNotices, BuildError> {
    let outside = GuardedOptions { total_timeout: timeout, ..GuardedOptions::default() };
    Ok(webhook::WebhookNotices::new(Webhook::new(guarded_client(guard, &outside)?, clock, timeout)))
}

/// All sinks of this version by their short names, as the engine takes them.
///
/// # Errors
/// [`BuildError`] when TLS cannot be set up.
pub fn all_sinks(options: Options) -> Result<BTreeMap<Service, Arc<dyn Sink>>, BuildError> {
    let Options { intervals_url, guard, clock, timeout } = options;
    let api = ApiOptions { total_timeout: timeout, ..ApiOptions::default() };
    let outside = GuardedOptions { total_timeout: timeout, ..GuardedOptions::default() };
    let intervals: Arc<dyn Sink> = Arc::new(Intervals::new(intervals_url, api_client(&api)?, timeout));
    let folder: Arc<dyn Sink> = Arc::new(Folder::default());
    let webhook: Arc<dyn Sink> = Arc::new(Webhook::new(guarded_client(guard, &outside)?, clock, timeout));
    Ok(BTreeMap::from([
        (Service::from_any(intervals::SERVICE), intervals),
        (Service::from_any(folder::SERVICE), folder),
        (Service::from_any(webhook::SERVICE), webhook),
    ]))
}

#[cfg(test)]
mod tests {
    use fitbridge_core::ports::{Outcome, SinkTarget};
    use jiff::Timestamp;
    use secrecy::SecretString;
    use serde_json::json;

    use super::*;
    use crate::testing::{Reply, Server, about, attempt, file};

    #[derive(Debug)]
    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            crate::testing::now()
        }
    }

    fn options(server: &Server) -> Options {
        Options {
            intervals_url: server.url(),
            guard: Arc::new(UrlGuard::new(&[server.address.to_string()]).unwrap()),
            clock: Arc::new(Fixed),
            timeout: Duration::from_secs(10),
        }
    }

    /// What the command line does: look a sink up, check, and deliver with what the check returned.
    #[tokio::test]
    async fn every_sink_checks_and_delivers_under_its_name() {
        let server = Server::start([Reply::new(200, r#"{"id":"i7"}"#)]).await;
        let folder = tempfile::tempdir().unwrap();
        let sinks = all_sinks(options(&server)).unwrap();
        let names: Vec<_> = sinks.keys().map(Service::as_str).collect();
        assert_eq!(names, ["folder", "intervals", "webhook"]);
        let hush = SecretString::from("hush-hush-hush");
        for (name, settings, secret) in [
            ("folder", json!({"path": folder.path().to_str().unwrap()}), None),
            ("intervals", json!({}), Some(intervals::api_key_secret(&hush))),
            (
                "webhook",
                json!({"url": server.url().as_str()}),
                webhook::sealed_secret(&webhook::new_secret([1; 32])).ok(),
            ),
        ] {
            let sink = &sinks[&Service::from_any(name)];
            let identity = sink.check(&settings, secret.as_ref()).await.unwrap();
            assert_eq!(identity.account.service.as_str(), name);
            assert!(!identity.label.is_empty());
            let target = SinkTarget { account: identity.account, settings: identity.settings, secret };
            let outcome = sink.deliver(&target, &file(b"ride"), &about(), &attempt(1)).await;
            let done = matches!(outcome, Outcome::Created { .. } | Outcome::AlreadyThere { .. });
            assert!(done, "{name}: {outcome:?}");
            assert!(!format!("{target:?} {sink:?}").contains("hush"), "{name} shows its secret");
        }
    }
}
