//! `fitbridge forget` and `fitbridge resync`: gone for good, and back again.

use std::{
    io::{IsTerminal, Write},
    sync::Arc,
};

use fitbridge_core::{
    Code, Failure,
    domain::{Activity, ActivityState, Connection, Delivery, DeliveryState},
    engine::resync::Resynced,
    ports::Clock,
};
use fitbridge_local::SystemClock;
use serde_json::json;

use super::{
    Context,
    common::{connections, print_failures},
    duplicates::finish,
    find,
    tally::{Tally, delivery_record, ride_record},
};
use crate::{
    args::ResyncArgs,
    exit::{Exit, Stop},
    out::{bold, plain},
};

/// Forgets rides.
pub(crate) async fn forget(context: &Context, rides: &[String], delete_file: bool) -> Result<Exit, Stop> {
    let mut app = context.open()?;
    let mut found = Vec::new();
    for ride in rides {
        found.push(find::ride(&app, ride).await?);
    }
    let sinks = connections(&app).await?;
    for ride in &found {
        let forgot = app.engine.forget(&app.user, &ride.id, delete_file).await?;
        app.lanes.drain().await;
        let kept = app.engine.store().activity(&app.user, &ride.id).await?.map(|stored| stored.doc);
        let gone = kept.unwrap_or_else(|| forgot.ride.clone());
        context.out.line(format!("{} is forgotten and will not come back", bold(gone.rider_id())));
        if delete_file && gone.state.content().is_some() {
            context.out.line("  its file stays: another ride has the same, or it could not be deleted yet");
        }
        for delivery in &forgot.sent {
            let name = sink_name(&sinks, delivery);
            let is = if matches!(delivery.state, DeliveryState::Delivered { .. }) { "is" } else { "may be" };
            context.out.line(format!("  it {is} at {name} and stays there; if you want it gone, delete it there"));
        }
        for other in &gone.linked {
            if let Some(other) = app.engine.store().activity(&app.user, other).await? {
                let number = other.doc.rider_id();
                context
                    .out
                    .line(format!("  {number} is linked to it and stays unsent; to send it: fitbridge split {number}"));
            }
        }
        context.out.record(&ride_record(&gone));
        for delivery in forgot.withdrawn.iter().chain(&forgot.sent) {
            context.out.record(&delivery_record(delivery, &sink_name(&sinks, delivery)));
        }
    }
    let exit = print_failures(context, &app.lanes.take_failures(), Exit::Done);
    context.out.record(&json!({ "type": "summary", "forgotten": found.len() }));
    Ok(exit)
}

/// Sends a ride again.
pub(crate) async fn resync(context: &Context, args: &ResyncArgs) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("resync")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    app.engine.refuse_when_halted().await?;
    let ride = find::ride(&app, &args.ride).await?;
    let all = connections(&app).await?;
    let mut sinks = Vec::new();
    for name in &args.sink {
        let named = all.iter().find(|one| one.sink().is_some() && one.name == *name);
        let named = named.ok_or_else(|| Failure::new(Code::NoSuchConnection, name))?;
        sinks.push(named.id.clone());
    }
    let user = app.user.clone();
    let before = app.engine.sent_before(&user, &ride.id, &sinks).await?;
    if !before.is_empty() && !args.yes {
        let ids: Vec<_> = before.iter().map(|delivery| sink_name(&all, delivery)).collect();
        for delivery in &before {
            context.out.line(format!("{} {}", sink_name(&all, delivery), how(delivery)));
        }
        if !asked(context, &ride)? {
            return Err(Failure::new(Code::MaySendTwice, ids.join(", ")).into());
        }
    }
    match app.engine.resync(&user, &ride.id, &sinks, args.fetch).await? {
        Resynced::Sent(ride, begun) if begun.is_empty() => {
            context.out.line(format!("{}: nothing to send: no sink is meant, or it is under way", ride.rider_id()));
        }
        Resynced::Sent(ride, begun) => {
            context.out.line(format!("{} is sent again, to {} places", bold(ride.rider_id()), begun.len()));
        }
        Resynced::Fetching(ride) => {
            context.out.line(format!("{} is fetched again and sent then", bold(ride.rider_id())));
        }
    }
    finish(context, &mut app, &tally).await
}

fn how(delivery: &Delivery) -> String {
    match &delivery.state {
        DeliveryState::Held { .. } => "has this ride by another route".into(),
        DeliveryState::Delivered { remote_id: Some(id), .. } => format!("has this ride, as {}", plain(&id.0)),
        DeliveryState::Delivered { .. } => "has this ride".into(),
        _ => "may have this ride".into(),
    }
}

/// Asks at a terminal; elsewhere the answer is no.
fn asked(context: &Context, ride: &Activity) -> Result<bool, Stop> {
    if context.out.is_json() || !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    let from = match ride.state {
        ActivityState::Forgotten { .. } => "bring it back and send it",
        _ => "send it again",
    };
    let mut stderr = std::io::stderr();
    let mut answer = String::new();
    write!(stderr, "Deleted there, it is made anew; else there may be two. Really {from}? [y/N] ")
        .and_then(|()| stderr.flush())
        .and_then(|()| std::io::stdin().read_line(&mut answer).map(drop))
        .map_err(|error| Stop::failed(Failure::new(Code::Usage, error.to_string())))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn sink_name(sinks: &[Connection], delivery: &Delivery) -> String {
    let sink = sinks.iter().find(|sink| sink.id == delivery.sink);
    sink.map_or_else(|| delivery.sink.to_string(), |sink| sink.name.clone())
}
