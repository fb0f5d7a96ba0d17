//! A sink that does what it is told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::civil::Date;
use secrecy::SecretString;

use crate::{
    Code, Failure,
    domain::{About, ContentId, RemoteAccount, RemoteId, Service},
    ports::{Attempt, FileLink, Found, Identity, Outcome, RemoteRide, Resend, Sink, SinkError, SinkFile, SinkTarget},
};

/// What the sink does with one attempt, where a test says so.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Answers this and stores nothing.
    Say(Outcome),
    /// Stores the ride, and answers this all the same: a lost acknowledgement.
    CommitThen(Outcome),
    /// Takes it for later: [`Sink::follow`] stores it.
    Accept,
    /// The same, but that many questions are answered with "still at it" first.
    AcceptFor(usize),
}

/// A call as it was made.
#[derive(Debug, Clone, PartialEq)]
pub enum SinkCall {
    /// An attempt.
    Deliver {
        /// Whose account.
        account: RemoteAccount,
        /// Which file.
        content: ContentId,
        /// Which attempt.
        attempt: Attempt,
    },
    /// A question about an accepted file.
    Follow(String),
    /// A probe, by external id.
    Probe(String),
    /// A listing.
    List(Date, Date),
    /// A check when connecting.
    Check,
}

/// A ride as the sink stored it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRide {
    /// In whose account.
    pub account: RemoteAccount,
    /// Which file.
    pub content: ContentId,
    /// What the sink calls it.
    pub remote_id: RemoteId,
    /// What was told about it.
    pub about: About,
}

/// A file that was taken for later.
#[derive(Debug, Clone)]
struct Accepted {
    account: RemoteAccount,
    content: ContentId,
    about: About,
    /// How many questions are still answered with "still at it".
    asks: usize,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
struct State {
    resend: Resend,
    knows_repeats: bool,
    readable: Option<Vec<RemoteRide>>,
    script: VecDeque<Reply>,
    always: Option<Outcome>,
    list_errors: VecDeque<SinkError>,
    probe_errors: VecDeque<SinkError>,
    stored: Vec<StoredRide>,
    accepted: Vec<Accepted>,
    calls: Vec<SinkCall>,
    links: Vec<FileLink>,
}

/// A sink in memory. As made by `default`, it knows repeats by their hash and cannot be listed; a connection
/// with the setting `"link": true` wants links. Clones
/// share everything.
#[derive(Debug, Clone)]
pub struct FakeSink(Arc<Mutex<State>>);

impl Default for FakeSink {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            resend: Resend::Repeat,
            knows_repeats: true,
            readable: None,
            script: VecDeque::new(),
            always: None,
            list_errors: VecDeque::new(),
            probe_errors: VecDeque::new(),
            stored: Vec::new(),
            accepted: Vec::new(),
            calls: Vec::new(),
            links: Vec::new(),
        })))
    }
}

impl State {
    fn store(&mut self, account: &RemoteAccount, content: ContentId, about: &About) -> Outcome {
        let known = self.stored.iter().find(|ride| ride.account == *account && ride.content == content);
        if let Some(known) = known.filter(|_| self.knows_repeats) {
            return Outcome::AlreadyThere { remote_id: Some(known.remote_id.clone()) };
        }
        let remote_id = RemoteId(format!("r{}", self.stored.len() + 1));
        let ride = StoredRide { account: account.clone(), content, remote_id: remote_id.clone(), about: about.clone() };
        self.stored.push(ride);
        Outcome::Created { remote_id: Some(remote_id) }
    }
}

impl FakeSink {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that stores the same file twice when it is sent twice, and wants to be asked first.
    pub fn forgetful() -> Self {
        let sink = Self::default();
        (sink.state().resend, sink.state().knows_repeats) = (Resend::ProbeFirst, false);
        sink
    }

    /// Makes it readable, with these rides there before us.
    pub fn set_rides(&self, rides: Vec<RemoteRide>) {
        self.state().readable = Some(rides);
    }

    /// What it does with the next attempt; several such wait in line.
    pub fn reply_next(&self, reply: Reply) {
        self.state().script.push_back(reply);
    }

    /// Answers every attempt with this, or no longer.
    pub fn reply_always(&self, outcome: Option<Outcome>) {
        self.state().always = outcome;
    }

    /// Makes the next listing fail; several such wait in line.
    pub fn fail_next_list(&self, error: SinkError) {
        self.state().list_errors.push_back(error);
    }

    /// Makes the next probe fail; several such wait in line.
    pub fn fail_next_probe(&self, error: SinkError) {
        self.state().probe_errors.push_back(error);
    }

    /// Everything it stored, in order.
    pub fn stored(&self) -> Vec<StoredRide> {
        self.state().stored.clone()
    }

