//! The cloud and its file host as a process reaches them.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::{
    Code, Failure,
    domain::{ActivityState, FileLocation, Origin, RemoteAccount, RideId, RowProblem},
    ports::{
        Access, FileError, Files, ListPage, ListedRow, Login, Resolution, Source, SourceError, SourceIdentity,
        TokenFacts,
    },
    store::Store,
};
use futures::FutureExt;
use secrecy::SecretString;

use super::{Incident, Process, SimFile, World, process::ON_ITS_WAY};
use crate::{
    clockwork::{lock, to_timestamp},
    trouble::Fault,
};

/// The longest a call takes, ms; clients give up after a minute.
const LONGEST: i64 = 40_000;

fn away(code: Code) -> SourceError {
    SourceError::Away(Failure::new(code, "in the simulation"))
}

impl Process {
    /// A call goes out: it may be made at all, and the cloud may be in trouble.
    async fn call_source(&self, account: &RemoteAccount, what: &str) -> Result<(), SourceError> {
        let user = World::rider_of(account);
        self.touches(&user, || what.to_owned());
        if !self.calls_source {
            self.world.story.broken("I4", format!("{} calls the source: {what}", self.name));
        }
        self.may_call_for(&user, &account.connection_id(), what);
        self.is_patient(&account.realm, what);
        self.is_not_halted(what);
        self.wire(LONGEST).await;
        let throttled = |seconds| {
            self.is_asked_for_patience(&account.realm, seconds);
            SourceError::Throttled { retry_after: Some(Duration::from_secs(seconds)) }
        };
        match self.world.incident() {
            Some(Incident::Away) => return Err(away(Code::ProviderTimeout)),
            Some(Incident::Throttles) => return Err(throttled(600)),
            Some(Incident::RefusesAll | Incident::RefusesAllAndHides) | None => {}
        }
        if self.hit(Fault::SourceError, what) {
            return Err(match self.world.clockwork.below(3) {
                0 => away(Code::ProviderAway),
                1 => away(Code::ProviderError),
                _ => throttled(self.world.clockwork.between(30, 900).unsigned_abs()),
            });
        }
        Ok(())
    }

    /// The answer goes back, and may be lost.
    async fn answer_of_source(&self, what: &str) -> Result<(), SourceError> {
        self.wire(LONGEST).await;
        if self.hit(Fault::SourceError, "the answer is lost: ") {
            self.tell(|| format!("never hears the answer to {what}"));
            return Err(away(Code::ProviderTimeout));
        }
        Ok(())
    }

    fn check_token(&self, access: Access<'_>) -> Result<(), SourceError> {
        let refuses = matches!(self.world.incident(), Some(Incident::RefusesAll | Incident::RefusesAllAndHides));
        let ends_at = self.world.source.token_facts(access.token)?.ends_at;
        if refuses || ends_at.is_some_and(|end| end <= self.world.clockwork.now()) {
            return Err(SourceError::Refused("401".into()));
        }
        Ok(())
    }

    /// Some rows cannot be decoded, for a while.
    fn spoil_rows(&self, account: &str, page: &mut ListPage) {
        let truth = lock(&self.world.truth);
        let Some(account) = truth.accounts.get(account) else { return };
        let now = self.world.now_ms();
        let bad = |row: &ListedRow| account.rides.get(&row.ride_id).is_some_and(|ride| ride.bad_until > now);
        let (bad, good) = std::mem::take(&mut page.rows).into_iter().partition(bad);
        page.rows = good;
        let bad: Vec<ListedRow> = bad;
        page.problems.extend(bad.iter().map(|row| row_problem(row.ride_id)));
    }

    /// A detail call is for a ride whose place is not known, and for no other.
    fn detail_is_needed(&self, account: &RemoteAccount, ride: RideId) {
        let id = Origin::cloud_id(&account.connection_id(), ride);
        let store = Store::new(std::sync::Arc::new(self.world.ledger.clone()));
        let known = store.activity(&World::rider_of(account), &id).now_or_never();
        if let Some(Ok(Some(stored))) = known
            && matches!(stored.doc.state, ActivityState::Fetched { .. } | ActivityState::Duplicate { .. })
            // A call may be on its way that was made for somebody who has lost the ride meanwhile.
            && self.true_ms(stored.doc.updated_at) + ON_ITS_WAY < self.world.now_ms()
        {
            self.world.story.broken("I6", format!("a detail call for ride {ride}, which is fetched"));
        }
    }
}

/// How a row is known that cannot be decoded.
pub(crate) fn row_problem(ride: RideId) -> RowProblem {
    RowProblem { digest: format!("row-{ride}"), reason: "nonsense".into() }
}

