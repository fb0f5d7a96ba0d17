//! `admin stop`, `go`, `status`.

use std::collections::BTreeMap;

use fitbridge_core::{
    Code, Failure,
    domain::Shard,
    ports::{Key, LedgerError, Scope},
    store::{Breaker, Cursor, StoreError},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Act, Desk, changed};
use crate::{
    exit::{Exit, Stop},
    out::{bold, plain},
};

/// Most breakers that are shown; there is one per provider.
const BREAKERS: usize = 100;

/// Stops everything.
pub(super) async fn stop(desk: &Desk, note: &str) -> Result<Exit, Stop> {
    let act = Act { verb: "stop", user: None, detail: note };
    let (halt, made) = desk.act(act, async { Ok(desk.engine.halt(note).await?) }).await?;
    desk.out.record(&json!({ "type": "stopped", "since": halt.since.to_string(), "note": halt.note, "new": made }));
    desk.out.line(match made {
        true => {
            format!("stopped: within a minute no provider is asked anything; go on with `{} go`", desk.by().admin())
        }
        false => format!("stopped already, since {:.0}", halt.since),
    });
    Ok(changed(desk, usize::from(made)))
}

/// Goes on.
pub(super) async fn go(desk: &Desk) -> Result<Exit, Stop> {
    let act = Act { verb: "go", user: None, detail: "" };
    let over = desk.act(act, async { Ok(desk.engine.go_on().await?) }).await?;
    let since = over.as_ref().map(|halt| halt.since);
    desk.out.record(&json!({ "type": "going", "was_stopped_since": since.map(|since| since.to_string()) }));
    desk.out.line(match since {
        Some(since) => format!("going on: it was stopped since {since:.0}; the next tick makes up for it"),
        None => "nothing was stopped".to_owned(),
    });
    Ok(changed(desk, usize::from(over.is_some())))
}

/// Shows how the service stands.
pub(super) async fn status(desk: &Desk) -> Result<Exit, Stop> {
    let (out, engine) = (desk.out, &desk.engine);
    let halt = engine.halted().await?;
    out.line(match &halt {
        Some(halt) if halt.note.is_empty() => format!("{} since {:.0}", bold("stopped"), halt.since),
        Some(halt) => format!("{} since {:.0}: {}", bold("stopped"), halt.since, plain(&halt.note)),
        None => bold("running"),
    });
    let mut ticks = BTreeMap::new();
    for shard in 0..engine.policy().shards {
        let cursor = engine.store().read::<Cursor>(&Key::cursor(Shard(shard))).await?;
        let last = cursor.and_then(|cursor| Timestamp::from_second(cursor.doc.done_minute * 60).ok());
        let told = last.map_or_else(|| "never".to_owned(), |last| format!("{last:.0}"));
        out.line(format!("last tick of shard {shard}: {told}"));
        ticks.insert(shard.to_string(), last.map(|last| last.to_string()));
    }
    for breaker in breakers(desk).await? {
        let Breaker { provider, open_until, failure, .. } = &breaker;
        let is_open = *open_until > engine.now();
        if is_open {
            out.line(format!("{provider} is left alone until {open_until:.0}: {}", plain(&failure.to_string())));
        }
        out.record(&json!({
            "type": "breaker", "provider": provider, "open": is_open, "open_until": open_until.to_string(),
            "code": failure.code,
        }));
    }
    let mut dead = None;
    if let Some(queue) = desk.cloud.as_ref().and_then(|cloud| cloud.dead_letters.as_ref()) {
        let count = queue.count().await.map_err(|error| Stop::failed(Failure::new(Code::QueueUnavailable, error.0)))?;
        out.line(format!("dead letters in the queue: about {count}"));
        dead = Some(count);
    }
    out.record(&json!({
        "type": "summary",
        "stopped": halt.is_some(),
        "stopped_since": halt.as_ref().map(|halt| halt.since.to_string()),
        "note": halt.as_ref().map_or(Value::Null, |halt| halt.note.clone().into()),
        "last_ticks": ticks,
        "dead_letters": dead,
    }));
    Ok(Exit::Done)
}

async fn breakers(desk: &Desk) -> Result<Vec<Breaker>, Stop> {
    let store = desk.engine.store();
    let page = store.ledger().range(&Scope::System, "breaker/", None, BREAKERS).await;
    let page = page.map_err(|error: LedgerError| Stop::from(StoreError::from(error)))?;
    let keys: Vec<_> = page.records.into_iter().map(|record| record.key).collect();
    let stored = store.read_many::<Breaker>(&keys).await?;
    Ok(stored.into_iter().flatten().map(|stored| stored.doc).collect())
}
