//! What an attempt to deliver led to, and when the next one may be.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    Delivered, Engine, EngineError,
    policy::{later, later_asked},
};
use crate::{
    Code, Failure,
    domain::{Connection, Delivery, DeliveryState, Failing, How, RemoteId},
    ports::{Due, Outcome},
    store::Stored,
};

/// A sink is asked after an accepted file for this long,
const FOLLOW_FOR: SignedDuration = SignedDuration::from_hours(24);
/// and at least so often: a worker whose clock is a day ahead gives up nothing at its first question.
const FOLLOW_ASKS: u32 = 24;
/// Waits between asking grow with the time since the file was accepted, up to this.
const LONGEST_FOLLOW_WAIT: SignedDuration = SignedDuration::from_mins(10);
/// A sink that asks for no wait at all gets this one.
const SHORTEST_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// When to try again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    /// At this moment, which the sink asked for. It refused to look at the file, so the attempt is free.
    Until(Timestamp),
    /// When our own backoff says, and not before what the sink asked for.
    AtLeast(Option<Duration>),
}

impl Engine {
    /// Records what an attempt led to; `before` is the state that it was begun in.
    pub(super) async fn conclude(
        &self,
        claimed: &Stored<Delivery>,
        before: &DeliveryState,
        connection: &mut Stored<Connection>,
        outcome: Outcome,
    ) -> Result<Delivered, EngineError> {
        match outcome {
            Outcome::Created { remote_id } => self.done(claimed, remote_id, How::Created).await,
            Outcome::AlreadyThere { remote_id } => self.done(claimed, remote_id, How::AlreadyThere).await,
            Outcome::Accepted { poll_token, wait } => self.accepted(claimed, before, poll_token, wait).await,
            Outcome::Rejected(failure) => self.reject_delivery(claimed, failure).await,
            Outcome::NeedsReauth(failure) => {
                self.pause(connection, failure.clone()).await?;
                self.wait_for_sink(claimed, before, connection, Some(failure)).await
            }
            Outcome::Throttled { retry_after: Some(wait) } if !planted!(self, ThrottleIgnored) => {
                let until = later_asked(self.now(), wait).max(later(self.now(), SHORTEST_WAIT));
                self.leave_sink_alone(&claimed.doc.user, &claimed.doc.sink, until);
                self.retry(claimed, before, Code::SinkThrottled.into(), Wait::Until(until)).await
            }
            Outcome::Throttled { .. } => {
                self.retry(claimed, before, Code::SinkThrottled.into(), Wait::AtLeast(None)).await
            }
            Outcome::Transient { failure, retry_after } => {
                // A time that it names holds for whatever else waits for this sink too.
                if let Some(wait) = retry_after.filter(|_| !planted!(self, ThrottleIgnored)) {
                    self.leave_sink_alone(&claimed.doc.user, &claimed.doc.sink, later_asked(self.now(), wait));
                }
                self.retry(claimed, before, failure, Wait::AtLeast(retry_after)).await
            }
            Outcome::Unknown(failure) => {
                let mut perhaps = claimed.clone();
                perhaps.doc.maybe_there = true;
                self.retry(&perhaps, before, failure, Wait::AtLeast(None)).await
            }
        }
    }

    async fn done(
        &self,
        claimed: &Stored<Delivery>,
        remote_id: Option<RemoteId>,
        how: How,
    ) -> Result<Delivered, EngineError> {
        let mut delivered = claimed.doc.clone();
        (delivered.maybe_there, delivered.failing) = (false, None);
        delivered.state = DeliveryState::Delivered { remote_id, how, at: self.now() };
        self.settle_delivery(claimed, delivered, None).await?;
        Ok(Delivered::Done(how))
    }

    /// The sink has the file and is at it. Asking after it is no attempt of its own; after a day it is up to
    /// the rider, since sending again might double it.
    async fn accepted(
        &self,
        claimed: &Stored<Delivery>,
        before: &DeliveryState,
        poll_token: String,
        wait: Duration,
    ) -> Result<Delivered, EngineError> {
        let now = self.now();
        let mut accepted = claimed.doc.clone();
        // Questions are counted apart from the attempts to send it, of which this may have been the last.
        accepted.attempts = 0;
        let (since, asked) = match before {
            DeliveryState::Accepted { since, asked, .. } => (*since, asked.saturating_add(1)),
            _ => (now, 0),
        };
        accepted.maybe_there = true;
        if later(since, FOLLOW_FOR) <= now && asked >= FOLLOW_ASKS {
            let failure = Failure::new(Code::SinkTimeout, "accepted, but not done within a day");
            accepted.state = DeliveryState::DeadLetter { failure: failure.clone() };
            self.settle_delivery(claimed, accepted, None).await?;
            return Ok(Delivered::Failed(failure));
        }
        accepted.state = DeliveryState::Accepted { poll_token, since, asked };
        let own = (now.duration_since(since) / 2).clamp(SHORTEST_WAIT, LONGEST_FOLLOW_WAIT);
        let at = later_asked(now, wait).max(later(now, own));
        self.settle_delivery(claimed, accepted, Some(Due::at(self.shard(&claimed.doc.user), at))).await?;
        Ok(Delivered::Accepted)
    }

