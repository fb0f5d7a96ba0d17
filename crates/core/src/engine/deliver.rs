//! One delivery, one state on.

use std::{sync::Arc, time::Duration};

use super::{
    Engine, EngineError, archive_failure,
    outcome::Wait,
    policy::{later, later_asked},
};
use crate::{
    Code, Failure,
    domain::{Connection, ConnectionId, ContentId, Delivery, DeliveryState, HeldReason, How, UserId, Withdrawal},
    ports::{Attempt, FileLink, Found, Outcome, Resend, SealedKey, Sink, SinkFile, SinkTarget, VaultError},
    store::Stored,
};

/// How long a link to a file lives: as long as a receiver that fetches it from a queue of its own may need,
/// and well below the life of a function's credentials, with which it would end.
const LINK_LIFE: Duration = Duration::from_secs(60 * 60);

/// What an attempt led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivered {
    /// It is there.
    Done(How),
    /// Taken; it is asked after later.
    Accepted,
    /// Nothing was done: moved on, or claimed by another worker.
    Skipped,
    /// It waits for the rider.
    Waits,
    /// It did not work, this time or at all.
    Failed(Failure),
}

impl Engine {
    /// Sends a file to a sink, or asks after one that it accepted.
    #[tracing::instrument(skip_all, fields(user = %user, sink = %sink, content = %content))]
    pub async fn deliver(
        &self,
        user: &UserId,
        sink: &ConnectionId,
        content: &ContentId,
    ) -> Result<Delivered, EngineError> {
        let Some((claimed, before)) = self.claim_delivery(user, sink, content).await? else {
            return Ok(Delivered::Skipped);
        };
        let Some(mut connection) = self.store.connection(user, sink).await? else {
            let failure = Failure::new(Code::NoSuchConnection, sink.as_str());
            return self.shelve(&claimed, DeliveryState::Blocked { failure }).await;
        };
        if !connection.doc.is_active() && !planted!(self, IgnoresPause) {
            return self.wait_for_sink(&claimed, &before, &mut connection, None).await;
        }
        let Some(adapter) = self.ports.sinks.get(&connection.doc.account.service).map(Arc::clone) else {
            let failure = Failure::new(Code::SinkUnknown, connection.doc.account.service.as_str());
            return self.shelve(&claimed, DeliveryState::Blocked { failure }).await;
        };
        if let Some(until) = self.sink_waits(user, sink, self.now()) {
            return self.retry(&claimed, &before, Code::SinkThrottled.into(), Wait::Until(until)).await;
        }
        let target = match self.open_sink(&connection.doc).await {
            Ok(target) => target,
            Err(error) => return self.retry(&claimed, &before, error.failure(), Wait::AtLeast(None)).await,
        };
        if let DeliveryState::Accepted { poll_token, .. } = &before {
            let outcome = adapter.follow(&target, poll_token).await;
            return self.conclude(&claimed, &before, &mut connection, outcome).await;
        }
        let ride = self.store.activity(user, &claimed.doc.activity).await?;
        if let Some(ride) = &ride
            && let Some(because) = claimed.doc.unwanted(&ride.doc).filter(|because| !self.is_sent_all_the_same(because))
            && let Some(ended) =
                self.end_unwanted((&claimed, &before), &mut connection, &*adapter, &target, because).await?
        {
            return Ok(ended);
        }
        if let Err(failed) = self.know_what_is_there(&mut connection, &*adapter, &target).await? {
            return self.conclude(&claimed, &before, &mut connection, failed).await;
        }
        if !claimed.doc.send_anyway
            && let Some(reason) = self.there_by_another_route(&connection.doc, &claimed.doc).await?
        {
            return self.shelve(&claimed, DeliveryState::Held { reason }).await;
        }
        let bytes = match self.ports.archive.open(user, *content).await {
            Ok(bytes) => bytes,
            Err(error) => return self.file_lost(&claimed, &before, &connection, error).await,
        };
        if self.is_late(&claimed) {
            let state = if before == DeliveryState::Sending { DeliveryState::Pending } else { before };
            return self.put_back(&claimed, state).await;
        }
        if planted!(self, DoneBeforeSend) {
            let done = Outcome::Created { remote_id: None };
            let concluded = self.conclude(&claimed, &before, &mut connection, done).await;
            self.send(&*adapter, &target, &claimed.doc, bytes).await;
            return concluded;
        }
        let outcome = self.send(&*adapter, &target, &claimed.doc, bytes).await;
        self.conclude(&claimed, &before, &mut connection, outcome).await
    }

