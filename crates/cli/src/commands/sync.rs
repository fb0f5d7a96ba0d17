//! `fitbridge sync`: one pass, and what it would do.

use std::sync::Arc;

use anstyle::AnsiColor;
use fitbridge_core::{
    Failure,
    domain::{Connection, UserId},
    engine::Poll,
    ports::Clock,
    store::Stored,
};
use fitbridge_local::{
    SystemClock,
    run::{PassReport, pass},
};
use serde_json::json;

use super::{
    Context, backfill,
    plan::Plan,
    tally::{Counts, Tally},
};
use crate::{
    app::App,
    exit::{Exit, Stop},
    out::{paint, plain},
};

/// A pass.
pub(crate) async fn run(context: &Context) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("sync")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    app.engine.refuse_when_halted().await?;
    let connections = connections(&app).await?;
    let engine = Arc::clone(&app.engine);
    let user = app.user.clone();
    if !connections.iter().any(|connection| connection.source().is_some()) {
        context.out.note("no source is connected: start with `fitbridge connect igpsport`, or use `fitbridge import`");
    }
    // Where `serve` runs, it looks again in the minutes that follow.
    engine.wake_all(&user).await?;
    // A second Ctrl-C, or a worker that does not stop, ends the process: the ledger bears that.
    let report = tokio::select! {
        report = pass(&mut app.lanes, &user) => Some(report?),
        _ = tokio::signal::ctrl_c() => None,
    };
    tally.bar().finish_and_clear();
    let Some(report) = report else {
        app.lanes.stop(std::time::Duration::from_secs(10)).await;
        context.out.note("stopped; what is open goes on with the next `fitbridge sync`");
        return Ok(Exit::Unfinished);
    };
    tally.add_waiting(&report.waiting);
    let exit = finish(context, &tally, &connections, &report);
    if report.waiting.elsewhere > 0 {
        context.out.note(format!(
            "another process has {} rides or deliveries in hand; `fitbridge sync` goes on with them when it has ended, \
             or has stood still for {} minutes",
            report.waiting.elsewhere,
            engine.policy().lease.as_mins()
        ));
    }
    Ok(exit)
}

/// A rider's connections.
pub(crate) async fn connections(app: &App) -> Result<Vec<Connection>, Stop> {
    connections_of(app, &app.user).await
}

async fn connections_of(app: &App, user: &UserId) -> Result<Vec<Connection>, Stop> {
    let store = app.engine.store();
    let Some(user) = store.user(user).await? else { return Ok(Vec::new()) };
    Ok(store.connections(&user.doc).await?.into_iter().map(|stored: Stored<Connection>| stored.doc).collect())
}

/// Prints what a pass did and decides how the command ends.
fn finish(context: &Context, tally: &Tally, connections: &[Connection], report: &PassReport) -> Exit {
    let out = context.out;
    let mut exit = Exit::Done;
    for source in &report.sources {
        let (word, failure, needs) = describe(&source.poll);
        exit = exit.max(needs);
        out.record(&json!({
            "type": "source",
            "name": source.connection.name,
            "poll": word,
            "code": failure.map(|failure| failure.code.as_str()),
        }));
        match failure {
            None => out.line(format!("{}: {word}", source.connection.name)),
            Some(failure) => {
                let code = paint(AnsiColor::Red, failure.code);
                out.line(format!("{}: {word}: {} [{code}]", source.connection.name, plain(failure.code.sentence())));
                out.line(format!("  next: {}", failure.code.next_step()));
            }
        }
    }
    let sinks: Vec<_> = connections.iter().filter(|connection| connection.sink().is_some()).cloned().collect();
    let counts = tally.counts(&sinks);
    if out.is_json() {
        for record in tally.records(&sinks) {
            out.record(&record);
        }
    }
    out.line(format!(
        "rides: {} new, {} duplicate, {} linked, {} filtered, {} held, {} failed",
        counts.new, counts.duplicate, counts.linked, counts.filtered, counts.held, counts.failed
    ));
    exit = exit.max(print_deliveries(context, tally, &counts));
    for connection in &report.waiting.connections {
        let line = connection.backfill().filter(|one| one.is_running()).map(backfill::line);
        let line = line.unwrap_or_else(|| "older rides wait to be sent".into());
        out.line(format!("{}: {line}; the next `fitbridge sync` goes on", connection.name));
        exit = exit.max(Exit::Unfinished);
    }
    for failure in &report.failures {
        out.note(format!("fitbridge: {}", plain(&failure.to_string())));
        out.note(format!("  next: {}", failure.code.next_step()));
        exit = Exit::Failed;
    }
    out.record(&counts.record());
    exit
}

