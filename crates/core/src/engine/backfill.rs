//! Older rides, little by little: newest first, a few at a time, within a share of the provider's budget.
//!
//! Rides that were there before a source was connected stand on the backlog without a due time. The source is
//! due instead: each step takes the next of them off, asks where their files lie, and says when the next step
//! comes. New rides do not pass through here, so they wait for nobody's history.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp, civil::Date};

use super::{Engine, EngineError, Resolved, contended, policy::later, settle::left_out, walk::activity_prefix};
use crate::{
    Code, Failure,
    domain::{
        Activity, ActivityId, ActivityState, Backfill, BackfillPhase, Connection, ConnectionId, Delivery,
        DeliveryState, History, Role, Shard, SourceProgress, UserId, connection::Resume,
    },
    ports::{Due, Key},
    store::Stored,
};

/// Rides that are looked at with one read.
const PAGE: usize = 100;
/// Reads of one step, where most rides are none of the backlog's.
const MOST_PAGES: usize = 10;
/// How often a change to a connection's record is tried again when somebody else was faster.
const TRIES: usize = 8;
/// Unused budget is kept for so long.
const CREDIT: SignedDuration = SignedDuration::from_mins(1);

/// What a step of a backfill led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backfilled {
    /// So many rides were taken off the backlog.
    Step(usize),
    /// The backlog is empty and everything that stood on it is through.
    Done,
    /// Nothing was done: stopped, paused, or another worker is at it.
    Skipped,
}

/// Where a step got to.
struct Taken {
    ids: Vec<ActivityId>,
    /// The last ride that was looked at and needs no more looking at.
    after: Option<ActivityId>,
    /// Whether that was the last there is.
    at_end: bool,
}

/// What all backfills of a shard may ask of the provider. Held in memory by the process that asks; the due
/// times in the ledger keep the turns.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<BTreeMap<Shard, Timestamp>>);

impl Budget {
    /// Uses up so many calls; says when the next may be made.
    fn reserve(&self, shard: Shard, calls: usize, per_minute: Option<f64>, now: Timestamp) -> Timestamp {
        let Some(per_minute) = per_minute else { return now };
        let took = SignedDuration::try_from_secs_f64(60.0 / per_minute * calls as f64).unwrap_or(CREDIT);
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        let turn = turns.entry(shard).or_insert(earliest);
        *turn = later((*turn).max(earliest), took);
        (*turn).max(now)
    }
}

impl Engine {
    /// One step: takes the next rides off the backlog, asks where their files lie, and hands their downloads
    /// over. How far it is, is kept with the connection, so that a crash costs at most this step again.
    #[tracing::instrument(skip_all, fields(user = %user, connection = %connection))]
    pub async fn backfill(&self, user: &UserId, connection: &ConnectionId) -> Result<Backfilled, EngineError> {
        let Some((mut source, mut backfill)) = self.claim_backfill(user, connection).await? else {
            return Ok(Backfilled::Skipped);
        };
        if let Some(breaker) = self.breaker_now(&source.doc.account, self.now()) {
            self.end_step(&mut source, &backfill, breaker.open_until).await?;
            return Ok(Backfilled::Step(0));
        }
        backfill.moving = self.still_moving(user, &backfill.moving).await?;
        let room = self.policy.backfill_window.saturating_sub(backfill.moving.len());
        let taken = self.take_off_backlog(&source, backfill.after.clone(), room).await?;
        let count = taken.ids.len();
        backfill.after = taken.after;
        backfill.taken = backfill.taken.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        backfill.moving.extend(taken.ids);
        let now = self.now();
        backfill.measure(now);
        let is_done = taken.at_end && backfill.moving.is_empty();
        if is_done {
            backfill.phase = BackfillPhase::Done;
            backfill.total = backfill.taken;
        }
        let next = match self.breaker_now(&source.doc.account, now) {
            Some(breaker) => breaker.open_until,
            // What was taken must get through first.
            None if count == 0 => later(now, self.policy.backfill_gap),
            None => self.reserve(user, count),
        };
        self.end_step(&mut source, &backfill, next).await?;
        Ok(if is_done { Backfilled::Done } else { Backfilled::Step(count) })
    }

