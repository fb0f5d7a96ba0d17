//! `fitbridge forget` and `fitbridge resync`: gone for good, and back again.

use std::{
    io::{IsTerminal, Write},
    sync::Arc,
};

use fitbridge_core::{
    Code, Failure,
    domain::{Activity, ActivityState, Connection, Delivery, DeliveryState},
    engine::{forget::Forgot, resync::Resynced},
    ports::Clock,
};
use fitbridge_local::SystemClock;
use serde_json::json;

use super::{
    Context,
    common::{By, Whose, connections, print_failures},
    duplicates::finish,
    tally::{Tally, delivery_record, ride_record},
};
use crate::{
    args::ResyncArgs,
    exit::{Exit, Stop},
    out::{Out, bold, plain},
};

/// Forgets rides.
pub(crate) async fn forget(context: &Context, rides: &[String], delete_file: bool) -> Result<Exit, Stop> {
    let mut app = context.open()?;
    let found = meant(&context.whose(&app), rides).await?;
    let sinks = connections(&app).await?;
    for ride in &found {
        let forgot = app.engine.forget(&app.user, &ride.id, delete_file).await?;
        app.lanes.drain().await;
        let kept = app.engine.store().activity(&app.user, &ride.id).await?.map(|stored| stored.doc);
        let gone = Forgot { ride: kept.unwrap_or_else(|| forgot.ride.clone()), ..forgot };
        told(&context.whose(&app), &sinks, &gone, delete_file).await?;
    }
    let exit = print_failures(context, &app.lanes.take_failures(), Exit::Done);
    context.out.record(&json!({ "type": "summary", "forgotten": found.len() }));
    Ok(exit)
}

/// The rides that are meant.
pub(super) async fn meant(of: &Whose<'_>, rides: &[String]) -> Result<Vec<Activity>, Stop> {
    let mut found = Vec::new();
    for ride in rides {
        found.push(of.ride(ride).await?);
    }
    Ok(found)
}

/// Says what became of a ride that is forgotten.
pub(super) async fn told(of: &Whose<'_>, sinks: &[Connection], forgot: &Forgot, delete_file: bool) -> Result<(), Stop> {
    let Forgot { ride: gone, withdrawn, sent } = forgot;
    of.out.line(format!("{} is forgotten and will not come back", bold(gone.rider_id())));
    if delete_file && gone.state.content().is_some() {
        of.out.line(match of.by {
            By::Rider => "  its file stays: another ride has the same, or it could not be deleted yet",
            By::Operator | By::Cloud => "  its file is deleted next, unless another ride has the same",
        });
    }
    for delivery in sent {
        let name = sink_name(sinks, delivery);
        let is = if matches!(delivery.state, DeliveryState::Delivered { .. }) { "is" } else { "may be" };
        of.out.line(format!("  it {is} at {name} and stays there; if you want it gone, delete it there"));
    }
    for other in &gone.linked {
        if let Some(other) = of.engine.store().activity(of.user, other).await? {
            let (number, split) = (other.doc.rider_id(), of.command("split"));
            of.out.line(format!("  {number} is linked to it and stays unsent; to send it: {split} {number}"));
        }
    }
    of.record(ride_record(gone));
    for delivery in withdrawn.iter().chain(sent) {
        of.record(delivery_record(delivery, &sink_name(sinks, delivery)));
    }
    Ok(())
}

/// Sends a ride again.
pub(crate) async fn resync(context: &Context, args: &ResyncArgs) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("resync")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    app.engine.refuse_when_halted().await?;
    resync_of(&context.whose(&app), args).await?;
    finish(context, &mut app, &tally).await
}

/// Sends a rider's ride again, or has it fetched for that.
pub(super) async fn resync_of(of: &Whose<'_>, args: &ResyncArgs) -> Result<Resynced, Stop> {
    let ride = of.ride(&args.ride).await?;
    let all = of.connections().await?;
    let mut sinks = Vec::new();
    for name in &args.sink {
        let named = all.iter().find(|one| one.sink().is_some() && one.name == *name);
        let named = named.ok_or_else(|| Failure::new(Code::NoSuchConnection, name))?;
        sinks.push(named.id.clone());
    }
    let before = of.engine.sent_before(of.user, &ride.id, &sinks).await?;
    if !before.is_empty() && !args.yes {
        let ids: Vec<_> = before.iter().map(|delivery| sink_name(&all, delivery)).collect();
        for delivery in &before {
            of.out.line(format!("{} {}", sink_name(&all, delivery), how(delivery)));
        }
        if !asked(of.out, &ride)? {
            return Err(Failure::new(Code::MaySendTwice, ids.join(", ")).into());
        }
    }
    let resynced = of.engine.resync(of.user, &ride.id, &sinks, args.fetch).await?;
    match &resynced {
        Resynced::Sent(ride, begun) if begun.is_empty() => {
            of.out.line(format!("{}: nothing to send: no sink is meant, or it is under way", ride.rider_id()));
        }
        Resynced::Sent(ride, begun) => {
            of.out.line(format!("{} is sent again, to {} places", bold(ride.rider_id()), begun.len()));
        }
        Resynced::Fetching(ride) => {
            of.out.line(format!("{} is fetched again and sent then", bold(ride.rider_id())));
        }
    }
    Ok(resynced)
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
fn asked(out: Out, ride: &Activity) -> Result<bool, Stop> {
    if out.is_json() || !std::io::stdin().is_terminal() {
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
