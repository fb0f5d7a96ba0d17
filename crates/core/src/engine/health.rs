//! Whether a provider is well. Kept in memory; only a breaker's changes are persisted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{
    Engine, EngineError,
    policy::{LONGEST_ASKED, SKEW, later, later_asked},
};
use crate::{
    Failure,
    domain::{ConnectionId, RemoteAccount, UserId},
    ports::{Job, Key, SourceError, Task},
    store::{Breaker, Stored},
};

/// What is known of one provider.
#[derive(Debug, Default)]
struct Provider {
    /// The last answer each connection had: when, and whether it was a refusal.
    answers: BTreeMap<ConnectionId, (Timestamp, bool)>,
    /// When the old ones among them were last dropped, which looks at all of them.
    swept_at: Option<Timestamp>,
    failures_in_a_row: u32,
    breaker: Option<Breaker>,
    /// The breaker is not written down, or not yet: what the ledger says is older.
    is_unwritten: bool,
    /// The last incident that is over.
    past: Option<Breaker>,
    /// After an open breaker's time one call tries whether the provider is back; until then the others wait.
    probe_until: Option<Timestamp>,
    /// Polls that came meanwhile: they are made as soon as it is.
    behind_probe: BTreeSet<(UserId, ConnectionId)>,
}

impl Provider {
    /// Takes over what the ledger says.
    fn take(&mut self, persisted: Option<Breaker>, now: Timestamp) {
        if self.is_unwritten && self.breaker.as_ref().is_some_and(|breaker| breaker.open_until > now) {
            return;
        }
        self.is_unwritten = false;
        let is_over = persisted.as_ref().is_some_and(|breaker| breaker.closed_at.is_some());
        (self.breaker, self.past) = if is_over { (None, persisted) } else { (persisted, self.past.take()) };
    }
}

/// What is known of the providers.
#[derive(Debug, Default)]
pub(super) struct Health {
    providers: Mutex<BTreeMap<String, Provider>>,
    /// Until when sinks asked to be left alone.
    sinks: Mutex<BTreeMap<(UserId, ConnectionId), Timestamp>>,
}

/// How long the one call that tries a provider again may take before another may.
const PROBE: SignedDuration = SignedDuration::from_secs(60);
/// So long the riders whose tokens are good are left to find out whether a provider is back: each is polled within it.
/// A paused token, which may be refused for itself, says little.
const OTHERS_FIRST: SignedDuration = SignedDuration::from_hours(1);
/// An incident that comes back so soon is the same one.
const SAME_INCIDENT: SignedDuration = SignedDuration::from_hours(1);
/// Answers that are remembered of a provider; with more connections than this, the latest will do.
const MOST_ANSWERS: usize = 10_000;

impl Health {
    fn providers(&self) -> MutexGuard<'_, BTreeMap<String, Provider>> {
        self.providers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a breaker was opened at a time that is still to come.
fn is_of_a_wrong_clock(breaker: &Breaker, now: Timestamp) -> bool {
    breaker.opened_at > later(now, SKEW)
}

/// The provider an account belongs to.
pub(super) fn provider_of(account: &RemoteAccount) -> String {
    match account.realm.as_str() {
        "" => account.service.to_string(),
        realm => format!("{}-{realm}", account.service),
    }
}

impl Engine {
    /// The breaker of a provider, when no call may be made to it now. After its time, the first who asks
    /// may call and the others wait for what comes of it.
    pub(super) fn open_breaker(&self, account: &RemoteAccount, now: Timestamp) -> Option<Breaker> {
        let breaker = self.breaker_now(account, now);
        if breaker.is_none()
            && let Some(known) = self.health.providers().get_mut(&provider_of(account))
            && known.breaker.is_some()
        {
            known.probe_until = Some(later(now, PROBE));
        }
        breaker
    }

    /// The breaker of a provider, when calls may not be made; asking changes nothing.
    pub(super) fn breaker_now(&self, account: &RemoteAccount, now: Timestamp) -> Option<Breaker> {
        let providers = self.health.providers();
        let known = providers.get(&provider_of(account))?;
        let breaker = known.breaker.as_ref()?;
        let probe = known.probe_until.filter(|probe| *probe <= later(now, PROBE + SKEW));
        let until = if is_of_a_wrong_clock(breaker, now) { Timestamp::MIN } else { breaker.open_until };
        let until = probe.map_or(until, |probe| probe.max(until));
        (until > now || planted!(self, BreakerNeverCloses)).then(|| Breaker { open_until: until, ..breaker.clone() })
    }

