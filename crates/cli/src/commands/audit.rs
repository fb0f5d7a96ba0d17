//! `fitbridge audit`: what happened, and when.

use fitbridge_core::{
    Engine,
    domain::{ActivityId, Connection, EventKind, UserId},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Context, common::connections};
use crate::{
    exit::{Exit, Stop},
    out::{Out, plain},
};

/// Events in one read.
const PAGE: usize = 500;

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
            format!("ride {} reached {}{remote}", activity.rider_id(), name(sink.as_str()))
        }
        EventKind::Failed { activity, sink, failure } => {
            let to = sink.as_ref().map(|sink| format!(" to {}", name(sink.as_str()))).unwrap_or_default();
            format!("ride {}{to} was given up: {failure}", activity.rider_id())
        }
        EventKind::Forgotten { activity } => format!("ride {} was forgotten", activity.rider_id()),
        EventKind::Linked { activity, others } => {
            let others: Vec<_> = others.iter().map(ActivityId::rider_id).collect();
            format!("ride {} was linked with {}", activity.rider_id(), others.join(", "))
        }
        EventKind::Split { activity } => format!("ride {} was taken out of its group", activity.rider_id()),
        EventKind::Resynced { activity, sinks } if sinks.is_empty() => {
            format!("ride {} was to be sent again", activity.rider_id())
        }
        EventKind::Resynced { activity, sinks } => {
            let sinks: Vec<_> = sinks.iter().map(|sink| name(sink.as_str())).collect();
            format!("ride {} was to be sent again to {}", activity.rider_id(), sinks.join(", "))
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
