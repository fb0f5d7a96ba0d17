//! The ledger in one DynamoDB table.
//!
//! # The table
//!
//! | attribute | type | what |
//! |---|---|---|
//! | `pk` | S, table hash key | whose: `U#<user>`, or `S#` for the service's own records |
//! | `sk` | S, table range key | the path; DynamoDB orders it bytewise, as the port does |
//! | `v` | N | the version |
//! | `body` | S | the document |
//! | `w` | S | id of the single write that left the record so; see below |
//! | `d` | S, hash key of index `due` | `<shard, 5 digits>#<bucket>`, if it is due at all |
//! | `da` | N, range key of index `due` | when, ms since 1970, rounded up |
//! | `o`, `wk` | S, BOOL | the claim's owner, and whether it is at work |
//! | `p` | S, hash key of index `plan` | `<shard, 5 digits>#<hot, warm or cold>#<slot, 2 digits>`, if planned |
//!
//! Index `plan` has `sk` as its range key: the order is the same between pages, and costs nothing. Both
//! indexes are sparse and carry keys only. Every row of them is read again from the table before it is
//! acted on, so more attributes would save no read, but each would make every write of a record that is due
//! write to the index too.
//!
//! **Hot partitions.** One partition takes 1,000 writes a second. Every claim, lease and hand-over moves a
//! row of the due index, so a shard's rows are spread over some buckets by a hash of the key; asking a shard
//! asks every bucket (half a read unit each where nothing is due). The number of buckets may be raised at
//! any time, since records stay in a lower bucket until they are written next, but never be lowered while
//! records are due. The plan is not spread: it is written when a rider's class changes, a few times a day
//! (a million riders in one shard: about 100 writes a second on the hot slot at the worst hour), and a slot
//! is read once a minute (a million cold riders in one shard: 17,000 rows, 200 read units).
//!
//! # Reading
//!
//! Single records that are asked for at the same time, as a tick does for its polls, are read together in one
//! `BatchGetItem`; one alone is a `GetItem`. All of them are consistent.
//!
//! # Writing
//!
//! One write is a `PutItem` or `DeleteItem` with the expectation as its condition; several are one
//! `TransactWriteItems`, which costs twice as much per write. One check alone is a consistent read.
//!
//! **Lost answers.** A write whose answer was lost may have been done, and then its second try must not see
//! its own first one as somebody else's change. A transaction carries a token: DynamoDB answers a repeated
//! one like the first. A single put carries an id in `w`, and a failed condition returns the record: with
//! our id in it, it is our own write. Where another writer came between the tries so that nothing tells
//! whether ours was done, the answer is `Unavailable`, which says that.
//!
//! Refusals for now (throttling, a transaction in the way) and unknown ends (timeouts, errors of the
//! service) are tried again with jitter, see [`Patience`].

mod commit;
mod fault;
mod index;
mod item;
mod patience;
mod read;
mod table;
mod together;
mod usage;

#[cfg(feature = "fuzzing")]
pub(crate) use item::{Item, item_of, record_of};

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::{ConsumedCapacity, ReturnConsumedCapacity},
};
use fitbridge_core::{
    domain::{OwnerId, Shard},
    ports::{CommitError, DueRow, Key, Ledger, LedgerError, PlanPage, PlanSlot, Record, RecordPage, Scope, Write},
};
use jiff::Timestamp;
use tracing::instrument;

use self::{fault::Fault, together::Together};
pub use self::{
    patience::Patience,
    table::{DUE_INDEX, PLAN_INDEX, create_table},
    usage::{Operation, Usage, Used},
};

/// Buckets of a shard's due index where nobody asks for another number.
pub const DEFAULT_BUCKETS: u16 = 4;

/// A ledger in a DynamoDB table. Any number of processes may use it at once.
#[derive(Debug, Clone)]
pub struct DynamoLedger {
    client: Client,
    table: String,
    buckets: u16,
    patience: Patience,
    usage: Option<Arc<Usage>>,
    together: Together,
}

impl DynamoLedger {
    /// Over a table (see the [module](self)), whose due index has so many buckets in each shard, at least 1.
    /// The client's retries and timeouts are replaced by [`Patience`].
    pub fn new(client: &Client, table: impl Into<String>, buckets: u16) -> Self {
        let patience = Patience::default();
        Self {
            client: patience.client(client),
            table: table.into(),
            buckets: buckets.max(1),
            patience,
            usage: None,
            together: Together::default(),
        }
    }

    /// With another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { client: patience.client(&self.client), patience, together: Together::default(), ..self }
    }

    /// With every request and its capacity units counted.
    #[must_use]
    pub fn with_usage(self, usage: Arc<Usage>) -> Self {
        Self { usage: Some(usage), together: Together::default(), ..self }
    }

    /// Makes a request until it is answered or patience ends. For reads: it takes no notice of what an
    /// earlier try may have done.
    async fn answer<T, E, F>(&self, operation: Operation, request: impl Fn() -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let mut tries = self.patience.begin();
        loop {
            self.count_request(operation);
            match request().await {
                Ok(answer) => return Ok(answer),
                Err(error) => tries.again(Fault::of(&error, &self.table)).await?,
            }
        }
    }

    fn capacity(&self) -> Option<ReturnConsumedCapacity> {
        self.usage.as_ref().map(|_| ReturnConsumedCapacity::Total)
    }

    fn count_request(&self, operation: Operation) {
        if let Some(usage) = &self.usage {
            usage.asked(operation);
        }
    }

    fn count_units(&self, operation: Operation, capacity: &[ConsumedCapacity]) {
        if let Some(usage) = &self.usage {
            usage.consumed(operation, capacity);
        }
    }
}

#[async_trait]
impl Ledger for DynamoLedger {
    #[instrument(level = "debug", skip_all)]
    async fn get(&self, key: &Key) -> Result<Option<Record>, LedgerError> {
        self.read_together(key).await
    }

    #[instrument(level = "debug", skip_all, fields(keys = keys.len()))]
    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Record>>, LedgerError> {
        self.read_many(keys).await
    }

    #[instrument(level = "debug", skip_all)]
    async fn range(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        self.read_range(scope, prefix, after, limit, read::Order::Up).await
    }

    #[instrument(level = "debug", skip_all)]
    async fn range_back(
        &self,
        scope: &Scope,
        prefix: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<RecordPage, LedgerError> {
        self.read_range(scope, prefix, before, limit, read::Order::Down).await
    }

    #[instrument(level = "debug", skip_all, fields(writes = writes.len()))]
    async fn commit(&self, writes: Vec<Write>) -> Result<(), CommitError> {
        self.write(writes).await
    }

    #[instrument(level = "debug", skip_all, fields(shard = shard.0))]
    async fn due(&self, shard: Shard, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, LedgerError> {
        self.read_due(shard, until, limit).await
    }

    #[instrument(level = "debug", skip_all, fields(shard = slot.shard.0))]
    async fn planned(&self, slot: PlanSlot, cursor: Option<&str>, limit: usize) -> Result<PlanPage, LedgerError> {
        self.read_plan(slot, cursor, limit).await
    }

    fn is_gone(&self, _owner: &OwnerId) -> bool {
        // Functions come and go without a word; only leases tell.
        false
    }
}
