//! The ledger as a process reaches it, and what is checked whenever something is written.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use fitbridge_core::{
    domain::{Activity, ActivityState, Connection, ConnectionId, Delivery, DeliveryState, OwnerId, Shard, UserId},
    ports::{
        Archive, Change, Claim, Clock, CommitError, Due, DueRow, Job, Key, Ledger, LedgerError, PlanPage, PlanSlot,
        Record, RecordPage, Scope, Task, Write,
    },
    store::Cursor,
};
use futures::FutureExt;
use jiff::Timestamp;

use super::{Process, TrueRide, World};
use crate::{
    clockwork::{MINUTE, lock},
    trouble::Fault,
};

/// The longest a call to the ledger takes, ms.
const LONGEST: i64 = 20_000;
/// A write of a ride or a delivery is on its way for so much less than its lease at most, ms: as where a machine
/// stands still for a while.
const LESS_THAN_LEASE: i64 = MINUTE;
/// How long after a pause calls that were under way may still be made, ms.
const UNDER_WAY: i64 = 30 * MINUTE;
/// A page of the list is at most so much older than the moment its reader took it for, ms.
const PAGE_AGE: i64 = 90_000;

/// What is remembered of what was written, to judge what comes later.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Where each source stands in the plan, and since when.
    plans: BTreeMap<Key, (PlanSlot, i64)>,
    /// When a poll of it was last made, or handed over where that is enough.
    polled: BTreeMap<Key, i64>,
    /// When each shard's cursor was last claimed, and what was done then.
    cursors: BTreeMap<Shard, (i64, i64)>,
    /// How often work on a record was begun.
    claims: BTreeMap<Key, usize>,
    /// Connections that need the rider, or are removed, and since when.
    paused: BTreeMap<Key, i64>,
    /// When each source was last walked, as its mark says.
    marks: BTreeMap<Key, Timestamp>,
    /// For which incidents a paused token was tried once, by connection and renewal.
    probes: BTreeMap<Key, BTreeSet<(u32, Timestamp)>>,
    /// For which incident each connection was last tried.
    probed_for: BTreeMap<Key, Option<Timestamp>>,
    /// Until when a delivery's sink asked not to be tried again, ms.
    asked_until: BTreeMap<Key, i64>,
}

impl Watch {
    /// Notes that a poll was made.
    pub(crate) fn polled(&mut self, user: &UserId, connection: &ConnectionId, now: i64) {
        self.polled.insert(Key::connection(user, connection), now);
    }

    /// Notes the polls among jobs that were handed over.
    pub(crate) fn handed_over(&mut self, jobs: &[Job], now: i64) {
        for job in jobs {
            if let Task::Poll { connection } = &job.task {
                self.polled(&job.user, connection, now);
            }
        }
    }

    /// Since when no call may be made for a connection, where that is so; ms.
    pub(crate) fn paused_since(&self, user: &UserId, connection: &ConnectionId) -> Option<i64> {
        self.paused.get(&Key::connection(user, connection)).copied()
    }

    fn note(&mut self, process: &Process, write: &Write) {
        let now = process.world.now_ms();
        let Change::Put { body, due, plan } = &write.change else {
            if write.change == Change::Delete && write.key.path.starts_with("connection/") {
                self.plans.remove(&write.key);
                self.paused.entry(write.key.clone()).or_insert(now);
            }
            return;
        };
        if write.key.path.starts_with("delivery/") {
            self.note_patience(process, &write.key, body, due.as_ref(), now);
        }
        if write.key.path.starts_with("notice/") {
            lock(&process.world.notices).note(body);
        } else if write.key.path.starts_with("connection/") {
            self.note_plan(&write.key, *plan, now);
            self.note_connection(process, &write.key, body, now);
        } else if write.key.path.starts_with("cursor/") {
            self.note_cursor(process, body, now);
        } else if !["activity/", "delivery/"].iter().any(|kind| write.key.path.starts_with(kind)) {
            // Events and notices quote states; they have none of their own to judge.
        } else if matches!(due, Some(Due { claim: Some(Claim { working: true, .. }), .. })) {
            *self.claims.entry(write.key.clone()).or_default() += 1;
        } else if body.contains("\"state\":\"dead_letter\"") {
            self.note_dead_letter(process, &write.key, body);
        } else if write.key.path.starts_with("activity/") && body.contains("\"state\":\"fetched\"") {
            note_fetched(process, body);
        }
    }

