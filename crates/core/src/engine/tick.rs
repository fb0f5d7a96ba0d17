//! Picking who is polled and what is due.

use std::{collections::BTreeSet, ops::RangeInclusive};

use jiff::Timestamp;

use super::{
    Engine, EngineError, Policy,
    policy::{LONGEST_ASKED, SKEW, later},
};
use crate::{
    domain::{
        Activity, ActivityId, ActivityState, Backfill, Connection, ConnectionId, ContentId, Delivery, NoticeId,
        OwnerId, Reconcile, Shard, Stage,
    },
    ports::{
        Change, Claim, Due, DueRow, Expect, Job, Key, LedgerError, MAX_BATCH, PlanSlot, PollClass, Record, Scope, Task,
        Write,
    },
    store::{Cursor, CursorClaim, StoreError, Stored},
};

/// The slowest class comes round after this many minutes, so no tick has to look further back.
const LONGEST_PERIOD: i64 = 60;
/// Rows of the plan in one read.
const PLAN_PAGE: usize = 500;
/// So often is a record taken over at once from a worker that died.
const DEATHS_AT_ONCE: u32 = 2;
/// Rows of the due index that are looked at for a rider's own commands.
const EVERYTHING: usize = 100_000;

/// What a tick handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick {
    /// Sources to poll.
    pub polls: usize,
    /// Records that were due.
    pub due: usize,
}

/// A tick that has begun: the shard's cursor is claimed for it until it is finished or given back.
#[derive(Debug)]
#[must_use = "until it is finished or given back, no other tick of the shard polls"]
pub struct Ticket {
    cursor: Stored<Cursor>,
    minutes: RangeInclusive<i64>,
}

impl Ticket {
    /// The minutes whose polls are made, since 1970.
    pub fn minutes(&self) -> RangeInclusive<i64> {
        self.minutes.clone()
    }
}

/// What counts as due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eagerness {
    /// What is due by now.
    Due,
    /// Also what only waits for our own backoff: a rider asked for it. What a server asked to leave alone,
    /// and what another process has, is left alone.
    Eager,
}

impl Engine {
    /// One tick of a shard: hands over the polls of all minutes since the last one that was done, each
    /// source once, and what is due. At most two writes of its own: the cursor, claimed and done. Nothing
    /// at all while the operator has stopped the service.
    #[tracing::instrument(skip_all, fields(shard = shard.0))]
    pub async fn tick(&self, shard: Shard) -> Result<Tick, EngineError> {
        let mut tick = Tick::default();
        if self.halted().await?.is_some() {
            return Ok(tick);
        }
        if let Some((ticket, polls)) = self.begin_tick(shard, usize::MAX).await? {
            tick.polls = polls.len();
            if planted!(self, CursorBeforePolls) {
                self.finish_tick(ticket).await?;
                self.hand_over(polls).await;
                return Ok(tick);
            }
            // Polls are no records that come due again: minutes whose polls were not taken are not done.
            if self.hand_over(polls).await {
                self.finish_tick(ticket).await?;
            } else {
                self.give_tick_back(ticket).await?;
            }
        }
        tick.due = self.sweep(shard, Eagerness::Due).await?;
        Ok(tick)
    }

    /// Begins a tick: claims the shard's cursor and names the polls of the minutes since the last one that was done,
    /// oldest first, each source once; of at least one minute, and of no more than have `most` polls, so that who has
    /// not caught up at once does so bit by bit. `None` when this minute is done, or another tick is at work. Whoever
    /// makes the polls itself calls [`Engine::finish_tick`] afterwards, so that no poll is lost with it; a
    /// tick that dies in between is made up for once its claim has ended (`Policy::tick_lease`).
    pub async fn begin_tick(&self, shard: Shard, most: usize) -> Result<Option<(Ticket, Vec<Job>)>, EngineError> {
        self.load_breakers().await?;
        let now = self.now();
        let minute = now.as_second().div_euclid(60);
        let Some(cursor) = self.claim_cursor(shard, minute, now).await? else { return Ok(None) };
        if cursor.doc.rewound {
            self.mend_times(shard).await?;
        }
        // Polls are no records: those of the last minute may have died with the process that had them in hand.
        let lost = cursor.doc.done_by.as_ref().is_some_and(|owner| self.ports.ledger.is_gone(owner));
        let from = self.catch_up_from(cursor.doc.done_minute - i64::from(lost), minute);
        let (last, polls) = self.planned_polls(shard, from..=minute, most).await?;
        Ok(Some((Ticket { cursor, minutes: from..=last }, polls)))
    }

