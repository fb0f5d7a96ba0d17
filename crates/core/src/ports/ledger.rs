//! The ledger: a small store of versioned documents with a due index and a plan index.
//!
//! It is the truth; queues only carry hints. It is this small so that it can be implemented on DynamoDB,
//! SQLite and in memory and checked by one conformance suite (`testkit::conformance::ledger`).

use async_trait::async_trait;
use jiff::Timestamp;

use crate::domain::{OwnerId, Shard, UserId};

/// Most writes in one commit, and most keys in one [`Ledger::get_many`].
pub const MAX_BATCH: usize = 100;

/// Whose record it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// A rider's.
    User(UserId),
    /// The service's own: cursors, breakers.
    System,
}

/// The key of a record: whose, and its path there. Paths are ordered bytewise within a scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose.
    pub scope: Scope,
    /// Which, as `kind/id`; never empty, at most 512 bytes.
    pub path: String,
}

/// A claim on a record: who works on it, or has it handed over to be worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The process.
    pub owner: OwnerId,
    /// `true` while a worker acts on it; `false` while it waits in a queue, where any worker that gets the
    /// job may take it.
    pub working: bool,
}

/// When a record needs work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Which shard's ticks look after it.
    pub shard: Shard,
    /// Not before this moment, to the millisecond ([`millis`](super::millis)). While a claim stands, this is where its lease ends.
    pub at: Timestamp,
    /// Who has it, if anybody.
    pub claim: Option<Claim>,
}

impl Due {
    /// Due at a moment, claimed by nobody.
    pub fn at(shard: Shard, at: Timestamp) -> Self {
        Self { shard, at, claim: None }
    }
}

/// How often a connection is polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PollClass {
    /// Each minute; one slot.
    Hot,
    /// One minute in 5; slots 0 to 4.
    Warm,
    /// One minute in 60; slots 0 to 59.
    Cold,
}

impl PollClass {
    /// Every class.
    pub const ALL: [Self; 3] = [Self::Hot, Self::Warm, Self::Cold];

    /// How many slots the class has, which is its period in minutes.
    pub fn slots(self) -> u16 {
        match self {
            Self::Hot => 1,
            Self::Warm => 5,
            Self::Cold => 60,
        }
    }
}

/// A place in the plan: polled when `minute % class.slots() == slot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlanSlot {
    /// Which shard's ticks look after it.
    pub shard: Shard,
    /// How often.
    pub class: PollClass,
    /// In which minute of the period; below `class.slots()`.
    pub slot: u16,
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Key,
    /// 1 when it is made, one more with each write.
    pub version: u64,
    /// The document, JSON with a `schema` number; at most 256 KiB.
    pub body: String,
    /// When it needs work, if it does.
    pub due: Option<Due>,
    /// Where it stands in the plan, if it does.
    pub plan: Option<PlanSlot>,
}

/// What a writer believes about a record before its write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// It has this version.
    Version(u64),
}

/// What a write does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Replaces the whole record.
    Put {
        /// The document.
        body: String,
        /// When it needs work.
        due: Option<Due>,
        /// Where it stands in the plan.
        plan: Option<PlanSlot>,
    },
    /// Removes the record.
    Delete,
    /// Changes nothing; the commit fails unless the expectation holds.
    Check,
}

/// One write of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which record.
    pub key: Key,
    /// What it must be before.
    pub expect: Expect,
    /// What is done.
    pub change: Change,
}

/// A page of a range, in the order of paths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordPage {
    /// The records.
    pub records: Vec<Record>,
    /// The path to go on after; `None` at the end.
    pub next: Option<String>,
}

/// A row of the due index. It may be stale: read the record before acting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRow {
    /// Which record.
    pub key: Key,
    /// When it was due, as the index knows it.
    pub at: Timestamp,
}

/// A row of the plan index. It may be stale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// Which record.
    pub key: Key,
}

/// A page of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanPage {
    /// The rows, in an order that stays the same between pages.
    pub rows: Vec<PlanRow>,
    /// The cursor to go on with; `None` at the end.
    pub next: Option<String>,
}

/// Why the ledger did not do what was asked. Nothing was changed, but for one case: whether a commit that ended in
/// [`LedgerError::Unavailable`] happened is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It does not answer now; the same read may work later. A commit may have happened all the same: read before
    /// deciding anew.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// Another process keeps it locked for longer than is sensible; try later.
    #[error("the ledger is locked by another process: {0}")]
    Locked(String),
    /// It was opened read-only, or the disk is; do not retry.
    #[error("the ledger cannot be written: {0}")]
    ReadOnly(String),
    /// There is no room; retry after somebody made some.
    #[error("no room for the ledger: {0}")]
    Full(String),
    /// What is stored cannot be read; do not retry.
    #[error("the ledger is corrupt: {0}")]
    Corrupt(String),
    /// The caller broke the contract (too many writes, an empty path); do not retry.
    #[error("the ledger was used wrongly: {0}")]
    Misuse(String),
}

/// Why a commit did not happen, as far as is known. Its writes happen all together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// Expectations did not hold: read those records again and decide anew. At least one of the keys that
    /// did not match is named.
    #[error("records were changed meanwhile: {0:?}")]
    Conflict(Vec<Key>),
    /// The ledger itself failed. Nothing was written, except perhaps after [`LedgerError::Unavailable`]: read again.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The store.
#[async_trait]
pub trait Ledger: Send + Sync + std::fmt::Debug {
    /// Reads a record as the last commit left it (consistent, never stale).
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError>;

    /// Reads up to [`MAX_BATCH`] records, each as its last commit left it; answers in the order of the keys.
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError>;

    /// Reads the records of a scope whose path starts with `prefix`, in the order of paths, from behind
    /// `after`, at most `limit` (at least 1). A page may be shorter than `limit` and not be the last: only
    /// `next == None` is the end.
    async fn range(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError>;

    /// The same in the opposite order: from the last of those paths, or from before `before`, downwards.
    async fn range_back(
        &self,
        scope: &Scope,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError>;

    /// Does all writes or none. At most [`MAX_BATCH`], each key once. An empty commit does nothing.
    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError>;

    /// Lists what is due in a shard: records whose time is `until` or earlier, and records claimed by an
    /// owner that is known to be gone (on one machine: its lock file is free). Earliest first, at most
    /// `limit`. May be stale.
    async fn due(&self, shard: Shard, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, LedgerError>;

    /// Lists a page of what is planned in a slot, at most `limit` rows. May be stale.
    async fn planned(&self, slot: PlanSlot, cursor: Option<&str>, limit: usize) -> Result<PlanPage, LedgerError>;

    /// Whether that owner's claims may be taken before their leases end, because it is known to be gone.
    /// Where nothing is known of owners (many machines), the answer is no.
    fn is_gone(&self, owner: &OwnerId) -> bool;
}
