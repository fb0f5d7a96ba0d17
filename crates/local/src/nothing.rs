//! What there is before anything was connected: commands that only look must not make any file.

use async_trait::async_trait;
use bytes::Bytes;
use fitbridge_core::{
    domain::{ContentId, OwnerId, Shard, UserId},
    ports::{
        Archive, ArchiveError, CommitError, DueRow, Key, Ledger, LedgerError, PlanPage, PlanSlot, Put, Record,
        RecordPage, Scope, Write,
    },
};
use jiff::Timestamp;

/// An empty ledger that cannot be written, and an empty archive.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

fn read_only() -> String {
    "nothing is there yet, and this command only looks".into()
}

#[async_trait]
impl Ledger for Nothing {
    async fn get(&self, _key: &Key) -> Result<Option<Record>, LedgerError> {
        Ok(None)
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError> {
        Ok(vec![None; keys.len()])
    }

    async fn range(
        &self,
        _scope: &Scope,
        _prefix: &str,
        _after: Option<&str>,
        _limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        Ok(RecordPage::default())
    }

    async fn range_back(
        &self,
        _scope: &Scope,
        _prefix: &str,
        _before: Option<&str>,
        _limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        Ok(RecordPage::default())
    }

    async fn commit(&self, _writes: Vec<Write>) -> Result<(), CommitError> {
        Err(LedgerError::ReadOnly(read_only()).into())
    }

    async fn due(&self, _shard: Shard, _until: Timestamp, _limit: usize) -> Result<Vec<DueRow>, LedgerError> {
        Ok(Vec::new())
    }

    async fn planned(&self, _slot: PlanSlot, _cursor: Option<&str>, _limit: usize) -> Result<PlanPage, LedgerError> {
        Ok(PlanPage::default())
    }

    fn is_gone(&self, _owner: &OwnerId) -> bool {
        false
    }
}

#[async_trait]
impl Archive for Nothing {
    async fn put(&self, _user: &UserId, _content: ContentId, _bytes: Bytes) -> Result<Put, ArchiveError> {
        Err(ArchiveError::Unavailable(read_only()))
    }

    async fn open(&self, _user: &UserId, content: ContentId) -> Result<Bytes, ArchiveError> {
        Err(ArchiveError::Missing(content))
    }

    async fn delete(&self, _user: &UserId, _content: ContentId) -> Result<(), ArchiveError> {
        Ok(())
    }

    async fn forget_user(&self, _user: &UserId) -> Result<u64, ArchiveError> {
        Ok(0)
    }
}
