//! The same operations on this ledger and on the one in memory give the same answers.

use std::collections::BTreeSet;

use fitbridge_core::{
    domain::{OwnerId, Shard, UserId},
    ports::{Change, Claim, CommitError, Due, Expect, Key, Ledger, PlanSlot, PollClass, Scope, Write},
    testkit::MemoryLedger,
};
use jiff::Timestamp;
use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::Config};

use super::emulator::Emulator;
use crate::ledger::DynamoLedger;

#[derive(Debug, Clone)]
enum Op {
    Commit(Vec<Write>),
    /// Puts each key as it is now, so that most commits go through.
    Replace(Vec<(Key, Change)>),
    GetMany(Vec<Key>),
    Range(Scope, &'static str, Option<&'static str>, usize),
    Due(Shard, Timestamp, usize),
    Planned(PlanSlot),
}

fn scopes() -> impl Strategy<Value = Scope> {
    select(vec![Scope::System, Scope::User(UserId::new("ann").unwrap()), Scope::User(UserId::new("an").unwrap())])
}

fn keys() -> impl Strategy<Value = Key> {
    (scopes(), select(vec!["a", "a/1", "a/2", "a/ä", "b"])).prop_map(|(scope, path)| Key { scope, path: path.into() })
}

fn times() -> impl Strategy<Value = Timestamp> {
    // Half milliseconds too, before and after 1970.
    (-6_i128..6).prop_map(|half| Timestamp::from_nanosecond(half * 500_000).unwrap())
}

fn slots() -> impl Strategy<Value = PlanSlot> {
    (0..2_u16, select(PollClass::ALL.to_vec())).prop_map(|(shard, class)| PlanSlot {
        shard: Shard(shard),
        class,
        slot: class.slots() - 1,
    })
}

fn dues() -> impl Strategy<Value = Due> {
    let claims = any::<bool>().prop_map(|working| Claim { owner: OwnerId::from_any("worker"), working });
    (0..2_u16, times(), option::of(claims)).prop_map(|(shard, at, claim)| Due { shard: Shard(shard), at, claim })
}

fn changes() -> impl Strategy<Value = Change> {
    let put = ("[a-z]{0,3}", option::of(dues()), option::of(slots()));
    prop_oneof![
        6 => put.prop_map(|(body, due, plan)| Change::Put { body, due, plan }),
        2 => Just(Change::Delete),
        1 => Just(Change::Check),
    ]
}

fn writes() -> impl Strategy<Value = Write> {
    let expects = prop_oneof![Just(Expect::Absent), (0..4_u64).prop_map(Expect::Version)];
    (keys(), expects, changes()).prop_map(|(key, expect, change)| Write { key, expect, change })
}

fn ops() -> impl Strategy<Value = Op> {
    let ranges =
        (scopes(), select(vec!["", "a", "a/", "b"]), option::of(select(vec!["", "a", "a/1", "z"])), 1..4_usize);
    prop_oneof![
        2 => vec(writes(), 0..4).prop_map(Op::Commit),
        4 => vec((keys(), changes()), 1..4).prop_map(Op::Replace),
        1 => vec(keys(), 0..6).prop_map(Op::GetMany),
        1 => ranges.prop_map(|(scope, prefix, after, limit)| Op::Range(scope, prefix, after, limit)),
        1 => (0..2_u16, times(), 0..8_usize).prop_map(|(shard, until, limit)| Op::Due(Shard(shard), until, limit)),
        1 => slots().prop_map(Op::Planned),
    ]
}

/// The answer to a commit; the two need not name the conflicts in the same order.
fn plain(answer: Result<(), CommitError>) -> Result<BTreeSet<Key>, String> {
    match answer {
        Ok(()) => Ok(BTreeSet::new()),
        Err(CommitError::Conflict(keys)) => Ok(keys.into_iter().collect()),
        Err(CommitError::Ledger(error)) => Err(error.to_string().split(':').next().unwrap_or_default().to_owned()),
    }
}

