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

    /// Waits for the next turn. Whoever gives up meanwhile uses none: the turn is taken when the wait is over.
    async fn turn(&self) {
        let mut next = self.next.lock().await;
        if let Some(at) = *next {
            tokio::time::sleep_until(at).await;
        }
        *next = Some(Instant::now() + self.gap);
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

#[cfg(test)]
mod tests {
    use fitbridge_core::testkit::FakeSource;

    use super::*;

    #[tokio::test]
    async fn whoever_gives_up_uses_no_turn() {
        let source = FakeSource::default();
        let account = source.account("global", "1");
        let paced = Paced::new(Arc::new(source.clone()), 0.001);
        paced.reachable(&account).await.unwrap();
        for _ in 0..20 {
            let cut = tokio::time::timeout(Duration::from_millis(1), paced.reachable(&account)).await;
            assert!(cut.is_err(), "its turn would be 1000 s from now");
        }
        let next = paced.next.lock().await.unwrap();
        assert!(next <= Instant::now() + paced.gap, "those who gave up pushed nobody back");
    }
}
