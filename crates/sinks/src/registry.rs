//! Which sinks there are. A new one is a file beside this one and a line in [`Registry::new`].

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

/// A sink as the registry keeps it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its short name.
    pub service: Service,
    /// What it is, in one line for people.
    pub description: &'static str,
    /// The sink.
    pub sink: Arc<dyn Sink>,
}

/// All sinks by their short names.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    entries: BTreeMap<Service, Entry>,
}

impl Registry {
    /// All sinks of this version.
    ///
    /// # Errors
    /// [`BuildError`] when TLS cannot be set up.
    pub fn new(options: Options) -> Result<Self, BuildError> {
        let Options { intervals_url, guard, clock, timeout } = options;
        let api = ApiOptions { total_timeout: timeout, ..ApiOptions::default() };
        let outside = GuardedOptions { total_timeout: timeout, ..GuardedOptions::default() };
        let intervals = Intervals::new(intervals_url, api_client(&api)?, timeout);
        let webhook = Webhook::new(guarded_client(guard, &outside)?, clock, timeout);
        let mut all = Self::default();
        all.add(intervals::SERVICE, "Intervals.icu: training analysis; recognises repeated files", Arc::new(intervals));
        all.add(
            folder::SERVICE,
            "A folder of this machine, one file per ride under a name of your choice",
            Arc::new(Folder::default()),
        );
        all.add(webhook::SERVICE, "An HTTP endpoint of your own, signed (Standard Webhooks)", Arc::new(webhook));
        Ok(all)
    }

    /// Adds a sink, or puts it in place of the one of that name.
    pub fn add(&mut self, service: &str, description: &'static str, sink: Arc<dyn Sink>) {
        let service = Service::from_any(service);
        self.entries.insert(service.clone(), Entry { service, description, sink });
    }

    /// The sink of that name.
    pub fn get(&self, service: &Service) -> Option<&Arc<dyn Sink>> {
        self.entries.get(service).map(|entry| &entry.sink)
    }

    /// The sinks in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The sinks as the engine takes them.
    pub fn into_sinks(self) -> BTreeMap<Service, Arc<dyn Sink>> {
        self.entries.into_iter().map(|(service, entry)| (service, entry.sink)).collect()
    }
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
        let registry = Registry::new(options(&server)).unwrap();
        let names: Vec<_> = registry.iter().map(|entry| entry.service.as_str().to_owned()).collect();
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
            let sink = registry.get(&Service::from_any(name)).unwrap();
            let identity = sink.check(&settings, secret.as_ref()).await.unwrap();
            assert_eq!(identity.account.service.as_str(), name);
            assert!(!identity.label.is_empty());
            let target = SinkTarget { account: identity.account, settings: identity.settings, secret };
            let outcome = sink.deliver(&target, &file(b"ride"), &about(), &attempt(1)).await;
            let done = matches!(outcome, Outcome::Created { .. } | Outcome::AlreadyThere { .. });
            assert!(done, "{name}: {outcome:?}");
            assert!(!format!("{target:?} {sink:?}").contains("hush"), "{name} shows its secret");
        }
        assert_eq!(registry.into_sinks().len(), 3);
    }
}
