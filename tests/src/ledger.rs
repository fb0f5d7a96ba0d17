//! Looking into the ledger's file from outside.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

/// A record as it stands in the file: scope, path, version, body, due time.
pub type Row = (String, String, i64, String, Option<i64>);

/// All records in their order, the ticks' cursors aside.
///
/// # Panics
/// When the file cannot be read.
#[must_use]
pub fn ledger_rows(home: &Path) -> Vec<Row> {
    let file = home.join("ledger.sqlite");
    let ledger = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the ledger opens");
    let sql = "SELECT scope, path, version, body, due_at_ms FROM records WHERE path NOT LIKE 'cursor%' \
               ORDER BY scope, path";
    let mut rows = ledger.prepare(sql).expect("the ledger's table");
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)));
    rows.expect("the ledger's rows").collect::<Result<_, _>>().expect("a ledger's row")
}

/// Makes every breaker's wait be over, as if that time had passed: the binary has no switch that moves its
/// clock. Says how many there were.
///
/// # Panics
/// When the file cannot be changed.
pub fn age_breakers(home: &Path) -> usize {
    let ledger = Connection::open(home.join("ledger.sqlite")).expect("the ledger opens");
    let sql = "UPDATE records SET body = json_set(body, '$.open_until', '2020-01-01T00:00:00Z') \
               WHERE path LIKE 'breaker/%'";
    ledger.execute(sql, []).expect("the breakers change")
}

/// Makes every lease be over, as if that time had passed. Says how many there were.
///
/// # Panics
/// When the file cannot be changed.
pub fn end_leases(home: &Path) -> usize {
    let ledger = Connection::open(home.join("ledger.sqlite")).expect("the ledger opens");
    let sql = "UPDATE records SET due_at_ms = 0 WHERE owner IS NOT NULL";
    ledger.execute(sql, []).expect("the leases change")
}

/// Lets the night that may come while a test runs be over for every source: its look at everything would write, and
/// ask for more than a poll. What lies further ahead than clocks may be apart would not be heeded.
///
/// # Panics
/// When the file cannot be changed.
pub fn skip_the_night(home: &Path, now: Timestamp) {
    let at = now + SignedDuration::from_mins(9);
    let report = json!({ "begun_at": at, "at": at, "seen": 0, "late": 0, "repaired": 0, "gone": 0, "missing": 0 });
    let ledger = Connection::open(home.join("ledger.sqlite")).expect("the ledger opens");
    let sql = "UPDATE records SET body = json_set(body, '$.report', json(?1)) \
               WHERE json_extract(body, '$.mark.walked_at') IS NOT NULL";
    ledger.execute(sql, [report.to_string()]).expect("the report changes");
}

/// Whether nobody is in the middle of a write.
///
/// # Panics
/// When the file cannot be opened.
#[must_use]
pub fn may_be_written(home: &Path) -> bool {
    let ledger = Connection::open(home.join("ledger.sqlite")).expect("the ledger opens");
    ledger.busy_timeout(std::time::Duration::ZERO).expect("a setting");
    ledger.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
}
