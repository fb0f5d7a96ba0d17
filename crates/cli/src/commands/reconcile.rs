//! `fitbridge reconcile`: look whether everything is where it should be, and mend what is not.

use std::time::Duration;

use fitbridge_core::domain::{Connection, Report, Shard};
use fitbridge_local::run::work_through;
use serde_json::{Value, json};

use super::{Context, backfill::sources};
use crate::{
    app::App,
    exit::{Exit, Stop},
    out::{bold, plain},
};

/// How often is looked whether another process, which has it, is through with it.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often that changes nothing before it is left to the other one.
const PATIENCE: u32 = 60;

/// Reconciles the rider's sources and tells what was found.
pub(crate) async fn run(context: &Context, name: Option<&str>) -> Result<Exit, Stop> {
    let mut app = context.open()?;
    let sources = sources(&app, name).await?;
    if sources.is_empty() {
        context.out.note("no source is connected: start with `fitbridge connect igpsport`");
    }
    let mut exit = Exit::Done;
    let (mut late, mut repaired, mut gone, mut missing) = (0, 0, 0, 0);
    app.engine.refuse_when_halted().await?;
    for source in &sources {
        let begun = app.engine.begin_reconcile(&app.user, &source.id).await?;
        if !begun {
            context.out.note(format!("{}: one is under way already; this waits for it", source.name));
        }
        let Some(report) = finished(&mut app, source).await? else {
            context
                .out
                .line(format!("{}: not finished; `fitbridge serve` or the next `fitbridge sync` goes on", source.name));
            exit = exit.max(Exit::Unfinished);
            continue;
        };
        context.out.line(format!("{}: {}", bold(&source.name), line(&report)));
        notes(context, &report);
        let mut told = record(&report);
        told["type"] = "report".into();
        told["name"] = source.name.clone().into();
        context.out.record(&told);
        let found = &report.found;
        (late, repaired) = (late + found.late, repaired + found.repaired);
        (gone, missing) = (gone + found.gone, missing + found.missing);
    }
    context.out.record(&json!({
        "type": "summary", "sources": sources.len(), "late": late, "repaired": repaired, "gone": gone,
        "missing": missing,
    }));
    Ok(exit)
}

/// Works, or waits for the process that does, until the report is there.
async fn finished(app: &mut App, source: &Connection) -> Result<Option<Report>, Stop> {
    let shard = Shard::of(&app.user, app.engine.policy().shards);
    let (mut last, mut same) = (None, 0);
    loop {
        let failures = work_through(&mut app.lanes, shard).await?;
        let stored = app.engine.store().connection(&app.user, &source.id).await?;
        let Some(progress) = stored.as_ref().and_then(|stored| stored.doc.source()) else { return Ok(None) };
        if progress.reconcile.is_none() {
            return Ok(progress.report.as_deref().cloned());
        }
        same = if last == progress.reconcile { same + 1 } else { 0 };
        last = progress.reconcile.clone();
        let paused = stored.is_some_and(|stored| !stored.doc.is_active());
        // What fails of our own, or is stopped, is so for every source; the reconcile stands and goes on later.
        if let Some(failure) = failures.into_iter().next() {
            return Err(failure.into());
        }
        if same >= PATIENCE || paused {
            return Ok(None);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A report in a line.
pub(super) fn line(report: &Report) -> String {
    let found = &report.found;
    let told = [
        (found.late, "late"),
        (found.repaired, "put back to work"),
        (found.gone, "gone upstream"),
        (found.missing, "gone at sinks"),
    ];
    let told: Vec<_> =
        told.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let told = if told.is_empty() { "all in order".to_owned() } else { told.join(", ") };
    format!("reconciled {:.0}: {} rides upstream, {told}", report.at, found.seen)
}

/// The particulars, a line each.
pub(super) fn notes(context: &Context, report: &Report) {
    for note in &report.found.notes {
        context.out.line(format!("    {}", plain(note)));
    }
}

/// A report as a record.
pub(super) fn record(report: &Report) -> Value {
    json!({
        "at": report.at.to_string(),
        "begun_at": report.begun_at.to_string(),
        "asked": report.asked,
        "seen": report.found.seen,
        "late": report.found.late,
        "repaired": report.found.repaired,
        "gone": report.found.gone,
        "missing": report.found.missing,
        "notes": report.found.notes,
    })
}
