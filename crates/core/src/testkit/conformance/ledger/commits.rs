//! Writes and what they expect.

use super::{Instance, body, check, commit, delete, key, put, read};
use crate::ports::{Change, CommitError, Expect, Key, Ledger, LedgerError, MAX_BATCH, Scope, Write};

/// The conflict's keys.
async fn conflict(ledger: &dyn Ledger, writes: Vec<Write>, why: &str) -> Vec<Key> {
    match ledger.commit(writes).await {
        Err(CommitError::Conflict(keys)) => keys,
        other => panic!("{why}: a conflict was due, but it answered {other:?}"),
    }
}

async fn misuse(ledger: &dyn Ledger, writes: Vec<Write>, why: &str) {
    let answer = ledger.commit(writes).await;
    assert!(matches!(answer, Err(CommitError::Ledger(LedgerError::Misuse(_)))), "{why}: it answered {answer:?}");
}

pub(super) async fn a_record_is_made_changed_and_removed(it: &mut dyn Instance) {
    let ledger = it.ledger();
    assert_eq!(read(&*ledger, "a").await, None, "a fresh ledger is empty");
    commit(&*ledger, vec![put("a", Expect::Absent, "1")]).await;
    let record = read(&*ledger, "a").await.expect("it was made");
    assert_eq!((record.version, record.body.as_str(), &record.key), (1, "1", &key("a")), "as it was made");
    commit(&*ledger, vec![put("a", Expect::Version(1), "2")]).await;
    let record = read(&*ledger, "a").await.expect("it was changed");
    assert_eq!((record.version, record.body.as_str()), (2, "2"), "each write counts one version");
    commit(&*ledger, vec![delete("a", Expect::Version(2))]).await;
    assert_eq!(read(&*ledger, "a").await, None, "it was removed");
    commit(&*ledger, vec![put("a", Expect::Absent, "3")]).await;
    assert_eq!(read(&*ledger, "a").await.map(|record| record.version), Some(1), "a new record begins at 1");
}

pub(super) async fn conflicts_name_a_key_and_change_nothing(it: &mut dyn Instance) {
    let ledger = it.ledger();
    commit(&*ledger, vec![put("a", Expect::Absent, "1"), put("b", Expect::Absent, "1")]).await;
    let writes = vec![put("a", Expect::Version(1), "2"), put("b", Expect::Version(7), "2")];
    assert_eq!(conflict(&*ledger, writes, "one of two is stale").await, [key("b")], "only the stale key is named");
    let writes = vec![put("a", Expect::Version(6), "2"), put("b", Expect::Version(7), "2")];
    let keys = conflict(&*ledger, writes, "both are stale").await;
    assert!(!keys.is_empty() && keys.iter().all(|named| [key("a"), key("b")].contains(named)), "named: {keys:?}");
    for path in ["a", "b"] {
        let record = read(&*ledger, path).await.expect("it is still there");
        assert_eq!((record.version, record.body.as_str()), (1, "1"), "{path} is untouched");
    }
}

pub(super) async fn a_wrong_expectation_is_a_conflict(it: &mut dyn Instance) {
    let ledger = it.ledger();
    commit(&*ledger, vec![put("there", Expect::Absent, "1")]).await;
    commit(&*ledger, vec![put("gone", Expect::Absent, "1")]).await;
    commit(&*ledger, vec![delete("gone", Expect::Version(1))]).await;
    for change in [body("x"), Change::Delete, Change::Check] {
        for (path, expect) in [
            ("there", Expect::Absent),
            ("there", Expect::Version(0)),
            ("there", Expect::Version(2)),
            ("never", Expect::Version(1)),
            ("gone", Expect::Version(1)),
        ] {
            let why = format!("{change:?} of {path} expecting {expect:?}");
            let write = Write { key: key(path), expect, change: change.clone() };
            assert_eq!(conflict(&*ledger, vec![write], &why).await, [key(path)], "{why}");
        }
    }
    assert_eq!(read(&*ledger, "there").await.map(|record| record.version), Some(1), "nothing was written");
    assert_eq!(read(&*ledger, "never").await, None, "nothing was made");
    commit(&*ledger, vec![delete("never", Expect::Absent)]).await;
    assert_eq!(read(&*ledger, "never").await, None, "removing what is not there, as expected, does nothing");
}