async fn range(ledger: &dyn Ledger, scope: &Scope, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
    let (mut rows, mut after) = (Vec::new(), after.map(str::to_owned));
    loop {
        let page = ledger.range(scope, prefix, after.as_deref(), limit).await.expect("a range");
        rows.extend(page.records.iter().map(|record| format!("{record:?}")));
        after = page.next;
        if after.is_none() {
            return rows;
        }
    }
}

async fn range_back(
    ledger: &dyn Ledger,
    scope: &Scope,
    prefix: &str,
    before: Option<&str>,
    limit: usize,
) -> Vec<String> {
    let (mut rows, mut before) = (Vec::new(), before.map(str::to_owned));
    loop {
        let page = ledger.range_back(scope, prefix, before.as_deref(), limit).await.expect("a range");
        rows.extend(page.records.iter().map(|record| format!("{record:?}")));
        before = page.next;
        if before.is_none() {
            return rows;
        }
    }
}

async fn planned(ledger: &dyn Ledger, slot: PlanSlot) -> BTreeSet<Key> {
    let (mut rows, mut cursor) = (BTreeSet::new(), None::<String>);
    loop {
        let page = ledger.planned(slot, cursor.as_deref(), 2).await.expect("a plan");
        rows.extend(page.rows.into_iter().map(|row| row.key));
        cursor = page.next;
        if cursor.is_none() {
            return rows;
        }
    }
}

async fn compare(op: Op, dynamo: &DynamoLedger, memory: &MemoryLedger) {
    match op {
        Op::Commit(writes) => {
            let there = dynamo.commit(writes.clone()).await;
            assert_eq!(plain(there), plain(memory.commit(writes.clone()).await), "{writes:?}");
        }
        Op::Replace(changes) => {
            let mut writes: Vec<Write> = Vec::new();
            for (key, change) in changes {
                let version = memory.get(&key).await.expect("memory answers").map(|record| record.version);
                let expect = version.map_or(Expect::Absent, Expect::Version);
                if writes.iter().all(|write| write.key != key) {
                    writes.push(Write { key, expect, change });
                }
            }
            assert_eq!(dynamo.commit(writes.clone()).await, Ok(()), "{writes:?}");
            assert_eq!(memory.commit(writes).await, Ok(()));
        }
        Op::GetMany(keys) => assert_eq!(dynamo.get_many(&keys).await, memory.get_many(&keys).await, "{keys:?}"),
        Op::Range(scope, prefix, after, limit) => {
            let there = range(dynamo, &scope, prefix, after, limit).await;
            assert_eq!(there, range(memory, &scope, prefix, after, limit).await, "{scope:?} {prefix} {after:?}");
            let there = range_back(dynamo, &scope, prefix, after, limit).await;
            assert_eq!(there, range_back(memory, &scope, prefix, after, limit).await, "{scope:?} {prefix} {after:?}");
        }
        Op::Due(shard, until, limit) => {
            // Rows of one time may be cut off differently.
            let there: Vec<_> = dynamo.due(shard, until, limit).await.unwrap().iter().map(|row| row.at).collect();
            let here: Vec<_> = memory.due(shard, until, limit).await.unwrap().iter().map(|row| row.at).collect();
            assert_eq!(there, here, "{shard:?} {until} {limit}");
            assert_eq!(dynamo.due(shard, until, 99).await, memory.due(shard, until, 99).await);
        }
        Op::Planned(slot) => assert_eq!(planned(dynamo, slot).await, planned(memory, slot).await, "{slot:?}"),
    }
}

proptest! {
    #![proptest_config(Config { cases: 12, max_shrink_iters: 200, failure_persistence: None, ..Config::default() })]

    #[test]
    fn it_does_as_the_memory_ledger_does(ops in vec(ops(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let emulator = Emulator::start().await;
            let dynamo = DynamoLedger::new(&emulator.client(), emulator.table().await, 3);
            let memory = MemoryLedger::default();
            for op in ops {
                compare(op, &dynamo, &memory).await;
            }
        });
    }
}