    /// The first minute that a tick makes the polls of: the one after the last that was done, at most a period
    /// back; the whole period where the machine slept.
    fn catch_up_from(&self, done_minute: i64, minute: i64) -> i64 {
        let whole = minute - LONGEST_PERIOD + 1;
        let slept = self.policy.catch_up_after.is_some_and(|most| minute - done_minute > most.as_mins());
        if slept { whole } else { done_minute.saturating_add(1).max(whole) }
    }

    /// Marks a tick's minutes as done; `false` when another tick took them over meanwhile.
    pub async fn finish_tick(&self, ticket: Ticket) -> Result<bool, EngineError> {
        let (last, by) = (*ticket.minutes.end(), Some(self.owner.clone()));
        self.release(ticket, last, by).await
    }

    /// Gives a tick back whose polls were not all made: the next one makes them.
    pub async fn give_tick_back(&self, ticket: Ticket) -> Result<bool, EngineError> {
        let Cursor { done_minute, done_by, .. } = ticket.cursor.doc.clone();
        // The times were mended all the same.
        self.release(ticket, done_minute, done_by).await
    }

    async fn release(&self, ticket: Ticket, done_minute: i64, done_by: Option<OwnerId>) -> Result<bool, EngineError> {
        let done = Cursor { shard: ticket.cursor.doc.shard, done_minute, done_by, claimed: None, rewound: false };
        self.save(&ticket.cursor, &done, None).await
    }

    /// Hands over what is due in a shard, and says how much that was. Where it fails half-way, what is leased by then
    /// is handed over all the same.
    pub async fn sweep(&self, shard: Shard, eagerness: Eagerness) -> Result<usize, EngineError> {
        let mut jobs = Vec::new();
        let taken = self.take_due(shard, eagerness, &mut jobs).await;
        let count = jobs.len();
        self.hand_over(jobs).await;
        taken.map(|()| count)
    }

    async fn claim_cursor(
        &self,
        shard: Shard,
        minute: i64,
        now: Timestamp,
    ) -> Result<Option<Stored<Cursor>>, EngineError> {
        let until = later(now, self.policy.tick_lease);
        let claimed = Some(CursorClaim { owner: self.owner.clone(), until });
        let key = Key::cursor(shard);
        let Some(mut stored) = self.store.read::<Cursor>(&key).await? else {
            // The first tick ever starts with the present minute's slots and all others of a period.
            let cursor = Cursor { shard, done_minute: minute - LONGEST_PERIOD, done_by: None, claimed, rewound: false };
            let made = self.store.commit(vec![self.store.create(&cursor, None, None)?]).await?;
            return Ok(made.then_some(Stored { doc: cursor, version: 1, due: None, plan: None }));
        };
        // A clock that was ahead has done minutes that are still to come: they are done anew from here on,
        // else nobody would be polled until the clock is there again.
        let rewound = stored.doc.done_minute > minute.saturating_add(SKEW.as_mins());
        if stored.doc.done_minute >= minute && !rewound {
            return Ok(None);
        }
        let longest = later(until, SKEW);
        let busy = |claim: &CursorClaim| {
            let holds = claim.until > now && claim.until <= longest;
            claim.owner != self.owner && holds && !self.ports.ledger.is_gone(&claim.owner)
        };
        if stored.doc.claimed.as_ref().is_some_and(busy) {
            return Ok(None);
        }
        let done_minute = if rewound { minute - 1 } else { stored.doc.done_minute };
        let rewound = rewound || stored.doc.rewound;
        let cursor = Cursor { shard, done_minute, done_by: stored.doc.done_by.clone(), claimed, rewound };
        if !self.save(&stored, &cursor, None).await? {
            return Ok(None);
        }
        stored.doc = cursor;
        stored.version += 1;
        Ok(Some(stored))
    }

