//! The one connection that writes, on a thread of its own. Commits that wait at the same time become one
//! transaction: each is still all or nothing, and is answered once the transaction is on its way to disk.

use std::{collections::BTreeSet, path::Path, sync::mpsc, thread::JoinHandle};

use fitbridge_core::ports::{Change, CommitError, Expect, Key, LedgerError, MAX_BATCH, Write, millis::ms_up};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::{
    failure::{Answer, translate},
    rows::{class_number, scope_text},
};

/// Commits in one transaction at most, so that none waits long for the others.
const GROUP: usize = 64;
const MAX_PATH_BYTES: usize = 512;
const MAX_BODY_BYTES: usize = 256 * 1024;

const VERSION: &str = "SELECT version FROM records WHERE scope = ?1 AND path = ?2";
const DELETE: &str = "DELETE FROM records WHERE scope = ?1 AND path = ?2";
const INSERT: &str = "INSERT INTO records (scope, path, version, body, due_shard, due_at_ms, owner, working,
    plan_shard, plan_class, plan_slot) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
const UPDATE: &str = "UPDATE records SET version = ?3, body = ?4, due_shard = ?5, due_at_ms = ?6, owner = ?7,
    working = ?8, plan_shard = ?9, plan_class = ?10, plan_slot = ?11 WHERE scope = ?1 AND path = ?2";

struct Job {
    writes: Vec<Write>,
    answer: oneshot::Sender<Result<(), CommitError>>,
}

/// The writing thread. Dropping it waits until the thread has finished what was handed to it.
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether a commit keeps to the port's contract.
pub(super) fn check(writes: &[Write]) -> Result<(), LedgerError> {
    let misuse = |why: String| Err(LedgerError::Misuse(why));
    if writes.len() > MAX_BATCH {
        return misuse(format!("{} writes in one commit", writes.len()));
    }
    if writes.iter().map(|write| &write.key).collect::<BTreeSet<_>>().len() != writes.len() {
        return misuse("a key stands twice in one commit".into());
    }
    for Write { key, change, .. } in writes {
        if key.path.is_empty() || key.path.len() > MAX_PATH_BYTES {
            return misuse(format!("a path of {} bytes", key.path.len()));
        }
        if let Change::Put { body, .. } = change
            && body.len() > MAX_BODY_BYTES
        {
            return misuse(format!("a body of {} bytes at {}", body.len(), key.path));
        }
    }
    Ok(())
}

