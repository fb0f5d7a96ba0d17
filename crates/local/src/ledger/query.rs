//! The questions a ledger answers, as SQL. Each is answered from an index; a test looks at the plans.

use fitbridge_core::{
    domain::{OwnerId, Shard},
    ports::{DueRow, Key, PlanPage, PlanRow, PlanSlot, Record, RecordPage, Scope, millis::ms_down},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    failure::Answer,
    rows::{COLUMNS, class_number, key, record, scope_text, time},
};

/// Bodies on a page of a range, in bytes, after which it ends early: pages stay small in memory.
const PAGE_BYTES: usize = 4 << 20;

const GET: &str = "SELECT {columns} FROM records WHERE scope = ?1 AND path = ?2";
const RANGE_FROM: &str = "SELECT {columns} FROM records WHERE scope = ?1 AND path >= ?2 ORDER BY path LIMIT ?3";
const RANGE_BEHIND: &str = "SELECT {columns} FROM records WHERE scope = ?1 AND path > ?2 ORDER BY path LIMIT ?3";
const BACK_FROM_END: &str = "SELECT {columns} FROM records WHERE scope = ?1 ORDER BY path DESC LIMIT ?2";
const BACK_BEFORE: &str = "SELECT {columns} FROM records WHERE scope = ?1 AND path < ?2 ORDER BY path DESC LIMIT ?3";
const DUE: &str = "SELECT scope, path, due_at_ms FROM records WHERE due_shard = ?1 AND due_at_ms <= ?2
    ORDER BY due_at_ms, scope, path LIMIT ?3";
const NEXT_OWNER: &str = "SELECT owner FROM records WHERE owner > ?1 ORDER BY owner LIMIT 1";
const DUE_OF_OWNER: &str = "SELECT scope, path, due_at_ms FROM records
    WHERE owner = ?4 AND due_shard = ?1 AND due_at_ms > ?2 ORDER BY due_at_ms, scope, path LIMIT ?3";
const PLANNED: &str = "SELECT scope, path FROM records
    WHERE plan_shard = ?1 AND plan_class = ?2 AND plan_slot = ?3 AND (scope, path) > (?4, ?5)
    ORDER BY scope, path LIMIT ?6";

