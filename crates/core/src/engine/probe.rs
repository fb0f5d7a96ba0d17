//! Paused tokens that may be good: each is tried once after the provider's incident in which it was refused,
//! and one that only a wrong clock saw end is used again.

use jiff::Timestamp;

use super::{
    Engine, EngineError, Poll,
    access::sealed_key,
    policy::{SKEW, later},
    secrets::SourceSecret,
};
use crate::{
    Code, Failure,
    domain::{Connection, ConnectionState, Role, User, connection::Resume, story},
    ports::{Due, SourceError},
    store::Stored,
};

impl Engine {
    /// A poll of a paused connection: no call is made, except one for a token that was refused while the
    /// provider refused everybody and has not ended. At most one per end of an incident and connection: that it is made
    /// is written first. The polls of the plan bring them, so they are as spread out as polls are. Where nobody else
    /// finds out whether it is over, it is tried too; when it is not, that was not the one after it.
    pub(super) async fn poll_paused(
        &self,
        stored: &mut Stored<Connection>,
        reason: Failure,
    ) -> Result<Poll, EngineError> {
        let now = self.now();
        if paused_by_a_wrong_clock(&stored.doc, now) {
            return self.resume(stored, reason).await;
        }
        let Some(incident) = self.incident_to_probe(&stored.doc, now) else { return Ok(Poll::Paused(reason)) };
        let account = stored.doc.account.clone();
        if self.open_breaker(&account, now).is_some() {
            return Ok(Poll::Paused(reason));
        }
        if self.rider_who_goes_on(&stored.doc).await?.is_none() {
            return Ok(Poll::Paused(reason));
        }
        let mut probed = stored.doc.clone();
        if let Role::Source(source) = &mut probed.role {
            source.probed_for = Some(incident);
        }
        if !self.save_connection(stored, probed).await? {
            return Ok(Poll::Paused(reason));
        }
        let sealed = self.ports.vault.open(&sealed_key(&stored.doc)).await.ok();
        let Some(secret) = sealed.as_ref().and_then(SourceSecret::from_sealed) else { return Ok(Poll::Paused(reason)) };
        match self.list_page(&stored.doc, &secret, 1).await {
            Ok(_) => self.resume_after_probe(stored, reason).await,
            Err(SourceError::Refused(_)) if self.is_in_trouble(&account) => {
                self.open_breaker_for(&account, Code::ProviderAway.into(), None).await?;
                Ok(Poll::Paused(reason))
            }
            Err(SourceError::Refused(_)) => {
                self.let_another_probe(&account);
                Ok(Poll::Paused(reason))
            }
            Err(error) => {
                // A breaker may open; the connection is paused already and stays so.
                self.source_failed(stored, error).await?;
                Ok(Poll::Paused(reason))
            }
        }
    }

    /// The incident after which this connection is to be tried, if there is one and it was not tried yet.
    fn incident_to_probe(&self, connection: &Connection, now: Timestamp) -> Option<Timestamp> {
        let ConnectionState::Paused { reason, since } = &connection.state else { return None };
        let source = connection.source()?;
        if reason.code != Code::TokenRefused || source.token_ends_at.is_some_and(|end| end <= now) {
            return None;
        }
        self.incident_at(&connection.account, *since).filter(|incident| source.probed_for != Some(*incident))
    }

    async fn resume_after_probe(&self, stored: &mut Stored<Connection>, reason: Failure) -> Result<Poll, EngineError> {
        let (account, id) = (stored.doc.account.clone(), stored.doc.id.clone());
        self.provider_answered(&account, &id, self.now()).await?;
        self.resume(stored, reason).await
    }

    /// The rider's record, unless the operator has paused or removed the rider.
    async fn rider_who_goes_on(&self, connection: &Connection) -> Result<Option<Stored<User>>, EngineError> {
        let rider = self.store.user(&connection.user).await?;
        Ok(rider.filter(|rider| rider.doc.paused_at.is_none() && rider.doc.removed_at.is_none()))
    }

    /// Makes a paused connection active, wakes what waited for it, and polls it. Not for a rider whom the operator
    /// paused: in one commit with the rider's record, since who pauses a rider looks for active connections only.
    async fn resume(&self, stored: &mut Stored<Connection>, reason: Failure) -> Result<Poll, EngineError> {
        let Some(rider) = self.rider_who_goes_on(&stored.doc).await? else { return Ok(Poll::Paused(reason)) };
        let mut resumed = stored.doc.clone();
        resumed.state = ConnectionState::Active;
        if let Role::Source(source) = &mut resumed.role {
            source.refusals = None;
            source.resume = Some(Resume::default());
        }
        let due = Some(Due::at(self.shard(&resumed.user), self.now()));
        let writes = vec![stored.replace(&resumed, due.clone())?, rider.unchanged()];
        let story = story::of_connection(Some(&stored.doc), &resumed);
        if !self.commit_told(&resumed.user, writes, &story).await? {
            return Ok(Poll::Paused(reason));
        }
        (stored.doc, stored.due) = (resumed, due);
        stored.version += 1;
        self.ports.observer.connection(&stored.doc);
        let id = &stored.doc.id;
        tracing::info!(connection = %id, "connection {id} goes on: its token has not ended ({reason})");
        self.poll_active(stored).await
    }
}

/// Whether a token was found ended at a moment that is still to come, and has not ended.
fn paused_by_a_wrong_clock(connection: &Connection, now: Timestamp) -> bool {
    let ConnectionState::Paused { reason, since } = &connection.state else { return false };
    let ends_at = connection.source().and_then(|source| source.token_ends_at);
    reason.code == Code::TokenExpired && *since > later(now, SKEW) && ends_at.is_some_and(|end| end > now)
}
