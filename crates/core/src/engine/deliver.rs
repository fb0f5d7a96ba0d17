//! One delivery, one state on.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Engine, EngineError, archive_failure};
use crate::{
    Code, Failure,
    domain::{
        Activity, ActivityState, Connection, ConnectionId, ContentId, Delivery, DeliveryState, HeldReason, How, Origin,
        UserId,
    },
    ports::{
        ArchiveError, Attempt, Due, Found, Job, Outcome, Resend, SealedKey, Sink, SinkFile, SinkTarget, Task,
        VaultError,
    },
    store::Stored,
};

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
        let Some(mut connection) = self.store.connection(user, sink).await?.filter(|sink| !sink.doc.is_removed())
        else {
            // Connecting the same account again puts it back to work.
            return self.shelve(&claimed, DeliveryState::Pending).await;
        };
        if let Some(reason) = connection.doc.paused().cloned() {
            return self.shelve(&claimed, DeliveryState::Blocked { failure: reason }).await;
        }
        let Some(adapter) = self.ports.sinks.get(&connection.doc.account.service).map(Arc::clone) else {
            let failure = Failure::new(Code::SinkUnknown, connection.doc.account.service.as_str());
            return self.shelve(&claimed, DeliveryState::Blocked { failure }).await;
        };
        let target = self.open_sink(&connection.doc).await?;
        if let DeliveryState::Accepted { poll_token } = &before {
            let outcome = adapter.follow(&target, poll_token).await;
            return self.conclude(&claimed, &mut connection, outcome).await;
        }
        if let Err(failed) = self.know_what_is_there(&mut connection, &*adapter, &target).await? {
            return self.conclude(&claimed, &mut connection, failed).await;
        }
        if !claimed.doc.send_anyway
            && let Some(reason) = self.there_by_another_route(&connection.doc, &claimed.doc).await?
        {
            return self.shelve(&claimed, DeliveryState::Held { reason }).await;
        }
        let bytes = match self.ports.archive.open(user, *content).await {
            Ok(bytes) => bytes,
            Err(error) => return self.file_lost(&claimed, error).await,
        };
        let outcome = self.send(&*adapter, &target, &claimed.doc, &before, bytes).await;
        self.conclude(&claimed, &mut connection, outcome).await
    }

    async fn send(
        &self,
        adapter: &dyn Sink,
        target: &SinkTarget,
        delivery: &Delivery,
        before: &DeliveryState,
        bytes: bytes::Bytes,
    ) -> Outcome {
        let may_be_there = matches!(before, DeliveryState::Sending | DeliveryState::Retrying { unknown: true, .. });
        if may_be_there && adapter.resend() == Resend::ProbeFirst {
            match adapter.probe(target, &delivery.about).await {
                Found::There { remote_id } => return Outcome::AlreadyThere { remote_id },
                Found::NotThere => {}
                Found::CannotTell(failure) => return Outcome::Unknown(failure),
            }
        }
        let file = SinkFile { content: delivery.content, bytes };
        let attempt = Attempt { id: delivery.idempotency_id(), number: delivery.attempts, now: self.now() };
        adapter.deliver(target, &file, &delivery.about, &attempt).await
    }

    /// Records what an attempt led to.
    async fn conclude(
        &self,
        claimed: &Stored<Delivery>,
        connection: &mut Stored<Connection>,
        outcome: Outcome,
    ) -> Result<Delivered, EngineError> {
        let now = self.now();
        match outcome {
            Outcome::Created { remote_id } => self.done(claimed, remote_id, How::Created, now).await,
            Outcome::AlreadyThere { remote_id } => self.done(claimed, remote_id, How::AlreadyThere, now).await,
            Outcome::Accepted { poll_token, wait } => {
                let at = super::policy::later_asked(now, wait);
                let due = Due::at(self.shard(&claimed.doc.user), at);
                self.settle_delivery(claimed, DeliveryState::Accepted { poll_token }, Some(due)).await?;
                Ok(Delivered::Accepted)
            }
            Outcome::Rejected(failure) => {
                tracing::info!(code = %failure.code, "delivery to {}: {failure}", claimed.doc.sink);
                self.settle_delivery(claimed, DeliveryState::Rejected { failure: failure.clone() }, None).await?;
                Ok(Delivered::Failed(failure))
            }
            Outcome::NeedsReauth(failure) => {
                self.pause(connection, failure.clone()).await?;
                self.shelve(claimed, DeliveryState::Blocked { failure }).await
            }
            Outcome::Throttled { retry_after } => {
                self.retry(claimed, Code::SinkThrottled.into(), false, retry_after).await
            }
            Outcome::Transient { failure, retry_after } => self.retry(claimed, failure, false, retry_after).await,
            Outcome::Unknown(failure) => self.retry(claimed, failure, true, None).await,
        }
    }

    async fn done(
        &self,
        claimed: &Stored<Delivery>,
        remote_id: Option<crate::domain::RemoteId>,
        how: How,
        at: Timestamp,
    ) -> Result<Delivered, EngineError> {
        self.settle_delivery(claimed, DeliveryState::Delivered { remote_id, how, at }, None).await?;
        Ok(Delivered::Done(how))
    }

    async fn retry(
        &self,
        claimed: &Stored<Delivery>,
        failure: Failure,
        unknown: bool,
        asked: Option<Duration>,
    ) -> Result<Delivered, EngineError> {
        let asked_until = self.asked(asked);
        let at = asked_until.or_else(|| self.next_delivery_try(claimed.doc.attempts, self.now()));
        let used_up = claimed.doc.attempts as usize > self.policy.delivery_backoff.len();
        let state = match at {
            Some(_) if !used_up => DeliveryState::Retrying { failure: failure.clone(), unknown, asked_until },
            _ => DeliveryState::DeadLetter { failure: failure.clone() },
        };
        let due = at.filter(|_| !used_up).map(|at| Due::at(self.shard(&claimed.doc.user), at));
        self.settle_delivery(claimed, state, due).await?;
        tracing::info!(code = %failure.code, "delivery to {}: {failure}", claimed.doc.sink);
        Ok(Delivered::Failed(failure))
    }

    /// Leaves a delivery in a state that only the rider ends.
    async fn shelve(&self, claimed: &Stored<Delivery>, state: DeliveryState) -> Result<Delivered, EngineError> {
        let mut shelved = claimed.doc.clone();
        shelved.attempts = shelved.attempts.saturating_sub(1);
        shelved.state = state;
        shelved.updated_at = self.now();
        if self.save(claimed, &shelved, None).await? {
            self.ports.observer.delivery(&shelved);
        }
        Ok(Delivered::Waits)
    }

    async fn settle_delivery(
        &self,
        claimed: &Stored<Delivery>,
        state: DeliveryState,
        due: Option<Due>,
    ) -> Result<(), EngineError> {
        let mut settled = claimed.doc.clone();
        settled.state = state;
        settled.updated_at = self.now();
        if self.save(claimed, &settled, due).await? {
            self.ports.observer.delivery(&settled);
        } else {
            tracing::warn!("a delivery to {} was taken over meanwhile; its new owner repeats it", claimed.doc.sink);
        }
        Ok(())
    }

    /// The archive lost the file: a ride from the cloud is fetched again, an imported one cannot be.
    async fn file_lost(&self, claimed: &Stored<Delivery>, error: ArchiveError) -> Result<Delivered, EngineError> {
        let failure = archive_failure(&error);
        if matches!(error, ArchiveError::Full(_) | ArchiveError::Unavailable(_)) {
            return self.retry(claimed, failure, false, None).await;
        }
        let activity = self.store.activity(&claimed.doc.user, &claimed.doc.activity).await?;
        let Some(activity) = activity.filter(|activity| matches!(activity.doc.origin, Origin::Cloud { .. })) else {
            self.settle_delivery(claimed, DeliveryState::Rejected { failure: failure.clone() }, None).await?;
            return Ok(Delivered::Failed(failure));
        };
        if matches!(activity.doc.state, ActivityState::Fetched { .. }) {
            let lost = Activity { state: ActivityState::Discovered, updated_at: self.now(), ..activity.doc.clone() };
            let due = self.handed_over(&lost.user, self.now());
            if self.save(&activity, &lost, Some(due)).await? {
                let task = Task::Resolve { activity: lost.id.clone() };
                self.hand_over(vec![Job { user: lost.user.clone(), task }]).await;
            }
        }
        self.retry(claimed, failure, false, None).await
    }

    /// Opens a sink connection.
    async fn open_sink(&self, connection: &Connection) -> Result<SinkTarget, EngineError> {
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
