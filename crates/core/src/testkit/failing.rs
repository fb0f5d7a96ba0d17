//! A ledger that fails where a test wants it to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    domain::{OwnerId, Shard},
    ports::{
        Change, CommitError, DueRow, Expect, Key, Ledger, LedgerError, PlanPage, PlanSlot, Record, RecordPage, Scope,
        Write,
    },
};

/// When a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing was done.
    Before,
    /// It was done, but the answer is lost.
    After,
}

#[derive(Debug, Default)]
struct Script {
    commits: u64,
    calls: u64,
    fail_commit: Option<(u64, Moment)>,
    crash_at_call: Option<u64>,
    down: bool,
    lost_races: BTreeMap<Key, u32>,
    damaged: BTreeSet<Key>,
}

/// Wraps any ledger and injects faults. Clones share the script.
#[derive(Debug, Clone)]
pub struct FailingLedger {
    inner: Arc<dyn Ledger>,
    script: Arc<Mutex<Script>>,
}

fn injected() -> LedgerError {
    LedgerError::Unavailable("injected by the test".into())
}

impl FailingLedger {
    /// Over a ledger; nothing fails yet.
    pub fn new(inner: Arc<dyn Ledger>) -> Self {
        Self { inner, script: Arc::default() }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the `n`-th commit from now fail once (1 is the next one).
    pub fn fail_commit(&self, n: u64, moment: Moment) {
        let mut script = self.script();
        script.fail_commit = Some((script.commits + n, moment));
    }

    /// Makes the `n`-th call from now (1 is the next one) and all later ones fail, as a process that is
    /// killed there makes no more, until [`Self::revive`].
    pub fn crash_at_call(&self, n: u64) {
        let mut script = self.script();
        script.crash_at_call = Some(script.calls + n);
    }

    /// Lets the next `times` commits that write or check that record find that somebody else was faster, who wrote
    /// the same to it once more.
    pub fn lose_race(&self, key: Key, times: u32) {
        self.script().lost_races.insert(key, times);
    }

    /// Makes a record one that cannot be read any more, alone or among others.
    pub fn damage(&self, key: Key) {
        self.script().damaged.insert(key);
    }

    fn whole<'a>(&self, keys: impl IntoIterator<Item = &'a Key>) -> Result<(), LedgerError> {
        let script = self.script();
        match keys.into_iter().find(|key| script.damaged.contains(key)) {
            Some(key) => Err(LedgerError::Corrupt(format!("{}, damaged by the test", key.path))),
            None => Ok(()),
        }
    }

    /// Lets everything work again.
    pub fn revive(&self) {
        let mut script = self.script();
        (script.down, script.crash_at_call, script.fail_commit) = (false, None, None);
    }

    /// How many calls and how many commits were made so far.
    pub fn counts(&self) -> (u64, u64) {
        let script = self.script();
        (script.calls, script.commits)
    }

    /// Whether it is down after a [`Self::crash_at_call`].
    pub fn is_down(&self) -> bool {
        self.script().down
    }

    async fn others_are_faster(&self, writes: &[Write]) -> Result<(), CommitError> {
        for write in writes {
            let is_lost = match self.script().lost_races.get_mut(&write.key) {
                Some(left @ 1..) => {
                    *left -= 1;
                    true
                }
                _ => false,
            };
            if let Some(record) = self.inner.get(&write.key).await?.filter(|_| is_lost) {
                let change = Change::Put { body: record.body, due: record.due, plan: record.plan };
                let expect = Expect::Version(record.version);
                self.inner.commit(vec![Write { key: record.key, expect, change }]).await?;
            }
        }
        Ok(())
    }

    fn call(&self) -> Result<(), LedgerError> {
        let mut script = self.script();
        script.calls += 1;
        script.down |= script.crash_at_call.is_some_and(|at| script.calls >= at);
        if script.down { Err(injected()) } else { Ok(()) }
    }

    fn commit_fault(&self) -> Option<Moment> {
        let mut script = self.script();
        script.commits += 1;
        let (_, moment) = script.fail_commit.filter(|(at, _)| *at == script.commits)?;
        script.fail_commit = None;
        Some(moment)
    }
}

#[async_trait]
impl Ledger for FailingLedger {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        self.call()?;
        self.whole([key])?;
        self.inner.get(key).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError> {
        self.call()?;
        self.whole(keys)?;
        self.inner.get_many(keys).await
    }

    async fn range(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        self.call()?;
        self.inner.range(scope, prefix, after, limit).await
    }

    async fn range_back(
        &self,
        scope: &Scope,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        self.call()?;
        self.inner.range_back(scope, prefix, before, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        self.call()?;
        self.others_are_faster(&writes).await?;
        match self.commit_fault() {
            Some(Moment::Before) => Err(injected().into()),
            Some(Moment::After) => {
                self.inner.commit(writes).await?;
                Err(injected().into())
            }
            None => self.inner.commit(writes).await,
        }
    }

    async fn due(&self, shard: Shard, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, LedgerError> {
        self.call()?;
        self.inner.due(shard, until, limit).await
    }

    async fn planned(&self, slot: PlanSlot, cursor: Option<&str>, limit: usize) -> Result<PlanPage, LedgerError> {
        self.call()?;
        self.inner.planned(slot, cursor, limit).await
    }

    fn is_gone(&self, owner: &OwnerId) -> bool {
        self.inner.is_gone(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::MemoryLedger;

    fn make(path: &str) -> Vec<Write> {
        let change = Change::Put { body: "{}".into(), due: None, plan: None };
        vec![Write { key: Key { scope: Scope::System, path: path.into() }, expect: Expect::Absent, change }]
    }

    #[tokio::test]
    async fn a_lost_answer_is_not_a_lost_commit() {
        let ledger = FailingLedger::new(Arc::new(MemoryLedger::default()));
        ledger.fail_commit(2, Moment::After);
        ledger.commit(make("a")).await.unwrap();
        assert!(matches!(ledger.commit(make("b")).await, Err(CommitError::Ledger(LedgerError::Unavailable(_)))));
        assert!(matches!(ledger.commit(make("b")).await, Err(CommitError::Conflict(_))));
        ledger.fail_commit(1, Moment::Before);
        ledger.commit(make("c")).await.unwrap_err();
        ledger.commit(make("c")).await.unwrap();
        assert_eq!(ledger.counts(), (5, 5));
    }

    #[tokio::test]
    async fn a_crash_lasts_until_the_revival() {
        let ledger = FailingLedger::new(Arc::new(MemoryLedger::default()));
        ledger.crash_at_call(2);
        ledger.commit(make("a")).await.unwrap();
        assert!(!ledger.is_down());
        ledger.commit(make("b")).await.unwrap_err();
        assert!(ledger.get(&make("a")[0].key).await.is_err() && ledger.is_down());
        ledger.revive();
        ledger.commit(make("b")).await.unwrap();
    }

    #[tokio::test]
    async fn a_lost_race_is_a_conflict_and_the_next_try_is_not() {
        let ledger = FailingLedger::new(Arc::new(MemoryLedger::default()));
        ledger.commit(make("a")).await.unwrap();
        let key = make("a")[0].key.clone();
        ledger.lose_race(key.clone(), 1);
        let check = |version| Write { key: key.clone(), expect: Expect::Version(version), change: Change::Check };
        assert!(matches!(ledger.commit(vec![check(1)]).await, Err(CommitError::Conflict(_))));
        ledger.commit(vec![check(2)]).await.unwrap();
    }
}
