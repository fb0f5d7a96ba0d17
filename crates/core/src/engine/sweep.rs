//! What is due: who takes it up, and as which job.

use jiff::Timestamp;

use super::{
    Engine, EngineError, Policy,
    policy::{LONGEST_ASKED, SKEW, later},
};
use crate::{
    domain::{
        ActivityId, ActivityState, Backfill, Connection, ConnectionId, ContentId, NoticeId, Reconcile, Shard, Stage,
    },
    ports::{Change, Claim, Due, DueRow, Expect, Job, Key, LedgerError, MAX_BATCH, Record, Scope, Task, Write},
    store::StoreError,
};

/// So often is a record taken over at once from a worker that died.
const DEATHS_AT_ONCE: u32 = 2;
/// Rows of the due index that are looked at for a rider's own commands.
pub(super) const EVERYTHING: usize = 100_000;
/// So many times as many rows are looked at while the queue has no room: behind what has to wait there may be work that
/// has not. What is due behind all these waits too.
const LOOK_FURTHER: usize = 10;

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
    /// Hands over what is due in a shard, and says how much that was. Where it fails half-way, what is leased by then
    /// is handed over all the same.
    pub async fn sweep(&self, shard: Shard, eagerness: Eagerness) -> Result<usize, EngineError> {
        let mut jobs = Vec::new();
        let taken = self.take_due(shard, eagerness, &mut jobs).await;
        let count = jobs.len();
        self.hand_over(jobs).await;
        taken.map(|()| count)
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
        let most = self.policy.in_flight;
        let (until, limit) = match eagerness {
            Eagerness::Due => (now, most),
            // What has to be left alone stands among the rest.
            Eagerness::Eager => (Timestamp::MAX, EVERYTHING),
        };
        let mut rows = self.due_rows(shard, until, limit).await?;
        let mut elsewhere = most;
        if eagerness == Eagerness::Due && !rows.is_empty() {
            elsewhere = self.room_elsewhere().await;
            if elsewhere < rows.len() && rows.len() >= limit {
                rows = self.due_rows(shard, until, limit.saturating_mul(LOOK_FURTHER)).await?;
            }
        }
        for rows in rows.chunks(MAX_BATCH) {
            if jobs.len() >= most {
                break;
            }
            let may_go = |row: &&DueRow| elsewhere > 0 || !row.key.path.starts_with("delivery/");
            let keys: Vec<_> = rows.iter().filter(may_go).map(|row| row.key.clone()).collect();
            let mut leased = Vec::new();
            for record in self.read_due(&keys).await? {
                if !(self.is_due(&record, eagerness, now) || planted!(self, StaleIndex)) {
                    continue;
                }
                if eagerness == Eagerness::Due
                    && let Some(wait) = self.wait_after_deaths(&record, now, shard)
                {
                    leased.push((wait, None));
                    continue;
                }
                let job = job_of(&record);
                match &job {
                    Some(job) if job.task.calls_source() => {}
                    Some(_) if elsewhere == 0 => continue,
                    Some(_) => elsewhere -= 1,
                    // Of a newer version, or damaged: leased all the same, for it must not stand in the way of the
                    // others.
                    None => {
                        tracing::error!(path = record.key.path, "{} is due, but for nothing known", record.key.path);
                    }
                }
                leased.push((self.lease(record, now, shard), job));
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

    /// How many references other workers may get: what may be on the way to them, less this shard's share of what is. A
    /// worker that stands still else finds the same references again and again once it goes on, for their leases end.
    async fn room_elsewhere(&self) -> usize {
        let waiting = match self.ports.queue.waiting().await {
            Ok(waiting) => waiting / usize::from(self.policy.shards.max(1)),
            Err(error) => {
                tracing::warn!(%error, "how much waits in the queue is not known: {error}");
                0
            }
        };
        self.policy.in_flight.saturating_sub(waiting)
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
