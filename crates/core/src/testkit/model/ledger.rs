//! The same operations on a ledger and on the one in memory.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    domain::{OwnerId, Shard, UserId},
    ports::{
        Change, Claim, CommitError, Due, DueRow, Expect, Key, Ledger, LedgerError, MAX_BATCH, PlanSlot, PollClass,
        Record, Scope, Write,
    },
    testkit::{MemoryLedger, conformance::ledger::Instance},
};

/// Paths that are each other's prefix, and some that sort where one would not think.
const PATHS: &[&str] = &["a", "a/1", "a/2", "a/ä", "ab", "b", "é", "z/1"];
/// An owner that no ledger was ever told of.
const STRANGER: &str = "never-registered";

/// One operation.
#[derive(Debug, Clone)]
pub enum Op {
    /// A commit with whatever it expects, right or wrong, and perhaps not even allowed.
    Commit(Vec<Write>),
    /// A commit that expects each key as it is; a key that stands twice is written once.
    Replace(Vec<(Key, Change)>),
    /// Reads records.
    Get(Vec<Key>),
    /// Reads a range to its end, in pages, upwards and downwards.
    Range {
        /// Of whom.
        scope: Scope,
        /// The beginning of the paths.
        prefix: &'static str,
        /// From behind this one, or from before it.
        after: Option<&'static str>,
        /// Records in a page.
        limit: usize,
    },
    /// Lists what is due.
    Due {
        /// In which shard.
        shard: Shard,
        /// Until when.
        until: Timestamp,
        /// At most so many.
        limit: usize,
    },
    /// Lists what is planned, in pages.
    Planned {
        /// Where.
        slot: PlanSlot,
        /// Rows in a page.
        limit: usize,
    },
    /// Closes the ledger and opens it again.
    Reopen,
}

/// Some operations, as they come.
pub fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..most)
}

fn op() -> impl Strategy<Value = Op> {
    let ranges = (scopes(), select(vec!["", "a", "a/", "b", "x"]), option::of(select(PATHS)), 1..5_usize);
    prop_oneof![
        4 => vec(writes(), 0..5).prop_map(Op::Commit),
        6 => vec((keys(), changes()), 1..6).prop_map(Op::Replace),
        1 => vec(keys(), 0..6).prop_map(Op::Get),
        2 => ranges.prop_map(|(scope, prefix, after, limit)| Op::Range { scope, prefix, after, limit }),
        2 => (shards(), times(), 0..8_usize).prop_map(|(shard, until, limit)| Op::Due { shard, until, limit }),
        2 => (slots(), 1..4_usize).prop_map(|(slot, limit)| Op::Planned { slot, limit }),
        1 => Just(Op::Reopen),
        1 => misuses().prop_map(Op::Commit),
    ]
}

fn scopes() -> impl Strategy<Value = Scope> {
    let user = |name: &str| Scope::User(UserId::from_any(name));
    select(vec![Scope::System, user("ann"), user("an")])
}

fn keys() -> impl Strategy<Value = Key> {
    (scopes(), select(PATHS)).prop_map(|(scope, path)| Key { scope, path: path.into() })
}

fn shards() -> impl Strategy<Value = Shard> {
    (0..2_u16).prop_map(Shard)
}

/// Half milliseconds too, before and after 1970.
fn times() -> impl Strategy<Value = Timestamp> {
    (-6_i64..6).prop_map(|half| Timestamp::from_microsecond(half * 500).unwrap_or(Timestamp::UNIX_EPOCH))
}

fn slots() -> impl Strategy<Value = PlanSlot> {
    let classes = select(&PollClass::ALL[..]);
    (shards(), classes, 0..3_u16).prop_map(|(shard, class, slot)| PlanSlot { shard, class, slot: slot % class.slots() })
}

fn dues() -> impl Strategy<Value = Due> {
    let claim = any::<bool>().prop_map(|working| Claim { owner: OwnerId::from_any(STRANGER), working });
    (shards(), times(), option::weighted(0.3, claim)).prop_map(|(shard, at, claim)| Due { shard, at, claim })
}

