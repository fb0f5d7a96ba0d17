//! The adapters from outside: suites, several processes, broken files.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod broken;
mod conforms;
mod model;
mod processes;
mod untouched;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use fitbridge_core::{
    domain::{Shard, UserId},
    ports::{Change, Due, Expect, Key, Ledger, Scope, Write},
};
use fitbridge_local::{Owners, SqliteLedger};
use jiff::Timestamp;

fn file(home: &Path) -> PathBuf {
    home.join("ledger.sqlite")
}

fn open(home: &Path) -> SqliteLedger {
    SqliteLedger::open(&file(home), Owners::open(home)).unwrap()
}

fn open_shared(home: &Path) -> Arc<dyn Ledger> {
    Arc::new(open(home))
}

fn read_only(home: &Path) -> SqliteLedger {
    SqliteLedger::open_read_only(&file(home), Owners::open(home)).unwrap()
}

fn scope() -> Scope {
    Scope::User(UserId::new("rider").unwrap())
}

fn key(path: &str) -> Key {
    Key { scope: scope(), path: path.into() }
}

fn due_at(ms: i64) -> Due {
    Due::at(Shard(0), Timestamp::from_millisecond(ms).unwrap())
}

fn make(path: &str, body: &str) -> Vec<Write> {
    let change = Change::Put { body: body.into(), due: None, plan: None };
    vec![Write { key: key(path), expect: Expect::Absent, change }]
}

async fn count(ledger: &dyn Ledger, prefix: &str) -> usize {
    let (mut count, mut after) = (0, None::<String>);
    loop {
        let page = ledger.range(&scope(), prefix, after.as_deref(), 1000).await.unwrap();
        count += page.records.len();
        match page.next {
            Some(next) => after = Some(next),
            None => return count,
        }
    }
}
