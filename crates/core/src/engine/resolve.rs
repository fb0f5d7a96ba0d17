//! Asking where a ride's file lies. Only this and polling call the source's API.

use jiff::Timestamp;

use super::{Engine, EngineError, Poll, access::access, policy::later_asked};
use crate::{
    Code, Failure,
    domain::{Activity, ActivityId, ActivityState, Connection, ContentId, FileLocation, Origin, Stage, UserId},
    ports::{Due, Job, SourceError, Task},
    store::Stored,
};

/// A ride that the source says is gone is asked for this often before it is believed.
const GONE_AFTER: u32 = 3;

/// What asking led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// The location is known and the download was handed over.
    Located,
    /// Nothing was done: moved on, claimed by another worker, or its source is paused.
    Skipped,
    /// It did not work this time.
    Failed(Failure),
}

/// How a ride that failed is put back.
pub(super) struct Setback {
    pub(super) failure: Failure,
    pub(super) stage: Stage,
    pub(super) asked_until: Option<Timestamp>,
    pub(super) location: Option<FileLocation>,
    pub(super) broken: Option<ContentId>,
}

impl Setback {
    pub(super) fn resolve(failure: Failure) -> Self {
        Self { failure, stage: Stage::Resolve, asked_until: None, location: None, broken: None }
    }
}

impl Engine {
    /// Resolves a ride: the detail call, with the fallback where that has no location.
    #[tracing::instrument(skip_all, fields(user = %user, activity = %activity))]
    pub async fn resolve(&self, user: &UserId, activity: &ActivityId) -> Result<Resolved, EngineError> {
        let Some(claimed) = self.claim_ride(user, activity, Stage::Resolve).await? else {
            return Ok(Resolved::Skipped);
        };
        let Origin::Cloud { connection, ride_id } = claimed.doc.origin.clone() else {
            let failure = Failure::new(Code::Bug, "an imported file has nothing to resolve");
            self.settle_ride(&claimed, ActivityState::Rejected { failure: failure.clone() }, None).await?;
            return Ok(Resolved::Failed(failure));
        };
        let Some(mut source) = self.store.connection(user, &connection).await? else {
            let failure = Failure::new(Code::NoSuchConnection, connection.as_str());
            return self.set_back(&claimed, Setback::resolve(failure)).await;
        };
        if !source.doc.is_active() {
            return self.park(&claimed, &mut source).await;
        }
        if let Some(breaker) = self.open_breaker(&source.doc.account, self.now()) {
            return self.postpone(&claimed, breaker.failure, breaker.open_until).await;
        }
        let secret = match self.open_token(&mut source).await {
            Ok(Ok(secret)) => secret,
            Ok(Err(instead)) => return self.source_unusable(&claimed, &mut source, instead).await,
            // It would be claimed again when the lease ends, without anybody having seen why it waits.
            Err(error @ EngineError::Vault(_)) => {
                return self.set_back(&claimed, Setback::resolve(error.failure())).await;
            }
            Err(error) => return Err(error),
        };
        let account = source.doc.clone();
        let answer = self.ports.source.resolve(access(&account, &secret), ride_id).await;
        let answer = self.heard(&account.account, answer);
        if matches!(answer, Ok(_) | Err(SourceError::NotReady | SourceError::NotFound(_))) {
            self.provider_answered(&account.account, &account.id, self.now()).await?;
        }
        match answer {
            Ok(resolution) => {
                let mut resolved = claimed.doc.clone();
                resolved.attempts = resolved.attempts.saturating_sub(1);
                resolved.updated_at = self.now();
                if resolution.detail.is_some() {
                    resolved.ride.detail = resolution.detail;
                }
                let broken = broken_before(&claimed.doc.state);
                let before = claimed.doc.state.failure();
                let no_room = before.filter(|before| before.code == Code::DiskFull).cloned();
                let kept =
                    no_room.or_else(|| broken.map(|_| before.cloned().unwrap_or_else(|| Code::FitTruncated.into())));
                resolved.state = match kept {
                    // What came last time has to be remembered for the comparison, and that the disk was full, so
                    // that its end is seen.
                    Some(failure) => ActivityState::Unavailable {
                        failure,
                        stage: Stage::Fetch,
                        asked_until: None,
                        location: Some(resolution.location),
                        broken,
                    },
                    None => ActivityState::Resolved { location: resolution.location },
                };
                self.hand_on(&claimed, resolved).await
            }
            Err(SourceError::NotReady) => self.set_back(&claimed, Setback::resolve(Code::RideNotReady.into())).await,
            Err(SourceError::NotFound(detail)) => {
                let failure = Failure::new(Code::RideGone, detail);
                let again = claimed.doc.state.failure().is_some_and(|before| before.code == Code::RideGone);
                if claimed.doc.attempts < GONE_AFTER || !again {
                    return self.set_back(&claimed, Setback::resolve(failure)).await;
                }
                self.settle_ride(&claimed, ActivityState::Rejected { failure: failure.clone() }, None).await?;
                Ok(Resolved::Failed(failure))
            }
            Err(error) => {
                let instead = self.source_failed(&mut source, error).await?;
                self.source_unusable(&claimed, &mut source, instead).await
            }
        }
    }

