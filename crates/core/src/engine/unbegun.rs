//! Giving back what was handed over and not begun.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Engine, EngineError};
use crate::{
    domain::OwnerId,
    ports::{Change, Claim, Due, Expect, Job, Key, MAX_BATCH, Record, Task, Write},
    store::StoreError,
};

impl Engine {
    /// Gives jobs back that were handed over and not begun: their records are due now instead of when their
    /// lease ends. What somebody has begun or changed meanwhile is left alone; polls have no such record.
    pub async fn give_jobs_back(&self, jobs: &[Job]) -> Result<(), EngineError> {
        self.unlease(jobs, Some(&self.owner)).await
    }

    /// The same for jobs that somebody else handed over to this one.
    pub async fn leave_jobs(&self, jobs: &[Job]) -> Result<(), EngineError> {
        self.unlease(jobs, None).await
    }

    async fn unlease(&self, jobs: &[Job], owner: Option<&OwnerId>) -> Result<(), EngineError> {
        let keys: BTreeSet<Key> = jobs.iter().filter_map(key_of).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let now = self.now();
        for keys in keys.chunks(MAX_BATCH) {
            let records = self.store.ledger().get_many(keys).await.map_err(StoreError::from)?;
            let writes: Vec<_> =
                records.into_iter().flatten().filter_map(|record| unleased(record, owner, now)).collect();
            self.commit_each(writes).await?;
        }
        Ok(())
    }
}

/// The write that ends a lease that nobody works under; only of that owner's, where one is named.
fn unleased(record: Record, owner: Option<&OwnerId>, now: Timestamp) -> Option<Write> {
    let due = record.due?;
    let is_theirs = |claim: Claim| owner.is_none_or(|owner| claim.owner == *owner) && !claim.working;
    due.claim.is_some_and(is_theirs).then(|| Write {
        key: record.key,
        expect: Expect::Version(record.version),
        change: Change::Put { body: record.body, due: Some(Due::at(due.shard, now)), plan: record.plan },
    })
}

/// The record that comes due again for a job.
fn key_of(job: &Job) -> Option<Key> {
    Some(match &job.task {
        Task::Poll { .. } => return None,
        Task::Resolve { activity } | Task::Fetch { activity } | Task::Erase { activity } => {
            Key::activity(&job.user, activity)
        }
        Task::Deliver { sink, content } => Key::delivery(&job.user, sink, content),
        Task::Backfill { connection }
        | Task::Reconcile { connection }
        | Task::Verify { connection }
        | Task::Settle { connection } => Key::connection(&job.user, connection),
        Task::Notify { notice } => Key::notice(&job.user, notice),
    })
}
