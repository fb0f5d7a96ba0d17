//! Getting at a source: its token, its one login, and what a refusal means.

use jiff::Timestamp;

use super::{
    Engine, EngineError, Poll,
    plan::Place,
    policy::{is_to_come, later},
    secrets::SourceSecret,
};
use crate::{
    Code, Failure,
    domain::{Connection, ConnectionState, LoginIntent, Refusals, Role, SourceProgress},
    ports::{Access, Due, ListPage, SealedKey, SourceError, VaultError},
    store::Stored,
};

/// How often a change to a connection's record is tried again when somebody else was faster.
const TRIES: usize = 5;

pub(super) fn sealed_key(connection: &Connection) -> SealedKey {
    SealedKey { user: connection.user.clone(), connection: connection.id.clone() }
}

impl Engine {
    /// Opens a source's token, signing in anew where it has ended and the rider chose to stay signed in.
    /// The inner error says why there is none.
    pub(super) async fn open_token(
        &self,
        stored: &mut Stored<Connection>,
    ) -> Result<Result<SourceSecret, Poll>, EngineError> {
        let key = sealed_key(&stored.doc);
        let sealed = match self.ports.vault.open(&key).await {
            Ok(sealed) => sealed,
            Err(VaultError::Missing(_)) => return self.pause(stored, Code::TokenMissing.into()).await.map(Err),
            Err(VaultError::Unsealable(_)) => return self.pause(stored, Code::VaultUnsealable.into()).await.map(Err),
            Err(error @ VaultError::Unavailable(_)) => return Err(error.into()),
        };
        let Some(secret) = SourceSecret::from_sealed(&sealed) else {
            return self.pause(stored, Code::TokenMissing.into()).await.map(Err);
        };
        let ends_at = self.ports.source.token_facts(&secret.token).ok().and_then(|facts| facts.ends_at);
        if ends_at != stored.doc.source().and_then(|source| source.token_ends_at) {
            // A crash between sealing a new token and recording it: what is sealed is the truth.
            self.token_changed(stored, ends_at).await?;
        }
        let now = self.now();
        let soon = if secret.login.is_some() { later(now, self.policy.login_ahead) } else { now };
        match ends_at {
            Some(ends_at) if ends_at <= soon => match secret.login {
                Some(_) => self.sign_in_again(stored, secret, ends_at).await,
                None => self.pause(stored, Code::TokenExpired.into()).await.map(Err),
            },
            _ => Ok(Ok(secret)),
        }
    }

    /// The one login of a token's life. The intent is written first, so that a crash in between cannot lead
    /// to a second; a token that was sealed before the crash is found by [`Engine::open_token`].
    async fn sign_in_again(
        &self,
        stored: &mut Stored<Connection>,
        mut secret: SourceSecret,
        ends_at: Timestamp,
    ) -> Result<Result<SourceSecret, Poll>, EngineError> {
        let Some(login) = secret.login.clone() else {
            return self.pause(stored, Code::TokenExpired.into()).await.map(Err);
        };
        let now = self.now();
        let begun = stored.doc.source().and_then(|source| source.login_intent.as_ref());
        if let Some(intent) = begun.filter(|intent| intent.for_token_ending == ends_at) {
            // The old token does until it ends, and a login takes a while: another worker may be at it.
            if ends_at > now {
                return Ok(Ok(secret));
            }
            if later(intent.at, self.policy.lease) > now && !is_to_come(intent.at, now) {
                return Ok(Err(Poll::Skipped(Code::LoginUnderWay.into())));
            }
            return self.pause(stored, Code::LoginUsed.into()).await.map(Err);
        }
        // A login that meets an outage may be used up by it, so something is asked first that may be asked again.
        let reachable = self.ports.source.reachable(&stored.doc.account).await;
        if let Err(error) = self.heard(&stored.doc.account, reachable) {
            let error = match error {
                SourceError::Refused(why) => SourceError::Away(Failure::new(Code::ProviderAway, why)),
                error => error,
            };
            return self.source_failed(stored, error).await.map(Err);
        }
        let intent = LoginIntent { for_token_ending: ends_at, at: now };
        let mut intended = stored.doc.clone();
        if let Role::Source(source) = &mut intended.role {
            source.login_intent = Some(intent);
        }
        if !planted!(self, LoginWithoutIntent) && !self.save_connection(stored, intended).await? {
            // Another worker is at it; the next poll sees what came of it.
            return Ok(Err(Poll::Skipped(Code::LoginUnderWay.into())));
        }
        let token = self.ports.source.log_in(&stored.doc.account.realm, &login).await;
        match self.heard(&stored.doc.account, token) {
            Ok(token) => {
                let facts = match self.ports.source.token_facts(&token) {
                    Ok(facts) => facts,
                    Err(error) => return self.pause(stored, error.failure()).await.map(Err),
                };
                if facts.member != stored.doc.account.account {
                    return self.pause(stored, Code::MemberMismatch.into()).await.map(Err);
                }
                secret.token = token;
                if !self.seal_renewed(stored, &secret).await? {
                    let why = "the connection was removed, or made anew, during the login";
                    return Ok(Err(Poll::Skipped(Failure::new(Code::LoginUsed, why))));
                }
                self.token_changed(stored, facts.ends_at).await?;
                tracing::info!(connection = %stored.doc.id, "signed in again");
                Ok(match stored.doc.paused() {
                    Some(reason) => Err(Poll::Paused(reason.clone())),
                    None => Ok(secret),
                })
            }
            Err(error) => {
                // Where it certainly was no login, this token's one is not used up. Else the old token does until it
                // ends, and whoever looks when the lease is over pauses the connection.
                if error.did_nothing() {
                    self.change_source(stored, |source| source.login_intent = None).await?;
                }
                self.source_failed(stored, error).await.map(Err)
            }
        }
    }

