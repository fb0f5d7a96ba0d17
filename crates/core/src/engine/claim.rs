//! Claiming a record before acting on it, so that two workers do not do the same work.

use jiff::Timestamp;

use super::{
    Engine, EngineError, Policy,
    policy::{SKEW, later},
};
use crate::{
    Code, Failure,
    domain::{
        Activity, ActivityId, ActivityState, Connection, ConnectionId, ContentId, Delivery, DeliveryState, Stage,
        UserId,
    },
    ports::{Claim, Due, MAX_BATCH, Scope, Task, Write},
    store::{Document, Stored},
};

/// How often a record is written again when the connection it waits for keeps changing.
const TRIES: usize = 5;

impl Engine {
    /// Whether a record is being worked on or is next. What waits for a later try, also after its worker died
    /// again and again, has retries of its own and holds nobody up; nor does what a worker with a wrong clock took with
    /// it for longer than any claim holds.
    pub(super) fn is_under_way(&self, due: Option<&Due>, now: Timestamp) -> bool {
        due.is_some_and(|due| due.at <= now || (due.claim.is_some() && !self.is_held_too_long(due, now)))
    }

    /// Whether a claim holds for longer than any does: a clock that was ahead wrote it.
    pub(super) fn is_held_too_long(&self, due: &Due, now: Timestamp) -> bool {
        due.claim.is_some() && due.at > later(now, self.policy.lease + SKEW)
    }

    /// Whether this engine may act on a record now. What waits in a queue may be taken by whoever gets the
    /// job; what is being worked on only when its lease has ended or its owner is known to be gone.
    pub(super) fn may_take(&self, due: Option<&Due>, now: Timestamp) -> bool {
        match due {
            None => false,
            Some(Due { claim: Some(claim), .. }) if !claim.working => true,
            Some(Due { claim: Some(claim), at, .. }) => *at <= now || self.ports.ledger.is_gone(&claim.owner),
            Some(Due { at, claim: None, .. }) => *at <= now,
        }
    }

    /// When the record of a job is due that comes next: leased, if it is about to be handed over; at once,
    /// if it is left to a process that may do it.
    pub(super) fn due_for(&self, user: &UserId, task: &Task, now: Timestamp) -> Due {
        if self.may_do(task) { self.handed_over(user, now) } else { Due::at(self.shard(user), now) }
    }

    /// A lease for a job that is about to be handed over.
    pub(super) fn handed_over(&self, user: &UserId, now: Timestamp) -> Due {
        self.leased(user, now, false)
    }

    /// A lease for work that begins now.
    pub(super) fn working_on(&self, user: &UserId) -> Due {
        self.leased(user, self.now(), true)
    }

    fn leased(&self, user: &UserId, now: Timestamp, working: bool) -> Due {
        let claim = Some(Claim { owner: self.owner.clone(), working });
        let mut lease = self.policy.lease;
        if planted!(self, LeaseTooShort) {
            lease = jiff::SignedDuration::from_secs(1);
        }
        if planted!(self, LeaseNeverEnds) {
            lease = jiff::SignedDuration::from_hours(24 * 365);
        }
        Due { shard: self.shard(user), at: later(now, lease), claim }
    }

    /// Claims a ride for a stage and counts the attempt. `None` when there is nothing to do: it has moved
    /// on, another worker has it, or its attempts are used up.
    pub(super) async fn claim_ride(
        &self,
        user: &UserId,
        activity: &ActivityId,
        stage: Stage,
    ) -> Result<Option<Stored<Activity>>, EngineError> {
        let now = self.now();
        let Some(stored) = self.store.activity(user, activity).await? else { return Ok(None) };
        if stored.doc.state.stage() != Some(stage) || !self.may_take(stored.due.as_ref(), now) {
            return Ok(None);
        }
        let mut claimed = stored.doc.clone();
        claimed.attempts += if planted!(self, AttemptNotCounted) { 0 } else { 1 };
        claimed.updated_at = now;
        if claimed.attempts > most_attempts(&self.policy.ride_backoff) {
            let failure = stored.doc.state.failure().cloned().unwrap_or_else(died_each_time);
            claimed.state = ActivityState::DeadLetter { failure };
            self.give_up_ride(&stored, claimed).await?;
            return Ok(None);
        }
        self.take(stored, claimed, now).await
    }

    /// Claims a delivery and counts the attempt; `None` as for rides. An open delivery becomes `Sending`,
    /// except an accepted one, which is only asked after.
    pub(super) async fn claim_delivery(
        &self,
        user: &UserId,
        sink: &ConnectionId,
        content: &ContentId,
    ) -> Result<Option<(Stored<Delivery>, DeliveryState)>, EngineError> {
        let now = self.now();
        let Some(stored) = self.store.delivery(user, sink, content).await? else { return Ok(None) };
        if !stored.doc.state.is_open() || !self.may_take(stored.due.as_ref(), now) {
            return Ok(None);
        }
        let before = stored.doc.state.clone();
        let mut claimed = stored.doc.clone();
        claimed.attempts += if planted!(self, AttemptNotCounted) { 0 } else { 1 };
        claimed.updated_at = now;
        if claimed.attempts > most_attempts(&self.policy.delivery_backoff) {
            let failure = before.failure().cloned().unwrap_or_else(died_each_time);
            claimed.state = DeliveryState::DeadLetter { failure };
            if self.save(&stored, &claimed, None).await? {
                self.ports.observer.delivery(&claimed);
            }
            return Ok(None);
        }
        // Whoever was sending has not said how it ended.
        claimed.maybe_there |= before == DeliveryState::Sending && !planted!(self, ForgetsMaybeThere);
        if !matches!(before, DeliveryState::Accepted { .. }) {
            claimed.state = DeliveryState::Sending;
        }
        Ok(self.take(stored, claimed, now).await?.map(|stored| (stored, before)))
    }

