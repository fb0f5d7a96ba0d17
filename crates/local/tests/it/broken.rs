//! Files and folders that are not as they should be.

use std::fs;

use fitbridge_core::ports::LedgerError;
use fitbridge_local::OpenError;

use super::*;

fn open_error(home: &Path) -> OpenError {
    SqliteLedger::open(&file(home), Owners::open(home)).unwrap_err()
}

#[tokio::test]
async fn a_file_that_is_no_database_is_told_and_kept() {
    let home = tempfile::tempdir().unwrap();
    let text = "this is my shopping list, not a database. ".repeat(100);
    fs::write(file(home.path()), &text).unwrap();
    let error = open_error(home.path());
    assert!(matches!(error, OpenError::Ledger(LedgerError::Corrupt(_))), "{error}");
    assert!(error.to_string().contains("ledger.sqlite") && error.to_string().contains("backup"), "{error}");
    let error = SqliteLedger::open_read_only(&file(home.path()), Owners::open(home.path())).unwrap_err();
    assert!(matches!(error, OpenError::Ledger(LedgerError::Corrupt(_))), "{error}");
    assert_eq!(fs::read_to_string(file(home.path())).unwrap(), text);
}

#[tokio::test]
async fn damage_inside_is_an_error_and_never_a_panic_or_a_wrong_answer() {
    let home = tempfile::tempdir().unwrap();
    let ledger = open(home.path());
    for number in 0..300 {
        ledger.commit(make(&format!("r/{number}"), &"x".repeat(500))).await.unwrap();
    }
    drop(ledger);
    let whole = fs::read(file(home.path())).unwrap();
    let mut damaged = whole.clone();
    // Every page but the first, which says what the file is.
    damaged[8192..].fill(0xa5);
    fs::write(file(home.path()), damaged).unwrap();
    let ledger = open(home.path());
    let read = ledger.get(&key("r/7")).await;
    assert!(matches!(read, Err(LedgerError::Corrupt(_))), "{read:?}");
    let written = ledger.commit(make("new", "{}")).await;
    assert!(written.is_err(), "{written:?}");
    drop(ledger);
    fs::write(file(home.path()), &whole).unwrap();
    assert_eq!(count(&open(home.path()), "r/").await, 300, "a backup is as good as new");
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_that_may_only_be_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    drop(open(home.path()));
    let set = |mode| fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
    set(0o555);
    if fs::write(home.path().join("probe"), "").is_ok() {
        println!("skipped: running as root, whom no rights stop");
        return;
    }
    fs::set_permissions(file(home.path()), fs::Permissions::from_mode(0o444)).unwrap();
    let error = open_error(home.path());
    assert!(matches!(error, OpenError::Ledger(LedgerError::ReadOnly(_) | LedgerError::Unavailable(_))), "{error}");
    assert_eq!(count(&read_only(home.path()), "").await, 0, "reading works");
    set(0o755);
}

#[tokio::test]
async fn a_folder_in_the_files_place_is_told() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(file(home.path())).unwrap();
    let error = open_error(home.path());
    assert!(error.to_string().contains("ledger.sqlite"), "{error}");
    fs::write(home.path().join("plain"), "").unwrap();
    let inside = home.path().join("plain/ledger.sqlite");
    let error = SqliteLedger::open(&inside, Owners::open(home.path())).unwrap_err();
    assert!(error.to_string().contains("cannot be made"), "{error}");
}