fn changes() -> impl Strategy<Value = Change> {
    let put = ("[a-z\\PC]{0,8}", option::of(dues()), option::of(slots()));
    prop_oneof![
        6 => put.prop_map(|(body, due, plan)| Change::Put { body, due, plan }),
        2 => Just(Change::Delete),
        1 => Just(Change::Check),
    ]
}

fn writes() -> impl Strategy<Value = Write> {
    let expects = prop_oneof![2 => Just(Expect::Absent), 3 => (0..4_u64).prop_map(Expect::Version)];
    (keys(), expects, changes()).prop_map(|(key, expect, change)| Write { key, expect, change })
}

/// What no ledger may take: a path of no length or of too much, a body that is too long, a key that stands
/// twice, too many writes. One write that would do stands beside it, and must not be done.
fn misuses() -> impl Strategy<Value = Vec<Write>> {
    let write = |path: &str, length: usize| Write {
        key: Key { scope: Scope::System, path: path.into() },
        expect: Expect::Absent,
        change: Change::Put { body: "x".repeat(length), due: None, plan: None },
    };
    let good = write("good", 1);
    let many = (0..=MAX_BATCH).map(|number| write(&format!("many/{number}"), 1)).collect();
    select(vec![
        vec![good.clone(), write("", 1)],
        vec![good.clone(), write(&"p".repeat(513), 1)],
        vec![good.clone(), write("long", 256 * 1024 + 1)],
        vec![good.clone(), good],
        many,
    ])
}

/// Does the operations on an empty ledger and on one in memory, and compares every answer.
///
/// # Panics
/// Where an answer differs.
pub async fn compare(ops: Vec<Op>, candidate: &mut dyn Instance) {
    let memory = MemoryLedger::default();
    let stranger = OwnerId::from_any(STRANGER);
    // On one machine whoever is not known to live is gone; elsewhere nothing is known.
    if candidate.ledger().is_gone(&stranger) {
        memory.kill(&stranger);
    }
    for op in ops {
        candidate.settle().await;
        match op {
            Op::Commit(writes) => commit(&*candidate.ledger(), &memory, writes).await,
            Op::Replace(changes) => {
                let writes = as_it_is(&memory, changes).await;
                let done = candidate.ledger().commit(writes.clone()).await;
                assert_eq!(done, Ok(()), "{writes:?}");
                assert_eq!(memory.commit(writes).await, Ok(()));
            }
            Op::Get(keys) => get(&*candidate.ledger(), &memory, &keys).await,
            Op::Range { scope, prefix, after, limit } => {
                for upwards in [true, false] {
                    let there = range(&*candidate.ledger(), upwards, &scope, prefix, after, limit).await;
                    let here = range(&memory, upwards, &scope, prefix, after, limit).await;
                    assert_eq!(there, here, "{scope:?} {prefix:?} from {after:?}, {limit} a page, {upwards}");
                }
            }
            Op::Due { shard, until, limit } => due(&*candidate.ledger(), &memory, shard, until, limit).await,
            Op::Planned { slot, limit } => {
                let there = planned(&*candidate.ledger(), slot, limit).await;
                assert_eq!(there, planned(&memory, slot, limit).await, "{slot:?}, {limit} a page");
            }
            Op::Reopen => drop(candidate.reopen().await),
        }
    }
    let scopes = [Scope::System, Scope::User(UserId::from_any("ann")), Scope::User(UserId::from_any("an"))];
    for scope in scopes {
        let keys: Vec<_> = PATHS.iter().map(|path| Key { scope: scope.clone(), path: (*path).into() }).collect();
        get(&*candidate.ledger(), &memory, &keys).await;
        let rest = range(&*candidate.ledger(), true, &scope, "", None, 3).await;
        assert_eq!(rest, range(&memory, true, &scope, "", None, 3).await, "all of {scope:?}");
    }
}

