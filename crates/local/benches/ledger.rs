//! What the SQLite ledger costs. Prints a table; judges nothing.
//!
//! `cargo bench -p fitbridge-local --bench ledger` (some hundred MB of disk, half a minute)

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use fitbridge_core::{
    domain::{OwnerId, Shard, UserId},
    ports::{Change, Claim, Due, Expect, Key, Ledger, PlanSlot, PollClass, Scope, Write},
};
use fitbridge_local::{Owners, SqliteLedger};
use jiff::Timestamp;

type Failed = Box<dyn std::error::Error>;

const DUE: usize = 100;

fn row(what: &str, number: f64, unit: &str) {
    println!("| {what:<58} | {number:>12.1} | {unit:<9} |");
}

fn write(path: String, due: Option<Due>, plan: Option<PlanSlot>) -> Result<Write, Failed> {
    let body = format!("{{\"schema\":1,\"path\":\"{path}\",\"padding\":\"{}\"}}", "x".repeat(100));
    let key = Key { scope: Scope::User(UserId::new("rider")?), path };
    Ok(Write { key, expect: Expect::Absent, change: Change::Put { body, due, plan } })
}

/// Records of which `DUE` are due before 1970-01-02, the others in the far future; every third of those is
/// claimed by a living owner, as it is while work is handed over.
async fn fill(ledger: &dyn Ledger, records: std::ops::Range<usize>, owner: &OwnerId) -> Result<(), Failed> {
    let records: Vec<_> = records.collect();
    for chunk in records.chunks(100) {
        let mut writes = Vec::with_capacity(chunk.len());
        for number in chunk {
            let claim = (number % 3 == 0).then(|| Claim { owner: owner.clone(), working: false });
            let due = if *number < DUE {
                Due::at(Shard(0), Timestamp::from_second(i64::try_from(*number)?)?)
            } else {
                Due { shard: Shard(0), at: Timestamp::from_second(4_000_000_000)?, claim }
            };
            let plan = PlanSlot { shard: Shard(0), class: PollClass::Cold, slot: u16::try_from(number % 60)? };
            let plan = (number % 100 == 1).then_some(plan);
            writes.push(write(format!("activity/{number:08}"), Some(due), plan)?);
        }
        ledger.commit(writes).await?;
    }
    Ok(())
}

async fn mean(times: u32, mut run: impl AsyncFnMut() -> Result<(), Failed>) -> Result<Duration, Failed> {
    run().await?;
    let begun = Instant::now();
    for _ in 0..times {
        run().await?;
    }
    Ok(begun.elapsed() / times)
}

async fn ticks(home: &Path) -> Result<(), Failed> {
    let owners = Owners::open(home);
    let guard = owners.register()?;
    let ledger = SqliteLedger::open(&home.join("ticks.sqlite"), owners)?;
    let mut filled = 0;
    for records in [100_000, 1_000_000] {
        fill(&ledger, filled..records, guard.id()).await?;
        filled = records;
        let until = Timestamp::from_second(86_400)?;
        let due = mean(200, async || {
            let rows = ledger.due(Shard(0), until, 500).await?;
            if rows.len() == DUE { Ok(()) } else { Err(format!("{} rows are due", rows.len()).into()) }
        });
        row(&format!("due(): {DUE} due of {records} records"), due.await?.as_secs_f64() * 1e6, "µs/call");
        let none = mean(200, async || ledger.due(Shard(0), Timestamp::MIN, 500).await.map(drop).map_err(Into::into));
        row(&format!("due(): none due of {records} records"), none.await?.as_secs_f64() * 1e6, "µs/call");
        let slot = PlanSlot { shard: Shard(0), class: PollClass::Cold, slot: 1 };
        let plan = mean(200, async || ledger.planned(slot, None, 100).await.map(drop).map_err(Into::into));
        row(&format!("planned(): a page of 100, {records} records"), plan.await?.as_secs_f64() * 1e6, "µs/call");
    }
    let scope = Scope::User(UserId::new("rider")?);
    let range =
        mean(200, async || ledger.range(&scope, "activity/0005", None, 100).await.map(drop).map_err(Into::into));
    row("range(): pages of 100 records", 1.0 / range.await?.as_secs_f64(), "pages/s");
    let key = Key { scope, path: "activity/00050000".into() };
    let get = mean(5_000, async || ledger.get(&key).await.map(drop).map_err(Into::into));
    row("get(): one after the other", 1.0 / get.await?.as_secs_f64(), "reads/s");
    Ok(())
}

async fn commits(home: &Path, tasks: usize, each: usize) -> Result<(), Failed> {
    let path = home.join(format!("commits-{tasks}.sqlite"));
    let ledger = Arc::new(SqliteLedger::open(&path, Owners::open(home))?);
    let begun = Instant::now();
    let mut set = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let ledger = Arc::clone(&ledger);
        let writes = (0..each).map(|number| write(format!("{task}/{number}"), None, None));
        let writes = writes.collect::<Result<Vec<_>, _>>()?;
        set.spawn(async move {
            for write in writes {
                ledger.commit(vec![write]).await?;
            }
            Ok::<_, fitbridge_core::ports::CommitError>(())
        });
    }
    while let Some(done) = set.join_next().await {
        done??;
    }
    let per_second = (tasks * each) as f64 / begun.elapsed().as_secs_f64();
    row(&format!("commit(): one small record, {tasks} at once"), per_second, "commits/s");
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    let home = tempfile::tempdir()?;
    println!("| {:<58} | {:>12} | {:<9} |", "SQLite ledger", "measured", "unit");
    println!("|{:-<60}|{:->14}|{:-<11}|", "", "", "");
    commits(home.path(), 1, 5_000).await?;
    commits(home.path(), 16, 2_000).await?;
    commits(home.path(), 64, 1_000).await?;
    ticks(home.path()).await
}
