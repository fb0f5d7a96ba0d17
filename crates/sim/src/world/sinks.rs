//! The places where rides go, each with its own manner of telling repeats.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use fitbridge_core::{
    Code, Failure,
    domain::{About, ContentId, RemoteAccount, RemoteId, Service, UserId},
    ports::{Attempt, Found, Identity, Outcome, RemoteRide, Resend, Sink, SinkError, SinkFile, SinkTarget},
    store::Store,
};
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp, civil::Date, tz::Offset};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Process, World, date_of,
    files::{start_of, way_m},
    number_at,
};
use crate::{
    clockwork::{HOUR, MINUTE, SECOND, lock},
    trouble::Fault,
    wishes::UNDER_WAY,
};

/// The longest a call takes, ms. Twice that fits into the half of a lease that an attempt may still use.
const LONGEST: i64 = 40_000;

/// How a service tells a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    /// By the file's hash.
    Knows,
    /// Not at all: it must be asked first.
    Forgets,
    /// It takes a file, works on it, and then finds repeats by their hash.
    Later,
    /// By the hash, and what is there can be listed.
    Readable,
}

impl Manner {
    pub(crate) const ALL: [Self; 4] = [Self::Knows, Self::Forgets, Self::Later, Self::Readable];

    pub(crate) fn service(self) -> Service {
        Service::from_any(match self {
            Self::Knows => "knows",
            Self::Forgets => "forgets",
            Self::Later => "later",
            Self::Readable => "readable",
        })
    }
}

/// A rider's account at such a service.
pub(crate) fn sink_account(manner: Manner, rider: &UserId) -> RemoteAccount {
    RemoteAccount { service: manner.service(), realm: String::new(), account: rider.to_string() }
}

/// A copy that lies at a sink.
#[derive(Debug, Clone)]
struct Copy {
    content: ContentId,
    external_id: String,
    remote_id: RemoteId,
}

/// A file that a sink works on.
#[derive(Debug, Clone)]
struct Upload {
    content: ContentId,
    external_id: String,
    ready_at: i64,
    outcome: Option<Outcome>,
}

#[derive(Debug, Default)]
struct Account {
    copies: Vec<Copy>,
    uploads: BTreeMap<String, Upload>,
    /// The key that it takes.
    key: String,
    keys_made: u32,
    /// Ride numbers that came there by another route before.
    elsewhere: BTreeSet<i64>,
}

/// All accounts at all sinks.
#[derive(Debug, Default)]
pub(crate) struct SinkHost {
    accounts: BTreeMap<(Manner, UserId), Account>,
    /// Until when a service is in trouble.
    outages: BTreeMap<Manner, i64>,
    copies_made: u64,
}

impl SinkHost {
    /// Makes a new key for an account; the old one is no longer taken.
    pub(crate) fn new_key(&mut self, manner: Manner, rider: &UserId) -> SecretString {
        let account = self.accounts.entry((manner, rider.clone())).or_default();
        account.keys_made += 1;
        account.key = format!("{}-key-{}", super::SECRET_CANARY, account.keys_made);
        SecretString::from(account.key.clone())
    }

    /// A ride of that number came there by another route.
    pub(crate) fn came_elsewhere(&mut self, rider: &UserId, number: i64) {
        self.accounts.entry((Manner::Readable, rider.clone())).or_default().elsewhere.insert(number);
    }

    pub(crate) fn is_elsewhere(&self, rider: &UserId, number: i64) -> bool {
        self.accounts.get(&(Manner::Readable, rider.clone())).is_some_and(|known| known.elsewhere.contains(&number))
    }

    /// How many copies of a file lie there.
    pub(crate) fn copies(&self, manner: Manner, rider: &UserId, content: ContentId) -> usize {
        let account = self.accounts.get(&(manner, rider.clone()));
        account.map_or(0, |account| account.copies.iter().filter(|copy| copy.content == content).count())
    }

    /// The rider deletes what lies there of a file; `false` when there was nothing.
    pub(crate) fn take_away(&mut self, manner: Manner, rider: &UserId, content: ContentId) -> bool {
        let Some(account) = self.accounts.get_mut(&(manner, rider.clone())) else { return false };
        let before = account.copies.len();
        account.copies.retain(|copy| copy.content != content);
        account.copies.len() < before
    }

