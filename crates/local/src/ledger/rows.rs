//! How keys, times and plan slots are written in columns.

use fitbridge_core::{
    domain::{OwnerId, Shard, UserId},
    ports::{Claim, Due, Key, PlanSlot, PollClass, Record, Scope, millis::from_ms},
};
use jiff::Timestamp;
use rusqlite::{Error, Row, types::Type};

use super::failure::Answer;

/// The columns that make a [`Record`], in the order [`record`] reads them, behind the path.
pub(super) const COLUMNS: &str =
    "path, version, body, due_shard, due_at_ms, owner, working, plan_shard, plan_class, plan_slot";

pub(super) fn scope_text(scope: &Scope) -> String {
    match scope {
        Scope::System => "s".into(),
        Scope::User(user) => format!("u/{user}"),
    }
}

fn odd(column: usize, what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, what.into())
}

/// The key that stands in columns `column` (the scope) and `column + 1` (the path).
pub(super) fn key(row: &Row<'_>, column: usize) -> Answer<Key> {
    let scope = row.get_ref(column)?.as_str().map_err(|error| odd(column, error))?;
    let scope = match scope.strip_prefix("u/") {
        Some(user) => Scope::User(UserId::new(user).map_err(|error| odd(column, error))?),
        None if scope == "s" => Scope::System,
        None => return Err(odd(column, "an unknown scope")),
    };
    Ok(Key { scope, path: row.get(column + 1)? })
}

pub(super) fn class_number(class: PollClass) -> u8 {
    match class {
        PollClass::Hot => 0,
        PollClass::Warm => 1,
        PollClass::Cold => 2,
    }
}

fn class(number: u8) -> Option<PollClass> {
    PollClass::ALL.into_iter().find(|class| class_number(*class) == number)
}

pub(super) fn time(ms: i64, column: usize) -> Answer<Timestamp> {
    from_ms(ms).ok_or_else(|| odd(column, "no time that there is"))
}

/// The record of a row that begins with [`COLUMNS`].
pub(super) fn record(row: &Row<'_>, scope: &Scope) -> Answer<Record> {
    let due = match row.get::<_, Option<i64>>(4)? {
        None => None,
        Some(ms) => {
            let claim = match row.get::<_, Option<String>>(5)? {
                None => None,
                Some(owner) => {
                    let owner = OwnerId::new(owner).map_err(|error| odd(5, error))?;
                    Some(Claim { owner, working: row.get(6)? })
                }
            };
            Some(Due { shard: Shard(row.get(3)?), at: time(ms, 4)?, claim })
        }
    };
    let plan = match row.get::<_, Option<u16>>(7)? {
        None => None,
        Some(shard) => {
            let class = class(row.get(8)?).ok_or_else(|| odd(8, "an unknown poll class"))?;
            Some(PlanSlot { shard: Shard(shard), class, slot: row.get(9)? })
        }
    };
    let key = Key { scope: scope.clone(), path: row.get(0)? };
    Ok(Record { key, version: row.get(1)?, body: row.get(2)?, due, plan })
}