fn with_columns(sql: &str) -> String {
    sql.replace("{columns}", COLUMNS)
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn get(connection: &Connection, key: &Key) -> Answer<Option<Record>> {
    let mut statement = connection.prepare_cached(&with_columns(GET))?;
    statement.query_row(params![scope_text(&key.scope), key.path], |row| record(row, &key.scope)).optional()
}

pub(super) fn range(
    connection: &Connection,
    scope: &Scope,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Answer<RecordPage> {
    let (sql, from) = match after {
        Some(after) if after >= prefix => (RANGE_BEHIND, after),
        _ => (RANGE_FROM, prefix),
    };
    let mut statement = connection.prepare_cached(&with_columns(sql))?;
    let rows = statement.query(params![scope_text(scope), from, sql_limit(limit.saturating_add(1))])?;
    page_of(rows, scope, prefix, limit)
}

/// The same downwards.
pub(super) fn range_back(
    connection: &Connection,
    scope: &Scope,
    prefix: &str,
    before: Option<&str>,
    limit: usize,
) -> Answer<RecordPage> {
    let most = sql_limit(limit.saturating_add(1));
    let end = behind_all(prefix);
    let bound = match (before, end.as_deref()) {
        (Some(before), Some(end)) => Some(before.min(end)),
        (before, end) => before.or(end),
    };
    let mut statement;
    let rows = match bound {
        Some(bound) => {
            statement = connection.prepare_cached(&with_columns(BACK_BEFORE))?;
            statement.query(params![scope_text(scope), bound, most])?
        }
        None => {
            statement = connection.prepare_cached(&with_columns(BACK_FROM_END))?;
            statement.query(params![scope_text(scope), most])?
        }
    };
    page_of(rows, scope, prefix, limit)
}

/// The first text behind all that start with a prefix; `None` where nothing can be.
fn behind_all(prefix: &str) -> Option<String> {
    let mut rest: Vec<char> = prefix.chars().collect();
    while let Some(last) = rest.pop() {
        // The next character there is: behind the last one below the surrogates comes the first above them.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            rest.push(next);
            return Some(rest.into_iter().collect());
        }
    }
    None
}

fn page_of(mut rows: rusqlite::Rows<'_>, scope: &Scope, prefix: &str, limit: usize) -> Answer<RecordPage> {
    let (mut page, mut bytes) = (RecordPage::default(), 0);
    while let Some(row) = rows.next()? {
        // Paths are in order, so those with the prefix lie together.
        if !row.get_ref(0)?.as_bytes()?.starts_with(prefix.as_bytes()) {
            break;
        }
        if page.records.len() == limit || bytes > PAGE_BYTES {
            page.next = page.records.last().map(|record: &Record| record.key.path.clone());
            break;
        }
        let record = record(row, scope)?;
        bytes += record.body.len();
        page.records.push(record);
    }
    Ok(page)
}

fn due_row(row: &Row<'_>) -> Answer<DueRow> {
    Ok(DueRow { key: key(row, 0)?, at: time(row.get(2)?, 2)? })
}

/// Rows whose time has come, and rows of owners that are gone, earliest first.
pub(super) fn due(
    connection: &Connection,
    shard: Shard,
    until: Timestamp,
    limit: usize,
    is_gone: &dyn Fn(&OwnerId) -> bool,
) -> Answer<Vec<DueRow>> {
    let (until, limit) = (ms_down(until), sql_limit(limit));
    let mut statement = connection.prepare_cached(DUE)?;
    let mut found: Vec<_> = statement.query_map(params![shard.0, until, limit], due_row)?.collect::<Answer<_>>()?;
    for owner in owners(connection)?.iter().filter(|owner| is_gone(owner)) {
        let mut statement = connection.prepare_cached(DUE_OF_OWNER)?;
        let rows = statement.query_map(params![shard.0, until, limit, owner.as_str()], due_row)?;
        found.extend(rows.collect::<Answer<Vec<_>>>()?);
    }
    found.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// Every owner that has claims: one step of the index for each, however many claims it has.
fn owners(connection: &Connection) -> Answer<Vec<OwnerId>> {
    let mut statement = connection.prepare_cached(NEXT_OWNER)?;
    let (mut owners, mut last) = (Vec::new(), String::new());
    while let Some(owner) = statement.query_row([&last], |row| row.get::<_, String>(0)).optional()? {
        owners.extend(OwnerId::new(owner.as_str()).ok());
        last = owner;
    }
    Ok(owners)
}

/// The cursor is the last row's scope and path; a scope has no line break in it.
pub(super) fn planned(connection: &Connection, slot: PlanSlot, cursor: Option<&str>, limit: usize) -> Answer<PlanPage> {
    let (scope, path) = cursor.and_then(|cursor| cursor.split_once('\n')).unwrap_or_default();
    let mut statement = connection.prepare_cached(PLANNED)?;
    let class = class_number(slot.class);
    let more = sql_limit(limit.saturating_add(1));
    let rows = statement
        .query_map(params![slot.shard.0, class, slot.slot, scope, path, more], |row| key(row, 0))?
        .map(|key| key.map(|key| PlanRow { key }));
    let mut rows = rows.collect::<Answer<Vec<_>>>()?;
    let is_end = rows.len() <= limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| !is_end);
    let next = last.map(|row| format!("{}\n{}", scope_text(&row.key.scope), row.key.path));
    Ok(PlanPage { rows, next })
}

#[cfg(test)]
mod tests {
    use super::{super::file, *};

    #[test]
    fn every_question_is_answered_from_an_index() {
        let home = tempfile::tempdir().unwrap();
        let connection = file::open(&home.path().join("ledger.sqlite")).unwrap();
        for (sql, index, parameters) in [
            (GET, "PRIMARY KEY (scope=? AND path=?)", 2),
            (RANGE_FROM, "PRIMARY KEY (scope=? AND path>?)", 3),
            (RANGE_BEHIND, "PRIMARY KEY (scope=? AND path>?)", 3),
            (BACK_BEFORE, "PRIMARY KEY (scope=? AND path<?)", 3),
            (BACK_FROM_END, "PRIMARY KEY (scope=?)", 2),
            (DUE, "COVERING INDEX records_due (due_shard=? AND due_at_ms<?)", 3),
            (NEXT_OWNER, "COVERING INDEX records_owner (owner>?)", 1),
            (DUE_OF_OWNER, "COVERING INDEX records_owner (owner=? AND due_shard=? AND due_at_ms>?)", 4),
            (
                PLANNED,
                "COVERING INDEX records_plan (plan_shard=? AND plan_class=? AND plan_slot=? AND (scope,path)>(?,?))",
                6,
            ),
        ] {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", with_columns(sql))).unwrap();
            let values = rusqlite::params_from_iter(std::iter::repeat_n(1, parameters));
            let steps: Vec<String> =
                statement.query_map(values, |row| row.get(3)).unwrap().map(Result::unwrap).collect();
            assert!(steps.len() == 1 && steps[0].contains(index), "{sql}\n{steps:?} is not {index}");
        }
    }
}