    /// Why no call may be made to a provider now, whoever it is that tries whether it is back.
    pub(super) fn asked_to_wait(&self, account: &RemoteAccount) -> Option<Failure> {
        let now = self.now();
        let providers = self.health.providers();
        let breaker = providers.get(&provider_of(account))?.breaker.as_ref()?;
        (breaker.open_until > now && !is_of_a_wrong_clock(breaker, now)).then(|| breaker.failure.clone())
    }

    /// From when to when a provider's last incident was; to the end of time while it goes on.
    pub(super) fn last_incident(&self, account: &RemoteAccount) -> Option<(Timestamp, Timestamp)> {
        let providers = self.health.providers();
        let known = providers.get(&provider_of(account))?;
        let incident = known.breaker.as_ref().or(known.past.as_ref())?;
        Some((incident.since, incident.closed_at.unwrap_or(Timestamp::MAX)))
    }

    /// Notes a poll that found the breaker's time over and another call trying whether the provider is back: it is
    /// handed over again when that answers, else a whole minute's riders would have waited for nothing.
    pub(super) fn wait_behind_probe(&self, account: &RemoteAccount, user: &UserId, connection: &ConnectionId) {
        let now = self.now();
        if let Some(known) = self.health.providers().get_mut(&provider_of(account))
            && known.breaker.as_ref().is_some_and(|breaker| breaker.open_until <= now)
            && known.behind_probe.len() < MOST_ANSWERS
        {
            known.behind_probe.insert((user.clone(), connection.clone()));
        }
    }

    /// Whoever tried the provider again learned nothing about it: another may try.
    pub(super) fn let_another_probe(&self, account: &RemoteAccount) {
        if let Some(known) = self.health.providers().get_mut(&provider_of(account)) {
            known.probe_until = None;
        }
    }

    /// Until when a sink asked to be left alone, if that is not over.
    pub(super) fn sink_waits(&self, user: &UserId, sink: &ConnectionId, now: Timestamp) -> Option<Timestamp> {
        let mut sinks = self.health.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        sinks.retain(|_, until| *until > now && *until <= later(now, LONGEST_ASKED + SKEW));
        sinks.get(&(user.clone(), sink.clone())).copied()
    }

    /// Notes that a sink asked to be left alone until then.
    pub(super) fn leave_sink_alone(&self, user: &UserId, sink: &ConnectionId, until: Timestamp) {
        let mut sinks = self.health.sinks.lock().unwrap_or_else(PoisonError::into_inner);
        let known = sinks.entry((user.clone(), sink.clone())).or_insert(until);
        *known = until.max(*known);
    }