    /// Whether anything lies there under that id.
    pub(crate) fn has_id(&self, manner: Manner, rider: &UserId, external_id: &str) -> bool {
        let account = self.accounts.get(&(manner, rider.clone()));
        account.is_some_and(|account| account.copies.iter().any(|copy| copy.external_id == external_id))
    }

    pub(crate) fn break_down(&mut self, manner: Manner, until: i64) {
        self.outages.insert(manner, until);
    }

    pub(crate) fn copies_made(&self) -> u64 {
        self.copies_made
    }
}

/// A service as a process reaches it.
#[derive(Debug)]
pub(crate) struct SinkPort {
    pub(crate) process: Arc<Process>,
    pub(crate) manner: Manner,
}

fn unknown() -> Outcome {
    Outcome::Unknown(Code::SinkUnknownOutcome.into())
}

impl SinkPort {
    fn world(&self) -> &World {
        &self.process.world
    }

    fn rider(target: &SinkTarget) -> UserId {
        UserId::from_any(&target.account.account)
    }

    /// A call goes out; the inner error is what it leads to instead.
    async fn call(&self, target: &SinkTarget, what: &str) -> Result<(), Outcome> {
        let rider = Self::rider(target);
        let world = self.world();
        self.process.touches(&rider, || what.to_owned());
        self.process.may_call_for(&rider, &target.account.connection_id(), what);
        self.process.is_patient(target.account.connection_id().as_str(), what);
        self.process.is_not_halted(what);
        self.process.count(|tally| &tally.other_calls);
        self.process.wire(LONGEST).await;
        let transient = |retry_after| Outcome::Transient { failure: Code::SinkAway.into(), retry_after };
        let host = lock(&world.sinks);
        let is_down = host.outages.get(&self.manner).is_some_and(|until| *until > world.now_ms());
        if is_down && world.trouble.is_on() {
            return Err(transient(None));
        }
        let key = host.accounts.get(&(self.manner, rider)).map(|account| account.key.clone()).unwrap_or_default();
        drop(host);
        if target.secret.as_ref().is_none_or(|secret| secret.expose_secret() != key) {
            return Err(Outcome::NeedsReauth(Code::SinkReconnect.into()));
        }
        if self.process.hit(Fault::SinkError, what) {
            let most = if world.clockwork.one_in(3) { 1500 } else { 100 };
            let seconds = Duration::from_secs(world.clockwork.below(most).unsigned_abs());
            return Err(match world.clockwork.below(5) {
                0 => unknown(),
                1 => {
                    self.process.is_asked_for_patience(target.account.connection_id().as_str(), seconds.as_secs());
                    Outcome::Throttled { retry_after: Some(seconds) }
                }
                2 => Outcome::Throttled { retry_after: None },
                3 => transient(Some(seconds)),
                _ => transient(None),
            });
        }
        Ok(())
    }

    /// The answer goes back, and may be lost.
    async fn answer(&self, what: &str, outcome: Outcome) -> Outcome {
        self.process.tell(|| format!("{what}: {}", brief(&outcome)));
        self.process.wire(LONGEST).await;
        if self.process.hit(Fault::SinkAnswerLost, what) { unknown() } else { outcome }
    }

    /// A copy comes to lie there, or is found to lie there. Here is where doubles would show.
    fn store(&self, rider: &UserId, content: ContentId, external_id: &str) -> Outcome {
        let mut host = lock(&self.world().sinks);
        host.copies_made += 1;
        let number = host.copies_made;
        let account = host.accounts.entry((self.manner, rider.clone())).or_default();
        let known = account.copies.iter().find(|copy| copy.content == content).cloned();
        if let Some(known) = known.filter(|_| self.manner != Manner::Forgets) {
            return Outcome::AlreadyThere { remote_id: Some(known.remote_id) };
        }
        let remote_id = RemoteId(format!("r{number}"));
        account.copies.push(Copy { content, external_id: external_id.to_owned(), remote_id: remote_id.clone() });
        let copies = account.copies.iter().filter(|copy| copy.content == content).count();
        if copies > 1 {
            let what = format!("{external_id} of {rider} lies {copies} times at {}", self.manner.service());
            self.world().broken_unless_jumped("I1", what);
        }
        Outcome::Created { remote_id: Some(remote_id) }
    }