    pub(super) async fn reject_delivery(
        &self,
        claimed: &Stored<Delivery>,
        failure: Failure,
    ) -> Result<Delivered, EngineError> {
        tracing::info!(code = %failure.code, "delivery to {}: {failure}", claimed.doc.sink);
        let mut rejected = claimed.doc.clone();
        rejected.state = DeliveryState::Rejected { failure: failure.clone() };
        self.settle_delivery(claimed, rejected, None).await?;
        Ok(Delivered::Failed(failure))
    }

    /// Puts a delivery back to be tried later, or makes it a dead letter when its attempts are used up. One
    /// that was accepted stays so: only the question failed, and sending again might double it.
    pub(super) async fn retry(
        &self,
        claimed: &Stored<Delivery>,
        before: &DeliveryState,
        failure: Failure,
        wait: Wait,
    ) -> Result<Delivered, EngineError> {
        let mut retried = claimed.doc.clone();
        let (now, tell_after) = (self.now(), self.policy.outage_notice_after);
        let own = self.next_delivery_try(retried.attempts, now);
        retried.failing = Some(Failing::again(retried.failing.as_ref(), &failure, now, tell_after));
        let (at, asked_until) = match wait {
            Wait::Until(asked) => {
                retried.attempts = retried.attempts.saturating_sub(1);
                (Some(asked), Some(asked))
            }
            Wait::AtLeast(asked) => {
                let asked = self.asked(asked);
                (own.map(|own| asked.map_or(own, |asked| asked.max(own))), asked)
            }
        };
        retried.state = match (at, before) {
            (None, _) => DeliveryState::DeadLetter { failure: failure.clone() },
            (Some(_), DeliveryState::Accepted { .. }) => before.clone(),
            (Some(_), _) => DeliveryState::Retrying { failure: failure.clone(), asked_until },
        };
        let due = at.filter(|_| !planted!(self, DueDropped)).map(|at| Due::at(self.shard(&claimed.doc.user), at));
        self.settle_delivery(claimed, retried, due).await?;
        tracing::info!(code = %failure.code, "delivery to {}: {failure}", claimed.doc.sink);
        Ok(Delivered::Failed(failure))
    }

    /// Leaves a delivery until its sink is connected again; [`Engine::settle`] puts it back to work. One that
    /// was accepted keeps what it is asked after with.
    pub(super) async fn wait_for_sink(
        &self,
        claimed: &Stored<Delivery>,
        before: &DeliveryState,
        connection: &mut Stored<Connection>,
        failure: Option<Failure>,
    ) -> Result<Delivered, EngineError> {
        let mut again = claimed.doc.clone();
        again.attempts = again.attempts.saturating_sub(1);
        again.updated_at = self.now();
        if !matches!(before, DeliveryState::Accepted { .. }) {
            again.state = DeliveryState::Pending;
        }
        let mut waiting = again.clone();
        waiting.discovered_at = None;
        // A sink that was removed just leaves it pending.
        if again.state == DeliveryState::Pending
            && let Some(failure) = failure.or_else(|| connection.doc.paused().cloned())
        {
            waiting.state = DeliveryState::Blocked { failure };
        }
        if !self.wait_for(claimed, &waiting, &again, connection).await? {
            return Ok(Delivered::Skipped);
        }
        self.ports.observer.delivery(&waiting);
        Ok(Delivered::Waits)
    }

    /// Leaves a delivery in a state that only the rider ends.
    pub(super) async fn shelve(
        &self,
        claimed: &Stored<Delivery>,
        state: DeliveryState,
    ) -> Result<Delivered, EngineError> {
        let mut shelved = claimed.doc.clone();
        shelved.attempts = shelved.attempts.saturating_sub(1);
        // What waits for its rider is not late.
        (shelved.state, shelved.discovered_at) = (state, None);
        self.settle_delivery(claimed, shelved, None).await?;
        Ok(Delivered::Waits)
    }

    /// Gives a claim back as if it had not been taken.
    pub(super) async fn put_back(
        &self,
        claimed: &Stored<Delivery>,
        state: DeliveryState,
    ) -> Result<Delivered, EngineError> {
        let mut back = claimed.doc.clone();
        back.attempts = back.attempts.saturating_sub(1);
        back.state = state;
        let due = Due::at(self.shard(&back.user), self.now());
        self.settle_delivery(claimed, back, Some(due)).await?;
        Ok(Delivered::Skipped)
    }

    async fn settle_delivery(
        &self,
        claimed: &Stored<Delivery>,
        mut settled: Delivery,
        due: Option<Due>,
    ) -> Result<(), EngineError> {
        settled.updated_at = self.now();
        if self.save(claimed, &settled, due).await? {
            self.ports.observer.delivery(&settled);
        } else {
            tracing::warn!("a delivery to {} was taken over meanwhile; its new owner repeats it", claimed.doc.sink);
        }
        Ok(())
    }
}