/// Prints the deliveries by sink and what failed, and says how the command ends.
pub(crate) fn print_deliveries(context: &Context, tally: &Tally, counts: &Counts) -> Exit {
    let out = context.out;
    let mut exit = Exit::Done;
    for (sink, of) in &counts.deliveries {
        let open = if of.pending + of.failed == 0 { AnsiColor::Green } else { AnsiColor::Yellow };
        out.line(format!(
            "  {}: {} created, {} already there, {} pending, {} failed{}",
            paint(open, sink),
            of.created,
            of.already_there,
            of.pending,
            of.failed,
            if of.filtered > 0 { format!(", {} left out by its rules", of.filtered) } else { String::new() }
        ));
    }
    for (code, (failure, times)) in tally.failures() {
        out.line(format!("  {times} × {} [{code}]", failure.code.sentence()));
        out.line(format!("    next: {}", failure.code.next_step()));
    }
    if counts.held > 0 {
        out.line("  held: already there by another route; see `fitbridge held`, then `held send` or `held skip`");
    }
    if counts.failed > 0 {
        exit = Exit::Unfinished;
    }
    let blocked = tally.failures().values().any(|(failure, _)| Stop::of(failure.clone()).exit == Exit::NeedsRider);
    if blocked {
        exit = Exit::NeedsRider;
    }
    exit
}

/// A poll's result in a word, its failure, and what that means for the exit code.
fn describe(poll: &Poll) -> (&'static str, Option<&Failure>, Exit) {
    match poll {
        Poll::Idle => ("nothing new", None, Exit::Done),
        Poll::Walked { .. } => ("list read", None, Exit::Done),
        Poll::GoesOn { .. } => ("list read in part", None, Exit::Unfinished),
        Poll::Skipped(failure) => ("skipped", Some(failure), Exit::Done),
        Poll::Refused(failure) => ("refused", Some(failure), Exit::NeedsRider),
        Poll::Paused(failure) => ("paused", Some(failure), Exit::NeedsRider),
        Poll::Away(failure) => ("away", Some(failure), Exit::Unfinished),
    }
}

/// What a pass would do. Nothing is written, downloaded or sent.
pub(crate) async fn dry_run(context: &Context) -> Result<Exit, Stop> {
    context.warn();
    let app = context.look()?;
    let out = context.out;
    let connections = connections(&app).await?;
    let sinks: Vec<_> = connections.iter().filter(|connection| connection.sink().is_some()).collect();
    let (mut new, mut filtered, mut exit) = (0_usize, 0_usize, Exit::Done);
    let mut would_send: std::collections::BTreeMap<&str, usize> =
        sinks.iter().map(|sink| (sink.name.as_str(), 0)).collect();
    for source in connections.iter().filter(|connection| connection.source().is_some()) {
        let mut number = 1;
        loop {
            let page = match app.engine.look(source, number).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    exit = exit.max(report_source(context, source, &error.failure()));
                    break;
                }
                Err(error) => {
                    exit = exit.max(report_source(context, source, &error.failure()));
                    break;
                }
            };
            if page.unchanged {
                out.line(format!("{}: nothing new", source.name));
                break;
            }
            for ride in page.rides.iter().filter(|ride| ride.known.is_none()) {
                let plan = Plan::of(&ride.row, source, &sinks);
                match plan.is_fetched() {
                    true => new += 1,
                    false => filtered += 1,
                }
                for sink in plan.sinks() {
                    *would_send.entry(sink).or_default() += 1;
                }
                out.record(&plan.record());
                out.line(plan.line());
            }
            let empty = page.rides.is_empty() && page.page.problems.is_empty();
            let last = page.page.total_pages.is_some_and(|pages| number >= pages);
            if empty || last || number >= 5_000 {
                break;
            }
            number += 1;
        }
    }
    let waiting = app.engine.waiting(fitbridge_core::domain::Shard::of(&app.user, app.engine.policy().shards)).await?;
    for delivery in &waiting.deliveries {
        if let Some(sink) = sinks.iter().find(|sink| sink.id == delivery.sink) {
            *would_send.entry(&sink.name).or_default() += 1;
        }
    }
    out.line(format!(
        "dry run: {new} new rides would be fetched, {filtered} filtered, {} go on where they were; nothing was changed",
        waiting.rides.len()
    ));
    for (sink, count) in &would_send {
        out.line(format!("  {sink}: up to {count} would be sent"));
    }
    if sinks.iter().any(|sink| sink.sink().is_some_and(|progress| !progress.rules.is_empty())) {
        out.line("  rules and names as far as the list tells; the file decides");
    }
    out.line("  only the files can tell: duplicates of imported files, files that are no rides, rides already there by another route");
    let deliveries: serde_json::Map<_, _> = would_send
        .iter()
        .map(|(sink, count)| {
            let counts = json!({ "created": 0, "already_there": 0, "pending": count, "failed": 0, "filtered": 0 });
            ((*sink).to_owned(), counts)
        })
        .collect();
    out.record(&json!({
        "type": "summary",
        "dry_run": true,
        "new": new,
        "duplicate": 0,
        "filtered": filtered,
        "held": 0,
        "failed": 0,
        "deliveries": deliveries,
        "unknown_until_fetched": ["duplicate", "held", "rejected"],
    }));
    Ok(exit)
}

fn report_source(context: &Context, source: &Connection, failure: &Failure) -> Exit {
    let record = json!({ "type": "source", "name": source.name, "poll": "failed", "code": failure.code });
    context.out.record(&record);
    context.out.line(format!("{}: {}", source.name, plain(&failure.to_string())));
    context.out.line(format!("  next: {}", failure.code.next_step()));
    Stop::of(failure.clone()).exit
}