    async fn hand_on(&self, claimed: &Stored<Activity>, resolved: Activity) -> Result<Resolved, EngineError> {
        let due = self.handed_over(&resolved.user, self.now());
        if !self.save(claimed, &resolved, Some(due)).await? {
            return Ok(Resolved::Skipped);
        }
        self.ports.observer.activity(&resolved);
        let task = Task::Fetch { activity: resolved.id.clone() };
        self.hand_over(vec![Job { user: resolved.user, task }]).await;
        Ok(Resolved::Located)
    }

    /// The ride is not to blame when its source does not work: the attempt is given back.
    async fn source_unusable(
        &self,
        claimed: &Stored<Activity>,
        source: &mut Stored<Connection>,
        instead: Poll,
    ) -> Result<Resolved, EngineError> {
        match instead {
            Poll::Away(failure) => match self.breaker_now(&source.doc.account, self.now()) {
                Some(breaker) => self.postpone(claimed, failure, breaker.open_until).await,
                None => self.set_back(claimed, Setback::resolve(failure)).await,
            },
            Poll::Refused(failure) => {
                let until = super::policy::later(self.now(), self.policy.refusal_gap);
                self.postpone(claimed, failure, until).await
            }
            Poll::Skipped(failure) if failure.code == Code::LoginUnderWay => {
                let until = super::policy::later(self.now(), self.policy.refusal_gap);
                self.postpone(claimed, failure, until).await
            }
            Poll::Paused(_) => self.park(claimed, source).await,
            Poll::Idle | Poll::Walked { .. } | Poll::GoesOn { .. } | Poll::Skipped(_) => {
                let due = Due::at(self.shard(&claimed.doc.user), self.now());
                self.give_back(claimed, claimed.doc.state.clone(), Some(due)).await?;
                Ok(Resolved::Skipped)
            }
        }
    }

    /// Leaves a ride until its source is connected again; [`Engine::settle`] puts it back to work.
    async fn park(&self, claimed: &Stored<Activity>, source: &mut Stored<Connection>) -> Result<Resolved, EngineError> {
        let mut back = claimed.doc.clone();
        back.attempts = back.attempts.saturating_sub(1);
        if self.wait_for(claimed, &back, &back, source).await? {
            self.ports.observer.activity(&back);
        }
        Ok(Resolved::Skipped)
    }

    /// Leaves a ride until a moment that somebody asked for; the attempt does not count.
    async fn postpone(
        &self,
        claimed: &Stored<Activity>,
        failure: Failure,
        until: Timestamp,
    ) -> Result<Resolved, EngineError> {
        let broken = broken_before(&claimed.doc.state);
        let state = ActivityState::Unavailable {
            failure: failure.clone(),
            stage: Stage::Resolve,
            asked_until: Some(until),
            location: None,
            broken,
        };
        self.give_back(claimed, state, Some(Due::at(self.shard(&claimed.doc.user), until))).await?;
        Ok(Resolved::Failed(failure))
    }

    async fn give_back(
        &self,
        claimed: &Stored<Activity>,
        state: ActivityState,
        due: Option<Due>,
    ) -> Result<(), EngineError> {
        let mut back = claimed.doc.clone();
        back.attempts = back.attempts.saturating_sub(1);
        back.state = state;
        if self.save(claimed, &back, due).await? {
            self.ports.observer.activity(&back);
        }
        Ok(())
    }

    /// Puts a ride back to be tried later, or makes it a dead letter when its attempts are used up.
    pub(super) async fn set_back(&self, claimed: &Stored<Activity>, back: Setback) -> Result<Resolved, EngineError> {
        let now = self.now();
        // Never before the time asked for; and not much sooner than by our own backoff either, else a host
        // that asks for a second each time would use all attempts up within a minute.
        let own = self.next_ride_try(claimed.doc.attempts, now);
        let at = own.map(|own| back.asked_until.map_or(own, |asked| asked.max(own)));
        let failure = back.failure;
        let state = match at {
            Some(_) => ActivityState::Unavailable {
                failure: failure.clone(),
                stage: back.stage,
                asked_until: back.asked_until,
                location: back.location,
                broken: back.broken.or_else(|| broken_before(&claimed.doc.state)),
            },
            None => ActivityState::DeadLetter { failure: failure.clone() },
        };
        let due = at.map(|at| Due::at(self.shard(&claimed.doc.user), at));
        self.settle_ride(claimed, state, due).await?;
        tracing::info!(code = %failure.code, "ride {}: {failure}", claimed.doc.rider_id());
        Ok(Resolved::Failed(failure))
    }

    /// Writes a claimed ride's new state and tells of it; `false` when the claim was lost meanwhile.
    pub(super) async fn settle_ride(
        &self,
        claimed: &Stored<Activity>,
        state: ActivityState,
        due: Option<Due>,
    ) -> Result<bool, EngineError> {
        let mut settled = claimed.doc.clone();
        settled.state = state;
        settled.updated_at = self.now();
        if settled.state.given_up_as().is_some() {
            return self.give_up_ride(claimed, settled).await;
        }
        let saved = self.save(claimed, &settled, due).await?;
        if saved {
            self.ports.observer.activity(&settled);
        }
        Ok(saved)
    }

    /// When a wait that a server asked for is over.
    pub(super) fn asked(&self, wait: Option<std::time::Duration>) -> Option<Timestamp> {
        wait.map(|wait| later_asked(self.now(), wait))
    }
}

/// The broken file that came before, if one did.
pub(super) fn broken_before(state: &ActivityState) -> Option<ContentId> {
    match state {
        ActivityState::Unavailable { broken, .. } => *broken,
        _ => None,
    }
}