pub(super) async fn batches_are_all_or_nothing(it: &mut dyn Instance) {
    let ledger = it.ledger();
    commit(&*ledger, vec![put("stale", Expect::Absent, "1"), put("old", Expect::Absent, "1")]).await;
    let mut writes: Vec<_> = (0..50).map(|n| put(&format!("new/{n}"), Expect::Absent, "1")).collect();
    writes.push(delete("old", Expect::Version(1)));
    writes.push(put("stale", Expect::Version(9), "2"));
    writes.extend((50..90).map(|n| put(&format!("new/{n}"), Expect::Absent, "1")));
    assert_eq!(conflict(&*ledger, writes.clone(), "one of 92 is stale").await, [key("stale")], "it is named");
    let page = ledger.range(&key("").scope, "new/", None, 1000).await.expect("a range");
    assert_eq!(page.records, [], "none of the others was written");
    assert!(read(&*ledger, "old").await.is_some(), "none was removed");
    writes[51] = put("stale", Expect::Version(1), "2");
    commit(&*ledger, writes).await;
    let page = ledger.range(&key("").scope, "new/", None, 1000).await.expect("a range");
    assert_eq!(page.records.len(), 90, "all of them were written");
    assert_eq!(read(&*ledger, "old").await, None, "and removed");
}

pub(super) async fn batches_have_a_limit(it: &mut dyn Instance) {
    let ledger = it.ledger();
    assert_eq!(ledger.commit(Vec::new()).await, Ok(()), "an empty commit does nothing");
    let batch = |kind: &str, count: usize| -> Vec<_> {
        (0..count).map(|n| put(&format!("{kind}/{n:03}"), Expect::Absent, "{}")).collect()
    };
    commit(&*ledger, batch("full", MAX_BATCH)).await;
    misuse(&*ledger, batch("over", MAX_BATCH + 1), "one more than a batch").await;
    let page = ledger.range(&key("").scope, "over/", None, 1000).await.expect("a range");
    assert_eq!(page.records, [], "nothing of the batch that was too long");
    let keys: Vec<_> = (0..=MAX_BATCH).map(|n| key(&format!("full/{n:03}"))).collect();
    let found = ledger.get_many(&keys[..MAX_BATCH]).await.expect("a full batch of reads");
    assert_eq!(found.iter().flatten().count(), MAX_BATCH, "all of them are found");
    let over = ledger.get_many(&keys).await;
    assert!(matches!(over, Err(LedgerError::Misuse(_))), "too many reads: {over:?}");
}

pub(super) async fn misuse_is_told_and_changes_nothing(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let twice = vec![put("a", Expect::Absent, "1"), put("b", Expect::Absent, "1"), check("a", Expect::Absent)];
    misuse(&*ledger, twice, "a key twice").await;
    misuse(&*ledger, vec![put("a", Expect::Absent, "1"), put("", Expect::Absent, "1")], "an empty path").await;
    let long = "p".repeat(513);
    misuse(&*ledger, vec![put("a", Expect::Absent, "1"), put(&long, Expect::Absent, "1")], "a long path").await;
    let huge = "b".repeat(256 * 1024 + 1);
    misuse(&*ledger, vec![put("a", Expect::Absent, "1"), put("b", Expect::Absent, &huge)], "a huge body").await;
    assert_eq!(read(&*ledger, "a").await, None, "nothing was written beside the misuse");
    commit(&*ledger, vec![put(&"p".repeat(512), Expect::Absent, "1")]).await;
    // The same path in two scopes is two keys.
    let mut system = put("a", Expect::Absent, "system");
    system.key.scope = Scope::System;
    commit(&*ledger, vec![put("a", Expect::Absent, "rider"), system]).await;
    assert_eq!(read(&*ledger, "a").await.map(|record| record.body).as_deref(), Some("rider"), "scopes are apart");
}

