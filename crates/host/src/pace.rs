//! Keeping to a provider's rate budget, by waiting before each call.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use fitbridge_core::{
    domain::{RemoteAccount, RideId},
    ports::{Access, ListPage, Login, Resolution, Source, SourceError, SourceIdentity, TokenFacts},
};
use secrecy::SecretString;
use tokio::{sync::Mutex, time::Instant};

/// A source whose calls are spread out evenly. Callers wait in turn; nobody is refused.
#[derive(Debug)]
pub struct Paced {
    source: Arc<dyn Source>,
    gap: Duration,
    next: Mutex<Option<Instant>>,
}

impl Paced {
    /// At most `per_second` calls a second (more than 0).
    pub fn new(source: Arc<dyn Source>, per_second: f64) -> Self {
        let gap = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::from_secs(1));
        Self { source, gap, next: Mutex::new(None) }
    }

    async fn turn(&self) {
        let at = {
            let mut next = self.next.lock().await;
            let at = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
            *next = Some(at + self.gap);
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

#[async_trait]
impl Source for Paced {
    async fn list_page(&self, access: Access<'_>, page: u32) -> Result<ListPage, SourceError> {
        self.turn().await;
        self.source.list_page(access, page).await
    }

    async fn resolve(&self, access: Access<'_>, ride: RideId) -> Result<Resolution, SourceError> {
        self.turn().await;
        self.source.resolve(access, ride).await
    }

    async fn reachable(&self, account: &RemoteAccount) -> Result<(), SourceError> {
        self.turn().await;
        self.source.reachable(account).await
    }

    fn token_facts(&self, token: &SecretString) -> Result<TokenFacts, SourceError> {
        self.source.token_facts(token)
    }

    async fn identify(&self, token: &SecretString, realm: Option<&str>) -> Result<Vec<SourceIdentity>, SourceError> {
        self.turn().await;
        self.source.identify(token, realm).await
    }

    async fn log_in(&self, realm: &str, login: &Login) -> Result<SecretString, SourceError> {
        self.turn().await;
        self.source.log_in(realm, login).await
    }
}