    /// Uses up so many calls of the share of backfills; says when the next step may come.
    pub(super) fn reserve(&self, user: &UserId, calls: usize) -> Timestamp {
        self.budget.reserve(self.shard(user), calls, self.policy.backfill_per_minute, self.now())
    }

    /// Claims a source whose backfill is to go on.
    async fn claim_backfill(
        &self,
        user: &UserId,
        connection: &ConnectionId,
    ) -> Result<Option<(Stored<Connection>, Backfill)>, EngineError> {
        let now = self.now();
        let Some(stored) = self.store.connection(user, connection).await? else { return Ok(None) };
        if !self.may_take(stored.due.as_ref(), now) {
            return Ok(None);
        }
        let running = stored.doc.backfill().filter(|backfill| backfill.is_running()).cloned();
        let Some(backfill) = running.filter(|_| stored.doc.is_active()) else {
            // Stopped or paused meanwhile: whoever lets it go on makes it due again.
            let due = self.due_of(&stored.doc);
            self.save(&stored, &stored.doc, due).await?;
            return Ok(None);
        };
        let claimed = stored.doc.clone();
        let Some(mut source) = self.take(stored, claimed, now).await? else { return Ok(None) };
        self.look_at_token_end_claimed(&mut source).await?;
        Ok(Some((source, backfill)))
    }

    /// Those of the rides taken before that are still on their way: not archived, or not tried at a sink.
    /// What failed has retries of its own and holds nobody up.
    async fn still_moving(&self, user: &UserId, moving: &[ActivityId]) -> Result<Vec<ActivityId>, EngineError> {
        if moving.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = moving.iter().map(|ride| Key::activity(user, ride)).collect();
        let rides = self.store.read_many::<Activity>(&keys).await?;
        let sinks = match self.store.user(user).await? {
            Some(user) => self.store.connections(&user.doc).await?,
            None => Vec::new(),
        };
        let sinks: Vec<_> = sinks.iter().filter(|one| one.doc.sink().is_some() && one.doc.is_active()).collect();
        let now = self.now();
        let mut still = Vec::new();
        for ride in rides.into_iter().flatten() {
            let is_moving = match ride.doc.state {
                ActivityState::Discovered | ActivityState::Resolved { .. } => self.is_under_way(ride.due.as_ref(), now),
                ActivityState::Fetched { content, .. } => {
                    let keys: Vec<_> = sinks.iter().map(|sink| Key::delivery(user, &sink.doc.id, &content)).collect();
                    let deliveries = self.store.read_many::<Delivery>(&keys).await?;
                    let untried =
                        |state: &DeliveryState| matches!(state, DeliveryState::Pending | DeliveryState::Sending);
                    deliveries
                        .into_iter()
                        .flatten()
                        .any(|one| self.is_under_way(one.due.as_ref(), now) && untried(&one.doc.state))
                }
                _ => false,
            };
            if is_moving {
                still.push(ride.doc.id);
            }
        }
        Ok(still)
    }

