//! The ledger in memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use crate::{
    domain::{OwnerId, Shard},
    ports::{
        Change, CommitError, Due, DueRow, Expect, Key, Ledger, LedgerError, MAX_BATCH, PlanPage, PlanRow, PlanSlot,
        Record, RecordPage, Scope, Write,
    },
};

#[derive(Debug, Default)]
struct Tables {
    records: BTreeMap<Key, Record>,
    gone: BTreeSet<OwnerId>,
    /// What the indexes show; brought up to date by `settle` when they lag.
    due: BTreeMap<Key, (Shard, Timestamp, Option<OwnerId>)>,
    plan: BTreeSet<(PlanSlot, Key)>,
    planned_at: BTreeMap<Key, PlanSlot>,
    stale: BTreeSet<Key>,
    commits: u64,
    ranges: u64,
    writes: Vec<Key>,
}

impl Tables {
    fn index(&mut self, key: &Key) {
        self.due.remove(key);
        if let Some(slot) = self.planned_at.remove(key) {
            self.plan.remove(&(slot, key.clone()));
        }
        if let Some(record) = self.records.get(key) {
            if let Some(due) = &record.due {
                let owner = due.claim.as_ref().map(|claim| claim.owner.clone());
                self.due.insert(key.clone(), (due.shard, due.at, owner));
            }
            if let Some(slot) = record.plan {
                self.plan.insert((slot, key.clone()));
                self.planned_at.insert(key.clone(), slot);
            }
        }
    }
}

/// A ledger in memory. Clones share their data, as processes share a database. With
/// [`MemoryLedger::lagging`] its indexes show a commit only after [`MemoryLedger::settle`], as DynamoDB's
/// do after a while.
#[derive(Debug, Clone, Default)]
pub struct MemoryLedger {
    tables: Arc<Mutex<Tables>>,
    lags: bool,
}

