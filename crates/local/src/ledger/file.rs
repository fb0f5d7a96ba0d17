//! The database file: how it is made, recognised and opened.

use std::{path::Path, time::Duration};

use fitbridge_core::ports::LedgerError;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::{
    OpenError,
    failure::{Answer, translate},
};

/// "FitB": tells our files from other SQLite files.
const APPLICATION_ID: i64 = 0x4669_7442;
/// The format this code writes.
const FORMAT: i64 = 1;
/// How long a call waits for another process before it answers `Locked`.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages of 8 KiB hold a ride's record whole: a row without rowid moves to overflow pages when it is longer
/// than a quarter of a page.
const MAKE: &str = "
    CREATE TABLE records (
        scope TEXT NOT NULL,
        path TEXT NOT NULL,
        version INTEGER NOT NULL,
        body TEXT NOT NULL,
        due_shard INTEGER,
        due_at_ms INTEGER,
        owner TEXT,
        working INTEGER,
        plan_shard INTEGER,
        plan_class INTEGER,
        plan_slot INTEGER,
        PRIMARY KEY (scope, path)
    ) WITHOUT ROWID;
    CREATE INDEX records_due ON records (due_shard, due_at_ms) WHERE due_at_ms IS NOT NULL;
    CREATE INDEX records_owner ON records (owner, due_shard, due_at_ms) WHERE owner IS NOT NULL;
    CREATE INDEX records_plan ON records (plan_shard, plan_class, plan_slot) WHERE plan_shard IS NOT NULL;
";

/// What a file says of itself.
#[derive(Clone, Copy)]
enum Kind {
    Fresh,
    Ours,
    Foreign,
    TooNew(i64),
}

fn kind(connection: &Connection) -> Answer<Kind> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let format: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, format) {
        (APPLICATION_ID, FORMAT) => Kind::Ours,
        (APPLICATION_ID, newer) if newer > FORMAT => Kind::TooNew(newer),
        (0, 0) if tables == 0 => Kind::Fresh,
        _ => Kind::Foreign,
    })
}

fn verdict(kind: Kind, path: &Path) -> Result<(), OpenError> {
    let path = path.display();
    match kind {
        Kind::Ours => Ok(()),
        Kind::Fresh => Err(OpenError::Missing(path.to_string())),
        Kind::TooNew(found) => Err(OpenError::TooNew { path: path.to_string(), found, known: FORMAT }),
        Kind::Foreign => {
            let why = format!("{path} is no database of FitBridge; use another data folder, or move the file away");
            Err(LedgerError::Corrupt(why).into())
        }
    }
}

/// Opens the file for writing, and makes it where it is not there or empty.
pub(super) fn open(path: &Path) -> Result<Connection, OpenError> {
    let failed = |error: rusqlite::Error| OpenError::from(translate(&error, path));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| {
            LedgerError::Unavailable(format!("{} cannot be made: {error}; check its rights", folder.display()))
        })?;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    set_up(&connection).map_err(failed)?;
    if connection.is_readonly("main").map_err(failed)? {
        let why = format!("{}: it may only be read; check its rights and the disk", path.display());
        return Err(LedgerError::ReadOnly(why).into());
    }
    match kind(&connection).map_err(failed)? {
        Kind::Fresh => make(&mut connection).map_err(failed)?,
        known => verdict(known, path)?,
    }
    Ok(connection)
}

/// Settings of a connection, not of the file.
pub(super) fn set_up(connection: &Connection) -> Answer<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(32);
    // NORMAL syncs at checkpoints: a killed process loses nothing, a power cut at most the last commits.
    connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -8000;")
}

/// Makes the table, once, however many processes start at the same moment.
fn make(connection: &mut Connection) -> Answer<()> {
    connection.execute_batch("PRAGMA page_size = 8192")?;
    switch_to_wal(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if matches!(kind(&transaction)?, Kind::Fresh) {
        transaction.execute_batch(MAKE)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    transaction.commit()
}

/// SQLite does not wait for others when it changes the journal's mode, so this does.
fn switch_to_wal(connection: &Connection) -> Answer<()> {
    let mut tries = 0;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(_) => return Ok(()),
            Err(rusqlite::Error::SqliteFailure(failure, _))
                if failure.code == ErrorCode::DatabaseBusy && tries < 500 =>
            {
                tries += 1;
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Opens the file for reading, with settings that are given as URI parameters.
pub(super) fn open_for_reading(path: &Path, parameters: &str) -> Answer<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri(path, parameters), flags)?;
    set_up(&connection)?;
    Ok(connection)
}

/// Whether a connection that was opened for reading has one of our files.
pub(super) fn recognise(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let kind = kind(connection).map_err(|error| translate(&error, path))?;
    verdict(kind, path)
}

fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => uri.push(char::from(*byte)),
            b'\\' if cfg!(windows) => uri.push('/'),
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    format!("{uri}?mode=ro{parameters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_no_part_of_the_uris_grammar() {
        assert_eq!(
            uri(Path::new("/a b/100%?x#y/é.db"), "&immutable=1"),
            "file:/a%20b/100%25%3fx%23y/%c3%a9.db?mode=ro&immutable=1"
        );
    }

    #[test]
    fn a_fresh_file_is_ours_and_in_wal_mode() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/folder/ledger.sqlite");
        let connection = open(&path).unwrap();
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        drop(connection);
        drop(open(&path).unwrap());
    }

    #[test]
    fn files_of_others_and_of_the_future_are_refused_and_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger.sqlite");
        let foreign = Connection::open(&path).unwrap();
        foreign.execute_batch("CREATE TABLE theirs (x)").unwrap();
        drop(foreign);
        let before = std::fs::read(&path).unwrap();
        let error = open(&path).unwrap_err();
        assert!(error.to_string().contains("no database of FitBridge"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), before);

        std::fs::remove_file(&path).unwrap();
        let future = open(&path).unwrap();
        future.pragma_update(None, "user_version", 2).unwrap();
        drop(future);
        let error = open(&path).unwrap_err();
        assert!(matches!(error, OpenError::TooNew { found: 2, known: 1, .. }), "{error}");
        assert_eq!(error.failure().code, fitbridge_core::Code::LedgerTooNew);
    }
}