    /// Reads what other processes, or earlier ones, decided about the sources' providers.
    pub async fn load_breakers(&self) -> Result<(), EngineError> {
        let page = self.store.ledger().range(&crate::ports::Scope::System, "breaker/", None, 100).await;
        let page = page.map_err(crate::store::StoreError::from)?;
        let keys: Vec<_> = page.records.into_iter().map(|record| record.key).collect();
        let stored = self.store.read_many::<Breaker>(&keys).await?;
        let mut persisted: BTreeMap<_, _> =
            stored.into_iter().flatten().map(|stored| (stored.doc.provider.clone(), stored.doc)).collect();
        let (now, mut providers) = (self.now(), self.health.providers());
        for (provider, known) in providers.iter_mut() {
            known.take(persisted.remove(provider), now);
        }
        for (provider, breaker) in persisted {
            providers.entry(provider).or_default().take(Some(breaker), now);
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
        // What a call that began before it says is no word about what the provider asked for since.
        let is_over = |breaker: &Breaker| breaker.open_until <= now || is_of_a_wrong_clock(breaker, now);
        let (was_open, behind_probe) = {
            let mut providers = self.health.providers();
            let known = providers.entry(provider.clone()).or_default();
            let window = self.policy.incident_window;
            if known.answers.len() >= MOST_ANSWERS && known.swept_at.is_none_or(|at| later(at, window) < now) {
                known.answers.retain(|_, (at, _)| later(*at, window) >= now);
                known.swept_at = Some(now);
            }
            if known.answers.len() < MOST_ANSWERS || known.answers.contains_key(connection) {
                known.answers.insert(connection.clone(), (now, false));
            }
            known.failures_in_a_row = 0;
            known.probe_until = None;
            let closes = known.breaker.as_ref().is_some_and(is_over);
            if closes {
                (known.breaker, known.is_unwritten) = (None, false);
            }
            (closes, if closes { std::mem::take(&mut known.behind_probe) } else { BTreeSet::new() })
        };
        if was_open {
            if let Some(stored) = self.store.read::<Breaker>(&Key::breaker(&provider)).await?
                && stored.doc.closed_at.is_none()
            {
                // Another process was asked for patience since.
                if !is_over(&stored.doc) {
                    self.health.providers().entry(provider).or_default().take(Some(stored.doc), now);
                    return Ok(());
                }
                let closed = Breaker { closed_at: Some(now), ..stored.doc.clone() };
                self.save(&stored, &closed, None).await?;
                self.health.providers().entry(provider.clone()).or_default().past = Some(closed);
            }
            tracing::info!(provider, "{provider} answers again");
            let poll = |(user, connection)| Job { user, task: Task::Poll { connection } };
            self.hand_over(behind_probe.into_iter().map(poll).collect()).await;
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

    /// Whether a refusal from that moment is older than the provider's last incident, or belongs to it.
    pub(super) fn before_incident(&self, account: &RemoteAccount, at: Timestamp) -> bool {
        let now = self.now();
        let providers = self.health.providers();
        let Some(known) = providers.get(&provider_of(account)) else { return false };
        let until = |incident: &Breaker| incident.closed_at.unwrap_or(incident.opened_at);
        let covers = |incident: &Breaker| until(incident) >= at && !is_of_a_wrong_clock(incident, now);
        known.breaker.iter().chain(&known.past).any(covers)
    }

    /// The end of the provider's incident in which a connection was paused then, or the last failure in it where it is
    /// not over but has been left alone for so long that whoever is active would have found out.
    pub(super) fn incident_at(&self, account: &RemoteAccount, paused_at: Timestamp) -> Option<Timestamp> {
        let providers = self.health.providers();
        let known = providers.get(&provider_of(account))?;
        let within = |incident: &&Breaker| {
            // Before it was seen to be an incident, some were refused already.
            let begun = later(paused_at, self.policy.incident_window) >= incident.since;
            begun && incident.closed_at.is_none_or(|closed| paused_at <= closed)
        };
        let incident = known.breaker.iter().chain(&known.past).find(within)?;
        let is_time = incident.closed_at.is_some() || later(incident.open_until, OTHERS_FIRST) <= self.now();
        is_time.then(|| incident.closed_at.unwrap_or(incident.opened_at))
    }

    /// Whether a provider's incident is not over, as far as is known.
    pub(super) fn is_in_trouble(&self, account: &RemoteAccount) -> bool {
        self.health.providers().get(&provider_of(account)).is_some_and(|known| known.breaker.is_some())
    }

    /// Notes a failed call. `true` when there were so many in a row that the breaker should open, or when
    /// this was the one that tried whether the provider is back.
    pub(super) fn failed_too_often(&self, account: &RemoteAccount) -> bool {
        let mut providers = self.health.providers();
        let known = providers.entry(provider_of(account)).or_default();
        known.failures_in_a_row += 1;
        known.breaker.is_some() || known.failures_in_a_row >= self.policy.breaker_failures
    }

    /// What a source answered. Where it asks for patience, this process keeps to that from now on, whatever becomes of
    /// the job that asked and of what it writes.
    pub(super) fn heard<T>(&self, account: &RemoteAccount, answer: Result<T, SourceError>) -> Result<T, SourceError> {
        let asked = match &answer {
            Err(SourceError::Throttled { retry_after: Some(asked) }) => *asked,
            Err(SourceError::AwayFor { retry_after, .. }) => *retry_after,
            _ => return answer,
        };
        answer.inspect_err(|error| {
            let breaker = self.next_breaker(account, error.failure(), Some(asked), None);
            self.keep_to(&breaker);
        })
    }

    /// The breaker of a provider that failed now: open for as long as it asks, or for longer with each strike.
    fn next_breaker(
        &self,
        account: &RemoteAccount,
        failure: Failure,
        asked: Option<Duration>,
        persisted: Option<&Breaker>,
    ) -> Breaker {
        const LONGEST: SignedDuration = SignedDuration::from_hours(1);
        let (now, provider) = (self.now(), provider_of(account));
        let remembered = self.health.providers().get(&provider).and_then(|known| known.breaker.clone());
        let known = persisted.or(remembered.as_ref()).filter(|breaker| !is_of_a_wrong_clock(breaker, now));
        // Calls that were under way when it opened are no strikes of their own.
        let going_on = known.filter(|breaker| breaker.closed_at.is_none());
        let before = going_on.map_or(0, |breaker| breaker.strikes);
        let is_open = going_on.is_some_and(|breaker| breaker.open_until > now);
        let is_same = |breaker: &&Breaker| breaker.closed_at.is_none_or(|closed| later(closed, SAME_INCIDENT) >= now);
        let since = known.filter(is_same).map_or(now, |breaker| breaker.since);
        let strikes = if is_open { before } else { before.saturating_add(1) };
        let wait = self.policy.breaker_wait.saturating_mul(1 << strikes.saturating_sub(1).min(6)).min(LONGEST);
        let asked = asked.filter(|_| !planted!(self, BreakerForgotten));
        let open_until = asked.map_or_else(|| later(now, wait), |asked| later_asked(now, asked));
        // What this process was asked for may not be written down yet.
        let promised = remembered.as_ref().filter(|one| one.closed_at.is_none() && !is_of_a_wrong_clock(one, now));
        let longest = going_on.into_iter().chain(promised).map(|breaker| breaker.open_until).max();
        let open_until = longest.map_or(open_until, |longest| longest.max(open_until));
        Breaker { provider, open_until, opened_at: now, since, closed_at: None, strikes, failure }
    }

    /// Makes no call while this breaker is open, or a longer one that another call was asked for meanwhile.
    fn keep_to(&self, breaker: &Breaker) {
        let mut providers = self.health.providers();
        let known = providers.entry(breaker.provider.clone()).or_default();
        let longer = known.breaker.take().filter(|known| known.closed_at.is_none());
        let longer = longer
            .filter(|known| !is_of_a_wrong_clock(known, breaker.opened_at) && known.open_until > breaker.open_until);
        (known.failures_in_a_row, known.probe_until) = (0, None);
        known.behind_probe.clear();
        (known.breaker, known.is_unwritten) = (Some(longer.unwrap_or_else(|| breaker.clone())), true);
    }

    /// Opens a provider's breaker: at once, and whatever becomes of the record, for this process; with the record for
    /// the others.
    pub(super) async fn open_breaker_for(
        &self,
        account: &RemoteAccount,
        failure: Failure,
        asked: Option<Duration>,
    ) -> Result<Breaker, EngineError> {
        let provider = provider_of(account);
        let read: Result<Option<Stored<Breaker>>, _> = self.store.read(&Key::breaker(&provider)).await;
        let persisted = read.as_ref().ok().and_then(Option::as_ref).map(|stored| &stored.doc);
        let breaker = self.next_breaker(account, failure, asked, persisted);
        let open_until = breaker.open_until;
        tracing::warn!(provider, until = %open_until, failure = %breaker.failure, "{provider} is left alone until {open_until}");
        self.keep_to(&breaker);
        let write = match &read? {
            Some(stored) => stored.replace(&breaker, None)?,
            None => self.store.create(&breaker, None, None)?,
        };
        // A conflict means that another worker opened it at the same time; the others keep to that, and this one to
        // what it was asked for.
        let written = self.store.commit(vec![write]).await?;
        if let Some(known) = self.health.providers().get_mut(&provider)
            && known.breaker.as_ref() == Some(&breaker)
        {
            known.is_unwritten = !written;
        }
        Ok(breaker)
    }
}