impl MemoryLedger {
    /// One whose indexes lag.
    pub fn lagging() -> Self {
        Self { lags: true, ..Self::default() }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings lagging indexes up to date.
    pub fn settle(&self) {
        let mut tables = self.tables();
        for key in std::mem::take(&mut tables.stale) {
            tables.index(&key);
        }
    }

    /// Declares an owner dead.
    pub fn kill(&self, owner: &OwnerId) {
        self.tables().gone.insert(owner.clone());
    }

    /// How many commits there were, and the keys they wrote (checks left out), since the last call.
    pub fn take_writes(&self) -> (u64, Vec<Key>) {
        let mut tables = self.tables();
        (std::mem::take(&mut tables.commits), std::mem::take(&mut tables.writes))
    }

    /// How many ranges were read since the last call.
    pub fn take_ranges(&self) -> u64 {
        std::mem::take(&mut self.tables().ranges)
    }
}

fn check(write: &Write) -> Result<(), LedgerError> {
    let length = write.key.path.len();
    if !(1..=512).contains(&length) {
        return Err(LedgerError::Misuse(format!("a path of {length} bytes")));
    }
    match &write.change {
        Change::Put { body, .. } if body.len() > 256 * 1024 => {
            Err(LedgerError::Misuse(format!("a body of {} bytes at {}", body.len(), write.key.path)))
        }
        _ => Ok(()),
    }
}

/// The due time as it is kept: whole milliseconds, rounded up, so that nothing is due before its time.
fn whole_ms(due: Due) -> Due {
    let millisecond = SignedDuration::from_millis(1);
    let cut = due.at.subsec_nanosecond().rem_euclid(1_000_000);
    let floor = due.at - SignedDuration::from_nanos(cut.into());
    // Above the last millisecond there is none to round up to.
    let at = if cut == 0 { floor } else { floor.checked_add(millisecond).unwrap_or(floor) };
    Due { at, ..due }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        Ok(self.tables().records.get(key).cloned())
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError> {
        if keys.len() > MAX_BATCH {
            return Err(LedgerError::Misuse(format!("{} keys at once", keys.len())));
        }
        let tables = self.tables();
        Ok(keys.iter().map(|key| tables.records.get(key).cloned()).collect())
    }

    async fn range(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        let limit = limit.max(1);
        let mut tables = self.tables();
        tables.ranges += 1;
        let from = Key { scope: scope.clone(), path: after.filter(|after| *after > prefix).unwrap_or(prefix).into() };
        let mut records = tables
            .records
            .range(from..)
            .map(|(_, record)| record)
            .skip_while(|record| after.is_some_and(|after| record.key.path.as_str() <= after))
            .take_while(|record| record.key.scope == *scope && record.key.path.starts_with(prefix));
        let page: Vec<_> = records.by_ref().take(limit).cloned().collect();
        let next = records.next().and_then(|_| page.last().map(|record| record.key.path.clone()));
        Ok(RecordPage { records: page, next })
    }

    async fn range_back(
        &self,
        scope: &Scope,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        let limit = limit.max(1);
        let tables = self.tables();
        let from = Key { scope: scope.clone(), path: prefix.into() };
        let records: Vec<_> = tables
            .records
            .range(from..)
            .map(|(_, record)| record)
            .take_while(|record| record.key.scope == *scope && record.key.path.starts_with(prefix))
            .take_while(|record| before.is_none_or(|before| record.key.path.as_str() < before))
            .collect();
        let page: Vec<Record> = records.iter().rev().take(limit).map(|record| (*record).clone()).collect();
        let next = page.last().filter(|_| records.len() > limit).map(|record| record.key.path.clone());
        Ok(RecordPage { records: page, next })
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        if writes.len() > MAX_BATCH {
            return Err(LedgerError::Misuse(format!("{} writes in one commit", writes.len())).into());
        }
        if writes.iter().map(|write| &write.key).collect::<BTreeSet<_>>().len() != writes.len() {
            return Err(LedgerError::Misuse("a key stands twice in one commit".into()).into());
        }
        let mut guard = self.tables();
        let tables = &mut *guard;
        let mut conflicts = Vec::new();
        for write in &writes {
            check(write)?;
            let version = tables.records.get(&write.key).map(|record| record.version);
            let holds = match write.expect {
                Expect::Absent => version.is_none(),
                Expect::Version(expected) => version == Some(expected),
            };
            if !holds {
                conflicts.push(write.key.clone());
            }
        }
        if !conflicts.is_empty() {
            return Err(CommitError::Conflict(conflicts));
        }
        tables.commits += u64::from(!writes.is_empty());
        for Write { key, expect, change } in writes {
            let version = match expect {
                Expect::Absent => 1,
                Expect::Version(version) => version + 1,
            };
            match change {
                Change::Put { body, due, plan } => {
                    let record = Record { key: key.clone(), version, body, due: due.map(whole_ms), plan };
                    tables.records.insert(key.clone(), record);
                }
                Change::Delete => {
                    tables.records.remove(&key);
                }
                Change::Check => continue,
            }
            tables.writes.push(key.clone());
            if self.lags {
                tables.stale.insert(key);
            } else {
                tables.index(&key);
            }
        }
        Ok(())
    }

    async fn due(&self, shard: Shard, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, LedgerError> {
        let tables = self.tables();
        let mut rows: Vec<_> = tables
            .due
            .iter()
            .filter(|(_, (of, at, owner))| {
                let gone = owner.as_ref().is_some_and(|owner| tables.gone.contains(owner));
                *of == shard && (*at <= until || gone)
            })
            .map(|(key, (_, at, _))| DueRow { key: key.clone(), at: *at })
            .collect();
        rows.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        rows.truncate(limit);
        Ok(rows)
    }

    async fn planned(&self, slot: PlanSlot, cursor: Option<&str>, limit: usize) -> Result<PlanPage, LedgerError> {
        let skip = cursor.and_then(|cursor| cursor.parse::<usize>().ok()).unwrap_or(0);
        let tables = self.tables();
        let mut keys = tables.plan.iter().filter(|(of, _)| *of == slot).map(|(_, key)| key).skip(skip);
        let rows: Vec<_> = keys.by_ref().take(limit.max(1)).map(|key| PlanRow { key: key.clone() }).collect();
        let next = keys.next().map(|_| (skip + rows.len()).to_string());
        Ok(PlanPage { rows, next })
    }

    fn is_gone(&self, owner: &OwnerId) -> bool {
        self.tables().gone.contains(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::conformance::ledger::{Instance, Subject, suite};

    struct Memory {
        ledger: MemoryLedger,
    }

    #[async_trait]
    impl Instance for Memory {
        fn ledger(&self) -> Arc<dyn Ledger> {
            Arc::new(self.ledger.clone())
        }

        async fn settle(&self) {
            self.ledger.settle();
        }

        fn live_owner(&self) -> Option<OwnerId> {
            static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
            let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Some(OwnerId::from_any(&format!("owner-{number}")))
        }

        fn kill(&self, owner: &OwnerId) {
            self.ledger.kill(owner);
        }
    }

    struct Make(fn() -> MemoryLedger);

    #[async_trait]
    impl Subject for Make {
        async fn fresh(&self) -> Box<dyn Instance> {
            Box::new(Memory { ledger: (self.0)() })
        }
    }

    #[tokio::test]
    async fn the_memory_ledger_conforms() {
        suite(&Make(MemoryLedger::default)).await;
    }

    #[tokio::test]
    async fn the_lagging_memory_ledger_conforms() {
        suite(&Make(MemoryLedger::lagging)).await;
    }

    #[tokio::test]
    async fn lagging_indexes_show_a_commit_only_when_settled() {
        let ledger = MemoryLedger::lagging();
        let due = Some(Due::at(Shard(0), Timestamp::UNIX_EPOCH));
        let key = Key { scope: Scope::System, path: "a".into() };
        let change = Change::Put { body: "{}".into(), due, plan: None };
        ledger.commit(vec![Write { key: key.clone(), expect: Expect::Absent, change }]).await.unwrap();
        assert!(ledger.due(Shard(0), Timestamp::MAX, 9).await.unwrap().is_empty());
        ledger.settle();
        assert_eq!(ledger.due(Shard(0), Timestamp::MAX, 9).await.unwrap().len(), 1);
        assert_eq!(ledger.take_writes(), (1, vec![key]));
        assert_eq!(ledger.take_writes(), (0, vec![]));
    }
}
