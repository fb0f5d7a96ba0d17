//! Whether a provider is well. Kept in memory; only a breaker's changes are persisted.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Engine, EngineError,
    policy::{later, later_asked},
};
use crate::{
    Failure,
    domain::{ConnectionId, RemoteAccount},
    ports::Key,
    store::{Breaker, Stored},
};

/// What is known of one provider.
#[derive(Debug, Default)]
struct Provider {
    /// The last answer each connection had: when, and whether it was a refusal.
    answers: BTreeMap<ConnectionId, (Timestamp, bool)>,
    failures_in_a_row: u32,
    breaker: Option<Breaker>,
}

/// What is known of the providers.
#[derive(Debug, Default)]
pub(super) struct Health {
    providers: Mutex<BTreeMap<String, Provider>>,
}

impl Health {
    fn providers(&self) -> MutexGuard<'_, BTreeMap<String, Provider>> {
        self.providers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The provider an account belongs to.
pub(super) fn provider_of(account: &RemoteAccount) -> String {
    match account.realm.as_str() {
        "" => account.service.to_string(),
        realm => format!("{}-{realm}", account.service),
    }
}

impl Engine {
    /// The breaker of a provider, while it is open.
    pub(super) fn open_breaker(&self, account: &RemoteAccount, now: Timestamp) -> Option<Breaker> {
        let providers = self.health.providers();
        let breaker = providers.get(&provider_of(account))?.breaker.as_ref()?;
        (breaker.open_until > now).then(|| breaker.clone())
    }

    /// Reads what other processes, or earlier ones, decided about the sources' providers.
    pub async fn load_breakers(&self) -> Result<(), EngineError> {
        let page = self.store.ledger().range(&crate::ports::Scope::System, "breaker/", None, 100).await;
        let page = page.map_err(crate::store::StoreError::from)?;
        let keys: Vec<_> = page.records.into_iter().map(|record| record.key).collect();
        for stored in self.store.read_many::<Breaker>(&keys).await?.into_iter().flatten() {
            let mut providers = self.health.providers();
            let known = providers.entry(stored.doc.provider.clone()).or_default();
            known.breaker = Some(stored.doc);
        }
        Ok(())
    }

    /// Notes that a connection was answered properly, and closes the breaker if there was one.
    pub(super) async fn provider_answered(
        &self,
        account: &RemoteAccount,
        connection: &ConnectionId,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let provider = provider_of(account);
        let was_open = {
            let mut providers = self.health.providers();
            let known = providers.entry(provider.clone()).or_default();
            known.answers.insert(connection.clone(), (now, false));
            known.failures_in_a_row = 0;
            known.breaker.take().is_some()
        };
        if was_open {
            let key = Key::breaker(&provider);
            if let Some(stored) = self.store.read::<Breaker>(&key).await? {
                let expect = crate::ports::Expect::Version(stored.version);
                let write = crate::ports::Write { key, expect, change: crate::ports::Change::Delete };
                self.store.commit(vec![write]).await?;
            }
            tracing::info!(provider, "{provider} answers again");
        }
        Ok(())
    }

    /// Notes a refusal. `true` when so many connections are refused together, with none answered, that it
    /// must be the provider.
    pub(super) fn refused_with_others(
        &self,
        account: &RemoteAccount,
        connection: &ConnectionId,
        now: Timestamp,
    ) -> bool {
        let mut providers = self.health.providers();
        let known = providers.entry(provider_of(account)).or_default();
        known.answers.insert(connection.clone(), (now, true));
        let window = self.policy.incident_window;
        known.answers.retain(|_, (at, _)| later(*at, window) >= now);
        let refused = known.answers.values().filter(|(_, refused)| *refused).count();
        refused >= self.policy.incident_connections && refused * 10 >= known.answers.len() * 9
    }

    /// Whether a refusal from that moment is older than the provider's last incident.
    pub(super) fn before_incident(&self, account: &RemoteAccount, at: Timestamp) -> bool {
        let providers = self.health.providers();
        let breaker = providers.get(&provider_of(account)).and_then(|known| known.breaker.as_ref());
        breaker.is_some_and(|breaker| breaker.opened_at >= at)
    }

    /// Notes a failed call. `true` when there were so many in a row that the breaker should open.
    pub(super) fn failed_too_often(&self, account: &RemoteAccount) -> bool {
        let mut providers = self.health.providers();
        let known = providers.entry(provider_of(account)).or_default();
        known.failures_in_a_row += 1;
        known.failures_in_a_row >= self.policy.breaker_failures
    }

    /// Opens a provider's breaker: for as long as it asks, or for longer with each strike.
    pub(super) async fn open_breaker_for(
        &self,
        account: &RemoteAccount,
        failure: Failure,
        asked: Option<Duration>,
    ) -> Result<Breaker, EngineError> {
        const LONGEST: SignedDuration = SignedDuration::from_hours(1);
        let (now, provider) = (self.now(), provider_of(account));
        let stored: Option<Stored<Breaker>> = self.store.read(&Key::breaker(&provider)).await?;
        let strikes = stored.as_ref().map_or(0, |stored| stored.doc.strikes) + 1;
        let wait = self.policy.breaker_wait.saturating_mul(1 << (strikes - 1).min(6)).min(LONGEST);
        let open_until = asked.map_or_else(|| later(now, wait), |asked| later_asked(now, asked));
        let opened_at = stored.as_ref().map_or(now, |stored| stored.doc.opened_at);
        let breaker = Breaker { provider: provider.clone(), open_until, opened_at, strikes, failure };
        let write = match &stored {
            Some(stored) => stored.replace(&breaker, None)?,
            None => self.store.create(&breaker, None, None)?,
        };
        // A conflict means that another worker opened it at the same time, which does as well.
        self.store.commit(vec![write]).await?;
        tracing::warn!(provider, until = %open_until, failure = %breaker.failure, "{provider} is left alone until {open_until}");
        let mut providers = self.health.providers();
        let known = providers.entry(provider).or_default();
        known.failures_in_a_row = 0;
        known.breaker = Some(breaker.clone());
        Ok(breaker)
    }
}
