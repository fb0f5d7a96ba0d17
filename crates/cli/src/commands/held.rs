//! `fitbridge held`: rides that wait for the rider's word.

use std::time::Duration;

use fitbridge_core::{
    domain::{Activity, Delivery, DeliveryState, HeldReason},
    engine::held::Word as Said,
    store::Stored,
};
use serde_json::json;

use super::{Context, common::connections, find};
use crate::{
    app::App,
    args::{Word, WordArgs},
    exit::{Exit, Stop},
    out::plain,
};

/// Lists them, or takes a word for some.
pub(crate) async fn run(context: &Context, word: Option<Word>) -> Result<Exit, Stop> {
    match word {
        None => list(context).await,
        Some(Word::Send(args)) => say(context, args, Said::Send).await,
        Some(Word::Skip(args)) => say(context, args, Said::Skip).await,
    }
}

async fn list(context: &Context) -> Result<Exit, Stop> {
    let app = context.look()?;
    let held = app.engine.held(&app.user).await?;
    for (stored, sink) in with_sinks(&app, &held).await? {
        let delivery = &stored.doc;
        let DeliveryState::Held { reason: HeldReason::Elsewhere { remote_id, route } } = &delivery.state else {
            continue;
        };
        let ride = app.engine.store().activity(&app.user, &delivery.activity).await?;
        let number =
            ride.as_ref().map_or_else(|| delivery.activity.to_string(), |ride: &Stored<Activity>| ride.doc.rider_id());
        let start = delivery.about.local_start.map(|start| start.to_string()).unwrap_or_default();
        context.out.line(format!(
            "{number}  {start}  {}  already at {sink} through {} as {}",
            delivery.about.name.as_deref().map(plain).unwrap_or_default(),
            plain(route),
            plain(&remote_id.0)
        ));
        context.out.record(&json!({
            "type": "held",
            "ride": number,
            "activity": delivery.activity,
            "sink": sink,
            "route": route,
            "remote_id": remote_id,
        }));
    }
    context.out.line(match held.is_empty() {
        true => "no ride is held",
        false => "say `fitbridge held send RIDE…` or `fitbridge held skip RIDE…`, or `--all`",
    });
    context.out.record(&json!({ "type": "summary", "held": held.len() }));
    Ok(Exit::Done)
}

async fn say(context: &Context, args: WordArgs, word: Said) -> Result<Exit, Stop> {
    let mut app = context.open()?;
    let mut wanted = Vec::new();
    for ride in &args.rides {
        wanted.push(find::ride(&app, ride).await?.id);
    }
    let held = app.engine.held(&app.user).await?;
    let mut told = 0;
    for (stored, sink) in with_sinks(&app, &held).await? {
        let meant = args.all || wanted.contains(&stored.doc.activity);
        if meant && args.sink.as_deref().is_none_or(|name| name == sink) {
            told += usize::from(app.engine.say(stored, word).await?);
        }
    }
    // Those to be sent were handed over to this process.
    app.lanes.drain().await;
    app.lanes.stop(Duration::ZERO).await;
    let what = match word {
        Said::Send => "sent",
        Said::Skip => "left alone",
    };
    context.out.line(format!("{told} held deliveries are {what}"));
    context.out.record(&json!({ "type": "summary", "told": told }));
    Ok(Exit::Done)
}

async fn with_sinks<'a>(app: &App, held: &'a [Stored<Delivery>]) -> Result<Vec<(&'a Stored<Delivery>, String)>, Stop> {
    let connections = connections(app).await?;
    let name = |stored: &Stored<Delivery>| {
        let sink = connections.iter().find(|connection| connection.id == stored.doc.sink);
        sink.map_or_else(|| stored.doc.sink.to_string(), |sink| sink.name.clone())
    };
    Ok(held.iter().map(|stored| (stored, name(stored))).collect())
}
