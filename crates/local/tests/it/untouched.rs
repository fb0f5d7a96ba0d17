//! Opened read-only, a ledger leaves every byte as it was.

use std::{collections::BTreeMap, fs};

use fitbridge_core::{
    domain::{ContentId, OwnerId},
    ports::{CommitError, LedgerError},
};
use fitbridge_local::OpenError;

use super::{writer::Writer, *};

/// Every file under a folder, by path and digest.
fn files(folder: &Path) -> BTreeMap<PathBuf, ContentId> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path(), ContentId::of(&fs::read(entry.path()).unwrap()));
        }
    }
    found
}

/// Asks everything a read-only ledger answers, and finds `records` records.
async fn ask_everything(home: &Path, records: usize) {
    let before = files(home);
    let ledger = read_only(home);
    for _ in 0..3 {
        assert_eq!(count(&ledger, "r/").await, records);
        assert!(ledger.get(&key("r/0")).await.unwrap().is_some());
        assert_eq!(ledger.due(Shard(0), Timestamp::from_millisecond(5).unwrap(), 10).await.unwrap().len(), 1);
    }
    let refused = ledger.commit(make("new", "{}")).await;
    assert!(matches!(refused, Err(CommitError::Ledger(LedgerError::ReadOnly(_)))), "{refused:?}");
    assert_eq!(files(home), before, "while it is open");
    drop(ledger);
    assert_eq!(files(home), before, "after it was closed");
}

async fn fill(ledger: &SqliteLedger, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let due = (number == 0).then(|| due_at(5));
        let change = Change::Put { body: "{\"x\":1}".repeat(100), due, plan: None };
        let write = Write { key: key(&format!("r/{number}")), expect: Expect::Absent, change };
        ledger.commit(vec![write]).await.unwrap();
    }
}

#[tokio::test]
async fn a_database_that_was_closed_in_order() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    fill(&ledger, 0..50).await;
    drop(ledger);
    assert_eq!(files(home.path()).len(), 1);
    ask_everything(home.path(), 50).await;
}

#[tokio::test]
async fn a_database_that_another_process_has_open() {
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    // Within one process SQLite shares the log's index, so the writer has to be another one.
    let mut writer = Writer::start(home.path(), 40);
    let told = writer.told(40);
    let before = files(home.path());
    assert!(before.keys().any(|path| path.ends_with("ledger.sqlite-wal")), "it has the database open");
    let reading = read_only(home.path());
    for batch in &told {
        assert_eq!(count(&reading, batch).await, 3);
    }
    let owner = OwnerId::new(told[0].split('/').next().unwrap()).unwrap();
    assert!(!reading.is_gone(&owner), "asking who lives touches nothing either");
    assert_eq!(files(home.path()), before, "while both have it open");
    drop(reading);
    assert_eq!(files(home.path()), before, "after it was closed");
    drop(writer);
    let reading = read_only(home.path());
    assert_eq!(count(&reading, &format!("{owner}/")).await, 120);
    assert!(reading.is_gone(&owner));
    drop(reading);
    assert_eq!(files(home.path()), before, "after the writer was killed");
}

#[tokio::test]
async fn a_database_whose_process_was_killed() {
    let alive = tempfile::tempdir().unwrap();
    let ledger = open(alive.path());
    fill(&ledger, 0..50).await;
    // A copy of the three files is what a killed process leaves.
    let home = tempfile::tempdir().unwrap();
    for path in files(alive.path()).keys() {
        fs::copy(path, home.path().join(path.file_name().unwrap())).unwrap();
    }
    ask_everything(home.path(), 50).await;

    // Without the log's index nothing can be read untouched; it says what to do, and touches nothing.
    fs::remove_file(home.path().join("ledger.sqlite-shm")).unwrap();
    let before = files(home.path());
    let error = SqliteLedger::open_read_only(&file(home.path()), Owners::open(home.path())).unwrap_err();
    assert!(error.to_string().contains("fitbridge sync"), "{error}");
    assert_eq!(files(home.path()), before);
    assert_eq!(count(&open(home.path()), "r/").await, 50, "a writer mends it");
}

#[tokio::test]
async fn a_reader_from_quiet_times_sees_the_writer_that_comes_later() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    fill(&ledger, 0..10).await;
    drop(ledger);
    let reading = read_only(home.path());
    assert_eq!(count(&reading, "r/").await, 10);
    let ledger = open(home.path());
    fill(&ledger, 10..300).await;
    assert_eq!(count(&reading, "r/").await, 300, "while it writes");
    drop(ledger);
    assert_eq!(count(&reading, "r/").await, 300, "after it closed");
    let ledger = open(home.path());
    fill(&ledger, 300..310).await;
    assert_eq!(count(&reading, "r/").await, 310, "and when it comes again");
}

#[tokio::test]
async fn where_there_is_nothing_nothing_is_made() {
    let home = tempfile::tempdir().unwrap();
    let error = SqliteLedger::open_read_only(&file(home.path()), Owners::open(home.path())).unwrap_err();
    assert!(matches!(error, OpenError::Missing(_)), "{error}");
    assert!(files(home.path()).is_empty());
}
