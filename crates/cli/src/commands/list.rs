//! `fitbridge list`: rides upstream, with their state here.

use anstyle::AnsiColor;
use fitbridge_core::{
    Code, Failure,
    domain::{Activity, ActivityState, Connection, Delivery, DeliveryState},
    ports::Key,
};
use jiff::civil::Date;
use serde_json::{Value, json};

use super::{
    Context,
    common::{Whose, connections},
    duplicates::link_record,
};
use crate::{
    exit::{Exit, Stop},
    out::{paint, plain},
};

/// Lists the newest rides of each source.
pub(crate) async fn run(context: &Context, limit: usize, name: Option<&str>) -> Result<Exit, Stop> {
    context.warn();
    let app = context.look()?;
    let connections = connections(&app).await?;
    let sources: Vec<_> = connections
        .iter()
        .filter(|connection| connection.source().is_some() && name.is_none_or(|name| connection.name == name))
        .collect();
    if sources.is_empty() {
        return Err(Stop::of(Failure::new(Code::NoSuchConnection, name.unwrap_or("no source is connected"))));
    }
    let sinks: Vec<_> = connections.iter().filter(|connection| connection.sink().is_some()).collect();
    let mut shown = 0;
    for source in sources {
        let (mut left, mut number) = (limit, 1);
        while left > 0 {
            let page = app.engine.look(source, number).await?.map_err(|error| error.failure())?;
            for ride in page.rides.iter().take(left) {
                let facts = &ride.row.facts;
                let row = Row {
                    source: Some(&source.name),
                    number: ride.row.ride_id.to_string(),
                    date: facts.date,
                    title: facts.title.as_deref(),
                    distance_m: facts.distance_m,
                    known: ride.known.as_ref().map(|known| &known.doc),
                };
                print(&context.whose(&app), &sinks, &row).await?;
                shown += 1;
            }
            for problem in &page.page.problems {
                context.out.line(format!("a row that cannot be read: {}", plain(&problem.reason)));
                context.out.record(&json!({ "type": "undecodable", "reason": problem.reason }));
            }
            left = left.saturating_sub(page.rides.len());
            if page.rides.is_empty() || page.page.total_pages.is_some_and(|pages| number >= pages) {
                break;
            }
            number += 1;
        }
    }
    context.out.record(&json!({ "type": "summary", "rides": shown }));
    Ok(Exit::Done)
}

/// A ride in a list: what is said of it, and what is known of it here.
#[derive(Debug)]
pub(super) struct Row<'a> {
    /// The source's name, for a ride that has one.
    pub source: Option<&'a str>,
    /// The number the rider knows it by.
    pub number: String,
    /// Its local date.
    pub date: Option<Date>,
    /// Its title.
    pub title: Option<&'a str>,
    /// Its distance, m.
    pub distance_m: Option<f64>,
    /// Its record.
    pub known: Option<&'a Activity>,
}

/// Prints a ride with its state here and at the sinks.
pub(super) async fn print(of: &Whose<'_>, sinks: &[&Connection], row: &Row<'_>) -> Result<(), Stop> {
    let state = row.known.map_or("new", |known| known.state.name());
    let mut deliveries = serde_json::Map::new();
    if let Some(ActivityState::Fetched { content, .. }) = row.known.map(|known| &known.state) {
        let keys: Vec<_> = sinks.iter().map(|sink| Key::delivery(of.user, &sink.id, content)).collect();
        let found = of.engine.store().read_many::<Delivery>(&keys).await?;
        for (sink, delivery) in sinks.iter().zip(found) {
            let state = delivery.map_or("none", |delivery| delivery.doc.state.name());
            deliveries.insert(sink.name.clone(), Value::from(state));
        }
    }
    let title = row.title.map(plain).unwrap_or_default();
    let date = row.date.map_or_else(|| "no date   ".into(), |date| date.to_string());
    let km = row.distance_m.map(|m| format!("{:7.1} km", m / 1000.0)).unwrap_or_default();
    let link = row.known.and_then(|known| known.link.as_ref());
    let settled = ["delivered", DeliveryState::Skipped.name(), "filtered"];
    let is_settled = |state: &Value| state.as_str().is_some_and(|state| settled.contains(&state));
    let all_there = link.is_some() || deliveries.values().all(is_settled);
    let color = if state == "fetched" && all_there { AnsiColor::Green } else { AnsiColor::Yellow };
    let mut at: Vec<_> =
        deliveries.iter().map(|(sink, state)| format!("{sink} {}", state.as_str().unwrap_or(""))).collect();
    if let Some(link) = link {
        at = vec![format!("{} {}", link.why.sentence(), link.to.rider_id())];
    }
    of.out.line(format!("{:>12}  {date}  {km}  {}  {}  {title}", row.number, paint(color, state), at.join(", ")));
    of.record(json!({
        "type": "listed",
        "source": row.source,
        "ride": row.number,
        "activity": row.known.map(|known| &known.id),
        "date": row.date,
        "title": row.title,
        "distance_m": row.distance_m,
        "state": state,
        "deliveries": deliveries,
        "link": link_record(link),
    }));
    Ok(())
}