    /// What a sink asked for is kept with the delivery: whoever takes it up keeps to it.
    fn note_patience(&mut self, process: &Process, key: &Key, body: &str, due: Option<&Due>, now: i64) {
        let works = due.is_some_and(|due| due.claim.as_ref().is_some_and(|claim| claim.working));
        let asked = self.asked_until.remove(key);
        if let Some(until) = asked.filter(|until| works && now < until - MINUTE) {
            let seconds = (until - now) / 1000;
            let what = format!("{} is tried again {seconds} s before its sink wants it", short(&key.path));
            process.world.broken_unless_jumped("I6", what);
        }
        if body.contains("\"asked_until\"")
            && let Ok(delivery) = serde_json::from_str::<Delivery>(body)
            && let DeliveryState::Retrying { asked_until: Some(until), .. } = delivery.state
        {
            self.asked_until.insert(key.clone(), process.true_ms(until));
        }
    }

    fn note_plan(&mut self, key: &Key, plan: Option<PlanSlot>, now: i64) {
        match plan {
            None => drop(self.plans.remove(key)),
            Some(slot) if self.plans.get(key).is_some_and(|(known, _)| *known == slot) => {}
            Some(slot) => drop(self.plans.insert(key.clone(), (slot, now))),
        }
    }

    fn note_connection(&mut self, process: &Process, key: &Key, body: &str, now: i64) {
        let Ok(connection) = serde_json::from_str::<Connection>(body) else { return };
        if connection.is_active() {
            self.paused.remove(key);
        } else {
            self.paused.entry(key.clone()).or_insert(now);
            process.world.paused.ring();
            process.tell(|| format!("-> {} is {:?}", connection.id, connection.state));
        }
        self.note_probe(process, key, &connection);
        let Some(mark) = connection.source().and_then(|source| source.mark.as_ref()) else { return };
        if self.marks.insert(key.clone(), mark.walked_at) != Some(mark.walked_at) {
            process.tell(|| format!("-> {} was walked: {} rows", connection.id, mark.total_rows));
            all_rows_are_known(process, &connection, process.true_ms(mark.walked_at));
        }
    }

    /// A paused token is tried once after each incident, and that it is tried is marked first.
    fn note_probe(&mut self, process: &Process, key: &Key, connection: &Connection) {
        let probed_for = connection.source().and_then(|source| source.probed_for);
        if self.probed_for.insert(key.clone(), probed_for) == Some(probed_for) {
            return;
        }
        let Some(incident) = probed_for.filter(|_| connection.paused().is_some()) else { return };
        if !self.probes.entry(key.clone()).or_default().insert((connection.renewals, incident)) {
            let what = format!("{} is tried again for the incident of {incident}", connection.id);
            process.world.broken_unless_jumped("I6", what);
        }
        process.count(|tally| &tally.probes_marked);
    }

    /// A mark says that every row which was there when the walk began has a record.
    fn note_cursor(&mut self, process: &Process, body: &str, now: i64) {
        let Ok(cursor) = serde_json::from_str::<Cursor>(body) else { return };
        if cursor.claimed.is_some() {
            // What is older than a period is made up for by later turns of the same slots.
            let whole = Clock::now(process).as_second().div_euclid(60) - 60;
            self.cursors.insert(cursor.shard, (now, cursor.done_minute.max(whole)));
            return;
        }
        let Some((claimed_at, before)) = self.cursors.insert(cursor.shard, (now, cursor.done_minute)) else { return };
        let minutes = before.max(cursor.done_minute - 60) + 1..=cursor.done_minute;
        for (key, (slot, since)) in &self.plans {
            let planned = slot.shard == cursor.shard && *since < claimed_at - 2 * MINUTE && {
                minutes.clone().any(|minute| minute.rem_euclid(slot.class.slots().into()) == i64::from(slot.slot))
            };
            if planned && self.polled.get(key).is_none_or(|at| *at < claimed_at) {
                let what = format!(
                    "minutes {minutes:?} of shard {} are done, but {} was not polled",
                    cursor.shard.0, key.path
                );
                process.world.broken_unless_jumped("I1", what);
            }
        }
    }

