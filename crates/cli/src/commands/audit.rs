//! `fitbridge audit`: what happened, and when.

use fitbridge_core::{
    Engine,
    domain::{Connection, EventKind, UserId},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use super::{Context, sync::connections};
use crate::{
    exit::{Exit, Stop},
    out::{Out, plain},
};

/// Events in one read.
const PAGE: usize = 500;

/// A moment or a local date, as it is typed.
pub(crate) fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let date: Date = text.parse().map_err(|_| format!("{text:?} is no date such as 2026-01-31"))?;
    TimeZone::system().to_timestamp(date.at(0, 0, 0, 0)).map_err(|error| error.to_string())
}

/// Prints the events of this machine's rider.
pub(crate) async fn run(context: &Context, since: Option<Timestamp>) -> Result<Exit, Stop> {
    let app = context.look()?;
    print(context.out, &app.engine, &app.user, &connections(&app).await?, since).await
}

/// Prints a rider's events, oldest first.
pub(crate) async fn print(
    out: Out,
    engine: &Engine,
    user: &UserId,
    names: &[Connection],
    since: Option<Timestamp>,
) -> Result<Exit, Stop> {
    let name = |id: &str| {
        let known = names.iter().find(|connection| connection.id.as_str() == id);
        known.map_or_else(|| id.to_owned(), |connection| connection.name.clone())
    };
    let (mut after, mut count) = (None, 0_usize);
    loop {
        let (events, next) = engine.events(user, since, after, PAGE).await?;
        for event in &events {
            count += 1;
            out.line(format!("{:.0}  {}", event.at, plain(&sentence(&event.kind, name))));
            let mut record = json!({ "type": "event", "at": event.at.to_string() });
            if let (Value::Object(record), Ok(Value::Object(kind))) = (&mut record, serde_json::to_value(&event.kind)) {
                record.extend(kind);
            }
            out.record(&record);
        }
        match next {
            Some(path) => after = Some(path),
            None => break,
        }
    }
    out.record(&json!({ "type": "summary", "events": count }));
    Ok(Exit::Done)
}

fn sentence(kind: &EventKind, name: impl Fn(&str) -> String) -> String {
    match kind {
        EventKind::Connected { name, .. } => format!("{name} was connected"),
        EventKind::Disconnected { name, .. } => format!("{name} was disconnected"),
        EventKind::Paused { connection, failure } => format!("{} was paused: {failure}", name(connection.as_str())),
        EventKind::Resumed { connection } => format!("{} works again", name(connection.as_str())),
        EventKind::RulesChanged { connection } => format!("rules of {} were changed", name(connection.as_str())),
        EventKind::Delivered { activity, sink, remote_id, .. } => {
            let remote = remote_id.as_ref().map(|id| format!(" as {id}")).unwrap_or_default();
            format!("{activity} reached {}{remote}", name(sink.as_str()))
        }
        EventKind::Failed { activity, sink, failure } => {
            let to = sink.as_ref().map(|sink| format!(" to {}", name(sink.as_str()))).unwrap_or_default();
            format!("{activity}{to} was given up: {failure}")
        }
        EventKind::Forgotten { activity } => format!("{activity} was forgotten"),
        EventKind::Linked { activity, others } => {
            let others: Vec<_> = others.iter().map(ToString::to_string).collect();
            format!("{activity} was linked with {}", others.join(", "))
        }
        EventKind::Split { activity } => format!("{activity} was taken out of its group"),
        EventKind::Resynced { activity, sinks } if sinks.is_empty() => format!("{activity} was to be sent again"),
        EventKind::Resynced { activity, sinks } => {
            let sinks: Vec<_> = sinks.iter().map(|sink| name(sink.as_str())).collect();
            format!("{activity} was to be sent again to {}", sinks.join(", "))
        }
        EventKind::ContactChanged { via, on } => {
            let what = via.as_ref().map_or_else(|| "quiet hours".to_owned(), |via| format!("notices by {via}"));
            format!("{what}: {}", if *on { "set" } else { "off" })
        }
        EventKind::Exported { records, files } => format!("everything was exported: {records} records, {files} files"),
        EventKind::Act { by, act, detail } => format!("{by}: {act} {detail}"),
        // A newer version's.
        other => other.name().to_owned(),
    }
}
