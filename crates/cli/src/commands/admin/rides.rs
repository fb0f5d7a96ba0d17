//! `admin rides`, `why`, `backfill`, `duplicates`, `link`, `split`, `forget`, `resync` and `rules`: for a rider who has no
//! command of their own. Only the ledger is changed; whoever works on what is due does the rest.

use std::cmp::Reverse;

use fitbridge_core::{
    domain::{Activity, Connection, UserId},
    engine::resync::Resynced,
};
use serde_json::json;

use super::{Act, Desk, changed, users::show_ride};
use crate::{
    args::{BackfillArgs, ForgetArgs, ResyncArgs, RulesArgs},
    commands::{
        backfill,
        common::{By, Whose},
        duplicates, forget,
        list::{self, Row},
        rules::{self, Asked},
        status::{by_state, count_of_rides},
        why,
    },
    exit::{Exit, Stop},
};

/// Lists a rider's newest rides.
pub(super) async fn list(desk: &Desk, rider: &UserId, limit: usize) -> Result<Exit, Stop> {
    let of = whose(desk, rider).await?;
    let connections = of.connections().await?;
    let sinks: Vec<_> = connections.iter().filter(|connection| connection.sink().is_some()).collect();
    let rides = desk.engine.store().all::<Activity>(rider, "activity/").await?;
    let mut rides: Vec<_> = rides.into_iter().map(|stored| stored.doc).collect();
    let states = by_state(&rides);
    let count = rides.len();
    newest_first(&mut rides);
    rides.truncate(limit);
    for ride in &rides {
        let title = ride.ride.title();
        let row = Row {
            source: source_of(&connections, ride),
            number: ride.rider_id(),
            date: ride.ride.local_date(),
            title: title.as_deref(),
            distance_m: ride.ride.distance_m(),
            known: Some(ride),
        };
        list::print(&of, &sinks, &row).await?;
    }
    desk.out.line(count_of_rides(&states));
    if count > rides.len() {
        desk.out.line(format!("there are more: `{} --limit {count}`", of.command("rides")));
    }
    desk.out.record(&json!({ "type": "summary", "rides": count, "states": states }));
    Ok(Exit::Done)
}

/// By their local dates; among those of one day, the one that the source numbered last.
pub(super) fn newest_first(rides: &mut [Activity]) {
    rides.sort_by_key(|ride| Reverse((ride.ride.local_date(), ride.rider_id())));
}

/// The name of the source that a ride came from, if it came from one that is connected.
fn source_of<'a>(connections: &'a [Connection], ride: &Activity) -> Option<&'a str> {
    let source = ride.source()?;
    connections.iter().find(|connection| connection.id == *source).map(|connection| connection.name.as_str())
}

/// Explains where a ride is.
pub(super) async fn why(desk: &Desk, rider: &UserId, ride: &str) -> Result<Exit, Stop> {
    why::tell(&whose(desk, rider).await?, ride).await
}

/// Lets the backfill of a rider's sources begin, go on or stop, or shows it.
pub(super) async fn backfill(desk: &Desk, rider: &UserId, args: &BackfillArgs) -> Result<Exit, Stop> {
    let of = whose(desk, rider).await?;
    let verb = if args.stop { "backfill stop" } else { "backfill" };
    let change = async |source: &Connection| {
        let act = Act { verb, user: Some(rider), detail: &source.name };
        desk.act(act, backfill::change(&of, source, args)).await
    };
    backfill::each(&of, args, change).await
}

/// Lists groups and suggestions.
pub(super) async fn duplicates(desk: &Desk, rider: &UserId) -> Result<Exit, Stop> {
    duplicates::list_of(&whose(desk, rider).await?).await
}

/// Links rides.
pub(super) async fn link(desk: &Desk, rider: &UserId, rides: &[String]) -> Result<Exit, Stop> {
    let of = whose(desk, rider).await?;
    let act = Act { verb: "link", user: Some(rider), detail: &rides.join(", ") };
    let group = desk.act(act, duplicates::link_of(&of, rides)).await?;
    let count = group.others.len();
    show(desk, &of, std::iter::once(group.primary).chain(group.others)).await?;
    Ok(changed(desk, count))
}

