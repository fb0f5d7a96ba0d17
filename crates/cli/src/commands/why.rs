//! `fitbridge why RIDE`.

use fitbridge_core::{
    domain::{Activity, ActivityState, Delivery, DeliveryState, Integrity},
    engine::held,
    ports::Key,
};
use serde_json::json;

use super::{
    Context,
    common::Whose,
    tally::{delivery_record, ride_record},
};
use crate::{
    exit::{Exit, Stop},
    out::{bold, plain},
};

/// Explains where a ride of this machine's rider is.
pub(crate) async fn run(context: &Context, ride: &str) -> Result<Exit, Stop> {
    let app = context.look()?;
    tell(&context.whose(&app), ride).await
}

/// Explains where a ride is, sink by sink.
pub(super) async fn tell(of: &Whose<'_>, ride: &str) -> Result<Exit, Stop> {
    let ride = of.ride(ride).await?;
    let (out, store) = (of.out, of.engine.store());
    let title = ride.ride.title().unwrap_or_else(|| "untitled".into());
    let date = ride.ride.local_date().map(|date| date.to_string()).unwrap_or_default();
    out.line(format!("{} {date} {}", bold(ride.rider_id()), plain(&title)));
    out.line(format!("  {}", state_of(of, &ride)));
    of.explain(ride.state.failure());
    if let Some(link) = &ride.link {
        let to = store.activity(of.user, &link.to).await?;
        let is_gone = to.as_ref().is_some_and(|to| matches!(to.doc.state, ActivityState::Forgotten { .. }));
        let number = to.map_or_else(|| link.to.to_string(), |to| to.doc.rider_id());
        let what = if is_gone { "which was forgotten; neither is sent" } else { "which is what is sent" };
        out.line(format!("  {} {number}, {what}", link.why.sentence()));
        out.line(format!("    to send it as a ride of its own: {} {}", of.command("split"), ride.rider_id()));
    }
    for other in &ride.linked {
        let other = store.activity(of.user, other).await?;
        if let Some((other, link)) = other.and_then(|other| other.doc.link.clone().map(|link| (other.doc, link))) {
            let why = link.why.sentence();
            out.line(format!("  stands for {} too ({why} this one)", other.rider_id()));
        }
    }
    of.record(ride_record(&ride));
    let connections = of.connections().await?;
    let sinks: Vec<_> = connections.iter().filter(|connection| connection.sink().is_some()).collect();
    let Some(content) = ride.state.content() else {
        if sinks.is_empty() {
            out.line("  no sink is connected");
        }
        out.record(&json!({ "type": "summary", "deliveries": 0 }));
        return Ok(Exit::Done);
    };
    let keys: Vec<_> = sinks.iter().map(|sink| Key::delivery(of.user, &sink.id, &content)).collect();
    let found = store.read_many::<Delivery>(&keys).await?;
    let mut count = 0;
    for (sink, delivery) in sinks.iter().zip(found) {
        let Some(delivery) = delivery else {
            let why = match (&ride.state, sink.wants(&ride)) {
                (ActivityState::Forgotten { .. }, _) => "never sent",
                _ if ride.link.is_some() => "not sent: another ride stands for this one",
                _ if !ride.only_to.is_empty() && !ride.only_to.contains(&sink.id) => {
                    "not sent: you asked for it elsewhere only"
                }
                (_, true) => "not handed over yet",
                (_, false) => "older than this connection's history [before_connect]",
            };
            out.line(format!("  {}: {why}", bold(&sink.name)));
            continue;
        };
        count += 1;
        let delivery = delivery.doc;
        out.line(format!("  {}: {}", bold(&sink.name), delivery_state(&delivery)));
        of.explain(delivery.state.failure());
        if let DeliveryState::Filtered { why } = &delivery.state {
            out.line(format!("    next: {}", of.next_step(why.rule).replace("SINK", &sink.name)));
        }
        if let DeliveryState::Held { reason } = &delivery.state {
            of.explain(Some(&held::explain(reason)));
        }
        of.record(delivery_record(&delivery, &sink.name));
    }
    out.record(&json!({ "type": "summary", "deliveries": count }));
    Ok(Exit::Done)
}

/// Where a ride is, for people.
pub(crate) fn state_of(of: &Whose<'_>, ride: &Activity) -> String {
    match &ride.state {
        ActivityState::Backlog => {
            format!("on the backlog: its turn comes, newest rides first (`{} --status`)", of.command("backfill"))
        }
        ActivityState::Discovered => "seen upstream; where its file lies is asked for next".into(),
        ActivityState::Resolved { .. } => "its file is being fetched".into(),
        ActivityState::Unavailable { asked_until: Some(until), .. } => format!("waits until {until:.0}"),
        ActivityState::Unavailable { .. } => format!("tried {} times, and again later", ride.attempts),
        ActivityState::Fetched { content, size_bytes, integrity } => match integrity {
            Integrity::Intact => format!("archived: {size_bytes} bytes, sha256 {content}"),
            Integrity::Salvageable { code } => {
                format!("archived although damaged [{code}]: {size_bytes} bytes, sha256 {content}")
            }
        },
        ActivityState::Duplicate { of, .. } => {
            format!("the same file as {}, which is what is delivered", of.rider_id())
        }
        ActivityState::Filtered { rule } => format!("filtered: {} [{rule}]", rule.sentence()),
        ActivityState::Rejected { .. } => "rejected".into(),
        ActivityState::DeadLetter { .. } => format!("given up after {} attempts", ride.attempts),
        ActivityState::Forgotten { .. } => {
            format!("forgotten; back again with: {} {}", of.command("resync"), ride.rider_id())
        }
    }
}

/// Where a delivery is, for people.
pub(crate) fn delivery_state(delivery: &Delivery) -> String {
    match &delivery.state {
        DeliveryState::Delivered { remote_id, how, at } => {
            let how = match how {
                fitbridge_core::domain::How::Created => "delivered",
                fitbridge_core::domain::How::AlreadyThere => "was already there",
            };
            let id = remote_id.as_ref().map(|id| format!(" as {}", plain(&id.0))).unwrap_or_default();
            format!("{how}{id}, {at:.0}")
        }
        DeliveryState::Retrying { asked_until: Some(until), .. } => format!("waits until {until:.0}"),
        DeliveryState::Withdrawn { because } => format!("not sent: {}", because.sentence()),
        DeliveryState::Retrying { .. } => format!("tried {} times, and again later", delivery.attempts),
        DeliveryState::Filtered { why } => format!("filtered, {} [{}]", plain(&why.sentence), why.rule),
        state => state.name().replace('_', " "),
    }
}
