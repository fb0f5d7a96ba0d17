//! Many writers at once.

use std::sync::Arc;

use super::{Instance, commit, key, put, read};
use crate::ports::{CommitError, Expect, Ledger};

/// Adds one to the number in a record, reading again after each conflict; says how many conflicts there were.
async fn add_one(ledger: &dyn Ledger) -> u32 {
    for conflicts in 0..10_000 {
        let record = read(ledger, "counter").await.expect("the counter is there");
        let next = record.body.parse::<u64>().expect("a number") + 1;
        let write = put("counter", Expect::Version(record.version), &next.to_string());
        match ledger.commit(vec![write]).await {
            Ok(()) => return conflicts,
            Err(CommitError::Conflict(keys)) => assert_eq!(keys, [key("counter")], "the conflict names the counter"),
            Err(CommitError::Ledger(error)) => panic!("the ledger failed under load: {error}"),
        }
    }
    panic!("a writer never got through");
}

pub(super) async fn one_writer_wins_each_version(it: &mut dyn Instance) {
    const TASKS: u64 = 16;
    const EACH: u64 = 10;
    let ledger = it.ledger();
    commit(&*ledger, vec![put("counter", Expect::Absent, "0")]).await;
    let tasks = (0..TASKS).map(|_| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            for _ in 0..EACH {
                add_one(&*ledger).await;
            }
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.expect("no writer panicked");
    }
    let record = read(&*ledger, "counter").await.expect("the counter is there");
    assert_eq!(record.body, (TASKS * EACH).to_string(), "no addition was lost");
    assert_eq!(record.version, 1 + TASKS * EACH, "each addition was one version");
}

pub(super) async fn batches_do_not_interleave(it: &mut dyn Instance) {
    let ledger = it.ledger();
    // Each writer wants all three names; only one may have them, and it has all of them.
    let tasks = (0..20).map(|writer| {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move {
            let mut names = ["n/1", "n/2", "n/3"];
            names.rotate_left(writer % 3);
            let writes = names.iter().map(|name| put(name, Expect::Absent, &writer.to_string())).collect();
            ledger.commit(writes).await.is_ok()
        })
    });
    let won: Vec<_> =
        futures::future::join_all(tasks).await.into_iter().map(|won| won.expect("no writer panicked")).collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "one writer gets the names: {won:?}");
    let winner = won.iter().position(|won| *won).map(|writer| writer.to_string());
    for name in ["n/1", "n/2", "n/3"] {
        let holder = read(&*ledger, name).await.map(|record| record.body);
        assert_eq!(holder, winner, "{name} belongs to the winner");
    }
}
