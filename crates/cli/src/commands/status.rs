//! `fitbridge status`: connections, counts, and what waits.

use std::collections::BTreeMap;

use anstyle::AnsiColor;
use fitbridge_core::{
    Code, Engine,
    domain::{Activity, Connection, Delivery, DeliveryLags, Shard, SourceProgress},
    engine::plan::Freshness,
    ports::Key,
    store::Cursor,
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Context, backfill,
    common::{By, Whose, connections},
    fresh, reconcile,
    rules::{lines, rules_record},
};
use crate::{
    exit::{Exit, Stop},
    out::{Out, bold, paint, plain},
};

/// Shows how things stand. It only looks, also while `serve` runs.
pub(crate) async fn run(context: &Context) -> Result<Exit, Stop> {
    let app = context.look()?;
    let of = context.whose(&app);
    let out = context.out;
    let store = app.engine.store();
    let connections = connections(&app).await?;
    let mut exit = Exit::Done;
    if let Some(halt) = app.engine.halted().await? {
        let note = if halt.note.is_empty() { String::new() } else { format!(": {}", plain(&halt.note)) };
        out.line(format!("stopped since {:.0}{note}; go on with `fitbridge admin go`", halt.since));
    }
    out.line(format!("data: {}", app.home.display()));
    if connections.is_empty() {
        out.line("nothing is connected: start with `fitbridge connect igpsport`, or see it work with `fitbridge demo`");
    }
    for connection in &connections {
        exit = exit.max(show_connection(&of, connection, context.verbose > 0).await?);
        let report = connection.source().and_then(|source| source.report.as_deref());
        if let Some(report) = report.filter(|_| context.verbose > 0) {
            reconcile::notes(context, report);
        }
    }
    let rides = store.all::<Activity>(&app.user, "activity/").await?;
    let states = by_state(rides.iter().map(|ride| &ride.doc));
    let linked = rides.iter().filter(|ride| ride.doc.link.is_some()).count();
    out.line(count_of_rides(&states));
    if linked > 0 {
        out.line(format!("linked: {linked} of them are another file or recording of a ride (fitbridge duplicates)"));
    }
    super::notify::notices(&of).await?;
    let cursor = store.read::<Cursor>(&Key::cursor(Shard(0))).await?;
    let last_tick = cursor.and_then(|cursor| Timestamp::from_second(cursor.doc.done_minute * 60).ok());
    if let Some(last_tick) = last_tick {
        out.line(format!("`fitbridge serve` last looked for what is due: {last_tick:.0}"));
    }
    out.record(&json!({
        "type": "summary",
        "rides": rides.len(),
        "states": states,
        "linked": linked,
        "last_tick": last_tick.map(|tick| tick.to_string()),
    }));
    Ok(exit)
}

/// How many rides are in each state.
pub(crate) fn by_state<'a>(rides: impl IntoIterator<Item = &'a Activity>) -> BTreeMap<&'static str, usize> {
    let mut states = BTreeMap::new();
    for ride in rides {
        *states.entry(ride.state.name()).or_default() += 1;
    }
    states
}

/// The line with these counts.
pub(crate) fn count_of_rides(states: &BTreeMap<&str, usize>) -> String {
    let told: Vec<_> = states.iter().map(|(state, count)| format!("{count} {}", state.replace('_', " "))).collect();
    let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) };
    format!("rides: {}{told}", states.values().sum::<usize>())
}

/// When the token ends, and what happens then.
fn token_end(connection: &Connection, end: Timestamp, now: Timestamp) -> String {
    let hours = end.duration_since(now).as_hours();
    let left = match hours {
        ..0 => String::new(),
        0..48 => format!(", in {hours} h"),
        _ => format!(", in {} days", hours / 24),
    };
    if end <= now {
        return format!("the token ended {end:.0}");
    }
    match connection.source().is_some_and(|source| source.stay_signed_in) {
        true => format!("the token ends {end:.0}{left}; it is renewed by signing in"),
        false => format!("the token ends {end:.0}{left}; connect again with a fresh one before that"),
    }
}

