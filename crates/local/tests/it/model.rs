//! Random work on SQLite and on the memory ledger gives the same answers.

use fitbridge_core::{
    domain::OwnerId,
    ports::{Claim, DueRow, PlanRow, PlanSlot, PollClass},
    testkit::MemoryLedger,
};
use proptest::prelude::*;

use super::*;

const PATHS: [&str; 6] = ["a", "activity/a", "activity/ab", "activity/b", "é", "z/1"];
const DEAD: &str = "never-registered";

#[derive(Debug, Clone)]
enum Op {
    Commit(Vec<Write>),
    Range(&'static str, Option<&'static str>, usize),
    Due(u16, i64),
    Planned(PlanSlot),
    Reopen,
}

fn slots() -> impl Strategy<Value = PlanSlot> {
    (0..2_u16, prop::sample::select(PollClass::ALL.to_vec()), 0..3_u16).prop_map(|(shard, class, slot)| PlanSlot {
        shard: Shard(shard),
        class,
        slot: slot % class.slots(),
    })
}

fn dues() -> impl Strategy<Value = Due> {
    let claim = prop_oneof![
        3 => Just(None),
        1 => any::<bool>().prop_map(|working| Some(Claim { owner: OwnerId::new(DEAD).unwrap(), working })),
    ];
    (0..2_u16, -50..50_i64, claim).prop_map(|(shard, ms, claim)| Due {
        shard: Shard(shard),
        at: Timestamp::from_millisecond(ms).unwrap(),
        claim,
    })
}

fn writes() -> impl Strategy<Value = Write> {
    let scopes = prop_oneof![Just(scope()), Just(Scope::System)];
    let expect = prop_oneof![2 => Just(Expect::Absent), 3 => (1..4_u64).prop_map(Expect::Version)];
    let change = prop_oneof![
        6 => ("[a-z\\PC]{0,8}", prop::option::of(dues()), prop::option::of(slots()))
            .prop_map(|(body, due, plan)| Change::Put { body, due, plan }),
        2 => Just(Change::Delete),
        1 => Just(Change::Check),
    ];
    (scopes, prop::sample::select(&PATHS[..]), expect, change).prop_map(|(scope, path, expect, change)| Write {
        key: Key { scope, path: path.into() },
        expect,
        change,
    })
}

fn ops() -> impl Strategy<Value = Op> {
    let path = prop::sample::select(&PATHS[..]);
    prop_oneof![
        8 => prop::collection::vec(writes(), 0..5).prop_map(Op::Commit),
        2 => (prop::sample::select(&["", "a", "activity/", "activity/a", "x"][..]), prop::option::of(path), 1..4_usize)
            .prop_map(|(prefix, after, limit)| Op::Range(prefix, after, limit)),
        2 => (0..2_u16, -60..60_i64).prop_map(|(shard, until)| Op::Due(shard, until)),
        2 => slots().prop_map(Op::Planned),
        1 => Just(Op::Reopen),
    ]
}

async fn due(ledger: &dyn Ledger, shard: u16, until: i64) -> Vec<DueRow> {
    let mut rows = ledger.due(Shard(shard), Timestamp::from_millisecond(until).unwrap(), 1000).await.unwrap();
    assert!(rows.is_sorted_by_key(|row| row.at), "earliest first: {rows:?}");
    rows.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
    rows
}

async fn planned(ledger: &dyn Ledger, slot: PlanSlot) -> Vec<Key> {
    let mut rows: Vec<PlanRow> = ledger.planned(slot, None, 1000).await.unwrap().rows;
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows.into_iter().map(|row| row.key).collect()
}

async fn run(ops: Vec<Op>) {
    let home = tempfile::tempdir().unwrap();
    let (memory, mut sqlite) = (MemoryLedger::lagging(), open_shared(home.path()));
    memory.kill(&OwnerId::new(DEAD).unwrap());
    for op in ops {
        memory.settle();
        match op {
            Op::Commit(writes) => {
                assert_eq!(sqlite.commit(writes.clone()).await, memory.commit(writes).await);
            }
            Op::Range(prefix, after, limit) => {
                let page = sqlite.range(&scope(), prefix, after, limit).await;
                assert_eq!(page, memory.range(&scope(), prefix, after, limit).await, "{prefix:?} {after:?} {limit}");
                let back = sqlite.range_back(&scope(), prefix, after, limit).await;
                let expected = memory.range_back(&scope(), prefix, after, limit).await;
                assert_eq!(back, expected, "{prefix:?} {after:?} {limit} downwards");
            }
            Op::Due(shard, until) => assert_eq!(due(&*sqlite, shard, until).await, due(&memory, shard, until).await),
            Op::Planned(slot) => assert_eq!(planned(&*sqlite, slot).await, planned(&memory, slot).await),
            Op::Reopen => {
                drop(sqlite);
                sqlite = open_shared(home.path());
            }
        }
    }
    let keys: Vec<_> = [scope(), Scope::System]
        .into_iter()
        .flat_map(|scope| PATHS.map(|path| Key { scope: scope.clone(), path: path.into() }))
        .collect();
    assert_eq!(sqlite.get_many(&keys).await, memory.get_many(&keys).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn sqlite_answers_as_memory_does(ops in prop::collection::vec(ops(), 1..60)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(ops));
    }
}