    fn note_dead_letter(&mut self, process: &Process, key: &Key, body: &str) {
        let policy = &process.world.policy;
        let waits = if key.path.starts_with("activity/") { &policy.ride_backoff } else { &policy.delivery_backoff };
        let begun = self.claims.get(key).copied().unwrap_or(0);
        process.tell(|| format!("-> {} is a dead letter after {begun} attempts", short(&key.path)));
        // What a sink accepted and never finished is given up by the clock.
        if begun < waits.len() + 1 && !body.contains("sink_timeout") {
            process.world.story.broken("I1", format!("{} is a dead letter after {begun} attempts", key.path));
        }
    }
}

fn all_rows_are_known(process: &Process, connection: &Connection, begun: i64) {
    let world = &process.world;
    let truth = lock(&world.truth);
    let Some(account) = truth.accounts.get(connection.account.account.as_str()) else { return };
    // Rows that go while a list is read make it look whole; the daily walk is there for that.
    if account.deleted_at >= begun - PAGE_AGE {
        return;
    }
    let was_seen =
        |ride: &TrueRide| !ride.is_deleted && ride.uploaded_at < begun - PAGE_AGE && ride.bad_until < begun - PAGE_AGE;
    for (ride, _) in account.rides.iter().filter(|(_, ride)| was_seen(ride)) {
        let id = fitbridge_core::domain::Origin::cloud_id(&connection.id, *ride);
        let known = world.ledger.get(&Key::activity(&connection.user, &id)).now_or_never();
        if matches!(known, Some(Ok(None))) {
            world.broken_unless_jumped(
                "I1",
                format!("{} is marked as walked, but ride {ride} is not known", connection.id),
            );
        }
    }
}

/// A ride that is fetched has its file in the archive, and it is a file that was served to this rider.
fn note_fetched(process: &Process, body: &str) {
    let Ok(activity) = serde_json::from_str::<Activity>(body) else { return };
    let ActivityState::Fetched { content, .. } = activity.state else { return };
    let world = &process.world;
    // What is under way while an account is deleted is swept away behind it.
    let is_leaving = world.wishes(&activity.user, |wishes| wishes.is_leaving);
    let is_excused = is_leaving || lock(&world.truth).damaged.contains(&content);
    if !is_excused && !matches!(world.archive.open(&activity.user, content).now_or_never(), Some(Ok(_))) {
        world.story.broken("I2", format!("ride {} is fetched, but not in the archive", activity.rider_id()));
    }
    if !lock(&world.truth).served.contains_key(&(activity.user.clone(), content)) {
        world.story.broken("I2", format!("ride {} has a file that nobody served", activity.rider_id()));
    }
}

/// Whether somebody has to see to it right now.
fn is_new_work(write: &Write, now: i64) -> bool {
    matches!(&write.change, Change::Put { due: Some(Due { at, claim: None, .. }), .. } if at.as_millisecond() < now + 30_000)
}

/// A path that fits a line.
pub(crate) fn short(path: &str) -> String {
    let is_long = |part: &str| part.len() == 64;
    path.split('/').map(|part| if is_long(part) { &part[..8] } else { part }).collect::<Vec<_>>().join("/")
}

impl Process {
    /// No call is made for a connection that waits for the rider, but for the one that was marked before it.
    pub(crate) fn may_call_for(&self, user: &UserId, connection: &ConnectionId, what: &str) {
        let since = lock(&self.world.watch).paused_since(user, connection);
        if since.is_none() || self.is_the_probe() {
            return;
        }
        if let Some(since) = since.filter(|since| *since + UNDER_WAY < self.world.now_ms()) {
            let minutes = (self.world.now_ms() - since) / MINUTE;
            self.world.story.broken("I6", format!("{what} for {connection}, which is paused for {minutes} minutes"));
        }
    }

    fn look_at(&self, scope: &Scope, what: &str) {
        if let Scope::User(user) = scope {
            self.touches(user, || what.to_owned());
        }
    }

