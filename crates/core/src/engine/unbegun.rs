//! Giving back what was handed over and not begun.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Engine, EngineError};
use crate::{
    ports::{Change, Due, Expect, Job, Key, MAX_BATCH, Record, Task, Write},
    store::StoreError,
};

impl Engine {
    /// Gives jobs back that were handed over and not begun: their records are due now instead of when their
    /// lease ends. What somebody has begun or changed meanwhile is left alone; polls have no such record.
    pub async fn give_jobs_back(&self, jobs: &[Job]) -> Result<(), EngineError> {
        let keys: BTreeSet<Key> = jobs.iter().filter_map(key_of).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let now = self.now();
        for keys in keys.chunks(MAX_BATCH) {
            let records = self.store.ledger().get_many(keys).await.map_err(StoreError::from)?;
            let writes: Vec<_> =
                records.into_iter().flatten().filter_map(|record| self.unleased(record, now)).collect();
            self.commit_each(writes).await?;
        }
        Ok(())
    }

    /// The write that ends a lease of this engine's that nobody works under.
    fn unleased(&self, record: Record, now: Timestamp) -> Option<Write> {
        let due = record.due?;
        let is_ours = due.claim.is_some_and(|claim| claim.owner == self.owner && !claim.working);
        is_ours.then(|| Write {
            key: record.key,
            expect: Expect::Version(record.version),
            change: Change::Put { body: record.body, due: Some(Due::at(due.shard, now)), plan: record.plan },
        })
    }
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
