//! `fitbridge duplicates`, `link` and `split`: rides that are one.

use std::{collections::BTreeMap, sync::Arc};

use fitbridge_core::{
    domain::{Activity, ActivityId, Likeness, Link},
    engine::group::Group,
    ports::Clock,
};
use fitbridge_local::SystemClock;
use serde_json::{Value, json};

use super::{
    Context,
    common::{Whose, connections, print_deliveries, print_failures},
    tally::Tally,
};
use crate::{
    app::App,
    exit::{Exit, Stop},
    out::{bold, plain},
};

/// Lists groups and suggestions of this machine's rider.
pub(crate) async fn list(context: &Context) -> Result<Exit, Stop> {
    let app = context.look()?;
    list_of(&context.whose(&app)).await
}

/// Lists a rider's groups and suggestions.
pub(super) async fn list_of(of: &Whose<'_>) -> Result<Exit, Stop> {
    let found = of.engine.duplicates(of.user).await?;
    for group in &found.groups {
        print_group(of, &group.primary, &group.others);
    }
    let mut names = BTreeMap::<&ActivityId, Option<Activity>>::new();
    for suggestion in &found.suggestions {
        for id in [&suggestion.first, &suggestion.second] {
            if !names.contains_key(id) {
                let ride = of.engine.store().activity(of.user, id).await?;
                names.insert(id, ride.map(|stored| stored.doc));
            }
        }
        let ride = |id: &ActivityId| names.get(id).and_then(Option::as_ref);
        let number = |id| ride(id).map_or_else(|| ToString::to_string(id), Activity::rider_id);
        let (reason, why) = match suggestion.likeness {
            Likeness::Perhaps(hunch) => (hunch.name(), hunch.sentence()),
            Likeness::SameRecording => ("same_recording", "they are files of one recording, but not linked"),
            Likeness::SameRide => ("same_ride", "they look like one ride, but are not linked"),
        };
        let (first, second) = (number(&suggestion.first), number(&suggestion.second));
        of.out.line(format!("{} and {} may be one: {why}", bold(&first), bold(&second)));
        for id in [&suggestion.first, &suggestion.second] {
            if let Some(ride) = ride(id) {
                of.out.line(format!("  {}", about(ride)));
            }
        }
        of.out.line(format!("  if so: {} {first} {second}", of.command("link")));
        of.record(json!({ "type": "suggestion", "rides": [first, second], "reason": reason }));
    }
    if found.groups.is_empty() && found.suggestions.is_empty() {
        of.out.line("no ride is here twice, and none looks like it");
    }
    of.out.record(&json!({
        "type": "summary",
        "groups": found.groups.len(),
        "suggestions": found.suggestions.len(),
    }));
    Ok(Exit::Done)
}

/// Links rides.
pub(crate) async fn link(context: &Context, rides: &[String]) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("link")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    link_of(&context.whose(&app), rides).await?;
    finish(context, &mut app, &tally).await
}

/// Links a rider's rides.
pub(super) async fn link_of(of: &Whose<'_>, rides: &[String]) -> Result<Group, Stop> {
    let mut ids = Vec::new();
    for ride in rides {
        ids.push(of.ride(ride).await?.id);
    }
    let group = of.engine.link(of.user, &ids).await?;
    print_group(of, &group.primary, &group.others);
    Ok(group)
}

/// Takes a ride out of its group.
pub(crate) async fn split(context: &Context, ride: &str) -> Result<Exit, Stop> {
    let tally = Arc::new(Tally::new(SystemClock.now(), context.out.progress("split")));
    let mut app = context.open_watched(Arc::clone(&tally) as _)?;
    split_of(&context.whose(&app), ride).await?;
    finish(context, &mut app, &tally).await
}

/// Takes a rider's ride out of its group, of which the second is what is left.
pub(super) async fn split_of(of: &Whose<'_>, ride: &str) -> Result<(Activity, Group), Stop> {
    let id = of.ride(ride).await?.id;
    let (ride, left) = of.engine.split(of.user, &id).await?;
    of.out.line(format!("{} is a ride of its own", bold(ride.rider_id())));
    if left.others.is_empty() {
        of.out.line(format!("{} is a ride of its own", bold(left.primary.rider_id())));
    } else {
        print_group(of, &left.primary, &left.others);
    }
    Ok((ride, left))
}

/// Works on what was begun, and prints what came of it.
pub(super) async fn finish(context: &Context, app: &mut App, tally: &Tally) -> Result<Exit, Stop> {
    let (exit, summary) = work_off(context, app, tally).await?;
    context.out.record(&summary);
    Ok(exit)
}

/// The same up to the summary, for commands that have more to say in it.
pub(super) async fn work_off(context: &Context, app: &mut App, tally: &Tally) -> Result<(Exit, Value), Stop> {
    app.lanes.drain().await;
    tally.bar().finish_and_clear();
    let sinks: Vec<_> = connections(app).await?.into_iter().filter(|one| one.sink().is_some()).collect();
    let counts = tally.counts(&sinks);
    for record in tally.records(&sinks) {
        context.out.record(&record);
    }
    let exit = print_deliveries(context, tally, &counts);
    let exit = print_failures(context, &app.lanes.take_failures(), exit);
    Ok((exit, counts.record()))
}

fn print_group(of: &Whose<'_>, primary: &Activity, linked: &[Activity]) {
    let sent = if primary.state.name() == "forgotten" { "forgotten" } else { "sent" };
    of.out.line(format!("{} {} ({sent})", bold(primary.rider_id()), about(primary)));
    let mut others = Vec::new();
    for other in linked {
        let why = other.link.as_ref().map_or("", |link| link.why.sentence());
        of.out.line(format!("  {} {} ({why} {})", bold(other.rider_id()), about(other), primary.rider_id()));
        others
            .push(json!({ "ride": other.rider_id(), "activity": other.id, "link": link_record(other.link.as_ref()) }));
    }
    of.record(json!({
        "type": "group",
        "ride": primary.rider_id(),
        "activity": primary.id,
        "state": primary.state.name(),
        "others": others,
    }));
}

/// A link as it stands in records; null where there is none.
pub(super) fn link_record(link: Option<&Link>) -> Value {
    link.map_or(Value::Null, |link| json!({ "to": link.to, "why": link.why.name(), "at": link.at }))
}

fn about(ride: &Activity) -> String {
    let start = ride.ride.local_start().map(|start| start.to_string());
    let start = start.or_else(|| ride.ride.start().map(|start| format!("{start:.0}"))).unwrap_or_default();
    let km = ride.ride.distance_m().map(|m| format!("{:.1} km", m / 1000.0)).unwrap_or_default();
    let device = ride.ride.device().map(|device| plain(&device)).unwrap_or_default();
    let title = ride.ride.title().map(|title| plain(&title)).unwrap_or_default();
    let parts = [start, km, device, title];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ")
}
