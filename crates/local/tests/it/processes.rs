//! Several processes at once, and processes that are killed.

use fitbridge_core::domain::OwnerId;

use super::{writer::Writer, *};

fn owner_of(batch: &str) -> OwnerId {
    OwnerId::new(batch.split('/').next().unwrap()).unwrap()
}

#[tokio::test]
async fn after_a_kill_every_answered_commit_is_there_whole_and_its_claim_is_due() {
    let home = tempfile::tempdir().unwrap();
    for round in 1..=5_usize {
        let mut writer = Writer::start(home.path(), usize::MAX);
        let mut told = writer.told(round * 20);
        told.extend(writer.kill());
        let owner = owner_of(&told[0]);
        assert!(file(home.path()).with_extension("sqlite-wal").exists(), "it was killed, not closed");

        let ledger = open(home.path());
        for batch in &told {
            assert_eq!(count(&ledger, batch).await, 3, "{batch} was committed");
        }
        let all = count(&ledger, &format!("{owner}/")).await;
        assert!(all % 3 == 0, "{all} records: a batch is there by half");
        assert!(ledger.is_gone(&owner));
        let due = ledger.due(Shard(0), Timestamp::UNIX_EPOCH, 100).await.unwrap();
        let paths: Vec<_> = due.into_iter().map(|row| row.key.path).collect();
        assert!(paths.contains(&format!("claim/{owner}")), "its claim is due at once: {paths:?}");
        assert_eq!(paths.len(), round, "and those of the killed before it");
    }
}

#[tokio::test]
async fn processes_write_and_read_at_the_same_time() {
    let home = tempfile::tempdir().unwrap();
    // All three make the database at the same moment.
    let mut writers = [Writer::start(home.path(), usize::MAX), Writer::start(home.path(), usize::MAX)];
    let mine = open(home.path());
    let reading = read_only(home.path());
    for number in 0..200 {
        mine.commit(make(&format!("mine/{number}"), "{}")).await.unwrap();
        assert_eq!(count(&reading, "mine/").await, number + 1, "a reader sees what was committed before");
    }
    let mut owners = Vec::new();
    for writer in &mut writers {
        let batch = writer.told(1).remove(0);
        let owner = owner_of(&batch);
        assert!(!reading.is_gone(&owner), "it is at work");
        assert_eq!(count(&reading, &batch).await, 3);
        owners.push(owner);
    }
    let due = reading.due(Shard(0), Timestamp::UNIX_EPOCH, 100).await.unwrap();
    assert!(due.is_empty(), "claims of the living are not taken: {due:?}");
    drop(writers);
    assert!(owners.iter().all(|owner| reading.is_gone(owner)));
    assert_eq!(reading.due(Shard(0), Timestamp::UNIX_EPOCH, 100).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_reader_keeps_its_view_while_a_writer_holds_the_lock() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    ledger.commit(make("a", "{}")).await.unwrap();
    let other = rusqlite::Connection::open(file(home.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM records;").unwrap();
    assert_eq!(count(&ledger, "").await, 1, "an open transaction is not seen, and not waited for");
    assert_eq!(count(&read_only(home.path()), "").await, 1);
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(count(&ledger, "").await, 0);
}
