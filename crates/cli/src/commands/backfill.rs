//! `fitbridge backfill`: how far back rides are fetched, and how far that is.

use fitbridge_core::{
    domain::{Backfill, BackfillPhase, Connection},
    engine::EngineError,
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{Context, common::connections};
use crate::{
    app::App,
    args::BackfillArgs,
    exit::{Exit, Stop},
    out::bold,
};

/// Lets the backfill of the rider's sources begin, go on or stop, or shows it.
pub(crate) async fn run(context: &Context, args: BackfillArgs) -> Result<Exit, Stop> {
    let app = if args.status { context.look()? } else { context.open()? };
    let sources = sources(&app, args.name.as_deref()).await?;
    if sources.is_empty() {
        context.out.note("no source is connected: start with `fitbridge connect igpsport`");
    }
    let mut goes_on = false;
    for source in &sources {
        let changed = if args.status {
            source.clone()
        } else if args.stop {
            app.engine.stop_backfill(&app.user, &source.id).await?
        } else {
            begin(&app, source, &args).await?
        };
        goes_on |= changed.backfill().is_some_and(Backfill::is_running);
        show(context, &changed);
    }
    if goes_on && !args.status {
        context.out.line("`fitbridge serve` fetches them a few at a time; `fitbridge sync` fetches all of them now");
    }
    context.out.record(&json!({ "type": "summary", "sources": sources.len() }));
    Ok(Exit::Done)
}

async fn begin(app: &App, source: &Connection, args: &BackfillArgs) -> Result<Connection, EngineError> {
    let begun = app.engine.begin_backfill(&app.user, &source.id, args.since).await?;
    // Only marks which rides are meant; that takes no call to the source.
    app.engine.settle(&app.user, &source.id).await?;
    let fresh = app.engine.store().connection(&app.user, &source.id).await?;
    Ok(fresh.map_or(begun, |fresh| fresh.doc))
}

pub(super) async fn sources(app: &App, name: Option<&str>) -> Result<Vec<Connection>, Stop> {
    if let Some(name) = name {
        return Ok(vec![app.engine.find_connection(&app.user, name).await?.doc]);
    }
    let mut sources = connections(app).await?;
    sources.retain(|connection| connection.source().is_some());
    Ok(sources)
}

fn show(context: &Context, source: &Connection) {
    let line = source.backfill().map_or_else(|| "no older rides wait".to_owned(), line);
    context.out.line(format!("{}: {line}", bold(&source.name)));
    context.out.record(&json!({
        "type": "backfill",
        "name": source.name,
        "history": source.history,
        "backfill": source.backfill().map(record),
    }));
}

/// A backfill in a line: `backfill 120 of 1,340, about 25 min left`.
pub(crate) fn line(backfill: &Backfill) -> String {
    let of = format!("{} of {}", grouped(backfill.done()), grouped(backfill.total));
    match backfill.phase {
        BackfillPhase::Done => format!("backfill done, {} rides", grouped(backfill.total)),
        BackfillPhase::Stopped => format!("backfill stopped at {of}; `fitbridge backfill` goes on"),
        BackfillPhase::Running => match backfill.left() {
            Some(left) => format!("backfill {of}, about {} left", rough(left)),
            None => format!("backfill {of}"),
        },
    }
}

/// A backfill as a record.
pub(crate) fn record(backfill: &Backfill) -> Value {
    json!({
        "phase": backfill.phase,
        "done": backfill.done(),
        "total": backfill.total,
        "begun_at": backfill.begun_at.to_string(),
        "left_s": backfill.left().map(|left| left.as_secs()),
    })
}

/// A whole number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A length of time as people say it.
fn rough(left: SignedDuration) -> String {
    match left.as_mins() {
        ..1 => "a minute".to_owned(),
        minutes @ 1..120 => format!("{minutes} min"),
        minutes => format!("{} h", (minutes + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use fitbridge_core::domain::Pace;
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_backfill_is_told_as_a_person_would() {
        let begun = Timestamp::UNIX_EPOCH;
        let mut backfill = Backfill { taken: 120, ..Backfill::new(begun, 1340) };
        assert_eq!(line(&backfill), "backfill 120 of 1,340");
        let last = begun + SignedDuration::from_secs(150);
        backfill.pace = Some(Pace { from: begun, done_then: 0, last });
        assert_eq!(line(&backfill), "backfill 120 of 1,340, about 25 min left");
        backfill.phase = BackfillPhase::Stopped;
        assert_eq!(line(&backfill), "backfill stopped at 120 of 1,340; `fitbridge backfill` goes on");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(rough(SignedDuration::from_mins(600)), "10 h");
    }
}