    fn tell_of(&self, write: &Write) {
        self.tell(|| match &write.change {
            Change::Put { body, due, .. } => {
                let state = serde_json::from_str::<serde_json::Value>(body).unwrap_or_default();
                let field = |name: &str, before: &str| {
                    state.get(name).map(|value| format!("{before}{value}")).unwrap_or_default()
                };
                let due = due.as_ref().map_or("not due".to_owned(), |due| match &due.claim {
                    Some(claim) if claim.working => format!("claimed until {}", due.at),
                    Some(_) => format!("handed over until {}", due.at),
                    None => format!("due at {}", due.at),
                });
                let of = match &write.key.scope {
                    Scope::User(user) if write.key.path.starts_with("notice/") => format!(" of {user}"),
                    _ => String::new(),
                };
                let (state, attempts) = (field("state", " "), field("attempts", ", attempt "));
                format!("writes {}{of}{state}{attempts}, {due}", short(&write.key.path))
            }
            Change::Delete => format!("deletes {}", write.key.path),
            Change::Check => format!("checks {}", write.key.path),
        });
    }

    async fn away(&self, what: &str) -> Result<(), LedgerError> {
        self.away_for(what, LONGEST).await
    }

    async fn away_for(&self, what: &str, longest: i64) -> Result<(), LedgerError> {
        self.wire(longest).await;
        if self.hit(Fault::LedgerAway, what) { Err(LedgerError::Unavailable("away".into())) } else { Ok(()) }
    }
}

#[async_trait]
impl Ledger for Process {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        self.look_at(&key.scope, &key.path);
        self.away("a read").await?;
        self.world.ledger.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError> {
        self.away("reads").await?;
        for key in keys {
            self.look_at(&key.scope, &key.path);
        }
        self.world.ledger.get_many(keys).await
    }

    async fn range(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        self.look_at(scope, prefix);
        self.away("a range").await?;
        self.world.ledger.range(scope, prefix, after, limit).await
    }

    async fn range_back(
        &self,
        scope: &Scope,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        self.look_at(scope, prefix);
        self.away("a range").await?;
        self.world.ledger.range_back(scope, prefix, before, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        for write in &writes {
            self.look_at(&write.key.scope, &write.key.path);
            if let Change::Put { body, .. } = &write.change {
                self.world.has_no_secret(&write.key.path, body);
            }
        }
        let is_work = |write: &Write| ["activity/", "delivery/"].iter().any(|kind| write.key.path.starts_with(kind));
        let world: &World = &self.world;
        let lease = i64::try_from(world.policy.lease.as_millis()).unwrap_or(5 * MINUTE);
        let longest = if writes.iter().any(is_work) { lease - LESS_THAN_LEASE } else { LONGEST };
        self.away_for("a commit", longest).await?;
        let done = world.ledger.commit(writes.clone()).await;
        if let Err(CommitError::Conflict(keys)) = &done {
            self.tell(|| format!("is too late to write {}", short(&keys[0].path)));
        }
        if done.is_ok() {
            for write in &writes {
                self.tell_of(write);
                lock(&world.watch).note(self, write);
                if is_new_work(write, world.now_ms()) {
                    world.new_work.ring();
                }
                if matches!(write.key.scope, Scope::User(_)) && write.change != Change::Check {
                    self.count(|tally| &tally.writes);
                }
            }
        }
        self.wire(LONGEST).await;
        done?;
        if self.hit(Fault::LedgerAnswerLost, "the answer to that commit is lost") {
            return Err(LedgerError::Unavailable("the answer is lost".into()).into());
        }
        Ok(())
    }

    async fn due(&self, shard: Shard, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, LedgerError> {
        self.away("due").await?;
        self.world.indexes_catch_up();
        self.world.ledger.due(shard, until, limit).await
    }

    async fn planned(&self, slot: PlanSlot, cursor: Option<&str>, limit: usize) -> Result<PlanPage, LedgerError> {
        self.away("planned").await?;
        self.world.indexes_catch_up();
        self.world.ledger.planned(slot, cursor, limit).await
    }

    fn is_gone(&self, owner: &OwnerId) -> bool {
        self.world.ledger.is_gone(owner)
    }
}
