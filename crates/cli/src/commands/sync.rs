//! `fitbridge sync`: one pass, and what it would do.

use std::{collections::BTreeMap, sync::Arc};

use anstyle::AnsiColor;
use fitbridge_core::{
    Failure,
    domain::{Connection, Shard},
    engine::Poll,
    ports::Clock,
};
use fitbridge_local::{
    SystemClock,
    run::{PassReport, pass},
};
use serde_json::{Map, json};

use super::{
    Context, backfill,
    common::{connections, print_deliveries, print_failures},
    plan::Plan,
    tally::Tally,
};
use crate::{
    app::App,
    exit::{Exit, Stop},
    out::{paint, plain},
};

/// Most pages of a list that a dry run looks at.
const MOST_PAGES: u32 = 5_000;

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
    exit = print_failures(context, &report.failures, exit);
    out.record(&counts.record());
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

/// What a pass would do, as far as it is counted.
#[derive(Debug, Default)]
struct Would {
    fetch: usize,
    filter: usize,
    /// By the sink's name; at most so many, since only the files can tell the rest.
    send: BTreeMap<String, usize>,
}

/// What a pass would do. Nothing is written, downloaded or sent.
pub(crate) async fn dry_run(context: &Context) -> Result<Exit, Stop> {
    context.warn();
    let app = context.look()?;
    let connections = connections(&app).await?;
    let sinks: Vec<_> = connections.iter().filter(|connection| connection.sink().is_some()).collect();
    let send = sinks.iter().map(|sink| (sink.name.clone(), 0)).collect();
    let (mut would, mut exit) = (Would { send, ..Would::default() }, Exit::Done);
    for source in connections.iter().filter(|connection| connection.source().is_some()) {
        exit = exit.max(look_through(context, &app, source, &sinks, &mut would).await);
    }
    let waiting = app.engine.waiting(Shard::of(&app.user, app.engine.policy().shards)).await?;
    for delivery in &waiting.deliveries {
        if let Some(sink) = sinks.iter().find(|sink| sink.id == delivery.sink) {
            *would.send.entry(sink.name.clone()).or_default() += 1;
        }
    }
    let has_rules = sinks.iter().any(|sink| sink.sink().is_some_and(|progress| !progress.rules.is_empty()));
    tell_what_would_be(context, &would, waiting.rides.len(), has_rules);
    Ok(exit)
}

/// Reads a source's list as far as it is new, and plans its rides.
async fn look_through(
    context: &Context,
    app: &App,
    source: &Connection,
    sinks: &[&Connection],
    would: &mut Would,
) -> Exit {
    for number in 1..=MOST_PAGES {
        let looked = match app.engine.look(source, number).await {
            Ok(looked) => looked.map_err(|error| error.failure()),
            Err(error) => Err(error.failure()),
        };
        let page = match looked {
            Ok(page) => page,
            Err(failure) => return report_source(context, source, &failure),
        };
        if page.unchanged {
            context.out.line(format!("{}: nothing new", source.name));
            break;
        }
        for ride in page.rides.iter().filter(|ride| ride.known.is_none()) {
            let plan = Plan::of(&ride.row, source, sinks);
            match plan.is_fetched() {
                true => would.fetch += 1,
                false => would.filter += 1,
            }
            for sink in plan.sinks() {
                *would.send.entry(sink.to_owned()).or_default() += 1;
            }
            context.out.record(&plan.record());
            context.out.line(plan.line());
        }
        let empty = page.rides.is_empty() && page.page.problems.is_empty();
        if empty || page.page.total_pages.is_some_and(|pages| number >= pages) {
            break;
        }
    }
    Exit::Done
}

fn tell_what_would_be(context: &Context, would: &Would, waiting: usize, has_rules: bool) {
    let out = context.out;
    out.line(format!(
        "dry run: {} new rides would be fetched, {} filtered, {waiting} go on where they were; nothing was changed",
        would.fetch, would.filter
    ));
    for (sink, count) in &would.send {
        out.line(format!("  {sink}: up to {count} would be sent"));
    }
    if has_rules {
        out.line("  rules and names as far as the list tells; the file decides");
    }
    out.line("  what only the files can tell: duplicates of imported files, files that are no rides,");
    out.line("  and rides that are already there by another route");
    let counts = |count| json!({ "created": 0, "already_there": 0, "pending": count, "failed": 0, "filtered": 0 });
    let deliveries: Map<_, _> = would.send.iter().map(|(sink, count)| (sink.clone(), counts(count))).collect();
    out.record(&json!({
        "type": "summary",
        "dry_run": true,
        "new": would.fetch,
        "duplicate": 0,
        "filtered": would.filter,
        "held": 0,
        "failed": 0,
        "deliveries": deliveries,
        "unknown_until_fetched": ["duplicate", "held", "rejected"],
    }));
}

fn report_source(context: &Context, source: &Connection, failure: &Failure) -> Exit {
    let record = json!({ "type": "source", "name": source.name, "poll": "failed", "code": failure.code });
    context.out.record(&record);
    context.out.line(format!("{}: {}", source.name, plain(&failure.to_string())));
    context.out.line(format!("  next: {}", failure.code.next_step()));
    Stop::of(failure.clone()).exit
}
