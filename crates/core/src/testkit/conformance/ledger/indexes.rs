//! The due index and the plan index.

use jiff::Timestamp;

use super::{Instance, at, commit, delete, due_paths, key, put, put_due, put_plan, read, user};
use crate::{
    domain::Shard,
    ports::{Due, Expect, Ledger, PlanSlot, PollClass},
};

fn due(ms: i64) -> Option<Due> {
    Some(Due::at(Shard(0), at(ms)))
}

pub(super) async fn due_rows_come_earliest_first(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let times = [50, 10, 40, 20, 30, 9_000];
    commit(&*ledger, times.iter().map(|ms| put_due(&format!("d/{ms}"), Expect::Absent, due(*ms))).collect()).await;
    commit(&*ledger, vec![put("never", Expect::Absent, "{}")]).await;
    it.settle().await;
    assert_eq!(due_paths(&*ledger, 0, 100).await, ["d/10", "d/20", "d/30", "d/40", "d/50"], "earliest first");
    assert_eq!(due_paths(&*ledger, 0, 30).await, ["d/10", "d/20", "d/30"], "until is included");
    assert_eq!(due_paths(&*ledger, 0, 9).await, [""; 0], "nothing is due before its time");
    let rows = ledger.due(Shard(0), at(100), 2).await.expect("due must answer");
    let rows: Vec<_> = rows.into_iter().map(|row| (row.key, row.at)).collect();
    assert_eq!(rows, [(key("d/10"), at(10)), (key("d/20"), at(20))], "the limit keeps the earliest");
    let none = ledger.due(Shard(0), at(100), 0).await.expect("due must answer");
    assert!(none.is_empty(), "a limit of 0 gives none");
}

pub(super) async fn due_follows_the_record(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let make = vec![
        put_due("a", Expect::Absent, due(1)),
        put_due("b", Expect::Absent, due(2)),
        put_due("c", Expect::Absent, due(3)),
        put_due("d", Expect::Absent, due(4)),
        put_due("e", Expect::Absent, None),
    ];
    commit(&*ledger, make).await;
    let change = vec![
        put_due("a", Expect::Version(1), due(500)),
        put_due("b", Expect::Version(1), None),
        delete("c", Expect::Version(1)),
        put_due("d", Expect::Version(1), due(4)),
        put_due("e", Expect::Version(1), due(0)),
    ];
    commit(&*ledger, change).await;
    it.settle().await;
    assert_eq!(due_paths(&*ledger, 0, 100).await, ["e", "d"], "changed, cleared, removed, kept and set");
    assert_eq!(due_paths(&*ledger, 0, 500).await, ["e", "d", "a"], "it is due at its new time");
    // A record that is made anew after its removal carries nothing over.
    commit(&*ledger, vec![put("c", Expect::Absent, "{}")]).await;
    it.settle().await;
    assert_eq!(due_paths(&*ledger, 0, 500).await, ["e", "d", "a"], "a new record is not due by itself");
    assert_eq!(read(&*ledger, "c").await.and_then(|record| record.due), None, "and says so");
}

pub(super) async fn due_keeps_to_its_shard(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let in_shard = |shard: u16| Some(Due::at(Shard(shard), at(1)));
    let mut other = put_due("o", Expect::Absent, in_shard(0));
    other.key.scope = user("another");
    let writes = vec![
        put_due("s0", Expect::Absent, in_shard(0)),
        put_due("s1", Expect::Absent, in_shard(1)),
        put_due("s65535", Expect::Absent, in_shard(u16::MAX)),
        other,
    ];
    commit(&*ledger, writes).await;
    it.settle().await;
    let mut first = due_paths(&*ledger, 0, 100).await;
    first.sort();
    assert_eq!(first, ["o", "s0"], "all users of the shard");
    assert_eq!(due_paths(&*ledger, 1, 100).await, ["s1"], "shard 1");
    assert_eq!(due_paths(&*ledger, u16::MAX, 100).await, ["s65535"], "the last shard");
    assert_eq!(due_paths(&*ledger, 2, 100).await, [""; 0], "an empty shard");
}

pub(super) async fn odd_times_are_kept(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let times = [("min", Timestamp::MIN), ("1969", at(-1)), ("epoch", at(0)), ("far", at(253_402_207_200_000))];
    for (path, time) in times {
        commit(&*ledger, vec![put_due(path, Expect::Absent, Some(Due::at(Shard(0), time)))]).await;
        let found = read(&*ledger, path).await.and_then(|record| record.due).map(|due| due.at);
        assert_eq!(found, Some(time), "{path}");
    }
    it.settle().await;
    assert_eq!(due_paths(&*ledger, 0, 0).await, ["min", "1969", "epoch"], "times before 1970 come first");
    commit(&*ledger, vec![put_due("max", Expect::Absent, Some(Due::at(Shard(0), Timestamp::MAX)))]).await;
    let end = read(&*ledger, "max").await.and_then(|record| record.due).map(|due| due.at.as_second());
    assert_eq!(end, Some(Timestamp::MAX.as_second()), "the end of time");
    it.settle().await;
    let all = ledger.due(Shard(0), Timestamp::MAX, 10).await.expect("due must answer");
    assert_eq!(all.len(), 5, "the far future is reached too");
}

