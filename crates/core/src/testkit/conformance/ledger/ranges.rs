//! Ranges.

use super::{Instance, commit, key, put, user};
use crate::ports::{Expect, Ledger, Scope};

/// Every path of a range, read in pages of `limit`.
async fn walk(ledger: &dyn Ledger, scope: &Scope, prefix: &str, limit: usize) -> Vec<String> {
    let (mut paths, mut after) = (Vec::new(), None::<String>);
    for _ in 0..1000 {
        let page = ledger.range(scope, prefix, after.as_deref(), limit).await.expect("a range");
        assert!(page.records.len() <= limit.max(1), "a page of {} with limit {limit}", page.records.len());
        paths.extend(page.records.into_iter().map(|record| record.key.path));
        match page.next {
            Some(next) => after = Some(next),
            None => return paths,
        }
    }
    panic!("the range {prefix:?} does not end");
}

/// The same downwards.
async fn walk_back(ledger: &dyn Ledger, scope: &Scope, prefix: &str, limit: usize) -> Vec<String> {
    let (mut paths, mut before) = (Vec::new(), None::<String>);
    for _ in 0..1000 {
        let page = ledger.range_back(scope, prefix, before.as_deref(), limit).await.expect("a range");
        assert!(page.records.len() <= limit.max(1), "a page of {} with limit {limit}", page.records.len());
        paths.extend(page.records.into_iter().map(|record| record.key.path));
        match page.next {
            Some(next) => before = Some(next),
            None => return paths,
        }
    }
    panic!("the range {prefix:?} does not end downwards");
}

pub(super) async fn ranges_keep_to_prefix_and_order(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let paths = [
        "a",
        "activity",
        "activity/",
        "activity/B",
        "activity/a",
        "activity/a/1",
        "activity/ab",
        "activity/b",
        "activity/ä",
        "activity/\u{ffff}",
        "activity/\u{10ffff}",
        "activity0",
        "b",
    ];
    commit(&*ledger, paths.iter().rev().map(|path| put(path, Expect::Absent, "{}")).collect()).await;
    let rider = user("rider");
    for prefix in ["", "a", "activity", "activity/", "activity/a", "activity/a/", "activity/ab", "activity/ä", "zz"] {
        let expected: Vec<_> = paths.into_iter().filter(|path| path.starts_with(prefix)).collect();
        assert_eq!(walk(&*ledger, &rider, prefix, 100).await, expected, "prefix {prefix:?}, bytewise order");
        let downwards: Vec<_> = expected.into_iter().rev().collect();
        assert_eq!(walk_back(&*ledger, &rider, prefix, 100).await, downwards, "prefix {prefix:?}, downwards");
    }
}

pub(super) async fn ranges_never_leak(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let scopes = [user("rider"), user("rider2"), user("ride"), user("s"), user("system"), Scope::System];
    for (n, scope) in scopes.iter().enumerate() {
        let mut write = put(&format!("x/{n}"), Expect::Absent, "{}");
        write.key.scope = scope.clone();
        commit(&*ledger, vec![write]).await;
    }
    for (n, scope) in scopes.iter().enumerate() {
        assert_eq!(walk(&*ledger, scope, "", 10).await, [format!("x/{n}")], "{scope:?} sees its own only");
        assert_eq!(walk_back(&*ledger, scope, "", 10).await, [format!("x/{n}")], "{scope:?} downwards");
    }
    let nobody = walk(&*ledger, &user("nobody"), "", 10).await;
    assert!(nobody.is_empty(), "a user without records sees {nobody:?}");
}

pub(super) async fn ranges_are_paged(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let expected: Vec<_> = (0..95).map(|n| format!("p/{n:03}")).collect();
    commit(&*ledger, expected.iter().map(|path| put(path, Expect::Absent, "{}")).collect()).await;
    let rider = user("rider");
    for limit in [1, 7, 94, 95, 96, 10_000] {
        assert_eq!(walk(&*ledger, &rider, "p/", limit).await, expected, "in pages of {limit}");
    }
    assert_eq!(walk(&*ledger, &rider, "p/", 0).await, expected, "a limit of 0 counts as 1");
    let behind = ledger.range(&rider, "p/", Some("p/0915"), 100).await.expect("a range");
    let paths: Vec<_> = behind.records.iter().map(|record| record.key.path.as_str()).collect();
    assert_eq!(paths, ["p/092", "p/093", "p/094"], "from behind a path that is not there");
    let before = ledger.range(&rider, "p/", Some("a"), 1).await.expect("a range");
    assert_eq!(before.records.first().map(|record| &record.key), Some(&key("p/000")), "from before the prefix");
    let past = ledger.range(&rider, "p/", Some("q"), 10).await.expect("a range");
    assert_eq!((past.records.len(), past.next), (0, None), "from behind the prefix there is nothing");
}

pub(super) async fn ranges_are_paged_downwards(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let expected: Vec<_> = (0..95).rev().map(|n| format!("p/{n:03}")).collect();
    commit(&*ledger, expected.iter().map(|path| put(path, Expect::Absent, "{}")).collect()).await;
    commit(&*ledger, ["a", "p", "p/", "p0", "q"].map(|path| put(path, Expect::Absent, "{}")).to_vec()).await;
    let rider = user("rider");
    let with_the_prefix_itself: Vec<_> = expected.iter().map(String::as_str).chain(["p/"]).collect();
    for limit in [1, 7, 95, 96, 97, 10_000] {
        assert_eq!(walk_back(&*ledger, &rider, "p/", limit).await, with_the_prefix_itself, "in pages of {limit}");
    }
    let paths = async |before: &str, limit: usize| {
        let page = ledger.range_back(&rider, "p/", Some(before), limit).await.expect("a range");
        page.records.into_iter().map(|record| record.key.path).collect::<Vec<_>>()
    };
    assert_eq!(paths("p/0025", 2).await, ["p/002", "p/001"], "from before a path that is not there");
    assert_eq!(paths("p/002", 1).await, ["p/001"], "that path itself is left out");
    assert_eq!(paths("z", 1).await, ["p/094"], "from behind the prefix");
    let before = ledger.range_back(&rider, "p/", Some("a"), 10).await.expect("a range");
    assert_eq!((before.records.len(), before.next), (0, None), "from before the prefix there is nothing");
    let lowest = ledger.range_back(&rider, "", Some(""), 10).await.expect("a range");
    assert_eq!((lowest.records.len(), lowest.next), (0, None), "nothing is below the empty path");
}