    /// The links that came with attempts.
    pub fn links(&self) -> Vec<FileLink> {
        self.state().links.clone()
    }

    /// Every call since the last time this was asked, in order.
    pub fn take_calls(&self) -> Vec<SinkCall> {
        std::mem::take(&mut self.state().calls)
    }

    /// An account of this sink.
    pub fn account(name: &str) -> RemoteAccount {
        RemoteAccount { service: Service::from_any("fake"), realm: String::new(), account: name.into() }
    }
}

#[async_trait]
impl Sink for FakeSink {
    fn resend(&self) -> Resend {
        self.state().resend
    }

    fn wants_link(&self, settings: &serde_json::Value) -> bool {
        settings["link"] == true
    }

    fn is_readable(&self) -> bool {
        self.state().readable.is_some()
    }

    /// The account is the settings' `account`, or `me`.
    async fn check(&self, settings: &serde_json::Value, _secret: Option<&SecretString>) -> Result<Identity, SinkError> {
        let mut state = self.state();
        state.calls.push(SinkCall::Check);
        let name = settings.get("account").and_then(serde_json::Value::as_str).unwrap_or("me");
        Ok(Identity { account: Self::account(name), label: format!("fake {name}"), settings: settings.clone() })
    }

    async fn deliver(&self, target: &SinkTarget, file: &SinkFile, about: &About, attempt: &Attempt) -> Outcome {
        let mut state = self.state();
        let account = &target.account;
        let call = SinkCall::Deliver { account: account.clone(), content: file.content, attempt: attempt.clone() };
        state.calls.push(call);
        state.links.extend(file.link.clone());
        let scripted = state.script.pop_front().or_else(|| state.always.clone().map(Reply::Say));
        match scripted {
            Some(Reply::Say(outcome)) => outcome,
            Some(Reply::CommitThen(outcome)) => {
                state.store(account, file.content, about);
                outcome
            }
            Some(reply @ (Reply::Accept | Reply::AcceptFor(_))) => {
                let asks = if let Reply::AcceptFor(asks) = reply { asks } else { 0 };
                state.accepted.push(Accepted {
                    account: account.clone(),
                    content: file.content,
                    about: about.clone(),
                    asks,
                    outcome: None,
                });
                Outcome::Accepted { poll_token: state.accepted.len().to_string(), wait: Duration::from_secs(2) }
            }
            None => state.store(account, file.content, about),
        }
    }

    async fn follow(&self, _target: &SinkTarget, poll_token: &str) -> Outcome {
        let mut state = self.state();
        state.calls.push(SinkCall::Follow(poll_token.to_owned()));
        let index = poll_token.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let accepted = index.and_then(|index| state.accepted.get_mut(index));
        match accepted {
            // Asking twice stores nothing twice.
            Some(Accepted { outcome: Some(outcome), .. }) => outcome.clone(),
            Some(accepted) if accepted.asks > 0 => {
                accepted.asks -= 1;
                Outcome::Accepted { poll_token: poll_token.to_owned(), wait: Duration::from_secs(2) }
            }
            Some(accepted) => {
                let Accepted { account, content, about, .. } = accepted.clone();
                let outcome = state.store(&account, content, &about);
                if let Some(accepted) = index.and_then(|index| state.accepted.get_mut(index)) {
                    accepted.outcome = Some(outcome.clone());
                }
                outcome
            }
            None => Outcome::Rejected(Failure::new(Code::SinkRejected, "no such poll token")),
        }
    }

    async fn probe(&self, target: &SinkTarget, about: &About) -> Result<Found, SinkError> {
        let mut state = self.state();
        state.calls.push(SinkCall::Probe(about.external_id.clone()));
        if let Some(error) = state.probe_errors.pop_front() {
            return Err(error);
        }
        let same = |ride: &&StoredRide| ride.account == target.account && ride.about.external_id == about.external_id;
        let found = state.stored.iter().find(same);
        Ok(found.map_or(Found::NotThere, |ride| Found::There { remote_id: Some(ride.remote_id.clone()) }))
    }

    async fn list(&self, _target: &SinkTarget, oldest: Date, newest: Date) -> Result<Vec<RemoteRide>, SinkError> {
        let mut state = self.state();
        state.calls.push(SinkCall::List(oldest, newest));
        if let Some(error) = state.list_errors.pop_front() {
            return Err(error);
        }
        let rides = state.readable.as_ref().ok_or_else(|| SinkError::unsupported("it cannot be listed"))?;
        let within = |ride: &&RemoteRide| (oldest..=newest).contains(&ride.local_start.date());
        Ok(rides.iter().filter(within).cloned().collect())
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
