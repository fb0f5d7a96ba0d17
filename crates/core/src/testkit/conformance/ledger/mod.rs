//! What every ledger has to do.

mod commits;
mod indexes;
mod owners;
mod ranges;
mod writers;

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    domain::{OwnerId, Shard, UserId},
    ports::{Change, Due, Expect, Key, Ledger, PlanSlot, Record, Scope, Write},
};

/// How the suite gets ledgers of one kind.
#[async_trait]
pub trait Subject: Send + Sync {
    /// A fresh, empty ledger.
    async fn fresh(&self) -> Box<dyn Instance>;
}

/// One ledger under test, and what can be done to it from outside.
#[async_trait]
pub trait Instance: Send + Sync {
    /// The ledger.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// Waits until the indexes show every commit.
    async fn settle(&self) {}

    /// A process that is alive and may claim work; `None` where nothing is known of owners.
    fn live_owner(&self) -> Option<OwnerId> {
        None
    }

    /// Ends a process that [`Self::live_owner`] gave.
    fn kill(&self, _owner: &OwnerId) {}

    /// Closes the ledger and opens it again from what it stored; `false` where it stores nothing. The
    /// ledgers handed out before are no longer used.
    async fn reopen(&mut self) -> bool {
        false
    }
}

macro_rules! run {
    ($subject:expr; $($module:ident: $($case:ident),+;)+) => {
        $($({
            let mut instance = $subject.fresh().await;
            $module::$case(&mut *instance).await;
        })+)+
    };
}

/// Runs every case, each against a fresh ledger.
pub async fn suite(subject: &dyn Subject) {
    run! { subject;
        commits: a_record_is_made_changed_and_removed, conflicts_name_a_key_and_change_nothing,
            a_wrong_expectation_is_a_conflict, batches_are_all_or_nothing, batches_have_a_limit,
            misuse_is_told_and_changes_nothing, checks_guard_a_commit, bodies_come_back_unchanged,
            many_are_read_in_the_order_asked, everything_survives_reopening;
        ranges: ranges_keep_to_prefix_and_order, ranges_never_leak, ranges_are_paged,
            ranges_are_paged_downwards;
        indexes: due_rows_come_earliest_first, due_follows_the_record, due_keeps_to_its_shard,
            odd_times_are_kept, due_times_are_kept_to_the_millisecond, a_lagging_index_catches_up,
            the_plan_follows_the_record, the_plan_is_paged;
        owners: claims_come_back_as_written, a_live_owner_keeps_its_lease,
            claims_of_a_dead_owner_are_due_at_once, an_unknown_owner_never_panics;
        writers: one_writer_wins_each_version, batches_do_not_interleave;
    }
}

pub(crate) fn user(name: &str) -> Scope {
    Scope::User(UserId::new(name).expect("a valid user id"))
}

pub(crate) fn key(path: &str) -> Key {
    Key { scope: user("rider"), path: path.into() }
}

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).expect("a valid time")
}

fn body(text: &str) -> Change {
    Change::Put { body: text.into(), due: None, plan: None }
}

fn put(path: &str, expect: Expect, text: &str) -> Write {
    Write { key: key(path), expect, change: body(text) }
}

fn put_due(path: &str, expect: Expect, due: Option<Due>) -> Write {
    Write { key: key(path), expect, change: Change::Put { body: "{}".into(), due, plan: None } }
}

fn put_plan(path: &str, expect: Expect, plan: Option<PlanSlot>) -> Write {
    Write { key: key(path), expect, change: Change::Put { body: "{}".into(), due: None, plan } }
}

fn delete(path: &str, expect: Expect) -> Write {
    Write { key: key(path), expect, change: Change::Delete }
}

fn check(path: &str, expect: Expect) -> Write {
    Write { key: key(path), expect, change: Change::Check }
}

async fn commit(ledger: &dyn Ledger, writes: Vec<Write>) {
    let paths: Vec<_> = writes.iter().map(|write| write.key.path.clone()).collect();
    ledger.commit(writes).await.unwrap_or_else(|error| panic!("the commit of {paths:?} must do, but: {error}"));
}

async fn read(ledger: &dyn Ledger, path: &str) -> Option<Record> {
    ledger.get(&key(path)).await.unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

async fn due_paths(ledger: &dyn Ledger, shard: u16, until_ms: i64) -> Vec<String> {
    let rows = ledger.due(Shard(shard), at(until_ms), 1000).await;
    rows.expect("due must answer").into_iter().map(|row| row.key.path).collect()
}