/// Shows a connection: state, reason, next step, counts, and how fresh it is; why so, where it is `verbose`.
pub(crate) async fn show_connection(of: &Whose<'_>, connection: &Connection, verbose: bool) -> Result<Exit, Stop> {
    let (out, engine) = (of.out, of.engine);
    let phase = connection.phase(engine.now());
    let color = match phase {
        "active" => AnsiColor::Green,
        "expiring" => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    };
    let paused = connection.paused();
    let role = if connection.source().is_some() { "source" } else { "sink" };
    let name = bold(&connection.name);
    out.line(format!("{role} {name}: {} ({})", paint(color, phase), plain(&connection.label)));
    if let Some(reason) = paused {
        out.line(format!("  {}", plain(&reason.to_string())));
        out.line(format!("  next: {}", of.next_step(reason.code)));
    }
    let mut record = json!({
        "type": "connection",
        "role": role,
        "name": connection.name,
        "id": connection.id,
        "service": connection.account.service,
        "realm": connection.account.realm,
        "account": connection.account.account,
        "label": connection.label,
        "phase": phase,
        "code": paused.map(|reason| reason.code.as_str()),
        "history": connection.history,
        "connected_at": connection.connected_at.to_string(),
    });
    match connection.source() {
        Some(source) => show_source(of, connection, source, verbose, &mut record).await?,
        None => show_sink(out, engine, connection, &mut record).await?,
    }
    out.record(&record);
    Ok(if paused.is_some() { Exit::NeedsRider } else { Exit::Done })
}

/// What is known upstream and how fresh it is, when the token ends, and what goes on for a source.
async fn show_source(
    of: &Whose<'_>,
    connection: &Connection,
    source: &SourceProgress,
    verbose: bool,
    record: &mut Value,
) -> Result<(), Stop> {
    let (out, engine) = (of.out, of.engine);
    if let Some(mark) = &source.mark {
        out.line(format!("  {} rides upstream, list read {:.0}", mark.total_rows, mark.walked_at));
    }
    let freshness = match engine.store().connection(&connection.user, &connection.id).await? {
        Some(stored) => engine.freshness(&stored).await?,
        None => None,
    };
    if let Some(freshness) = &freshness {
        show_freshness(of, freshness, verbose);
    }
    if let Some(end) = source.token_ends_at {
        out.line(format!("  {}", token_end(connection, end, engine.now())));
        if connection.phase(engine.now()) == "expiring" {
            out.line(format!("  next: {}", of.next_step(Code::TokenExpiring)));
        }
    }
    if let Some(backfill) = &source.backfill {
        out.line(format!("  {}", backfill::line_of(backfill, &of.command("backfill"))));
    }
    if source.reconcile.is_some() {
        out.line("  a reconcile is under way");
    }
    if let Some(report) = &source.report {
        out.line(format!("  {}", reconcile::line(report)));
    }
    for problem in &source.problems {
        out.line(format!("  a row that cannot be read: {}", plain(&problem.reason)));
    }
    record["upstream_rides"] = source.mark.as_ref().map(|mark| mark.total_rows).into();
    record["token_ends_at"] = source.token_ends_at.map(|end| end.to_string()).into();
    record["stay_signed_in"] = source.stay_signed_in.into();
    record["backfill"] = source.backfill.as_deref().map(backfill::record).into();
    record["report"] = source.report.as_deref().map(reconcile::record).into();
    record["freshness"] = freshness.as_ref().map(fresh::record).into();
    record["undecodable_rows"] = source.problems.len().into();
    Ok(())
}

/// When a source was looked at, what keeps it from being, and why it is looked at when it is.
fn show_freshness(of: &Whose<'_>, freshness: &Freshness, verbose: bool) {
    let (out, now) = (of.out, of.engine.now());
    let ticks = if of.by == By::Cloud { "the poller" } else { "`fitbridge serve`" };
    out.line(format!("  {}", fresh::line(freshness, now, ticks)));
    for line in fresh::failing(freshness, |code| of.next_step(code)) {
        out.line(format!("  {line}"));
    }
    if verbose {
        out.line(format!("  {}", fresh::why(freshness, now)));
    }
}

/// How many deliveries of a sink are in each state, how long they took, and its rules.
async fn show_sink(out: Out, engine: &Engine, connection: &Connection, record: &mut Value) -> Result<(), Stop> {
    let prefix = format!("delivery/{}/", connection.id);
    let deliveries = engine.store().all::<Delivery>(&connection.user, &prefix).await?;
    let lags = DeliveryLags::of(deliveries.iter().map(|delivery| &delivery.doc));
    let mut states = BTreeMap::<String, usize>::new();
    for delivery in &deliveries {
        *states.entry(delivery.doc.state.name().to_owned()).or_default() += 1;
    }
    let told: Vec<_> = states.iter().map(|(state, count)| format!("{count} {}", state.replace('_', " "))).collect();
    out.line(format!("  {}", if told.is_empty() { "nothing delivered yet".into() } else { told.join(", ") }));
    if let Some(line) = fresh::lag_line(&lags) {
        out.line(format!("  {line}"));
    }
    record["deliveries"] = json!(states);
    record["lag"] = fresh::lag_record(&lags);
    if let Some(progress) = connection.sink() {
        for line in lines(&progress.rules) {
            out.line(format!("  {line}"));
        }
        record["rules"] = rules_record(&progress.rules);
    }
    Ok(())
}
