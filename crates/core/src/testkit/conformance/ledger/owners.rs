//! Claims and the processes that made them.

use super::{Instance, at, commit, due_paths, put_due, read};
use crate::{
    domain::{OwnerId, Shard},
    ports::{Claim, Due, Expect},
};

fn claimed(owner: &OwnerId, ms: i64, working: bool) -> Option<Due> {
    Some(Due { shard: Shard(0), at: at(ms), claim: Some(Claim { owner: owner.clone(), working }) })
}

pub(super) async fn claims_come_back_as_written(it: &mut dyn Instance) {
    let ledger = it.ledger();
    let owner = it.live_owner().unwrap_or_else(|| OwnerId::from_any("someone"));
    for (path, working) in [("working", true), ("waiting", false)] {
        commit(&*ledger, vec![put_due(path, Expect::Absent, claimed(&owner, 1_000, working))]).await;
        let found = read(&*ledger, path).await.and_then(|record| record.due);
        assert_eq!(found, claimed(&owner, 1_000, working), "{path}");
    }
    commit(&*ledger, vec![put_due("working", Expect::Version(1), Some(Due::at(Shard(0), at(5))))]).await;
    let found = read(&*ledger, "working").await.and_then(|record| record.due);
    assert_eq!(found, Some(Due::at(Shard(0), at(5))), "a claim that was given back is gone");
}

pub(super) async fn a_live_owner_keeps_its_lease(it: &mut dyn Instance) {
    let Some(owner) = it.live_owner() else { return };
    let ledger = it.ledger();
    assert!(!ledger.is_gone(&owner), "it is alive");
    commit(&*ledger, vec![put_due("mine", Expect::Absent, claimed(&owner, 1_000, true))]).await;
    it.settle().await;
    assert_eq!(due_paths(&*ledger, 0, 999).await, [""; 0], "its lease holds");
    assert_eq!(due_paths(&*ledger, 0, 1_000).await, ["mine"], "and ends");
}

pub(super) async fn claims_of_a_dead_owner_are_due_at_once(it: &mut dyn Instance) {
    let (Some(dead), Some(alive)) = (it.live_owner(), it.live_owner()) else { return };
    assert_ne!(dead, alive, "each process has an id of its own");
    let ledger = it.ledger();
    let far = 1_000_000;
    let writes = vec![
        put_due("early", Expect::Absent, Some(Due::at(Shard(0), at(5)))),
        put_due("lost/2", Expect::Absent, claimed(&dead, far + 2, true)),
        put_due("lost/1", Expect::Absent, claimed(&dead, far + 1, false)),
        put_due("over", Expect::Absent, claimed(&dead, 7, true)),
        put_due("kept", Expect::Absent, claimed(&alive, far, true)),
        put_due("later", Expect::Absent, Some(Due::at(Shard(0), at(far)))),
        put_due("elsewhere", Expect::Absent, claimed(&dead, far, true).map(|due| Due { shard: Shard(1), ..due })),
    ];
    commit(&*ledger, writes).await;
    it.settle().await;
    assert_eq!(due_paths(&*ledger, 0, 100).await, ["early", "over"], "while it lives");
    it.kill(&dead);
    assert!(ledger.is_gone(&dead) && !ledger.is_gone(&alive), "one of two died");
    assert_eq!(due_paths(&*ledger, 0, 100).await, ["early", "over", "lost/1", "lost/2"], "its claims are due");
    assert_eq!(due_paths(&*ledger, 1, 100).await, ["elsewhere"], "in every shard");
    let two = ledger.due(Shard(0), at(100), 3).await.expect("due must answer");
    assert_eq!(two.last().map(|row| row.key.path.as_str()), Some("lost/1"), "within the limit, earliest first");
    // Taking over: the new claim holds again.
    commit(&*ledger, vec![put_due("lost/1", Expect::Version(1), claimed(&alive, far, true))]).await;
    commit(&*ledger, vec![put_due("lost/2", Expect::Version(1), None)]).await;
    it.settle().await;
    assert_eq!(due_paths(&*ledger, 0, 100).await, ["early", "over"], "taken over, and done");
}

pub(super) async fn an_unknown_owner_never_panics(it: &mut dyn Instance) {
    let ledger = it.ledger();
    for name in ["..", ".", "nobody", &"o".repeat(128)] {
        let owner = OwnerId::new(name).expect("a valid owner id");
        // Gone or not depends on what the adapter knows; due and is_gone have to agree.
        commit(&*ledger, vec![put_due(&format!("o/{name}"), Expect::Absent, claimed(&owner, 1_000, true))]).await;
        it.settle().await;
        let listed = due_paths(&*ledger, 0, 0).await.contains(&format!("o/{name}"));
        assert_eq!(listed, ledger.is_gone(&owner), "due and is_gone agree about {name:?}");
    }
}