impl Writer {
    pub(super) fn start(connection: Connection, path: &Path) -> Result<Self, LedgerError> {
        let (jobs, waiting) = mpsc::channel();
        let path = path.to_owned();
        let thread =
            std::thread::Builder::new().name("ledger".into()).spawn(move || work(&connection, &waiting, &path));
        let thread = thread.map_err(|error| LedgerError::Unavailable(format!("no thread can be started: {error}")))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Commits checked writes. They are done even when nobody waits for the answer any longer.
    pub(super) async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        let ended = || LedgerError::Unavailable("the ledger's thread has ended; start the program again".into());
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(Job { writes, answer }).map_err(|_| ended())?;
        answered.await.unwrap_or_else(|_| Err(ended().into()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the ledger's thread panicked");
        }
    }
}

fn work(connection: &Connection, waiting: &mpsc::Receiver<Job>, path: &Path) {
    while let Ok(first) = waiting.recv() {
        let mut group = vec![first];
        group.extend(waiting.try_iter().take(GROUP - 1));
        let done = commit_group(connection, &group);
        if done.is_err() && !connection.is_autocommit() {
            // Only what cannot be undone is left to tell, and the next BEGIN does.
            drop(connection.execute_batch("ROLLBACK"));
        }
        match done {
            Ok(answers) => {
                for (job, answer) in group.into_iter().zip(answers) {
                    // Nobody may be waiting any longer.
                    drop(job.answer.send(answer));
                }
            }
            Err(error) => {
                let error = translate(&error, path);
                for job in group {
                    drop(job.answer.send(Err(error.clone().into())));
                }
            }
        }
    }
}

/// Does a group in one transaction. An error means that nothing of it was done, conflicts included: they may
/// have been about writes of the same group.
fn commit_group(connection: &Connection, group: &[Job]) -> Answer<Vec<Result<(), CommitError>>> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut answers = Vec::with_capacity(group.len());
    for job in group {
        // A commit with a conflict never begins to write, so there is nothing to undo.
        let conflicts = conflicts(connection, &job.writes)?;
        if conflicts.is_empty() {
            for write in &job.writes {
                apply(connection, write)?;
            }
            answers.push(Ok(()));
        } else {
            answers.push(Err(CommitError::Conflict(conflicts)));
        }
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(answers)
}

fn conflicts(connection: &Connection, writes: &[Write]) -> Answer<Vec<Key>> {
    let mut statement = connection.prepare_cached(VERSION)?;
    let mut conflicts = Vec::new();
    for Write { key, expect, .. } in writes {
        let found = statement.query_row(params![scope_text(&key.scope), key.path], |row| row.get::<_, u64>(0));
        let holds = match (expect, found.optional()?) {
            (Expect::Absent, found) => found.is_none(),
            (Expect::Version(expected), found) => found == Some(*expected),
        };
        if !holds {
            conflicts.push(key.clone());
        }
    }
    Ok(conflicts)
}

/// Does one write, whose expectation holds.
fn apply(connection: &Connection, Write { key, expect, change }: &Write) -> Answer<()> {
    let scope = scope_text(&key.scope);
    let (sql, version) = match expect {
        Expect::Absent => (INSERT, 1),
        Expect::Version(version) => (UPDATE, version.saturating_add(1)),
    };
    match change {
        Change::Put { body, due, plan } => {
            let claim = due.as_ref().and_then(|due| due.claim.as_ref());
            connection.prepare_cached(sql)?.execute(params![
                scope,
                key.path,
                version,
                body,
                due.as_ref().map(|due| due.shard.0),
                due.as_ref().map(|due| ms_up(due.at)),
                claim.map(|claim| claim.owner.as_str()),
                claim.map(|claim| claim.working),
                plan.map(|plan| plan.shard.0),
                plan.map(|plan| class_number(plan.class)),
                plan.map(|plan| plan.slot),
            ])?;
        }
        Change::Delete => {
            connection.prepare_cached(DELETE)?.execute(params![scope, key.path])?;
        }
        Change::Check => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fitbridge_core::ports::Scope;

    use super::{super::file, *};

    fn make(path: &str, body: &str) -> Vec<Write> {
        let change = Change::Put { body: body.into(), due: None, plan: None };
        vec![Write { key: Key { scope: Scope::System, path: path.into() }, expect: Expect::Absent, change }]
    }

    #[tokio::test]
    async fn a_full_disk_is_told_undoes_the_commit_and_passes() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.sqlite");
        let connection = file::open(&path).unwrap();
        // A file that may not grow is to SQLite what a full disk is.
        connection.execute_batch("PRAGMA max_page_count = 12").unwrap();
        let writer = Writer::start(connection, &path).unwrap();
        writer.commit(make("small", "{}")).await.unwrap();
        let two = [make("other", "{}"), make("large", &"x".repeat(200_000))].concat();
        let full = writer.commit(two).await.unwrap_err();
        let CommitError::Ledger(LedgerError::Full(why)) = &full else { panic!("{full:?}") };
        assert!(why.contains("make room"), "{why}");
        writer.commit(make("other", "{}")).await.expect("nothing of the failed commit is there");
    }

    #[tokio::test]
    async fn a_lock_of_another_process_is_told_after_a_while_and_passes() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.sqlite");
        let connection = file::open(&path).unwrap();
        connection.busy_timeout(std::time::Duration::from_millis(20)).unwrap();
        let writer = Writer::start(connection, &path).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let locked = writer.commit(make("a", "{}")).await.unwrap_err();
        let CommitError::Ledger(LedgerError::Locked(why)) = &locked else { panic!("{locked:?}") };
        assert!(why.contains("ledger.sqlite") && why.contains("other process"), "{why}");
        other.execute_batch("ROLLBACK").unwrap();
        writer.commit(make("a", "{}")).await.unwrap();
    }

    #[tokio::test]
    async fn commits_of_one_group_stand_or_fall_for_themselves() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.sqlite");
        let connection = file::open(&path).unwrap();
        let job = |writes| {
            let (answer, answered) = oneshot::channel();
            (Job { writes, answer }, answered)
        };
        let (group, _answered): (Vec<_>, Vec<_>) =
            [job(make("a", "first")), job([make("b", "{}"), make("a", "second")].concat()), job(make("b", "third"))]
                .into_iter()
                .unzip();
        let answers = commit_group(&connection, &group).unwrap();
        let lost = Err(CommitError::Conflict(vec![make("a", "")[0].key.clone()]));
        assert_eq!(answers, [Ok(()), lost, Ok(())]);
        let bodies: String =
            connection.query_row("SELECT group_concat(body, ' ') FROM records", [], |row| row.get(0)).unwrap();
        assert_eq!(bodies, "first third");
    }

    #[tokio::test]
    async fn a_commit_is_done_even_when_nobody_waits_for_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.sqlite");
        let writer = Arc::new(Writer::start(file::open(&path).unwrap(), &path).unwrap());
        let commit = Arc::clone(&writer);
        let mut waiting = Box::pin(async move { commit.commit(make("a", "{}")).await });
        // It may be pending or done by now: either way it was handed over.
        drop(futures::poll!(&mut waiting));
        drop(waiting);
        drop(writer);
        let found: i64 =
            file::open(&path).unwrap().query_row("SELECT count(*) FROM records", [], |row| row.get(0)).unwrap();
        assert_eq!(found, 1);
    }
}