    /// The bytes are those of the file host, and this rider's.
    fn is_right(&self, rider: &UserId, file: &SinkFile, about: &About) {
        let world = self.world();
        if ContentId::of(&file.bytes) != file.content {
            world
                .story
                .broken("I2", format!("{} comes to {} with other bytes", about.external_id, self.manner.service()));
        }
        self.is_wanted(rider, file.content, about);
        if !lock(&world.truth).served.contains_key(&(rider.clone(), file.content)) {
            world.story.broken("I4", format!("{} comes to {rider}, to whom it was never served", about.external_id));
        }
    }
}

impl SinkPort {
    /// The rider wants it there: it was not forgotten, nothing else stands for it, and it is not from before what
    /// the rider wants.
    fn is_wanted(&self, rider: &UserId, content: ContentId, about: &About) {
        let (world, now) = (self.world(), self.world().now_ms());
        let sink = sink_account(self.manner, rider).connection_id();
        let broken =
            |what: String| world.story.broken("I1", format!("{} goes to {sink} of {rider}: {what}", about.external_id));
        if let Some(minutes) = world.wishes(rider, |wishes| wishes.is_gone(content, &sink, now)) {
            broken(format!("it was forgotten {minutes} minutes ago"));
        }
        let store = Store::new(Arc::new(world.ledger.clone()));
        let delivery = store.delivery(rider, &sink, &content).now_or_never().and_then(Result::ok).flatten();
        let Some(delivery) = delivery.map(|stored| stored.doc) else { return };
        if world.wishes(rider, |wishes| wishes.is_again(&delivery.activity)) || delivery.maybe_there {
            return;
        }
        let number = about.start.map(|start| number_at(start.as_second()));
        let reach = world.wishes(rider, |wishes| wishes.not_before);
        if about.source == "igpsport"
            && number.zip(reach).is_some_and(|(number, reach)| date_of(number) < date_of(reach))
        {
            broken("it is older than the rider wants".to_owned());
        }
        let ride = store.activity(rider, &delivery.activity).now_or_never().and_then(Result::ok).flatten();
        let link = ride.and_then(|stored| stored.doc.link);
        if let Some(link) = link.filter(|link| delivery.attempts == 1 && link.at.as_millisecond() + UNDER_WAY < now) {
            let what = format!("{} stands for it since {:.0}", link.to, link.at);
            world.broken_unless_jumped("I1", format!("{} goes to {sink} of {rider}: {what}", about.external_id));
        }
    }
}

/// A question that met this has no answer.
fn unanswered(instead: Outcome) -> SinkError {
    match instead {
        Outcome::NeedsReauth(failure) => SinkError::NeedsReauth(failure),
        Outcome::Throttled { retry_after } => SinkError::Away { failure: Code::SinkThrottled.into(), retry_after },
        Outcome::Transient { failure, retry_after } => SinkError::Away { failure, retry_after },
        _ => SinkError::Away { failure: Code::SinkTimeout.into(), retry_after: None },
    }
}

fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Created { .. } => "created".into(),
        Outcome::AlreadyThere { .. } => "already there".into(),
        Outcome::Accepted { .. } => "accepted".into(),
        other => format!("{other:?}"),
    }
}

#[async_trait]
impl Sink for SinkPort {
    fn resend(&self) -> Resend {
        match self.manner {
            Manner::Knows | Manner::Readable | Manner::Later => Resend::Repeat,
            Manner::Forgets => Resend::ProbeFirst,
        }
    }

    fn is_readable(&self) -> bool {
        self.manner == Manner::Readable
    }

    async fn check(&self, settings: &serde_json::Value, _secret: Option<&SecretString>) -> Result<Identity, SinkError> {
        let rider = settings.get("account").and_then(serde_json::Value::as_str).unwrap_or_default();
        let account = sink_account(self.manner, &UserId::from_any(rider));
        Ok(Identity { account, label: rider.to_owned(), settings: settings.clone() })
    }