    /// The polls of the first of these minutes, and of as many of the others as have `most` together; and the last of
    /// them.
    async fn planned_polls(
        &self,
        shard: Shard,
        minutes: RangeInclusive<i64>,
        most: usize,
    ) -> Result<(i64, Vec<Job>), EngineError> {
        let shards = self.with_dropped(shard).await?;
        let (mut last, end) = (*minutes.start(), *minutes.end());
        let (mut slots, mut seen, mut jobs) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for minute in minutes {
            let mut of_minute = Vec::new();
            for slot in slots_of(minute, &shards) {
                if slots.insert(slot) {
                    let keys = self.planned_keys(slot).await?.into_iter();
                    of_minute.extend(keys.filter(|key| seen.insert(key.clone())).filter_map(|key| poll_job(&key)));
                }
            }
            let is_too_much = !of_minute.is_empty() && jobs.len() + of_minute.len() > most;
            if is_too_much && !jobs.is_empty() {
                tracing::info!(
                    minutes_left = end - last,
                    "the polls of {} minutes are left to the next tick",
                    end - last
                );
                break;
            }
            jobs.extend(of_minute);
            last = minute;
        }
        Ok((last, jobs))
    }

    async fn planned_keys(&self, slot: PlanSlot) -> Result<Vec<Key>, EngineError> {
        let (mut keys, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = self.store.ledger().planned(slot, cursor.as_deref(), PLAN_PAGE).await;
            let page = page.map_err(StoreError::from)?;
            keys.extend(page.rows.into_iter().map(|row| row.key));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(keys);
            }
        }
    }

    /// What is due in a shard and in those that are no more which fall to it, the longest due first.
    pub(super) async fn due_rows(
        &self,
        shard: Shard,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueRow>, EngineError> {
        let mut rows = Vec::new();
        for shard in self.with_dropped(shard).await? {
            rows.extend(self.store.ledger().due(shard, until, limit).await.map_err(StoreError::from)?);
        }
        rows.sort_by_key(|row| row.at);
        Ok(rows)
    }

    /// Reads records that are due. One that cannot be read must not stand in the way of the others: it is left out.
    async fn read_due(&self, keys: &[Key]) -> Result<Vec<Record>, EngineError> {
        let ledger = self.store.ledger();
        match ledger.get_many(keys).await {
            Err(LedgerError::Corrupt(_)) => {}
            read => return Ok(read.map_err(StoreError::from)?.into_iter().flatten().collect()),
        }
        let mut records = Vec::new();
        for key in keys {
            match ledger.get(key).await {
                Err(LedgerError::Corrupt(why)) => {
                    tracing::error!(path = key.path, "{} is due, but cannot be read: {why}", key.path);
                }
                read => records.extend(read.map_err(StoreError::from)?),
            }
        }
        Ok(records)
    }

    /// Leases what is due and names the jobs, also where it fails in the end. A record that somebody else changes
    /// meanwhile is theirs.
    async fn take_due(&self, shard: Shard, eagerness: Eagerness, jobs: &mut Vec<Job>) -> Result<(), EngineError> {
        let now = self.now();
        let (until, limit) = match eagerness {
            Eagerness::Due => (now, self.policy.in_flight),
            // What has to be left alone stands among the rest.
            Eagerness::Eager => (Timestamp::MAX, EVERYTHING),
        };
        let rows = self.due_rows(shard, until, limit).await?;
        for rows in rows.chunks(MAX_BATCH) {
            if jobs.len() >= self.policy.in_flight {
                break;
            }
            let keys: Vec<_> = rows.iter().map(|row| row.key.clone()).collect();
            let mut leased = Vec::new();
            for record in self.read_due(&keys).await? {
                if self.is_due(&record, eagerness, now) || planted!(self, StaleIndex) {
                    if eagerness == Eagerness::Due
                        && let Some(wait) = self.wait_after_deaths(&record, now, shard)
                    {
                        leased.push((wait, None));
                        continue;
                    }
                    let job = job_of(&record);
                    if job.is_none() {
                        // Of a newer version, or damaged: leased all the same, for it must not stand in the
                        // way of the others.
                        tracing::error!(path = record.key.path, "{} is due, but for nothing known", record.key.path);
                    }
                    leased.push((self.lease(record, now, shard), job));
                }
            }
            let (writes, found): (Vec<_>, Vec<_>) = leased.into_iter().unzip();
            match self.commit_each(writes).await {
                Ok(done) => {
                    jobs.extend(found.into_iter().zip(done).filter(|(_, done)| *done).filter_map(|(job, _)| job));
                }
                Err(error) => {
                    // Some may be leased. Whoever gets the job of one that is not claims it all the same.
                    jobs.extend(found.into_iter().flatten());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// A record whose worker died again and again is let wait, as after any other failure. What kills its
    /// worker takes with it whatever that process had in hand; chance in the waits parts them, so that the
    /// others get through and only the culprit uses its attempts up.
    fn wait_after_deaths(&self, record: &Record, now: Timestamp, shard: Shard) -> Option<Write> {
        #[derive(serde::Deserialize)]
        struct Counted {
            attempts: u32,
        }
        let claim = record.due.as_ref()?.claim.as_ref()?;
        // Its owner is known to be gone, or its lease has ended: where nothing is known of owners, that is a death.
        if !claim.working {
            return None;
        }
        let Counted { attempts } = serde_json::from_str(&record.body).ok()?;
        if attempts <= DEATHS_AT_ONCE {
            return None;
        }
        let is_ride = record.key.path.starts_with("activity/");
        let waits = if is_ride { &self.policy.ride_backoff } else { &self.policy.delivery_backoff };
        let at = Policy::next_try(waits, attempts, now, &*self.ports.entropy)?;
        let change = Change::Put { body: record.body.clone(), due: Some(Due::at(shard, at)), plan: record.plan };
        Some(Write { key: record.key.clone(), expect: Expect::Version(record.version), change })
    }

    pub(super) fn is_due(&self, record: &Record, eagerness: Eagerness, now: Timestamp) -> bool {
        let Some(due) = &record.due else { return false };
        match &due.claim {
            Some(Claim { owner, .. }) if self.ports.ledger.is_gone(owner) => true,
            Some(_) => due.at <= now,
            // Notices gather what a pass brings; they are told at its end.
            None if record.key.path.starts_with("notice/") => due.at <= now,
            // A connection with work waits for its share of the budget; without, for a moment, such as the
            // warning before its token's end.
            None if record.key.path.starts_with("connection/") => {
                due.at <= now || (eagerness == Eagerness::Eager && has_work(record))
            }
            None => due.at <= now || (eagerness == Eagerness::Eager && !is_asked(record, now)),
        }
    }

    fn lease(&self, record: Record, now: Timestamp, shard: Shard) -> Write {
        let early = record.due.as_ref().is_some_and(|due| due.claim.is_none() && due.at > now);
        let claim = Some(Claim { owner: self.owner.clone(), working: false });
        let due = Some(Due { shard, at: later(now, self.policy.lease), claim });
        let body = if early { with_attempt_back(record.body) } else { record.body };
        let expect = Expect::Version(record.version);
        Write { key: record.key, expect, change: Change::Put { body, due, plan: record.plan } }
    }
}

/// The parts of a record by which its next job is known.
#[derive(serde::Deserialize)]
struct Peek {
    #[serde(flatten)]
    activity: Option<ActivityState>,
}

/// Whether something goes on for a connection.
fn has_work(record: &Record) -> bool {
    serde_json::from_str::<Connection>(&record.body).is_ok_and(|connection| connection.has_work())
}

/// The document with one attempt fewer: a try that the rider asked for ahead of its time is free, else
/// running `sync` a few times during an outage would use the attempts of days up.
pub(super) fn with_attempt_back(body: String) -> String {
    let Ok(mut document) = serde_json::from_str::<serde_json::Value>(&body) else { return body };
    match document.get("attempts").and_then(serde_json::Value::as_u64) {
        Some(attempts @ 1..) => {
            document["attempts"] = (attempts - 1).into();
            document.to_string()
        }
        _ => body,
    }
}

/// Whether somebody asked to leave the record alone until later.
fn is_asked(record: &Record, now: Timestamp) -> bool {
    #[derive(serde::Deserialize)]
    struct Asked {
        #[serde(default)]
        state: String,
        #[serde(default)]
        asked_until: Option<Timestamp>,
    }
    // Nobody is heeded for longer: such a time was written by a clock that was wrong.
    let heeded = |until: Timestamp| until > now && until <= later(now, LONGEST_ASKED + SKEW);
    match serde_json::from_str::<Asked>(&record.body) {
        // An accepted file is asked after when the sink said, not sooner.
        Ok(asked) if asked.state == "accepted" => record.due.as_ref().is_none_or(|due| heeded(due.at)),
        Ok(asked) => asked.asked_until.is_some_and(heeded),
        Err(_) => false,
    }
}

/// The slots whose polls are made in a minute.
fn slots_of(minute: i64, shards: &[Shard]) -> impl Iterator<Item = PlanSlot> {
    PollClass::ALL.into_iter().flat_map(move |class| {
        let slot = u16::try_from(minute.rem_euclid(i64::from(class.slots()))).unwrap_or(0);
        shards.iter().map(move |shard| PlanSlot { shard: *shard, class, slot })
    })
}

fn poll_job(key: &Key) -> Option<Job> {
    let Scope::User(user) = &key.scope else { return None };
    let connection = ConnectionId::new(key.path.strip_prefix("connection/")?).ok()?;
    Some(Job { user: user.clone(), task: Task::Poll { connection } })
}

/// The job that a due record waits for; by its path, and a ride's by its state.
fn job_of(record: &Record) -> Option<Job> {
    let Scope::User(user) = &record.key.scope else { return None };
    let (kind, rest) = record.key.path.split_once('/')?;
    let task = match kind {
        "activity" => {
            let activity = ActivityId::new(rest).ok()?;
            let peek: Peek = serde_json::from_str(&record.body).ok()?;
            match peek.activity? {
                ActivityState::Forgotten { erase: true, .. } => Task::Erase { activity },
                state => match state.stage()? {
                    Stage::Resolve => Task::Resolve { activity },
                    Stage::Fetch => Task::Fetch { activity },
                },
            }
        }
        "delivery" => {
            let (sink, content) = rest.split_once('/')?;
            let sink = ConnectionId::new(sink).ok()?;
            Task::Deliver { sink, content: ContentId::try_from(content.to_owned()).ok()? }
        }
        "notice" => Task::Notify { notice: NoticeId::new(rest).ok()? },
        "connection" => connection_task(ConnectionId::new(rest).ok()?, &record.body),
        _ => return None,
    };
    Some(Job { user: user.clone(), task })
}

/// What a due connection waits for: first what waited for the connection itself, then a reconcile, then the
/// backlog.
fn connection_task(connection: ConnectionId, body: &str) -> Task {
    #[derive(serde::Deserialize)]
    struct Peek {
        resume: Option<serde::de::IgnoredAny>,
        reconcile: Option<Reconcile>,
        backfill: Option<Backfill>,
    }
    match serde_json::from_str::<Peek>(body) {
        Ok(Peek { resume: None, reconcile: Some(reconcile), .. }) => match reconcile.is_for_poller() {
            true => Task::Reconcile { connection },
            false => Task::Verify { connection },
        },
        Ok(Peek { resume: None, reconcile: None, backfill: Some(backfill) }) if backfill.is_running() => {
            Task::Backfill { connection }
        }
        _ => Task::Settle { connection },
    }
}

/// What still waits for something in a shard: for exit codes and status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waiting {
    /// Rides that have no file yet.
    pub rides: Vec<Activity>,
    /// Deliveries that are not done.
    pub deliveries: Vec<Delivery>,
    /// Connections with a backfill, or rides that wait to be woken, that go on.
    pub connections: Vec<Connection>,
    /// How many of the rides and deliveries another process has in hand, which lives.
    pub elsewhere: usize,
}

impl Engine {
    /// Everything that is open, however late it is due: what a pass could not finish.
    pub async fn waiting(&self, shard: Shard) -> Result<Waiting, EngineError> {
        let rows = self.due_rows(shard, Timestamp::MAX, EVERYTHING).await?;
        let (mut waiting, now) = (Waiting::default(), self.now());
        let is_elsewhere = |due: Option<&Due>| {
            let claim = due.filter(|due| due.at > now).and_then(|due| due.claim.as_ref());
            claim.is_some_and(|claim| claim.owner != self.owner && !self.ports.ledger.is_gone(&claim.owner))
        };
        let (mut rides, mut deliveries, mut connections) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            match row.key.path.split_once('/').map(|(kind, _)| kind) {
                Some("activity") => rides.push(row.key),
                Some("delivery") => deliveries.push(row.key),
                Some("connection") => connections.push(row.key),
                _ => {}
            }
        }
        for stored in self.store.read_many::<Activity>(&rides).await?.into_iter().flatten() {
            if stored.doc.state.stage().is_some() {
                waiting.elsewhere += usize::from(is_elsewhere(stored.due.as_ref()));
                waiting.rides.push(stored.doc);
            }
        }
        for stored in self.store.read_many::<Delivery>(&deliveries).await?.into_iter().flatten() {
            if stored.doc.state.is_open() {
                waiting.elsewhere += usize::from(is_elsewhere(stored.due.as_ref()));
                waiting.deliveries.push(stored.doc);
            }
        }
        for stored in self.store.read_many::<Connection>(&connections).await?.into_iter().flatten() {
            if stored.due.is_some() && stored.doc.has_work() {
                waiting.connections.push(stored.doc);
            }
        }
        Ok(waiting)
    }

    /// The name this engine's claims carry.
    pub fn owner(&self) -> &OwnerId {
        &self.owner
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str, body: &str) -> Record {
        let scope = Scope::User(crate::domain::UserId::new("me").unwrap());
        Record { key: Key { scope, path: path.into() }, version: 1, body: body.into(), due: None, plan: None }
    }

    #[test]
    fn a_due_record_names_its_job() {
        let task = |path: &str, body: &str| job_of(&record(path, body)).map(|job| job.task);
        let id = ActivityId::new("a-1").unwrap();
        let discovered = serde_json::to_string(&ActivityState::Discovered).unwrap();
        assert_eq!(task("activity/a-1", &discovered), Some(Task::Resolve { activity: id.clone() }));
        let location = crate::domain::FileLocation("https://x".into());
        let resolved = serde_json::to_string(&ActivityState::Resolved { location }).unwrap();
        assert_eq!(task("activity/a-1", &resolved), Some(Task::Fetch { activity: id }));
        let content = ContentId::of(b"x");
        let delivery = format!("delivery/folder-1/{content}");
        let sink = ConnectionId::new("folder-1").unwrap();
        assert_eq!(task(&delivery, "{}"), Some(Task::Deliver { sink: sink.clone(), content }));
        assert_eq!(task("connection/folder-1", "{}"), Some(Task::Settle { connection: sink }));
        for nonsense in ["user", "activity/a/b", "delivery/x", "cursor/1", "activity/a-1"] {
            assert_eq!(task(nonsense, "{}"), None, "{nonsense}");
        }
    }

    #[test]
    fn a_try_ahead_of_its_time_is_free() {
        assert_eq!(with_attempt_back(r#"{"attempts":3}"#.into()), r#"{"attempts":2}"#);
        assert_eq!(with_attempt_back(r#"{"attempts":0}"#.into()), r#"{"attempts":0}"#);
    }

    #[test]
    fn what_a_server_asked_for_is_left_alone() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let asked = |body: &str| is_asked(&record("delivery/x", body), now);
        assert!(asked(r#"{"state":"retrying","asked_until":"2026-01-01T00:00:01Z"}"#));
        assert!(!asked(r#"{"state":"retrying","asked_until":"2026-01-01T00:00:00Z"}"#));
        assert!(!asked(r#"{"state":"retrying"}"#));
        assert!(asked(r#"{"state":"accepted","poll_token":"t"}"#), "nobody says until when");
    }
}