async fn commit(candidate: &dyn Ledger, memory: &MemoryLedger, writes: Vec<Write>) {
    let (there, here) = (candidate.commit(writes.clone()).await, memory.commit(writes.clone()).await);
    match (&there, &here) {
        (Ok(()), Ok(())) => {}
        (Err(CommitError::Conflict(named)), Err(CommitError::Conflict(all))) => {
            // It need not name all of them, but at least one.
            let is_right = !named.is_empty() && named.iter().all(|key| all.contains(key));
            assert!(is_right, "{named:?} is named of {all:?}: {writes:?}");
        }
        (Err(CommitError::Ledger(LedgerError::Misuse(_))), Err(CommitError::Ledger(LedgerError::Misuse(_)))) => {}
        _ => panic!("{there:?} in place of {here:?}: {writes:?}"),
    }
}

async fn as_it_is(memory: &MemoryLedger, changes: Vec<(Key, Change)>) -> Vec<Write> {
    let mut writes: Vec<Write> = Vec::new();
    for (key, change) in changes {
        let version = memory.get(&key).await.ok().flatten().map(|record| record.version);
        let expect = version.map_or(Expect::Absent, Expect::Version);
        if writes.iter().all(|write| write.key != key) {
            writes.push(Write { key, expect, change });
        }
    }
    writes
}

async fn get(candidate: &dyn Ledger, memory: &MemoryLedger, keys: &[Key]) {
    let here = memory.get_many(keys).await;
    assert_eq!(candidate.get_many(keys).await, here, "{keys:?}");
    for (key, record) in keys.iter().zip(here.unwrap_or_default()) {
        assert_eq!(candidate.get(key).await, Ok(record), "{key:?}");
    }
}

async fn range(
    ledger: &dyn Ledger,
    upwards: bool,
    scope: &Scope,
    prefix: &str,
    from: Option<&str>,
    limit: usize,
) -> Vec<Record> {
    let (mut records, mut from) = (Vec::new(), from.map(str::to_owned));
    loop {
        let page = match upwards {
            true => ledger.range(scope, prefix, from.as_deref(), limit).await,
            false => ledger.range_back(scope, prefix, from.as_deref(), limit).await,
        };
        let page = page.expect("a range is read");
        assert!(page.records.len() <= limit, "{} records in a page of {limit}", page.records.len());
        records.extend(page.records);
        from = page.next;
        if from.is_none() {
            return records;
        }
    }
}

async fn due(candidate: &dyn Ledger, memory: &MemoryLedger, shard: Shard, until: Timestamp, limit: usize) {
    let rows = async |ledger: &dyn Ledger, limit| ledger.due(shard, until, limit).await.expect("what is due is read");
    let at = |rows: &[DueRow]| rows.iter().map(|row| row.at).collect::<Vec<_>>();
    let sorted = |mut rows: Vec<DueRow>| {
        rows.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        rows
    };
    let what = format!("{shard:?} until {until}, {limit} of them");
    // Of rows of one time another one may be cut off.
    assert_eq!(at(&rows(candidate, limit).await), at(&rows(memory, limit).await), "{what}");
    assert_eq!(sorted(rows(candidate, 99).await), sorted(rows(memory, 99).await), "{what}");
}

async fn planned(ledger: &dyn Ledger, slot: PlanSlot, limit: usize) -> BTreeSet<Key> {
    let (mut keys, mut cursor) = (BTreeSet::new(), None::<String>);
    loop {
        let page = ledger.planned(slot, cursor.as_deref(), limit).await.expect("the plan is read");
        assert!(page.rows.len() <= limit, "{} rows in a page of {limit}", page.rows.len());
        for row in page.rows {
            assert!(keys.insert(row.key.clone()), "{:?} stands in two pages of {slot:?}", row.key);
        }
        cursor = page.next;
        if cursor.is_none() {
            return keys;
        }
    }
}