    /// Whether a planted bug sends what is not wanted.
    fn is_sent_all_the_same(&self, because: &Withdrawal) -> bool {
        match because {
            Withdrawal::Forgotten => planted!(self, ForgetsUnsent),
            Withdrawal::Linked => planted!(self, LinkedSentToo),
            Withdrawal::Replaced => false,
        }
    }

    async fn send(&self, adapter: &dyn Sink, target: &SinkTarget, delivery: &Delivery, bytes: bytes::Bytes) -> Outcome {
        if delivery.maybe_there && adapter.resend() == Resend::ProbeFirst && !planted!(self, NoProbe) {
            match adapter.probe(target, &delivery.about).await {
                Ok(Found::There { remote_id }) => return Outcome::AlreadyThere { remote_id },
                Ok(Found::NotThere) => {}
                Err(error) => return error.into_outcome(),
            }
        }
        let link = match self.link_for(adapter, target, delivery).await {
            Ok(link) => link,
            Err(outcome) => return outcome,
        };
        let bytes = if planted!(self, BytesRewritten) { [&bytes[..], b"\n"].concat().into() } else { bytes };
        let file = SinkFile { content: delivery.content, bytes, link };
        let attempt = Attempt { id: delivery.idempotency_id(), number: delivery.attempts, now: self.now() };
        adapter.deliver(target, &file, &delivery.about, &attempt).await
    }

    /// A link for this attempt where the sink wants one, else what the attempt led to. Each attempt has its
    /// own, so that a late one does not come with a link that has ended.
    async fn link_for(
        &self,
        adapter: &dyn Sink,
        target: &SinkTarget,
        delivery: &Delivery,
    ) -> Result<Option<FileLink>, Outcome> {
        if !adapter.wants_link(&target.settings) {
            return Ok(None);
        }
        if !self.ports.archive.makes_links() {
            return Err(Outcome::NeedsReauth(Code::LinkUnsupported.into()));
        }
        // Before it is signed, so that it lives at least until then.
        let expires_at = later_asked(self.now(), LINK_LIFE);
        match self.ports.archive.link(&delivery.user, delivery.content, LINK_LIFE).await {
            Ok(url) => Ok(Some(FileLink { url, expires_at })),
            Err(error) => Err(Outcome::Transient { failure: archive_failure(&error), retry_after: None }),
        }
    }

    /// Whether so much of the claim has passed in waiting that the upload might not end before it does, and
    /// another worker send the same.
    fn is_late(&self, claimed: &Stored<Delivery>) -> bool {
        let half = later(self.now(), self.policy.lease / 2);
        claimed.due.as_ref().is_some_and(|due| due.at < half) && !planted!(self, LeaseTooShort)
    }

    /// Opens a sink connection.
    pub(super) async fn open_sink(&self, connection: &Connection) -> Result<SinkTarget, EngineError> {
        let key = SealedKey { user: connection.user.clone(), connection: connection.id.clone() };
        let secret = match self.ports.vault.open(&key).await {
            Ok(secret) => Some(secret),
            // The sink itself says whether it needs one.
            Err(VaultError::Missing(_) | VaultError::Unsealable(_)) => None,
            Err(error @ VaultError::Unavailable(_)) => return Err(error.into()),
        };
        Ok(SinkTarget { account: connection.account.clone(), settings: connection.settings.clone(), secret })
    }

    async fn there_by_another_route(
        &self,
        sink: &Connection,
        delivery: &Delivery,
    ) -> Result<Option<HeldReason>, EngineError> {
        let found = self.find_in_baseline(sink, &delivery.about).await?;
        Ok(found.map(|ride| HeldReason::Elsewhere { remote_id: ride.remote_id, route: ride.route }))
    }
}
