//! The ledger in SQLite.

mod failure;
mod file;
mod query;
mod readers;
mod rows;
mod writer;

use std::{fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use fitbridge_core::{
    Code, Failure,
    domain::{OwnerId, Shard},
    ports::{
        CommitError, DueRow, Key, Ledger, LedgerError, MAX_BATCH, PlanPage, PlanSlot, Record, RecordPage, Scope, Write,
    },
};
use jiff::Timestamp;
use tracing::instrument;

use self::{readers::Readers, writer::Writer};
use crate::Owners;

/// Writes the file anew without what was deleted from it: SQLite leaves deleted rows in free pages. Nobody else
/// may have it open for writing.
///
/// # Errors
/// Why the file is as it was.
pub fn scrub(path: &Path) -> Result<(), OpenError> {
    let connection = file::open(path)?;
    let done = connection.execute_batch(
        "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA secure_delete = ON; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);",
    );
    done.map_err(|error| OpenError::from(failure::translate(&error, path)))
}

/// Why a ledger could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is none yet; only when it is opened read-only, since else it is made.
    #[error("{0} is not there: nothing was connected yet")]
    Missing(String),
    /// A newer version of this program wrote it.
    #[error("{path} has format {found}, and this version knows up to {known}: use the newer version")]
    TooNew {
        /// Which file.
        path: String,
        /// Its format.
        found: i64,
        /// The newest format that is known.
        known: i64,
    },
    /// It cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl OpenError {
    /// The failure as it is shown.
    pub fn failure(&self) -> Failure {
        let code = match self {
            Self::Missing(_) | Self::Ledger(LedgerError::Unavailable(_)) => Code::LedgerUnavailable,
            Self::TooNew { .. } => Code::LedgerTooNew,
            Self::Ledger(LedgerError::Locked(_)) => Code::LedgerLocked,
            Self::Ledger(LedgerError::ReadOnly(_)) => Code::LedgerReadOnly,
            Self::Ledger(LedgerError::Full(_)) => Code::DiskFull,
            Self::Ledger(LedgerError::Corrupt(_)) => Code::LedgerCorrupt,
            Self::Ledger(LedgerError::Misuse(_)) => Code::Bug,
        };
        Failure::new(code, self.to_string())
    }
}

/// A ledger in one SQLite file. Any number of processes may have it open; readers never wait for a writer.
/// Dropping it waits until what was begun is committed, and the last one to close it leaves a single file.
pub struct SqliteLedger {
    readers: Arc<Readers>,
    /// `None` when it was opened read-only.
    writer: Option<Writer>,
    owners: Owners,
    path: String,
}

impl fmt::Debug for SqliteLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLedger").field("path", &self.path).field("writes", &self.writer.is_some()).finish()
    }
}

impl SqliteLedger {
    /// Opens a ledger, and makes it where there is none. It blocks while another process makes it, or keeps
    /// it locked, for up to about 10 seconds.
    pub fn open(path: &Path, owners: Owners) -> Result<Self, OpenError> {
        let connection = file::open(path)?;
        let writer = Writer::start(connection, path)?;
        let readers = Arc::new(Readers::beside_a_writer(path));
        Ok(Self { readers, writer: Some(writer), owners, path: path.display().to_string() })
    }

    /// Opens a ledger for reading only. No byte of any file is changed and none is made, neither now nor by
    /// a later read or by dropping it. Other processes may write meanwhile, and are seen to.
    pub fn open_read_only(path: &Path, owners: Owners) -> Result<Self, OpenError> {
        let readers = Arc::new(Readers::without_a_trace(path)?);
        Ok(Self { readers, writer: None, owners, path: path.display().to_string() })
    }
}

impl Drop for SqliteLedger {
    fn drop(&mut self) {
        // The writer closes last: it is the one that can fold the log into the file.
        self.readers.close();
        drop(self.writer.take());
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    #[instrument(level = "trace", skip_all)]
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        let key = key.clone();
        self.readers.run(move |connection| query::get(connection, &key)).await
    }

    #[instrument(level = "trace", skip_all, fields(keys = keys.len()))]
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError> {
        if keys.len() > MAX_BATCH {
            return Err(LedgerError::Misuse(format!("{} keys at once", keys.len())));
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys = keys.to_vec();
        self.readers.run(move |connection| keys.iter().map(|key| query::get(connection, key)).collect()).await
    }

    #[instrument(level = "trace", skip_all)]
    async fn range(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        let (scope, prefix, after) = (scope.clone(), prefix.to_owned(), after.map(str::to_owned));
        let page = move |connection: &_| query::range(connection, &scope, &prefix, after.as_deref(), limit.max(1));
        self.readers.run(page).await
    }

    #[instrument(level = "trace", skip_all)]
    async fn range_back(
        &self,
        scope: &Scope,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        let (scope, prefix, before) = (scope.clone(), prefix.to_owned(), before.map(str::to_owned));
        let page =
            move |connection: &_| query::range_back(connection, &scope, &prefix, before.as_deref(), limit.max(1));
        self.readers.run(page).await
    }

    #[instrument(level = "trace", skip_all, fields(writes = writes.len()))]
    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        writer::check(&writes)?;
        let Some(writer) = &self.writer else {
            return Err(LedgerError::ReadOnly(format!("{} was opened for reading only", self.path)).into());
        };
        if writes.is_empty() {
            return Ok(());
        }
        writer.commit(writes).await
    }

    #[instrument(level = "trace", skip_all, fields(shard = shard.0))]
    async fn due(&self, shard: Shard, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, LedgerError> {
        let owners = self.owners.clone();
        let due = move |connection: &_| query::due(connection, shard, until, limit, &|owner| owners.is_gone(owner));
        self.readers.run(due).await
    }

    #[instrument(level = "trace", skip_all, fields(shard = slot.shard.0))]
    async fn planned(&self, slot: PlanSlot, cursor: Option<&str>, limit: usize) -> Result<PlanPage, LedgerError> {
        let cursor = cursor.map(str::to_owned);
        self.readers.run(move |connection| query::planned(connection, slot, cursor.as_deref(), limit.max(1))).await
    }

    fn is_gone(&self, owner: &OwnerId) -> bool {
        self.owners.is_gone(owner)
    }
}