#[async_trait]
impl Source for Process {
    async fn list_page(&self, access: Access<'_>, page: u32) -> Result<ListPage, SourceError> {
        self.count(|tally| &tally.list_calls);
        let what = format!("list page {page} of {}", access.account.account);
        self.call_source(access.account, &what).await?;
        self.check_token(access)?;
        let mut listed = self.world.source.list_page(access, page).await?;
        self.spoil_rows(&access.account.account, &mut listed);
        self.tell(|| format!("{what}: {:?} rows, {} here", listed.total_rows, listed.rows.len()));
        self.answer_of_source(&what).await?;
        Ok(listed)
    }

    async fn resolve(&self, access: Access<'_>, ride: RideId) -> Result<Resolution, SourceError> {
        self.count(|tally| &tally.other_calls);
        let what = format!("resolve ride {ride} of {}", access.account.account);
        self.call_source(access.account, &what).await?;
        self.check_token(access)?;
        self.detail_is_needed(access.account, ride);
        let truth = lock(&self.world.truth)
            .accounts
            .get(&access.account.account)
            .and_then(|account| account.rides.get(&ride).cloned());
        let resolved = self.world.source.resolve(access, ride).await;
        if resolved.is_ok() && truth.is_some_and(|ride| ride.ready_at > self.world.now_ms()) {
            self.tell(|| format!("{what}: not ready"));
            return Err(SourceError::NotReady);
        }
        self.tell(|| format!("{what}: {}", if resolved.is_ok() { "located" } else { "gone or refused" }));
        self.answer_of_source(&what).await?;
        resolved
    }

    async fn reachable(&self, account: &RemoteAccount) -> Result<(), SourceError> {
        self.wire(LONGEST).await;
        match self.world.incident() {
            Some(Incident::Away | Incident::RefusesAllAndHides) => Err(away(Code::ProviderTimeout)),
            _ => self.world.source.reachable(account).await,
        }
    }

    fn token_facts(&self, token: &SecretString) -> Result<TokenFacts, SourceError> {
        self.world.source.token_facts(token)
    }

    async fn identify(&self, token: &SecretString, realm: Option<&str>) -> Result<Vec<SourceIdentity>, SourceError> {
        self.wire(LONGEST).await;
        self.world.source.identify(token, realm).await
    }

    async fn log_in(&self, realm: &str, login: &Login) -> Result<SecretString, SourceError> {
        let account = RemoteAccount {
            service: fitbridge_core::domain::Service::from_any("igpsport"),
            realm: realm.to_owned(),
            account: login.username.clone(),
        };
        let what = format!("log in as {}", login.username);
        self.call_source(&account, &what).await?;
        let now = self.world.now_ms();
        let (life, before) = {
            let mut truth = lock(&self.world.truth);
            let known = truth.accounts.entry(login.username.clone()).or_default();
            let life = self.world.clockwork.between(30, 900) * crate::clockwork::MINUTE;
            (life, known.logged_in_until.replace(now + life))
        };
        // Some minutes ahead of its end a token may be replaced, by clocks that are a little off.
        if before.is_some_and(|until| now < until - 6 * crate::clockwork::MINUTE) {
            self.world
                .broken_unless_jumped("I6", format!("a second login for {} within a token's life", login.username));
        }
        let token = self.world.source.token(&account, Some(to_timestamp(now + life)));
        self.tell(|| format!("{what}: a token until {}", to_timestamp(now + life)));
        self.answer_of_source(&what).await?;
        Ok(token)
    }
}

#[async_trait]
impl Files for Process {
    async fn open(&self, location: &FileLocation) -> Result<Bytes, FileError> {
        self.wire(LONGEST).await;
        let again = |code: Code| FileError::Again { failure: code.into(), retry_after: None };
        if self.hit(Fault::FileError, "the file host") {
            return Err(match self.world.clockwork.below(3) {
                0 => FileError::Gone(Code::FileGone.into()),
                1 => again(Code::FileTruncated),
                _ => {
                    FileError::Again { failure: Code::FileHostError.into(), retry_after: Some(Duration::from_secs(90)) }
                }
            });
        }
        self.world.source.files().open(location).await?;
        let served = self.served(location).ok_or_else(|| again(Code::FileHostError))?;
        self.tell(|| format!("downloads {} bytes of {}", served.len(), location.0));
        self.wire(LONGEST).await;
        Ok(served)
    }
}

impl Process {
    /// What the file host serves there now.
    fn served(&self, location: &FileLocation) -> Option<Bytes> {
        let mut parts = location.0.rsplit('/');
        let ride = RideId(parts.next()?.parse().ok()?);
        let rider = parts.next()?.to_owned();
        let mut truth = lock(&self.world.truth);
        let known = truth.accounts.get(&rider)?.rides.get(&ride)?.clone();
        if known.kills {
            self.tell(|| format!("downloads ride {ride}, which kills it"));
            self.doom();
        }
        let bytes = if known.whole_at > self.world.now_ms() { known.file.cut() } else { known.file.bytes.clone() };
        let file = SimFile { bytes: bytes.clone(), ..known.file };
        let user = fitbridge_core::domain::UserId::from_any(&rider);
        truth.served.insert((user, file.content()), file);
        Some(bytes)
    }
}