    pub(super) async fn take<T: Document + HasUser>(
        &self,
        mut stored: Stored<T>,
        claimed: T,
        now: Timestamp,
    ) -> Result<Option<Stored<T>>, EngineError> {
        let due = self.leased(claimed.user(), now, true);
        if planted!(self, ClaimWithoutVersion)
            && let Some(fresh) = self.store.read::<T>(&claimed.key()).await?
        {
            stored.version = fresh.version;
        }
        if !self.save(&stored, &claimed, Some(due.clone())).await? {
            return Ok(None);
        }
        stored.doc = claimed;
        stored.version += 1;
        stored.due = Some(due);
        Ok(Some(stored))
    }

    /// Replaces one record, with what that means to people; `false` when it was changed meanwhile.
    pub(super) async fn save<T: Document>(
        &self,
        stored: &Stored<T>,
        doc: &T,
        due: Option<Due>,
    ) -> Result<bool, EngineError> {
        let Scope::User(user) = doc.key().scope else {
            return Ok(self.store.commit(vec![stored.replace(doc, due)?]).await?);
        };
        self.commit_told(&user, vec![stored.replace(doc, due)?], &doc.story(&stored.doc)).await
    }

    /// Writes a claimed record without a due time, to wait until its connection is made anew; `waiting` is
    /// what is written then. Only while the connection is as it was read: one that was renewed meanwhile has
    /// already woken what waited, so `again` is written instead, due at once. `true` when it waits.
    pub(super) async fn wait_for<T: Document + HasUser>(
        &self,
        claimed: &Stored<T>,
        waiting: &T,
        again: &T,
        connection: &mut Stored<Connection>,
    ) -> Result<bool, EngineError> {
        for _ in 0..TRIES {
            if connection.doc.is_active() {
                let due = Due::at(self.shard(again.user()), self.now());
                self.save(claimed, again, Some(due)).await?;
                return Ok(false);
            }
            let writes = vec![claimed.replace(waiting, None)?, connection.unchanged()];
            if self.commit_told(waiting.user(), writes, &waiting.story(&claimed.doc)).await? {
                return Ok(true);
            }
            if !self.reread(connection).await? {
                break;
            }
        }
        // The claim was lost, or comes due again when its lease ends.
        Ok(false)
    }

    /// When to try a ride again after so many attempts; `None` when they are used up.
    pub(super) fn next_ride_try(&self, attempts: u32, now: Timestamp) -> Option<Timestamp> {
        Policy::next_try(&self.policy.ride_backoff, attempts, now, &*self.ports.entropy)
    }

    /// When to try a delivery again after so many attempts; `None` when they are used up.
    pub(super) fn next_delivery_try(&self, attempts: u32, now: Timestamp) -> Option<Timestamp> {
        Policy::next_try(&self.policy.delivery_backoff, attempts, now, &*self.ports.entropy)
    }
}

impl Engine {
    /// Commits writes together or, where one of them does not fit, each by itself. Says which were done.
    pub(super) async fn commit_each(&self, writes: Vec<Write>) -> Result<Vec<bool>, EngineError> {
        self.commit_groups(writes.into_iter().map(|write| vec![write]).collect()).await
    }

    /// The same with groups of writes that belong together; small ones, and no key in two of them.
    pub(super) async fn commit_groups(&self, groups: Vec<Vec<Write>>) -> Result<Vec<bool>, EngineError> {
        let largest = groups.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let mut done = Vec::with_capacity(groups.len());
        for groups in groups.chunks((MAX_BATCH / largest).max(1)) {
            if self.store.commit(groups.concat()).await? {
                done.extend(groups.iter().map(|_| true));
                continue;
            }
            for group in groups {
                done.push(self.store.commit(group.clone()).await?);
            }
        }
        Ok(done)
    }
}

/// The first attempt, and one after each wait.
fn most_attempts(waits: &[jiff::SignedDuration]) -> u32 {
    u32::try_from(waits.len()).unwrap_or(u32::MAX).saturating_add(1)
}

fn died_each_time() -> Failure {
    Failure::new(Code::AttemptsUsedUp, "the worker died each time")
}

/// Documents that are a user's.
pub(super) trait HasUser {
    fn user(&self) -> &UserId;
}

impl HasUser for Activity {
    fn user(&self) -> &UserId {
        &self.user
    }
}

impl HasUser for Connection {
    fn user(&self) -> &UserId {
        &self.user
    }
}

impl HasUser for Delivery {
    fn user(&self) -> &UserId {
        &self.user
    }
}