pub(super) async fn due_times_are_kept_to_the_millisecond(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let odd = Timestamp::from_nanosecond(1_500_000).expect("a valid time");
    commit(&*ledger, vec![put_due("a", Expect::Absent, Some(Due::at(Shard(0), odd)))]).await;
    it.settle().await;
    assert_eq!(due_paths(&*ledger, 0, 1).await, [""; 0], "it is never due before its time");
    assert_eq!(due_paths(&*ledger, 0, 2).await, ["a"], "and at most a millisecond later");
}

pub(super) async fn a_lagging_index_catches_up(it: &mut dyn Instance) {
    let ledger = it.ledger();
    commit(&*ledger, vec![put_due("a", Expect::Absent, due(1)), put_plan("p", Expect::Absent, warm(0))]).await;
    // Before the indexes settle they may show this or not; reads are never stale.
    let before = due_paths(&*ledger, 0, 100).await;
    assert!(before.is_empty() || before == ["a"], "the index shows {before:?}");
    assert_eq!(read(&*ledger, "a").await.and_then(|record| record.due), due(1), "a read is never stale");
    for version in 1..20 {
        let next = i64::try_from(version).unwrap_or(0) * 10;
        commit(&*ledger, vec![put_due("a", Expect::Version(version), due(next))]).await;
    }
    commit(&*ledger, vec![delete("p", Expect::Version(1))]).await;
    it.settle().await;
    let rows = ledger.due(Shard(0), at(1_000), 10).await.expect("due must answer");
    let rows: Vec<_> = rows.into_iter().map(|row| (row.key, row.at)).collect();
    assert_eq!(rows, [(key("a"), at(190))], "one row, at its last time");
    assert_eq!(planned(&*ledger, warm(0), 10).await, [""; 0], "what was removed has left the plan");
}

fn warm(slot: u16) -> Option<PlanSlot> {
    Some(PlanSlot { shard: Shard(0), class: PollClass::Warm, slot })
}

/// Every path planned in a slot, read in pages.
async fn planned(ledger: &dyn Ledger, slot: Option<PlanSlot>, limit: usize) -> Vec<String> {
    let slot = slot.expect("a slot");
    let (mut paths, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..1000 {
        let page = ledger.planned(slot, cursor.as_deref(), limit).await.expect("the plan must answer");
        assert!(page.rows.len() <= limit.max(1), "a page of {} with limit {limit}", page.rows.len());
        paths.extend(page.rows.into_iter().map(|row| row.key.path));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return paths,
        }
    }
    panic!("the plan does not end");
}

pub(super) async fn the_plan_follows_the_record(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let cold = Some(PlanSlot { shard: Shard(0), class: PollClass::Cold, slot: 1 });
    let hot = Some(PlanSlot { shard: Shard(0), class: PollClass::Hot, slot: 0 });
    let other_shard = Some(PlanSlot { shard: Shard(1), class: PollClass::Warm, slot: 1 });
    let make = vec![
        put_plan("a", Expect::Absent, warm(1)),
        put_plan("b", Expect::Absent, cold),
        put_plan("c", Expect::Absent, other_shard),
        put_plan("d", Expect::Absent, warm(1)),
        put_plan("e", Expect::Absent, warm(2)),
        put_plan("f", Expect::Absent, None),
    ];
    commit(&*ledger, make).await;
    it.settle().await;
    assert_eq!(planned(&*ledger, warm(1), 10).await, ["a", "d"], "warm, slot 1");
    assert_eq!(planned(&*ledger, cold, 10).await, ["b"], "the class tells apart");
    assert_eq!(planned(&*ledger, other_shard, 10).await, ["c"], "the shard tells apart");
    assert_eq!(planned(&*ledger, warm(2), 10).await, ["e"], "the slot tells apart");
    assert_eq!(read(&*ledger, "b").await.and_then(|record| record.plan), cold, "the record says where it stands");
    let change = vec![
        put_plan("a", Expect::Version(1), hot),
        put_plan("d", Expect::Version(1), None),
        delete("e", Expect::Version(1)),
        put_plan("f", Expect::Version(1), warm(1)),
    ];
    commit(&*ledger, change).await;
    it.settle().await;
    assert_eq!(planned(&*ledger, warm(1), 10).await, ["f"], "moved away, taken out, put in");
    assert_eq!(planned(&*ledger, hot, 10).await, ["a"], "it is where it moved to");
    assert_eq!(planned(&*ledger, warm(2), 10).await, [""; 0], "removed records are in no plan");
}

pub(super) async fn the_plan_is_paged(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let paths: Vec<_> = (0..60).map(|n| format!("p/{n:02}")).collect();
    for scope in ["rider", "second", "third"] {
        let mut writes: Vec<_> = paths.iter().map(|path| put_plan(path, Expect::Absent, warm(4))).collect();
        for write in &mut writes {
            write.key.scope = user(scope);
        }
        commit(&*ledger, writes).await;
    }
    it.settle().await;
    let mut expected: Vec<_> = paths.iter().flat_map(|path| [path.clone(), path.clone(), path.clone()]).collect();
    expected.sort();
    for limit in [0, 1, 7, 180, 1000] {
        let mut found = planned(&*ledger, warm(4), limit).await;
        found.sort();
        assert_eq!(found, expected, "each row once, in pages of {limit}");
    }
}
