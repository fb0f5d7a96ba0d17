//! `admin redrive`: beginning anew with what was rejected or given up.

use std::collections::BTreeMap;

use fitbridge_core::{
    domain::{Connection, UserId},
    engine::redrive::{GivenUp, Which},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Act, Desk, desk::Going};
use crate::{
    args::admin::RedriveArgs,
    exit::{Exit, Stop},
    out::plain,
};

/// Counts by code.
pub(super) type Counts = BTreeMap<&'static str, usize>;

/// Lists what is meant and, unless it is a dry run, begins anew with it.
pub(super) async fn run(desk: &Desk, args: &RedriveArgs, now: Timestamp) -> Result<Exit, Stop> {
    let which = Which {
        since: args.since.map(|moment| moment.seen_from(now)),
        until: args.until.map(|moment| moment.seen_from(now)),
        ..Which::default()
    };
    let (mut codes, mut found, mut begun) = (Counts::new(), 0, 0);
    desk.each_rider(args.user.as_ref(), async |user| {
        let sinks = match &args.sink {
            Some(name) => Some(sinks_named(desk, user, name).await?),
            None => None,
        };
        let all = desk.engine.given_up(user, &Which { sinks, ..which.clone() }).await?;
        for given_up in &all {
            show(desk, given_up);
            count(&mut codes, given_up);
        }
        found += all.len();
        if !args.dry_run && !all.is_empty() {
            begun += begin_anew(desk, "redrive", user, &all).await?;
        }
        Ok(Going::On)
    })
    .await?;
    let told: Vec<_> = codes.iter().map(|(code, times)| format!("{times} × {code}")).collect();
    let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) };
    desk.out.line(match args.dry_run {
        true => format!("dry run: {found} rides and deliveries would be begun anew{told}; nothing was changed"),
        false => format!("{begun} of {found} rides and deliveries are begun anew{told}"),
    });
    desk.out.record(&json!({
        "type": "summary", "dry_run": args.dry_run, "found": found, "begun": begun, "codes": codes,
    }));
    Ok(Exit::Done)
}

/// Begins anew with these of a rider; says with how many.
pub(super) async fn begin_anew(desk: &Desk, verb: &'static str, user: &UserId, all: &[GivenUp]) -> Result<usize, Stop> {
    let detail = format!("{} rides and deliveries", all.len());
    let work = async {
        let mut begun = 0;
        for given_up in all {
            begun += usize::from(desk.engine.begin_anew(given_up).await?);
        }
        Ok(begun)
    };
    desk.act(Act { verb, user: Some(user), detail: &detail }, work).await
}

pub(super) fn count(codes: &mut Counts, given_up: &GivenUp) {
    let code = given_up.failure().map_or("unknown", |failure| failure.code.as_str());
    *codes.entry(code).or_default() += 1;
}

/// A rider's sinks of this name, id or service.
async fn sinks_named(
    desk: &Desk,
    user: &UserId,
    name: &str,
) -> Result<Vec<fitbridge_core::domain::ConnectionId>, Stop> {
    let rider = desk.rider(user).await?;
    let is_meant = |connection: &Connection| {
        let same = [connection.name.as_str(), connection.id.as_str(), connection.account.service.as_str()];
        connection.sink().is_some() && same.contains(&name)
    };
    Ok(desk.connections(&rider).await?.into_iter().filter(is_meant).map(|connection| connection.id).collect())
}

/// Prints one of them.
pub(super) fn show(desk: &Desk, given_up: &GivenUp) {
    let (user, ride, sink, state) = match given_up {
        GivenUp::Ride(ride) => (&ride.doc.user, ride.doc.rider_id(), None, ride.doc.state.name()),
        GivenUp::Delivery(delivery) => {
            let delivery = &delivery.doc;
            let ride = delivery.rider_id();
            (&delivery.user, ride, Some(&delivery.sink), delivery.state.name())
        }
    };
    let failure = given_up.failure();
    desk.out.record(&json!({
        "type": "given_up",
        "rider": user,
        "ride": ride,
        "sink": sink,
        "state": state,
        "code": failure.map(|failure| failure.code.as_str()),
        "detail": failure.map_or(Value::Null, |failure| failure.detail.clone().into()),
        "next": failure.map(|failure| desk.whose(user).next_step(failure.code)),
        "at": given_up.at().to_string(),
    }));
    let to = sink.map(|sink| format!(" to {sink}")).unwrap_or_default();
    let why = failure.map(|failure| plain(&failure.to_string())).unwrap_or_default();
    desk.out.line(format!("{user} {ride}{to}: {}, {:.0}: {why}", state.replace('_', " "), given_up.at()));
}
