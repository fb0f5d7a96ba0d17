//! `fitbridge backfill`: how far back rides are fetched, and how far that is.

use fitbridge_core::{
    Engine,
    domain::{Backfill, BackfillPhase, Connection, UserId},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    Context,
    common::{By, Whose, connections_of},
};
use crate::{
    app::App,
    args::BackfillArgs,
    exit::{Exit, Stop},
    out::bold,
};

/// Lets the backfill of the rider's sources begin, go on or stop, or shows it.
pub(crate) async fn run(context: &Context, args: BackfillArgs) -> Result<Exit, Stop> {
    let app = if args.status { context.look()? } else { context.open()? };
    let of = context.whose(&app);
    each(&of, &args, async |source| change(&of, source, &args).await).await
}

/// Changes each of the sources that are meant, or none, and shows them.
pub(super) async fn each(
    of: &Whose<'_>,
    args: &BackfillArgs,
    change: impl AsyncFn(&Connection) -> Result<Connection, Stop>,
) -> Result<Exit, Stop> {
    let sources = sources_of(of.engine, of.user, args.name.as_deref()).await?;
    if sources.is_empty() {
        of.out.note(format!("no source is connected: start with `{} igpsport`", of.command("connect")));
    }
    let mut goes_on = false;
    for source in &sources {
        let changed = if args.status { source.clone() } else { change(source).await? };
        goes_on |= changed.backfill().is_some_and(Backfill::is_running);
        show(of, &changed);
    }
    if goes_on && !args.status {
        of.out.line(match of.by {
            By::Rider => "`fitbridge serve` fetches them a few at a time; `fitbridge sync` fetches all of them now",
            By::Operator => "`fitbridge serve` fetches them a few at a time",
            By::Cloud => "the functions fetch them a few at a time",
        });
    }
    of.out.record(&json!({ "type": "summary", "sources": sources.len() }));
    Ok(Exit::Done)
}

/// Stops a source's backfill, or lets it begin or go on.
pub(super) async fn change(of: &Whose<'_>, source: &Connection, args: &BackfillArgs) -> Result<Connection, Stop> {
    if args.stop {
        return Ok(of.engine.stop_backfill(of.user, &source.id).await?);
    }
    let begun = of.engine.begin_backfill(of.user, &source.id, args.since).await?;
    // Only marks which rides are meant; that takes no call to the source.
    of.engine.settle(of.user, &source.id).await?;
    let fresh = of.engine.store().connection(of.user, &source.id).await?;
    Ok(fresh.map_or(begun, |fresh| fresh.doc))
}

pub(super) async fn sources(app: &App, name: Option<&str>) -> Result<Vec<Connection>, Stop> {
    sources_of(&app.engine, &app.user, name).await
}

/// A rider's sources, or the one of that name.
async fn sources_of(engine: &Engine, user: &UserId, name: Option<&str>) -> Result<Vec<Connection>, Stop> {
    if let Some(name) = name {
        return Ok(vec![engine.find_connection(user, name).await?.doc]);
    }
    let mut sources = connections_of(engine, user).await?;
    sources.retain(|connection| connection.source().is_some());
    Ok(sources)
}

fn show(of: &Whose<'_>, source: &Connection) {
    let command = of.command("backfill");
    let line = source.backfill().map_or_else(|| "no older rides wait".to_owned(), |one| line_of(one, &command));
    of.out.line(format!("{}: {line}", bold(&source.name)));
    of.record(json!({
        "type": "backfill",
        "name": source.name,
        "history": source.history,
        "backfill": source.backfill().map(record),
    }));
}

/// A backfill in a line: `backfill 120 of 1,340, about 25 min left`.
pub(crate) fn line(backfill: &Backfill) -> String {
    line_of(backfill, "fitbridge backfill")
}

/// The same for whoever types that command.
pub(super) fn line_of(backfill: &Backfill, command: &str) -> String {
    let of = format!("{} of {}", grouped(backfill.done()), grouped(backfill.total));
    match backfill.phase {
        BackfillPhase::Done => format!("backfill done, {} rides", grouped(backfill.total)),
        BackfillPhase::Stopped => format!("backfill stopped at {of}; `{command}` goes on"),
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