    /// Takes rides off the backlog, at most `room`, downwards from `after`; until time runs out, the provider
    /// fails, or the connection does.
    async fn take_off_backlog(
        &self,
        source: &Stored<Connection>,
        after: Option<ActivityId>,
        room: usize,
    ) -> Result<Taken, EngineError> {
        let enough = later(self.now(), self.policy.lease / 2);
        let mut taken = Taken { ids: Vec::new(), after, at_end: false };
        for _ in 0..MOST_PAGES {
            let before = taken.after.as_ref().map(|after| Key::activity(&source.doc.user, after).path);
            let prefix = activity_prefix(&source.doc);
            let (rides, next) = self.store.page_back(&source.doc.user, &prefix, before.as_deref(), PAGE).await?;
            let last = rides.last().map(|ride: &Stored<Activity>| ride.doc.id.clone());
            let waiting: Vec<_> = rides.iter().filter(|ride| ride.doc.state == ActivityState::Backlog).collect();
            for rides in waiting.chunks(self.policy.backfill_calls.max(1)) {
                let left = room.saturating_sub(taken.ids.len());
                if left == 0 || self.now() >= enough {
                    return Ok(taken);
                }
                let Some(now) = self.goes_on(&source.doc).await? else { return Ok(taken) };
                let (rides, no_room) = rides.split_at(left.min(rides.len()));
                for result in join_all(rides.iter().map(|ride| self.take_one(&now, ride))).await {
                    taken.ids.extend(result?);
                }
                taken.after = rides.last().map(|ride| ride.doc.id.clone());
                if !no_room.is_empty() && !planted!(self, BackfillSkips) {
                    return Ok(taken);
                }
            }
            taken.after = last.or(taken.after);
            taken.at_end = next.is_none();
            if taken.at_end {
                break;
            }
        }
        Ok(taken)
    }

    /// The source as it is now; `None` where the next call would not be made, or not be answered.
    async fn goes_on(&self, source: &Connection) -> Result<Option<Connection>, EngineError> {
        if self.breaker_now(&source.account, self.now()).is_some() {
            return Ok(None);
        }
        let fresh = self.store.connection(&source.user, &source.id).await?.map(|fresh| fresh.doc);
        Ok(fresh.filter(|fresh| fresh.is_active() && fresh.backfill().is_some_and(Backfill::is_running)))
    }

    /// Takes one ride off the backlog and asks where its file lies. From here on it has a due time of its own. `None`
    /// for one that the source's history keeps out by now.
    async fn take_one(&self, source: &Connection, ride: &Stored<Activity>) -> Result<Option<ActivityId>, EngineError> {
        let mut ride = ride.clone();
        for _ in 0..TRIES {
            let now = self.now();
            let mut taken = ride.doc.clone();
            taken.updated_at = now;
            taken.state = match left_out(source, &ride.doc) {
                Some(rule) => ActivityState::Filtered { rule },
                None => ActivityState::Discovered,
            };
            let is_wanted = taken.state == ActivityState::Discovered;
            taken.taken_at = is_wanted.then_some(now);
            let due = is_wanted.then(|| self.handed_over(&taken.user, now));
            if self.save(&ride, &taken, due).await? {
                self.ports.observer.activity(&taken);
                if !is_wanted {
                    return Ok(None);
                }
                return match self.resolve(&taken.user, &taken.id).await? {
                    Resolved::Located | Resolved::Skipped | Resolved::Failed(_) => Ok(Some(taken.id)),
                };
            }
            // Somebody wrote to it without taking it, or it is none of the backlog's any more.
            match self.store.activity(&ride.doc.user, &ride.doc.id).await? {
                Some(fresh) if fresh.doc.state == ActivityState::Backlog => ride = fresh,
                _ => return Ok(Some(ride.doc.id)),
            }
        }
        // The step is made again from where it began.
        Err(contended("a ride of the backlog"))
    }

    /// Records a step. What others changed meanwhile stands: a walk that put more on the backlog, the rider's
    /// stop, a new connection.
    async fn end_step(
        &self,
        source: &mut Stored<Connection>,
        step: &Backfill,
        next: Timestamp,
    ) -> Result<(), EngineError> {
        for _ in 0..TRIES {
            let mut changed = source.doc.clone();
            if let Role::Source(SourceProgress { backfill: Some(backfill), .. }) = &mut changed.role {
                **backfill = merged(backfill, step);
            }
            let mine = source.due.as_ref().and_then(|due| due.claim.as_ref());
            let due = match mine.is_some_and(|claim| claim.working && claim.owner == self.owner) {
                false => source.due.clone().or_else(|| self.due_of(&changed)),
                true if !changed.has_work() => self.due_of(&changed),
                true if changed.source().is_some_and(|source| source.resume.is_some()) => self.due_of(&changed),
                true => Some(Due::at(self.shard(&changed.user), next)),
            };
            if self.save(source, &changed, due).await? {
                self.ports.observer.connection(&changed);
                return Ok(());
            }
            if !self.reread(source).await? {
                break;
            }
        }
        // The claim ends with its lease, and the step is made again: what it took is off the backlog.
        Ok(())
    }