    /// Seals what a login brought, unless the rider removed the connection meanwhile or gave it another token:
    /// `false` then. A login takes seconds, so the record is read anew before the sealing, and once more behind it: what
    /// the rider changed between these two reads is seen by the second, and the sealing is undone.
    async fn seal_renewed(&self, stored: &mut Stored<Connection>, secret: &SourceSecret) -> Result<bool, EngineError> {
        let (key, renewals) = (sealed_key(&stored.doc), stored.doc.renewals);
        let same = |now: &Stored<Connection>| !now.doc.is_removed() && now.doc.renewals == renewals;
        if !self.reread(stored).await? || !same(stored) {
            return Ok(false);
        }
        self.ports.vault.seal(&key, &secret.to_sealed()).await?;
        let is_there = self.reread(stored).await?;
        if is_there && same(stored) {
            return Ok(true);
        }
        if !is_there || stored.doc.is_removed() {
            self.ports.vault.forget(&key).await?;
        } else if stored.doc.source().is_some_and(|source| !source.stay_signed_in) {
            let without = SourceSecret { token: secret.token.clone(), login: None };
            self.ports.vault.seal(&key, &without.to_sealed()).await?;
        }
        Ok(false)
    }

    async fn token_changed(
        &self,
        stored: &mut Stored<Connection>,
        ends_at: Option<Timestamp>,
    ) -> Result<(), EngineError> {
        let answered = |intent: &LoginIntent| Some(intent.for_token_ending) != ends_at;
        self.change_source(stored, |source| {
            source.token_ends_at = ends_at;
            if source.login_intent.as_ref().is_some_and(answered) {
                source.login_intent = None;
            }
        })
        .await
    }

    /// A page of a source's list. Whoever reads many pages stops where the provider asks for patience meanwhile.
    pub(super) async fn list_page(
        &self,
        connection: &Connection,
        secret: &SourceSecret,
        number: u32,
    ) -> Result<ListPage, SourceError> {
        if let Some(failure) = self.asked_to_wait(&connection.account) {
            return Err(SourceError::Away(failure));
        }
        let page = self.ports.source.list_page(access(connection, secret), number).await;
        self.heard(&connection.account, page)
    }

    /// What a failed call means for the connection: a pause, a breaker, or just another try later.
    pub(super) async fn source_failed(
        &self,
        stored: &mut Stored<Connection>,
        error: SourceError,
    ) -> Result<Poll, EngineError> {
        let (account, failure) = (stored.doc.account.clone(), error.failure());
        match error {
            SourceError::Refused(_) => self.refused(stored, failure).await,
            SourceError::WrongMember { .. } | SourceError::BadPassword(_) | SourceError::BadToken(_) => {
                self.pause(stored, failure).await
            }
            SourceError::SignatureRequired(_) => {
                // It concerns everybody, so nobody is paused for it.
                self.open_breaker_for(&account, failure.clone(), None).await?;
                Ok(Poll::Away(failure))
            }
            SourceError::Throttled { retry_after } => {
                self.open_breaker_for(&account, failure.clone(), retry_after).await?;
                Ok(Poll::Away(failure))
            }
            SourceError::AwayFor { retry_after, .. } => {
                self.open_breaker_for(&account, failure.clone(), Some(retry_after)).await?;
                Ok(Poll::Away(failure))
            }
            // The call was not made.
            SourceError::Away(_) if self.asked_to_wait(&account).is_some() => Ok(Poll::Away(failure)),
            SourceError::Away(_) | SourceError::Unreached(_) | SourceError::NotFound(_) | SourceError::NotReady => {
                if self.failed_too_often(&account) {
                    self.open_breaker_for(&account, failure.clone(), None).await?;
                }
                Ok(Poll::Away(failure))
            }
        }
    }