pub(super) async fn checks_guard_a_commit(it: &mut dyn Instance) {
    let ledger = it.ledger();
    commit(&*ledger, vec![put("guard", Expect::Absent, "1")]).await;
    commit(&*ledger, vec![check("guard", Expect::Version(1)), put("a", Expect::Absent, "1")]).await;
    let guard = read(&*ledger, "guard").await.expect("it is there");
    assert_eq!((guard.version, guard.body.as_str()), (1, "1"), "a check changes nothing");
    commit(&*ledger, vec![check("nobody", Expect::Absent), put("b", Expect::Absent, "1")]).await;
    assert_eq!(read(&*ledger, "nobody").await, None, "a check makes nothing");
    let writes = vec![check("guard", Expect::Version(2)), put("c", Expect::Absent, "1")];
    assert_eq!(conflict(&*ledger, writes, "the guard moved").await, [key("guard")], "the guard is named");
    assert_eq!(read(&*ledger, "c").await, None, "nothing was written behind a failed check");
}

pub(super) async fn bodies_come_back_unchanged(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let big = format!("{{\"x\":\"{}\"}}", "é".repeat(128 * 1024 - 5));
    let bodies = ["", "{}", "nul \0 inside", "🚴 é \u{202e}\r\n\t\\\" ' ; -- %s", "\u{feff}bom", big.as_str()];
    for (n, text) in bodies.into_iter().enumerate() {
        let path = format!("odd/{n}");
        commit(&*ledger, vec![put(&path, Expect::Absent, text)]).await;
        let found = read(&*ledger, &path).await.expect("it was made").body;
        assert!(found == text, "body {n} of {} bytes came back as {} bytes", text.len(), found.len());
    }
    for path in ["a b", "'; drop table", "ä/ö", "100%_x", "nul\0path"] {
        commit(&*ledger, vec![put(path, Expect::Absent, path)]).await;
        assert_eq!(read(&*ledger, path).await.map(|record| record.body).as_deref(), Some(path), "path {path:?}");
    }
}

pub(super) async fn many_are_read_in_the_order_asked(it: &mut dyn Instance) {
    let ledger = it.ledger();
    commit(&*ledger, vec![put("a", Expect::Absent, "a"), put("b", Expect::Absent, "b")]).await;
    let found = ledger.get_many(&[key("b"), key("none"), key("a"), key("b")]).await.expect("reads");
    let bodies: Vec<_> = found.iter().map(|record| record.as_ref().map(|record| record.body.as_str())).collect();
    assert_eq!(bodies, [Some("b"), None, Some("a"), Some("b")], "in the order of the keys");
    assert_eq!(ledger.get_many(&[]).await, Ok(Vec::new()), "no keys, no records");
}

pub(super) async fn everything_survives_reopening(it: &mut dyn Instance) {
    let ledger = it.ledger();
    commit(&*ledger, (0..100).map(|n| put(&format!("r/{n}"), Expect::Absent, "{}")).collect()).await;
    commit(&*ledger, vec![put("r/7", Expect::Version(1), "changed"), delete("r/8", Expect::Version(1))]).await;
    drop(ledger);
    if !it.reopen().await {
        return;
    }
    let ledger = it.ledger();
    let record = read(&*ledger, "r/7").await.expect("it survived");
    assert_eq!((record.version, record.body.as_str()), (2, "changed"), "with its version");
    assert_eq!(read(&*ledger, "r/8").await, None, "what was removed stays away");
    commit(&*ledger, vec![put("r/8", Expect::Absent, "{}")]).await;
}