    /// Lets a source reach back further (to that local date, or to its first ride), and its backfill go on.
    /// Rides that were left out by their date are put on the backlog.
    pub async fn begin_backfill(
        &self,
        user: &UserId,
        connection: &ConnectionId,
        since: Option<Date>,
    ) -> Result<Connection, EngineError> {
        let change = |connection: &mut Connection| {
            connection.history = match since {
                None => History::All,
                since => connection.history.widened(since),
            };
            if let Role::Source(source) = &mut connection.role {
                source.resume = Some(Resume::default());
                if let Some(backfill) = &mut source.backfill
                    && backfill.phase == BackfillPhase::Stopped
                {
                    (backfill.phase, backfill.pace) = (BackfillPhase::Running, None);
                }
            }
            Ok(true)
        };
        Ok(self.change_by_word(user, connection, change).await?.0)
    }

    /// Stops a source's backfill. What is under way is finished; the rest stays on the backlog until it is let
    /// go on.
    pub async fn stop_backfill(&self, user: &UserId, connection: &ConnectionId) -> Result<Connection, EngineError> {
        let change = |connection: &mut Connection| {
            if let Role::Source(SourceProgress { backfill: Some(backfill), .. }) = &mut connection.role
                && backfill.is_running()
            {
                backfill.phase = BackfillPhase::Stopped;
            }
            Ok(true)
        };
        Ok(self.change_by_word(user, connection, change).await?.0)
    }

    /// Changes a source because somebody asks for it. `change` refuses with a failure, or says whether there is
    /// anything to change; the source is returned as it stands then, with that answer.
    pub(super) async fn change_by_word(
        &self,
        user: &UserId,
        connection: &ConnectionId,
        change: impl Fn(&mut Connection) -> Result<bool, Failure> + Send + Sync,
    ) -> Result<(Connection, bool), EngineError> {
        for _ in 0..TRIES {
            let stored = self.store.connection(user, connection).await?;
            let missing = || Failure::new(Code::NoSuchConnection, connection.as_str());
            let stored = stored.filter(|stored| stored.doc.source().is_some()).ok_or_else(missing)?;
            let mut changed = stored.doc.clone();
            if !change(&mut changed)? {
                return Ok((stored.doc, false));
            }
            // Whoever is at work on it sees the change when it records its step.
            let due = match &stored.due {
                Some(due) if due.claim.is_some() => Some(due.clone()),
                _ => self.due_of(&changed),
            };
            if self.save(&stored, &changed, due).await? {
                self.ports.observer.connection(&changed);
                return Ok((changed, true));
            }
        }
        Err(contended("the connection"))
    }
}

/// A backfill as it stands now, with a step that was made meanwhile.
fn merged(now: &Backfill, step: &Backfill) -> Backfill {
    if now.rounds != step.rounds {
        // It began again: what the step took is counted, and everything is looked at once more.
        let mut merged = now.clone();
        merged.taken = step.taken.max(now.taken);
        merged.total = merged.total.max(merged.taken);
        merged.moving.clone_from(&step.moving);
        return merged;
    }
    let phase = if now.is_running() { step.phase } else { now.phase };
    let total = if step.phase == BackfillPhase::Done { step.total } else { now.total.max(step.taken) };
    Backfill { phase, total, ..step.clone() }
}