    /// A refusal. After the token's end it pauses at once; before, only when it is repeated later; never
    /// while the provider refuses everybody or does not answer at all.
    async fn refused(&self, stored: &mut Stored<Connection>, failure: Failure) -> Result<Poll, EngineError> {
        let now = self.now();
        let account = stored.doc.account.clone();
        let everybody = self.refused_with_others(&account, &stored.doc.id, now);
        if everybody || self.heard(&account, self.ports.source.reachable(&account).await).is_err() {
            let failure = Failure::from(Code::ProviderAway);
            self.open_breaker_for(&account, failure.clone(), None).await?;
            return Ok(Poll::Away(failure));
        }
        self.let_another_probe(&account);
        let source = stored.doc.source().cloned().unwrap_or_default();
        if source.token_ends_at.is_some_and(|end| end <= now) {
            return self.pause(stored, Code::TokenExpired.into()).await;
        }
        match source.refusals {
            Some(refusals)
                if !self.before_incident(&account, refusals.first_at) && !is_to_come(refusals.first_at, now) =>
            {
                if later(refusals.first_at, self.policy.refusal_gap) <= now {
                    return self.pause(stored, failure).await;
                }
            }
            _ => {
                let first = Refusals { first_at: now, count: 1 };
                self.change_source(stored, |source| source.refusals = Some(first.clone())).await?;
            }
        }
        Ok(Poll::Refused(failure))
    }

    /// Pauses a connection: no call is made for it until the rider connects it again. Where the rider did so
    /// while the call was under way, the failure was the old token's and means nothing any more.
    pub(super) async fn pause(&self, stored: &mut Stored<Connection>, reason: Failure) -> Result<Poll, EngineError> {
        let renewals = stored.doc.renewals;
        for _ in 0..TRIES {
            if stored.doc.renewals != renewals {
                return Ok(Poll::Skipped(reason));
            }
            if !stored.doc.is_active() {
                break;
            }
            let mut paused = stored.doc.clone();
            paused.state = ConnectionState::Paused { reason: reason.clone(), since: self.now() };
            if self.save_connection(stored, paused).await? {
                tracing::warn!(connection = %stored.doc.id, code = %reason.code, "connection {} is paused: {reason}", stored.doc.id);
                break;
            }
            if !self.reread(stored).await? {
                break;
            }
        }
        Ok(Poll::Paused(reason))
    }

    /// Changes a source's progress, whoever else changes the record meanwhile; not when the rider connects
    /// it anew, for what was learned with the old token may not hold for the new one.
    pub(super) async fn change_source(
        &self,
        stored: &mut Stored<Connection>,
        change: impl Fn(&mut SourceProgress) + Send + Sync,
    ) -> Result<(), EngineError> {
        self.change_source_and_place(stored, None, change).await
    }

    /// The same, and moves it in the plan where a place is given; in one write.
    pub(super) async fn change_source_and_place(
        &self,
        stored: &mut Stored<Connection>,
        place: Option<Place>,
        change: impl Fn(&mut SourceProgress) + Send + Sync,
    ) -> Result<(), EngineError> {
        let renewals = stored.doc.renewals;
        for _ in 0..TRIES {
            if stored.doc.renewals != renewals {
                break;
            }
            let mut changed = stored.doc.clone();
            let before = stored.plan;
            if let Role::Source(source) = &mut changed.role {
                change(source);
                // What was removed meanwhile is in no plan any more.
                if let (Some((slot, planned)), Some(_)) = (place, stored.plan) {
                    (source.planned, stored.plan) = (planned, Some(slot));
                }
            }
            let same = changed == stored.doc && before == stored.plan;
            if same || self.save_connection(stored, changed).await? || !self.reread(stored).await? {
                break;
            }
        }
        Ok(())
    }

    /// Replaces a connection's record, keeping its due time unless it begins something or the token's end is
    /// another now; `false`
    /// when it was changed meanwhile.
    pub(super) async fn save_connection(
        &self,
        stored: &mut Stored<Connection>,
        changed: Connection,
    ) -> Result<bool, EngineError> {
        let end = |connection: &Connection| connection.source().and_then(|source| source.token_ends_at);
        let is_claimed = stored.due.as_ref().is_some_and(|due| due.claim.is_some());
        let due = if changed.begins_work(&stored.doc) && !is_claimed {
            self.due_of(&changed)
        } else if end(&changed) != end(&stored.doc) && !changed.has_work() {
            self.due_at_token_end(&changed)
        } else {
            stored.due.clone().or_else(|| self.due_of(&changed))
        };
        if !self.save(stored, &changed, due.clone()).await? {
            return Ok(false);
        }
        stored.due = due;
        stored.version += 1;
        stored.doc = changed;
        self.ports.observer.connection(&stored.doc);
        Ok(true)
    }

    /// When a connection is due that nobody is at work on: at once where something goes on for it, else to warn
    /// its rider of the token's end.
    pub(super) fn due_of(&self, connection: &Connection) -> Option<Due> {
        match connection.has_work() {
            true => Some(Due::at(self.shard(&connection.user), self.now())),
            false => self.due_at_token_end(connection),
        }
    }

    /// Reads a connection again; `false` when it is gone.
    pub(super) async fn reread(&self, stored: &mut Stored<Connection>) -> Result<bool, EngineError> {
        match self.store.connection(&stored.doc.user, &stored.doc.id).await? {
            Some(fresh) => {
                *stored = fresh;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

/// What a connection's calls are made with.
pub(super) fn access<'a>(connection: &'a Connection, secret: &'a SourceSecret) -> Access<'a> {
    Access { account: &connection.account, token: &secret.token }
}