/// Takes a ride out of its group.
pub(super) async fn split(desk: &Desk, rider: &UserId, ride: &str) -> Result<Exit, Stop> {
    let of = whose(desk, rider).await?;
    let act = Act { verb: "split", user: Some(rider), detail: ride };
    let (ride, left) = desk.act(act, duplicates::split_of(&of, ride)).await?;
    show(desk, &of, [ride, left.primary]).await?;
    Ok(changed(desk, 1))
}

/// Forgets rides.
pub(super) async fn forget(desk: &Desk, rider: &UserId, args: &ForgetArgs) -> Result<Exit, Stop> {
    let of = whose(desk, rider).await?;
    let found = forget::meant(&of, &args.rides).await?;
    let sinks = of.connections().await?;
    for ride in &found {
        let act = Act { verb: "forget", user: Some(rider), detail: &ride.rider_id() };
        let work = async { Ok(desk.engine.forget(rider, &ride.id, args.delete_file).await?) };
        forget::told(&of, &sinks, &desk.act(act, work).await?, args.delete_file).await?;
    }
    if args.delete_file {
        then(&of);
    }
    desk.out.record(&json!({ "type": "summary", "forgotten": found.len() }));
    Ok(Exit::Done)
}

/// Sends a ride again, or has it fetched for that.
pub(super) async fn resync(desk: &Desk, rider: &UserId, args: &ResyncArgs) -> Result<Exit, Stop> {
    let of = whose(desk, rider).await?;
    let act = Act { verb: "resync", user: Some(rider), detail: &args.ride };
    let (ride, count) = match desk.act(act, forget::resync_of(&of, args)).await? {
        Resynced::Sent(ride, begun) => (ride, begun.len()),
        Resynced::Fetching(ride) => (ride, 1),
    };
    show(desk, &of, [ride]).await?;
    Ok(changed(desk, count))
}

/// Shows, tries out, sets or applies rules.
pub(super) async fn rules(desk: &Desk, rider: &UserId, args: &RulesArgs) -> Result<Exit, Stop> {
    let asked = args.read()?;
    let of = whose(desk, rider).await?;
    match asked {
        Asked::Look(what) => rules::look(&of, &what).await,
        Asked::Set(name, change) => {
            let act = Act { verb: "rules set", user: Some(rider), detail: name };
            let sink = desk.act(act, rules::set(&of, name, &change)).await?;
            rules::shown(&of, &sink).await
        }
        Asked::Apply(name, change) => {
            // Two acts: the change stands, even if what follows from it fails.
            if let Some(change) = change {
                let act = Act { verb: "rules set", user: Some(rider), detail: name };
                desk.act(act, rules::set(&of, name, &change)).await?;
            }
            let act = Act { verb: "rules apply", user: Some(rider), detail: name };
            let (_, applied) = desk.act(act, rules::apply(&of, name, None)).await?;
            desk.out.line(rules::line_of(&applied));
            then(&of);
            desk.out.record(&json!({ "type": "summary", "sent": applied.sent, "filtered": applied.filtered }));
            Ok(Exit::Done)
        }
    }
}

/// A rider who is there: a misspelt name has no rides either.
async fn whose<'a>(desk: &'a Desk, rider: &'a UserId) -> Result<Whose<'a>, Stop> {
    desk.rider(rider).await?;
    Ok(desk.whose(rider))
}

/// Shows rides that were changed, with their deliveries, and who goes on with them.
async fn show(desk: &Desk, of: &Whose<'_>, rides: impl IntoIterator<Item = Activity>) -> Result<(), Stop> {
    let connections = of.connections().await?;
    for ride in rides {
        show_ride(desk, &ride, &connections).await?;
    }
    then(of);
    Ok(())
}

/// Says who does what is only written down so far.
fn then(of: &Whose<'_>) {
    of.out.line(match of.by {
        By::Cloud => "what is to be done is in the ledger; the functions do it within minutes",
        By::Operator | By::Rider => "what is to be done is in the ledger; `fitbridge serve` does it",
    });
}