    async fn deliver(&self, target: &SinkTarget, file: &SinkFile, about: &About, attempt: &Attempt) -> Outcome {
        let rider = Self::rider(target);
        let what =
            format!("send {} to {} of {rider}, attempt {}", about.external_id, self.manner.service(), attempt.number);
        if let Err(instead) = self.call(target, &what).await {
            self.process.tell(|| format!("{what}: {}", brief(&instead)));
            return instead;
        }
        self.is_right(&rider, file, about);
        let (is_unwanted, is_deadly) = {
            let truth = lock(&self.world().truth);
            (truth.unwanted.contains(&file.content), truth.deadly.contains(&file.content))
        };
        if is_deadly {
            self.process.tell(|| format!("{what}, which kills it"));
            self.process.doom();
            self.process.wire(SECOND).await;
            return unknown();
        }
        if is_unwanted {
            return Outcome::Rejected(Failure::new(Code::SinkRejected, "not this one"));
        }
        let outcome = match self.manner {
            Manner::Later => {
                let ready_at = self.world().now_ms() + self.world().clockwork.between(SECOND, 20 * MINUTE);
                let mut host = lock(&self.world().sinks);
                let account = host.accounts.entry((self.manner, rider)).or_default();
                let poll_token = format!("u{}", account.uploads.len() + 1);
                let (content, external_id) = (file.content, about.external_id.clone());
                account.uploads.insert(poll_token.clone(), Upload { content, external_id, ready_at, outcome: None });
                Outcome::Accepted { poll_token, wait: Duration::from_secs(2) }
            }
            _ => self.store(&rider, file.content, &about.external_id),
        };
        self.answer(&what, outcome).await
    }

    async fn follow(&self, target: &SinkTarget, poll_token: &str) -> Outcome {
        let rider = Self::rider(target);
        let what = format!("ask {} of {rider} after {poll_token}", self.manner.service());
        if let Err(instead) = self.call(target, &what).await {
            return instead;
        }
        let find = |host: &SinkHost| {
            host.accounts
                .get(&(self.manner, rider.clone()))
                .and_then(|account| account.uploads.get(poll_token).cloned())
        };
        let upload = find(&lock(&self.world().sinks));
        let outcome = match upload {
            None => Outcome::Rejected(Failure::new(Code::SinkRejected, "no such upload")),
            Some(Upload { outcome: Some(outcome), .. }) => outcome,
            Some(upload) if upload.ready_at > self.world().now_ms() => {
                Outcome::Accepted { poll_token: poll_token.to_owned(), wait: Duration::from_secs(10) }
            }
            Some(upload) => {
                let outcome = self.store(&rider, upload.content, &upload.external_id);
                let mut host = lock(&self.world().sinks);
                let account = host.accounts.entry((self.manner, rider.clone())).or_default();
                if let Some(upload) = account.uploads.get_mut(poll_token) {
                    upload.outcome = Some(outcome.clone());
                }
                outcome
            }
        };
        self.answer(&what, outcome).await
    }

    async fn probe(&self, target: &SinkTarget, about: &About) -> Result<Found, SinkError> {
        let rider = Self::rider(target);
        let what = format!("look for {} at {} of {rider}", about.external_id, self.manner.service());
        self.call(target, &what).await.map_err(unanswered)?;
        let found = {
            let host = lock(&self.world().sinks);
            let copies = host.accounts.get(&(self.manner, rider)).map(|account| account.copies.clone());
            copies.unwrap_or_default().into_iter().find(|copy| copy.external_id == about.external_id)
        };
        self.process.tell(|| format!("{what}: {}", if found.is_some() { "there" } else { "not there" }));
        self.process.wire(LONGEST).await;
        if self.process.hit(Fault::SinkAnswerLost, &what) {
            return Err(SinkError::Away { failure: Code::SinkTimeout.into(), retry_after: None });
        }
        Ok(found.map_or(Found::NotThere, |copy| Found::There { remote_id: Some(copy.remote_id) }))
    }

    async fn list(&self, target: &SinkTarget, oldest: Date, newest: Date) -> Result<Vec<RemoteRide>, SinkError> {
        let rider = Self::rider(target);
        self.call(target, "list what is there").await.map_err(unanswered)?;
        let host = lock(&self.world().sinks);
        let numbers = host.accounts.get(&(self.manner, rider)).map(|account| account.elsewhere.clone());
        let rides = numbers.unwrap_or_default().into_iter().map(|number| {
            let start: Timestamp = start_of(number) + SignedDuration::from_secs(40);
            RemoteRide {
                remote_id: RemoteId(format!("strava-{number}")),
                local_start: Offset::constant(2).to_datetime(start),
                other_route: Some("STRAVA".into()),
                elapsed_s: Some(3610.0),
                distance_m: Some(way_m(number) + 100.0),
            }
        });
        Ok(rides.filter(|ride| (oldest..=newest).contains(&ride.local_start.date())).collect())
    }
}

/// How long an outage of a sink lasts, ms.
pub(crate) fn outage(world: &World) -> i64 {
    world.clockwork.between(10 * MINUTE, 2 * HOUR)
}
